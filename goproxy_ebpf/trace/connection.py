"""What the records of one connection add up to."""

import msgspec

from ..records.log import Connection, Exchange, Frame
from .windows import Grants

MAX_LATER = 16
"""SETTINGS frames after the first that are kept: a peer may send any number."""


class LaterSettings(msgspec.Struct, frozen=True):
    """A SETTINGS frame after the first: frame ``n`` changed these values."""

    n: int
    values: dict[str, int]


class Settings(msgspec.Struct):
    """The SETTINGS that one side sent (RFC 9113 §6.5). ``first`` is None until there was one; ``acks`` counts those
    with the ACK flag, ``later_count`` all further ones, of which the first ``MAX_LATER`` are in ``later``.
    """

    first: dict[str, int] | None = None
    later: list[LaterSettings] = []
    later_count: int = 0
    acks: int = 0

    def feed(self, frame: Frame) -> None:
        if "ACK" in frame.flags:
            self.acks += 1
        elif self.first is None:
            self.first = frame.settings or {}
        else:
            self.later_count += 1
            if len(self.later) < MAX_LATER:
                self.later.append(LaterSettings(frame.n, frame.settings or {}))


class ConnectionTrace(msgspec.Struct):
    """One connection. ``record`` is its latest line, None where a log names a connection but holds no line of it.

    ``sent`` and ``received`` are SETTINGS by direction; ``go_grants`` are the windows of what go receives,
    ``peer_grants`` of what it sends. ``tunnel`` is what a granted CONNECT names (``host:port``): the rest of the
    connection is with that, through the proxy at the connection's other end.
    """

    conn: int
    record: Connection | None = None
    sent: Settings = msgspec.field(default_factory=Settings)
    received: Settings = msgspec.field(default_factory=Settings)
    asked: bool = False
    tunnel: str = ""
    go_grants: Grants = msgspec.field(default_factory=Grants)
    peer_grants: Grants = msgspec.field(default_factory=Grants)
    exchanges: int = 0
    retransmits: int = 0
    resets_received: int = 0
    goaways: int = 0
    goaway_error: str = ""
    goaway_n: int = 0

    def feed(self, frame: Frame) -> None:
        sent = frame.dir == "send"
        self.asked = self.asked or sent
        if frame.type == "DATA":
            (self.peer_grants if sent else self.go_grants).data(frame)
        elif frame.type == "WINDOW_UPDATE":
            (self.go_grants if sent else self.peer_grants).update(frame)
        elif frame.type == "SETTINGS":
            (self.sent if sent else self.received).feed(frame)
        elif frame.type == "GOAWAY" and not sent:
            self.goaways += 1
            self.goaway_error = frame.error or ""
            self.goaway_n = frame.n

    def exchange(self, exchange: Exchange) -> None:
        if exchange.method == "CONNECT" and exchange.status is not None and 200 <= exchange.status < 300:
            self.tunnel = exchange.path  # RFC 9110 §9.3.6: nothing was asked of whom it leads to
        else:
            self.exchanges += 1

    @property
    def host(self) -> str:
        """The peer as the user knows it: the server's name where TLS or DNS told it, else its address; with port."""
        if self.tunnel:
            return self.tunnel
        if self.record is None:
            return f"connection {self.conn}"
        port = self.record.remote.rpartition(":")[2]
        name = (self.record.tls.server_name if self.record.tls else "") or self.record.dns_name
        return f"{name}:{port}" if name else self.record.remote

    @property
    def spoke_http(self) -> bool:
        """Go sent a frame or a request. What the server sent does not count: it may greet a client that has gone."""
        return bool(self.exchanges or self.asked)
