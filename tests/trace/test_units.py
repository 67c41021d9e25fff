"""Numbers as people read them, at the places where the unit or the digits change."""

import pytest

from goproxy_ebpf.trace.units import counted, duration, exact, size


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1_000, "1.00 kB"),
        (9_994, "9.99 kB"),
        (9_996, "10.0 kB"),
        (99_960, "100 kB"),
        (999_499, "999 kB"),
        (999_500, "1.00 MB"),
        (57_965_432, "58.0 MB"),
        (999_500_000, "1.00 GB"),
        (1_073_741_824, "1.07 GB"),
        (-5, "-5 B"),
        (12_345_678_901_234, "12,346 GB"),
    ],
)
def test_sizes_have_three_digits(number, text):
    assert size(number) == text


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0 ns"),
        (999, "999 ns"),
        (1_000, "1.00 µs"),
        (999_499, "999 µs"),
        (999_500, "1.00 ms"),
        (3_140_000, "3.14 ms"),
        (999_499_999, "999 ms"),
        (999_500_000, "1.00 s"),
        (59_940_000_000, "59.9 s"),
        (59_950_000_000, "1 min 00 s"),
        (123_000_000_000, "2 min 03 s"),
        (3_599_499_999_999, "59 min 59 s"),
        (3_599_500_000_000, "1 h 00 min"),
        (3_720_000_000_000, "1 h 02 min"),
        (-3_140_000, "-3.14 ms"),
    ],
)
def test_durations_have_three_digits(ns, text):
    assert duration(ns) == text


def test_counts_have_separators_and_a_plural():
    assert [counted(1, "try", "tries"), counted(2, "try", "tries"), counted(1_883, "request")] == [
        "1 try",
        "2 tries",
        "1,883 requests",
    ]
    assert exact(105_728) == "105,728 B"
