"""The flow-control ledger: what each side may still send (RFC 9113 §5.2, §6.9).

A window is moved by the frames of the direction that it limits (DATA) and of the other one (WINDOW_UPDATE, SETTINGS).
All of them count from the moment they are seen here: a grant made by go counts from when go sends it, though the peer
can use it only when it arrives. So "the window is at 0" means go has granted no more, not that the peer knows of more.

Without the connection's beginning, or with bytes missing, there is no ledger: windows are unknown, never guessed.
"""

from ..records.common import Direction
from ..records.log import WindowChange
from .names import DEFAULT_WINDOW


class Window:
    """The windows that limit DATA in one direction: the connection's, and each open stream's.

    A stream's window is the initial size plus its own movements, so that a change of
    SETTINGS_INITIAL_WINDOW_SIZE moves all of them at once, below 0 if need be (§6.9.2).
    """

    def __init__(self) -> None:
        self.conn = DEFAULT_WINDOW
        self.initial = DEFAULT_WINDOW
        self._moved: dict[int, int] = {}

    def stream(self, stream: int) -> int:
        """A stream's window now, in bytes."""
        return self.initial + self._moved.get(stream, 0)

    def move_conn(self, by: int) -> tuple[int, int]:
        before = self.conn
        self.conn = after = before + by
        return before, after

    def move_stream(self, stream: int, by: int) -> tuple[int, int]:
        moved = self._moved.get(stream, 0)
        self._moved[stream] = moved + by
        before = self.initial + moved
        return before, before + by

    def forget(self, stream: int) -> None:
        self._moved.pop(stream, None)


class Ledger:
    """Both directions' windows of one connection. ``known`` turns False for good when bytes are missing."""

    def __init__(self, *, known: bool) -> None:
        self.known = known
        self.limits = {Direction.SEND: Window(), Direction.RECV: Window()}

    def data(self, direction: Direction, stream: int, length: int, *, is_open: bool) -> WindowChange | None:
        """DATA takes its whole payload, padding included, off both windows (§6.9.1); of a closed stream off one."""
        window = self.limits[direction]
        conn = window.move_conn(-length)
        moved = window.move_stream(stream, -length) if is_open else None
        return WindowChange(conn, moved) if self.known else None

    def update(self, direction: Direction, stream: int, increment: int, *, is_open: bool) -> WindowChange | None:
        """A WINDOW_UPDATE moves the window of the other direction's DATA."""
        window = self.limits[direction.other]
        if stream == 0:
            change = WindowChange(conn=window.move_conn(increment))
        elif is_open:
            change = WindowChange(stream=window.move_stream(stream, increment))
        else:
            return None
        return change if self.known else None

    def initial(self, direction: Direction, size: int) -> None:
        """SETTINGS_INITIAL_WINDOW_SIZE, sent in ``direction``, concerns the other direction's streams (§6.9.2)."""
        self.limits[direction.other].initial = size

    def forget(self, stream: int) -> None:
        """The stream is closed."""
        for window in self.limits.values():
            window.forget(stream)
