"""One section of a pcapng file: its byte order, its interfaces, and packets out of its blocks.

Outcomes of ``packet``: a ``RawPacket`` · None, where the block makes no sense (lengths, an interface nobody described).
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from goproxy_ebpf.records.common import Direction

from .blocks import (
    ENHANCED_PACKET,
    ENTERPRISE,
    OBSOLETE_PACKET,
    OPTION_CUSTOM_BYTES,
    OPTION_END,
    OPTION_FLAGS,
    OPTION_TIME_OFFSET,
    OPTION_TIME_RESOLUTION,
    SIMPLE_PACKET,
)
from .note import Note, unpack_note

PACKET_KINDS = frozenset((ENHANCED_PACKET, SIMPLE_PACKET, OBSOLETE_PACKET))
_NANOSECONDS = 1_000_000_000
_DIRECTIONS = {1: Direction.RECV, 2: Direction.SEND}
_DROPPED_BY_INTERFACE, _DROPPED_BY_SYSTEM = 5, 7
_MOST_INTERFACES = 65_536
_KNOWN_OPTIONS = 4096
_LATEST_NS = (1 << 63) - 1


class Interface(NamedTuple):
    """``at_ns = ticks * _NANOSECONDS // ticks_per_second + offset_ns``; ``exact`` where ticks are nanoseconds."""

    link: int
    snap_length: int
    ticks_per_second: int
    offset_ns: int
    exact: bool


class Facts(NamedTuple):
    """What a packet's options say: None where they do not."""

    direction: Direction | None
    note: Note | None


class RawPacket(NamedTuple):
    """A packet as the file has it: ``data`` is a link-layer frame, ``seen`` its length on the wire."""

    at_ns: int
    link: int
    data: bytes
    seen: int
    direction: Direction | None = None
    note: Note | None = None


class Section:
    def __init__(self, order: str = "<") -> None:
        self._order = order
        self._interfaces: list[Interface] = []
        self._dropped: dict[int, int] = {}
        self._last_ns = 0
        self._facts: dict[bytes, Facts] = {}
        self._enhanced = struct.Struct(order + "IIIII")
        self._obsolete = struct.Struct(order + "HHIIII")

    def describe(self, body: bytes) -> bool:
        """An Interface Description Block; False if it makes no sense."""
        if len(body) < 8 or len(self._interfaces) >= _MOST_INTERFACES:
            return False
        link, _, snap_length = struct.unpack_from(self._order + "HHI", body)
        ticks, offset = 1_000_000, 0
        for code, value in self._options(body[8:]):
            if code == OPTION_TIME_RESOLUTION and len(value) == 1:
                # The highest bit tells powers of 2 from powers of 10.
                ticks = 1 << (value[0] & 0x7F) if value[0] & 0x80 else 10 ** value[0]
            elif code == OPTION_TIME_OFFSET and len(value) == 8:
                offset = struct.unpack(self._order + "q", value)[0] * _NANOSECONDS
        exact = ticks == _NANOSECONDS and not offset
        self._interfaces.append(Interface(link, snap_length, ticks, offset, exact))
        return True

    def packet(self, kind: int, buffer: bytes, start: int, end: int) -> RawPacket | None:
        """The packet in the body of an Enhanced, Simple or obsolete Packet Block, ``buffer[start:end]``."""
        if kind == SIMPLE_PACKET:
            return self._simple(buffer[start:end])
        if end - start < 20:
            return None
        if kind == ENHANCED_PACKET:
            number, high, low, captured, seen = self._enhanced.unpack_from(buffer, start)
        else:
            number, _, high, low, captured, seen = self._obsolete.unpack_from(buffer, start)
        data_at = start + 20
        data_end = data_at + captured
        if data_end > end or number >= len(self._interfaces):
            return None
        interface = self._interfaces[number]
        options = buffer[data_end + (-captured & 3) : end]
        facts = self._facts.get(options) or self._learn(options)
        at_ns = high << 32 | low
        if not interface.exact:
            at_ns = at_ns * _NANOSECONDS // interface.ticks_per_second + interface.offset_ns
            at_ns = min(max(at_ns, 0), _LATEST_NS)
        self._last_ns = at_ns
        return RawPacket(at_ns, interface.link, buffer[data_at:data_end], seen, facts.direction, facts.note)

    def newly_dropped(self, body: bytes) -> int:
        """Packets that an Interface Statistics Block says were dropped since the last one of that interface."""
        if len(body) < 12:
            return 0
        number = struct.unpack_from(self._order + "I", body)[0]
        dropped: int = sum(
            struct.unpack(self._order + "Q", value)[0]
            for code, value in self._options(body[12:])
            if code in (_DROPPED_BY_INTERFACE, _DROPPED_BY_SYSTEM) and len(value) == 8
        )
        before = self._dropped.get(number, 0)
        if number < len(self._interfaces):
            self._dropped[number] = max(dropped, before)
        return max(dropped - before, 0)

    def _simple(self, body: bytes) -> RawPacket | None:
        """A Simple Packet Block has no time: that of the packet before it will have to do."""
        if len(body) < 4 or not self._interfaces:
            return None
        seen = struct.unpack_from(self._order + "I", body)[0]
        interface = self._interfaces[0]
        captured = min(seen, interface.snap_length or seen)
        if captured > len(body) - 4:
            return None
        return RawPacket(self._last_ns, interface.link, body[4 : 4 + captured], seen)

    def _learn(self, options: bytes) -> Facts:
        """A flow's packets all have the same options: they are taken apart once."""
        direction = note = None
        for code, value in self._options(options):
            if code == OPTION_FLAGS and len(value) == 4:
                direction = _DIRECTIONS.get(struct.unpack(self._order + "I", value)[0] & 3)
            elif code == OPTION_CUSTOM_BYTES and len(value) >= 4:
                enterprise = struct.unpack_from(self._order + "I", value)[0]
                note = unpack_note(value[4:]) if enterprise == ENTERPRISE else note
        if len(self._facts) >= _KNOWN_OPTIONS:
            self._facts.clear()
        facts = self._facts[options] = Facts(direction, note)
        return facts

    def _options(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Code and value of each option up to the end mark, or to the first that does not fit."""
        at = 0
        while at + 4 <= len(data):
            code, length = struct.unpack_from(self._order + "HH", data, at)
            if code == OPTION_END or at + 4 + length > len(data):
                return
            yield code, data[at + 4 : at + 4 + length]
            at += 4 + length + (-length & 3)
