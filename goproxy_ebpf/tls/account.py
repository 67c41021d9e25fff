"""What became of one direction's bytes, and the events that follow from it."""

from ..records.common import Direction
from ..records.flow import Plaintext, PlaintextEnd, PlaintextGap, TlsBytes


class Account:
    """Every byte of a direction is counted here once; ``events`` is what its application bytes have become.

    Bytes that cannot be read pile up, and become one PlaintextGap before the next event. Behind a close_notify there
    is nothing more to say (RFC 8446 §6.1: what comes then is ignored).
    """

    def __init__(self, direction: Direction) -> None:
        self.direction = direction
        self.events: list[Plaintext | PlaintextGap | PlaintextEnd] = []
        self.clear = 0
        self.decrypted = 0
        self.missing = 0
        self.partial = 0
        self.records = 0
        self.plaintext_bytes = 0
        self.ended = False
        self._undecryptable: dict[str, int] = {}
        self._gap_at_ns = 0
        self._gap_bytes = 0
        self._gap_reason = ""

    def undecryptable(self, length: int, reason: str) -> None:
        if length:
            self._undecryptable[reason] = self._undecryptable.get(reason, 0) + length

    @property
    def undecryptable_bytes(self) -> int:
        return sum(self._undecryptable.values())

    def unreadable(self, at_ns: int, length: int, reason: str) -> None:
        """Application bytes, as far as one can know, that cannot be had."""
        if not self._gap_bytes:
            self._gap_at_ns, self._gap_reason = at_ns, reason
        self._gap_bytes += length

    def flush(self) -> None:
        if self._gap_bytes and not self.ended:
            self.events.append(PlaintextGap(self.direction, self._gap_at_ns, self._gap_bytes, self._gap_reason))
        self._gap_bytes = 0

    def plaintext(self, at_ns: int, data: bytes) -> None:
        if self._gap_bytes:
            self.flush()
        if data and not self.ended:
            self.plaintext_bytes += len(data)
            self.events.append(Plaintext(self.direction, at_ns, data))

    def end(self, at_ns: int) -> None:
        self.flush()
        if not self.ended:
            self.ended = True
            self.events.append(PlaintextEnd(self.direction, at_ns))

    def total(self, unfinished: int) -> TlsBytes:
        """The sums; ``unfinished`` bytes are still waiting to become something."""
        return TlsBytes(
            clear=self.clear,
            decrypted=self.decrypted,
            undecryptable=self.undecryptable_bytes,
            missing=self.missing,
            partial=self.partial + unfinished,
            plaintext=self.plaintext_bytes,
            records=self.records,
            reason=max(self._undecryptable, key=self._undecryptable.__getitem__, default=""),
        )
