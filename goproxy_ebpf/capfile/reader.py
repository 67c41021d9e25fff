"""A capture file -> capture records: ours, or one made by tcpdump or Wireshark.

Outcomes: a record · ``CaptureFileError``, where the file as a whole cannot be read · a ``Loss`` for what cannot be read
in it: ``file cut`` (the last record then) or ``file damaged`` (reading goes on behind it).

Our own files give back what was written, in that order. Others, and ours once editcap or its like has left out our
blocks, give a header (source ``packets``), the secrets of their Decryption Secrets Blocks and of the key log, then
their IP packets; ``direction`` says which end is taken for go.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO

from goproxy_ebpf.records.capture import CaptureRecord, Loss, Packet, RunHeader, Secret

from . import classic
from .blocks import (
    BYTE_ORDER_MAGIC,
    DECRYPTION_SECRETS,
    INTERFACE_DESCRIPTION,
    INTERFACE_STATISTICS,
    LINKTYPE_RAW,
    RECORD,
    SECTION_HEADER,
    TLS_KEY_LOG,
    read_all,
)
from .direction import FlowDirections
from .errors import CaptureFileError, KeyLogError
from .keylog import secrets_of, secrets_of_file
from .links import ip_packet
from .ours import NewerVersionError, payload_of, record_of
from .scanner import CUT, DAMAGED, BlockScanner
from .section import PACKET_KINDS, RawPacket, Section

_MOST_SECRETS = 262_144
_PACKED = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\xfd7zXZ\0", "xz"),
    (b"BZh", "bzip2"),
    (b"PK\x03\x04", "zip"),
)


def read_capture(file: BinaryIO, keylog: BinaryIO | None = None) -> Iterator[CaptureRecord]:
    """The records of ``file``, from where it stands.

    ``keylog`` is an NSS key log beside it, whose secrets come before the first packet. Raises KeyLogError
    for that, and CaptureFileError: at once where the first bytes tell, later where a header does.
    """
    start = file.tell() if file.seekable() else None
    first = read_all(file, 12)
    extra = secrets_of_file(keylog, _MOST_SECRETS) if keylog else []
    if keylog and not extra:
        raise KeyLogError("The key log holds no TLS secret: it is not the file that SSLKEYLOGFILE named.")
    if first[:4] in classic.MAGICS:
        return _Classic(file, first, extra).records()
    if first[:4] == SECTION_HEADER.to_bytes(4, "big") and _may_have_byte_order(first):
        return _Reader(file, first, start, extra).records()
    raise CaptureFileError(_complaint(first))


def _may_have_byte_order(first: bytes) -> bool:
    """True also where the file is cut before it can tell."""
    return any(BYTE_ORDER_MAGIC.to_bytes(4, order).startswith(first[8:12]) for order in ("big", "little"))


def _complaint(first: bytes) -> str:
    if not first:
        return "The file is empty: no capture was written to it."
    for magic, name in _PACKED:
        if first.startswith(magic):
            return f"The file is packed with {name}: unpack it first, then read the capture in it."
    if first.lstrip()[:1] == b"{":
        return "The file is not a capture: it holds JSON, as a frame log does."
    return "The file is not a capture: it is neither pcapng nor pcap."


def _opening(at_ns: int, secrets: list[Secret]) -> Iterator[CaptureRecord]:
    """What comes before a foreign capture's packets: each secret once, at the capture's own time."""
    yield RunHeader(at_ns, "packets")
    for label, client_random, secret in dict.fromkeys((one.label, one.client_random, one.secret) for one in secrets):
        yield Secret(at_ns, 0, label, client_random, secret)


class _Foreign:
    """Packets of captures that other programs made."""

    def __init__(self) -> None:
        self._directions = FlowDirections()

    def packet(self, raw: RawPacket) -> Packet | None:
        """The IP packet in the frame; None if there is none. A note of ours in it is believed."""
        found = ip_packet(raw.link, raw.data, raw.seen)
        if found is None:
            return None
        data, seen = found
        if raw.note and raw.direction:
            return Packet(raw.at_ns, raw.direction, seen, data, raw.note.socket, raw.note.netns, raw.note.cookie)
        direction = self._directions.direction(data)
        return Packet(raw.at_ns, direction, seen, data) if direction else None


class _Classic:
    """A classic pcap file."""

    def __init__(self, file: BinaryIO, first: bytes, secrets: list[Secret]) -> None:
        self._packets = classic.packets(file, first)
        self._secrets = secrets
        self._foreign = _Foreign()

    def records(self) -> Iterator[CaptureRecord]:
        at_ns = 0
        begun = False
        try:
            for raw in self._packets:
                at_ns = raw.at_ns
                if not begun:
                    begun = True
                    yield from _opening(at_ns, self._secrets)
                packet = self._foreign.packet(raw)
                if packet:
                    yield packet
        except classic.PcapError as error:
            if not begun:
                yield from _opening(at_ns, self._secrets)
            yield Loss(at_ns, error.where, 1, error.length)
            return
        if not begun:
            yield from _opening(at_ns, self._secrets)


class _Reader:
    """One pcapng file. Whether it is ours shows at its first packet: a block of ours stands before it, or none does."""

    def __init__(self, file: BinaryIO, first: bytes, start: int | None, extra: list[Secret]) -> None:
        self._file = file
        self._start = start
        self._scanner = BlockScanner(file, first)
        self._section = Section()
        self._foreign = _Foreign()
        self._extra = extra
        self._held: list[Secret] = []
        self._ours = False
        self._begun = False
        self._at_ns = 0

    def records(self) -> Iterator[CaptureRecord]:
        section = self._section
        for kind, buffer, start, end in self._scanner.blocks():
            if kind in PACKET_KINDS:
                raw = section.packet(kind, buffer, start, end)
                if raw is None:
                    yield self._damage(end - start)
                    continue
                at_ns, link, data, seen, direction, note = raw
                if not (self._ours and self._begun and link == LINKTYPE_RAW and direction):
                    yield from self._slowly(raw)
                elif note is None:
                    self._at_ns = at_ns
                    yield Packet(at_ns, direction, seen, data)
                elif not note.stand_in:
                    self._at_ns = at_ns
                    yield Packet(at_ns, direction, seen, data, note.socket, note.netns, note.cookie)
            elif kind == RECORD:
                yield from self._record(buffer[start:end])
            elif kind == DECRYPTION_SECRETS:
                yield from self._decryption_secrets(buffer[start:end])
            elif kind == SECTION_HEADER:
                section = self._section = Section(self._scanner.order)
            elif kind == INTERFACE_DESCRIPTION:
                if not section.describe(buffer[start:end]):
                    yield self._damage(end - start)
            elif kind == INTERFACE_STATISTICS:
                dropped = section.newly_dropped(buffer[start:end])
                if dropped:
                    yield from self._begin()
                    yield Loss(self._at_ns, "dropped by the capturing interface", dropped)
            elif kind == DAMAGED:
                yield self._damage(end - start)
            elif kind == CUT:
                yield Loss(self._at_ns, "file cut", 1, end - start)
                return
        yield from self._begin()

    def _damage(self, length: int) -> Loss:
        return Loss(self._at_ns, "file damaged", 1, length)

    def _slowly(self, raw: RawPacket) -> Iterator[CaptureRecord]:
        """A packet of somebody else's, or the first of ours."""
        if self._ours and raw.note and raw.note.stand_in:
            return
        if not self._begun:
            self._at_ns = raw.at_ns
            yield from self._begin()
        if self._ours and raw.link == LINKTYPE_RAW and raw.direction:
            socket, netns, cookie, _ = raw.note or (None, 0, 0, False)
            packet: Packet | None = Packet(raw.at_ns, raw.direction, raw.seen, raw.data, socket, netns, cookie)
        else:
            packet = self._foreign.packet(raw)
        if packet:
            self._at_ns = raw.at_ns
            yield packet

    def _begin(self) -> Iterator[CaptureRecord]:
        """Once, before the first packet, or before a record that is no header."""
        if self._begun:
            return
        self._begun = True
        if self._ours:
            yield from self._extra
        else:
            yield from _opening(self._at_ns, [*self._all_decryption_secrets(), *self._extra])

    def _record(self, body: bytes) -> Iterator[CaptureRecord]:
        try:
            payload = payload_of(body, self._scanner.order)
        except NewerVersionError:
            if not self._ours:
                raise
            yield self._damage(len(body))
            return
        if payload is None:
            return
        self._ours = True
        if not payload:
            return
        record = record_of(payload)
        if record is None:
            yield self._damage(len(body))
            return
        self._at_ns = record.at_ns
        if isinstance(record, RunHeader):
            yield record
            yield from self._begin()
        else:
            yield from self._begin()
            yield record

    def _decryption_secrets(self, body: bytes) -> Iterator[CaptureRecord]:
        """Ours are skipped: they stand as records in their place. Others' are held until the first packet."""
        if self._ours:
            return
        if not self._begun:
            self._held += self._parsed(body, _MOST_SECRETS - len(self._held))
        elif self._start is None:
            yield from self._parsed(body, _MOST_SECRETS)

    def _parsed(self, body: bytes, most: int) -> list[Secret]:
        if len(body) < 8:
            return []
        kind, length = struct.unpack_from(self._scanner.order + "II", body)
        if kind != TLS_KEY_LOG:
            return []
        return list(secrets_of(body[8 : 8 + length], self._at_ns))[:most]

    def _all_decryption_secrets(self) -> list[Secret]:
        """Those that stand behind the first packet too, if the file can be read twice."""
        if self._start is None:
            return self._held
        here = self._file.tell()
        self._file.seek(self._start)
        found: list[Secret] = []
        ahead = _Reader(self._file, b"", None, [])
        for kind, buffer, start, end in ahead._scanner.blocks():
            if kind == DECRYPTION_SECRETS:
                found += ahead._parsed(buffer[start:end], _MOST_SECRETS - len(found))
        self._file.seek(here)
        return found
