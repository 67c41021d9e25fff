"""The proof that nothing is missing, or exactly what is, in bytes with the reason. And the gaps."""

from collections.abc import Iterator

from ...trace import ProofSide, Trace
from ...trace.units import counted, exact
from ..page import Page

SHOWN = 8


def proof_lines(trace: Trace, page: Page) -> Iterator[str]:
    proof = trace.proof()
    if not (proof.sent.connections or proof.received.connections):
        return
    hook = (trace.header.egress_hook if trace.header is not None else "") or "tcp_sendmsg"
    yield from page.section("proof", _side("egress", proof.sent, hook))
    yield from page.section("", _side("ingress", proof.received, ""))
    yield from page.section("lost", _lost(trace))


def _side(name: str, side: ProofSide, hook: str) -> Iterator[str]:
    equal = f"{name} {exact(side.wire)} in packets"
    notes = []
    if hook and side.hooked_connections:
        equal = f"{name} {exact(side.hooked)} at {hook} {_packets(side)}"
        if side.hooked_connections < side.connections:
            unseen = side.connections - side.hooked_connections
            notes.append(f"{counted(unseen, 'connection')} not seen at {hook}")
    elif hook:
        notes.append(f"not seen at {hook}")
    unread = side.undecryptable + side.partial - side.abandoned
    if side.wire and not unread and not side.abandoned and not side.read_difference:
        yield f"{equal} = {_how_read(side)}"
    else:
        yield equal
        yield f"{exact(side.read)} of them {_how_read(side)}"
    yield f"lost {exact(side.missing)}"
    yield from notes
    if side.mismatched:
        yield f"other bytes in packets than at {hook} on {counted(side.mismatched, 'connection')}"
    for reason, length in sorted(side.reasons.items(), key=lambda item: (-item[1], item[0]))[:SHOWN]:
        yield f"{exact(length)} not decrypted: {reason}"
    if side.partial:
        yield f"{exact(side.partial)} in records that never ended"
    if side.abandoned:
        yield f"of these {exact(side.abandoned)} in handshakes thrown away"
    if side.read_difference:
        yield f"{exact(abs(side.read_difference))} {'not accounted for' if side.read_difference > 0 else 'too many'}"


def _how_read(side: ProofSide) -> str:
    if side.plain and (side.clear or side.decrypted):
        return "decrypted or without TLS"
    return "read without TLS" if side.plain else "decrypted"


def _packets(side: ProofSide) -> str:
    """``= in packets``, with what was never sent; or the two numbers where they differ."""
    if side.hooked_connections < side.connections or side.hook_difference:
        differ = f", {exact(abs(side.hook_difference))} {'more' if side.hook_difference > 0 else 'fewer'}"
        unsent = f" + {exact(side.unsent)} unsent" if side.unsent else ""
        return f"≠ {exact(side.wire)} in packets{unsent}{differ if side.hook_difference else ''}"
    return f"= {exact(side.wire)} in packets + {exact(side.unsent)} unsent" if side.unsent else "= in packets"


def _lost(trace: Trace) -> Iterator[str]:
    """Losses before the streams, and gaps by layer and reason."""
    if trace.summary is not None and (trace.summary.lost_records or trace.summary.lost_bytes):
        yield f"{counted(trace.summary.lost_records, 'record')}, {exact(trace.summary.lost_bytes)} before the streams"
    for gap in trace.losses.totals[:SHOWN]:
        what = f"{counted(gap.count, 'gap')} in {gap.layer}: " if gap.layer else f"{counted(gap.count, 'gap')}: "
        yield f"{what}{exact(gap.length_bytes)}, {gap.reason or 'no reason given'}"
    if len(trace.losses.totals) > SHOWN:
        yield f"{len(trace.losses.totals) - SHOWN:,} more reasons"
