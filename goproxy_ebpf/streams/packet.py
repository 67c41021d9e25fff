"""One IP packet as a cgroup hook or a capture file gives it: which TCP segment or UDP datagram is in it.

``parse`` has three outcomes: a ``Segment`` or a ``UserDatagram`` · None for a sound packet of another protocol ·
``PacketError`` for bytes that are no packet, ``FragmentError`` where they are a piece of one. Fragments are counted by
the caller, never put together: the hooks sit above the kernel's own reassembly, so they come out of foreign files only.

Lengths: packets are seen before segmentation and after coalescing. One longer than 64 KiB (BIG TCP) has an IPv4 total
length of 0, or an IPv6 payload length of 0 with or without a jumbo payload option (RFC 2675): it is as long as the
capture says.
"""

from struct import Struct

import msgspec

FIN = 0x01
SYN = 0x02
RST = 0x04
ACK = 0x10

TCP = 6
UDP = 17

# RFC 8200 §4.1: headers that stand between the fixed header and TCP. AH counts its length in other units (RFC 4302).
_OPTIONS_HEADERS = frozenset({0, 43, 60, 135, 139, 140})
_FRAGMENT_HEADER = 44
_AUTHENTICATION_HEADER = 51

# The fixed headers of IP and TCP in one reading; the flow (both addresses, both ports) is one run of bytes in both.
_IPV4_TCP = Struct("!BxH2xHxB2x12sIIHH")
_IPV6_TCP = Struct("!B3xHBx36sIIHH")
_IPV4 = Struct("!BxH2xHxB2x")
_IPV6 = Struct("!4xHB")
_TCP = Struct("!4xIIHH")
_U16 = Struct("!H")


class PacketError(Exception):
    """These bytes are not an IP packet, or are cut off within its headers."""


class FragmentError(PacketError):
    """A fragment of a packet (RFC 791 §3.2, RFC 8200 §4.5)."""


class Segment(msgspec.Struct, gc=False):
    """A TCP segment. ``flow`` is source address, destination address, source port, destination port, as on the wire.

    ``start`` is where the payload begins in the packet's bytes, ``length`` its length on the wire: the capture may
    hold less of it.
    """

    flow: bytes
    sequence: int
    acknowledgment: int
    flags: int
    window: int
    start: int
    length: int


class UserDatagram(msgspec.Struct, gc=False):
    """A UDP datagram; fields as those of ``Segment``."""

    flow: bytes
    start: int
    length: int


def parse(data: bytes, seen: int) -> Segment | UserDatagram | None:
    """The segment or datagram in the IP packet ``data``, which was ``seen`` bytes long (both from the IP header on).

    None for other protocols; raises ``PacketError``.
    """
    size = len(data)
    if size >= 40 and data[0] == 0x45:
        _, total, fragment, protocol, flow, sequence, acknowledgment, flags, window = _IPV4_TCP.unpack_from(data)
        if protocol == TCP and not fragment & 0x3FFF:
            start = 20 + (flags >> 12 << 2)
            if total > seen:
                raise PacketError("the IPv4 total length is more than there was")
            length = (total or seen) - start
            if length < 0 or start < 40:
                raise PacketError("the TCP header is longer than its packet, or too short")
            return Segment(flow, sequence, acknowledgment, flags & 0xFF, window, start, length)
    elif size >= 60 and data[0] >> 4 == 6 and data[6] == TCP:
        _, total, _, flow, sequence, acknowledgment, flags, window = _IPV6_TCP.unpack_from(data)
        start = 40 + (flags >> 12 << 2)
        if total + 40 > seen:
            raise PacketError("the IPv6 payload length is more than there was")
        length = (total + 40 if total else seen) - start
        if length < 0 or start < 60:
            raise PacketError("the TCP header is longer than its packet, or too short")
        return Segment(flow, sequence, acknowledgment, flags & 0xFF, window, start, length)
    return _parse_any(data, seen)


def _parse_any(data: bytes, seen: int) -> Segment | UserDatagram | None:
    """``parse`` for any packet, options and extension headers included."""
    if not data:
        raise PacketError("an empty packet")
    version = data[0] >> 4
    if version == 4:
        protocol, start, end = _ipv4(data, seen)
        addresses = data[12:20]
    elif version == 6:
        protocol, start, end = _ipv6(data, seen)
        addresses = data[8:40]
    else:
        raise PacketError(f"IP version {version}")
    if protocol == TCP:
        if len(data) < start + 20:
            raise PacketError("cut off in the TCP header")
        sequence, acknowledgment, flags, window = _TCP.unpack_from(data, start)
        flow = addresses + data[start : start + 4]
        header = flags >> 12 << 2
        length = end - start - header
        if length < 0 or header < 20:
            raise PacketError("the TCP header is longer than its packet, or too short")
        return Segment(flow, sequence, acknowledgment, flags & 0xFF, window, start + header, length)
    if protocol == UDP:
        if len(data) < start + 8:
            raise PacketError("cut off in the UDP header")
        (length,) = _U16.unpack_from(data, start + 4)
        if length == 0:  # RFC 2675 §4
            length = end - start
        if not 8 <= length <= end - start:
            raise PacketError("the UDP length is more than there was, or too short")
        return UserDatagram(addresses + data[start : start + 4], start + 8, length - 8)
    return None


def _ipv4(data: bytes, seen: int) -> tuple[int, int, int]:
    """Protocol, start and end of what the IPv4 packet carries."""
    if len(data) < 20:
        raise PacketError("cut off in the IPv4 header")
    first, total, fragment, protocol = _IPV4.unpack_from(data)
    start = (first & 15) * 4
    end = total or seen
    if start < 20 or end < start or total > seen:
        raise PacketError("the IPv4 header's lengths do not fit")
    if fragment & 0x3FFF:  # More Fragments, or an offset
        raise FragmentError("an IPv4 fragment")
    return protocol, start, end


def _ipv6(data: bytes, seen: int) -> tuple[int, int, int]:
    """Protocol, start and end of what the IPv6 packet carries behind its extension headers."""
    size = len(data)
    if size < 40:
        raise PacketError("cut off in the IPv6 header")
    total, protocol = _IPV6.unpack_from(data)
    end = total + 40 if total else seen
    if end > seen:
        raise PacketError("the IPv6 payload length is more than there was")
    start = 40
    while True:
        if protocol in _OPTIONS_HEADERS:
            length = 8 + data[start + 1] * 8 if size >= start + 2 else 0
        elif protocol == _AUTHENTICATION_HEADER:
            length = 8 + data[start + 1] * 4 if size >= start + 2 else 0
        elif protocol == _FRAGMENT_HEADER:
            length = 8
            # An atomic fragment (RFC 6946), offset 0 and no more to come, is a whole packet.
            if size >= start + 8 and _U16.unpack_from(data, start + 2)[0] & 0xFFF9:
                raise FragmentError("an IPv6 fragment")
        else:
            break
        if length == 0 or size < start + length:
            raise PacketError("cut off in the IPv6 extension headers")
        protocol = data[start]
        start += length
    if start > end:
        raise PacketError("the IPv6 extension headers are longer than their packet")
    return protocol, start, end
