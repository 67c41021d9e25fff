"""Reads a file by its descriptor, a little at a time and never past a budget.

Three outcomes: exactly the bytes asked for · GoBinaryError "it is cut off" · GoBinaryError "it asks for too much
reading". ``pread``, not ``mmap``: a mapped file that its owner truncates kills the reader with SIGBUS.
"""

import os
import stat
from collections.abc import Iterator

from .model import GoBinaryError

WINDOW = 1 << 20
# The largest Go programs around (a few hundred MB) need a tenth of this: it bounds what a crafted file can cost.
BUDGET_BYTES = 256 << 20
BUDGET_READS = 50_000
BUDGET_HITS = 500_000


TOO_MUCH = "it asks for more reading than any Go program needs"


class BoundedFile:
    def __init__(self, fd: int) -> None:
        try:
            status = os.fstat(fd)
        except OSError as error:
            raise GoBinaryError(f"cannot be read: {error.strerror}") from None
        if not stat.S_ISREG(status.st_mode):
            raise GoBinaryError("not a regular file")
        self._fd = fd
        self.size = status.st_size
        self._bytes_left = BUDGET_BYTES
        self._reads_left = BUDGET_READS
        self._hits_left = BUDGET_HITS

    def read(self, offset: int, length: int) -> bytes:
        """``length`` bytes from ``offset``, all of them. Raises GoBinaryError."""
        if length < 0 or offset < 0 or offset + length > self.size:
            raise GoBinaryError("it is cut off, or its headers point outside it")
        self._bytes_left -= length
        self._reads_left -= 1
        if self._bytes_left < 0 or self._reads_left < 0:
            raise GoBinaryError(TOO_MUCH)
        try:
            data = os.pread(self._fd, length, offset)
        except OSError as error:
            raise GoBinaryError(f"cannot be read: {error.strerror}") from None
        if len(data) != length:
            raise GoBinaryError("it is cut off, or its headers point outside it")
        return data

    def find(self, needle: bytes, start: int, end: int, step: int = 1) -> Iterator[int]:
        """Offsets between ``start`` and ``end`` where ``needle`` stands whole, multiples of ``step`` from ``start``."""
        end = min(end, self.size)
        at = start
        while at + len(needle) <= end:
            window = self.read(at, min(WINDOW + len(needle) - 1, end - at))
            found = window.find(needle)
            while found >= 0:
                self._hits_left -= 1
                if self._hits_left < 0:
                    raise GoBinaryError(TOO_MUCH)
                if (at + found - start) % step == 0:
                    yield at + found
                found = window.find(needle, found + 1)
            at += WINDOW
