"""Bytes passed that could not be decrypted.

Seen
    TLS records for which there was no secret, or whose cipher is not supported; connections thrown away in
    mid-handshake not counted.
Means
    The program is not Go (git, ssh and curl keep their secrets to themselves), has no ``crypto/tls`` that could be
    probed, or was found too late. Its packets are counted, its requests are not seen.
Do
    For a running or a re-executed go, start the trace before it. What ``direct`` fetches with git can be had from a
    module proxy instead.
"""

from collections.abc import Iterator

from ...trace import Trace
from ...trace.units import exact
from ..finding import Finding, Severity, Word

NAME = "not-decrypted"
WORD = Word.INCOMPLETE
REASONS = 3


def find(trace: Trace) -> Iterator[Finding]:
    abandoned = trace.thrown_away()
    reasons: dict[str, int] = {}
    hosts: list[str] = []
    total = 0
    for number, connection in trace.connections.items():
        record = connection.record
        if record is None or number in abandoned:
            continue
        for tls in (record.tls_sent, record.tls_received):
            if tls is not None and tls.undecryptable:
                total += tls.undecryptable
                why = tls.reason or (record.tls.trouble if record.tls else "") or "no reason given"
                reasons[why] = reasons.get(why, 0) + tls.undecryptable
                host = f"{connection.host} ({record.process})" if record.process else connection.host
                if host not in hosts and len(hosts) <= REASONS:
                    hosts.append(host)
    if not total and not trace.connections and trace.summary is not None:
        total = trace.summary.undecryptable_bytes
    if not total:
        return
    told = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))[:REASONS]
    why = "; ".join(reason for reason, _ in told)
    where = " with " + ", ".join(hosts[:REASONS]) + (" and others" if len(hosts) > REASONS else "") if hosts else ""
    yield Finding(
        NAME,
        Severity.ERROR,
        f"{exact(total)} could not be decrypted{where}" + (f": {why}" if why else ""),
        (),
        "What is shown is right, but these connections' requests are not in it.",
    )
