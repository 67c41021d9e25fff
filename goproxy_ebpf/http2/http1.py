"""One HTTP/1.1 connection: plaintext of both directions to exchanges (RFC 9112), read by h11.

h11 plays one side, so each message has an h11 connection of its own: in the server's role for a request, in the
client's role for an answer, which is told the request's method. What a connection leaves over starts the next one.

Outcomes: an ``Exchange`` for each request with its answer, in order · nothing yet, at most ``MAX_WAITING`` bytes of
answers wait for their request · a ``Gap`` and no more, when bytes are missing or malformed. Nothing is raised. After a
granted CONNECT ``tunnel`` has what came behind it; after a change of protocol the rest is not read.
"""

import re
from collections import deque
from collections.abc import Iterable
from contextlib import suppress

import h11

from ..records.common import Direction
from ..records.flow import Plaintext, PlaintextEnd, PlaintextGap
from ..records.log import Exchange, Gap, HeaderList
from .stream import content_length, first

MAX_HEAD = 256 << 10
MAX_WAITING = 4 << 20
MAX_PIPELINED = 10_000
_PIECE = 16 << 10  # what is left of a piece is copied for each message in it

_ABSOLUTE = re.compile(r"(https?)://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)

Output = Exchange | Gap


class _Pair:
    """A request and what is known of its answer."""

    __slots__ = (
        "authority",
        "first_byte_ns",
        "first_data_ns",
        "method",
        "path",
        "request_bytes",
        "request_end_ns",
        "request_headers",
        "request_ns",
        "response_bytes",
        "response_headers",
        "scheme",
        "status",
        "trailers",
    )

    def __init__(self, request: h11.Request, at_ns: int) -> None:
        self.method = request.method.decode("latin-1")
        self.request_headers = _text(request.headers)
        target = request.target.decode("latin-1")
        self.scheme, self.authority, self.path = "", first(self.request_headers, "host"), target
        if absolute := _ABSOLUTE.match(target):
            # To a proxy (RFC 9112 §3.2.2): what it names counts, and not the Host field.
            self.scheme, self.authority, self.path = absolute[1].lower(), absolute[2], absolute[3] or "/"
        self.request_ns = at_ns
        self.request_end_ns: int | None = None
        self.request_bytes = 0
        self.status: int | None = None
        self.response_headers: HeaderList = ()
        self.trailers: HeaderList = ()
        self.first_byte_ns: int | None = None
        self.first_data_ns: int | None = None
        self.response_bytes = 0

    def asked(self) -> h11.Connection:
        """The client's side of h11 that has sent this request, ready for its answer."""
        side = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        fields = [("Host", "x")]
        if first(self.request_headers, "upgrade"):
            fields.append(("Upgrade", "x"))
        side.send(h11.Request(method=self.method, target="/", headers=fields))
        side.send(h11.EndOfMessage())
        return side


class Http1:
    """``client`` is the direction of the requests."""

    def __init__(self, connection: int, client: Direction) -> None:
        self.stopped = False
        self.tunnel: list[Plaintext | PlaintextEnd] | None = None
        """Where a CONNECT was granted: the bytes of the tunnel that have come so far (RFC 9110 §9.3.6)."""
        self._connection = connection
        self._client = client
        self._out: list[Output] = []
        self._pairs: deque[_Pair] = deque()
        self._request = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._asking: _Pair | None = None  # the request that is being read
        self._response: h11.Connection | None = None
        self._waiting: deque[Plaintext | PlaintextEnd] = deque()  # the server's, ahead of their request
        self._waiting_bytes = 0
        self._switching = False  # the request asks for another protocol: what comes next depends on the answer
        self._undecided = 0  # bytes of the client behind CONNECT or Upgrade, before the answer
        self._client_ns = 0  # when the last of them came

    def feed(self, event: Plaintext | PlaintextGap | PlaintextEnd) -> list[Output]:
        if not self.stopped:
            try:
                self._event(event)
            except (h11.ProtocolError, ValueError, AssertionError, RuntimeError):
                # h11's own words quote the line, which may hold a credential.
                what = "request" if event.direction is self._client else "response"
                self._stop(event.at_ns, event.direction, self._left(event), f"RFC 9112: malformed {what}")
        out, self._out = self._out, []
        return out

    def finish(self, at_ns: int) -> list[Output]:
        if not self.stopped:
            if self._waiting_bytes:
                self._stop(at_ns, self._client.other, self._waiting_bytes, "answer to a request that was not seen")
            self._cut(at_ns)
            self.stopped = True
        out, self._out = self._out, []
        return out

    def _left(self, event: Plaintext | PlaintextGap | PlaintextEnd) -> int:
        side = self._request if event.direction is self._client else self._response
        return len(side.trailing_data[0]) if side is not None else 0

    def _event(self, event: Plaintext | PlaintextGap | PlaintextEnd) -> None:
        if isinstance(event, PlaintextGap):
            self._stop(event.at_ns, event.direction, event.length, event.reason)
        elif event.direction is self._client:
            if isinstance(event, Plaintext):
                self._client_ns = event.at_ns
                self._requests(event.data, event.at_ns)
            self._answer_waiting(event.at_ns)
        else:
            self._wait(event)
            self._answer_waiting(event.at_ns)

    def _wait(self, event: Plaintext | PlaintextEnd) -> None:
        self._waiting.append(event)
        if isinstance(event, Plaintext):
            self._waiting_bytes += len(event.data)

    def _answer_waiting(self, at_ns: int) -> None:
        """Reads the server's bytes as far as their requests are known."""
        while self._waiting and not self.stopped and (self._pairs or isinstance(self._waiting[0], PlaintextEnd)):
            event = self._waiting.popleft()
            if isinstance(event, Plaintext):
                self._waiting_bytes -= len(event.data)
                self._answers(event.data, event.at_ns)
            else:
                self._server_end(event.at_ns)
        if self.tunnel is not None:
            self.tunnel += self._waiting
            self._waiting.clear()
            return
        if self._waiting_bytes > MAX_WAITING and not self.stopped:
            self._stop(at_ns, self._client.other, self._waiting_bytes, "answer to a request that was not seen")

    def _requests(self, data: bytes, at_ns: int) -> None:
        for start in range(0, len(data), _PIECE):
            piece = data[start : start + _PIECE]
            if self._switching and self._asking is None:
                self._undecided += len(piece)
                if self._undecided > MAX_HEAD:
                    self._stop(at_ns, self._client, self._undecided, "change of protocol without an answer")
            if self.stopped:
                return
            self._request.receive_data(piece)
            self._read_requests(at_ns)

    def _read_requests(self, at_ns: int) -> None:
        while not self.stopped:
            event = self._request.next_event()
            if isinstance(event, h11.Request):
                self._asking = pair = _Pair(event, at_ns)
                self._switching = pair.method == "CONNECT" or bool(first(pair.request_headers, "upgrade"))
                self._pairs.append(pair)
                if len(self._pairs) > MAX_PIPELINED:
                    self._stop(at_ns, self._client, 0, "too many requests without an answer")
            elif isinstance(event, h11.Data):
                if self._asking is not None:
                    self._asking.request_bytes += len(event.data)
            elif isinstance(event, h11.EndOfMessage):
                if self._asking is not None:
                    self._asking.request_end_ns = at_ns
                    self._asking = None
                if not self._switching:
                    self._next_request()
            else:
                return  # more bytes are needed, or the answer to CONNECT or Upgrade

    def _next_request(self) -> None:
        rest = self._request.trailing_data[0]
        self._request = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._undecided = 0
        self._switching = False
        if rest:
            self._request.receive_data(rest)

    def _answers(self, data: bytes, at_ns: int) -> None:
        for start in range(0, len(data), _PIECE):
            if not self._pairs:
                rest = Plaintext(self._client.other, at_ns, data[start:])
                self._waiting.appendleft(rest)
                self._waiting_bytes += len(rest.data)
                return
            if self._response is None:
                self._response = self._pairs[0].asked()
            self._response.receive_data(data[start : start + _PIECE])
            self._read_answers(at_ns)
            if self.tunnel is not None and (rest_of_it := data[start + _PIECE :]):
                self.tunnel.append(Plaintext(self._client.other, at_ns, rest_of_it))
            if self.stopped:
                return

    def _read_answers(self, at_ns: int) -> None:
        while self._response is not None and self._pairs:
            side, pair = self._response, self._pairs[0]
            event = side.next_event()
            if isinstance(event, h11.InformationalResponse):
                if event.status_code == 101:
                    pair.status = 101
                    pair.first_byte_ns = at_ns
                    pair.response_headers = _text(event.headers)
                    self._switched(at_ns)
                    return
            elif isinstance(event, h11.Response):
                pair.status = event.status_code
                pair.first_byte_ns = at_ns
                pair.response_headers = _text(event.headers)
                if pair.method == "CONNECT" and 200 <= event.status_code < 300:
                    up, down = self._request.trailing_data[0], side.trailing_data[0]
                    first_bytes = ((self._client, self._client_ns, up), (self._client.other, at_ns, down))
                    self.tunnel = [Plaintext(*each) for each in first_bytes if each[2]]
                    self._switched(at_ns)
                    return
            elif isinstance(event, h11.Data):
                pair.response_bytes += len(event.data)
                if pair.first_data_ns is None:
                    pair.first_data_ns = at_ns
            elif isinstance(event, h11.EndOfMessage):
                pair.trailers = _text(event.headers)
                self._done(at_ns)
            else:
                return

    def _done(self, at_ns: int) -> None:
        """The answer is whole: the next one starts with what is left over."""
        side = self._response
        rest = side.trailing_data[0] if side is not None else b""
        self._response = None
        pair = self._pairs.popleft()
        if pair is self._asking:  # answered before its end: the rest of its body belongs to nobody
            self._asking = None
            self._switching = False
        self._out.append(self._exchange(pair, "complete", at_ns))
        if self._switching and not self._pairs:
            self._next_request()  # the server refused the change of protocol: requests go on
            self._read_requests(at_ns)
        if not rest:
            return
        if self._pairs:
            self._response = self._pairs[0].asked()
            self._response.receive_data(rest)
        else:
            self._waiting.appendleft(Plaintext(self._client.other, at_ns, rest))
            self._waiting_bytes += len(rest)

    def _switched(self, at_ns: int) -> None:
        self._out.append(self._exchange(self._pairs.popleft(), "complete", at_ns))
        self._cut(at_ns)
        self.stopped = True

    def _server_end(self, at_ns: int) -> None:
        """The end of the connection ends an answer without a length (RFC 9112 §6.3), and cuts any other."""
        if self._pairs and self._response is not None and self._pairs[0].status is not None:
            self._response.receive_data(b"")
            with suppress(h11.ProtocolError):  # the end came before the answer's: it is cut below
                self._read_answers(at_ns)
        self._cut(at_ns)

    def _cut(self, at_ns: int) -> None:
        self._out += [self._exchange(pair, "cut", at_ns) for pair in self._pairs]
        self._pairs.clear()
        self._response = None
        self._asking = None

    def _stop(self, at_ns: int, direction: Direction, length: int, reason: str) -> None:
        self._cut(at_ns)
        self.stopped = True
        self._waiting.clear()
        self._out.append(Gap(at_ns, "http/1.1", length, reason, self._connection, direction.value))

    def _exchange(self, pair: _Pair, state: str, at_ns: int) -> Exchange:
        return Exchange(
            time_ns=at_ns,
            n=0,
            conn=self._connection,
            stream=0,
            protocol="http/1.1",
            state=state,
            method=pair.method,
            scheme=pair.scheme,
            authority=pair.authority,
            path=pair.path,
            status=pair.status,
            request_ns=pair.request_ns,
            request_end_ns=pair.request_end_ns,
            first_byte_ns=pair.first_byte_ns,
            first_data_ns=pair.first_data_ns,
            end_ns=at_ns,
            request_bytes=pair.request_bytes,
            response_bytes=pair.response_bytes,
            content_length=content_length(pair.response_headers),
            content_type=first(pair.response_headers, "content-type"),
            request_headers=pair.request_headers,
            response_headers=pair.response_headers,
            trailers=pair.trailers,
        )


def _text(headers: Iterable[tuple[bytes, bytes]]) -> HeaderList:
    """Names in lower case, as HTTP/2 has them."""
    return tuple([(str(bytes(name), "latin-1"), str(bytes(value), "latin-1")) for name, value in headers])
