"""Log records of every kind."""

from goproxy_ebpf.records.capture import HookState
from goproxy_ebpf.records.flow import DirectionBytes, TlsBytes, TlsFacts
from goproxy_ebpf.records.log import (
    Connection,
    Dns,
    Exchange,
    Frame,
    Gap,
    Header,
    LogRecord,
    Process,
    Summary,
    Tcp,
    WindowChange,
)

AT = 1_763_999_999_123_456_789
HEADER = Header(AT, source="ebpf", argv=("go", "build"), hooks=(HookState("tcp_sendmsg", "egress", "attached"),))
FRAMES = (
    Frame(
        17,
        AT + 1,
        1,
        "send",
        3,
        "HEADERS",
        41,
        ("END_HEADERS", "END_STREAM"),
        headers=((":method", "GET"), (":path", "/a/@v/list")),
    ),
    Frame(18, AT + 2, 1, "send", 0, "SETTINGS", 12, settings={"INITIAL_WINDOW_SIZE": 4_194_304, "0xabc": 1}),
    Frame(
        19,
        AT + 3,
        1,
        "send",
        3,
        "WINDOW_UPDATE",
        4,
        increment=32_768,
        window=WindowChange((100, 200), (300, 400)),
    ),
    Frame(20, AT + 4, 1, "recv", 3, "RST_STREAM", 4, error="INTERNAL_ERROR", confidence="gap"),
    Frame(21, AT + 5, 1, "recv", 0, "GOAWAY", 8, last_stream=1999, error="NO_ERROR"),
    Frame(22, AT + 6, 1, "recv", 0, "PING", 8, ("ACK",), data="0102030405060708"),
)
RECORDS: tuple[LogRecord, ...] = (
    HEADER,
    Process(AT, "exec", 42, 1, "/usr/bin/go", ("go", "build"), "go1.26.8", "key log"),
    Dns(AT, "proxy.example", "A", "10.0.0.53:53", answers=("10.0.0.2",), ttl=60, rtt_ns=3_000_000),
    Connection(
        AT,
        1,
        "closed",
        "10.0.0.1:40000",
        "10.0.0.2:443",
        tls=TlsFacts("TLS 1.3", alpn="h2"),
        sent=DirectionBytes(span=9, accepted=9, matches=True),
        tls_sent=TlsBytes(clear=5, decrypted=4),
    ),
    *FRAMES,
    Tcp(AT + 7, 1, "state", old_state="ESTABLISHED", state="FIN_WAIT1"),
    Exchange(AT + 8, 1, 1, 3, "h2", "complete", "GET", "https", "proxy.example", "/a/@v/list", 200, frames=(17, 20)),
    Gap(AT + 9, "capture", 100, "ring full", records=2),
    Summary(AT + 10, AT, 0, frames=6, counters={"packets": 3}),
)
