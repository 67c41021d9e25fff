"""Real conversations: two h2 endpoints against each other, and what passes between them as pipeline events."""

from collections.abc import Iterable, Iterator

import h2.config
import h2.connection
import h2.events

from goproxy_ebpf.http2 import Http
from goproxy_ebpf.records.common import Direction
from goproxy_ebpf.records.flow import Plaintext, PlaintextEnd, PlaintextGap

SEND, RECV = Direction.SEND, Direction.RECV
Event = Plaintext | PlaintextGap | PlaintextEnd

GET = [(":method", "GET"), (":scheme", "https"), (":authority", "proxy.example"), (":path", "/a/@v/list")]
OK = [(":status", "200"), ("content-type", "text/plain"), ("content-length", "5")]


class Talk:
    """A client and a server; each flush is one plaintext of one direction, a microsecond after the last."""

    def __init__(self, client: Direction = SEND) -> None:
        self.direction = client
        self.client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self.events: list[Event] = []
        self.client_events: list[h2.events.Event] = []
        self.server_events: list[h2.events.Event] = []
        self.at_ns = 0

    def flush(self) -> None:
        """Passes bytes both ways until nobody has anything to say."""
        while True:
            up, down = self.client.data_to_send(), self.server.data_to_send()
            if not up and not down:
                return
            if up:
                self._pass(self.direction, up)
                self.server_events += self.server.receive_data(up)
            if down:
                self._pass(self.direction.other, down)
                self.client_events += self.client.receive_data(down)

    def start(self) -> "Talk":
        self.client.initiate_connection()
        self.server.initiate_connection()
        self.flush()
        return self

    def get(self, body: bytes = b"hello", stream: int | None = None) -> int:
        stream = stream or self.client.get_next_available_stream_id()
        self.client.send_headers(stream, GET, end_stream=True)
        self.flush()
        self.server.send_headers(stream, OK)
        self.flush()
        self.server.send_data(stream, body, end_stream=True)
        self.flush()
        return stream

    def _pass(self, direction: Direction, data: bytes) -> None:
        self.at_ns += 1000
        self.events.append(Plaintext(direction, self.at_ns, data))


def run(events: Iterable[Event], finish_ns: int = 1 << 40, connection: int = 1) -> list:
    """All records, in the order given out."""
    http = Http(connection)
    out = [record for event in events for record in http.feed(event)]
    return out + list(http.finish(finish_ns))


def split(events: Iterable[Event], size: int) -> Iterator[Event]:
    """The same, ``size`` bytes at a time."""
    for event in events:
        if isinstance(event, Plaintext):
            for start in range(0, len(event.data), size):
                yield Plaintext(event.direction, event.at_ns, event.data[start : start + size])
        else:
            yield event


def joined(events: Iterable[Event]) -> list[Event]:
    """The same, with neighbours of one direction and one time joined."""
    out: list[Event] = []
    for event in events:
        last = out[-1] if out else None
        if isinstance(event, Plaintext) and isinstance(last, Plaintext) and last.direction is event.direction:
            out[-1] = Plaintext(event.direction, last.at_ns, last.data + event.data)
        else:
            out.append(event)
    return out


def frame(kind: int, flags: int, stream: int, payload: bytes = b"", length: int | None = None) -> bytes:
    """A frame by hand, for what no encoder would send."""
    length = len(payload) if length is None else length
    return length.to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload
