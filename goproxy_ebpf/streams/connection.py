"""One TCP connection: handshake, both directions, end, and the proof that all of it was seen.

A connection is seen from its local side. Packets say everything; ``TcpEvent`` records add what no packet says: the
process, that the socket is gone, and how many bytes the socket took (``accepted``).

How many bytes the socket took: ``write_seq`` minus the initial sequence number minus 1, in a state change. The kernel
counts a FIN in ``write_seq`` as soon as it is queued, but tcp_close() and tcp_shutdown() change the state first
(tcp_close_state: ESTABLISHED → FIN_WAIT1, CLOSE_WAIT → LAST_ACK) and call tcp_send_fin() afterwards, and the
tracepoint tells ``write_seq`` as it is at the change. So the FIN is counted exactly in the changes that come *from* a
state behind tcp_send_fin (FIN_WAIT1, FIN_WAIT2, CLOSING, LAST_ACK, TIME_WAIT), not in the one that leads there. An
abort (ESTABLISHED or CLOSE_WAIT → CLOSE: tcp_reset, tcp_disconnect, close with unread data, a time-out) queues no FIN,
and tcp_disconnect moves ``write_seq`` only after the change. As nothing can be written behind a shutdown, the first
number after it stands.
"""

from goproxy_ebpf.records.capture import Egress, TcpEvent
from goproxy_ebpf.records.common import Direction, SocketAddresses
from goproxy_ebpf.records.flow import (
    ConnectionClosed,
    ConnectionEstablished,
    DirectionBytes,
    StreamEvent,
)

from .addresses import Key, end_of
from .packet import ACK, FIN, RST, SYN, Segment
from .reassembly import MASK, Reassembly

# The states whose sockets have queued a FIN.
SHUT = frozenset({"FIN_WAIT1", "FIN_WAIT2", "CLOSING", "LAST_ACK", "TIME_WAIT"})
# A change from one of these tells no write_seq worth having: before the handshake is done it is not set, or guessed.
UNBORN = frozenset({"", "CLOSE", "LISTEN", "SYN_SENT", "NEW_SYN_RECV"})


class Connection:
    """One connection that is open. ``here`` is the local end, as it stands in ``key``; ``gone_ns``: when its
    socket was closed.

    ``steady`` means that a packet without SYN, FIN or RST can only bring bytes and acknowledgments.
    """

    def __init__(
        self,
        number: int,
        key: Key,
        addresses: SocketAddresses,
        pid: int,
        *,
        complete: bool,
        reordering: int,
    ) -> None:
        self.number = number
        self.key = key
        self.here = end_of(addresses.local)
        self.addresses = addresses
        self.pid = pid
        self.complete = complete
        self.sent = Reassembly(number, Direction.SEND, reordering)
        self.received = Reassembly(number, Direction.RECV, reordering)
        self.is_dns = addresses.local.port == 53 or addresses.remote.port == 53
        self.flows: list[tuple[int, bytes]] = []
        self.initial: dict[bytes, int] = {}
        self.packets = False
        self.established = False
        self.steady = False
        self.was_reset = False
        self.srtt_us = 0
        self.shut = False
        self.gone_ns: int | None = None
        self.dns_broken: set[Direction] = set()
        self.accepted: int | None = None
        self._initiator: Reassembly | None = None
        self._syn_ns: int | None = None
        self._syn_ack_ns: int | None = None

    def half(self, sender: bytes) -> Reassembly:
        """The direction of what this end sends."""
        return self.sent if sender == self.here else self.received

    def is_another(self, sender: bytes, receiver: bytes, segment: Segment) -> bool:
        """Whether a SYN of ``sender`` begins another connection on the same addresses."""
        if not begins_anew(self.initial, sender, receiver, segment):
            return False
        if sender in self.initial or segment.flags & ACK:
            return True
        half = self.half(sender)
        if not half.anchored:
            return self.packets and not self.complete
        # The SYN of a connection that was known without one: its own only if the bytes so far begin right behind it.
        return half.offset_of(segment.sequence + 1) != 0

    def packet(self, sender: bytes, segment: Segment, payload: bytes, at_ns: int, out: list[StreamEvent]) -> None:
        """Any segment, from ``sender``. ``how_over`` then tells whether it was the last."""
        forward = self.half(sender)
        backward = self.received if forward is self.sent else self.sent
        flags = segment.flags
        sequence = segment.sequence
        self.packets = True
        if flags & SYN:
            self._syn(sender, forward, backward, segment, at_ns)
            sequence = (sequence + 1) & MASK
        if flags & RST:
            self.was_reset = self.was_reset or self._is_believable_reset(forward, segment)
            return
        if flags & ACK:
            if not backward.anchored and sender in self.initial:
                # The SYN of the other side was not captured, but this is what acknowledges it.
                backward.anchor(segment.acknowledgment)
            backward.acknowledge(segment.acknowledgment, out)
            if not self.established and not flags & SYN and forward is self._initiator and self._syn_ack_ns:
                self._establish(at_ns, self._syn_ack_ns - self._syn_ns if self._syn_ns else 0, out)
        if segment.length:
            forward.add(sequence, payload, segment.length, at_ns, out)
        if flags & FIN:
            forward.end_at(sequence + segment.length)
        self._settle()

    def _syn(self, sender: bytes, forward: Reassembly, backward: Reassembly, segment: Segment, at_ns: int) -> None:
        self.initial.setdefault(sender, segment.sequence)
        forward.anchor(segment.sequence + 1)
        if segment.flags & ACK:
            self._initiator = self._initiator or backward
            self._syn_ack_ns = self._syn_ack_ns or at_ns
        else:
            self._initiator = self._initiator or forward
            if self._syn_ack_ns is None:
                self._syn_ns = at_ns  # of several, the last before the answer

    def _is_believable_reset(self, forward: Reassembly, segment: Segment) -> bool:
        """A reset behind what the other end has already acknowledged is old, and no end of anything (RFC 5961 §3)."""
        return (
            not forward.anchored
            or forward.last_acknowledgment < 0
            or forward.offset_of(segment.sequence) >= forward.acknowledged
        )

    def _establish(self, at_ns: int, rtt_ns: int, out: list[StreamEvent]) -> None:
        self.established = True
        out.append(ConnectionEstablished(self.number, at_ns, max(0, rtt_ns)))

    def _settle(self) -> None:
        self.steady = (
            (self.established or not self.complete)
            and self.sent.fin is None
            and self.received.fin is None
            and not self.is_dns
        )

    def socket_event(self, event: TcpEvent, out: list[StreamEvent]) -> None:
        """What the kernel says about the local socket."""
        self.pid = self.pid or event.pid
        self.srtt_us = event.srtt_us or self.srtt_us
        if event.what != "state":
            return
        if event.state == "SYN_SENT" and not self.packets:
            self._syn_ns = event.at_ns
        if event.state == "ESTABLISHED" and event.old_state in ("SYN_SENT", "SYN_RECV"):
            # tcp_finish_connect, tcp_rcv_state_process: both initial sequence numbers are known and acknowledged.
            if event.write_sequence or event.receive_sequence:
                self.sent.anchor(event.unacknowledged or event.write_sequence)
                self.received.anchor(event.receive_sequence)
            if not self.packets and not self.established:
                self._establish(event.at_ns, event.at_ns - self._syn_ns if self._syn_ns else 0, out)
        shut = event.old_state in SHUT
        self.shut = self.shut or shut or event.state in SHUT
        if (
            (shut or event.state in SHUT or event.state == "CLOSE")
            and event.old_state not in UNBORN
            and self.sent.anchored
            and not (shut and self.accepted is not None)
        ):
            accepted = self.sent.offset_of(event.write_sequence) - shut
            self.accepted = accepted if accepted >= 0 else None

    def egress(self, record: Egress, out: list[StreamEvent]) -> None:
        """The local process offered bytes. Only ``deliver_egress`` makes events of bytes that are in no packet."""
        self.pid = self.pid or record.pid
        self.sent.offer(record.sequence, record.seen, record.data, record.at_ns, out)

    def deliver_egress(self, end: int, at_ns: int, out: list[StreamEvent]) -> None:
        """Where no packets are captured: the socket has taken all bytes before the offset ``end``."""
        if not self.packets:
            self.sent.deliver_offered(end, at_ns, out)

    @property
    def how_over(self) -> str:
        """``fin`` or ``reset`` once nothing more can come; empty before."""
        if self.was_reset:
            return "reset"
        if self.sent.fin_acknowledged and self.received.fin_acknowledged:
            return "fin"
        return ""

    @property
    def how_gone(self) -> str:
        """How it ended, if no more will be heard of it: the best that can be said. Empty if nothing can."""
        if self.was_reset:
            return "reset"
        return "fin" if self.shut or self.sent.fin is not None or self.received.fin is not None else ""

    def close(self, at_ns: int, how: str, out: list[StreamEvent]) -> None:
        """Deliver what is left, and the proof."""
        view = self.sent.view
        if not self.packets and view is not None:
            self.sent.deliver_offered(view.end if self.accepted is None else self.accepted, at_ns, out)
        self.sent.finish(at_ns, self.accepted, out)
        self.received.finish(at_ns, None, out)
        sent = self._bytes(self.sent, self.accepted)
        received = self._bytes(self.received, None)
        out.append(ConnectionClosed(self.number, at_ns, how, sent, received, self.srtt_us, self.pid))

    @staticmethod
    def _bytes(half: Reassembly, accepted: int | None) -> DirectionBytes:
        view = half.view
        # Nothing is unsent behind a FIN that was: should the numbers differ, it has to show.
        unsent = 0 if half.fin is not None or accepted is None else max(0, accepted - half.next)
        return DirectionBytes(
            span=half.next + unsent,
            on_wire=half.on_wire,
            retransmitted=half.retransmitted,
            missing=half.missing,
            offered=view.offered if view is not None else 0,
            accepted=accepted,
            unsent=unsent,
            matches=view.matches if view is not None else None,
        )


def begins_anew(initial: dict[bytes, int], sender: bytes, receiver: bytes, segment: Segment) -> bool:
    """Whether a SYN is none of the connection with these initial sequence numbers (by end), whose addresses it has."""
    if segment.flags & ACK and receiver in initial:
        # An answer to that connection's SYN (and to data in it, RFC 7413); of several answers, the first stands.
        answers = 0 < (segment.acknowledgment - initial[receiver]) & MASK <= 0x10000
        return not answers and initial.get(sender) != segment.sequence
    return initial.get(sender) != segment.sequence
