"""One direction of a TLS connection: bytes in, records opened as soon as their key is there, events out.

A record has three outcomes: it is read; it must wait, and with it everything behind it; or it cannot be read, and is
counted as such. Nothing here raises.
"""

from itertools import pairwise

from ..records.common import Direction
from ..records.flow import TlsBytes
from . import messages
from .account import Account
from .buffer import Buffer, Stretch
from .handshake import KEY_LOG, LATE, Handshake
from .keys import HEADER_LENGTH, Epoch, Key
from .late import Attempt, LateSecret, Placed
from .names import TLS13
from .remains import (
    ALERT,
    APPLICATION_DATA,
    CHANGE_CIPHER_SPEC,
    HANDSHAKE,
    HEADER,
    HEARTBEAT,
    count_records,
    discard,
    record_waits,
)
from .resync import LONGEST_BODY_12, LONGEST_SEARCH, Candidate, Lost, Trials, find

CUT = "a record is cut by a gap"
BOUNDARY_LOST = "the record boundary was lost in a gap"
NOT_FOUND_AGAIN = "no record could be opened behind a gap"
NO_EARLY_SECRET = "0-RTT data, for which no CLIENT_EARLY_TRAFFIC_SECRET came"  # noqa: S105 - a label's name
BEFORE_SECRET = "records from before the secret that was found"  # noqa: S105
_UNPROTECTED = "application data before the keys were agreed"
_RENEGOTIATED = "a TLS 1.2 renegotiation is not followed"
_MOST_ATTEMPTS = 256


class Half:
    """``events`` of the account are for the caller to take away."""

    def __init__(self, direction: Direction, handshake: Handshake) -> None:
        self.direction = direction
        self.handshake = handshake
        self.buffer = Buffer()
        self.account = Account(direction)
        self._messages = messages.MessageReader()
        self._epoch = Epoch.CLEAR
        self._key: Key | None = None
        self._sequence = 0
        self._early_sequence = 0
        self._tried = -1  # the handshake's generation at which no key was found
        self._changed_cipher = False  # TLS 1.2: what comes now is encrypted
        self._whole = True  # nothing was missed since the first byte
        self._lost: Lost | None = None
        self._given_up = ""
        self._searched = -1  # the handshake's generation of the search that is under way
        self._trials = Trials()
        self._attempts: list[Attempt] = []

    def start_in_midstream(self) -> None:
        self._whole = False
        self._lost = Lost()

    @property
    def total(self) -> TlsBytes:
        return self.account.total(self.buffer.length)

    @property
    def undecrypted(self) -> bool:
        """Whether a late secret might help."""
        return self._key is None and not self._given_up and self.handshake.version in (None, TLS13)

    def offer(self, late: LateSecret) -> None:
        """A late secret of a process that may be this one. ``pump`` tries it."""
        if len(self._attempts) < _MOST_ATTEMPTS:
            self._attempts.append(Attempt(late))

    # The loop

    def pump(self, *, final: bool = False) -> None:
        """Reads all that can be read now. ``final``: nothing more comes, neither bytes nor secrets."""
        buffer = self.buffer
        while not self._given_up:
            stretch = buffer.stretches[0]
            if self._lost is not None:
                if not self._find_again(stretch, final=final):
                    return
                continue
            available = len(stretch.data) - stretch.position
            if available >= HEADER_LENGTH:
                kind, version, length = HEADER.unpack_from(stretch.data, stretch.position)
                if not CHANGE_CIPHER_SPEC <= kind <= HEARTBEAT or version >> 8 != 3 or length > LONGEST_BODY_12:
                    self._lose()
                    continue
                if available >= HEADER_LENGTH + length:
                    if not self._record(stretch, kind, length) and not self._place_late(final=final):
                        return
                    continue
            if buffer.only:
                return
            self._cut(stretch)
        discard(self.buffer, self.account, self._given_up)

    def _record(self, stretch: Stretch, kind: int, length: int) -> bool:
        """Reads one whole record; False where it must wait."""
        version = self.handshake.version
        if kind == APPLICATION_DATA or self._changed_cipher:
            if version is None:
                return False
            return self._sealed(stretch, kind, length)
        if kind == CHANGE_CIPHER_SPEC:
            if version is None:
                return False
            self._changed_cipher = version != TLS13  # RFC 8446 §5: under 1.3 it means nothing
            if self._changed_cipher:
                self.handshake.change_cipher_spec(self.direction)
        start = stretch.position + HEADER_LENGTH
        content = bytes(memoryview(stretch.data)[start : start + length])
        at_ns = stretch.consume(HEADER_LENGTH + length)
        self.account.clear += HEADER_LENGTH + length
        self.account.records += 1
        if kind == ALERT:
            self._alert(content, at_ns)
        elif kind == HANDSHAKE and self._epoch is Epoch.CLEAR:
            for message, body in self._messages.feed(content):
                self.handshake.message(self.direction, message, body, at_ns, sealed=False)
        return True

    def _sealed(self, stretch: Stretch, kind: int, length: int) -> bool:
        handshake = self.handshake
        if self._epoch is Epoch.CLEAR:
            self._messages.reset()
            if handshake.version != TLS13:
                if not self._changed_cipher:
                    return self._skip(stretch, length, handshake.refused or _UNPROTECTED)
                self._epoch = Epoch.APPLICATION
                if kind == HANDSHAKE:
                    handshake.finished(self.direction, stretch.time_of(HEADER_LENGTH + length))
            elif handshake.early_data and self.direction is handshake.client:
                self._epoch = Epoch.EARLY
            else:
                self._epoch = Epoch.HANDSHAKE
        if handshake.refused:
            return self._skip(stretch, length, handshake.refused)
        if self._epoch is Epoch.EARLY:
            return self._early(stretch, length)
        key = self._key
        if key is None:
            key = self._first_key(stretch, length, self._epoch)
            if key is None:
                return False
        opened = key.open(self._sequence, stretch.data, stretch.position, length)
        if opened is None:
            self._lose()
            return True
        self._sequence += 1
        self._trials.earn()
        at_ns = self._take(stretch, length)
        if opened[0] == APPLICATION_DATA:
            self.account.plaintext(at_ns, opened[1])
        else:
            self._content(opened[0], opened[1], at_ns)
        return True

    def _first_key(self, stretch: Stretch, length: int, epoch: Epoch) -> Key | None:
        """The key of an epoch is believed when it opens the epoch's first record."""
        handshake = self.handshake
        if self._tried == handshake.generation:
            return None
        for key in handshake.keys(self.direction, epoch):
            if key.open(0, stretch.data, stretch.position, length) is not None:
                handshake.adopt(key, KEY_LOG)
                self._key, self._sequence = key, 0
                return key
        self._tried = handshake.generation
        return None

    def _early(self, stretch: Stretch, length: int) -> bool:
        """RFC 8446 §4.2.10: 0-RTT data, until END_OF_EARLY_DATA, or until the first record of the handshake keys."""
        handshake = self.handshake
        if handshake.early_data_accepted is None:
            return False
        if self._first_key(stretch, length, Epoch.HANDSHAKE):
            self._epoch = Epoch.HANDSHAKE
            return True
        for key in handshake.keys(self.direction, Epoch.EARLY):
            opened = key.open(self._early_sequence, stretch.data, stretch.position, length)
            if opened is None:
                continue
            self._early_sequence += 1
            at_ns = self._take(stretch, length)
            if opened[0] == APPLICATION_DATA and handshake.early_data_accepted:
                self.account.plaintext(at_ns, opened[1])
            elif opened[0] == HANDSHAKE:
                self._epoch = Epoch.HANDSHAKE
            self._tried = -1
            return True
        if not handshake.keys(self.direction, Epoch.HANDSHAKE):
            return False  # it might be the first record behind the 0-RTT data
        self._tried = -1
        if not handshake.early_data_accepted:  # the server skips it, and the client sends it again
            self._take(stretch, length, NO_EARLY_SECRET)
            return True
        handshake.trouble(f"{NO_EARLY_SECRET}: the first bytes from {handshake.side(self.direction)} cannot be read")
        return self._skip(stretch, length, NO_EARLY_SECRET)

    def _take(self, stretch: Stretch, length: int, undecryptable: str = "") -> int:
        """Counts a whole record; gives the time at which it was complete."""
        size = HEADER_LENGTH + length
        self.account.records += 1
        if undecryptable:
            self.account.undecryptable(size, undecryptable)
        else:
            self.account.decrypted += size
        return stretch.consume(size)

    def _skip(self, stretch: Stretch, length: int, reason: str) -> bool:
        self.account.unreadable(self._take(stretch, length, reason), HEADER_LENGTH + length, reason)
        return True

    # What stands in opened records

    def _content(self, kind: int, content: bytes, at_ns: int) -> None:
        if kind == ALERT:
            self._alert(content, at_ns)
        elif kind == HANDSHAKE:
            for message, body in self._messages.feed(content):
                if message == messages.FINISHED:
                    self._finished(at_ns)
                elif message == messages.KEY_UPDATE and self._key is not None and (key := self._key.next()):
                    self._key, self._sequence = key, 0
                else:
                    self.handshake.message(self.direction, message, body, at_ns, sealed=True)
        elif kind == CHANGE_CIPHER_SPEC and self.handshake.version != TLS13:
            self._given_up = _RENEGOTIATED
            self.handshake.trouble(_RENEGOTIATED)

    def _finished(self, at_ns: int) -> None:
        self.handshake.finished(self.direction, at_ns)
        if self.handshake.version == TLS13 and self._key is not None:
            self._epoch = Epoch.APPLICATION
            self._key, self._sequence, self._tried = None, 0, -1
            self._messages.reset()

    def _alert(self, content: bytes, at_ns: int) -> None:
        if self.handshake.alert(self.direction, content):
            self.account.end(at_ns)

    # Lost boundaries

    def _lose(self) -> None:
        """The next record does not open, or is none."""
        self._lost = Lost()
        self._messages.reset(adrift=True)

    def _cut(self, stretch: Stretch) -> None:
        """Goes on behind the hole that follows a stretch; what is left of the stretch cannot be used."""
        rest = len(stretch)
        if self._lost is None:
            self._lose()
        hole = self.buffer.drop_first().hole
        if self._lost is None or hole is None:
            return
        self._whole = False
        self.account.undecryptable(rest, CUT)
        self.account.missing += hole.length
        self.account.unreadable(hole.at_ns, rest + hole.length, hole.reason)
        self._lost.length += rest + hole.length
        self._lost.searched = None

    def _candidates(self) -> list[Candidate]:
        handshake = self.handshake
        if self._key is not None:
            found = [Candidate(self._key, self._sequence, follows=True)]
            if self._epoch is Epoch.APPLICATION and (after := self._key.next()) is not None:
                found.append(Candidate(after, 0, follows=False))
        else:
            found = []
        if self._epoch is not Epoch.APPLICATION:
            found += [Candidate(key, 0, follows=False) for key in handshake.keys(self.direction, Epoch.APPLICATION)]
            if self._key is None:
                found += [Candidate(key, 0, follows=False) for key in handshake.keys(self.direction, Epoch.HANDSHAKE)]
        elif self._key is None:
            found += [Candidate(key, 0, follows=True) for key in handshake.keys(self.direction, Epoch.APPLICATION)]
        return found

    def _find_again(self, stretch: Stretch, *, final: bool) -> bool:
        """Looks for a record that opens; False where that must wait."""
        lost = self._lost
        handshake = self.handshake
        if lost is None:
            return True
        if handshake.refused:
            self._given_up = handshake.refused
            return True
        candidates = self._candidates()
        if not candidates:
            return self._place_late(final=final)
        if self._searched != handshake.generation:  # with keys that are new, everything is worth another search
            self._searched, lost.searched = handshake.generation, None
            self._trials = Trials()
        more = self.buffer.only and not final
        found = find(stretch, lost, candidates, self._trials, more=more, tls13=handshake.version == TLS13)
        if found is not None:
            self._found(stretch, found.index, found.key, found.sequence)
            return True
        complete = self._epoch is Epoch.APPLICATION or bool(handshake.keys(self.direction, Epoch.APPLICATION))
        searched = (lost.searched or 0) - stretch.used
        if complete and (self._trials.left <= 0 or searched > LONGEST_SEARCH):
            self._given_up = NOT_FOUND_AGAIN
            handshake.trouble(f"{NOT_FOUND_AGAIN} in the bytes from {handshake.side(self.direction)}")
            return True
        if not self.buffer.only and (complete or final):
            self._cut(stretch)
            return True
        return False

    def _found(self, stretch: Stretch, index: int, key: Key, sequence: int) -> None:
        """Goes on at ``data[index]``. What was skipped is a gap, unless it was certainly handshake."""
        skipped = index - stretch.position
        only_handshake = (
            self._whole and self._epoch < Epoch.APPLICATION and key.epoch is Epoch.APPLICATION and not sequence
        )
        if only_handshake:
            reason = self.handshake.why_closed(self.direction, self._epoch)
        else:
            reason = BOUNDARY_LOST
            if skipped:
                self.account.unreadable(stretch.first_at_ns, skipped, reason)
        self.account.undecryptable(skipped, reason)
        if skipped:
            stretch.consume(skipped)
        self.handshake.adopt(key, KEY_LOG)
        self._changed_cipher = self.handshake.version != TLS13
        self._epoch = key.epoch
        self._key, self._sequence, self._lost = key, sequence, None

    # Late secrets

    def _place_late(self, *, final: bool) -> bool:
        """Tries the late secrets; a connection of the key log waits for the key log first."""
        if not self._attempts or self._key is not None:
            return False
        if self.handshake.has_secrets and self._epoch is not Epoch.APPLICATION and not final:
            return False
        self._attempts = [attempt for attempt in self._attempts if not attempt.late.used]
        for attempt in self._attempts:
            placed = attempt.place(self.buffer, self.handshake, boundary=self._lost is None, more=not final)
            if placed is not None:
                attempt.late.used = True
                self._go_to(placed)
                return True
        return False

    def _go_to(self, placed: Placed) -> None:
        while self.buffer.first is not placed.stretch:
            self._cut(self.buffer.first)
        stretch = placed.stretch
        quiet = self._whole and not placed.sequence and not placed.after_key_update
        before = [index for index in placed.records if index < placed.index] if quiet else [stretch.position]
        sizes = [end - start for start, end in pairwise([*before, placed.index])]
        for size in filter(None, sizes):
            clear = quiet and stretch.data[stretch.position] != APPLICATION_DATA
            at_ns = stretch.consume(size)
            if clear:
                self.account.clear += size
            else:
                self.account.undecryptable(size, BEFORE_SECRET)
            if not quiet:
                self.account.unreadable(at_ns, size, BEFORE_SECRET)
        if quiet and sizes:
            self.handshake.finished(self.direction, at_ns)
        self.handshake.adopt(placed.key, LATE)
        self._epoch = Epoch.APPLICATION
        self._key, self._sequence, self._lost = placed.key, placed.sequence, None

    # The end

    def overflow(self) -> None:
        """Too much is waiting: what waits is given up, what comes may still be read."""
        reason = self.handshake.why_closed(self.direction, self._epoch)
        self.handshake.trouble(reason)
        lost = self._lost or Lost()
        lost.boundary, lost.searched = False, None
        lost.length += discard(self.buffer, self.account, reason)
        self._lost = lost
        self._whole = False
        self._messages.reset(adrift=True)

    def close(self) -> None:
        """Nothing more comes: everything becomes something."""
        self.pump()
        if self._lost is None and record_waits(self.buffer.first):
            self._lost = Lost(boundary=True)  # a later epoch's key may be there
        self.pump(final=True)
        boundary = self._lost is None or self._lost.boundary
        if self._key is not None and not boundary:
            reason = NOT_FOUND_AGAIN
        else:
            reason = self.handshake.why_closed(self.direction, self._epoch)
        before = self.account.undecryptable_bytes
        if self.buffer.only and boundary:
            count_records(self.buffer.first, self.account, reason, sealed=self._changed_cipher)
        else:
            discard(self.buffer, self.account, reason)
        if self.account.undecryptable_bytes != before:
            self.handshake.trouble(reason)
        self.account.flush()
        self.buffer = Buffer()
