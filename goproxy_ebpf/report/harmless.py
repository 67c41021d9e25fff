"""Text from the network, made harmless for a terminal: no escape sequence, no control, no reordering, known width.

Paths, headers, names and reasons are what a hostile server, or a hostile file, wants them to be.
"""

import re
import unicodedata

_ASCII = re.compile(r"[ -~]*\Z")


def harmless(text: str) -> str:
    r"""``text`` with every character that is not plainly printable written as ``\x1b``, ``\u202e``, …

    Controls (C0, DEL, C1), format characters (bidirectional overrides, zero width), surrogates, private use, unassigned
    code points and all separators but the space go: Unicode's categories C and Z. So do combining marks (M), of which
    any number could be stacked on one character.
    """
    if _ASCII.match(text):
        return text
    return "".join(c if c.isprintable() and not unicodedata.category(c).startswith("M") else _escape(c) for c in text)


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code < 0xDD00:
        # A byte that was no UTF-8 (PEP 383), as a command line may hold; frame logs write it the same way.
        code -= 0xDC00
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def columns(text: str) -> int:
    """How many columns harmless text takes: East Asian wide characters (UAX #11) take two."""
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(c) in ("W", "F") else 1 for c in text)


def shorten(text: str, width: int) -> str:
    """Harmless text in at most ``width`` columns, its middle left out: the ends of a path say the most."""
    if columns(text) <= width:
        return text
    if width <= 1:
        return "…"[:width]
    # The tail is the longer part: a module's path ends in its version and what was asked of it.
    tail_width = (width - 1) * 3 // 5
    head = _fitting(text, width - 1 - tail_width)
    tail = _fitting(text[::-1], tail_width)[::-1]
    return f"{head}…{tail}"


def _fitting(text: str, width: int) -> str:
    """The longest beginning of ``text`` that takes at most ``width`` columns."""
    text = text[:width]
    while columns(text) > width:
        text = text[:-1]
    return text
