"""Capture records -> pcapng.

Packets are Enhanced Packet Blocks of one interface (link type RAW, nanoseconds, direction in the flags); everything
else is a block of ours at its place in arrival order. A Secret is both: a record at its place, for us, and a line of
the key log in front, for Wireshark (``reserve``). When that is full, further lines wait for ``close``, which puts them
in front too (``insert``); a file that was never closed lacks those lines, and no record.
"""

import struct
from typing import BinaryIO

from goproxy_ebpf.records.capture import CaptureRecord, Loss, Packet, Secret
from goproxy_ebpf.records.common import Direction, SocketAddresses

from .blocks import (
    BYTE_ORDER_MAGIC,
    ENHANCED_PACKET,
    ENTERPRISE,
    INTERFACE_DESCRIPTION,
    LINKTYPE_RAW,
    MAX_BLOCK_BYTES,
    MAX_PACKET_BYTES,
    OPTION_CUSTOM_BYTES,
    OPTION_END,
    OPTION_FLAGS,
    OPTION_TIME_RESOLUTION,
    OPTION_USER_APPLICATION,
    RECORD_HEAD,
    SECTION_HEADER,
    U32,
    block,
    encoded,
    option,
    record_block,
    write_at,
)
from .insert import insert_block, room_for
from .keylog import line_of
from .note import STAND_IN, pack_note
from .reserve import SMALLEST_BYTES, Reserve, secrets_block
from .stand_in import stand_ins

_PIECE_BYTES = 256 * 1024
"""Written at once, and the step in which a file is rewritten."""
_LARGEST_SECRETS_BYTES = 8 * 1024 * 1024
_KNOWN_ENDINGS = 4096
_NANOSECONDS = 9
_INBOUND, _OUTBOUND = 1, 2

_PACKET_HEAD = struct.Struct("<IIIIIII")
_PACKET_EMPTY_BYTES = 32
_PADDING = (b"", b"\0", b"\0\0", b"\0\0\0")


def _file_head() -> bytes:
    section = struct.pack("<IHHq", BYTE_ORDER_MAGIC, 1, 0, -1)
    section += option(OPTION_USER_APPLICATION, b"goproxy-ebpf") + option(OPTION_END, b"")
    # Snapshot length 0: no limit.
    interface = struct.pack("<HHI", LINKTYPE_RAW, 0, 0)
    interface += option(OPTION_TIME_RESOLUTION, bytes([_NANOSECONDS])) + option(OPTION_END, b"")
    return block(SECTION_HEADER, section) + block(INTERFACE_DESCRIPTION, interface)


class CaptureWriter:
    """Writes a capture through ``file`` alone: open for reading and writing, seekable, empty. Errors are the file's.

    ``reserve_bytes`` is the room for secrets in front: about 200 bytes a secret, four secrets a TLS 1.3 connection.
    """

    def __init__(self, file: BinaryIO, reserve_bytes: int = 262_144) -> None:
        self._file = file
        self._parts: list[bytes] = []
        self._buffered = 0
        self._marked = False
        self._closed = False
        self._endings: dict[tuple[Direction, SocketAddresses | None, int, int], bytes | None] = {}
        self._waiting: list[bytes] = []
        head = _file_head()
        reserve = min(reserve_bytes, _LARGEST_SECRETS_BYTES) & ~3
        if reserve >= SMALLEST_BYTES:
            self._reserve = Reserve(len(head), reserve)
            head += secrets_block(b"", reserve)
        else:
            self._reserve = Reserve(len(head), 0)
        write_at(file, 0, head)
        self._marks = [len(head)]

    def write(self, record: CaptureRecord) -> None:
        """Append one record; it is in the file after ``flush`` at the latest."""
        if isinstance(record, Packet):
            if not self._marked:
                self._append(record_block())
            self._packet(record)
        else:
            if isinstance(record, Secret):
                self._secret(record)
            self._record(record)
        self._marked = True  # a block of ours stands before the first packet: that is how the reader knows its own
        if self._buffered >= _PIECE_BYTES:
            self._drain()

    def flush(self) -> None:
        """Everything written so far is in the file."""
        self._drain()
        self._file.flush()

    def close(self) -> None:
        """Flush, and bring the secrets in front that found no room there. The file stays open. Can be called twice."""
        if self._closed:
            return
        if not self._marked:
            self._append(record_block())
        self.flush()
        self._bring_forward()
        self._file.flush()
        self._closed = True

    def _packet(self, packet: Packet) -> None:
        at, data = packet.at_ns, packet.data
        key = (packet.direction, packet.socket, packet.netns, packet.cookie)
        try:
            ending = self._endings[key]
        except KeyError:
            ending = self._ending(*key)
        captured = len(data)
        if ending is None or captured > MAX_PACKET_BYTES or not 0 <= at < 1 << 64 or not 0 <= packet.seen < 1 << 32:
            self._unusual(packet)
            return
        padding = _PADDING[-captured & 3]
        total = _PACKET_EMPTY_BYTES + captured + len(padding) + len(ending)
        head = _PACKET_HEAD.pack(ENHANCED_PACKET, total, 0, at >> 32, at & 0xFFFFFFFF, captured, packet.seen)
        self._parts += (head, data, padding, ending, U32.pack(total))
        self._buffered += total

    def _ending(self, direction: Direction, socket: SocketAddresses | None, netns: int, cookie: int) -> bytes | None:
        """The options of a packet's block; None if they cannot say it all."""
        note = pack_note(socket, netns, cookie)
        ending = None if note is None else _options(direction, note)
        if len(self._endings) >= _KNOWN_ENDINGS:
            self._endings.clear()
        self._endings[direction, socket, netns, cookie] = ending
        return ending

    def _unusual(self, packet: Packet) -> None:
        """A packet that no packet block can hold, or Wireshark cannot bear: whole for us, stand-ins for others."""
        self._record(packet)
        at = min(max(packet.at_ns, 0), (1 << 64) - 1)
        ending = _options(packet.direction, STAND_IN)
        for data in stand_ins(packet.data):
            seen = min(max(packet.seen - len(packet.data) + len(data), len(data)), (1 << 32) - 1)
            head = struct.pack("<IIIII", 0, at >> 32, at & 0xFFFFFFFF, len(data), seen)
            self._append(block(ENHANCED_PACKET, head + data + _PADDING[-len(data) & 3] + ending))

    def _record(self, record: CaptureRecord) -> None:
        payload = encoded(record)
        if len(payload) > MAX_BLOCK_BYTES - RECORD_HEAD.size - 16:
            payload = encoded(Loss(record.at_ns, "record too large for a capture file", 1, len(payload)))
        self._append(record_block(payload))

    def _secret(self, secret: Secret) -> None:
        line = line_of(secret)
        if not line:
            return
        writes = self._reserve.place(line)
        for offset, data in writes:
            write_at(self._file, offset, data)
        if not writes:
            self._waiting.append(line + b"\n")

    def _append(self, data: bytes) -> None:
        self._parts.append(data)
        self._buffered += len(data)

    def _drain(self) -> None:
        """To the end as we know it, not as the file has it: after a failed write the next one repairs the file."""
        if not self._parts:
            return
        data = b"".join(self._parts)
        write_at(self._file, self._marks[-1], data)
        self._marks.append(self._marks[-1] + len(data))
        self._parts.clear()
        self._buffered = 0

    def _bring_forward(self) -> None:
        """Nothing is moved where a single record is so large that Wireshark would not read the file anyway."""
        while self._waiting and room_for(self._marks) <= _LARGEST_SECRETS_BYTES:
            count = min(len(self._waiting), _LARGEST_SECRETS_BYTES // 1024)
            new = secrets_block(b"".join(self._waiting[:count]), room_for(self._marks))
            insert_block(self._file, self._marks, new)
            self._marks = [self._marks[0], *(mark + len(new) for mark in self._marks)]
            del self._waiting[:count]


def _options(direction: Direction, note: bytes) -> bytes:
    """A packet block's options, its end mark included."""
    options = option(OPTION_FLAGS, U32.pack(_INBOUND if direction is Direction.RECV else _OUTBOUND))
    if note:
        options += option(OPTION_CUSTOM_BYTES, U32.pack(ENTERPRISE) + note)
    return options + option(OPTION_END, b"")
