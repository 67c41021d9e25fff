"""The egress hook and the packets do not tell the same.

Seen
    Bytes that a socket took, as seen where go hands them over, against bytes in packets (with those unsent at the
    close): their number differs, or they are not the same bytes. Or decryption accounts for fewer bytes than came.
Means
    One of the views has a hole that nothing else noticed, or something between rewrites the stream. The proof line says
    by how many bytes.
Do
    Report it, with the capture file if it may be shared: this should not happen.
"""

from collections.abc import Iterator

from ...trace import Trace
from ...trace.units import counted, exact
from ..finding import Finding, Severity, Word

NAME = "views-differ"
WORD = Word.INCOMPLETE


def find(trace: Trace) -> Iterator[Finding]:
    proof = trace.proof()
    said = []
    # A connection that the hook never saw (older than the attach, or a program's that is not hooked) proves nothing.
    # Where the records were cut, what the hook had seen last is not in packets yet; and records that found no room
    # explain every difference: they are told as lost.
    lost = any(total.layer == "capture" for total in trace.losses.totals)
    whole = proof.sent.hooked_connections == proof.sent.connections and not trace.cut and not lost
    if whole and proof.sent.hook_difference:
        said.append(f"{exact(abs(proof.sent.hook_difference))} differ between the egress hook and the packets")
    if proof.sent.mismatched:
        said.append(
            f"{counted(proof.sent.mismatched, 'connection')} with other bytes in packets than at the egress hook"
        )
    for side, way in ((proof.sent, "sent"), (proof.received, "received")):
        if side.read_difference:
            said.append(f"{exact(abs(side.read_difference))} {way} in packets are not accounted for by TLS")
    if said:
        yield Finding(NAME, Severity.ERROR, " and ".join(said), (), "This should not happen: please report it.")
