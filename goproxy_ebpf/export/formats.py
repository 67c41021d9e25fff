"""What a format is, what may go wrong in one, and which there are."""

import importlib
from collections.abc import Iterable, Iterator
from typing import Protocol, cast

from ..records.log import LogRecord


class ExportError(Exception):
    """A run cannot be written in a format; the message says why, in one line."""


class Format(Protocol):
    """A module of this folder."""

    def render(self, records: Iterable[LogRecord]) -> Iterator[bytes]:
        """The file's bytes in pieces, as the records come. Raises ExportError."""


FORMATS = {"jsonl": "every record of the frame log, and the findings, one JSON object a line"}
"""Name (also that of its module here) and what it is. Loaded when asked for: some need libraries of their own."""


def load(name: str) -> Format:
    """The format called ``name``, one of ``FORMATS``."""
    return cast("Format", importlib.import_module(f".{name}", __package__))
