"""A request was not answered to its end.

Seen
    RST_STREAM on a stream that was not done (other than go's own CANCEL), a stream above a GOAWAY's last one that was
    not asked again, or a connection that ended before END_STREAM in a run that failed.
    Where the run's status is not known, a connection that was reset.
Means
    The peer, or something between, gave up in the middle: an upstream that failed after the header was sent
    (INTERNAL_ERROR, fewer bytes than content-length), a connection recycled under way (GOAWAY), a time-out.
    go does not ask again once a response header has come: it reports ``unexpected EOF`` or ``stream error``.
Do
    Look at the frames named here with ``report --frames``. Run again: if the same path is cut at the same length, ask
    the proxy's operator; if another one is, look for a time-out or a request limit on the way.
"""

from collections.abc import Iterator

from ...trace import Trace
from ...trace.units import counted
from ..finding import Finding, Severity, Word
from ..outcome import Ending, outcomes, what_happened

NAME = "exchange-cut"
WORD = Word.FAILED
EVIDENCE = 10


def find(trace: Trace) -> Iterator[Finding]:
    broken = [outcome for outcome in outcomes(trace) if outcome.exchange.state != "complete"]
    failed = [outcome.exchange for outcome in broken if outcome.ending is Ending.FAILED]
    if failed:
        first = failed[0]
        yield Finding(
            NAME,
            Severity.ERROR,
            f"{counted(len(failed), 'answer')} broke off, first {first.method} {first.path}: {what_happened(first)}",
            tuple(exchange.frames[1] for exchange in failed[:EVIDENCE] if exchange.frames[1]),
            "Run again: cut at the same length is the proxy's fault, elsewhere that of something on the way.",
        )
    left = [outcome.exchange for outcome in broken if outcome.ending is Ending.CUT]
    if left:
        yield Finding(
            NAME,
            Severity.INFO,
            f"{counted(len(left), 'request')} had no full answer when the run ended, and go did not wait for it",
            tuple(exchange.frames[1] for exchange in left[:EVIDENCE] if exchange.frames[1]),
        )
