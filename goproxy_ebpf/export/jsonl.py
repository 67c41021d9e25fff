"""JSON lines: the frame log's records as they are, then the findings, then the summary, which stays the last line."""

from collections.abc import Iterable, Iterator

from ..diagnose import verdict
from ..framelog import encode
from ..records.log import LogRecord, Summary
from ..trace import Trace
from ..trace.encoding import json_bytes


def render(records: Iterable[LogRecord]) -> Iterator[bytes]:
    """One line a record, each ended by a newline. Findings are ``diagnose.Finding``, tagged ``"kind":"finding"``."""
    trace = Trace()
    summary: Summary | None = None
    for record in records:
        trace.feed(record)
        if isinstance(record, Summary):
            summary = record
        else:
            yield encode(record)
    for finding in verdict(trace).findings:
        yield json_bytes(finding) + b"\n"
    if summary is not None:
        yield encode(summary)
