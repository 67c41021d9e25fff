"""What a connection speaks, found out from its plaintext; then the parser for it.

Outcomes of ``recognise``: a ``Start`` · None, more bytes are needed. A connection whose beginning is none of HTTP's is
still searched for HTTP/2 frames (it may be older than the trace), ``MAX_OPENING`` bytes a direction, and is ``other``
after that. Behind a granted CONNECT all of this starts anew, once: a tunnel in a tunnel is not looked into. ``Http``
never raises for any bytes.
"""

import re
from collections.abc import Iterable, Iterator
from enum import Enum

from ..records.common import Direction
from ..records.flow import Plaintext, PlaintextEnd, PlaintextGap
from ..records.log import Exchange, Frame, Gap
from .connection import Http2
from .framing import HEADER, HEADER_LENGTH
from .http1 import Http1
from .names import DEFAULT_MAX_FRAME_SIZE, PREFACE, SETTINGS
from .resync import BLIND_CHAIN, Resync

MAX_OPENING = 256 << 10
_MAX_REQUEST_LINE = 16 << 10

_METHOD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}(?: |\Z)")
_VERSION = re.compile(rb" HTTP/1\.[01]\r?\n\Z")


class Start(Enum):
    """How a direction begins."""

    H2_CLIENT = "the client connection preface, RFC 9113 §3.4"
    H2_SERVER = "a SETTINGS frame, the server's preface"
    H1_CLIENT = "an HTTP/1.1 request line"
    H1_SERVER = "an HTTP/1.1 status line"
    UNKNOWN = "none of these"


def recognise(data: bytes) -> Start | None:
    """What a direction whose first bytes are ``data`` speaks; None while that is open."""
    if data.startswith(PREFACE):
        return Start.H2_CLIENT
    if PREFACE.startswith(data):
        return None
    if data[0] == 0:
        if len(data) < HEADER_LENGTH:
            return None
        high, low, kind, flags, stream = HEADER.unpack_from(data)
        settings = kind == SETTINGS and not flags and not stream & 0x7FFFFFFF
        short = not high and low <= DEFAULT_MAX_FRAME_SIZE and low % 6 == 0
        return Start.H2_SERVER if settings and short else Start.UNKNOWN
    if data.startswith(b"HTTP/1."):
        return Start.H1_SERVER
    if b"HTTP/1.".startswith(data):
        return None
    if not _METHOD.match(data):
        return Start.UNKNOWN
    line_end = data.find(b"\n", 0, _MAX_REQUEST_LINE) + 1
    if line_end:
        return Start.H1_CLIENT if _VERSION.search(data[:line_end]) else Start.UNKNOWN
    return None if len(data) < _MAX_REQUEST_LINE else Start.UNKNOWN


class _Opening:
    """The first bytes of a direction, while it is not known what they are."""

    def __init__(self, direction: Direction) -> None:
        self.data = b""
        self.seen = 0
        self.start: Start | None = None
        # Without a preface nobody knows which streams are open; those of a connection of some age are small numbers.
        self.search = Resync(lambda _, stream: stream < 1 << 24, DEFAULT_MAX_FRAME_SIZE, BLIND_CHAIN)
        self.direction = direction

    def add(self, event: Plaintext) -> None:
        if not event.data:
            return
        self.seen += len(event.data)
        if self.start is None:
            self.data += event.data
            self.start = recognise(self.data)
            if self.start is Start.UNKNOWN:
                self.search.feed(self.data, event.at_ns)
                self.data = b""
        elif not self.search.found:
            self.search.feed(event.data, event.at_ns)

    def lose(self) -> None:
        """Bytes are missing."""
        self.start = Start.UNKNOWN
        self.data = b""
        self.search = Resync(lambda _, stream: stream < 1 << 24, DEFAULT_MAX_FRAME_SIZE, BLIND_CHAIN)


class Http:
    """One connection. ``protocol`` is ``h2``, ``http/1.1``, ``other``, or empty while it is not known."""

    def __init__(self, connection: int, *, inside: bool = False) -> None:
        self._protocol = ""
        self._connection = connection
        self._inside = inside  # of a tunnel
        self._tunnel: Http | None = None
        self._parser: Http1 | Http2 | None = None
        self._openings = {direction: _Opening(direction) for direction in Direction}
        self._events: list[Plaintext | PlaintextGap | PlaintextEnd] = []

    @property
    def protocol(self) -> str:
        """Behind a CONNECT, that of the tunnel as soon as it is known."""
        return (self._tunnel.protocol if self._tunnel is not None else "") or self._protocol

    def feed(self, event: Plaintext | PlaintextGap | PlaintextEnd) -> Iterator[Frame | Exchange | Gap]:
        """The next plaintext of one direction, in that direction's order; the other one may be ahead or behind."""
        if self._parser is not None:
            return iter(self._parse(self._parser, event))
        if self._protocol:
            return iter(())
        self._events.append(event)
        opening = self._openings[event.direction]
        if isinstance(event, Plaintext):
            opening.add(event)
        elif isinstance(event, PlaintextGap):
            opening.lose()
        self._parser = self._decide(opening)
        if self._parser is None:
            if opening.seen > MAX_OPENING or len(self._events) > MAX_OPENING:
                self._protocol = "other"
                self._events.clear()
            return iter(())
        return iter(self._replay(self._parser))

    def finish(self, at_ns: int) -> Iterator[Frame | Exchange | Gap]:
        """The connection is closed or the run is over: gives out what waits, and cuts what is open."""
        if self._tunnel is not None:
            return self._tunnel.finish(at_ns)
        if self._parser is not None:
            return iter(self._parser.finish(at_ns))
        if not self._protocol and any(opening.seen for opening in self._openings.values()):
            self._protocol = "other"
        self._events.clear()
        return iter(())

    def _decide(self, opening: _Opening) -> Http1 | Http2 | None:
        direction = opening.direction
        if opening.start is Start.H2_CLIENT:
            return Http2(self._connection, direction)
        if opening.start is Start.H2_SERVER:
            return Http2(self._connection, direction.other)
        if opening.start is Start.H1_CLIENT:
            return Http1(self._connection, direction)
        if opening.start is Start.H1_SERVER:
            return Http1(self._connection, direction.other)
        if opening.search.found:
            # Which side is the client cannot be seen any more; the go command is.
            return Http2(self._connection, Direction.SEND, late=True)
        return None

    def _replay(self, parser: Http1 | Http2) -> list[Frame | Exchange | Gap]:
        self._protocol = "h2" if isinstance(parser, Http2) else "http/1.1"
        out: list[Frame | Exchange | Gap] = []
        for event in self._events:
            out += self._parse(parser, event)
        self._events.clear()
        self._openings.clear()
        return out

    def _parse(
        self, parser: Http1 | Http2, event: Plaintext | PlaintextGap | PlaintextEnd
    ) -> Iterable[Frame | Exchange | Gap]:
        if isinstance(parser, Http2):
            return parser.feed(event)
        if self._tunnel is not None:
            return self._tunnel.feed(event)
        out: list[Frame | Exchange | Gap] = [*parser.feed(event)]
        if parser.tunnel is not None and not self._inside:
            self._tunnel = Http(self._connection, inside=True)
            for each in parser.tunnel:
                out += self._tunnel.feed(each)
            parser.tunnel.clear()
        return out
