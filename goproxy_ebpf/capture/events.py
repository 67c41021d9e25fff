"""Raw events of the ring buffer -> capture records. Pure: runs on the unprivileged side, over the spool.

Outcomes of ``Events.decode``: one record · None (part of a packet whose other parts are still to come, or an event
that is cut) . The bytes come from our own programs; what *they* copied from the network is only passed on.
"""

from collections import OrderedDict
from collections.abc import Iterator

from ..records.capture import (
    TCP_STATES,
    CaptureRecord,
    Egress,
    Loss,
    Packet,
    ProcessEvent,
    Secret,
    TcpEvent,
    TrafficSecret,
)
from ..records.common import Direction, Endpoint, SocketAddresses, unmapped
from . import layout

_DIRECTIONS = {layout.DIRECTION_SEND: Direction.SEND, layout.DIRECTION_RECV: Direction.RECV}
_HOOKS = {layout.HOOK_TCP_SENDMSG: "tcp_sendmsg", layout.HOOK_SK_MSG: "sk_msg"}
_TCP_WHAT = {
    layout.TCP_WHAT_STATE: "state",
    layout.TCP_WHAT_RETRANSMIT: "retransmit",
    layout.TCP_WHAT_RESET_SENT: "reset sent",
    layout.TCP_WHAT_RESET_RECEIVED: "reset received",
}
_AF_INET6 = 10
_OPEN_PACKETS = 64
"""Packets in chunks that may be incomplete at a time: one per CPU, and a packet is written by one CPU at once."""


class _Partial:
    """A packet of which some chunks have come."""

    __slots__ = ("chunks", "event", "expected")

    def __init__(self, event: tuple[int, ...]) -> None:
        self.event = event
        self.chunks: list[bytes] = []
        self.expected = 0


class Events:
    """Decodes the events of one run. ``epoch_offset_ns`` is Unix time minus CLOCK_MONOTONIC, in nanoseconds."""

    def __init__(self, epoch_offset_ns: int) -> None:
        self._offset = epoch_offset_ns
        self._addresses: dict[bytes, SocketAddresses] = {}
        self._partial: OrderedDict[int, _Partial] = OrderedDict()
        self._decoders = {
            layout.EVENT_EGRESS: self._egress,
            layout.EVENT_SECRET: self._secret,
            layout.EVENT_TRAFFIC_SECRET: self._traffic_secret,
            layout.EVENT_EXEC: self._exec,
            layout.EVENT_EXIT: self._exit,
            layout.EVENT_TCP: self._tcp,
        }

    def decode(self, event: bytes) -> CaptureRecord | None:
        """One event, exactly as it lay in the ring (without the unused end of its reservation)."""
        kind = event[0]
        if kind == layout.EVENT_PACKET:
            return self._packet(event)
        decoder = self._decoders.get(kind)
        return decoder(event) if decoder is not None else None

    def finish(self, at_ns: int) -> Iterator[Loss]:
        """What is left of packets whose last chunk never came."""
        for partial in self._partial.values():
            yield Loss(at_ns, "packet chunks", 1, partial.event[8])
        self._partial.clear()

    def _packet(self, event: bytes) -> Packet | None:
        fields = layout.PACKET_EVENT.unpack_from(event)
        _, _, at_ns, _, _, cookie, number, netns, seen, offset, copied, direction, _, *_ = fields
        data = event[layout.PACKET_EVENT.size :]
        if offset or copied < seen:
            if offset == 0:
                while len(self._partial) >= _OPEN_PACKETS:
                    self._partial.popitem(last=False)
                self._partial[number] = _Partial(fields)
            partial = self._partial.get(number)
            if partial is None or offset != partial.expected:
                return None
            partial.chunks.append(data)
            partial.expected = offset + copied
            if partial.expected < seen:
                return None
            del self._partial[number]
            data = b"".join(partial.chunks)
        return Packet(
            at_ns + self._offset,
            _DIRECTIONS[direction],
            seen,
            data,
            self._pair(event, layout.PACKET_EVENT.size),
            netns,
            cookie,
        )

    def _pair(self, event: bytes, end: int) -> SocketAddresses | None:
        """The address pair that is the last member of an event's struct."""
        raw = event[end - layout.ADDRESS_PAIR.size : end]
        known = self._addresses.get(raw)
        if known is not None:
            return known
        local, remote, local_port, remote_port, family, _ = layout.ADDRESS_PAIR.unpack(raw)
        if family == 0:
            return None
        length = 16 if family == _AF_INET6 else 4
        pair = SocketAddresses(
            Endpoint(unmapped(local[:length]), local_port), Endpoint(unmapped(remote[:length]), remote_port)
        )
        if len(self._addresses) > 65536:
            self._addresses.clear()
        self._addresses[raw] = pair
        return pair

    def _egress(self, event: bytes) -> Egress | None:
        fields = layout.EGRESS_EVENT.unpack_from(event)
        _, _, at_ns, pid, tid, cookie, netns, hook, sequence, write_sequence, seen, _, *_ = fields
        pair = self._pair(event, layout.EGRESS_EVENT.size)
        if pair is None:
            return None
        return Egress(
            at_ns + self._offset,
            _HOOKS[hook],
            pid,
            tid,
            pair,
            sequence,
            seen,
            event[layout.EGRESS_EVENT.size :],
            write_sequence,
            netns,
            cookie,
        )

    def _secret(self, event: bytes) -> Secret:
        fields = layout.SECRET_EVENT.unpack_from(event)
        _, _, at_ns, pid, _, label_length, secret_length, label, client_random, secret = fields
        return Secret(
            at_ns + self._offset,
            pid,
            label[:label_length].decode("ascii", "replace"),
            client_random,
            secret[:secret_length],
        )

    def _traffic_secret(self, event: bytes) -> TrafficSecret:
        fields = layout.TRAFFIC_SECRET_EVENT.unpack_from(event)
        _, _, at_ns, pid, _, half, sequence, direction, version, secret_length, record_length, secret, record = fields
        return TrafficSecret(
            at_ns + self._offset,
            pid,
            _DIRECTIONS[direction],
            version,
            secret[:secret_length],
            sequence,
            record[:record_length],
            half,
        )

    def _exec(self, event: bytes) -> ProcessEvent:
        fields = layout.EXEC_EVENT.unpack_from(event)
        _, _, at_ns, pid, _, parent, name_length, arguments_length, arguments_seen, name, arguments = fields
        cut = arguments_seen > arguments_length
        argv = arguments[:arguments_length].decode("utf-8", "replace").split("\0")
        if not cut and argv and not argv[-1]:
            argv.pop()
        return ProcessEvent(
            at_ns + self._offset,
            "exec",
            pid,
            parent,
            name[:name_length].decode("utf-8", "replace"),
            tuple(argv),
            note="arguments cut" if cut else "",
        )

    def _exit(self, event: bytes) -> ProcessEvent:
        _, _, at_ns, pid, _, parent, status = layout.EXIT_EVENT.unpack_from(event)
        return ProcessEvent(at_ns + self._offset, "exit", pid, parent, status=status)

    def _tcp(self, event: bytes) -> TcpEvent | None:
        fields = layout.TCP_EVENT.unpack_from(event)
        _, _, at_ns, pid, _, cookie, netns, what, old, new, write, following, unacknowledged, receive, copied, srtt = (
            fields[:16]
        )
        pair = self._pair(event, layout.TCP_EVENT.size)
        if pair is None:
            return None
        return TcpEvent(
            at_ns + self._offset,
            _TCP_WHAT[what],
            pair,
            pid,
            TCP_STATES[old] if old < len(TCP_STATES) else str(old),
            TCP_STATES[new] if new < len(TCP_STATES) else str(new),
            write,
            following,
            unacknowledged,
            receive,
            copied,
            srtt,
            netns,
            cookie,
        )
