"""How each request of a run ended, and whether that is the end of it.

A module proxy says "I have it not" with 404 or 410, and go goes on to the next entry of GOPROXY, or to a shorter
module path: no failure. An answer that failed and was then had by asking again is none either.
"""

from enum import Enum

import msgspec

from ..records.log import Exchange
from ..trace import Trace

NOT_FOUND = (404, 410)
"""The two statuses after which go asks the next proxy of a ``,`` list (go.dev/ref/mod#goproxy-protocol)."""


class Ending(str, Enum):
    """``answered`` · ``not found``: 404 or 410 · ``recovered``: failed, then asked again and answered · ``cancelled``:
    go wanted no more of it · ``unread``: its answer could not be decoded · ``cut``: the run ended first · ``failed``.
    """

    ANSWERED = "answered"
    NOT_FOUND = "not found"
    RECOVERED = "recovered"
    CANCELLED = "cancelled"
    UNREAD = "unread"
    CUT = "cut"
    FAILED = "failed"


class Outcome(msgspec.Struct, frozen=True):
    exchange: Exchange
    ending: Ending


def outcomes(trace: Trace) -> list[Outcome]:
    """One for each exchange, in the order of the log."""
    answered: dict[tuple[str, str, str], int] = {}
    for exchange in trace.exchanges:
        status = exchange.status
        if exchange.state == "complete" and status is not None and (status < 400 or status in NOT_FOUND):
            key = _question(exchange)
            answered[key] = max(answered.get(key, 0), exchange.n)
    return [
        Outcome(exchange, _ending(trace, exchange, asked_again=answered.get(_question(exchange), 0) > exchange.n))
        for exchange in trace.exchanges
    ]


def _question(exchange: Exchange) -> tuple[str, str, str]:
    return (exchange.method, exchange.authority, exchange.path)


def _ending(trace: Trace, exchange: Exchange, *, asked_again: bool) -> Ending:
    status = exchange.status
    failed = Ending.RECOVERED if asked_again else Ending.FAILED
    if exchange.state == "complete":
        if status is None:
            return Ending.UNREAD if exchange.confidence != "full" else failed
        if status in NOT_FOUND:
            return Ending.NOT_FOUND
        return failed if status >= 400 else Ending.ANSWERED
    if exchange.state == "reset" and exchange.reset_by == "send" and exchange.error in ("CANCEL", "NO_ERROR"):
        # net/http cancels a stream whose body was closed before its end: go had read all it wanted.
        return Ending.CANCELLED
    # The kernel resets a connection too when go ends with bytes unread: where go did well, it wanted no more of it.
    if exchange.state == "cut" and (trace.status == 0 or (trace.status is None and not _reset(trace, exchange.conn))):
        return Ending.RECOVERED if asked_again else Ending.CUT
    return failed


def _reset(trace: Trace, conn: int) -> bool:
    connection = trace.connections.get(conn)
    return connection is not None and connection.record is not None and connection.record.closed_by == "reset"


def what_happened(exchange: Exchange) -> str:
    """``503`` · ``reset by the peer: INTERNAL_ERROR after 1,234 of 5,678 B`` · ``cut after 1,234 B``"""
    if exchange.state == "complete":
        return str(exchange.status) if exchange.status is not None else "no status"
    far = f" after {exchange.response_bytes:,}"
    far += f" of {exchange.content_length:,} B" if exchange.content_length is not None else " B"
    if exchange.state == "reset":
        who = "go" if exchange.reset_by == "send" else "the peer"
        return f"reset by {who}: {exchange.error or 'no code'}{far}"
    if exchange.state == "refused":
        return "refused: above the last stream of a GOAWAY" + (f" ({exchange.error})" if exchange.error else "")
    return f"{exchange.state or 'cut'}{far}"
