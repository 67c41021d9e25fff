"""Capture records -> ``StreamEvent``s: which connection each record belongs to, and when connections begin and end.

A connection is known by its network namespace and its two ends, the sockets' own where a record names them: NAT in
OUTPUT changes the addresses on the wire, and on one side only. Where both ends are traced it is still one connection,
seen from the end that was heard of first, which is the one that sent the SYN: its egress hook comes before everything
else. Second copies of packets are left out, and the other end's ``Egress`` and ``TcpEvent`` records say nothing new.

Nothing that comes in is an error. Packets that cannot be read are counted: ``losses``.
"""

from collections import OrderedDict, deque
from collections.abc import Sequence

from goproxy_ebpf.records.capture import Egress, Loss, Packet, TcpEvent
from goproxy_ebpf.records.common import Direction, SocketAddresses
from goproxy_ebpf.records.flow import ConnectionOpened, Datagram, StreamBytes, StreamEvent, StreamGap

from .addresses import end_of, endpoint_of, ends_of, full_socket, key_of, sockets_of, wire_ends
from .connection import Connection, begins_anew
from .onecopy import OneCopy
from .packet import ACK, FIN, RST, SYN, FragmentError, PacketError, Segment, UserDatagram, parse
from .table import Table

MAX_OPEN = 32_768
MAX_ANNOUNCED = 4096
DNS_PORT = b"\0\x35"
# How long after its socket is gone a connection is still listened to: close() changes the state before it sends a RST.
# What the peer sends to a socket in TIME_WAIT (or to an orphan in FIN_WAIT2, which is one as well) no hook sees.
GONE_WAIT_NS = 1_000_000_000

_NOTHING: Sequence[StreamEvent] = ()


class _Flow:
    """What packets of one flow on the wire, at one hook, mean: ``forward`` gets their bytes and ``backward`` their
    acknowledgments. ``copies``: they are second copies and mean nothing.
    """

    __slots__ = ("backward", "connection", "copies", "forward", "receiver", "sender", "socket")

    def __init__(
        self, connection: Connection, sender: bytes, socket: SocketAddresses | None, *, copies: bool = False
    ) -> None:
        self.connection = connection
        _, low, high = connection.key
        self.sender = sender
        self.receiver = high if sender == low else low
        self.socket = socket
        self.copies = copies
        self.forward = connection.half(sender)
        self.backward = connection.received if self.forward is connection.sent else connection.sent


class Streams:
    """``packets``: packets are captured in this run at all; if not, ``Egress`` records alone make the bytes sent.

    ``reordering``: how many segments behind a hole that was acknowledged prove it lost; 1 for captures in which
    records are in the order in which things happened, as in our own.
    """

    def __init__(self, *, packets: bool = True, reordering: int = 3) -> None:
        self._packets = packets
        self._reordering = reordering
        self._count = 0
        self._table = Table()
        self._flows: dict[Direction, dict[tuple[int, bytes], _Flow]] = {Direction.SEND: {}, Direction.RECV: {}}
        self._sent_flows = self._flows[Direction.SEND]
        self._received_flows = self._flows[Direction.RECV]
        self._one_copy = OneCopy()
        self._announced: OrderedDict[tuple[int, int], int] = OrderedDict()
        self._leaving: deque[Connection] = deque()
        self._lost: dict[str, list[int]] = {}

    def feed(self, record: Packet | Egress | TcpEvent) -> Sequence[StreamEvent]:
        """What the record adds."""
        if type(record) is Packet:
            return self._packet(record)
        out: list[StreamEvent] = []
        if type(record) is Egress:
            self._egress(record, out)
        elif type(record) is TcpEvent:
            self._tcp_event(record, out)
        return out

    def finish(self, at_ns: int) -> Sequence[StreamEvent]:
        """The run is over: close everything that is open."""
        out: list[StreamEvent] = []
        for connection in self._table:
            self._end(connection, at_ns, "open", out)
        return out

    def connection_of(self, addresses: SocketAddresses, netns: int) -> int:
        """The connection that is open on these addresses, or was the last; 0 if there is none."""
        ends = end_of(addresses.local), end_of(addresses.remote)
        found = self._table.find(netns, *ends) or self._table.find_closed(netns, *ends)
        return found.number if found is not None else 0

    def pid_of(self, connection: int) -> int:
        """The process of a connection that is open, which may be known only after it; 0 if unknown."""
        found = self._table.numbered(connection)
        return found.pid if found is not None else 0

    def losses(self, at_ns: int) -> list[Loss]:
        """Packets so far that could not be read, by reason."""
        return [Loss(at_ns, where, records, length) for where, (records, length) in self._lost.items()]

    # Packets

    def _packet(self, record: Packet) -> Sequence[StreamEvent]:
        data = record.data
        try:
            segment = parse(data, record.seen)
        except PacketError as error:
            self._lose("fragments" if isinstance(error, FragmentError) else "unreadable packets", record)
            return _NOTHING
        if type(segment) is not Segment:
            return self._datagram(record, segment) if isinstance(segment, UserDatagram) else _NOTHING
        flows = self._sent_flows if record.direction is Direction.SEND else self._received_flows
        flow = flows.get((record.netns, segment.flow))
        socket = record.socket
        flags = segment.flags
        if flow is None or (socket is not None and socket != flow.socket) or flags & SYN:
            return self._packet_of_new_flow(record, segment)
        if flow.copies:
            return _NOTHING
        out: list[StreamEvent] = []
        if flags & (RST | FIN) or not flow.connection.steady:
            self._to_connection(flow, segment, record, out)
            return out
        if segment.acknowledgment != flow.backward.last_acknowledgment and flags & ACK:
            flow.backward.acknowledge(segment.acknowledgment, out)
        length = segment.length
        if length:
            start = segment.start
            flow.forward.add(segment.sequence, data[start : start + length], length, record.at_ns, out)
        return out

    def _packet_of_new_flow(self, record: Packet, segment: Segment) -> Sequence[StreamEvent]:
        """A packet whose flow is not known or that may begin a connection: find its connection, or make it."""
        out: list[StreamEvent] = []
        flows = self._flows[record.direction]
        wire = (record.netns, segment.flow)
        if not self._one_copy.keep_parsed(record, segment):
            first = self._flows[record.direction.other].get(wire)
            if first is not None:
                flows[wire] = _Flow(first.connection, first.sender, record.socket, copies=True)
            return out
        sender, receiver = ends_of(record, segment.flow)
        known = flows.get(wire)
        socket = full_socket(record.socket)
        if known is not None and socket is None:
            # Addresses on the wire may be translated: it belongs where its flow went before.
            sender, receiver = known.sender, known.receiver
        connection = self._table.find(record.netns, sender, receiver)
        syn = bool(segment.flags & SYN)
        if connection is not None and syn and connection.is_another(sender, receiver, segment):
            self._end(connection, record.at_ns, "abandoned", out)
            connection = None
        elif connection is None:
            closed = self._table.find_closed(record.netns, sender, receiver)
            late = closed is not None and not (syn and begins_anew(closed.initial, sender, receiver, segment))
            if late or segment.flags & RST or not (syn or segment.length):
                return out
        if connection is None:
            addresses = sockets_of(sender, receiver, record.direction)
            pid = self._announced.pop((record.netns, record.cookie), 0) if record.cookie else 0
            connection = self._new(record.netns, addresses, record.at_ns, pid, complete=syn, out=out)
        if known is None or known.connection is not connection:
            known = flows[wire] = _Flow(connection, sender, socket)
            connection.flows.append(wire)
        elif socket is not None:
            known.socket = socket
        self._to_connection(known, segment, record, out)
        return out

    def _to_connection(self, flow: _Flow, segment: Segment, record: Packet, out: list[StreamEvent]) -> None:
        connection = flow.connection
        first = len(out)
        payload = record.data[segment.start : segment.start + segment.length]
        connection.packet(flow.sender, segment, payload, record.at_ns, out)
        how = connection.how_over
        if how:
            self._close(connection, record.at_ns, how, out, first)
        elif connection.is_dns:
            self._dns_over_tcp(connection, out, first)

    # UDP, and DNS over TCP

    def _datagram(self, record: Packet, found: UserDatagram) -> Sequence[StreamEvent]:
        socket = full_socket(record.socket)
        if socket is None:
            if DNS_PORT not in (found.flow[-4:-2], found.flow[-2:]):
                return _NOTHING
            socket = sockets_of(*wire_ends(found.flow), record.direction)
        elif 53 not in (socket.local.port, socket.remote.port):
            return _NOTHING
        if not self._one_copy.keep_parsed(record, found):
            return _NOTHING
        data = record.data[found.start : found.start + found.length]
        if len(data) < found.length:
            self._lose("datagrams cut off in the capture", record)
            return _NOTHING
        return (Datagram(record.at_ns, record.direction, socket, record.netns, data),)

    def _dns_over_tcp(self, connection: Connection, out: list[StreamEvent], first: int) -> None:
        """Repeat the bytes among the events from ``first`` on as ``Datagram``s."""
        if not connection.complete:
            return
        netns = connection.key[0]
        for event in out[first:]:
            if isinstance(event, StreamGap):
                connection.dns_broken.add(event.direction)
                data = b""
            elif isinstance(event, StreamBytes) and event.direction not in connection.dns_broken:
                data = event.data
            else:
                continue
            out.append(Datagram(event.at_ns, event.direction, connection.addresses, netns, data, "tcp"))

    # The other records

    def _egress(self, record: Egress, out: list[StreamEvent]) -> None:
        here, there = end_of(record.socket.local), end_of(record.socket.remote)
        connection = self._table.find(record.netns, here, there)
        if connection is None:
            if self._table.find_closed(record.netns, here, there) is not None:
                return
            connection = self._new(record.netns, record.socket, record.at_ns, record.pid, complete=False, out=out)
        if connection.here != here:
            return
        first = len(out)
        connection.egress(record, out)
        if not self._packets:
            written = connection.sent.offset_of(record.write_sequence or record.sequence)
            connection.deliver_egress(written, record.at_ns, out)
        if connection.is_dns:
            self._dns_over_tcp(connection, out, first)

    def _tcp_event(self, event: TcpEvent, out: list[StreamEvent]) -> None:
        self._let_go(event.at_ns, out)
        socket = event.socket
        if event.what == "state" and event.state == "SYN_SENT" and socket.local.port == 0:
            # tcp_v4_connect changes the state before it has chosen a port: the cookie will tell.
            if event.pid and event.cookie:
                if len(self._announced) >= MAX_ANNOUNCED:
                    self._announced.popitem(last=False)
                self._announced[event.netns, event.cookie] = event.pid
            return
        if socket.remote.port == 0 or socket.local.port == 0:
            return
        here, there = end_of(socket.local), end_of(socket.remote)
        connection = self._table.find(event.netns, here, there)
        begins = event.state == "ESTABLISHED" and event.old_state in ("SYN_SENT", "SYN_RECV")
        if event.what == "state" and (event.state == "SYN_SENT" or begins):
            if connection is not None and connection.here == here and self._is_over_for(connection, event):
                self._end(connection, event.at_ns, "abandoned", out)
                connection = None
            closed = self._table.find_closed(event.netns, here, there)
            if connection is None and not (begins and self._packets and closed is not None):
                connection = self._new(event.netns, socket, event.at_ns, event.pid, complete=True, out=out)
        if connection is None or connection.here != here:
            return
        first = len(out)
        connection.socket_event(event, out)
        if not self._packets and connection.accepted is not None:
            connection.deliver_egress(connection.accepted, event.at_ns, out)
        if connection.is_dns:
            self._dns_over_tcp(connection, out, first)
        if event.what == "state" and event.state == "CLOSE":
            connection.gone_ns = event.at_ns
            if self._packets:
                self._leaving.append(connection)
            else:
                self._end(connection, event.at_ns, "abandoned", out)

    def _is_over_for(self, connection: Connection, event: TcpEvent) -> bool:
        """Whether a state change at a connection's begin cannot be this connection's."""
        if event.state == "SYN_SENT":
            return connection.established or not connection.complete or connection.gone_ns is not None
        return not self._packets and connection.established

    def _let_go(self, at_ns: int, out: list[StreamEvent]) -> None:
        """Close connections whose sockets are gone for long enough."""
        while self._leaving and (self._leaving[0].gone_ns or 0) + GONE_WAIT_NS <= at_ns:
            connection = self._leaving.popleft()
            if connection in self._table:
                self._end(connection, at_ns, "abandoned", out)

    # Begin and end

    def _new(
        self,
        netns: int,
        addresses: SocketAddresses,
        at_ns: int,
        pid: int,
        *,
        complete: bool,
        out: list[StreamEvent],
    ) -> Connection:
        if len(self._table) >= MAX_OPEN:
            self._end(self._table.oldest, at_ns, "open", out)
        self._count += 1
        here, there = end_of(addresses.local), end_of(addresses.remote)
        addresses = SocketAddresses(endpoint_of(here), endpoint_of(there))
        key = key_of(netns, here, there)
        connection = Connection(self._count, key, addresses, pid, complete=complete, reordering=self._reordering)
        self._table.add(connection)
        out.append(ConnectionOpened(connection.number, at_ns, addresses, netns, pid, complete))
        return connection

    def _end(self, connection: Connection, at_ns: int, otherwise: str, out: list[StreamEvent]) -> None:
        """Close a connection whose end was not seen in packets: ``otherwise`` is how, if nothing else is known."""
        how = connection.how_gone
        if connection.gone_ns is not None:
            at_ns = connection.gone_ns
            how = how or "abandoned"
        self._close(connection, at_ns, how or otherwise, out, len(out))

    def _close(self, connection: Connection, at_ns: int, how: str, out: list[StreamEvent], first: int) -> None:
        """Close it; the events of this record that are the connection's stand in ``out`` from ``first`` on."""
        connection.close(at_ns, how, out)
        if connection.is_dns:
            self._dns_over_tcp(connection, out, first)
            for direction in Direction:
                out.append(Datagram(at_ns, direction, connection.addresses, connection.key[0], b"", "tcp"))
        for wire in connection.flows:
            for flows in self._flows.values():
                flow = flows.get(wire)
                if flow is not None and flow.connection is connection:
                    del flows[wire]
        keys = {key_of(netns, *wire_ends(flow)) for netns, flow in connection.flows}
        keys |= {(netns, *connection.key[1:]) for netns, _ in connection.flows}
        self._table.close(connection, keys)

    def _lose(self, where: str, record: Packet) -> None:
        count = self._lost.setdefault(where, [0, 0])
        count[0] += 1
        count[1] += record.seen
