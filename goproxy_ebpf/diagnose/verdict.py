"""The verdict: every rule asked, the worst word said first."""

import msgspec

from ..trace import Trace
from ..trace.units import counted, duration, size
from .finding import Finding, Rule, Severity, Word
from .outcome import Ending, Outcome, outcomes
from .rules import (
    bytes_lost,
    child_failed,
    connection_failed,
    exchange_cut,
    exchange_failed,
    log_cut,
    no_proxy_asked,
    not_decrypted,
    retried,
    tls_alert,
    views_differ,
)

RULES: tuple[Rule, ...] = tuple(
    Rule(module.NAME, module.WORD, module.find, module.__doc__ or "")
    for module in (
        exchange_failed,
        exchange_cut,
        tls_alert,
        connection_failed,
        child_failed,
        bytes_lost,
        views_differ,
        not_decrypted,
        log_cut,
        no_proxy_asked,
        retried,
    )
)
"""In the order in which their findings are told."""


SAID = 3
"""Findings that the verdict's sentence joins; all are told below it."""


class Verdict(msgspec.Struct, frozen=True):
    """``sentence`` explains ``word`` and ends with a full stop; ``findings`` come in the order of the rules."""

    word: Word
    sentence: str
    findings: tuple[Finding, ...] = ()


def verdict(trace: Trace) -> Verdict:
    found = [(rule, finding) for rule in RULES for finding in rule.find(trace)]
    findings = tuple(finding for _, finding in found)
    errors = [(rule, finding) for rule, finding in found if finding.severity is Severity.ERROR]
    for word in Word:
        sentences = [finding.sentence for rule, finding in errors if rule.word is word]
        if sentences:
            more = f"; and {len(sentences) - SAID} more" if len(sentences) > SAID else ""
            return Verdict(word, "; ".join(sentences[:SAID]) + more + ".", findings)
    return Verdict(Word.HEALTHY, _healthy(trace, outcomes(trace)), findings)


def _healthy(trace: Trace, all_outcomes: list[Outcome]) -> str:
    """``175 requests answered (3 not found), 58.0 MB in 6.12 s.``"""
    count = len(all_outcomes)
    asides = []
    for ending in (Ending.NOT_FOUND, Ending.RECOVERED, Ending.CANCELLED, Ending.UNREAD, Ending.CUT):
        number = sum(outcome.ending is ending for outcome in all_outcomes)
        if number:
            asides.append(f"{number:,} {ending.value}")
    aside = f" ({', '.join(asides)})" if asides else ""
    received = sum(outcome.exchange.response_bytes for outcome in all_outcomes)
    return f"{counted(count, 'request')} answered{aside}, {size(received)} in {duration(trace.duration_ns)}."
