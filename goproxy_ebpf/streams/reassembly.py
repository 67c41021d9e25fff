"""One direction of a TCP connection: segments in any order -> its bytes in order, and gaps where bytes are missing.

What comes in has no wrong form: a segment is delivered at once if it is next, kept if it is ahead, and counted if its
bytes were there before (the first copy of a byte counts, as in Linux). What comes out are ``StreamBytes`` and
``StreamGap`` events whose lengths add up to the direction's span.

A hole is given up, and becomes a gap, when the peer has acknowledged all of it and enough later segments are there
(``reordering`` of them, or 1 MiB: files of other programs may hold packets in another order than they passed), when too
much is kept behind it, or at the end. Bytes that the egress view has are taken from there first.

The time of bytes is that of their own packet (or egress record), but never before that of the bytes before them.
Offsets are plain integers and do not wrap; sequence numbers do, at 2^32 (RFC 9293 §3.4).
"""

from bisect import bisect_right

from goproxy_ebpf.records.common import Direction
from goproxy_ebpf.records.flow import StreamBytes, StreamEvent, StreamGap

from .egress import EgressView

MASK = 0xFFFFFFFF
# No TCP window is larger (RFC 7323 §2.3), so no sound segment or acknowledgment is farther ahead.
FARTHEST = 1 << 30
MAX_KEPT = 8 << 20
MAX_PIECES = 8192
ENOUGH_KEPT = 1 << 20

NOT_CAPTURED = "not captured"
CUT = "packet cut off in the capture"
TOO_MUCH = "too much kept behind it"
ENDED = "never seen before the end"
NOT_READ = "not read at the egress hook"


class Reassembly:
    """See the file's text. ``next`` is the offset of the next byte to deliver, ``next_sequence`` its sequence number
    (-1 until one is known), ``acknowledged`` the offset that the peer's ACK has reached, ``fin`` the offset of the FIN.
    """

    __slots__ = (
        "_bytes_kept",
        "_last_ns",
        "_pieces",
        "_plain",
        "_reordering",
        "_starts",
        "_unseen",
        "acknowledged",
        "connection",
        "direction",
        "fin",
        "last_acknowledgment",
        "missing",
        "next",
        "next_sequence",
        "retransmitted",
        "view",
    )

    def __init__(self, connection: int, direction: Direction, reordering: int) -> None:
        self.connection = connection
        self.direction = direction
        self.next = 0
        self.next_sequence = -1
        self.acknowledged = 0
        self.last_acknowledgment = -1
        self.fin: int | None = None
        self.retransmitted = 0
        self.missing = 0
        self.view: EgressView | None = None
        self._reordering = reordering
        self._last_ns = 0
        # Segments ahead, without overlaps: (bytes, length on the wire, time) by ascending offset.
        self._starts: list[int] = []
        self._pieces: list[tuple[bytes, int, int]] = []
        self._bytes_kept = 0
        self._unseen = 0
        # Nothing kept, no FIN, nothing to compare with: a segment that is next can go straight out.
        self._plain = True

    @property
    def anchored(self) -> bool:
        return self.next_sequence >= 0

    def anchor(self, sequence: int) -> None:
        """Offset 0 has this sequence number, unless that is known already."""
        if self.next_sequence < 0:
            self.next_sequence = sequence & MASK

    def offset_of(self, sequence: int) -> int:
        """The offset of a sequence number that is within 2^31 of the next one. Needs an anchor."""
        delta = (sequence - self.next_sequence) & MASK
        return self.next + (delta if delta < 1 << 31 else delta - (1 << 32))

    @property
    def on_wire(self) -> int:
        """Unique bytes seen in packets."""
        return self.next - self._unseen + self._bytes_kept

    @property
    def highest(self) -> int:
        """The offset behind the last byte seen."""
        return self._starts[-1] + self._pieces[-1][1] if self._starts else self.next

    @property
    def fin_acknowledged(self) -> bool:
        return self.fin is not None and self.acknowledged > self.fin

    def add(self, sequence: int, payload: bytes, length: int, at_ns: int, out: list[StreamEvent]) -> None:
        """A segment of ``length`` (> 0) bytes, of which ``payload`` was captured. Events are appended to ``out``."""
        if sequence == self.next_sequence and self._plain and length == len(payload):
            if at_ns < self._last_ns:  # noqa: PLR1730 - a call of max() is a tenth of this path
                at_ns = self._last_ns
            self._last_ns = at_ns
            out.append(StreamBytes(self.connection, self.direction, at_ns, self.next, payload))
            self.next += length
            self.next_sequence = (sequence + length) & MASK
            return
        self.anchor(sequence)
        if sequence == self.next_sequence and not self._starts and self.fin is None and length == len(payload):
            self._deliver(payload, at_ns, out)
        else:
            self._add_any(self.offset_of(sequence), payload, length, at_ns, out)
        self._settle()

    def _settle(self) -> None:
        self._plain = not self._starts and self.fin is None and (self.view is None or not self.view.chunks)

    def _add_any(self, offset: int, payload: bytes, length: int, at_ns: int, out: list[StreamEvent]) -> None:
        if offset > self.next + FARTHEST:
            return
        if offset < self.next:
            old = min(self.next - offset, length)
            # A keep-alive probe repeats the byte before the next, which the peer has acknowledged (RFC 9293 §3.8.4).
            if not (length == 1 and offset == self.next - 1 and self.acknowledged >= self.next):
                self.retransmitted += max(0, old + min(offset, 0))
            payload = payload[old:]
            length -= old
            offset += old
        if self.fin is not None and offset + length > self.fin:
            # Nothing stands behind a FIN (RFC 9293 §3.10.7.4); Linux drops it as well.
            length = max(0, self.fin - offset)
            payload = payload[:length]
        if length == 0:
            return
        self._keep(offset, payload, length, at_ns)
        self._drain(out)
        self._give_up_proven(out)
        while self._bytes_kept > MAX_KEPT or len(self._starts) > MAX_PIECES:
            self._give_up(TOO_MUCH, out)

    def _keep(self, offset: int, payload: bytes, length: int, at_ns: int) -> None:
        """Put the bytes that are new into the store."""
        starts = self._starts
        pieces = self._pieces
        end = offset + length
        low = offset
        i = bisect_right(starts, low)
        if i and starts[i - 1] + pieces[i - 1][1] > low:
            low = starts[i - 1] + pieces[i - 1][1]
        new = 0
        while low < end:
            high = min(end, starts[i]) if i < len(starts) else end
            if low < high:
                part = payload if high - low == length else payload[low - offset : high - offset]
                starts.insert(i, low)
                pieces.insert(i, (part, high - low, at_ns))
                new += high - low
                i += 1
            if i == len(starts):
                break
            low = starts[i] + pieces[i][1]
            i += 1
        self._bytes_kept += new
        self.retransmitted += length - new

    def _drain(self, out: list[StreamEvent]) -> None:
        """Deliver what is next."""
        starts = self._starts
        done = 0
        while done < len(starts) and starts[done] == self.next:
            payload, length, at_ns = self._pieces[done]
            done += 1
            self._bytes_kept -= length
            self._deliver(payload, at_ns, out)
            if len(payload) < length:
                self._hole(self.next + length - len(payload), CUT, at_ns, out, unseen=False)
        if done:
            del starts[:done]
            del self._pieces[:done]

    def _deliver(self, payload: bytes, at_ns: int, out: list[StreamEvent]) -> None:
        if payload:
            if self.view is not None:
                self.view.compare(self.next, payload)
            self._emit(payload, at_ns, out)

    def _emit(self, payload: bytes, at_ns: int, out: list[StreamEvent]) -> None:
        self._last_ns = max(at_ns, self._last_ns)
        out.append(StreamBytes(self.connection, self.direction, self._last_ns, self.next, payload))
        self._advance(len(payload))

    def _advance(self, length: int) -> None:
        self.next += length
        self.next_sequence = (self.next_sequence + length) & MASK

    def _hole(self, end: int, reason: str, at_ns: int, out: list[StreamEvent], *, unseen: bool = True) -> None:
        """Go on to ``end`` with what the egress view has, and gaps for the rest. ``unseen``: in no packet at all."""
        if unseen:
            self._unseen += end - self.next
        if self.view is not None:
            for offset, data, read_ns in list(self.view.between(self.next, end)):
                self._gap(offset, reason, at_ns, out)
                self._emit(data, read_ns, out)
            self.view.release(end)
        self._gap(end, reason, at_ns, out)

    def _gap(self, end: int, reason: str, at_ns: int, out: list[StreamEvent]) -> None:
        length = end - self.next
        if length > 0:
            self._last_ns = max(at_ns, self._last_ns)
            out.append(StreamGap(self.connection, self.direction, self._last_ns, self.next, length, reason))
            self.missing += length
            self._advance(length)

    def _give_up(self, reason: str, out: list[StreamEvent]) -> None:
        """The hole before the first kept piece is a gap."""
        self._hole(self._starts[0], reason, self._pieces[0][2], out)
        self._drain(out)

    def _give_up_proven(self, out: list[StreamEvent]) -> None:
        starts = self._starts
        while (
            starts
            and self.acknowledged >= starts[0]
            and (len(starts) >= self._reordering or self._bytes_kept >= ENOUGH_KEPT)
        ):
            self._give_up(NOT_CAPTURED, out)

    def acknowledge(self, acknowledgment: int, out: list[StreamEvent]) -> None:
        """The peer has all bytes before this sequence number."""
        if self.next_sequence < 0:
            return
        self.last_acknowledgment = acknowledgment
        offset = self.offset_of(acknowledgment)
        if not self.acknowledged < offset <= self.next + FARTHEST:
            return
        self.acknowledged = offset
        if offset > self.next and (self._starts or self.view is not None):
            self._fill(offset, out)
            self._give_up_proven(out)
            self._settle()

    def _fill(self, limit: int, out: list[StreamEvent]) -> None:
        """Bytes that were acknowledged, are in no packet and in the egress view: no need to wait for anything more."""
        before = -1
        while self.view is not None and before < self.next < limit:
            before = self.next
            end = min(limit, self._starts[0]) if self._starts else limit
            if self.fin is not None:
                end = min(end, self.fin)
            for offset, data, read_ns in list(self.view.between(self.next, end)):
                if offset != self.next:
                    break
                self._unseen += len(data)
                self._emit(data, read_ns, out)
            self.view.release(self.next)
            self._drain(out)

    def end_at(self, sequence: int) -> None:
        """A FIN with this sequence number. Of several, the first in the stream counts."""
        self.anchor(sequence)
        offset = self.offset_of(sequence)
        if self.next <= offset <= self.next + FARTHEST and (self.fin is None or offset < self.fin):
            self.fin = offset
            starts, pieces = self._starts, self._pieces
            while starts and starts[-1] + pieces[-1][1] > offset:
                start = starts.pop()
                payload, length, at_ns = pieces.pop()
                self._bytes_kept -= length
                if start < offset:
                    self._keep(start, payload[: offset - start], offset - start, at_ns)
            self._settle()

    def offer(self, sequence: int, seen: int, data: bytes, at_ns: int, out: list[StreamEvent]) -> None:
        """The egress hook saw ``seen`` bytes from ``sequence`` on, and read ``data``."""
        self.anchor(sequence)
        if self.view is None:
            self.view = EgressView()
        offset = self.offset_of(sequence)
        if -FARTHEST <= offset - self.next <= FARTHEST:
            self.view.add(offset, max(seen, len(data)), data, at_ns, self.next)
            if self.acknowledged > self.next:
                self._fill(self.acknowledged, out)
            self._settle()

    def deliver_offered(self, end: int, at_ns: int, out: list[StreamEvent]) -> None:
        """There are no packets, and all before the offset ``end`` was accepted: deliver it out of the egress view."""
        if end > self.next:
            self._hole(min(end, self.next + FARTHEST), NOT_READ, at_ns, out)
            self._settle()

    def finish(self, at_ns: int, accepted: int | None, out: list[StreamEvent]) -> None:
        """No more segments come: deliver all that is kept, with gaps for what is not.

        ``accepted`` is the offset up to which bytes were written, if that is known.
        """
        while self._starts:
            self._give_up(NOT_CAPTURED if self.acknowledged >= self._starts[0] else ENDED, out)
        end = self.acknowledged
        if self.fin is not None:
            end = self.fin
        elif accepted is not None:
            end = min(end, accepted)
        elif end == self.next + 1:
            return  # one more acknowledged than was seen: a FIN that was not captured, rather than a byte
        if end > self.next:
            self._hole(end, NOT_CAPTURED if self.acknowledged >= end else ENDED, at_ns, out)
