"""Which end of a flow is the go side, in a capture that does not say what it was made for.

* TCP: the sender of the first SYN (the receiver of the first SYN-ACK). A later SYN decides anew: ports are used again.
* UDP: the end that talks to port 53.
* Otherwise, and for TCP whose SYN was not captured: the end with the higher port, since servers have the low ones.
* Same ports, or no ports (ICMP, fragments): the sender of the flow's first packet.

What the capture says of inbound and outbound is not asked: it is seen from the machine, which may be the server's.
Outcomes of ``direction``: SEND or RECV · None where the packet is no IP packet.
"""

from typing import NamedTuple

from goproxy_ebpf.records.common import Direction

_TCP, _UDP = 6, 17
_SYN, _ACK = 0x02, 0x10
_DNS_PORT = 53
_MOST_FLOWS = 65_536
_EXTENSION_HEADERS = (0, 43, 60)
_FRAGMENT_HEADER = 44
_MOST_EXTENSION_HEADERS = 8

End = tuple[bytes, int]


class _Ends(NamedTuple):
    protocol: int
    sender: End
    receiver: End
    flags: int


class FlowDirections:
    """The go side of every flow seen so far; of the last 65,536, to be bounded."""

    def __init__(self) -> None:
        self._go_sides: dict[tuple[int, End, End], End] = {}

    def direction(self, packet: bytes) -> Direction | None:
        """``packet`` starts at the IP header."""
        ends = _ends(packet)
        if ends is None:
            return None
        low, high = sorted((ends.sender, ends.receiver))
        key = (ends.protocol, low, high)
        go_side = self._go_sides.get(key)
        syn = ends.flags & (_SYN | _ACK)
        if syn == _SYN or go_side is None:
            go_side = _go_side(ends)
            if len(self._go_sides) >= _MOST_FLOWS:
                del self._go_sides[next(iter(self._go_sides))]
            self._go_sides[key] = go_side
        return Direction.SEND if ends.sender == go_side else Direction.RECV


def _go_side(ends: _Ends) -> End:
    sender, receiver = ends.sender, ends.receiver
    if ends.flags & _SYN:
        return receiver if ends.flags & _ACK else sender
    if ends.protocol == _UDP and _DNS_PORT in (sender[1], receiver[1]) and sender[1] != receiver[1]:
        return receiver if sender[1] == _DNS_PORT else sender
    return receiver if receiver[1] > sender[1] else sender


def _ends(packet: bytes) -> _Ends | None:
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= 20:
        protocol, at = packet[9], (packet[0] & 15) * 4
        source, target = packet[12:16], packet[16:20]
        first = not (packet[6] & 0x1F or packet[7])
    elif version == 6 and len(packet) >= 40:
        protocol, at, first = _transport6(packet)
        source, target = packet[8:24], packet[24:40]
    else:
        return None
    if not first or protocol not in (_TCP, _UDP) or len(packet) < at + 4:
        return _Ends(protocol, (source, 0), (target, 0), 0)
    sender = (source, packet[at] << 8 | packet[at + 1])
    receiver = (target, packet[at + 2] << 8 | packet[at + 3])
    flags = packet[at + 13] if protocol == _TCP and len(packet) > at + 13 else 0
    return _Ends(protocol, sender, receiver, flags)


def _transport6(packet: bytes) -> tuple[int, int, bool]:
    """Protocol, where its header begins, and whether this is no later fragment (RFC 8200 §4)."""
    protocol, at = packet[6], 40
    for _ in range(_MOST_EXTENSION_HEADERS):
        if len(packet) < at + 8:
            break
        if protocol == _FRAGMENT_HEADER:
            offset = (packet[at + 2] << 8 | packet[at + 3]) >> 3
            protocol, at = packet[at], at + 8
            if offset:
                return protocol, at, False
        elif protocol in _EXTENSION_HEADERS:
            protocol, at = packet[at], at + 8 + packet[at + 1] * 8
        else:
            break
    return protocol, at, True
