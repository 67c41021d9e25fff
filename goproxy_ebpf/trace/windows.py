"""Flow-control windows (RFC 9113 §5.2), summed up: what one side granted, and how low it went."""

import msgspec

from ..records.log import Frame

MAX_STREAMS = 65_536
"""Streams of one connection that are told apart. A peer may name 2^31 of them for 13 bytes each; the rest share one."""


class Window(msgspec.Struct):
    """One window, in bytes. None where no frame said it.

    ``start`` is the window before the first frame that moved it, ``initial`` before the first DATA (so with the credit
    of a preamble's WINDOW_UPDATE), ``lowest`` the lowest that a DATA frame left. ``updates`` counts WINDOW_UPDATEs,
    ``update_bytes`` adds up their increments; ``data_frames`` and ``data_bytes`` (padding included) what used it up.
    """

    start: int | None = None
    initial: int | None = None
    lowest: int | None = None
    updates: int = 0
    update_bytes: int = 0
    data_frames: int = 0
    data_bytes: int = 0

    @property
    def credit(self) -> int:
        """What WINDOW_UPDATEs added before the first DATA."""
        return self.initial - self.start if self.initial is not None and self.start is not None else 0

    def update(self, increment: int, change: tuple[int, int] | None) -> None:
        self.updates += 1
        self.update_bytes += increment
        if change is not None:
            if self.start is None:
                self.start = change[0]
            if not self.data_frames:
                self.initial = change[1]

    def data(self, length: int, change: tuple[int, int] | None) -> None:
        if change is not None:
            if self.start is None:
                self.start = change[0]
            if self.initial is None:
                self.initial = change[0]
            if self.lowest is None or change[1] < self.lowest:
                self.lowest = change[1]
        self.data_frames += 1
        self.data_bytes += length


class Grants(msgspec.Struct):
    """The windows that one side grants: its WINDOW_UPDATEs raise them, the other side's DATA lowers them.

    ``others`` stands for all streams beyond the first ``MAX_STREAMS``.
    """

    connection: Window = msgspec.field(default_factory=Window)
    streams: dict[int, Window] = {}
    others: Window = msgspec.field(default_factory=Window)

    def stream(self, number: int) -> Window:
        window = self.streams.get(number)
        if window is None:
            if len(self.streams) >= MAX_STREAMS:
                return self.others
            window = self.streams[number] = Window()
        return window

    def update(self, frame: Frame) -> None:
        """A WINDOW_UPDATE that the granting side sent."""
        increment = frame.increment or 0
        change = frame.window
        if frame.stream == 0:
            self.connection.update(increment, change.conn if change else None)
        else:
            self.stream(frame.stream).update(increment, change.stream if change else None)

    def data(self, frame: Frame) -> None:
        """A DATA frame that the granting side received."""
        change = frame.window
        self.connection.data(frame.length, change.conn if change else None)
        self.stream(frame.stream).data(frame.length, change.stream if change else None)

    @property
    def stream_updates(self) -> int:
        return sum(window.updates for window in self.streams.values()) + self.others.updates

    @property
    def stream_update_bytes(self) -> int:
        return sum(window.update_bytes for window in self.streams.values()) + self.others.update_bytes
