"""What is said about a Go executable: its version, where its probes go, where its connections keep their secrets."""

import msgspec


class GoBinaryError(Exception):
    """The file cannot be read as a Go executable; the text is one clause that says why."""


class ProbePoint(msgspec.Struct, frozen=True):
    """Where one uprobe goes: the instruction behind the function's stack check.

    ``file_offset`` is what the kernel's uprobe wants (an offset in the file); ``address`` is the same place as the ELF
    file numbers it. ``distance`` counts bytes from the function's entry, and is never 0: ``morestack`` jumps back to
    the entry, so a probe there fires twice. Between entry and here no argument register is written. ``instruction``
    (``push rbp``, ``instruction_length`` bytes long) is what stands there.
    """

    function: str
    file_offset: int
    address: int
    distance: int
    instruction: str
    instruction_length: int


class HalfConnLayout(msgspec.Struct, frozen=True):
    """Offsets in bytes within ``crypto/tls.halfConn``, which ``encrypt`` and ``decrypt`` have as their receiver.

    ``version`` is a uint16, ``sequence`` 8 bytes in network order, ``traffic_secret`` a slice (pointer, length,
    capacity).
    """

    version: int
    sequence: int
    traffic_secret: int


class GoBinary(msgspec.Struct, frozen=True):
    """One Go executable.

    ``go_version`` is as the file has it (``go1.26.8``; empty if it has none), ``arch`` Go's own word (``amd64``),
    ``path`` the main package (``cmd/go``). A probe point that is None has its reason in ``note``, one clause.
    ``executable_ranges`` are the executable segments as (file offset, length): whoever attaches checks against them.
    """

    go_version: str
    arch: str
    path: str = ""
    key_log: ProbePoint | None = None
    encrypt: ProbePoint | None = None
    decrypt: ProbePoint | None = None
    layout: HalfConnLayout | None = None
    executable_ranges: tuple[tuple[int, int], ...] = ()
    note: str = ""
