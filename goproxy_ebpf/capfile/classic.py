"""The classic pcap file (draft-ietf-opsawg-pcap): a head of 24 bytes, then packets of 16 + n bytes.

Outcomes for each step of ``packets``: a packet · ``PcapError``, with what was left: the file is cut in a packet, or
damaged there, and nothing behind it can be found.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO

from .blocks import MAX_BLOCK_BYTES, read_all
from .section import RawPacket

_MICROSECONDS, _NANOSECONDS = 0xA1B2C3D4, 0xA1B23C4D
MAGICS = {
    struct.pack(order + "I", magic): (order, scale)
    for order in "<>"
    for magic, scale in ((_MICROSECONDS, 1000), (_NANOSECONDS, 1))
}
_HEAD_BYTES = 24
_READ_BYTES = 1 << 20


class PcapError(Exception):
    """``where`` as in a Loss; ``length`` is how many bytes were not read."""

    def __init__(self, where: str, length: int) -> None:
        super().__init__(where)
        self.where = where
        self.length = length


def packets(file: BinaryIO, first: bytes) -> Iterator[RawPacket]:
    """``first`` is what has been read of ``file`` already, the magic number at least."""
    order, scale = MAGICS[first[:4]]
    buffer = first + read_all(file, _READ_BYTES)
    if len(buffer) < _HEAD_BYTES:
        raise PcapError("file cut", len(buffer))
    link = struct.unpack_from(order + "I", buffer, 20)[0] & 0x0FFFFFFF  # the upper bits tell the frame check sequence
    head = struct.Struct(order + "IIII")
    at = _HEAD_BYTES
    while True:
        if len(buffer) - at < 16:
            buffer, at = buffer[at:] + read_all(file, _READ_BYTES), 0
            if not buffer:
                return
            if len(buffer) < 16:
                raise PcapError("file cut", len(buffer))
        seconds, fraction, captured, seen = head.unpack_from(buffer, at)
        if captured > MAX_BLOCK_BYTES:
            raise PcapError("file damaged", len(buffer) - at)
        end = at + 16 + captured
        if end > len(buffer):
            buffer = buffer[at:] + read_all(file, max(end - len(buffer), _READ_BYTES))
            at, end = 0, 16 + captured
            if end > len(buffer):
                raise PcapError("file cut", len(buffer))
        yield RawPacket(seconds * 1_000_000_000 + fraction * scale, link, buffer[at + 16 : end], seen)
        at = end
