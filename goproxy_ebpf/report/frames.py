"""``--frames``: every frame, one a line, what it carries below it, in the manner of ``nghttp -v``.

Numbers are bare, to be searched for; lines are as long as they are. Frames are printed as they come and not kept.
"""

from collections.abc import Iterator

from ..records.log import Frame
from .harmless import harmless
from .page import Page

INDENT = " " * 32


class FrameLines:
    """Turns frames into lines. ``started_ns`` is the zero of their times: the run's start."""

    def __init__(self, started_ns: int = 0, *, colour: bool = False) -> None:
        self.started_ns = started_ns
        self._page = Page(0, colour=colour)

    def lines(self, frame: Frame) -> Iterator[str]:
        """``     17  +0.123456  1 send →    3 HEADERS        41  END_STREAM END_HEADERS``, then its headers."""
        sent = frame.dir == "send"
        arrow = "→" if sent else "←"
        seconds = (frame.time_ns - self.started_ns) / 1e9
        name = self._page.paint(harmless(frame.type).ljust(13), "good" if sent else "doubtful")
        head = f"{frame.n:>7}  {seconds:>+11.6f}  {frame.conn} {harmless(frame.dir)} {arrow} {frame.stream:>5}  {name}"
        parts = [f"{frame.length:>6}", *(harmless(flag) for flag in frame.flags), *_values(frame)]
        yield f"{head} {' '.join(parts)}"
        for name, value in frame.headers or ():
            yield f"{INDENT}{harmless(name)}: {harmless(value)}"
        for name, number in (frame.settings or {}).items():
            yield f"{INDENT}{harmless(name)} = {number}"


def _values(frame: Frame) -> Iterator[str]:
    if frame.increment is not None:
        yield f"increment={frame.increment}"
    if frame.promised_stream is not None:
        yield f"promised={frame.promised_stream}"
    if frame.last_stream is not None:
        yield f"last_stream={frame.last_stream}"
    if frame.error is not None:
        yield f"error={harmless(frame.error)}"
    if frame.data is not None:
        yield f"data={harmless(frame.data)}"
    if frame.padding is not None:
        yield f"padding={frame.padding}"
    if frame.priority is not None:
        depends, weight, exclusive = frame.priority
        yield f"depends={depends} weight={weight}{' exclusive' if exclusive else ''}"
    if frame.window is not None:
        for name, change in (("connection", frame.window.conn), ("stream", frame.window.stream)):
            if change is not None:
                yield f"{name}={change[0]}→{change[1]}"
    if frame.confidence != "full":
        yield f"[{harmless(frame.confidence)}]"
    if frame.note:
        yield f"({harmless(frame.note)})"
