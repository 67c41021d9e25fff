"""A run as `go mod download all` of a project like gin makes it, out of records alone. The numbers are invented,
but add up: windows, bytes and the proof follow from the frames.
"""

from collections.abc import Iterator

from goproxy_ebpf.records.capture import HookState
from goproxy_ebpf.records.flow import Certificate, DirectionBytes, TlsBytes, TlsFacts
from goproxy_ebpf.records.log import (
    Connection,
    Dns,
    Exchange,
    Frame,
    Header,
    LogRecord,
    Process,
    Summary,
    WindowChange,
)
from goproxy_ebpf.trace import Trace

START = 1_767_225_600_000_000_000
"""2026-01-01 00:00:00 UTC."""

MS = 1_000_000
HOST = "proxy.example.com"
GO = "/usr/local/go/bin/go"
MODULES = (
    "github.com/bytedance/sonic",
    "github.com/bytedance/sonic/loader",
    "github.com/cloudwego/base64x",
    "github.com/davecgh/go-spew",
    "github.com/gabriel-vasile/mimetype",
    "github.com/gin-contrib/sse",
    "github.com/go-playground/assert/v2",
    "github.com/go-playground/locales",
    "github.com/go-playground/universal-translator",
    "github.com/go-playground/validator/v10",
    "github.com/goccy/go-json",
    "github.com/goccy/go-yaml",
    "github.com/json-iterator/go",
    "github.com/klauspost/cpuid/v2",
    "github.com/leodido/go-urn",
    "github.com/mattn/go-isatty",
    "github.com/modern-go/concurrent",
    "github.com/modern-go/reflect2",
    "github.com/pelletier/go-toml/v2",
    "github.com/pmezard/go-difflib",
    "github.com/quic-go/quic-go",
    "github.com/stretchr/testify",
    "github.com/twitchyliquid64/golang-asm",
    "github.com/ugorji/go/codec",
    "golang.org/x/arch",
    "golang.org/x/crypto",
    "golang.org/x/net",
    "golang.org/x/text",
)


def header(**changes: object) -> Header:
    facts: dict[str, object] = {
        "time_ns": START,
        "source": "ebpf",
        "tool_version": "0.1.0",
        "run_id": "20260101T000000-4711",
        "argv": ("go", "mod", "download", "all"),
        "directory": "/home/dev/gin",
        "user": "dev",
        "environment": {"GOPROXY": f"https://{HOST}"},
        "go_version": "go1.26.8",
        "kernel": "6.18.0",
        "machine": "x86_64",
        "egress_hook": "tcp_sendmsg",
        "hooks": (HookState("tcp_sendmsg", "egress bytes", "attached", "raw tracepoint tcp_sendmsg_locked"),),
    }
    return Header(**{**facts, **changes})  # type: ignore[arg-type]


def facts(start: int, *, finished: bool = True) -> TlsFacts:
    return TlsFacts(
        "TLS 1.3",
        "TLS_AES_128_GCM_SHA256",
        "X25519MLKEM768",
        HOST,
        ("h2", "http/1.1"),
        "h2" if finished else "",
        certificates=(Certificate(f"CN={HOST}", "CN=Example CA", 0, 2**31, (HOST,)),) if finished else (),
        client_hello_ns=start,
        server_hello_ns=start + 19 * MS,
        server_finished_ns=start + 39 * MS if finished else None,
        client_finished_ns=start + 41 * MS if finished else None,
    )


class Wire:
    """One HTTP/2 connection that numbers its frames and keeps its windows."""

    def __init__(self, conn: int, start: int) -> None:
        self.conn = conn
        self.at = start
        self.n = 0
        self.window = 65_535
        self.streams: dict[int, int] = {}
        self.sent = self.received = 0

    def frame(
        self, direction: str, stream: int, kind: str, length: int, flags: tuple[str, ...] = (), **more: object
    ) -> Frame:
        self.n += 1
        if direction == "send":
            self.sent += length + 9
        else:
            self.received += length + 9
        return Frame(self.n, self.at, self.conn, direction, stream, kind, length, flags, **more)  # type: ignore[arg-type]

    def update(self, stream: int, increment: int) -> Frame:
        if stream:
            before = self.streams[stream]
            self.streams[stream] = before + increment
            change = WindowChange(stream=(before, before + increment))
        else:
            before, self.window = self.window, self.window + increment
            change = WindowChange(conn=(before, self.window))
        return self.frame("send", stream, "WINDOW_UPDATE", 4, increment=increment, window=change)

    def data(self, stream: int, length: int, *, end: bool) -> Frame:
        conn, left = self.window, self.streams[stream]
        self.window -= length
        self.streams[stream] -= length
        change = WindowChange(conn=(conn, self.window), stream=(left, left - length))
        return self.frame("recv", stream, "DATA", length, ("END_STREAM",) if end else (), window=change)

    def preamble(self) -> Iterator[Frame]:
        ours = {
            "ENABLE_PUSH": 0,
            "INITIAL_WINDOW_SIZE": 4_194_304,
            "MAX_FRAME_SIZE": 16_384,
            "MAX_HEADER_LIST_SIZE": 10_485_760,
        }
        yield self.frame("send", 0, "SETTINGS", 24, settings=ours)
        yield self.update(0, 1_073_741_824)
        theirs = {"MAX_CONCURRENT_STREAMS": 100, "INITIAL_WINDOW_SIZE": 1_048_576, "MAX_HEADER_LIST_SIZE": 65_536}
        yield self.frame("recv", 0, "SETTINGS", 18, settings=theirs)
        change = WindowChange(conn=(65_535, 1_048_576))
        yield self.frame("recv", 0, "WINDOW_UPDATE", 4, increment=983_041, window=change)
        yield self.frame("send", 0, "SETTINGS", 0, ("ACK",))
        yield self.frame("recv", 0, "SETTINGS", 0, ("ACK",))

    def exchange(
        self, number: int, path: str, status: int, body: int, wait: int, *, lag: int = 0
    ) -> Iterator[LogRecord]:
        """A request, its answer, and go reading it in 32 KiB pieces that it gives credit for, ``lag`` pieces late."""
        request_ns, first, stream = self.at, self.n + 1, 2 * number - 1
        self.streams[stream] = 4_194_304
        asked = ((":authority", HOST), (":method", "GET"), (":path", path), (":scheme", "https"))
        yield self.frame("send", stream, "HEADERS", 20 + len(path), ("END_STREAM", "END_HEADERS"), headers=asked)
        self.at += wait
        first_byte_ns = self.at
        answer = ((":status", str(status)), ("content-length", str(body)))
        yield self.frame("recv", stream, "HEADERS", 30, ("END_HEADERS",), headers=answer)
        left, unread, pieces = body, 0, 0
        while left:
            length = min(left, 16_384)
            left -= length
            self.at += 90_000
            yield self.data(stream, length, end=not left)
            unread += length
            pieces += 1
            if unread >= 32_768 and pieces >= lag:
                yield self.update(0, 32_768)
                if left:
                    yield self.update(stream, 32_768)
                unread -= 32_768
        if unread >= 4_096:
            yield self.update(0, unread)
        yield Exchange(
            self.at,
            number,
            self.conn,
            stream,
            "h2",
            "complete",
            "GET",
            "https",
            HOST,
            path,
            status,
            request_ns,
            request_ns,
            first_byte_ns,
            first_byte_ns + 90_000 if body else None,
            self.at,
            0,
            body,
            body,
            frames=(first, self.n),
        )


def thrown_away(conn: int) -> Connection:
    """Closed in mid-handshake: nothing encrypted was sent, what the server sent has no secret."""
    start = START + 4 * MS + conn * 100_000
    return Connection(
        start + 44 * MS,
        conn,
        "closed",
        f"192.0.2.10:{40000 + conn}",
        "203.0.113.7:443",
        4711,
        "go",
        "tls",
        start,
        True,
        start + 18 * MS,
        18 * MS,
        18_200,
        start + 44 * MS,
        "fin",
        facts(start + 18 * MS, finished=False),
        HOST,
        3 * MS,
        0,
        DirectionBytes(1_530, 1_530, 0, 0, 1_530, 1_530, 0, True),
        DirectionBytes(3_300, 3_300),
        TlsBytes(clear=1_530, records=1),
        TlsBytes(clear=133, undecryptable=3_167, records=4, reason="no secret was seen"),
    )


def paths() -> Iterator[tuple[str, int, int, int]]:
    """Path, status, bytes and time to first byte: 62 sumdb, 28 info, 28 zip, 54 mod, 3 lists that are not there."""
    yield "/sumdb/sum.golang.org/supported", 200, 0, 17 * MS
    for number, module in enumerate(MODULES):
        yield f"/{module}/@v/v1.{number}.0.mod", 200, 600 + 37 * number, (18 + number % 5) * MS
        yield f"/{module}/@v/v1.{number}.0.info", 200, 180, (17 + number % 3) * MS
        yield f"/sumdb/sum.golang.org/lookup/{module}@v1.{number}.0", 200, 512, (21 + number % 7) * MS
        size = 8_600_123 if number == 27 else 12_000_000 if number == 0 else 40_000 + number * number * 5_550
        yield f"/{module}/@v/v1.{number}.0.zip", 200, size, 210 * MS if number == 27 else (25 + number) * MS
    for number, module in enumerate(MODULES[:26]):
        yield f"/{module}/@v/v0.9.{number}.mod", 200, 500, 18 * MS
    for number in range(33):
        yield f"/sumdb/sum.golang.org/tile/8/0/x{number:03}/{number * 7:03}", 200, 8_192, 19 * MS
    for module in MODULES[:3]:
        yield f"/{module}/v9/@v/list", 404, 61, 16 * MS


def records() -> list[LogRecord]:
    """The run: 175 requests on connection 2; connections 1, 3 and 4 lost the race."""
    found: list[LogRecord] = [
        header(),
        Process(START + MS, "exec", 4711, 4700, GO, ("go", "mod", "download", "all"), "go1.26.8", "key log"),
        Dns(START + 2 * MS, HOST, "A", "192.0.2.1:53", "udp", "NOERROR", ("203.0.113.7",), 60, 3 * MS),
        Dns(START + 2 * MS, HOST, "AAAA", "192.0.2.1:53", "udp", "NOERROR", (), 60, 3 * MS),
        *(thrown_away(conn) for conn in (1, 3, 4)),
    ]
    opened = START + 5 * MS
    wire = Wire(2, opened + 60 * MS)
    found += wire.preamble()
    body = 0
    for number, (path, status, size, wait) in enumerate(paths()):
        body += size
        found += wire.exchange(number + 1, path, status, size, wait, lag=256 if size > 5_000_000 else 0)
    sent = wire.sent + 24 + 22 * wire.n // 3
    received = wire.received + 22 * wire.n
    found.append(
        Connection(
            wire.at + MS,
            2,
            "closed",
            "192.0.2.10:40002",
            "203.0.113.7:443",
            4711,
            "go",
            "h2",
            opened,
            True,
            opened + 18 * MS,
            18 * MS,
            18_400,
            wire.at + MS,
            "fin",
            facts(opened + 18 * MS),
            HOST,
            3 * MS,
            wire.n,
            DirectionBytes(sent + 1_530, sent + 1_530, 0, 0, sent + 1_530, sent + 1_530, 0, True),
            DirectionBytes(received + 133, received + 133),
            TlsBytes(clear=1_530, decrypted=sent, plaintext=wire.sent, records=wire.n),
            TlsBytes(clear=133, decrypted=received, plaintext=wire.received, records=wire.n),
        )
    )
    found.append(Process(wire.at + 2 * MS, "exit", 4711, 4700, status=0))
    found.append(Summary(wire.at + 3 * MS, START, 0, 4, wire.n, 175, 6_223, counters={"ring_full": 0}))
    return found


def fold(found: list[LogRecord]) -> Trace:
    trace = Trace()
    for record in found:
        trace.feed(record)
    return trace


def changed(original: list[LogRecord], **by_kind: object) -> list[LogRecord]:
    """The same records, every one of a kind replaced by what its function makes of it (None takes it away)."""
    found = []
    for record in original:
        change = by_kind.get(type(record).__name__.lower())
        new = change(record) if change else record  # type: ignore[operator]
        if new is not None:
            found.append(new)
    return found
