"""Blocks of ours -> records.

Outcomes of ``payload_of``: the record's msgpack · empty (a mark) · None (somebody else's block) ·
``NewerVersionError``.
Outcomes of ``record_of``: a record · None (damaged, or of a kind that we do not know) · ``CaptureFileError`` for a
header of a newer schema.
"""

from contextlib import suppress

import msgspec

from goproxy_ebpf.records.capture import SCHEMA, CaptureRecord, Egress, Packet, RunHeader, TcpEvent
from goproxy_ebpf.records.common import SocketAddresses

from .blocks import ENTERPRISE, MAGIC, RECORD_HEAD, VERSION
from .errors import CaptureFileError

_DECODER: msgspec.msgpack.Decoder[CaptureRecord] = msgspec.msgpack.Decoder(CaptureRecord)
_REMEDY = "install a newer goproxy-ebpf to read it"


class _Peek(msgspec.Struct, tag_field="kind", tag="header"):
    schema: str


_PEEK = msgspec.msgpack.Decoder(_Peek)


def payload_of(body: bytes, order: str) -> bytes | None:
    """``body`` of a block of our type in a section of byte order ``order`` (``<`` or ``>``)."""
    if len(body) < RECORD_HEAD.size:
        return None
    _, magic, version, _, length = RECORD_HEAD.unpack_from(body)
    enterprise = int.from_bytes(body[:4], "little" if order == "<" else "big")
    if enterprise != ENTERPRISE or magic != MAGIC:
        return None
    if version > VERSION:
        raise NewerVersionError(version)
    return body[RECORD_HEAD.size : RECORD_HEAD.size + length]


class NewerVersionError(CaptureFileError):
    def __init__(self, version: int) -> None:
        super().__init__(
            f"The capture's blocks are of version {version}, this program reads up to version {VERSION}: {_REMEDY}."
        )


def record_of(payload: bytes) -> CaptureRecord | None:
    try:
        record = _DECODER.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            _check_schema(_PEEK.decode(payload).schema)
        return None
    if isinstance(record, RunHeader):
        _check_schema(record.schema)
    elif isinstance(record, Packet | Egress | TcpEvent) and not _plausible(record.socket):
        return None
    return record


def _check_schema(schema: str) -> None:
    name, _, number = SCHEMA.rpartition("/")
    its_name, _, its_number = schema.rpartition("/")
    if its_name != name or not its_number.isdecimal() or int(its_number[:9]) > int(number):
        raise CaptureFileError(
            f"The capture is written as {schema[:64]}, this program reads up to {SCHEMA}: {_REMEDY}."
        )


def _plausible(socket: SocketAddresses | None) -> bool:
    """Addresses of 4 or 16 bytes and ports of 16 bits: whoever prints an address relies on it."""
    return socket is None or all(
        len(end.address) in (4, 16) and 0 <= end.port <= 0xFFFF for end in (socket.local, socket.remote)
    )
