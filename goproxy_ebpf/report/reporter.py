"""Records in, text out, for those who print as a run goes on and those who read it back: what makes the report at a
run's end and the report of its file one text.
"""

from ..records.log import Frame, LogRecord
from ..trace import Trace
from .frames import FrameLines
from .text import render


class Reporter:
    """Feeds ``trace``. With ``frames`` each frame's lines are given as it comes; the report stands below them."""

    def __init__(self, width: int, *, colour: bool = False, frames: bool = False, all_requests: bool = False) -> None:
        self.trace = Trace()
        self._width = width
        self._colour = colour
        self._all_requests = all_requests
        self._frames = FrameLines(colour=colour) if frames else None
        self._any_frame = False

    def feed(self, record: LogRecord) -> str:
        """Text to print now; mostly empty."""
        self.trace.feed(record)
        if self._frames is None or not isinstance(record, Frame):
            return ""
        if not self._any_frame:
            self._any_frame = True
            self._frames.started_ns = self.trace.started_ns
        return "".join(f"{line}\n" for line in self._frames.lines(record))

    def finish(self) -> str:
        """The report, with an empty line between it and the frames above it."""
        report = render(self.trace, self._width, colour=self._colour, all_requests=self._all_requests)
        return f"\n{report}" if self._any_frame else report
