"""FILE, everywhere: a capture or a frame log, told apart by content; none is the newest kept run; ``-`` is stdin.

What cannot be read is one line and status 2. What breaks off in the middle is read up to there, with a gap.
"""

import importlib
import itertools
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import click

from ..capfile import CaptureFileError, KeyLogError, read_capture
from ..framelog import FrameLogError, kind_of, read_log
from ..records.capture import CaptureRecord, Loss
from ..records.log import Gap, Header, LogRecord, Summary
from .failure import Failure, UsageProblem, because
from .kept import newest_kept
from .output import complete_files

CUT = ("file cut", "last line cut off")
"""The reasons of gaps which say that a file ends in the middle of something."""

file_argument = click.argument("file", required=False, metavar="[FILE]", shell_complete=complete_files)


keylog_option = click.option(
    "--keylog",
    metavar="FILE",
    shell_complete=complete_files,
    help="TLS secrets for a capture made elsewhere: an NSS key log, as SSLKEYLOGFILE names it.",
)


def named(file: str | None) -> str:
    """The file to read: the one that was named, or the newest kept run."""
    return file if file is not None else str(newest_kept())


class Records:
    """A file's log records, once. ``check_end`` belongs behind the last: it fails where the file ends too early."""

    def __init__(self, shown: str, records: Iterator[LogRecord]) -> None:
        self._shown, self._records = shown, records
        self._ours = False
        self._ended = False
        self._cut = ""

    def __iter__(self) -> Iterator[LogRecord]:
        for record in self._records:
            if isinstance(record, Header):
                self._ours = record.source == "ebpf"
            elif isinstance(record, Summary):
                # A capture that is cut between two blocks has a summary, made here; but nobody saw the command end.
                self._ended = record.status is not None or not self._ours
            elif isinstance(record, Gap) and record.reason in CUT:
                self._cut = record.reason
            yield record

    def check_end(self) -> None:
        """Raises Failure (2) where the file was cut, or is still being written: what could be read has been shown."""
        if self._cut or not self._ended:
            why = "is cut" if self._cut else "ends before its run did (cut, or still being written)"
            raise Failure(f"{self._shown}: {why}; shown is what could be read of it")


def open_records(name: str, keylog: str | None = None) -> Records:
    """The log records of ``name``; the first is read at once, so that what is no run fails before output begins.

    ``keylog`` names a key log beside a capture. Raises Failure.
    """
    records = _records(name, keylog)
    first = next(records, None)
    if first is None:
        raise Failure(f"{name}: holds no record")
    return Records("standard input" if name == "-" else name, itertools.chain((first,), records))


def _records(name: str, keylog: str | None) -> Iterator[LogRecord]:
    shown = "standard input" if name == "-" else name
    try:
        with _opened(name) as file:
            start = file.read(4)
            file.seek(0)
            if not start:
                raise Failure(f"{shown}: is empty")
            kind = kind_of(start)
            if kind == "unknown":
                raise Failure(f"{shown}: is neither a capture (pcapng) nor a frame log (JSON lines)")
            if kind == "capture":
                yield from _capture_records(shown, file, keylog)
            elif keylog is not None:
                raise UsageProblem(f"--keylog goes with a capture: {shown} is a frame log, which is decrypted already")
            else:
                yield from _log_records(shown, file)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Failure(f"{shown}: {because(error)}") from error


def _opened(name: str) -> BinaryIO:
    """The file from its start; what cannot be read twice (a pipe) is copied to a temporary one first."""
    file = sys.stdin.buffer if name == "-" else Path(name).open("rb")  # noqa: SIM115 (the caller's with closes it)
    if file.seekable():
        return cast("BinaryIO", file)
    copy = tempfile.TemporaryFile()  # noqa: SIM115
    with file:
        shutil.copyfileobj(file, copy)
    copy.seek(0)
    return cast("BinaryIO", copy)


def _log_records(shown: str, file: BinaryIO) -> Iterator[LogRecord]:
    last_ns: int | None = None
    try:
        for record in read_log(file):
            last_ns = record.time_ns
            yield record
    except FrameLogError as error:
        if last_ns is None:
            raise Failure(f"{shown}: {error}") from error
        yield Gap(last_ns, "file", 0, str(error))


def _capture_records(shown: str, file: BinaryIO, keylog: str | None) -> Iterator[LogRecord]:
    # Loaded here: a frame log needs none of it, and cryptography and HPACK take longer to import than a log to read.
    pipeline = importlib.import_module("goproxy_ebpf.pipeline").Pipeline()
    last_ns: int | None = None
    damage: list[Loss] = []
    try:
        for record in _with_secrets(file, keylog):
            if last_ns is None and isinstance(record, Loss):
                damage.append(record)  # of the file itself: a run begins with its header
                continue
            last_ns = record.at_ns
            for each in damage:
                yield from pipeline.feed(each)
            damage.clear()
            yield from pipeline.feed(record)
        if damage:
            raise Failure(f"{shown}: nothing of this capture can be read: {damage[0].where}")
    except CaptureFileError as error:
        if last_ns is None:
            raise Failure(f"{shown}: {error}") from error
        yield from pipeline.feed(Loss(last_ns, f"file: {error}", 1))
    yield from pipeline.finish()


def _with_secrets(file: BinaryIO, keylog: str | None) -> Iterator[CaptureRecord]:
    """The capture's records, with the secrets of the key log beside it, which is read at once."""
    if keylog is None:
        return read_capture(file)
    try:
        with Path(keylog).open("rb") as keys:
            return read_capture(file, keys)
    except KeyLogError as error:
        raise Failure(f"{keylog}: {error}") from error
    except OSError as error:
        raise Failure(f"{keylog}: {because(error)}") from error
