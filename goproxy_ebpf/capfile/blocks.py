"""The pcapng format's blocks and options (IETF draft-ietf-opsawg-pcapng), and what is ours in them.

A block is type, total length, body padded to 32 bits, total length again; what we write is little-endian. Our records
are blocks of a type for local use: enterprise number, magic, version, length, then one msgpack record; length 0 is a
mark. They are no Custom Blocks, of which Wireshark makes a frame each, numbered and without a time; a local block whose
type it does not know it passes over, and so do its tools, which leave it out of what they write.
"""

import struct
from typing import BinaryIO

import msgspec

from goproxy_ebpf.records.capture import CaptureRecord

from .text import without_surrogates

SECTION_HEADER = 0x0A0D0D0A
INTERFACE_DESCRIPTION = 1
OBSOLETE_PACKET = 2
SIMPLE_PACKET = 3
INTERFACE_STATISTICS = 5
ENHANCED_PACKET = 6
DECRYPTION_SECRETS = 0x0A
RECORD = 0xE2657067
"""In the range for local use, which has the most significant bit set; in the file it is ``gpeb`` with that bit set.
Told from others' by enterprise number and magic. Apple took 0x80000001, the only such number that wiretap knows."""
FILLER = 0xE6657067
"""Room that a secrets block travels through (``insert``), whatever stands in it."""

BYTE_ORDER_MAGIC = 0x1A2B3C4D
TLS_KEY_LOG = 0x544C534B
LINKTYPE_RAW = 101

OPTION_END = 0
OPTION_USER_APPLICATION = 4
OPTION_FLAGS = 2
OPTION_TIME_RESOLUTION = 9
OPTION_TIME_OFFSET = 14
OPTION_CUSTOM_BYTES = 2989

ENTERPRISE = 32473
"""The enterprise number set aside for documentation (RFC 5612): ours until one is registered."""
MAGIC = b"gpeb"
VERSION = 1

MAX_BLOCK_BYTES = 32 * 1024 * 1024
"""Longer blocks are taken for damage. Wireshark stops at 16 MiB."""
MAX_PACKET_BYTES = 262_144
"""Wireshark refuses a file at the first packet with more captured bytes than this."""

U32 = struct.Struct("<I")
BLOCK_HEAD = struct.Struct("<II")
RECORD_HEAD = struct.Struct("<I4sHHI")
"""Enterprise number; then, little-endian in any section: magic, version, 0, length of the msgpack record."""

_ENCODER = msgspec.msgpack.Encoder()


def block(kind: int, body: bytes) -> bytes:
    """A whole block: ``body`` padded to 32 bits."""
    padding = -len(body) & 3
    total = U32.pack(len(body) + padding + 12)
    return b"".join((U32.pack(kind), total, body, bytes(padding), total))


def option(code: int, value: bytes) -> bytes:
    """One option, padded to 32 bits."""
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) & 3)


def record_block(payload: bytes = b"") -> bytes:
    """A block of ours: a record, or a mark if the ``payload`` is empty."""
    return block(RECORD, RECORD_HEAD.pack(ENTERPRISE, MAGIC, VERSION, 0, len(payload)) + payload)


def encoded(record: CaptureRecord) -> bytes:
    """The record as msgpack. Bytes in file names and arguments that are no UTF-8 (surrogates) are written in hex."""
    try:
        return _ENCODER.encode(record)
    except UnicodeEncodeError:
        return _ENCODER.encode(without_surrogates(msgspec.to_builtins(record, builtin_types=(bytes,))))


def read_all(file: BinaryIO, length: int) -> bytes:
    """``length`` bytes, fewer only at the file's end: raw files and pipes may give less than was asked for."""
    data = file.read(length)
    if len(data) == length or not data:
        return data or b""
    parts = [data]
    missing = length - len(data)
    while missing and (data := file.read(missing)):
        parts.append(data)
        missing -= len(data)
    return b"".join(parts)


def write_at(file: BinaryIO, offset: int, data: bytes) -> None:
    """All of ``data`` at ``offset``: raw files may take less than they are given."""
    file.seek(offset)
    written = file.write(data)
    rest = memoryview(data)
    while written < len(rest):
        rest = rest[written:]
        written = file.write(rest)
