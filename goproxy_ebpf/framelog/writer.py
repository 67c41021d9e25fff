"""Log records -> a file of JSON lines, plain or one zstd frame."""

from typing import BinaryIO

import zstandard

from goproxy_ebpf.records.log import LogRecord

from .lines import encode

_PIECE_BYTES = 256 * 1024


class LogWriter:
    """Writes to ``file``, which stays open; errors are the file's. ``compressed``: as ``.jsonl.zst``."""

    def __init__(self, file: BinaryIO, compressed: bool = False) -> None:
        self._file = file
        self._packer = zstandard.ZstdCompressor(write_checksum=True).compressobj() if compressed else None
        self._lines: list[bytes] = []
        self._buffered = 0
        self._closed = False

    def write(self, record: LogRecord) -> None:
        line = encode(record)
        self._lines.append(line)
        self._buffered += len(line)
        if self._buffered >= _PIECE_BYTES:
            self._drain()

    def flush(self) -> None:
        """Everything written so far can be read, whatever happens to this process from here on."""
        self._drain()
        if self._packer and not self._closed:
            self._put(self._packer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK))
        self._file.flush()

    def close(self) -> None:
        """Flush, and end the zstd frame. Can be called twice."""
        if self._closed:
            return
        self._drain()
        if self._packer:
            self._put(self._packer.flush(zstandard.COMPRESSOBJ_FLUSH_FINISH))
        self._file.flush()
        self._closed = True

    def _drain(self) -> None:
        if self._lines:
            data = b"".join(self._lines)
            self._lines.clear()
            self._buffered = 0
            self._put(self._packer.compress(data) if self._packer else data)

    def _put(self, data: bytes) -> None:
        """All of it: raw files may take less than they are given."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]
