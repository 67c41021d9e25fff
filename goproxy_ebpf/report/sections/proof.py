"""The proof that nothing is missing, or exactly what is, in bytes with the reason. And the gaps."""

from collections.abc import Iterator

from ...trace import ProofSide, Trace
from ...trace.units import counted, exact
from ..page import Page, words

SHOWN = 8


def proof_lines(trace: Trace, page: Page) -> Iterator[str]:
    proof = trace.proof()
    if not (proof.sent.connections or proof.received.connections):
        return
    hook = _hook(trace)
    label = "proof"
    for name, side, at in (("egress", proof.sent, hook), ("ingress", proof.received, "")):
        if not (side.wire or side.hooked or side.missing):
            continue  # connections on which nothing passed prove nothing
        equation, *facts = _side(name, side, at)
        yield from page.section(label, [*words(equation), *(f"· {fact}" for fact in facts)], separator=" ")
        label = ""
    yield from page.section("lost", _lost(trace))


def _hook(trace: Trace) -> str:
    """Where egress was seen beside packets; empty for a capture of another program's, which has packets only."""
    if trace.header is None:
        return "tcp_sendmsg"
    return "" if trace.header.source == "packets" else trace.header.egress_hook or "tcp_sendmsg"


def _side(name: str, side: ProofSide, hook: str) -> Iterator[str]:
    """``egress 105,728 B at tcp_sendmsg = in packets = decrypted`` · ``lost 0 B`` · what does not agree."""
    seen = f"{name} {exact(side.wire)} in packets"
    if hook and side.hooked_connections:
        seen = f"{name} {exact(side.hooked)} at {hook} {_packets(side)}"
    yield f"{seen} = {' + '.join(_parts(side))}"
    yield f"lost {exact(side.missing)}"
    if hook and side.hooked_connections < side.connections:
        yield f"{counted(side.connections - side.hooked_connections, 'connection')} not seen at {hook}"
    if side.mismatched:
        yield f"other bytes in packets than at {hook} on {counted(side.mismatched, 'connection')}"
    if side.read_difference < 0:
        yield f"{exact(-side.read_difference)} too many"


def _parts(side: ProofSide) -> list[str]:
    """What became of the bytes in packets: one word where all went the same way, else each part with its size."""
    parts = [
        (side.clear + side.decrypted, "decrypted"),
        (side.plain, "without TLS"),
        (side.abandoned, "in handshakes thrown away"),
        *((length, f"not decrypted ({reason})") for reason, length in _ordered(side.reasons)),
        (side.partial, "in records that never ended"),
        (side.read_difference, "not accounted for"),
    ]
    present = [(length, what) for length, what in parts if length > 0]
    if len(present) == 1:
        return [present[0][1]]
    return [f"{exact(length)} {what}" for length, what in present] or ["decrypted"]


def _ordered(reasons: dict[str, int]) -> list[tuple[str, int]]:
    """The greatest first; those beyond the first few are added up."""
    told = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(length for _, length in told[SHOWN:])
    return [*told[:SHOWN], ("other reasons", rest)]


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
    # What TLS could not read is in the lines above, with its reason.
    gaps = [gap for gap in trace.losses.totals if gap.layer != "tls"]
    for gap in gaps[:SHOWN]:
        what = f"{counted(gap.count, 'gap')} in {gap.layer}: " if gap.layer else f"{counted(gap.count, 'gap')}: "
        lost = counted(gap.records, "record") if gap.records and not gap.length_bytes else exact(gap.length_bytes)
        yield f"{what}{lost}, {gap.reason or 'no reason given'}"
    if len(gaps) > SHOWN:
        yield f"{len(gaps) - SHOWN:,} more reasons"
