"""Go's own function table (``.gopclntab``), which no strip removes: addresses of functions by name.

Outcomes: a FunctionTable · None: no table that is known here · GoBinaryError. Layout: runtime/symtab.go and
debug/gosym. Magic 0xfffffff0 is Go 1.18 and 1.19, 0xfffffff1 everything since.
"""

import struct
from collections.abc import Iterable, Iterator

import msgspec

from .elf import PF_X, ElfImage
from .file import WINDOW
from .model import GoBinaryError

MAGICS = (b"\xf1\xff\xff\xff\0\0", b"\xf0\xff\xff\xff\0\0")
QUANTUM = {"amd64": 1, "arm64": 4}
SECTIONS = (".gopclntab", ".data.rel.ro.gopclntab")
HEADER = struct.Struct("<8x8Q")
ENTRY = struct.Struct("<II")
NAME = struct.Struct("<I")
TEXT_START = 24

MOST_FUNCTIONS = 2_000_000
MOST_CANDIDATES = 64

# runtime.moduledata: pcHeader, then funcnametab and five more slices, findfunctab, minpc, maxpc, text. The same in all
# of 1.18 to 1.27.
MODULEDATA_NAMES = 8
MODULEDATA_TEXT = 176


class Function(msgspec.Struct, frozen=True):
    """A function's first address and the number of bytes up to the next one's."""

    name: str
    address: int
    size: int


class FunctionTable:
    """Where a table stands in the file (``offset``), and its parts relative to that."""

    def __init__(self, image: ElfImage, offset: int) -> None:
        self._image = image
        self.offset = offset
        (
            self.count,
            _files,
            _text_start,
            self.names,
            self._names_end,
            _filetab,
            _pctab,
            self.functions,
        ) = HEADER.unpack(image.file.read(offset, HEADER.size))
        self._index = b""

    @property
    def plausible(self) -> bool:
        """Whether the header's numbers can be those of a function table within this file."""
        rest = self._image.file.size - self.offset
        return bool(
            0 < self.count <= MOST_FUNCTIONS
            and HEADER.size <= self.names < self._names_end <= rest
            and self.names < self.functions < rest
            and self.functions + ENTRY.size * self.count + 4 <= rest
        )

    def has_package(self, prefix: bytes) -> bool:
        """Whether any function's name starts so."""
        file, offset = self._image.file, self.offset
        return next(file.find(b"\0" + prefix, offset + self.names, offset + self._names_end), None) is not None

    def find(self, names: Iterable[str]) -> dict[str, Function]:
        """Those of the functions that are in the program as such (not only inlined). Raises GoBinaryError."""
        file, offset = self._image.file, self.offset
        wanted: dict[int, str] = {}
        for name in names:
            needle = b"\0" + name.encode() + b"\0"
            for at in file.find(needle, offset + self.names, offset + self._names_end):
                wanted[at + 1 - offset - self.names] = name
                break
        if not wanted:
            return {}
        placed = dict(self._entries(wanted))
        if not placed:
            return {}
        text = self.text_base()
        return {name: Function(name, text + start, end - start) for name, (start, end) in placed.items()}

    def text_base(self) -> int:
        """The address that the table counts from, ``runtime.text``. Raises GoBinaryError.

        The header has it up to Go 1.25 (as a relocated pointer where the program is movable). Since 1.26 only
        ``runtime.firstmoduledata`` has. ``.text`` starts with the C start-up code where a C linker made the program:
        its address is believed only if the program's entry point then is Go's own.
        """
        image = self._image
        table = image.address_of(self.offset)
        if table is not None:
            if text_start := image.pointer(table + TEXT_START):
                return text_start
            section = image.sections.get(".go.module")
            for candidate in [section.address] if section else []:
                if (text := self._module_text(candidate, table)) is not None:
                    return text
            for candidate in image.pointers_to(table):
                if (text := self._module_text(candidate, table)) is not None:
                    return text
        if (section := image.sections.get(".text")) and self._starts_at(image.entry - section.address):
            return section.address
        raise GoBinaryError("the address that its function table counts from cannot be found")

    def _module_text(self, candidate: int, table: int) -> int | None:
        """``moduledata.text`` if ``candidate`` is a module's data that belongs to this table."""
        if self._image.pointer(candidate) != table:
            return None
        if self._image.pointer(candidate + MODULEDATA_NAMES) != table + self.names:
            return None
        return self._image.pointer(candidate + MODULEDATA_TEXT)

    def _starts_at(self, entry: int) -> bool:
        """Whether one of Go's own entry points (``_rt0_amd64_linux``) starts ``entry`` bytes into the text."""
        index = self._read_index()
        low, high = 0, self.count
        while low < high:
            middle = (low + high) // 2
            if ENTRY.unpack_from(index, middle * ENTRY.size)[0] < entry:
                low = middle + 1
            else:
                high = middle
        start, at = ENTRY.unpack_from(index, min(low, self.count - 1) * ENTRY.size)
        if start != entry:
            return False
        file, base = self._image.file, self.offset
        name = NAME.unpack(file.read(base + self.functions + at + 4, 4))[0]
        return file.read(base + self.names + name, 5) == b"_rt0_"

    def _read_index(self) -> bytes:
        """The sorted (entry, offset of its description) pairs, and the end of the last function."""
        if not self._index:
            self._index = self._image.file.read(self.offset + self.functions, ENTRY.size * self.count + 4)
        return self._index

    def _entries(self, wanted: dict[int, str]) -> Iterator[tuple[str, tuple[int, int]]]:
        """(name, (first byte, byte behind the last)) relative to the text base, for every function in ``wanted``.

        Descriptions stand in the index's order, so that one window slides over them; a table that jumps about runs
        out of the file's budget.
        """
        index = self._read_index()
        file, base = self._image.file, self.offset + self.functions
        limit = file.size - base
        window, start = b"", 0
        missing = len(wanted)
        unpack_name = NAME.unpack_from
        for number, (entry, at) in enumerate(ENTRY.iter_unpack(index[: ENTRY.size * self.count])):
            place = at + 4 - start
            if not 0 <= place <= len(window) - 4:
                if at + 8 > limit:
                    raise GoBinaryError("its function table points outside the file")
                start = at
                window = file.read(base + start, min(WINDOW, limit - start))
                place = 4
            name = unpack_name(window, place)[0]
            if name in wanted:
                yield wanted[name], (entry, NAME.unpack_from(index, (number + 1) * ENTRY.size)[0])
                missing -= 1
                if not missing:
                    return


def find_function_table(image: ElfImage, *, headers_only: bool) -> FunctionTable | None:
    """The program's function table: by its section's name, else (section headers stripped) by its first eight bytes.

    ``headers_only`` spares a file that shows no sign of Go the search through all of it.
    """
    quantum = QUANTUM.get(image.arch)
    if quantum is None or image.bits != 64 or not image.little_endian:
        return None
    starts = [magic + bytes([quantum, 8]) for magic in MAGICS]
    for name in SECTIONS:
        section = image.sections.get(name)
        if section and section.size >= HEADER.size and image.file.read(section.offset, 8) in starts:
            table = FunctionTable(image, section.offset)
            if table.plausible:
                return table
    if headers_only:
        return None
    for segment in sorted(image.segments, key=lambda segment: segment.flags & PF_X):
        for start in starts:
            for number, at in enumerate(image.file.find(start, segment.offset, segment.offset + segment.size)):
                if number == MOST_CANDIDATES:
                    break
                if at % 8 == 0 and at + HEADER.size <= image.file.size:
                    table = FunctionTable(image, at)
                    if table.plausible:
                        return table
    return None
