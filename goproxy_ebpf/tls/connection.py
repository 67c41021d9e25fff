"""One connection: what each direction speaks, the handshake that both share, and their events in the order of time."""

from collections.abc import Callable, Iterable
from heapq import merge

from ..records.common import Direction
from ..records.flow import Plaintext, PlaintextEnd, PlaintextGap, TlsBytes, TlsEvent
from .clear import Midstream, Speech, Tunnel, answer, begins_with_hello, first_words
from .half import Half
from .handshake import Handshake
from .late import LateSecret

SEND, RECV = Direction.SEND, Direction.RECV
ANSWERED_IN_CLEAR = "does not answer the ClientHello with TLS, but in clear text"


def _at_ns(event: Plaintext | PlaintextGap | PlaintextEnd) -> int:
    return event.at_ns


class Lane:
    """One direction. While ``speech`` is not known, its bytes wait in the half's buffer."""

    def __init__(self, direction: Direction, handshake: Handshake) -> None:
        self.half = Half(direction, handshake)
        self.speech: Speech | None = None
        self.tunnel = Tunnel()
        self.midstream = Midstream()

    @property
    def tls(self) -> bool:
        return self.speech is Speech.TLS


class Connection:
    """``complete``: both directions begin with their first byte."""

    def __init__(self, at_ns: int, pid: int, masters: Callable[[], Iterable[bytes]], *, complete: bool) -> None:
        self.at_ns = at_ns
        self.pid = pid
        self.complete = complete
        self.handshake = Handshake(masters)
        self.is_tls: bool | None = None
        self.closed = False
        self._cost = 0
        self._sent = Lane(SEND, self.handshake)
        self._received = Lane(RECV, self.handshake)
        self._pumped = 0  # the handshake's generation at which both directions were read
        self._told = self.handshake.facts

    def _lane(self, direction: Direction) -> Lane:
        return self._sent if direction is SEND else self._received

    # What comes in

    def bytes_came(self, direction: Direction, at_ns: int, data: bytes) -> None:
        lane = self._sent if direction is SEND else self._received
        if lane.tls:
            lane.half.buffer.append(at_ns, data)
            self._read(lane)
        elif lane.speech is Speech.CLEAR:
            self._pass(lane, at_ns, data)
        else:
            lane.half.buffer.append(at_ns, data)
            self._listen(lane)

    def gap_came(self, direction: Direction, at_ns: int, length: int, reason: str) -> None:
        lane = self._lane(direction)
        if lane.speech is Speech.CLEAR:
            self._pass_hole(lane, at_ns, length, reason)
            return
        lane.half.buffer.hole(at_ns, length, reason)
        lane.midstream = Midstream()
        if lane.tls:
            self._read(lane)
        elif self.is_tls:
            self._listen(lane)

    def secret_came(self, label: str, secret: bytes) -> None:
        if not self.closed:
            self.handshake.add_secret(label, secret)
            self._read_both()

    def offer(self, late: LateSecret) -> None:
        half = self._lane(late.record.direction).half
        if not self.closed and self.is_tls is not False and half.undecrypted:
            half.offer(late)
            if self._lane(late.record.direction).tls:
                self._read(self._lane(late.record.direction))

    def overflow(self) -> None:
        """Gives up what is waiting."""
        for lane in (self._sent, self._received):
            if lane.tls:
                lane.half.overflow()

    def close(self, at_ns: int, *, orderly: bool) -> None:
        """Nothing more comes. ``orderly``: both directions ended with a FIN."""
        if self.closed:
            return
        self.closed = True
        for lane in (self._sent, self._received):
            if lane.speech is None and (lane.half.buffer.length or lane.tunnel.open):
                self._listen(lane, final=True)
        self._read_both()
        for lane in (self._sent, self._received):
            if lane.tls:
                lane.half.close()
            elif orderly and self.is_tls is not None and lane.speech is Speech.CLEAR:
                lane.half.account.end(at_ns)

    # What goes out

    def events(self) -> list[TlsEvent]:
        """Takes the events that are there: facts first, then both directions by time."""
        found: list[TlsEvent] = []
        if self.handshake.facts is not self._told:
            if self.handshake.facts != self._told:
                found.append(self.handshake.facts)
            self._told = self.handshake.facts
        sent, received = self._sent.half.account, self._received.half.account
        if sent.events and received.events:
            in_order = list(merge(sent.events, received.events, key=_at_ns))
        else:
            in_order = sent.events or received.events
        found += in_order
        if in_order:
            sent.events, received.events = [], []
        return found

    def total(self, direction: Direction) -> TlsBytes | None:
        return self._lane(direction).half.total if self.is_tls else None

    def cost_change(self) -> int:
        """How much more memory waits here than at the last call, in bytes."""
        before, self._cost = self._cost, self._sent.half.buffer.cost + self._received.half.buffer.cost
        return self._cost - before

    @property
    def cost(self) -> int:
        return self._cost

    # TLS

    def _read(self, lane: Lane) -> None:
        lane.half.pump()
        if self._pumped != self.handshake.generation:
            self._read_both()

    def _read_both(self) -> None:
        """Reads both directions, again for as long as one finds what the other may have waited for."""
        while self._pumped != (generation := self.handshake.generation):
            self._pumped = generation
            for lane in (self._sent, self._received):
                if lane.tls:
                    lane.half.pump()

    # What it is that is spoken

    def _listen(self, lane: Lane, *, final: bool = False) -> None:
        """Decides what a lane speaks, if its bytes say so by now."""
        stretches = lane.half.buffer.stretches
        data = stretches[-1].data
        if lane.tunnel.open:
            speech = (answer if lane.tunnel.answers else first_words)(data)
        elif self.is_tls and not self.complete:
            speech = begins_with_hello(data)
        elif self.is_tls:
            speech = answer(data) if len(stretches) == 1 else Speech.TLS
        elif self.complete and len(stretches) == 1:
            speech = first_words(data)
        else:
            speech = lane.midstream.look(data, final=final)
        if speech is None and final:
            speech = Speech.TLS if self.is_tls else Speech.CLEAR
        if speech is None:
            return
        if speech is not Speech.CLEAR:
            self._begin_tls(lane, speech)
        elif lane.tunnel.open or self.is_tls:
            if not lane.tunnel.open:
                self.handshake.trouble(f"{self.handshake.side(lane.half.direction)} {ANSWERED_IN_CLEAR}")
            self._begin_clear(lane)
        else:
            self.is_tls = False
            for each in (self._sent, self._received):
                self._begin_clear(each)

    def _begin_tls(self, lane: Lane, speech: Speech) -> None:
        first = self.is_tls is not True
        self.is_tls = True
        lane.speech = Speech.TLS
        if not self.complete and (speech is Speech.INSIDE_TLS or not lane.half.buffer.only):
            lane.half.start_in_midstream()
        self._read(lane)
        other = self._lane(lane.half.direction.other)
        if first and other.speech is None and other.half.buffer.length:
            self._listen(other)

    def _begin_clear(self, lane: Lane) -> None:
        if lane.tunnel.open:
            lane.tunnel.closed = True
        lane.speech = Speech.CLEAR
        buffer = lane.half.buffer
        while True:
            if rest := len(buffer.first):
                data = bytes(buffer.first.data[buffer.first.position :])
                self._pass(lane, buffer.first.consume(rest), data)
            if buffer.only:
                return
            if hole := buffer.drop_first().hole:
                self._pass_hole(lane, hole.at_ns, hole.length, hole.reason)

    def _pass(self, lane: Lane, at_ns: int, data: bytes) -> None:
        """Clear text is plaintext; in a tunnel, only up to where TLS may begin."""
        account, tunnel = lane.half.account, lane.tunnel
        before = len(data)
        if not tunnel.closed:
            before = tunnel.feed(data, self._lane(lane.half.direction.other).tunnel)
        account.clear += before
        account.plaintext(at_ns, data if before == len(data) else data[:before])
        if tunnel.open and not tunnel.closed:
            lane.speech = None
            if before < len(data):
                lane.half.buffer.append(at_ns, data[before:])
                self._listen(lane)

    def _pass_hole(self, lane: Lane, at_ns: int, length: int, reason: str) -> None:
        lane.tunnel.closed = True
        lane.half.account.missing += length
        lane.half.account.unreadable(at_ns, length, reason)
        lane.half.account.flush()
