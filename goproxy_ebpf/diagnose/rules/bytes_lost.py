"""Something was not seen.

Seen
    Records that the kernel side could not hand over, bytes that passed and are in no view, or gaps in a damaged file.
Means
    The report is right in what it says and silent on the rest: nothing is decoded across a gap. In-kernel losses mean
    that the ring was full, because the machine was busy.
Do
    Run again with a larger ring or a less busy machine. For a damaged file, use the frame log that was kept of the run.
"""

from collections.abc import Iterator

from ...trace import Trace
from ...trace.units import counted, exact
from ..finding import Finding, Severity, Word

NAME = "bytes-lost"
WORD = Word.INCOMPLETE
REASONS = 4
KEYS = "tls"
"""The layer whose gaps are about keys, and another rule's."""


def find(trace: Trace) -> Iterator[Finding]:
    gaps = [gap for gap in trace.losses.totals if gap.layer != KEYS]
    proof = trace.proof()
    missing = proof.sent.missing + proof.received.missing
    records = lost = 0
    if trace.summary is not None:
        missing = max(missing, trace.summary.missing_bytes)
        records, lost = trace.summary.lost_records, trace.summary.lost_bytes
    if not (gaps or missing or records or lost):
        return
    parts = []
    if missing:
        parts.append(f"{exact(missing)} missing from streams")
    if records or lost:
        parts.append(f"{counted(records, 'record')} lost" + (f" with {exact(lost)}" if lost else ""))
    if not parts:
        length = sum(gap.length_bytes for gap in gaps)
        parts.append(f"{counted(sum(gap.count for gap in gaps), 'gap')}, {exact(length)}")
    reasons = [gap.reason for gap in gaps[:REASONS] if gap.reason]
    more = f" and {len(gaps) - REASONS} more reasons" if len(gaps) > REASONS else ""
    why = f" ({'; '.join(reasons)}{more})" if reasons else ""
    yield Finding(
        NAME,
        Severity.ERROR,
        " and ".join(parts) + why,
        (),
        "What is shown is right, but not all there was.",
    )
