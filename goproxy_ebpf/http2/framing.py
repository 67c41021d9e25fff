"""Bytes of one direction to frames, cut at their 9-byte headers (RFC 9113 §4.1).

Three outcomes: a ``RawFrame`` (time of the event that completed it) · nothing, more bytes are needed (at most one
payload of ``MAX_PAYLOAD`` is kept) · there is no error: any bytes are frames of some type and length.

The payload of DATA, and of any frame longer than ``MAX_PAYLOAD``, is counted through and not kept.
"""

from struct import Struct

import msgspec

from ..records.common import Direction
from .names import DATA, PADDED

MAX_PAYLOAD = 1 << 20
"""The longest payload that is kept, in bytes. SETTINGS_MAX_FRAME_SIZE is 16,384 unless raised (Go 1.27: 2^20)."""

HEADER_LENGTH = 9
HEADER = Struct(">BHBBL")


class RawFrame(msgspec.Struct, gc=False):
    """A frame before its payload is read. ``payload`` is None where it was too long to be kept.

    Of DATA it is only the Pad Length octet, if there is one. ``after_gap`` marks the first frame after missing bytes.
    """

    at_ns: int
    direction: Direction
    type: int
    flags: int
    stream: int
    length: int
    payload: bytes | None
    after_gap: bool = False


class Cutter:
    """Cuts one direction; starts at a frame boundary."""

    def __init__(self, direction: Direction) -> None:
        self._direction = direction
        self._head = b""  # an unfinished header
        self._frame: RawFrame | None = None  # an unfinished frame
        self._left = 0  # bytes of its payload still to come
        self._keep: bytearray | None = None  # its payload so far, if that is kept

    @property
    def unfinished(self) -> int:
        """Bytes seen of a frame that is not complete."""
        if self._frame is None:
            return len(self._head)
        return HEADER_LENGTH + self._frame.length - self._left

    def cut(self, data: bytes, at_ns: int) -> list[RawFrame]:
        """The frames that ``data`` completes; all of it is consumed."""
        frames: list[RawFrame] = []
        position = 0
        end = len(data)
        direction = self._direction
        while position < end:
            frame = self._frame
            if frame is not None:
                position = self._go_on(frame, data, position)
                if self._left:
                    break
                if self._keep is not None:
                    frame.payload = bytes(self._keep)
                    self._keep = None
                frame.at_ns = at_ns
                frames.append(frame)
                self._frame = None
                continue
            if self._head or end - position < HEADER_LENGTH:
                missing = HEADER_LENGTH - len(self._head)
                self._head += data[position : position + missing]
                position += missing
                if len(self._head) < HEADER_LENGTH:
                    break
                high, low, kind, flags, stream = HEADER.unpack(self._head)
                self._head = b""
            else:
                high, low, kind, flags, stream = HEADER.unpack_from(data, position)
                position += HEADER_LENGTH
            length = high << 16 | low
            stream &= 0x7FFFFFFF  # the reserved bit is ignored, §4.1
            frame = RawFrame(at_ns, direction, kind, flags, stream, length, b"")
            if length <= end - position:
                if kind == DATA:
                    if flags & PADDED:
                        frame.payload = data[position : position + 1]
                        if not length:
                            frame.payload = b""
                elif length <= MAX_PAYLOAD:
                    frame.payload = data[position : position + length]
                else:
                    frame.payload = None
                position += length
                frames.append(frame)
                continue
            self._frame = frame
            self._left = length
            if kind != DATA:
                if length <= MAX_PAYLOAD:
                    self._keep = bytearray()
                else:
                    frame.payload = None
        return frames

    def _go_on(self, frame: RawFrame, data: bytes, position: int) -> int:
        take = min(self._left, len(data) - position)
        if self._keep is not None:
            self._keep += data[position : position + take]
        elif frame.type == DATA and frame.flags & PADDED and self._left == frame.length and take:
            frame.payload = data[position : position + 1]
        self._left -= take
        return position + take
