"""Builds what the kernel side would hand over. The packets are scapy's: an encoder that is not ours."""

from dataclasses import dataclass, field
from functools import lru_cache

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw

from goproxy_ebpf.records.capture import Egress, Packet, TcpEvent
from goproxy_ebpf.records.common import Direction, Endpoint, SocketAddresses

SEND, RECV = Direction.SEND, Direction.RECV
NETNS = 4026531840
MASK = 0xFFFFFFFF


def endpoint(text: str) -> Endpoint:
    host, _, port = text.rpartition(":")
    import ipaddress

    return Endpoint(ipaddress.ip_address(host.strip("[]")).packed, int(port))


CLIENT = endpoint("10.0.0.2:40000")
SERVER = endpoint("10.0.0.1:443")


def host(end: Endpoint) -> str:
    return str(end).rpartition(":")[0].strip("[]")


@lru_cache(maxsize=64)
def _header(source: Endpoint, destination: Endpoint) -> IP | IPv6:
    kind = IP if len(source.address) == 4 else IPv6
    return kind(src=host(source), dst=host(destination))


def tcp_bytes(  # noqa: PLR0917 - in the order of the header
    source: Endpoint,
    destination: Endpoint,
    sequence: int,
    acknowledgment: int,
    flags: str,
    payload: bytes = b"",
) -> bytes:
    packet = _header(source, destination) / TCP(
        sport=source.port,
        dport=destination.port,
        seq=sequence & MASK,
        ack=acknowledgment & MASK,
        flags=flags,
    )
    return bytes(packet / Raw(payload) if payload else packet)


def udp_bytes(source: Endpoint, destination: Endpoint, payload: bytes) -> bytes:
    return bytes(_header(source, destination) / UDP(sport=source.port, dport=destination.port) / Raw(payload))


def packet(data: bytes, direction: Direction, at_ns: int = 0, socket=None, *, seen: int | None = None):
    return Packet(at_ns, direction, len(data) if seen is None else seen, data, socket, NETNS)


@dataclass
class Talk:
    """A conversation as its client's hooks see it; ``at`` counts nanoseconds, one a record from 1 on."""

    client: Endpoint = CLIENT
    server: Endpoint = SERVER
    client_isn: int = 1000
    server_isn: int = MASK - 3
    sockets: bool = True
    at: int = 0
    records: list = field(default_factory=list)

    @property
    def socket(self) -> SocketAddresses:
        return SocketAddresses(self.client, self.server)

    def _tick(self) -> int:
        self.at += 1
        return self.at

    def out(self, offset: int, flags: str = "A", payload: bytes = b"", *, ack: int = 0, cut: int | None = None):
        """From the client: offsets of both directions, where 0 is the first byte after the SYN."""
        data = tcp_bytes(
            self.client, self.server, self.client_isn + 1 + offset, self.server_isn + 1 + ack, flags, payload
        )
        return self._packet(data, SEND, cut)

    def into(self, offset: int, flags: str = "A", payload: bytes = b"", *, ack: int = 0, cut: int | None = None):
        """From the server."""
        data = tcp_bytes(
            self.server, self.client, self.server_isn + 1 + offset, self.client_isn + 1 + ack, flags, payload
        )
        return self._packet(data, RECV, cut)

    def _packet(self, data: bytes, direction: Direction, cut: int | None):
        kept = data if cut is None else data[: len(data) - cut]
        socket = self.socket if self.sockets else None
        self.records.append(packet(kept, direction, self._tick(), socket, seen=len(data)))
        return self

    def hello(self):
        return self.out(-1, "S", ack=-self.server_isn - 1).into(-1, "SA").out(0)

    def egress(self, offset: int, data: bytes, *, seen: int | None = None, pid: int = 77, swapped: bool = False):
        sequence = (self.client_isn + 1 + offset) & MASK
        socket = self.socket.swapped if swapped else self.socket
        self.records.append(
            Egress(
                self._tick(),
                "tcp_sendmsg",
                pid,
                pid,
                socket,
                sequence,
                len(data) if seen is None else seen,
                data,
                sequence,
                NETNS,
            )
        )
        return self

    def state(self, old: str, new: str, written: int | None = None, *, pid: int = 0, socket=None, cookie=0):
        """``written`` is what write_seq has counted behind the SYN."""
        self.records.append(
            TcpEvent(
                self._tick(),
                "state",
                socket or self.socket,
                pid,
                old,
                new,
                write_sequence=0 if written is None else (self.client_isn + 1 + written) & MASK,
                unacknowledged=0 if written is None else (self.client_isn + 1) & MASK,
                receive_sequence=0 if written is None else (self.server_isn + 1) & MASK,
                srtt_us=250,
                netns=NETNS,
                cookie=cookie,
            )
        )
        return self


def feed(streams, records, finish: int | None = None) -> list:
    events = [event for record in records for event in streams.feed(record)]
    if finish is not None:
        events += streams.finish(finish)
    return events


def content(events, direction) -> bytes:
    """The bytes of one direction, gaps as ``?``; their offsets are checked on the way."""
    from goproxy_ebpf.records.flow import StreamBytes, StreamGap

    found = b""
    for event in events:
        if isinstance(event, StreamBytes | StreamGap) and event.direction is direction:
            assert event.offset == len(found)
            found += event.data if isinstance(event, StreamBytes) else b"?" * event.length
    return found


def only(events, *kinds) -> list:
    return [event for event in events if isinstance(event, kinds)]
