"""One direction's bytes that have come and are not used up yet, with the times they came at and the holes in them."""

from collections import deque

import msgspec

# What Python keeps beside the bytes themselves, so that a bound in bytes bounds memory under any segmentation.
_MARK_COST = 96
_STRETCH_COST = 1024
_COMPACT = 1 << 18


class Hole(msgspec.Struct, frozen=True, gc=False):
    at_ns: int
    length: int
    reason: str


class Stretch:
    """Bytes without a hole. ``data[position:]`` is not used up yet; ``hole`` lies before the first byte."""

    __slots__ = ("_base", "_ends", "_times", "data", "dropped", "following", "hole", "kept_cost", "position")

    def __init__(self, hole: Hole | None) -> None:
        self.data = bytearray()
        self.position = 0
        self.hole = hole
        self.following: Stretch | None = None
        self.dropped = False
        self.kept_cost = 0  # what it was counted with when the next stretch began
        self._base = 0  # how many bytes were cut off in front of data
        self._ends: deque[int] = deque()  # counted from the stretch's first byte
        self._times: deque[int] = deque()

    def __len__(self) -> int:
        return len(self.data) - self.position

    def append(self, at_ns: int, data: bytes) -> None:
        self.data += data
        end = self._base + len(self.data)
        if self._times and self._times[-1] == at_ns:
            self._ends[-1] = end
        else:
            self._ends.append(end)
            self._times.append(at_ns)

    def time_of(self, length: int) -> int:
        """When the last of the next ``length`` bytes (at least 1) came. Not asked for fewer bytes later on."""
        end = self._base + self.position + length
        while self._ends[0] < end:
            self._ends.popleft()
            self._times.popleft()
        return self._times[0]

    def consume(self, length: int) -> int:
        """Uses bytes up, at least one; gives the time at which the last of them came."""
        at_ns = self.time_of(length)
        self.position += length
        if self.position >= _COMPACT or self.position == len(self.data):
            del self.data[: self.position]
            self._base += self.position
            self.position = 0
        return at_ns

    @property
    def used(self) -> int:
        """How many bytes of the stretch were used up: with it, a place can be kept while ``data`` moves."""
        return self._base + self.position

    def index(self, place: int) -> int:
        """Where in ``data`` the stretch's byte number ``place`` is."""
        return place - self._base

    def place(self, index: int) -> int:
        return self._base + index

    @property
    def first_at_ns(self) -> int:
        return self._times[0]

    @property
    def cost(self) -> int:
        return len(self) + _MARK_COST * len(self._ends)


class Buffer:
    """Stretches in order, at least one. A hole behind the last byte stands before a stretch that is still empty."""

    def __init__(self) -> None:
        self.stretches: deque[Stretch] = deque([Stretch(None)])
        self._kept_cost = 0

    @property
    def first(self) -> Stretch:
        return self.stretches[0]

    @property
    def only(self) -> bool:
        """Whether more bytes may still come behind those of the first stretch."""
        return len(self.stretches) == 1

    def append(self, at_ns: int, data: bytes) -> None:
        self.stretches[-1].append(at_ns, data)

    def hole(self, at_ns: int, length: int, reason: str) -> None:
        last = self.stretches[-1]
        last.kept_cost = last.cost + _STRETCH_COST
        self._kept_cost += last.kept_cost
        last.following = Stretch(Hole(at_ns, length, reason))
        self.stretches.append(last.following)

    def drop_first(self) -> Stretch:
        """Goes on to the next stretch, which is the first one then, and is given."""
        first = self.stretches.popleft()
        first.dropped = True
        self._kept_cost -= first.kept_cost
        return self.stretches[0]

    @property
    def length(self) -> int:
        """The bytes that are not used up, holes ahead included."""
        ahead = sum(stretch.hole.length for stretch in list(self.stretches)[1:] if stretch.hole)
        return ahead + sum(len(stretch) for stretch in self.stretches)

    @property
    def cost(self) -> int:
        """About how much memory this takes, in bytes: never less than the bytes themselves."""
        return self._kept_cost + self.stretches[-1].cost
