"""A request was answered with an error status.

Seen
    Answers of 400 and above, other than 404 and 410, for which the same question was not asked again with success.
Means
    404 and 410 send go on to the next entry of GOPROXY, or to a shorter module path. Any other error status ends a
    ``,`` list: go fails with it, whatever the next proxy may have had. 401 and 403 are about who asks, 429 is a rate
    limit, 451 a block, 5xx is the proxy's own failure or that of what it fetches from.
Do
    Ask for the path with ``curl -v`` to read the answer's body. Where a fallback is wanted after any error, join the
    entries of GOPROXY with ``|``.
"""

from collections.abc import Iterator

from ...records.log import Exchange
from ...trace import Trace
from ...trace.units import counted
from ..finding import Finding, Severity, Word
from ..outcome import Ending, outcomes, what_happened

NAME = "exchange-failed"
WORD = Word.FAILED
EVIDENCE = 10


def find(trace: Trace) -> Iterator[Finding]:
    failed = [
        outcome.exchange
        for outcome in outcomes(trace)
        if outcome.ending is Ending.FAILED and outcome.exchange.state == "complete"
    ]
    if not failed:
        return
    statuses: dict[str, int] = {}
    for exchange in failed:
        status = "no status" if exchange.status is None else str(exchange.status)
        statuses[status] = statuses.get(status, 0) + 1
    told = ", ".join(f"{number:,} with {status}" for status, number in sorted(statuses.items())[:8])
    first = failed[0]
    sentence = f"{counted(len(failed), 'request')} of {len(trace.exchanges):,} failed"
    if len(failed) == 1:
        sentence += f": {what_happened(first)} for {first.method} {first.path}"
    else:
        sentence += f" ({told}), first {first.method} {first.path}"
    yield Finding(
        NAME,
        Severity.ERROR,
        sentence,
        tuple(exchange.frames[1] for exchange in failed[:EVIDENCE] if exchange.frames[1]),
        _advice(failed),
    )


def _advice(failed: list[Exchange]) -> str:
    if all(exchange.method == "CONNECT" for exchange in failed):
        credentials = " wants other credentials in HTTPS_PROXY"
        refuses = " does not let go through to this host"
        asked = {exchange.status for exchange in failed}
        return f"The proxy that HTTPS_PROXY names{credentials if asked == {407} else refuses}: curl -v -x it to try."
    return "Read the answer's body: curl -v with this path; join GOPROXY's entries with | to fall back after any error."
