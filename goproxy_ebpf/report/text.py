"""The report for people. The verdict is the first line; the same trace gives the same text, to the byte.

What it says comes from the trace alone: no clock, no terminal, no environment. So the report at the end of a run, that
of its capture file and that of its frame log are one text.
"""

from collections.abc import Iterator

from ..diagnose import verdict
from ..trace import Trace
from .page import Page
from .sections import connections, proof, requests, run, windows


def render(trace: Trace, width: int, *, colour: bool = False, all_requests: bool = False) -> str:
    """The report, its lines ended by newlines. ``width`` in columns (60 to 240; outside, the nearest of the two).

    ``colour`` adds ANSI SGR sequences. ``all_requests`` lists every request instead of the slowest ten.
    """
    return "".join(f"{line}\n" for line in lines(trace, Page(width, colour=colour), all_requests=all_requests))


def lines(trace: Trace, page: Page, *, all_requests: bool) -> Iterator[str]:
    judged = verdict(trace)
    yield from run.verdict_lines(judged, page)
    yield from run.command_lines(trace, page)
    yield from run.process_lines(trace, page)
    yield from connections.connection_lines(trace, page)
    yield from connections.lookup_lines(trace, page)
    yield from proof.proof_lines(trace, page)
    yield from run.finding_lines(judged.findings, page)
    yield from requests.request_lines(trace, page, all_requests=all_requests)
    yield from windows.settings_lines(trace, page)
    yield from windows.window_lines(trace, page)
    yield from windows.update_lines(trace, page)
    yield from windows.frame_lines(trace, page)
