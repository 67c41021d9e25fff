"""Packets that Wireshark does not take, as packets that it takes.

BIG TCP lets a packet grow past the 256 KiB at which Wireshark gives a file up, and a packet cut to that size would lose
it the TCP stream. So such a packet is cut into TCP segments, as the device would have done it.
"""

import struct

from .blocks import MAX_PACKET_BYTES

_TCP = 6
_HOP_BY_HOP = 0
_PIECE_BYTES = 60_000
_FIN_PSH = 0x09


def stand_ins(packet: bytes) -> list[bytes]:
    """TCP segments with the packet's bytes (IPv4 and IPv6, jumbograms too); else the packet, cut to what is allowed."""
    if len(packet) <= MAX_PACKET_BYTES:
        return [packet]
    version = packet[0] >> 4
    if version == 4 and packet[9] == _TCP:
        header = packet[: (packet[0] & 15) * 4]
        return _segments(header, 2, -len(header), packet[len(header) :])
    if version == 6 and packet[6] == _TCP:
        return _segments(packet[:40], 4, 0, packet[40:])
    if version == 6 and packet[6] == _HOP_BY_HOP and packet[40:42] == bytes([_TCP, 0]):
        # RFC 2675: the jumbo payload option is the only one; a segment of ordinary length needs none.
        return _segments(packet[:6] + packet[40:41] + packet[7:40], 4, 0, packet[48:])
    return [packet[:MAX_PACKET_BYTES]]


def _segments(ip: bytes, length_at: int, less: int, tcp: bytes) -> list[bytes]:
    """``length_at``: where the IP header has its length; ``less``: minus what that length counts of the IP header."""
    size = max(tcp[12] >> 4, 5) * 4
    head, payload = tcp[:size], tcp[size:]
    sequence = int.from_bytes(head[4:8], "big")
    out = []
    for start in range(0, len(payload), _PIECE_BYTES):
        piece = payload[start : start + _PIECE_BYTES]
        last = start + _PIECE_BYTES >= len(payload)
        flags = head[13] if last else head[13] & ~_FIN_PSH
        number = struct.pack(">I", (sequence + start) & 0xFFFFFFFF)
        length = struct.pack(">H", size + len(piece) - less)
        tcp_head = head[:4] + number + head[8:13] + bytes([flags]) + head[14:]
        out.append(ip[:length_at] + length + ip[length_at + 2 :] + tcp_head + piece)
    return out
