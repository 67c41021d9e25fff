"""One direction of an HTTP/2 connection: plaintext to frames, over gaps.

Outcomes: frames in the order sent · ``Missing`` for bytes that give none · nothing yet. There is no error.
"""

from collections.abc import Sequence

from ..records.common import Direction
from .framing import Cutter, RawFrame
from .names import DEFAULT_MAX_FRAME_SIZE, PREFACE
from .order import Item, Missing
from .resync import BLIND_CHAIN, CHAIN, Resync, Streams


class Reader:
    """``client``: a preface is due. ``begun`` is True once it was seen, or from the start where none is due."""

    def __init__(self, direction: Direction, streams: Streams, *, client: bool, late: bool) -> None:
        self.late = late
        self.begun = not late and not client
        self.max_frame = DEFAULT_MAX_FRAME_SIZE
        self._direction = direction
        self._streams = streams
        self._cutter = Cutter(direction)
        self._preface = b"" if client and not late else None
        self._resync = self._search(BLIND_CHAIN) if late else None
        self._reason = "joined in mid-stream"
        self._first = late
        self._ended = False
        self._behind = 0  # bytes seen behind the end

    def read(self, data: bytes, at_ns: int) -> Sequence[Item]:
        """The frames that ``data`` completes. Bytes behind the direction's end are only counted."""
        if self._ended or not data:
            self._behind += len(data)
            return ()
        if self._preface is not None:
            return self._start(self._preface + data, at_ns)
        if self._resync is not None:
            return self._find(self._resync, data, at_ns)
        if not self._first:
            return self._cutter.cut(data, at_ns)
        return self._marked(self._cutter.cut(data, at_ns))

    def gap(self, length: int, at_ns: int, reason: str) -> Sequence[Item]:
        """Bytes are missing here: what is unfinished goes with them."""
        self._reason = reason
        partial = self._unfinished()
        self.late = self.late or self._preface is not None
        self._preface = None
        self._cutter = Cutter(self._direction)
        self._resync = self._search(BLIND_CHAIN if self.late else CHAIN)
        self._first = True
        items: list[Item] = [Missing(at_ns, self._direction, length, reason)]
        if partial:
            items.append(Missing(at_ns, self._direction, partial, f"{reason}: the unfinished frame before it"))
        return items

    def end(self, at_ns: int, reason: str) -> Sequence[Item]:
        """No more bytes come."""
        partial = self._unfinished()
        inside = "no frame found" if self._resync is not None else "ended inside a frame"
        items = [Missing(at_ns, self._direction, partial, f"{reason}: {inside}", lost=False)] if partial else []
        if self._behind:
            items.append(Missing(at_ns, self._direction, self._behind, f"{reason}: bytes behind the end", lost=False))
        self._ended = True
        self._behind = 0
        self._resync = self._preface = None
        self._cutter = Cutter(self._direction)
        return items

    def _search(self, chain: int) -> Resync:
        return Resync(self._streams, self.max_frame, chain)

    def _unfinished(self) -> int:
        if self._resync is not None:
            return self._resync.skipped + self._resync.waiting
        return len(self._preface) if self._preface is not None else self._cutter.unfinished

    def _start(self, data: bytes, at_ns: int) -> Sequence[Item]:
        if data.startswith(PREFACE):
            self._preface = None
            self.begun = True
            return self._cutter.cut(data[len(PREFACE) :], at_ns)
        if PREFACE.startswith(data):
            self._preface = data
            return []
        self._preface = None
        self.late = True
        self._first = True
        self._reason = "RFC 9113 §3.4: no client connection preface"
        self._resync = self._search(BLIND_CHAIN)
        return [Missing(at_ns, self._direction, 0, self._reason), *self._find(self._resync, data, at_ns)]

    def _find(self, resync: Resync, data: bytes, at_ns: int) -> Sequence[Item]:
        resync.feed(data, at_ns)
        if not resync.found:
            return []
        self._resync = None
        items: list[Item] = []
        if resync.skipped:
            items.append(Missing(at_ns, self._direction, resync.skipped, f"{self._reason}: skipped to a frame's start"))
        frames: list[RawFrame] = []
        for piece, piece_ns in resync.take():
            frames += self._cutter.cut(piece, piece_ns)
        return [*items, *self._marked(frames)]

    def _marked(self, frames: list[RawFrame]) -> list[RawFrame]:
        if frames:
            frames[0].after_gap = True
            self._first = False
        return frames
