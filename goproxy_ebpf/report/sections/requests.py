"""Requests: what they were for, those that failed, the slowest."""

import http
from collections.abc import Iterator

from ...diagnose.outcome import Ending, Outcome, outcomes
from ...records.log import Exchange
from ...trace import Trace
from ...trace.units import duration, size
from ..kinds import KINDS, kind
from ..page import Column, Page, Row

SHOWN = 10
SHOWN_FAILURES = 100
NUMBERS = (
    Column("status", right=True, most=9),
    Column("size", right=True),
    Column("first byte", right=True),
    Column("total", right=True),
)
PATH = Column("", flexible=True, most=10_000)


def request_lines(trace: Trace, page: Page, *, all_requests: bool = False) -> Iterator[str]:
    """Totals; failures, always; then the slowest, or with ``all_requests`` every one in the order of asking."""
    everything = outcomes(trace)
    if not everything:
        return
    yield from page.section("requests", _totals(everything))
    named = len({outcome.exchange.authority for outcome in everything}) > 1
    failed = [outcome for outcome in everything if _shown_as_failure(trace, outcome)]
    rest = len(failed) - SHOWN_FAILURES
    yield from page.table(
        "failed" if any(outcome.ending is Ending.FAILED for outcome in failed) else "not answered",
        (PATH, NUMBERS[0], NUMBERS[3], Column("why", most=page.width * 2 // 5)),
        [_failure(outcome, named=named) for outcome in failed[:SHOWN_FAILURES]],
        note=f"… {rest:,} more: --requests" if rest > 0 and not all_requests else "",
    )
    exchanges = [outcome.exchange for outcome in everything]
    if all_requests:
        exchanges.sort(key=lambda exchange: (exchange.request_ns or exchange.time_ns, exchange.n))
        shown, label, note = exchanges, "all", ""
    else:
        exchanges.sort(key=lambda exchange: (-(total_ns(exchange) or 0), exchange.n))
        shown, label = exchanges[:SHOWN], "slowest" if len(exchanges) > 1 else "request"
        note = f"… {len(exchanges) - SHOWN:,} more: --requests" if len(exchanges) > SHOWN else ""
    rows = [Row(_cells(exchange, named=named)) for exchange in shown]
    yield from page.table(label, (PATH, *NUMBERS), rows, note=note)


def _totals(everything: list[Outcome]) -> Iterator[str]:
    yield f"{len(everything):,}"
    kinds: dict[str, int] = {}
    for outcome in everything:
        name = kind(outcome.exchange.path)
        kinds[name] = kinds.get(name, 0) + 1
    for name in KINDS:
        if name in kinds:
            yield f"{kinds[name]:,} {name}"
    yield size(sum(outcome.exchange.response_bytes for outcome in everything))
    yield f"{sum(outcome.ending is Ending.FAILED for outcome in everything):,} failed"
    for ending in (Ending.NOT_FOUND, Ending.RECOVERED, Ending.CANCELLED, Ending.UNREAD, Ending.CUT):
        number = sum(outcome.ending is ending for outcome in everything)
        if number:
            yield f"{number:,} {ending.value}"


def _shown_as_failure(trace: Trace, outcome: Outcome) -> bool:
    """Failures, and what may have led to one: when the command failed, a 404 may be why."""
    if outcome.ending in (Ending.FAILED, Ending.CUT):
        return True
    return outcome.ending is Ending.NOT_FOUND and bool(trace.status)


def _failure(outcome: Outcome, *, named: bool) -> Row:
    path, status, _, _, total = _cells(outcome.exchange, named=named)
    return Row((path, status, total, _why(outcome.exchange)), "bad" if outcome.ending is Ending.FAILED else "")


def _why(exchange: Exchange) -> str:
    """``Service Unavailable`` · ``INTERNAL_ERROR at 12.0 MB``"""
    if exchange.state == "complete":
        try:
            return exchange.error or http.HTTPStatus(exchange.status or 0).phrase
        except ValueError:
            return exchange.error
    if exchange.state == "reset":
        who = " by go" if exchange.reset_by == "send" else ""
        return f"{exchange.error or 'no code'}{who} at {size(exchange.response_bytes)}"
    if exchange.state == "refused":
        return f"GOAWAY {exchange.error}".rstrip()
    return f"at {size(exchange.response_bytes)}"


def _cells(exchange: Exchange, *, named: bool) -> tuple[str, str, str, str, str]:
    host = exchange.authority if named else ""
    status = str(exchange.status) if exchange.status is not None else exchange.state
    first = first_byte_ns(exchange)
    total = total_ns(exchange)
    return (
        f"{exchange.method or '?'} {host}{exchange.path or '?'}",
        status,
        size(exchange.response_bytes),
        duration(first) if first is not None else "-",
        duration(total) if total is not None else "-",
    )


def first_byte_ns(exchange: Exchange) -> int | None:
    """From the request's first frame to the response's first byte."""
    if exchange.request_ns is None or exchange.first_byte_ns is None:
        return None
    return exchange.first_byte_ns - exchange.request_ns


def total_ns(exchange: Exchange) -> int | None:
    """From the request's first frame to the response's end, or to where it broke off."""
    if exchange.request_ns is None or exchange.end_ns is None:
        return None
    return exchange.end_ns - exchange.request_ns
