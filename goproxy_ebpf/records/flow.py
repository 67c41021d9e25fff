"""What passes between ``streams``, ``tls``, ``dns`` and ``http2``, inside one run of the pipeline.

A connection is a small integer, counted from 1 in order of first appearance; its direction is seen from the traced
process. Offsets count bytes of one direction's TCP stream from 0 (the first byte after the SYN).
"""

import msgspec

from .common import Direction, SocketAddresses


class ConnectionOpened(msgspec.Struct, frozen=True, gc=False):
    """The first sign of a connection. ``complete`` is False when its SYN was not seen: bytes start in mid-stream."""

    connection: int
    at_ns: int
    addresses: SocketAddresses
    netns: int
    pid: int
    complete: bool


class ConnectionEstablished(msgspec.Struct, frozen=True, gc=False):
    """The handshake is done: ``at_ns`` is the ACK of the SYN-ACK, ``rtt_ns`` SYN to SYN-ACK as seen here."""

    connection: int
    at_ns: int
    rtt_ns: int


class StreamBytes(msgspec.Struct, frozen=True, gc=False):
    """The next bytes of one direction, in order. ``offset`` is that of ``data[0]``."""

    connection: int
    direction: Direction
    at_ns: int
    offset: int
    data: bytes


class StreamGap(msgspec.Struct, frozen=True, gc=False):
    """``length`` bytes of one direction that are known to have passed and were not seen. Bytes go on behind it."""

    connection: int
    direction: Direction
    at_ns: int
    offset: int
    length: int
    reason: str


class DirectionBytes(msgspec.Struct, frozen=True, gc=False):
    """The proof for one direction of one connection, in bytes.

    ``span`` is the sequence span from SYN to FIN, to the last byte known to be written, or to the highest byte seen;
    ``on_wire`` the unique sequence bytes seen in packets; ``retransmitted`` what was seen again; ``missing`` what no
    view has. For SEND, ``offered`` is the unique sequence bytes seen at the egress hook, ``accepted`` the bytes the
    socket took (None if unknown), ``unsent`` those accepted that never left, and ``matches`` whether both views hold
    the same bytes wherever both have them (None where there was nothing to compare).
    """

    span: int = 0
    on_wire: int = 0
    retransmitted: int = 0
    missing: int = 0
    offered: int = 0
    accepted: int | None = None
    unsent: int = 0
    matches: bool | None = None


class ConnectionClosed(msgspec.Struct, frozen=True, gc=False):
    """No more bytes come. ``how`` is ``fin``, ``reset``, ``abandoned`` (the socket went without either: a time-out, or
    an attempt to connect that was given up) or ``open`` (still open when the run ended). ``pid`` is as
    ``ConnectionOpened``'s, where it may still be unknown (0).
    """

    connection: int
    at_ns: int
    how: str
    sent: DirectionBytes
    received: DirectionBytes
    srtt_us: int = 0
    pid: int = 0


class Datagram(msgspec.Struct, frozen=True, gc=False):
    """The payload of one UDP datagram to or from port 53, or the next bytes of a TCP connection's direction.

    ``transport`` is ``udp`` or ``tcp``. TCP bytes come in order and without a hole, from the connection's first byte
    on; empty ``data`` says that no more come of what came before (a gap, or the end).
    """

    at_ns: int
    direction: Direction
    addresses: SocketAddresses
    netns: int
    data: bytes
    transport: str = "udp"


StreamEvent = ConnectionOpened | ConnectionEstablished | StreamBytes | StreamGap | ConnectionClosed | Datagram


class Plaintext(msgspec.Struct, frozen=True, gc=False):
    """Application bytes of one direction. ``at_ns`` is when the record that held them was complete."""

    direction: Direction
    at_ns: int
    data: bytes


class PlaintextGap(msgspec.Struct, frozen=True, gc=False):
    """Application bytes that cannot be had. ``length`` is a count of ciphertext (or TCP) bytes, not of plaintext."""

    direction: Direction
    at_ns: int
    length: int
    reason: str


class PlaintextEnd(msgspec.Struct, frozen=True, gc=False):
    """One direction's orderly end: a ``close_notify``, or the FIN of a connection without TLS."""

    direction: Direction
    at_ns: int


class Certificate(msgspec.Struct, frozen=True):
    """One certificate of the server's chain, leaf first. Dates are Unix seconds; ``names`` are its DNS names."""

    subject: str
    issuer: str
    not_before: int
    not_after: int
    names: tuple[str, ...] = ()
    sha256: str = ""


class TlsFacts(msgspec.Struct, frozen=True):
    """What the handshake said. Sent anew, whole, each time that something is added to it.

    ``version`` and ``cipher`` are standard names (``TLS 1.3``, ``TLS_AES_128_GCM_SHA256``). Times are None until
    they have happened. ``trouble`` is one clear sentence where the connection cannot be decrypted.
    """

    version: str = ""
    cipher: str = ""
    group: str = ""
    server_name: str = ""
    alpn_offered: tuple[str, ...] = ()
    alpn: str = ""
    hello_retry_request: bool = False
    resumed: bool = False
    certificates: tuple[Certificate, ...] = ()
    client_hello_ns: int | None = None
    server_hello_ns: int | None = None
    server_finished_ns: int | None = None
    client_finished_ns: int | None = None
    alert: str = ""
    secrets: str = ""
    trouble: str = ""


class TlsBytes(msgspec.Struct, frozen=True, gc=False):
    """One direction's bytes by what became of them; all but ``plaintext`` are counted as on the wire.

    ``handshake`` and ``clear`` (handshake, alerts and change_cipher_spec in the clear, record headers included),
    ``decrypted`` (whole encrypted records), ``undecryptable`` (with ``reason``), ``missing`` (gaps), ``partial``
    (an unfinished record at the end). They add up to the direction's span. ``plaintext`` is the application data.
    """

    clear: int = 0
    decrypted: int = 0
    undecryptable: int = 0
    missing: int = 0
    partial: int = 0
    plaintext: int = 0
    records: int = 0
    reason: str = ""


TlsEvent = Plaintext | PlaintextGap | PlaintextEnd | TlsFacts


class Lookup(msgspec.Struct, frozen=True):
    """One DNS question and its answer (``rcode`` empty and ``answered_ns`` None when none was seen)."""

    asked_ns: int
    answered_ns: int | None
    name: str
    type: str
    resolver: str
    transport: str
    rcode: str = ""
    answers: tuple[str, ...] = ()
    ttl: int | None = None
    asked_times: int = 1
