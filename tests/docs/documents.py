"""The documents, taken apart: fenced blocks, links, headings, tables."""

import re
from pathlib import Path

from scripts.documents import CHECKOUT, DOCUMENTS

PAGES = (*DOCUMENTS, "CHANGELOG.md", "LIMITATIONS.md")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^(#+) (.*)$", re.MULTILINE)


def text(page: str) -> str:
    return Path(CHECKOUT, page).read_text(encoding="utf-8")


def prose(page: str) -> str:
    """The page without its fenced blocks."""
    return _FENCE.sub("", text(page))


def commands(page: str) -> list[str]:
    """Every command line, ``$ `` taken off, in the order of the page."""
    blocks = [block[2] for block in _FENCE.finditer(text(page))]
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def links(page: str) -> list[str]:
    return _LINK.findall(prose(page))


def anchors(page: str) -> set[str]:
    """The anchors that GitHub makes of the page's headings."""
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for _, title in _HEADING.findall(prose(page))}


def tables(page: str) -> dict[str, list[str]]:
    """The fields, in backquotes, of the first column of each table, by the heading above it."""
    found: dict[str, list[str]] = {}
    heading = ""
    for line in prose(page).splitlines():
        if match := _HEADING.match(line):
            heading = match[2]
        elif field := re.match(r"\| `(\w+)` \|", line):
            found.setdefault(heading, []).append(field[1])
    return found
