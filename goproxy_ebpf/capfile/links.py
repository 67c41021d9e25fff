"""The IP packet in a link-layer frame, for the link types that captures of IP traffic have.

Outcomes of ``ip_packet``: ``(packet, length)``, the packet as captured and its whole length · None where the frame
holds no IP packet, or too little of one, or the link type is not known.
"""

NULL = 0
ETHERNET = 1
RAW = (12, 14, 101)
LOOP = 108
LINUX_SLL = 113
IPV4 = 228
IPV6 = 229
LINUX_SLL2 = 276

_TYPE_IPV4, _TYPE_IPV6 = b"\x08\x00", b"\x86\xdd"
_VLAN_TAGS = (b"\x81\x00", b"\x88\xa8", b"\x91\x00")
_MOST_TAGS = 4
# (offset of the EtherType, offset of what follows the header)
_ETHER_TYPED = {ETHERNET: (12, 14), LINUX_SLL: (14, 16), LINUX_SLL2: (0, 20)}
_UNTYPED = {NULL: 4, LOOP: 4, **dict.fromkeys((*RAW, IPV4, IPV6), 0)}
LINK_TYPES = frozenset(_ETHER_TYPED) | frozenset(_UNTYPED)


def ip_packet(link: int, frame: bytes, seen: int) -> tuple[bytes, int] | None:
    """``seen`` is the frame's length on the wire. Link-layer padding behind the packet is cut off."""
    start = _start(link, frame)
    if start is None or len(frame) < start + 1:
        return None
    packet = frame[start:] if start else frame
    length = seen - start
    version = packet[0] >> 4
    if version == 4 and len(packet) >= 20:
        said = int.from_bytes(packet[2:4], "big")
    elif version == 6 and len(packet) >= 40:
        said = int.from_bytes(packet[4:6], "big")
        said = said + 40 if said else 0
    else:
        return None
    # 0 stands for "longer than the field can say" (segmentation offload, BIG TCP, jumbograms).
    if 20 <= said < length:
        return packet[:said], said
    return packet, max(length, len(packet))


def _start(link: int, frame: bytes) -> int | None:
    """Where the IP packet begins; untyped headers are told apart by the packet's own version field."""
    typed = _ETHER_TYPED.get(link)
    if typed is None:
        return _UNTYPED.get(link)
    at, start = typed
    kind = frame[at : at + 2]
    for _ in range(_MOST_TAGS):
        if kind not in _VLAN_TAGS:
            break
        kind = frame[start + 2 : start + 4]
        start += 4
    return start if kind in (_TYPE_IPV4, _TYPE_IPV6) else None
