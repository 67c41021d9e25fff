"""No connection to a host was ever made.

Seen
    Connections to a host of which none was established, or none got an answer to its first bytes.
Means
    A refused connection has nothing listening there; one without any answer was dropped on its way, mostly by a
    firewall. That one of several addresses fails (often IPv6) is no finding: go tries the next.
    Where go did what it was asked for all the same, this is told but decides nothing.
Do
    Check the host and port in GOPROXY, HTTPS_PROXY and the firewall: ``curl -v`` to the same address.
"""

from collections.abc import Iterator

from ...trace import ConnectionTrace, Trace
from ...trace.units import counted
from ..finding import Finding, Severity, Word

NAME = "connection-failed"
WORD = Word.FAILED
SHOWN = 3


def find(trace: Trace) -> Iterator[Finding]:
    hosts: dict[str, list[ConnectionTrace]] = {}
    for connection in trace.connections.values():
        if connection.record is not None:
            hosts.setdefault(connection.host, []).append(connection)
    failed = {host: tries for host, tries in hosts.items() if all(_failed(connection, trace) for connection in tries)}
    for host, tries in list(failed.items())[:SHOWN]:
        refused = sum(connection.record is not None and connection.record.closed_by == "reset" for connection in tries)
        how = "refused" if refused == len(tries) else "not answered"
        yield Finding(
            NAME,
            Severity.ERROR if trace.status != 0 or not trace.exchanges else Severity.WARNING,
            f"no connection to {host}: {counted(len(tries), 'try', 'tries')}, {how}",
            (),
            "Check GOPROXY, HTTPS_PROXY and the firewall: curl -v to the same address.",
        )


def _failed(connection: ConnectionTrace, trace: Trace) -> bool:
    record = connection.record
    if record is None or not record.complete or connection.spoke_http:
        return False
    if trace.cut and record.closed_by == "open":
        return False  # the records end in its handshake: how it went on is not known
    # One still open was merely under way when the run ended; bytes from the peer are an answer whatever the SYN did.
    closed = record.closed_by in ("reset", "fin") or record.state == "closed"
    return closed and record.established_ns is None and not (record.received is not None and record.received.span)
