"""A request failed, was asked again, and then answered.

Seen
    An error status, a reset or a refused stream, and a later success for the same method, host and path.
Means
    Something was wrong for a moment: a GOAWAY under way, REFUSED_STREAM, a 401 before the credentials were sent.
    It cost time, and nothing else.
Do
    Nothing, unless there are many.
"""

from collections.abc import Iterator

from ...trace import Trace
from ...trace.units import counted
from ..finding import Finding, Severity, Word
from ..outcome import Ending, outcomes, what_happened

NAME = "retried"
WORD = Word.HEALTHY
EVIDENCE = 10


def find(trace: Trace) -> Iterator[Finding]:
    again = [outcome.exchange for outcome in outcomes(trace) if outcome.ending is Ending.RECOVERED]
    if again:
        first = again[0]
        yield Finding(
            NAME,
            Severity.WARNING,
            f"{counted(len(again), 'request')} asked again with success, "
            f"first {first.method} {first.path}: {what_happened(first)}",
            tuple(exchange.frames[1] for exchange in again[:EVIDENCE] if exchange.frames[1]),
        )
