"""Requests and their answers, put together from the frames of each stream (RFC 9113 §5.1, §8.1).

What a frame does to a stream is the table of ``states``. Both sides of a stream are kept apart, so a request may reach
us behind its answer. Where a frame breaks a rule the methods return a sentence for the frame's note.

A finished stream is forgotten, but for the highest stream seen: frames on it never make it anew. At most ``MAX_LIVE``
streams and ``MAX_HELD`` bytes of header text are held; beyond, the oldest quarter is given out as ``cut``.
"""

from collections.abc import Callable
from itertools import islice

from ..records.common import Direction
from ..records.log import Exchange, HeaderList
from .names import HEADERS, PRIORITY, RST_STREAM, WINDOW_UPDATE
from .states import NEXT, On, State
from .stream import Stream

MAX_LIVE = 16_384
MAX_HELD = 32 << 20
_MAX_GOAWAYS = 100  # a server sends one or two; each costs a look at all live streams


_CLIENT_DONE = (State.CLIENT_CLOSED, State.RESERVED)


class Exchanges:
    """The streams of one connection. ``finished`` is called with each exchange when it ends.

    ``late``: the connection's beginning was not seen, so streams may be older than what is known of them.
    """

    def __init__(self, connection: int, client: Direction, finished: Callable[[Exchange], None]) -> None:
        self.late = False
        self.live: dict[int, Stream] = {}
        self._connection = connection
        self._client = client
        self._finished = finished
        self._highest = [0, 0]  # by stream % 2: promised by the server, opened by the client
        self._gaps = {Direction.SEND: 0, Direction.RECV: 0}
        self._ended: set[Direction] = set()
        self._refused: dict[int, tuple[int, str]] = {}  # by stream % 2: GOAWAY's last stream and error
        self._held = 0
        self._goaways = 0

    def plausible(self, direction: Direction, kind: int, stream: int) -> bool:
        """May a frame of this type stand on ``stream`` now? For one who looks for frames behind missing bytes."""
        if stream in self.live:
            return True
        if self.late:
            return stream < 1 << 24
        if kind in (WINDOW_UPDATE, RST_STREAM, PRIORITY):
            return self.known(stream)
        opens = kind == HEADERS and direction is self._client and stream % 2 == 1
        return opens and self._highest[1] < stream <= self._highest[1] + 2000

    def known(self, stream: int) -> bool:
        """Has this stream been opened, though it may be closed by now?"""
        return stream <= self._highest[stream % 2]

    def headers(
        self, direction: Direction, stream: int, at_ns: int, headers: HeaderList | None, *, end: bool, refused: bool
    ) -> str:
        """A header block, None if it cannot be decoded; ``refused``: the frame broke a rule. Returns a note or ""."""
        if direction is self._client:
            return self._request(direction, stream, at_ns, headers, end=end)
        found = self.live.get(stream)
        if found is None:
            if refused or (self.known(stream) and not self.late):
                return ""
            found = self._open(stream, On.RESPONSE)
        else:
            state = NEXT.get((found.state, On.RESPONSE))
            if state is None:
                return f"RFC 9113 §5.1: HEADERS on a stream {found.state.value}"
            found.state = state
        self._held += found.response(at_ns, headers)
        if end:
            self._end(found, direction, at_ns, On.SERVER_END)
        self._bound(at_ns)
        return "interim response, RFC 9110 §15.2" if found.interim else ""

    def promise(self, stream: int, at_ns: int, headers: HeaderList | None) -> None:
        """PUSH_PROMISE reserves ``stream`` (§8.4)."""
        if stream % 2 or not stream or stream in self.live or self.known(stream):
            return
        found = self._open(stream, On.PROMISE)
        self._held += found.request(at_ns, headers)
        found.request_end_ns = at_ns
        self._refuse_if_above(found, at_ns)
        self._bound(at_ns)

    def data(self, direction: Direction, stream: int, at_ns: int, length: int, *, end: bool) -> str:
        """DATA with ``length`` bytes of content. Returns a note or ""."""
        found = self.live.get(stream)
        if found is None:
            if not self.late or direction is self._client or not stream:
                return "" if self.known(stream) or self.late else "RFC 9113 §5.1: DATA on a stream idle"
            found = self._open(stream, On.RESPONSE)
            found.gap = True
        note = ""
        if direction is self._client:
            found.request_bytes += length
            if found.state in _CLIENT_DONE:
                note = f"RFC 9113 §5.1: DATA on a stream {found.state.value}"
            if end:
                self._end(found, direction, at_ns, On.CLIENT_END)
            return note
        if found.state is State.SERVER_CLOSED:
            note = f"RFC 9113 §5.1: DATA on a stream {found.state.value}"
        elif found.first_byte_ns is None and not found.gap and not self._gaps[direction]:
            note = "RFC 9113 §8.1: DATA before HEADERS"
        found.response_bytes += length
        if length and found.first_data_ns is None:
            found.first_data_ns = at_ns
        if end:
            self._end(found, direction, at_ns, On.SERVER_END)
        return note

    def reset(self, direction: Direction, stream: int, at_ns: int, error: str) -> None:
        """RST_STREAM. One with NO_ERROR behind a whole response only stops the request (§8.1)."""
        found = self.live.get(stream)
        if found is None or NEXT.get((found.state, On.RESET)) is None:
            return
        if found.state is State.SERVER_CLOSED and error == "NO_ERROR" and direction is not self._client:
            self._finish(found, "complete", at_ns)
        else:
            self._finish(found, "reset", at_ns, error, direction.value)

    def goaway(self, direction: Direction, last_stream: int, at_ns: int, error: str) -> None:
        """Streams above ``last_stream``, of those that the receiver opens, were not and will not be handled (§6.8)."""
        self._goaways += 1
        if self._goaways > _MAX_GOAWAYS:
            return
        opened_by = 0 if direction is self._client else 1
        self._refused[opened_by] = (last_stream, error)
        for found in [found for number, found in self.live.items() if number > last_stream and number % 2 == opened_by]:
            self._finish(found, "refused", at_ns, error)

    def gap(self, direction: Direction) -> None:
        """Bytes of this direction are missing: counts and ends of all streams live now may be wrong."""
        self._gaps[direction] += 1

    def end(self, direction: Direction, at_ns: int) -> None:
        """No more bytes of this direction: what it has not ended never will."""
        self._ended.add(direction)
        done = (State.CLIENT_CLOSED,) if direction is self._client else (State.SERVER_CLOSED,)
        both = len(self._ended) == 2
        for found in [found for found in self.live.values() if both or found.state not in done]:
            self._finish(found, "cut", at_ns)

    def finish(self, at_ns: int) -> None:
        for found in list(self.live.values()):
            self._finish(found, "cut", at_ns)

    def _request(self, direction: Direction, stream: int, at_ns: int, headers: HeaderList | None, *, end: bool) -> str:
        found = self.live.get(stream)
        if found is None:
            if stream % 2 == 0 or self.known(stream):
                return ""
            found = self._open(stream, On.REQUEST)
        else:
            state = NEXT.get((found.state, On.REQUEST))
            if state is None:
                return f"RFC 9113 §5.1: HEADERS on a stream {found.state.value}"
            found.state = state
            self._highest[1] = max(self._highest[1], stream)
        if found.request_ns is None:
            self._held += found.request(at_ns, headers)
        if end:
            self._end(found, direction, at_ns, On.CLIENT_END)
        if stream in self.live:
            self._refuse_if_above(found, at_ns)
        self._bound(at_ns)
        return ""

    def _open(self, stream: int, by: On) -> Stream:
        found = Stream(stream, NEXT[State.IDLE, by], self._gaps[Direction.SEND], self._gaps[Direction.RECV])
        self.live[stream] = found
        if by is not On.RESPONSE:
            self._highest[stream % 2] = stream
        return found

    def _refuse_if_above(self, found: Stream, at_ns: int) -> None:
        last_stream, error = self._refused.get(found.number % 2, (None, ""))
        if last_stream is not None and found.number > last_stream:
            self._finish(found, "refused", at_ns, error)

    def _bound(self, at_ns: int) -> None:
        if len(self.live) > MAX_LIVE or self._held > MAX_HELD:
            for found in list(islice(self.live.values(), len(self.live) // 4 + 1)):
                self._finish(found, "cut", at_ns)

    def _end(self, found: Stream, direction: Direction, at_ns: int, on: On) -> None:
        state = NEXT.get((found.state, on))
        if state is None:
            return
        found.state = state
        found.settle(direction, self._gaps[direction])
        if direction is self._client:
            found.request_end_ns = at_ns
        if state is State.CLOSED or (state is State.SERVER_CLOSED and self._request_missing(found)):
            self._finish(found, "complete", at_ns)

    def _request_missing(self, found: Stream) -> bool:
        return found.request_ns is None and (self.late or self._gaps[self._client] > 0)

    def _finish(self, found: Stream, how: str, at_ns: int, error: str = "", reset_by: str = "") -> None:
        del self.live[found.number]
        self._held -= found.held
        for direction, gaps in self._gaps.items():
            found.settle(direction, gaps)
        found.gap = found.gap or self._request_missing(found)
        self._finished(found.exchange(self._connection, how, at_ns, error, reset_by))
