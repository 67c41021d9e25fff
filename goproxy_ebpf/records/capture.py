"""What the capture side hands to the pipeline, in arrival order; also what a capture file holds.

Records that carry payload say how many bytes the kernel ``seen`` and how many were copied (``len(data)``): a
difference is a loss, and becomes a gap. Serialised as msgpack, tagged by ``kind``.
"""

import msgspec

from .common import Direction, SocketAddresses

SCHEMA = "goproxy-ebpf-capture/1"


class HookState(msgspec.Struct, frozen=True):
    """One hook and whether it ran: ``state`` is ``attached``, ``refused`` or ``not needed``."""

    hook: str
    what: str
    state: str
    detail: str = ""


class RunHeader(msgspec.Struct, frozen=True, tag_field="kind", tag="header"):
    """The first record of a run.

    ``source`` is ``ebpf``, or ``packets`` for a capture made by another program. ``environment`` holds only the
    variables that steer the go command (GOPROXY, GOFLAGS, HTTPS_PROXY, …), unmasked: a capture is not for sharing.
    """

    at_ns: int
    source: str
    tool_version: str = ""
    schema: str = SCHEMA
    run_id: str = ""
    argv: tuple[str, ...] = ()
    directory: str = ""
    user: str = ""
    environment: dict[str, str] = {}
    go_version: str = ""
    kernel: str = ""
    machine: str = ""
    egress_hook: str = ""
    hooks: tuple[HookState, ...] = ()
    labels: dict[str, str] = {}


class Packet(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="packet"):
    """One IP packet as the cgroup hook saw it (before segmentation, after coalescing: up to and above 64 KiB).

    ``data`` starts at the IP header; ``seen`` is the packet's whole length. ``socket`` is the owning socket's own
    pair of addresses, which NAT in OUTPUT leaves alone, or None where the kernel had no full socket. ``netns`` is the
    network namespace's inode number, ``cookie`` the socket cookie (a hint: a listener's SYN carries the listener's);
    both 0 when unknown.
    """

    at_ns: int
    direction: Direction
    seen: int
    data: bytes
    socket: SocketAddresses | None = None
    netns: int = 0
    cookie: int = 0


class Egress(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="egress"):
    """Bytes that a task offered to a TCP socket, read out of the sender's buffer.

    ``hook`` is ``tcp_sendmsg`` or ``sk_msg``. ``sequence`` is the TCP sequence number (mod 2^32) of ``data[0]``;
    ``seen`` counts the bytes offered from there on. Offered is not accepted: what was accepted is told by the
    socket's ``write_seq`` in later records.
    """

    at_ns: int
    hook: str
    pid: int
    tid: int
    socket: SocketAddresses
    sequence: int
    seen: int
    data: bytes
    write_sequence: int = 0
    netns: int = 0
    cookie: int = 0


class Secret(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="secret"):
    """One line of an NSS key log: a TLS 1.3 traffic secret or a TLS 1.2 master secret (``CLIENT_RANDOM``)."""

    at_ns: int
    pid: int
    label: str
    client_random: bytes
    secret: bytes


class TrafficSecret(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="traffic_secret"):
    """A traffic secret read out of a connection's memory at ``halfConn.encrypt`` or ``decrypt``: unconfirmed.

    It is believed only when a record decrypts with it. ``sequence`` is the record sequence number (RFC 8446 §5.3)
    of the record being handled; ``record`` holds the first bytes of that record as they stand on the wire (RECV
    only, may be empty). ``half_connection`` is its address in the process, an identity and nothing more.
    """

    at_ns: int
    pid: int
    direction: Direction
    version: int
    secret: bytes
    sequence: int
    record: bytes = b""
    half_connection: int = 0


class ProcessEvent(msgspec.Struct, frozen=True, tag_field="kind", tag="process"):
    """``what`` is ``exec``, ``exit``, or ``program``: what was found out about the program that ``pid`` runs.

    ``status`` is the wait status of an exit (None otherwise). ``coverage`` says how the executable's TLS is read:
    ``key log``, ``late`` (known only after it started), ``packets only`` (``note`` says why) or empty where it does not
    speak TLS that we know of.
    """

    at_ns: int
    what: str
    pid: int
    parent: int
    path: str = ""
    argv: tuple[str, ...] = ()
    go_version: str = ""
    coverage: str = ""
    note: str = ""
    status: int | None = None


class TcpEvent(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="tcp"):
    """A state change, retransmission or reset of one of the run's sockets.

    ``what`` is ``state``, ``retransmit``, ``reset sent``, ``reset received`` or ``receive space``. ``state`` and
    ``old_state`` are the kernel's names (``ESTABLISHED``, ``SYN_SENT``, …). Sequence numbers are mod 2^32;
    ``write_sequence`` is the next byte the process will write, ``unacknowledged`` the oldest byte not yet
    acknowledged, ``copied_sequence`` the next byte that the process will read. ``srtt_us`` is the smoothed
    round-trip time in microseconds.
    """

    at_ns: int
    what: str
    socket: SocketAddresses
    pid: int = 0
    old_state: str = ""
    state: str = ""
    write_sequence: int = 0
    next_sequence: int = 0
    unacknowledged: int = 0
    receive_sequence: int = 0
    copied_sequence: int = 0
    srtt_us: int = 0
    netns: int = 0
    cookie: int = 0


class Loss(msgspec.Struct, frozen=True, tag_field="kind", tag="loss"):
    """Records that could not be kept: ``where`` they were lost (a counter's name), how many records and bytes."""

    at_ns: int
    where: str
    records: int
    length_bytes: int = 0


class RunEnd(msgspec.Struct, frozen=True, tag_field="kind", tag="end"):
    """The last record of a run: the child's exit status (or -signal), and every in-kernel counter by name."""

    at_ns: int
    status: int | None
    counters: dict[str, int] = {}


CaptureRecord = RunHeader | Packet | Egress | Secret | TrafficSecret | ProcessEvent | TcpEvent | Loss | RunEnd

TCP_STATES = (
    "",
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
    "NEW_SYN_RECV",
)
"""The kernel's TCP states by number (include/net/tcp_states.h)."""
