"""The proof: bytes at the egress hook = in packets + unsent; in packets = read + not read, with the reason."""

from collections.abc import Iterable

import msgspec

from ..records.flow import DirectionBytes, TlsBytes
from ..records.log import Connection


class ProofSide(msgspec.Struct):
    """One direction's bytes, over all connections.

    ``hooked`` is what the egress hook saw (SEND only): accepted by the socket, or offered where acceptance is not
    known; ``hooked_connections`` counts the connections it saw, and those that sent nothing. ``wire`` is unique
    sequence bytes in packets, ``unsent`` what was in none when the connection or the run ended. Of ``wire``,
    ``clear`` is TLS in the clear, ``decrypted``, ``undecryptable`` and ``partial`` as in ``TlsBytes``, ``plain`` is
    what had no TLS. ``abandoned`` is what could not be read in
    handshakes that were thrown away unfinished: it holds no request, and is not in ``undecryptable`` and
    ``partial``. ``missing`` is what no view has. ``mismatched`` counts the connections where both views have the
    same bytes and they differ.
    """

    connections: int = 0
    hooked: int = 0
    hooked_connections: int = 0
    wire: int = 0
    unsent: int = 0
    missing: int = 0
    retransmitted: int = 0
    clear: int = 0
    decrypted: int = 0
    undecryptable: int = 0
    partial: int = 0
    plain: int = 0
    abandoned: int = 0
    plaintext: int = 0
    mismatched: int = 0
    reasons: dict[str, int] = {}

    @property
    def read(self) -> int:
        return self.clear + self.decrypted + self.plain

    @property
    def hook_difference(self) -> int:
        """Bytes in packets and unsent, less those at the hook: 0 where the two views agree."""
        return self.wire + self.unsent - self.hooked

    @property
    def read_difference(self) -> int:
        """Bytes in packets less those accounted for by TLS: 0 where nothing was dropped between the layers."""
        return self.wire - self.read - self.undecryptable - self.partial - self.abandoned

    def add(self, wire: DirectionBytes, tls: TlsBytes | None, *, handshake_finished: bool) -> None:
        self.connections += 1
        self.wire += wire.on_wire
        self.unsent += wire.unsent
        self.missing += wire.missing
        self.retransmitted += wire.retransmitted
        if wire.accepted is None and wire.on_wire:
            self.unsent += max(0, wire.offered - wire.span)  # still open at the end: what lies behind all packets waits
        if wire.offered or wire.accepted:
            self.hooked += wire.offered if wire.accepted is None else wire.accepted
            self.hooked_connections += 1
        elif not wire.on_wire:
            self.hooked_connections += 1  # refused, or given up: nothing that the hook could have seen
        if wire.matches is False:
            self.mismatched += 1
        if tls is None:
            self.plain += wire.on_wire
            return
        self.clear += tls.clear
        self.decrypted += tls.decrypted
        self.plaintext += tls.plaintext
        if not handshake_finished:
            self.abandoned += tls.undecryptable + tls.partial
        elif tls.undecryptable:
            reason = tls.reason or "no reason given"
            self.reasons[reason] = self.reasons.get(reason, 0) + tls.undecryptable
            self.undecryptable += tls.undecryptable
        if handshake_finished:
            self.partial += tls.partial


class Proof(msgspec.Struct):
    """Both directions. Sides have no connections where no closing line said their bytes (a log that was cut)."""

    sent: ProofSide
    received: ProofSide


def prove(connections: Iterable[Connection], abandoned: frozenset[int]) -> Proof:
    """Add up the latest lines of all connections; ``abandoned`` names those thrown away in mid-handshake."""
    proof = Proof(ProofSide(), ProofSide())
    for connection in connections:
        finished = connection.conn not in abandoned
        for side, wire, tls in (
            (proof.sent, connection.sent, connection.tls_sent),
            (proof.received, connection.received, connection.tls_received),
        ):
            if wire is not None:
                side.add(wire, tls, handshake_finished=finished)
    return proof
