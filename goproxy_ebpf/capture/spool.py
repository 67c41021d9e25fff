"""The spool: an unlinked file between the process that runs as root and the one that decodes.

The writer only copies; the reader follows as the file grows. An entry is a header (``length``, ``kind``) and its bytes.
The file is capped: when the reader is further behind than the cap, entries are dropped and counted, and the reader
is told with a ``Loss``. Holes are punched behind the reader, so the disk holds no more than what is not yet read.

Reader's outcomes: an entry · nothing yet · the end.
"""

import contextlib
import ctypes
import os
import select
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

EVENT, RECORD = 1, 2
"""Kinds of entries: a raw event of the ring buffer, or a capture record as msgpack."""

_HEADER = struct.Struct("<II")
_OFFSET = struct.Struct("<Q")
_PUNCH_EVERY = 16 << 20
_READ_AT_ONCE = 4 << 20
_FALLOC_KEEP_SIZE, _FALLOC_PUNCH_HOLE = 1, 2

_libc = ctypes.CDLL(None, use_errno=True)


def _punch_hole(fd: int, start: int, length: int) -> None:
    """Give a range's disk blocks back. Where the file system cannot, the spool simply stays as large as it is."""
    _libc.fallocate(fd, _FALLOC_KEEP_SIZE | _FALLOC_PUNCH_HOLE, ctypes.c_long(start), ctypes.c_long(length))


class Spool:
    """One spool, made before the fork; each side then takes its end with ``writer`` or ``reader``."""

    def __init__(self, directory: Path | None = None) -> None:
        self.file = tempfile.TemporaryFile(prefix="goproxy-ebpf-", dir=directory, buffering=0)  # noqa: SIM115
        self._committed = os.pipe2(os.O_CLOEXEC)
        self._consumed = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def writer(self, cap_bytes: int) -> "SpoolWriter":
        os.close(self._committed[0])
        os.close(self._consumed[1])
        return SpoolWriter(self.file.fileno(), self._committed[1], self._consumed[0], cap_bytes)

    def reader(self) -> "SpoolReader":
        os.close(self._committed[1])
        os.close(self._consumed[0])
        return SpoolReader(self.file.fileno(), self._committed[0], self._consumed[1])


class SpoolWriter:
    """The root side: appends, never waits for the reader."""

    def __init__(self, fd: int, committed: int, consumed: int, cap_bytes: int) -> None:
        self._fd, self._committed, self._consumed_pipe, self._cap = fd, committed, consumed, cap_bytes
        os.set_blocking(committed, False)
        self._at = 0
        self._read = 0
        self._reader_gone = False
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self.dropped = 0
        self.dropped_bytes = 0

    def append(self, kind: int, data: bytes) -> None:
        """Queue one entry; ``flush`` makes it visible."""
        self._pending.append(_HEADER.pack(len(data), kind))
        self._pending.append(data)
        self._pending_bytes += len(data) + _HEADER.size
        if self._pending_bytes >= _READ_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Write what is queued, or drop and count it where the cap or the disk leaves no room."""
        if not self._pending:
            return
        size, entries = self._pending_bytes, self._pending
        self._pending, self._pending_bytes = [], 0
        if (
            self._reader_gone
            or self._at + size - self._how_far_read() > self._cap
            or not self._write(b"".join(entries))
        ):
            self.dropped += len(entries) // 2
            self.dropped_bytes += size
            return
        self._at += size
        # A full pipe holds offsets that the reader has not looked at: a later one says it all.
        try:
            os.write(self._committed, _OFFSET.pack(self._at))
        except BlockingIOError:
            pass
        except BrokenPipeError:  # nobody gives the disk back any more
            self._reader_gone = True
            os.ftruncate(self._fd, 0)

    def _write(self, data: bytes) -> bool:
        view, at = memoryview(data), self._at
        try:
            while view:
                written = os.pwrite(self._fd, view, at)
                view, at = view[written:], at + written
        except OSError:
            return False
        return True

    def close(self) -> None:
        """The end: the last offset is delivered for certain, and the reader sees the pipe close behind it."""
        self.flush()
        os.set_blocking(self._committed, True)
        with contextlib.suppress(BrokenPipeError):
            os.write(self._committed, _OFFSET.pack(self._at))
        os.close(self._committed)

    def _how_far_read(self) -> int:
        try:
            data = os.read(self._consumed_pipe, 4096)
        except BlockingIOError:
            return self._read
        if len(data) >= _OFFSET.size:
            whole = len(data) - len(data) % _OFFSET.size
            (self._read,) = _OFFSET.unpack_from(data, whole - _OFFSET.size)
        return self._read


class SpoolReader:
    """The unprivileged side."""

    def __init__(self, fd: int, committed: int, consumed: int) -> None:
        self._fd, self._committed_pipe, self._consumed_pipe = fd, committed, consumed
        self._at = 0
        self._committed = 0
        self._ended = False
        self._punched = 0
        self._rest = b""
        self._poll = select.poll()  # select(2) knows descriptors up to 1023 only, and we may have been given more
        self._poll.register(committed, select.POLLIN)

    def entries(self, timeout_s: float) -> Iterator[tuple[int, bytes]] | None:
        """The entries that are there now, waiting up to ``timeout_s`` for the first; None at the end."""
        self._learn(0.0 if self._committed > self._at else timeout_s)
        if self._committed > self._at:
            return self._take()
        return None if self._ended else iter(())

    def _learn(self, timeout_s: float) -> None:
        while not self._ended and self._poll.poll(timeout_s * 1000):
            data = os.read(self._committed_pipe, 4096)
            if not data:
                self._ended = True
                return
            (self._committed,) = _OFFSET.unpack_from(data, len(data) - len(data) % _OFFSET.size - _OFFSET.size)
            timeout_s = 0.0

    def _take(self) -> Iterator[tuple[int, bytes]]:
        data = self._rest + os.pread(self._fd, min(_READ_AT_ONCE, self._committed - self._at), self._at)
        self._at += len(data) - len(self._rest)
        at, end, size = 0, len(data), _HEADER.size
        while at + size <= end:
            length, kind = _HEADER.unpack_from(data, at)
            if at + size + length > end:
                break
            yield kind, data[at + size : at + size + length]
            at += size + length
        self._rest = data[at:]
        self._tell()

    def _tell(self) -> None:
        if self._at - self._punched >= _PUNCH_EVERY:
            _punch_hole(self._fd, self._punched, self._at - self._punched)
            self._punched = self._at
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            os.write(self._consumed_pipe, _OFFSET.pack(self._at))
