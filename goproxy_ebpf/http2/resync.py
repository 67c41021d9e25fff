"""Finding frames again behind missing bytes.

Plaintext goes on at a TLS record's start, which need not be a frame's. A boundary is believed only where a chain of
``CHAIN`` frame headers, each at the place that the one before gives, is plausible in every field: a type of RFC 9113
with defined flags, a length that this type can have and that is within SETTINGS_MAX_FRAME_SIZE, a stream that is known
to be open (or may be opened, or closed, by that frame type), CONTINUATION where it must be and nowhere else. Of random
bytes fewer than one in 2^60 places passes. Where no stream is known the chain must have ``BLIND_CHAIN`` headers.

Outcomes: ``found`` is True, and ``take`` gives the bytes from the boundary on · nothing yet: a chain's frames are kept,
all else is skipped and counted.
"""

import re
from collections import deque
from collections.abc import Callable

from .framing import HEADER, HEADER_LENGTH
from .names import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PRIORITY,
    PRIORITY_FLAG,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    known_flags,
)

CHAIN = 3
BLIND_CHAIN = 5
MAX_LENGTH = 1 << 20

Streams = Callable[[int, int], bool]
"""``(frame type, stream) -> bool``: may such a frame stand on that stream now?"""

# Every header that RFC 9113 allows, lengths aside: length, type, flags, stream with the reserved bit 0.
_CANDIDATE = re.compile(
    rb"[\x00-\x10].."
    rb"(?:\x00[\x00\x01\x08\x09](?!\x00{4})[\x00-\x7f]"
    rb"|\x01[\x00\x01\x04\x05\x08\x09\x0c\x0d\x20\x21\x24\x25\x28\x29\x2c\x2d](?!\x00{4})[\x00-\x7f]"
    rb"|\x02\x00(?!\x00{4})[\x00-\x7f]"
    rb"|\x03\x00(?!\x00{4})[\x00-\x7f]"
    rb"|\x04[\x00\x01]\x00{4}"
    rb"|\x05[\x00\x04\x08\x0c](?!\x00{4})[\x00-\x7f]"
    rb"|\x06[\x00\x01]\x00{4}"
    rb"|\x07\x00\x00{4}"
    rb"|\x08\x00[\x00-\x7f])",
    re.DOTALL,
)

_EXACT = {PRIORITY: 5, RST_STREAM: 4, PING: 8, WINDOW_UPDATE: 4}
_AT_LEAST = {GOAWAY: 8, PUSH_PROMISE: 4, HEADERS: 1}
_ON_CONNECTION = frozenset((SETTINGS, PING, GOAWAY))


class Resync:
    """Searches one direction. ``skipped`` counts the bytes given up so far."""

    def __init__(self, streams: Streams, max_frame: int, chain: int) -> None:
        self.skipped = 0
        self.found = False
        self._streams = streams
        self._max_frame = min(max_frame, MAX_LENGTH)
        self._chain = chain
        self._buffer = bytearray()
        self._ends: deque[tuple[int, int]] = deque()  # (end of a piece in bytes ever fed, its time)
        self._fed = 0

    @property
    def waiting(self) -> int:
        """Bytes that are kept."""
        return len(self._buffer)

    def feed(self, data: bytes, at_ns: int) -> None:
        self._buffer += data
        self._fed += len(data)
        self._ends.append((self._fed, at_ns))
        position = 0
        while True:
            match = _CANDIDATE.search(self._buffer, position)
            # What is less than a header long may begin a header, wherever in it the pattern seems to match.
            if match is None or match.start() + HEADER_LENGTH > len(self._buffer):
                self._drop(max(position, len(self._buffer) - HEADER_LENGTH + 1))
                return
            position = match.start()
            verdict = self._follow(position)
            if verdict is not False:
                self._drop(position)
                self.found = verdict is True
                return
            position += 1

    def take(self) -> list[tuple[bytes, int]]:
        """The kept bytes in the pieces that they came in, each with its time."""
        pieces = []
        data = bytes(self._buffer)
        start = self._fed - len(data)
        position = 0
        for end, at_ns in self._ends:
            pieces.append((data[position : end - start], at_ns))
            position = end - start
        self._buffer.clear()
        self._ends.clear()
        return pieces

    def _drop(self, count: int) -> None:
        del self._buffer[:count]
        self.skipped += count
        start = self._fed - len(self._buffer)
        while self._ends and self._ends[0][0] <= start:
            self._ends.popleft()

    def _follow(self, position: int) -> bool | None:
        """Is there a chain from here on? None where the bytes seen do not reach."""
        block = 0  # the stream of an open header block
        for number in range(self._chain):
            if position + HEADER_LENGTH > len(self._buffer):
                return None
            high, low, kind, flags, stream = HEADER.unpack_from(self._buffer, position)
            length = high << 16 | low
            if stream > 0x7FFFFFFF or not self._plausible(kind, flags, stream, length):
                return False
            if number and (kind == CONTINUATION) != bool(block):
                return False
            if kind == CONTINUATION and stream != block:
                return False
            if kind in (HEADERS, PUSH_PROMISE, CONTINUATION):
                block = 0 if flags & END_HEADERS else stream
            position += HEADER_LENGTH + length
        return True

    def _plausible(self, kind: int, flags: int, stream: int, length: int) -> bool:
        if kind > CONTINUATION or flags & ~known_flags(kind) or length > self._max_frame:
            return False
        if kind in _EXACT and length != _EXACT[kind]:
            return False
        if kind == SETTINGS and (length % 6 or (flags and length)):
            return False
        least = _AT_LEAST.get(kind, 0)
        if kind in (DATA, HEADERS, PUSH_PROMISE) and flags & PADDED:
            least += 1
        if kind == HEADERS and flags & PRIORITY_FLAG:
            least += 5
        if length < least:
            return False
        if kind in _ON_CONNECTION:
            return stream == 0
        if kind == WINDOW_UPDATE and stream == 0:
            return True
        return stream != 0 and self._streams(kind, stream)
