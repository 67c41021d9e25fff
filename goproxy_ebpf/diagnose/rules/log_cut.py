"""The log has no end, or no beginning.

Seen
    Records, but no summary behind them; in a capture, no end of the run. Or no header before them.
Means
    The trace was killed, is still being written, or the file was cut on its way. All that it holds is told.
Do
    Nothing, if that is what happened; else fetch the file again.
"""

from collections.abc import Iterator

from ...trace import Trace
from ..finding import Finding, Severity, Word

NAME = "log-cut"
WORD = Word.INCOMPLETE


def find(trace: Trace) -> Iterator[Finding]:
    if trace.records and trace.header is None:
        yield Finding(NAME, Severity.ERROR, "the log has no header: what ran, and what came before, is not known")
    if trace.records and trace.cut:
        yield Finding(NAME, Severity.ERROR, "the log ends before the run did: what came after is not known")
