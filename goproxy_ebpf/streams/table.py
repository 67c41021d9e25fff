"""The connections of a run by their ends: those that are open, and those that were.

A record's network namespace can be unknown (0): some kernels do not let the packet hook read it, and files of other
programs have none. Then the ends alone decide.
"""

from collections import OrderedDict
from collections.abc import Iterator

from .addresses import Key, key_of
from .connection import Connection

MAX_CLOSED = 65_536


class Closed:
    """What is remembered of a closed connection, to know its late packets."""

    __slots__ = ("initial", "number")

    def __init__(self, connection: Connection) -> None:
        self.number = connection.number
        self.initial = connection.initial


class Table:
    """``find`` and ``find_closed`` take the two ends in any order."""

    def __init__(self) -> None:
        self._open: OrderedDict[Key, Connection] = OrderedDict()
        self._of_ends: dict[tuple[bytes, bytes], Connection] = {}
        self._by_number: dict[int, Connection] = {}
        self._closed: OrderedDict[Key, Closed] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self._open.values()))

    def __contains__(self, connection: Connection) -> bool:
        return self._open.get(connection.key) is connection

    @property
    def oldest(self) -> Connection:
        return next(iter(self._open.values()))

    def numbered(self, number: int) -> Connection | None:
        return self._by_number.get(number)

    def find(self, netns: int, one: bytes, other: bytes) -> Connection | None:
        key = key_of(netns, one, other)
        found = self._open.get(key)
        if found is None:
            _, low, high = key
            found = self._open.get((0, low, high)) if netns else self._of_ends.get((low, high))
        return found

    def find_closed(self, netns: int, one: bytes, other: bytes) -> Closed | None:
        key = key_of(netns, one, other)
        return self._closed.get(key) or self._closed.get((0, *key[1:]))

    def add(self, connection: Connection) -> None:
        key = connection.key
        self._open[key] = connection
        self._of_ends[key[1:]] = connection
        self._by_number[connection.number] = connection
        self._closed.pop(key, None)
        self._closed.pop((0, *key[1:]), None)

    def close(self, connection: Connection, keys: set[Key]) -> None:
        """It is over. ``keys``: those that its packets may have beside its own."""
        key = connection.key
        del self._open[key]
        del self._by_number[connection.number]
        if self._of_ends.get(key[1:]) is connection:
            del self._of_ends[key[1:]]
        closed = Closed(connection)
        for each in keys | {key}:
            if each not in self._open:
                self._closed.pop(each, None)
                self._closed[each] = closed
        while len(self._closed) > MAX_CLOSED:
            self._closed.popitem(last=False)
