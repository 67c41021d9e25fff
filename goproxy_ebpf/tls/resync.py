"""Finding a record again when the boundary is lost: only a tag that verifies is believed.

A place is worth trying where a header stands whose length fits and behind whose record another header stands (or
nothing is there yet). Between the last boundary and that place lie so and so many bytes, hence between so and so many
records: these are the sequence numbers to try, in ascending order, at most ``MOST_SEQUENCES`` a place and key.

The cost is bounded: a direction may try ``MOST_TRIES`` tags in all (2.5 µs for a small record, 8 µs for a full one:
0.04 to 0.13 s), and earns ``EARNED_TRIES`` back with each record that opens. Then it is given up.
"""

import re
from collections.abc import Iterator, Sequence

import msgspec

from .buffer import Stretch
from .keys import HEADER_LENGTH, Key

MOST_TRIES = 16_384
MOST_SEQUENCES = 4_096
EARNED_TRIES = 16
# Within so many bytes of an unharmed stream several records begin.
LONGEST_SEARCH = 1 << 17

LONGEST_BODY_12 = (1 << 14) + 2048  # RFC 5246 §6.2.3
LONGEST_BODY_13 = (1 << 14) + 256  # RFC 8446 §5.2
_SHORTEST_RECORD = HEADER_LENGTH + 16
_LONGEST_RECORD = HEADER_LENGTH + LONGEST_BODY_12

_HEADER_13 = re.compile(rb"\x17\x03\x03[\x00-\x41]")
_HEADER_12 = re.compile(rb"[\x14-\x17]\x03[\x01-\x03][\x00-\x48]")


class Lost:
    """A boundary that is lost. ``length`` bytes lie between the last one known and the first stretch's ``position``."""

    def __init__(self, *, boundary: bool = False) -> None:
        self.length = 0
        self.boundary = boundary  # the place is known, only the key is not
        self.searched: int | None = None  # up to where in the first stretch


class Candidate(msgspec.Struct, frozen=True):
    """A key and the sequence number of the first record behind the last boundary.

    ``follows`` is True where every byte since then was protected by this very key.
    """

    key: Key
    sequence: int
    follows: bool


class Found(msgspec.Struct, frozen=True):
    index: int
    key: Key
    sequence: int


class Trials:
    """How many tags may still be tried."""

    def __init__(self) -> None:
        self.left = MOST_TRIES

    def earn(self) -> None:
        self.left = min(MOST_TRIES, self.left + EARNED_TRIES)


def body_length(data: bytearray, index: int) -> int:
    return data[index + 3] << 8 | data[index + 4]


def places(stretch: Stretch, index: int, *, tls13: bool) -> Iterator[tuple[int, int]]:
    """Where records may begin, with the index behind their end (which may lie behind the data)."""
    data = stretch.data
    pattern = _HEADER_13 if tls13 else _HEADER_12
    longest = LONGEST_BODY_13 if tls13 else LONGEST_BODY_12
    while (match := pattern.search(data, index)) is not None:
        start = match.start()
        index = start + 1
        if start + HEADER_LENGTH > len(data):
            yield start, start + HEADER_LENGTH
            return
        length = body_length(data, start)
        end = start + HEADER_LENGTH + length
        if length <= longest and (end + 4 > len(data) or _HEADER_12.match(data, end)):
            yield start, end


def find(
    stretch: Stretch, lost: Lost, candidates: Sequence[Candidate], trials: Trials, *, more: bool, tls13: bool
) -> Found | None:
    """The first record that opens; None: there is none up to ``lost.searched``.

    ``more``: bytes may still come, so the search stops at a record that is not whole.
    """
    start = stretch.index(lost.searched) if lost.searched is not None else stretch.position
    for index, end in places(stretch, max(start, stretch.position), tls13=tls13):
        if end > len(stretch.data):
            if more:
                lost.searched = stretch.place(index)
                return None
            continue
        passed = lost.length + index - stretch.position
        for candidate in candidates:
            least = -(-passed // _LONGEST_RECORD) if candidate.follows and lost.length else 0
            most = min(passed // _SHORTEST_RECORD, least + MOST_SEQUENCES)
            for sequence in range(candidate.sequence + least, candidate.sequence + most + 1):
                if trials.left <= 0:
                    return None
                trials.left -= 1
                if candidate.key.open(sequence, stretch.data, index, end - index - HEADER_LENGTH) is not None:
                    return Found(index, candidate.key, sequence)
    lost.searched = stretch.place(max(stretch.position, len(stretch.data) - 3))
    return None
