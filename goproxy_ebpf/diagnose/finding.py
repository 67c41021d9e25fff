"""What a rule gives, and what a rule is."""

from collections.abc import Callable, Iterator
from enum import Enum

import msgspec

from ..trace import Trace


class Severity(str, Enum):
    """An error decides the verdict; the others are told below it."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Word(str, Enum):
    """The verdict in a word. Where several hold, the first of these is said."""

    FAILED = "FAILED"
    INCOMPLETE = "INCOMPLETE"
    NO_PROXY_ASKED = "NO PROXY ASKED"
    HEALTHY = "HEALTHY"


class Finding(msgspec.Struct, frozen=True, tag="finding", tag_field="kind"):
    """What one rule saw in one run.

    ``rule`` is its name, for ``explain``; ``sentence`` says what happened, with its numbers and no full stop;
    ``evidence`` holds frame numbers (``n`` in the frame log), in order; ``advice`` is what to do, empty where there is
    nothing to. Texts may hold what the network sent: whoever prints them makes them harmless first.
    """

    rule: str
    severity: Severity
    sentence: str
    evidence: tuple[int, ...] = ()
    advice: str = ""


class Rule(msgspec.Struct, frozen=True):
    """A rule: ``word`` is the verdict that its errors give, ``page`` its *Seen / Means / Do*."""

    name: str
    word: Word
    find: Callable[[Trace], Iterator[Finding]]
    page: str
