"""Harmless text and its width, at the edges."""

import hypothesis
from hypothesis import strategies as st

from goproxy_ebpf.report.harmless import columns, harmless, shorten


def test_plain_text_is_left_alone():
    assert harmless("/golang.org/x/text@v0.14.0.zip é 漢") == "/golang.org/x/text@v0.14.0.zip é 漢"


def test_whatever_moves_a_terminal_is_written_out():
    assert harmless("a\x1b[2J\x9b\u202e\u2028\U000e0041\u0301\xa0z") == (
        r"a\x1b[2J\x9b" + "\\u202e\\u2028\\U000e0041\\u0301\\xa0z"
    )


def test_the_middle_is_left_out():
    cases = {10: "abcdefghij", 9: "abcd…ghij", 5: "ab…ij", 2: "a…", 1: "…", 0: ""}
    assert {width: shorten("abcdefghij", width) for width in cases} == cases
    assert shorten("漢漢漢漢", 5) == "漢…漢"


@hypothesis.given(st.text(max_size=80), st.integers(0, 90))
def test_shortened_text_fits(text, width):
    """Any harmless text, shortened, takes no more columns than it may."""
    assert columns(shorten(harmless(text), width)) <= width


@hypothesis.given(st.text(max_size=80))
def test_harmless_text_is_printable(text):
    """Any text becomes printable text, and stays as it is when made harmless again."""
    assert harmless(text).isprintable()
    assert harmless(harmless(text)) == harmless(text)
