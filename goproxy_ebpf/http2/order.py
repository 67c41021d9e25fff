"""Puts the frames of both directions in the order of their times while one direction is behind.

A direction's bytes are readable once its secret is known. A secret found late delivers a whole backlog at once, with
the times at which the bytes passed. Windows and streams need both directions in order, so whatever proves that the
other side has spoken waits until that is read: frames of the server wait for the client's preface (RFC 9113 §3.4),
frames of the client from its first SETTINGS ACK on (§6.5.3) for the server's first frame.

Waiting frames are merged by time with the backlog when it comes, and let go when their own direction goes on (the
backlog is over then). At most ``MAX_WAITING`` wait; beyond, they are let go unordered, and ``ordered`` is False.
"""

from collections import deque

import msgspec

from ..records.common import Direction
from .framing import RawFrame
from .names import ACK, SETTINGS

MAX_WAITING = 50_000
MAX_WAITING_BYTES = 4 << 20


class Missing(msgspec.Struct, gc=False):
    """Bytes of one direction that give no frame. ``lost`` is False for a mere end inside a frame."""

    at_ns: int
    direction: Direction
    length: int
    reason: str
    lost: bool = True


class Ended(msgspec.Struct, gc=False):
    """One direction's orderly end."""

    at_ns: int
    direction: Direction


Item = RawFrame | Missing | Ended


class Order:
    """``push`` gives the items that are in order by now, ``flush`` all that wait."""

    def __init__(self, client: Direction) -> None:
        self.ordered = True
        self._client = client
        self._begun: set[Direction] = set()
        self._waiting: deque[Item] = deque()
        self._waiting_bytes = 0

    @property
    def idle(self) -> bool:
        """Nothing waits and nothing will: items may pass by."""
        return len(self._begun) == 2 and not self._waiting

    def begin(self, direction: Direction) -> None:
        """The preface was seen: what comes in ``direction`` can be read from its beginning."""
        self._begun.add(direction)

    def push(self, item: Item) -> list[Item]:
        direction = item.direction
        other = direction.other
        if direction is not self._client and type(item) is not Ended:
            self._begun.add(direction)
        waiting = self._waiting
        if waiting and waiting[0].direction is other:
            ready: list[Item] = []
            while waiting and waiting[0].at_ns < item.at_ns:
                ready.append(waiting.popleft())
            ready.append(item)
            return ready
        if waiting and other in self._begun:
            return [*self.flush(), item]
        if waiting or (other not in self._begun and self._must_wait(item)):
            return self._wait(item)
        return [item]

    def flush(self) -> list[Item]:
        ready = list(self._waiting)
        self._waiting.clear()
        self._waiting_bytes = 0
        if ready and len(self._begun) < 2:
            self.ordered = False
        return ready

    def give_up(self) -> list[Item]:
        """The other direction will not be read from its beginning: nothing waits any more."""
        ready = self.flush()
        self._begun = {Direction.SEND, Direction.RECV}
        return ready

    def _must_wait(self, item: Item) -> bool:
        if item.direction is not self._client:
            return True
        return type(item) is RawFrame and item.type == SETTINGS and bool(item.flags & ACK)

    def _wait(self, item: Item) -> list[Item]:
        self._waiting.append(item)
        if type(item) is RawFrame and item.payload:
            self._waiting_bytes += len(item.payload)
        if len(self._waiting) > MAX_WAITING or self._waiting_bytes > MAX_WAITING_BYTES:
            self.ordered = False
            return self.give_up()
        return []
