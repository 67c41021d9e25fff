"""One copy of each packet, where both ends of a connection are traced.

A packet over loopback then passes two hooks: the sender's (egress) and the receiver's (ingress), in this order. The
hook that reported a directed flow first owns it, and what the other one says of the same flow is the second copy. This
goes by flow and never by content: a retransmission is no copy.
"""

from collections import OrderedDict

from goproxy_ebpf.records.capture import Packet
from goproxy_ebpf.records.common import Direction, SocketAddresses

from .addresses import full_socket
from .packet import PacketError, Segment, UserDatagram, parse

MAX_FLOWS = 65_536


class OneCopy:
    """Remembers who owns each directed flow: the last ``MAX_FLOWS`` new ones."""

    def __init__(self) -> None:
        self._owners: OrderedDict[tuple[int, bool, bytes], tuple[Direction, SocketAddresses | None]] = OrderedDict()

    def keep(self, record: Packet) -> bool:
        """False for the second copy of a packet; True for anything else, unreadable packets included."""
        try:
            found = parse(record.data, record.seen)
        except PacketError:
            return True
        return found is None or self.keep_parsed(record, found)

    def keep_parsed(self, record: Packet, found: Segment | UserDatagram) -> bool:
        """``keep`` for a packet in which ``found`` was found."""
        key = (record.netns, type(found) is Segment, found.flow)
        owner = self._owners.get(key)
        if owner is None:
            if len(self._owners) >= MAX_FLOWS:
                self._owners.popitem(last=False)
            socket = full_socket(record.socket)
            self._owners[key] = (record.direction, None if socket is None else socket.swapped)
            return True
        direction, mirror = owner
        if record.direction is direction:
            return True
        # NAT can give two connections one flow on the wire: a copy is only what the other end's socket saw.
        socket = full_socket(record.socket)
        return not (mirror is None or socket is None or socket == mirror)
