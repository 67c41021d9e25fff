"""Numbers as people read them. MB is 10^6 bytes; a duration has three significant digits."""

MICROSECOND, MILLISECOND, SECOND, MINUTE, HOUR = 10**3, 10**6, 10**9, 60 * 10**9, 3600 * 10**9


def count(number: int) -> str:
    """``1,883``"""
    return f"{number:,}"


def counted(number: int, noun: str, plural: str = "") -> str:
    """``1 request``, ``1,883 requests``"""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def exact(length_bytes: int) -> str:
    """``105,728 B``"""
    return f"{length_bytes:,} B"


def size(length_bytes: int) -> str:
    """``812 B``, ``48.1 kB``, ``8.60 MB``, ``1.20 GB``: three significant digits."""
    for unit, power in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        # 999,950 is 1.00 MB, not 1000 kB: the border lies where rounding to three digits does.
        if length_bytes >= power - power // 2000:
            return f"{_three_digits(length_bytes / power)} {unit}"
    return f"{length_bytes} B"


def duration(ns: int) -> str:
    """``412 µs``, ``3.1 ms``, ``210 ms``, ``1.42 s``, ``2 min 03 s``, ``1 h 02 min``; a minus in front below 0."""
    if ns < 0:
        return f"-{duration(-ns)}"
    if ns < MICROSECOND:
        return f"{ns} ns"
    for unit, power, border in (("µs", MICROSECOND, MILLISECOND), ("ms", MILLISECOND, SECOND)):
        if ns < border - border // 2000:
            return f"{_three_digits(ns / power)} {unit}"
    if ns < MINUTE - SECOND // 20:
        return f"{_three_digits(ns / SECOND)} s"
    if ns < HOUR - SECOND // 2:
        seconds = (ns + SECOND // 2) // SECOND
        return f"{seconds // 60} min {seconds % 60:02} s"
    minutes = (ns + MINUTE // 2) // MINUTE
    return f"{minutes // 60:,} h {minutes % 60:02} min"


def _three_digits(value: float) -> str:
    if value >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"
