"""A pcapng file, block by block, whatever is in it.

Outcomes for each step of ``BlockScanner.blocks``, as ``(kind, buffer, start, end)``:
a block, its body in ``buffer[start:end]`` · ``DAMAGED``: ``end - start`` bytes that make no sense, then it goes on at
the next plausible block · ``CUT``: the last ``end - start`` bytes are the beginning of a block, and the file is over.

Memory stays below the longest block allowed and one read; time is linear in the file's length.
"""

import re
import struct
from collections.abc import Iterator
from typing import BinaryIO

from .blocks import BYTE_ORDER_MAGIC, ENHANCED_PACKET, FILLER, MAX_BLOCK_BYTES, SECTION_HEADER, read_all

DAMAGED = -1
CUT = -2
Step = tuple[int, bytes, int, int]

_READ_BYTES = 1 << 20
_SECTION_HEADER_BYTES = b"\x0a\x0d\x0d\x0a"
_ORDERS = {struct.pack(order + "I", BYTE_ORDER_MAGIC): order for order in "<>"}
_PLAUSIBLE = {
    "<": re.compile(rb"[\x01-\x06\x0a]\0\0\0|\x0a\x0d\x0d\x0a|gpe[\xe2\xe6]"),
    ">": re.compile(rb"\0\0\0[\x01-\x06\x0a]|\x0a\x0d\x0d\x0a|[\xe2\xe6]epg"),
}
"""Where a block that we know may begin, by the section's byte order."""


class BlockScanner:
    """``first`` is what has been read of ``file`` already. ``order`` is the current section's byte order."""

    def __init__(self, file: BinaryIO, first: bytes) -> None:
        self._file = file
        self._buffer = first
        self._at = 0
        self._ended = False
        self.order = "<"
        self._head = struct.Struct("<II")
        self._u32 = struct.Struct("<I")

    def blocks(self) -> Iterator[Step]:
        while True:
            at, buffer = self._at, self._buffer
            if len(buffer) - at < 12:
                self._fill(12)
                at, buffer = self._at, self._buffer
                if len(buffer) == at:
                    return
                if len(buffer) - at < 12:
                    yield CUT, buffer, at, len(buffer)
                    return
            kind, total = self._head.unpack_from(buffer, at)
            if kind == SECTION_HEADER:
                self._use(self._order_at(at))
                total = self._u32.unpack_from(buffer, at + 4)[0]
            if total < 12 or total & 3 or total > MAX_BLOCK_BYTES:
                yield self._damage(may_be_cut=False)
                continue
            if len(buffer) - at < total:
                self._fill(total)
                at, buffer = self._at, self._buffer
                if len(buffer) - at < total:
                    yield self._damage(may_be_cut=True)
                    continue
            end = at + total
            # The filler's trailing length is stale while it travels (``insert``).
            if self._u32.unpack_from(buffer, end - 4)[0] != total and kind != FILLER:
                yield self._damage(may_be_cut=False)
                continue
            self._at = end
            yield kind, buffer, at + 8, end - 4

    def _use(self, order: str) -> None:
        if order != self.order:
            self.order = order
            self._head = struct.Struct(order + "II")
            self._u32 = struct.Struct(order + "I")

    def _order_at(self, at: int) -> str:
        """The byte order that a section header at ``at`` sets; as it was, if it sets none."""
        return _ORDERS.get(self._buffer[at + 8 : at + 12], self.order)

    def _fill(self, length: int) -> None:
        """At least ``length`` unread bytes in the buffer, unless the file ends before."""
        missing = length - (len(self._buffer) - self._at)
        if missing > 0 and not self._ended:
            wanted = max(missing, _READ_BYTES)
            more = read_all(self._file, wanted)
            self._ended = len(more) < wanted
            self._buffer = self._buffer[self._at :] + more
            self._at = 0

    def _damage(self, *, may_be_cut: bool) -> Step:
        """Move to the next plausible block. A block that reaches beyond the file's end is cut if there is none."""
        self._at += 1
        skipped = 1
        while True:
            found = _PLAUSIBLE[self.order].search(self._buffer, self._at)
            if found:
                skipped += found.start() - self._at
                self._at = found.start()
                if self._is_block():
                    return DAMAGED, b"", 0, skipped
                self._at += 1
                skipped += 1
                continue
            keep = max(len(self._buffer) - 3, self._at)
            skipped += keep - self._at
            self._at = keep
            if self._ended:
                skipped += len(self._buffer) - self._at
                self._at = len(self._buffer)
                return (CUT if may_be_cut else DAMAGED), b"", 0, skipped
            self._fill(len(self._buffer) - self._at + 1)

    def _is_block(self) -> bool:
        """Whether a whole block of a kind that we know stands at the present place; sets the order if it does."""
        self._fill(12)
        if len(self._buffer) - self._at < 12:
            return False
        section = self._buffer.startswith(_SECTION_HEADER_BYTES, self._at)
        order = self._order_at(self._at) if section else self.order
        u32 = struct.Struct(order + "I")
        total = u32.unpack_from(self._buffer, self._at + 4)[0]
        if total < (28 if section else 12) or total & 3 or total > MAX_BLOCK_BYTES:
            return False
        self._fill(total)
        if len(self._buffer) - self._at < total or u32.unpack_from(self._buffer, self._at + total - 4)[0] != total:
            return False
        if u32.unpack_from(self._buffer, self._at)[0] == ENHANCED_PACKET:
            return total >= 32 and bool(u32.unpack_from(self._buffer, self._at + 20)[0] <= total - 32)
        self._use(order)
        return True
