"""The command itself failed.

Seen
    An exit status other than 0, or a signal.
Means
    With a failed request or a broken connection above it, that is most likely why. Without one, the network did its
    part: the reason stands in the command's own output (a compile error, a failed test, a checksum mismatch).
Do
    Read the command's own output. ``go mod download -x`` names the request that it gave up on.
"""

import signal
from collections.abc import Iterator

from ...trace import Trace
from ..finding import Finding, Severity, Word
from ..outcome import Ending, outcomes

NAME = "child-failed"
WORD = Word.FAILED


def find(trace: Trace) -> Iterator[Finding]:
    status = trace.status
    if not status:
        return
    endings = outcomes(trace)
    # Where a request failed, that is why, and another rule says so.
    blameless = all(outcome.ending is not Ending.FAILED for outcome in endings)
    missed = [outcome.exchange for outcome in endings if blameless and outcome.ending is Ending.NOT_FOUND]
    why = ""
    if missed:
        last = missed[-1]
        why = f"; the last answer that was not found: {last.method} {last.path} {last.status}"
    yield Finding(
        NAME,
        Severity.ERROR,
        f"the command {ended(status)}{why}",
        tuple(exchange.frames[1] for exchange in missed[-3:] if exchange.frames[1]),
        "Read the command's own output.",
    )


def ended(status: int) -> str:
    """``ended with status 1`` · ``was killed by SIGKILL``"""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"
