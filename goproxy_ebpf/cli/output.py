"""Where text and files go, how wide and in which colours: the one place that asks the terminal and the environment."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TextIO

import click
import msgspec
from click.shell_completion import CompletionItem

from .failure import Failure, UsageProblem, because

PLAIN_WIDTH = 100
"""Columns where there is no terminal: in files, pipes and CI."""

color_option = click.option(
    "--color",
    type=click.Choice(["auto", "always", "never"]),
    default="auto",
    show_default=True,
    help="Colour; auto is on a terminal, unless NO_COLOR is set.",
)


def complete_files(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """For options and arguments that name files: the shell completes them itself."""
    return [CompletionItem(incomplete, type="file")]


output_option = click.option(
    "-o",
    "--output",
    metavar="OUT",
    shell_complete=complete_files,
    help="Write to this file instead of standard output.",
)


class Shape(msgspec.Struct, frozen=True):
    """How text is to look where it goes."""

    width: int
    colour: bool


def shape(stream: TextIO | None, color: str) -> Shape:
    """For text that goes to ``stream``; None is a file. COLUMNS overrides the terminal's own width."""
    terminal = stream is not None and stream.isatty()
    # no-color.org: any value but the empty one; and a terminal that says it has no colours.
    auto = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return Shape(_width(stream if terminal else None), color == "always" or (color == "auto" and auto))


def _width(terminal: TextIO | None) -> int:
    columns = os.environ.get("COLUMNS", "")
    if columns.isascii() and columns.isdigit() and 0 < len(columns) < 6 and int(columns) > 0:
        return int(columns)
    if terminal is not None:
        with contextlib.suppress(OSError, ValueError):
            return os.get_terminal_size(terminal.fileno()).columns or PLAIN_WIDTH
    return PLAIN_WIDTH


class Sink:
    """Text and bytes to a file or to standard output. Text is UTF-8 in files; what a terminal cannot show is ``?``."""

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        self._file = file
        self._encoding = encoding

    def text(self, text: str) -> None:
        self._file.write(text.encode(self._encoding, errors="replace"))

    def data(self, data: bytes) -> None:
        self._file.write(data)


@contextlib.contextmanager
def sink(path: str | None) -> Iterator[Sink]:
    """``-o PATH``; None or ``-`` is standard output. A failure to write is a Failure that names the file."""
    if path is None or path == "-":
        sys.stdout.flush()
        yield Sink(sys.stdout.buffer, sys.stdout.encoding or "utf-8")
        sys.stdout.buffer.flush()
        return
    try:
        with Path(path).open("wb") as file:
            yield Sink(file, "utf-8")
    except OSError as error:
        raise Failure(f"{path}: {because(error)}") from error


def refuse_same_file(target: str | None, *sources: str | None) -> None:
    """Opening the target empties it: it must be nothing that is read."""
    if target is None or target == "-":
        return
    for source in sources:
        with contextlib.suppress(OSError):
            if source is not None and source != "-" and Path(source).samefile(target):
                raise UsageProblem(f"{target} is a file that is read; write to another one")
