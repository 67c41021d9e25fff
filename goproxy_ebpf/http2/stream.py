"""What is known of one stream, until it becomes an ``Exchange``."""

from ..records.common import Direction
from ..records.log import Exchange, HeaderList
from .states import State


def content_length(headers: HeaderList) -> int | None:
    """Content-Length (RFC 9110 §8.6), None where it is missing or no number of bytes."""
    for name, value in headers:
        if name.lower() == "content-length":
            return int(value) if value.isascii() and value.isdigit() and len(value) <= 19 else None
    return None


def first(headers: HeaderList, name: str) -> str:
    """The first value of a field, by its lower-case name; "" without one."""
    return next((value for key, value in headers if key.lower() == name), "")


class Stream:
    """``state`` is moved by ``exchanges``; times and counts are as in ``Exchange``.

    A gap taints the side of the stream that was open when it came: the counts of gaps at birth and at the side's end
    differ then.
    """

    __slots__ = (
        "_gaps",
        "first_byte_ns",
        "first_data_ns",
        "gap",
        "held",
        "interim",
        "number",
        "request_bytes",
        "request_end_ns",
        "request_headers",
        "request_ns",
        "response_bytes",
        "response_headers",
        "state",
        "trailers",
        "unknown",
    )

    def __init__(self, number: int, state: State, gaps_sent: int, gaps_received: int) -> None:
        self.number = number
        self.state = state
        self.gap = False
        self.unknown = False
        self.interim = False
        self.held = 0
        self.request_ns: int | None = None
        self.request_end_ns: int | None = None
        self.first_byte_ns: int | None = None
        self.first_data_ns: int | None = None
        self.request_bytes = 0
        self.response_bytes = 0
        self.request_headers: HeaderList = ()
        self.response_headers: HeaderList = ()
        self.trailers: HeaderList = ()
        self._gaps = {Direction.SEND: gaps_sent, Direction.RECV: gaps_received}

    def request(self, at_ns: int, headers: HeaderList | None) -> int:
        """The request's header list. Returns the bytes of text that are held for it."""
        self.request_ns = at_ns
        if headers is None:
            self.unknown = True
            return 0
        self.request_headers = headers
        return self._hold(headers)

    def response(self, at_ns: int, headers: HeaderList | None) -> int:
        """A header list of the server: an interim response's, the final one's, or trailers."""
        self.interim = False
        if headers is None:
            self.unknown = True
            if self.first_byte_ns is None:
                self.first_byte_ns = at_ns
            return 0
        if self.first_byte_ns is not None:
            if self.trailers:
                return 0
            self.trailers = headers
        else:
            status = first(headers, ":status")
            if len(status) == 3 and status[0] == "1":
                self.interim = True
                return 0
            self.first_byte_ns = at_ns
            self.response_headers = headers
        return self._hold(headers)

    def settle(self, direction: Direction, gaps: int) -> None:
        """One side ends after ``gaps`` gaps in its direction; only the first call for a side counts."""
        born = self._gaps.pop(direction, gaps)
        self.gap = self.gap or born != gaps

    def exchange(self, connection: int, how: str, at_ns: int, error: str, reset_by: str) -> Exchange:
        request, response = self.request_headers, self.response_headers
        status = first(response, ":status")
        return Exchange(
            time_ns=at_ns,
            n=0,
            conn=connection,
            stream=self.number,
            protocol="h2",
            state=how,
            method=first(request, ":method"),
            scheme=first(request, ":scheme"),
            authority=first(request, ":authority") or first(request, "host"),
            path=first(request, ":path"),
            status=int(status) if len(status) == 3 and status.isascii() and status.isdigit() else None,
            request_ns=self.request_ns,
            request_end_ns=self.request_end_ns,
            first_byte_ns=self.first_byte_ns,
            first_data_ns=self.first_data_ns,
            end_ns=at_ns,
            request_bytes=self.request_bytes,
            response_bytes=self.response_bytes,
            content_length=content_length(response),
            content_type=first(response, "content-type"),
            error=error,
            reset_by=reset_by,
            request_headers=request,
            response_headers=response,
            trailers=self.trailers,
            confidence="gap" if self.gap else "hpack-unknown" if self.unknown else "full",
        )

    def _hold(self, headers: HeaderList) -> int:
        size = sum([len(name) + len(value) for name, value in headers])
        self.held += size
        return size
