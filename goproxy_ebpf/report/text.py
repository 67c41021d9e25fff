"""The report for people. The verdict is the first line; the same trace gives the same text, to the byte.

What it says comes from the trace alone: no clock, no terminal, no environment. So the report at the end of a run, that
of its capture file and that of its frame log are one text.
"""

import itertools
from collections.abc import Iterator

from ..diagnose import verdict
from ..trace import Trace
from .page import Page
from .sections import connections, proof, requests, run, windows


def render(trace: Trace, width: int, *, colour: bool = False, all_requests: bool = False) -> str:
    """The report, its lines ended by newlines. ``width`` in columns (72 to 240; outside, the nearest of the two).

    ``colour`` adds ANSI SGR sequences. ``all_requests`` lists every request instead of the slowest ten.
    """
    return "".join(f"{line}\n" for line in lines(trace, Page(width, colour=colour), all_requests=all_requests))


def lines(trace: Trace, page: Page, *, all_requests: bool) -> Iterator[str]:
    """The report's lines: what happened and to whom; the requests; flow control. Blank lines between."""
    judged = verdict(trace)
    run_part = (
        run.verdict_lines(judged, page),
        run.command_lines(trace, page),
        run.process_lines(trace, page),
        connections.connection_lines(trace, page),
        connections.lookup_lines(trace, page),
        proof.proof_lines(trace, page),
        run.finding_lines(judged, page),
    )
    request_part = (requests.request_lines(trace, page, all_requests=all_requests),)
    window_part = (
        windows.settings_lines(trace, page),
        windows.window_lines(trace, page),
        windows.update_lines(trace, page),
        windows.frame_lines(trace, page),
    )
    for number, part in enumerate((run_part, request_part, window_part)):
        blank = number > 0
        for line in itertools.chain.from_iterable(part):
            if blank:
                yield ""
                blank = False
            yield line
