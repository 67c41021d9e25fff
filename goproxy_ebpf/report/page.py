"""The page: a width, perhaps colour, and the three shapes that a report is made of. All text goes through here, so
this is the one place that makes it harmless and holds it to the width.

* a section: a label, then items that flow and break between items only
* a paragraph: words that wrap
* a table: one row a line, the flexible column shortened in the middle, never wrapped
"""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from .harmless import columns, harmless, shorten

LABEL = 14
"""Columns of a section's label."""

NARROWEST, WIDEST = 72, 240
"""Below, numbers would not fit; above, lines are too long to read."""

MOST_LINES = 4
"""Of one item: a command line may be very long."""

STYLES = {"good": "1;32", "bad": "1;31", "doubtful": "1;33", "label": "1", "dim": "2"}


UNITS = frozenset(
    f"{unit}{stop}" for unit in ("B", "kB", "MB", "GB", "ns", "µs", "ms", "s") for stop in ("", ".", ",", ";")
)


def words(text: str) -> list[str]:
    """``text`` at its spaces, but a number and its unit are one word."""
    found: list[str] = []
    for word in text.split():
        if word in UNITS and found and found[-1][-1:].isdigit():
            found[-1] += f" {word}"
        else:
            found.append(word)
    return found


class Column(msgspec.Struct, frozen=True):
    """A column: ``flexible`` takes what the others leave, from ``least`` up. ``most`` bounds what a cell may take."""

    title: str
    right: bool = False
    flexible: bool = False
    least: int = 12
    most: int = 40


class Row(msgspec.Struct, frozen=True):
    """A row's cells, and the style of all of it."""

    cells: tuple[str, ...]
    style: str = ""


def _wrapped(text: str, room: int) -> list[str]:
    """Harmless text as lines of at most ``room`` columns, broken between words; the last of MOST_LINES is shortened."""
    if columns(text) <= room:
        return [text]
    lines: list[str] = []
    for word in words(text):
        if lines and (len(lines) == MOST_LINES or columns(lines[-1]) + 1 + columns(word) <= room):
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return [shorten(line, room) for line in lines] or [""]


class Page:
    """``width`` in columns, held between NARROWEST and WIDEST; ``colour`` adds ANSI SGR sequences, and nothing else."""

    def __init__(self, width: int, *, colour: bool = False) -> None:
        self.width = max(NARROWEST, min(WIDEST, width))
        self.colour = colour

    def paint(self, text: str, style: str) -> str:
        """Harmless text in a style; unchanged without colour."""
        code = STYLES.get(style)
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour and code and text else text

    def section(self, label: str, items: Iterable[str], *, separator: str = " · ", style: str = "") -> Iterator[str]:
        """``label         item · item · item``, broken between items where the width asks for it.

        An item that is wider than the page wraps between its words. Nothing when there are no items.
        """
        room = self.width - LABEL
        lines: list[str] = []
        for raw in items:
            item, *rest = _wrapped(harmless(raw), room)
            if lines and columns(lines[-1]) + len(separator) + columns(item) <= room:
                lines[-1] += separator + item
            else:
                lines.append(item)
            lines += rest
        yield from self._labelled(label, lines, style)

    def paragraph(self, label: str, text: str, *, style: str = "") -> Iterator[str]:
        """``label         words that wrap``; a word that is wider than the page is shortened."""
        return self.section(label, words(text), separator=" ", style=style)

    def _labelled(self, label: str, lines: Sequence[str], style: str) -> Iterator[str]:
        label = shorten(harmless(label), LABEL - 1)
        for number, line in enumerate(lines):
            head = self.paint(label, "label") + " " * (LABEL - columns(label)) if number == 0 else " " * LABEL
            yield head + self.paint(line, style)

    def table(self, label: str, titles: Sequence[Column], rows: Sequence[Row], *, note: str = "") -> Iterator[str]:
        """``label`` and the titles, then a row a line; ``note`` last. The first column is set in two columns and has
        ``label`` for its title. Nothing when there are no rows.
        """
        if not rows:
            return
        indent, gap = 2, 2
        cells = [[harmless(cell) for cell in row.cells] for row in rows]
        label = shorten(harmless(label), LABEL - 1)
        # The label stands over the first column, which has no title of its own.
        titles = [msgspec.structs.replace(titles[0], title=label), *titles[1:]]
        widths = [
            max(columns(column.title), *(min(column.most, columns(row[at])) for row in cells))
            for at, column in enumerate(titles)
        ]
        fixed = indent + gap * (len(titles) - 1)
        fixed += sum(width for width, column in zip(widths, titles, strict=True) if not column.flexible)
        for at, column in enumerate(titles):
            if column.flexible:
                natural = max(columns(row[at]) for row in cells)
                widths[at] = max(column.least, min(natural, self.width - fixed))
        # Numbers of twenty digits leave no room; only a damaged or hostile file has them.
        for _ in range(indent + gap * (len(titles) - 1) + sum(widths) - self.width):
            widths[widths.index(max(widths))] -= 1
        head = self._row([column.title for column in titles], titles, widths)[indent + columns(label) :]
        yield self.paint(label, "label") + self.paint(" " * indent + head.rstrip(), "dim")
        for row, row_cells in zip(rows, cells, strict=True):
            yield self.paint(self._row(row_cells, titles, widths).rstrip(), row.style)
        if note:
            yield self.paint(f"  {shorten(harmless(note), self.width - 2)}", "dim")

    def _row(self, cells: Sequence[str], titles: Sequence[Column], widths: Sequence[int]) -> str:
        parts = []
        for cell, column, width in zip(cells, titles, widths, strict=True):
            text = shorten(cell, width)
            padding = " " * (width - columns(text))
            parts.append(padding + text if column.right else text + padding)
        return "  " + "  ".join(parts)
