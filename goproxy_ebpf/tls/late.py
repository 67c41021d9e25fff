"""Placing a traffic secret that was read out of a process's memory: believed only when a record opens with it.

Tried are the sequence number that was read with it, and 0 where the stream's records are known from its handshake on,
against every record that waits, in order: at most ``MOST_TRIES`` tags a secret and direction. Once one record has
opened, the records before it follow from it by counting.
"""

from collections.abc import Iterator

import msgspec

from ..records.capture import TrafficSecret
from .buffer import Buffer, Stretch
from .handshake import Handshake
from .keys import HEADER_LENGTH, Epoch, Key13, Suite
from .resync import body_length, places

MOST_TRIES = 4_096
_KEY_UPDATE_RECORD = HEADER_LENGTH + 5 + 1 + 16  # RFC 8446 §4.6.3, without padding


class LateSecret:
    """A secret, with the keys that it makes; ``used`` once some record was opened with it."""

    def __init__(self, record: TrafficSecret) -> None:
        self.record = record
        self.used = False
        self._keys: dict[Suite, Key13] = {}

    def keys(self, handshake: Handshake) -> list[Key13]:
        suites = handshake.suites(self.record.secret)
        for suite in suites:
            if suite not in self._keys:
                self._keys[suite] = Key13(suite, self.record.secret, Epoch.APPLICATION)
        return [self._keys[suite] for suite in suites]


class Placed(msgspec.Struct, frozen=True):
    """``records``: where the stretch's records begin, from the first one known to the one before that opened."""

    stretch: Stretch
    index: int
    key: Key13
    sequence: int
    records: tuple[int, ...]

    @property
    def after_key_update(self) -> bool:
        """Whether the record before may be a KeyUpdate: then it was the same application data before it.

        A Finished is always longer (RFC 8446 §4.4.4: at least a hash); padding, which no library adds to a KeyUpdate
        of its own accord, could deceive us here.
        """
        before = [index for index in self.records if index < self.index]
        return bool(before) and self.index - before[-1] == _KEY_UPDATE_RECORD


class Attempt:
    """One secret against one direction; remembers what was tried."""

    def __init__(self, late: LateSecret) -> None:
        self.late = late
        self.left = MOST_TRIES
        self._stretch: Stretch | None = None
        self._place = 0

    def place(self, buffer: Buffer, handshake: Handshake, *, boundary: bool, more: bool) -> Placed | None:
        """``boundary``: the first stretch begins with a record. ``more``: bytes may still come."""
        record = self.late.record
        keys = self.late.keys(handshake)
        if self._stretch is None or self._stretch.dropped:
            self._stretch, self._place = buffer.first, 0
        stretch: Stretch | None = self._stretch
        while stretch is not None and keys:
            known = boundary and stretch is buffer.first
            sequences = {record.sequence, 0} if known else {record.sequence}
            start = max(stretch.position, stretch.index(self._place))
            self._stretch = stretch
            for index, end in _chain(stretch, start) if known else places(stretch, start, tls13=True):
                if end > len(stretch.data):
                    if more or known:
                        break
                    continue
                self._place = stretch.place(end if known else index + 1)
                if stretch.data[index] != 0x17:
                    continue
                prefix = record.record[: end - index]
                for sequence in sequences:
                    if prefix and sequence == record.sequence and not stretch.data.startswith(prefix, index):
                        continue
                    for key in keys:
                        if self.left <= 0:
                            return None
                        self.left -= 1
                        if key.open(sequence, stretch.data, index, end - index - HEADER_LENGTH) is not None:
                            return _first(stretch, index, key, sequence, boundary=known)
            if stretch.following is not None:
                self._place = 0
            stretch = stretch.following
        return None


def _chain(stretch: Stretch, index: int) -> Iterator[tuple[int, int]]:
    """The records of a stretch from a boundary on, with the index behind their end."""
    data = stretch.data
    while len(data) - index >= HEADER_LENGTH and 0x14 <= data[index] <= 0x18 and data[index + 1] == 3:
        end = index + HEADER_LENGTH + body_length(data, index)
        yield index, end
        index = end


def _first(stretch: Stretch, index: int, key: Key13, sequence: int, *, boundary: bool) -> Placed:
    """The first record that opens with a key that opens the one at ``index``: those before it follow by counting."""
    records = _records(stretch, stretch.position, index)
    if not records and not boundary:
        starts = (start for start, end in places(stretch, stretch.position, tls13=True) if end <= index)
        for _, start in zip(range(64), starts, strict=False):
            if records := _records(stretch, start, index):
                break
    sealed = [start for start in records if stretch.data[start] == 0x17]
    for before in range(min(len(sealed), sequence), 0, -1):
        start = sealed[-before]
        if key.open(sequence - before, stretch.data, start, body_length(stretch.data, start)) is not None:
            return Placed(stretch, start, key, sequence - before, tuple(records))
    return Placed(stretch, index, key, sequence, tuple(records))


def _records(stretch: Stretch, start: int, stop: int) -> list[int]:
    """The records from ``start`` up to exactly ``stop``; empty where ``stop`` is no boundary for ``start``."""
    found: list[int] = []
    for index, end in _chain(stretch, start):
        if index >= stop:
            return found if index == stop else []
        found.append(index)
        if end == stop:
            return found
    return []
