"""A TLS connection ended with an alert.

Seen
    A TLS alert (RFC 8446 §6) other than close_notify and user_canceled.
Means
    One side refused the other: ``bad_certificate`` or ``unknown_ca`` from go means that it does not trust the server's
    certificate (an inspecting proxy, a private authority that is not installed); ``handshake_failure`` or
    ``protocol_version`` from the server that they have no version or cipher in common.
Do
    Compare the issuer in the report with the one that you expect. Install the private authority's certificate, or name
    it in SSL_CERT_FILE.
"""

from collections.abc import Iterator

from ...trace import Trace
from ...trace.trace import is_failure_alert
from ..finding import Finding, Severity, Word

NAME = "tls-alert"
WORD = Word.FAILED
SHOWN = 3


def find(trace: Trace) -> Iterator[Finding]:
    # go tries again for each file: the same refusal of the same host is told once.
    told: dict[str, int] = {}
    for connection in trace.connections.values():
        tls = connection.record.tls if connection.record is not None else None
        if tls is None or not is_failure_alert(tls.alert):
            continue
        issuer = f", certificate issued by {tls.certificates[0].issuer}" if tls.certificates else ""
        sentence = f"TLS with {connection.host} ended with the alert {tls.alert}{issuer}"
        told[sentence] = told.get(sentence, 0) + 1
    for sentence, times in list(told.items())[:SHOWN]:
        yield Finding(
            NAME,
            Severity.ERROR,
            sentence if times == 1 else f"{sentence}, {times:,} times",
            (),
            "Is the issuer the one you expect? A private authority belongs into the system's store or SSL_CERT_FILE.",
        )
