"""One log record <-> one JSON line.

Outcomes of ``decode``: a record · ``NewerSchemaError`` for a header of a newer schema · ``UnknownKindError`` for a line
of another kind · ``DerivedKindError`` for what an export adds · ``FrameLogError`` for everything else. All of them are
FrameLogErrors.
"""

import msgspec

from goproxy_ebpf.capfile.text import without_surrogates
from goproxy_ebpf.records.log import SCHEMA, Header, LogRecord

from .errors import DerivedKindError, FrameLogError, NewerSchemaError, UnknownKindError

_ENCODER = msgspec.json.Encoder()
_DECODER: msgspec.json.Decoder[LogRecord] = msgspec.json.Decoder(LogRecord)
KINDS = frozenset(str(struct.__struct_config__.tag) for struct in LogRecord.__args__)


DERIVED_KINDS = frozenset(("fetch", "finding"))


class _Peek(msgspec.Struct):
    kind: str = ""
    schema: str = ""


_PEEK = msgspec.json.Decoder(_Peek)


def encode(record: LogRecord) -> bytes:
    """One line, its end included; ``kind`` comes first, in a header ``schema`` second."""
    if isinstance(record, Header):
        return _encode_header(record)
    try:
        return _ENCODER.encode(record) + b"\n"
    except UnicodeEncodeError:
        return _ENCODER.encode(without_surrogates(msgspec.to_builtins(record))) + b"\n"


def _encode_header(header: Header) -> bytes:
    """The schema is written although it is the default: it is what a reader looks for."""
    fields = msgspec.to_builtins(header)
    first = {"kind": fields.pop("kind"), "schema": header.schema}
    return _ENCODER.encode(without_surrogates({**first, **fields})) + b"\n"


def decode(line: bytes) -> LogRecord:
    """The record in ``line``, with or without its end. Raises FrameLogError."""
    try:
        record = _DECODER.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _complaint(line, error) from None
    if isinstance(record, Header):
        _check_schema(record.schema)
    return record


def _complaint(line: bytes, error: Exception) -> FrameLogError:
    try:
        peek = _PEEK.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return FrameLogError("not a JSON object")
    if peek.kind == "header":
        try:
            _check_schema(peek.schema)
        except NewerSchemaError as newer:
            return newer
    if peek.kind in DERIVED_KINDS:
        return DerivedKindError(f"a line of kind {peek.kind}, which an export adds")
    if peek.kind and peek.kind not in KINDS:
        return UnknownKindError(f"a line of unknown kind {peek.kind[:32]!a}")
    return FrameLogError(f"not a line of a frame log: {ascii(str(error))[1:-1][:200]}")


def _check_schema(schema: str) -> None:
    name, _, number = SCHEMA.rpartition("/")
    its_name, _, its_number = schema.rpartition("/")
    if its_name != name or not its_number.isdecimal() or int(its_number[:9]) > int(number):
        raise NewerSchemaError(
            f"The frame log is written as {ascii(schema[:64])[1:-1]}, this program reads up to {SCHEMA}: "
            "install a newer goproxy-ebpf to read it."
        )
