"""The second view of what a process sends: bytes read out of its own buffer at the egress hook, by stream offset.

The hook fires once per turn of the kernel's send loop, each time with all that is left of the send: the same bytes are
offered again and again, from a later offset on. What is offered at an offset stands until something else is offered
there (a send that the socket did not take may be given up, and other bytes follow): so a new record replaces all from
its own offset on, and what lies before that offset was accepted.

Bytes are kept until packets confirm them, ``MAX_KEPT`` at most: the oldest go first.
"""

from collections import deque
from collections.abc import Iterator

MAX_KEPT = 8 << 20


class EgressView:
    """One connection's offered bytes. ``matches``: None until bytes of both views were compared, then whether all of
    them were equal. ``offered``: how many different sequence bytes were offered.
    """

    __slots__ = ("_kept", "_offered_to", "chunks", "matches", "offered")

    def __init__(self) -> None:
        self.chunks: deque[tuple[int, bytes, int]] = deque()
        self._kept = 0
        self._offered_to: int | None = None
        self.offered = 0
        self.matches: bool | None = None

    @property
    def end(self) -> int:
        """The offset behind the last byte that is kept; 0 if there is none."""
        if not self.chunks:
            return 0
        offset, data, _ = self.chunks[-1]
        return offset + len(data)

    def add(self, offset: int, seen: int, data: bytes, at_ns: int, confirmed: int) -> None:
        """``seen`` bytes were offered at ``offset``, ``data`` of them are known. All before ``confirmed`` is over."""
        end = offset + seen
        known_to = offset if self._offered_to is None else self._offered_to
        self.offered += max(0, end - max(offset, known_to))
        self._offered_to = max(end, known_to)
        while self.chunks and self.chunks[-1][0] >= offset:
            self._kept -= len(self.chunks.pop()[1])
        if self.chunks:
            before, kept, before_ns = self.chunks[-1]
            if before + len(kept) > offset:
                self.chunks[-1] = (before, kept[: offset - before], before_ns)
                self._kept -= before + len(kept) - offset
        if offset < confirmed:
            data = data[confirmed - offset :]
            offset = confirmed
        if data:
            self.chunks.append((offset, data, at_ns))
            self._kept += len(data)
            while self._kept > MAX_KEPT:
                self._kept -= len(self.chunks.popleft()[1])

    def compare(self, offset: int, data: bytes) -> None:
        """Packets had ``data`` at ``offset``, in order: compare, and let go of all up to there."""
        end = offset + len(data)
        for start, chunk, _ in self.chunks:
            if start >= end:
                break
            low = max(start, offset)
            high = min(start + len(chunk), end)
            if low < high:
                part = data if high - low == len(data) else data[low - offset : high - offset]
                self.matches = chunk.startswith(part, low - start) and self.matches is not False
        self.release(end)

    def release(self, offset: int) -> None:
        """Let go of the chunks that end at or before ``offset``."""
        while self.chunks and self.chunks[0][0] + len(self.chunks[0][1]) <= offset:
            self._kept -= len(self.chunks.popleft()[1])

    def between(self, start: int, end: int) -> Iterator[tuple[int, bytes, int]]:
        """What is kept of [start, end), in order: (offset, bytes, time of the record)."""
        for offset, chunk, at_ns in self.chunks:
            if offset >= end:
                return
            low = max(offset, start)
            high = min(offset + len(chunk), end)
            if low < high:
                yield low, chunk[low - offset : high - offset], at_ns
