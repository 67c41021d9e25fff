"""Files that behave in all the ways in which a file may, and what is written into them."""

import io
import struct
from collections.abc import Iterable

from goproxy_ebpf.capfile import CaptureWriter
from goproxy_ebpf.records.capture import CaptureRecord


def written(records: Iterable[CaptureRecord], reserve: int = 4096) -> bytes:
    """A capture file with ``records``."""
    file = io.BytesIO()
    writer = CaptureWriter(file, reserve)
    for record in records:
        writer.write(record)
    writer.close()
    return file.getvalue()


def blocks(data: bytes, order: str = "<") -> list[tuple[int, int, int]]:
    """(type, offset, length) of each block: the format's own rule, written down a second time."""
    found, at = [], 0
    while at < len(data):
        kind, length = struct.unpack_from(order + "II", data, at)
        assert length == struct.unpack_from(order + "I", data, at + length - 4)[0]
        found.append((kind, at, length))
        at += length
    return found


class OneByte(io.BytesIO):
    """Gives one byte a read, whatever was asked for."""

    def read(self, size=-1):
        return super().read(1)


class Raw(io.BytesIO):
    """Gives and takes at most 7 bytes at a time, as a raw file may."""

    def read(self, size=-1):
        return super().read(min(size, 7) if size >= 0 else 7)

    def write(self, data):
        return super().write(bytes(data)[:7])


class Pipe(io.BytesIO):
    """Cannot go back."""

    def seekable(self):
        return False

    def seek(self, *_):
        raise AssertionError("a pipe was asked to seek")

    tell = seek
