"""What one direction speaks before, or instead of, TLS; and where TLS begins behind an HTTP CONNECT (RFC 9110 §9.3.6).

Looking at first bytes has three outcomes: a ``Speech``, or None for "need more", and in neither case is anything
consumed. ``Tunnel`` says of each piece of clear text how much of it comes before the place where TLS may begin.
"""

import re
from enum import Enum
from heapq import heappop, heappush

from .keys import HEADER_LENGTH
from .resync import LONGEST_BODY_12

# Two records in a row start within so many bytes of any TLS stream.
_LONGEST_LOOK = 2 * (HEADER_LENGTH + LONGEST_BODY_12)
_LONGEST_HEAD = 1 << 16
_HEAD_END = b"\r\n\r\n"

_HELLO_RECORD = re.compile(rb"\x16\x03[\x00-\x04]..[\x01\x02]", re.DOTALL)
_HTTP = re.compile(rb"(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS|CONNECT|TRACE) |HTTP/1\.|PRI \* HTTP/2")
_RECORD = re.compile(rb"[\x14-\x17]\x03[\x01-\x03][\x00-\x48].", re.DOTALL)


class Speech(Enum):
    TLS = "TLS from its first record on"
    INSIDE_TLS = "TLS that began before"
    CLEAR = "no TLS"


def first_words(data: bytes | bytearray) -> Speech | None:
    """From the first byte of a connection on: a handshake record, or no TLS."""
    if data[:1] not in (b"", b"\x16") or data[1:2] not in (b"", b"\x03") or data[2:3] > b"\x04":
        return Speech.CLEAR
    return Speech.TLS if len(data) >= 3 else None


def answer(data: bytes | bytearray) -> Speech | None:
    """From the first byte of the direction that answers TLS: any record, or no TLS."""
    if (data and not 0x14 <= data[0] <= 0x18) or data[1:2] not in (b"", b"\x03"):
        return Speech.CLEAR
    return Speech.TLS if len(data) >= 2 else None


class Midstream:
    """Looks at a stream from some byte on: two record headers at the right distance are no accident (2^-35 a place)."""

    def __init__(self) -> None:
        self._scanned = 0
        self._ends: list[int] = []  # where the next header would be for each one found, as a heap

    def look(self, data: bytearray, *, final: bool) -> Speech | None:
        """``data`` may only grow. ``final``: not even that, so one record that begins or ends it must do."""
        if _HELLO_RECORD.match(data):
            return Speech.TLS
        if _HTTP.match(data):
            return Speech.CLEAR
        stop = min(len(data), _LONGEST_LOOK)
        for match in _RECORD.finditer(data, self._scanned, stop):
            start = match.start()
            heappush(self._ends, start + HEADER_LENGTH + (data[start + 3] << 8 | data[start + 4]))
            self._scanned = start + 1
        self._scanned = max(self._scanned, stop - HEADER_LENGTH + 1)
        while self._ends and self._ends[0] + HEADER_LENGTH <= stop:
            if _RECORD.match(data, heappop(self._ends)):
                return Speech.INSIDE_TLS
        if final and (_RECORD.match(data) or len(data) in self._ends):
            return Speech.INSIDE_TLS
        return Speech.CLEAR if final or len(data) >= _LONGEST_LOOK else None


def begins_with_hello(data: bytearray) -> Speech | None:
    """From some byte of a direction that speaks TLS: whether that is its first."""
    if _HELLO_RECORD.match(data):
        return Speech.TLS
    return Speech.INSIDE_TLS if len(data) > HEADER_LENGTH else None


class Tunnel:
    """One direction of clear text: the request or the answer of a CONNECT, or anything else.

    ``open``: TLS may begin with the next byte. ``closed``: it will not begin any more.
    """

    def __init__(self) -> None:
        self.open = False
        self.closed = False
        self.asks = False
        self.answers = False
        self._head = bytearray()

    def feed(self, data: bytes, other: "Tunnel") -> int:
        """How many of these bytes come before the place where TLS may begin. ``other`` is the other direction's."""
        before = len(self._head)
        self._head += data
        while not self.closed and self._head:
            self.asks = b"CONNECT ".startswith(self._head[:8]) or self.asks
            self.answers = not self.asks and other.asks
            begins = b"HTTP/1." if self.answers else b"CONNECT "
            if not self._head.startswith(begins[: len(self._head)]):
                break
            end = self._head.find(_HEAD_END, max(0, before - len(_HEAD_END) + 1))
            if end < 0:
                if len(self._head) <= _LONGEST_HEAD:
                    return len(data)
                break
            end += len(_HEAD_END)
            status = self._head[9:10] if self.answers else b"2"
            if status == b"1":  # RFC 9110 §15.2: an interim answer
                del self._head[:end]
                before = 0
                continue
            if status != b"2":
                break
            self.open = True
            taken = len(data) - (len(self._head) - end)
            self._head.clear()
            return taken
        else:
            return len(data)
        self.closed, self.asks = True, False
        self._head.clear()
        return len(data)
