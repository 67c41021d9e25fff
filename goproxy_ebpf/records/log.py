"""The lines of the frame log: what people keep and share. No packet, key, payload or credential is in any of them.

Serialised as JSON, tagged by ``kind``; a line is self-contained. Times are ``time_ns`` or ``…_ns``: nanoseconds since
the Unix epoch. ``n`` numbers the run's frames from 1, in the order of the log.
"""

import msgspec

from .capture import HookState
from .flow import DirectionBytes, TlsBytes, TlsFacts

SCHEMA = "goproxy-ebpf/1"

HeaderList = tuple[tuple[str, str], ...]
"""A header list in the order it was sent; names and values as ISO 8859-1 text, credentials masked."""


class Header(msgspec.Struct, frozen=True, tag_field="kind", tag="header", omit_defaults=True):
    """The first line: who ran what, and how it was watched. Command line and environment are masked."""

    time_ns: int
    schema: str = SCHEMA
    source: str = ""
    tool_version: str = ""
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


class Connection(msgspec.Struct, frozen=True, tag_field="kind", tag="connection", omit_defaults=True):
    """All that is known of a connection so far. A later line for the same ``conn`` replaces the earlier one.

    ``state`` is ``open``, ``tls`` (handshake done or failed) or ``closed``. ``protocol`` is ``h2``, ``http/1.1``,
    ``tls`` (not decrypted), ``other`` or empty (nothing seen yet). The connections that go opens in parallel and throws
    away have no ``frames``.
    """

    time_ns: int
    conn: int
    state: str
    local: str
    remote: str
    pid: int = 0
    process: str = ""
    protocol: str = ""
    opened_ns: int = 0
    complete: bool = True
    established_ns: int | None = None
    tcp_rtt_ns: int | None = None
    srtt_us: int = 0
    closed_ns: int | None = None
    closed_by: str = ""
    tls: TlsFacts | None = None
    dns_name: str = ""
    dns_ns: int | None = None
    frames: int = 0
    sent: DirectionBytes | None = None
    received: DirectionBytes | None = None
    tls_sent: TlsBytes | None = None
    tls_received: TlsBytes | None = None


class WindowChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """Flow-control windows in bytes, ``(before, after)``, as the go side sees them (RFC 9113 §5.2).

    For DATA and WINDOW_UPDATE that go receives or sends, respectively: the windows go grants. For those that it
    sends or receives: the windows the peer grants.
    """

    conn: tuple[int, int] | None = None
    stream: tuple[int, int] | None = None


class Frame(msgspec.Struct, frozen=True, gc=False, tag_field="kind", tag="frame", omit_defaults=True):
    """One HTTP/2 frame. Names of types, flags, settings and errors are those of RFC 9113; unknown ones are
    ``0x`` and hex. ``length`` is the payload length of §4.1. ``confidence`` is ``full``, ``hpack-unknown`` (header
    list not decodable) or ``gap`` (the first frame after missing bytes). ``headers`` is given on the frame that ends
    the header block's HEADERS or PUSH_PROMISE: on the HEADERS frame itself, CONTINUATIONs only have their length.
    """

    n: int
    time_ns: int
    conn: int
    dir: str
    stream: int
    type: str
    length: int
    flags: tuple[str, ...] = ()
    headers: HeaderList | None = None
    settings: dict[str, int] | None = None
    increment: int | None = None
    error: str | None = None
    last_stream: int | None = None
    promised_stream: int | None = None
    data: str | None = None
    padding: int | None = None
    priority: tuple[int, int, bool] | None = None
    window: WindowChange | None = None
    confidence: str = "full"
    note: str = ""


class Exchange(msgspec.Struct, frozen=True, tag_field="kind", tag="exchange", omit_defaults=True):
    """One request and its answer, written when it has ended or can no longer go on.

    ``state`` is ``complete``, ``reset`` (``error`` names the code, ``reset_by`` the direction), ``refused`` (above a
    GOAWAY's last stream) or ``cut`` (connection or run ended before END_STREAM). ``response_bytes`` counts DATA
    payload without padding (HTTP/1.1: body bytes). ``n`` numbers exchanges from 1. ``frames`` are the first and last
    frame numbers; (0, 0) for HTTP/1.1.
    """

    time_ns: int
    n: int
    conn: int
    stream: int
    protocol: str
    state: str
    method: str = ""
    scheme: str = ""
    authority: str = ""
    path: str = ""
    status: int | None = None
    request_ns: int | None = None
    request_end_ns: int | None = None
    first_byte_ns: int | None = None
    first_data_ns: int | None = None
    end_ns: int | None = None
    request_bytes: int = 0
    response_bytes: int = 0
    content_length: int | None = None
    content_type: str = ""
    error: str = ""
    reset_by: str = ""
    frames: tuple[int, int] = (0, 0)
    request_headers: HeaderList = ()
    response_headers: HeaderList = ()
    trailers: HeaderList = ()
    confidence: str = "full"


class Dns(msgspec.Struct, frozen=True, tag_field="kind", tag="dns", omit_defaults=True):
    """One DNS question and what came back; ``rtt_ns`` is None when nothing did."""

    time_ns: int
    name: str
    type: str
    resolver: str
    transport: str = "udp"
    rcode: str = ""
    answers: tuple[str, ...] = ()
    ttl: int | None = None
    rtt_ns: int | None = None
    asked_times: int = 1


class Tcp(msgspec.Struct, frozen=True, tag_field="kind", tag="tcp", omit_defaults=True):
    """A TCP event of connection ``conn`` (0: of a socket that is none of the run's connections)."""

    time_ns: int
    conn: int
    what: str
    local: str = ""
    remote: str = ""
    old_state: str = ""
    state: str = ""
    sequence: int | None = None
    srtt_us: int = 0


class Process(msgspec.Struct, frozen=True, tag_field="kind", tag="process", omit_defaults=True):
    """A process of the run started a program (``exec``) or ended (``exit``), or it became known what program it is
    (``program``). ``status`` is the exit status, or -signal.
    """

    time_ns: int
    what: str
    pid: int
    parent: int
    path: str = ""
    argv: tuple[str, ...] = ()
    go_version: str = ""
    coverage: str = ""
    note: str = ""
    status: int | None = None


class Gap(msgspec.Struct, frozen=True, tag_field="kind", tag="gap", omit_defaults=True):
    """Bytes that were not seen or could not be read. ``layer`` is ``capture``, ``tcp``, ``tls``, ``http2``,
    ``http/1.1``, ``file``, or ``decoder`` where decoding stopped at an error of ours.

    ``length`` is in bytes of that layer; ``conn`` 0 and ``dir`` empty where the loss has no connection.
    """

    time_ns: int
    layer: str
    length: int
    reason: str
    conn: int = 0
    dir: str = ""
    offset: int | None = None
    records: int = 0


class Summary(msgspec.Struct, frozen=True, tag_field="kind", tag="summary", omit_defaults=True):
    """The last line: what was counted, and what was lost. A log without one was cut off.

    ``status`` is the child's exit status, or -signal. ``counters`` are the kernel side's, by name; ``lost_records``
    and ``lost_bytes`` add up every loss before the streams, ``missing_bytes`` those that left a hole in a stream.
    """

    time_ns: int
    started_ns: int
    status: int | None = None
    connections: int = 0
    frames: int = 0
    exchanges: int = 0
    packets: int = 0
    lost_records: int = 0
    lost_bytes: int = 0
    missing_bytes: int = 0
    undecryptable_bytes: int = 0
    counters: dict[str, int] = {}


LogRecord = Header | Connection | Frame | Exchange | Dns | Tcp | Process | Gap | Summary
