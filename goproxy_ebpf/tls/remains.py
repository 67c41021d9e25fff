"""What is left of a direction when it cannot be read any more: every byte of it is counted."""

import struct

from .account import Account
from .buffer import Buffer, Stretch
from .keys import HEADER_LENGTH

CHANGE_CIPHER_SPEC = 20
ALERT = 21
HANDSHAKE = 22
APPLICATION_DATA = 23
HEARTBEAT = 24

HEADER = struct.Struct(">BHH")
"""Content type, legacy version and length of a record (RFC 8446 §5.1)."""

UNFINISHED = "the connection ended inside a record"


def record_waits(stretch: Stretch) -> bool:
    """Whether a stretch that begins with a record has all of it."""
    if len(stretch) < HEADER_LENGTH:
        return False
    length: int = HEADER.unpack_from(stretch.data, stretch.position)[2]
    return len(stretch) >= HEADER_LENGTH + length


def count_records(stretch: Stretch, account: Account, reason: str, *, sealed: bool) -> None:
    """Counts the records that were never opened, and the one that was never whole.

    ``sealed``: all records are encrypted, whatever their type.
    """
    while record_waits(stretch):
        size = HEADER_LENGTH + HEADER.unpack_from(stretch.data, stretch.position)[2]
        account.records += 1
        account.undecryptable(size, reason)
        account.unreadable(stretch.consume(size), size, reason)
    if rest := len(stretch):
        sealed = sealed or stretch.data[stretch.position] == APPLICATION_DATA
        at_ns = stretch.consume(rest)
        account.partial += rest
        if sealed:
            account.unreadable(at_ns, rest, UNFINISHED)


def discard(buffer: Buffer, account: Account, reason: str) -> int:
    """Gives up all that is there; gives how many bytes that was."""
    total = 0
    while True:
        if rest := len(buffer.first):
            account.undecryptable(rest, reason)
            account.unreadable(buffer.first.consume(rest), rest, reason)
        total += rest
        if buffer.only:
            return total
        if hole := buffer.drop_first().hole:
            account.missing += hole.length
            account.unreadable(hole.at_ns, hole.length, hole.reason)
            total += hole.length
