"""A frame log -> log records, plain or zstd as its first bytes say.

Outcomes: a record · ``FrameLogError`` at once, where the file as a whole cannot be read · a ``Gap`` of layer ``file``
for a line that cannot: garbage, of a kind that we do not know, too long, cut off. The conclusions in an export are
passed over: they are drawn anew.
"""

from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO, Protocol

import zstandard

from goproxy_ebpf.records.log import SCHEMA, Gap, LogRecord

from .errors import DerivedKindError, FrameLogError, NewerSchemaError
from .kind import ZSTD_MAGIC, kind_of
from .lines import decode

_READ_BYTES = 1 << 20
_PACKED_READ_BYTES = 4096
_LONGEST_LINE_BYTES = 32 << 20
"""A header list may have 10 MiB (what go allows); an escaped byte takes up to six."""
_LARGEST_WINDOW_BYTES = 1 << 27
_LINES_TO_KNOW_IT_BY = 64


class _Source(Protocol):
    def read1(self, size: int, /) -> bytes: ...


def read_log(file: BinaryIO) -> Iterator[LogRecord]:
    """The records of ``file``, from where it stands. Raises FrameLogError before the first of them."""
    first = file.read(4)
    while 0 < len(first) < 4 and (more := file.read(4 - len(first))):
        first += more
    if not first:
        raise FrameLogError("The file is empty: no frame log was written to it.")
    if kind_of(first) == "capture":
        raise FrameLogError("The file is a capture (pcap), not a frame log: decode makes a frame log of it.")
    source: _Source = _Rest(first, file)
    if first == ZSTD_MAGIC:
        packed = zstandard.ZstdDecompressor(max_window_size=_LARGEST_WINDOW_BYTES)
        # Small pieces: what is in the piece with the damage is lost with it.
        source = packed.stream_reader(source, read_size=_PACKED_READ_BYTES, read_across_frames=True)  # type: ignore[arg-type]
    records = _records(_lines(source))
    begin: list[LogRecord] = []
    for record in records:
        begin.append(record)
        if not _is_file_gap(record):
            return chain(begin, records)
        if len(begin) >= _LINES_TO_KNOW_IT_BY:
            break
    raise FrameLogError(f"The file is not a frame log: no line of it is one of {SCHEMA}.")


def _is_file_gap(record: LogRecord) -> bool:
    return isinstance(record, Gap) and record.layer == "file"


class _Rest:
    """A file of which the first bytes have been read."""

    def __init__(self, first: bytes, file: BinaryIO) -> None:
        self._first = first
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if self._first:
            data, self._first = self._first, b""
            return data
        return self._file.read(size)

    read1 = read


def _lines(source: _Source) -> Iterator[bytes | tuple[int, str]]:
    """Each line, its end included if it has one; ``(length, reason)`` where there is none to be had."""
    rest: list[bytes] = []
    length = 0
    while True:
        try:
            data = source.read1(_READ_BYTES)
        except zstandard.ZstdError:
            yield (
                length,
                "compressed data damaged: nothing behind it can be read, and what stands just before it may be wrong",
            )
            return
        if not data:
            break
        head, newline, tail = data.rpartition(b"\n")
        if not newline:
            rest.append(tail)
            length += len(tail)
        else:
            whole = b"".join((*rest, head, newline))
            yield from whole.splitlines(keepends=True) if b"\r" not in whole else _split(whole)
            rest, length = [tail], len(tail)
        if length > _LONGEST_LINE_BYTES:
            yield length, "line too long"
            rest, length = [], 0
    if length:
        yield b"".join(rest)


def _split(whole: bytes) -> list[bytes]:
    """At line feeds alone: a carriage return ends no line of JSON."""
    return [line + b"\n" for line in whole[:-1].split(b"\n")]


def _records(lines: Iterator[bytes | tuple[int, str]]) -> Iterator[LogRecord]:
    time_ns = 0
    for line in lines:
        if isinstance(line, tuple):
            yield Gap(time_ns, "file", line[0], line[1])
            continue
        try:
            record = decode(line)
        except NewerSchemaError:
            raise
        except DerivedKindError:
            continue
        except FrameLogError as error:
            reason = str(error) if line.endswith(b"\n") else "last line cut off"
            if line.strip():
                yield Gap(time_ns, "file", len(line), reason)
            continue
        time_ns = record.time_ns
        yield record
