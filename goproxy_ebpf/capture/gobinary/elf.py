"""The few parts of an ELF file that matter here: segments, sections by name, relocated pointers.

Outcomes: an ElfImage · GoBinaryError. The structures are pyelftools'; the walk over them is ours, because its own
follows whatever links and unterminated names a file holds, as far as they lead.
"""

import io
from typing import Any

import msgspec
from elftools.construct.lib.container import Container
from elftools.elf.structs import ELFStructs

from .file import BoundedFile
from .model import GoBinaryError

MOST_SEGMENTS = 256
MOST_SECTIONS = 4096
MOST_DYNAMIC = 4096
MOST_NAMES = 1 << 20

ARCHITECTURES = {
    "EM_X86_64": "amd64",
    "EM_AARCH64": "arm64",
    "EM_386": "386",
    "EM_ARM": "arm",
    "EM_PPC64": "ppc64",
    "EM_RISCV": "riscv64",
    "EM_S390": "s390x",
    "EM_MIPS": "mips",
    "EM_LOONGARCH": "loong64",
}
RELATIVE = {"EM_X86_64": 8, "EM_AARCH64": 1027}
"""R_X86_64_RELATIVE and R_AARCH64_RELATIVE: what the loader makes of a pointer in a position-independent program."""

PF_X, PF_W = 1, 2
ADDRESS_SPACE = 1 << 64


class Segment(msgspec.Struct, frozen=True):
    """A PT_LOAD entry: ``size`` bytes of the file at ``offset`` come to stand at ``address``."""

    offset: int
    address: int
    size: int
    flags: int


class Section(msgspec.Struct, frozen=True):
    offset: int
    address: int
    size: int


class ElfImage:
    """``arch`` is Go's word for the machine. Addresses are the file's own, as ``readelf`` shows them."""

    def __init__(self, file: BoundedFile) -> None:
        self.file = file
        ident = file.read(0, min(16, file.size))
        if ident[:4] != b"\x7fELF":
            raise GoBinaryError("not an ELF file")
        if len(ident) < 16 or ident[4] not in (1, 2) or ident[5] not in (1, 2):
            raise GoBinaryError("not an ELF file of a kind that is known")
        self.bits = 32 * ident[4]
        self.little_endian = ident[5] == 1
        self._structs = ELFStructs(little_endian=self.little_endian, elfclass=self.bits)
        self._structs.create_basic_structs()
        header = self._table(self._structs.Elf_Ehdr, 0, 64 if self.bits == 64 else 52, 1, "ELF header")[0]
        if header.e_type not in ("ET_EXEC", "ET_DYN"):
            raise GoBinaryError("an ELF file, but not an executable")
        self._structs.create_advanced_structs(header.e_type, header.e_machine, header.e_ident.EI_OSABI)
        self.movable = header.e_type == "ET_DYN"
        self.machine = str(header.e_machine)
        self.arch = ARCHITECTURES.get(self.machine, self.machine)
        self.entry = int(header.e_entry)
        self.segments: tuple[Segment, ...] = ()
        self._dynamic: Segment | None = None
        self._read_segments(header)
        self.sections = self._read_sections(header)
        self._relocations = self._find_relocations()

    def segment_at(self, address: int) -> Segment | None:
        for segment in self.segments:
            if segment.address <= address < segment.address + segment.size:
                return segment
        return None

    def offset_of(self, address: int) -> int | None:
        """Where the byte of this address stands in the file; None if it does not."""
        segment = self.segment_at(address)
        return None if segment is None else address - segment.address + segment.offset

    def address_of(self, offset: int) -> int | None:
        """The address that the file's byte ``offset`` is loaded at; None if it is not."""
        for segment in self.segments:
            if segment.offset <= offset < segment.offset + segment.size:
                return offset - segment.offset + segment.address
        return None

    def pointer(self, address: int) -> int | None:
        """The pointer stored at this address, before the program is moved anywhere; None where nothing is stored.

        A movable program keeps it in a RELATIVE relocation's addend. The place itself may then hold anything (Go's
        linker repeats it, GNU ld leaves 0), or, with packed relocations (DT_RELR), be the only place.
        """
        offset = self.offset_of(address)
        if offset is None or address % 8 or address >= ADDRESS_SPACE or offset + 8 > self.file.size:
            return None
        if self._relocations is not None and self.machine in RELATIVE:
            needle = address.to_bytes(8, "little") + RELATIVE[self.machine].to_bytes(8, "little")
            for found in self.file.find(needle, *self._relocations, 24):
                return int.from_bytes(self.file.read(found + 16, 8), "little")
        return int.from_bytes(self.file.read(offset, 8), "little")

    def pointers_to(self, address: int) -> list[int]:
        """Addresses in writable segments that hold a pointer to ``address`` (the first few)."""
        found: list[int] = []
        if address >= ADDRESS_SPACE:  # a segment's address and size can say so
            return found
        needle = address.to_bytes(8, "little")
        if self._relocations is not None and self.machine in RELATIVE:
            needle_with_type = RELATIVE[self.machine].to_bytes(8, "little") + needle
            start, end = self._relocations
            for at in self.file.find(needle_with_type, start + 8, end, 24):
                found.append(int.from_bytes(self.file.read(at - 8, 8), "little"))
                if len(found) == 16:
                    return found
        for segment in self.segments:
            if segment.flags & PF_W:
                for at in self.file.find(needle, segment.offset, segment.offset + segment.size):
                    if at % 8 == 0:
                        found.append(at - segment.offset + segment.address)
                    if len(found) == 16:
                        return found
        return found

    def _table(self, kind: Any, offset: int, size: int, count: int, what: str) -> list[Container]:
        """``count`` structures of ``size`` bytes each."""
        if offset + size * count > self.file.size:
            raise GoBinaryError(f"its {what} is cut off")
        stream = io.BytesIO(self.file.read(offset, size * count))
        return [kind.parse_stream(stream) for _ in range(count)]

    def _read_segments(self, header: Container) -> None:
        size = 56 if self.bits == 64 else 32
        if header.e_phentsize != size or not 0 < header.e_phnum <= MOST_SEGMENTS:
            raise GoBinaryError("an ELF file without program headers that can be read")
        loads = []
        for entry in self._table(self._structs.Elf_Phdr, header.e_phoff, size, header.e_phnum, "program header table"):
            # A segment that reaches past the file's end could not be loaded; what is there is still worth reading.
            length = max(0, min(entry.p_filesz, self.file.size - entry.p_offset))
            segment = Segment(entry.p_offset, entry.p_vaddr, length, entry.p_flags)
            if entry.p_type == "PT_LOAD":
                loads.append(segment)
            elif entry.p_type == "PT_DYNAMIC":
                self._dynamic = segment
        self.segments = tuple(loads)

    def _read_sections(self, header: Container) -> dict[str, Section]:
        """Sections by name; none where their headers are stripped or make no sense: only a short cut."""
        size = 64 if self.bits == 64 else 40
        count = header.e_shnum
        if header.e_shoff == 0 or header.e_shentsize != size or not header.e_shstrndx < count <= MOST_SECTIONS:
            return {}
        if header.e_shoff + size * count > self.file.size:
            return {}
        entries = self._table(self._structs.Elf_Shdr, header.e_shoff, size, count, "section header table")
        names = entries[header.e_shstrndx]
        if names.sh_size > MOST_NAMES or names.sh_offset + names.sh_size > self.file.size:
            return {}
        text = self.file.read(names.sh_offset, names.sh_size)
        sections: dict[str, Section] = {}
        for entry in entries:
            # SHT_NOBITS has no bytes in the file, a compressed section not the bytes that are meant.
            if entry.sh_type == "SHT_NOBITS" or entry.sh_offset + entry.sh_size > self.file.size:
                continue
            name = text[entry.sh_name : entry.sh_name + 64].partition(b"\0")[0].decode("ascii", "replace")
            sections.setdefault(name, Section(entry.sh_offset, entry.sh_addr, entry.sh_size))
        return sections

    def _find_relocations(self) -> tuple[int, int] | None:
        """Start and end, in the file, of the table that DT_RELA and DT_RELASZ name (24 bytes an entry)."""
        if not self.movable or self._dynamic is None or self.bits != 64 or not self.little_endian:
            return None
        count = min(self._dynamic.size, self.file.size - self._dynamic.offset) // 16
        count = max(0, min(count, MOST_DYNAMIC))
        if count == 0:
            return None
        tags: dict[str, int] = {}
        for entry in self._table(self._structs.Elf_Dyn, self._dynamic.offset, 16, count, "dynamic section"):
            if entry.d_tag == "DT_NULL":
                break
            tags.setdefault(str(entry.d_tag), entry.d_val)
        start = self.offset_of(tags.get("DT_RELA", -1))
        if start is None:
            return None
        return start, min(start + tags.get("DT_RELASZ", 0), self.file.size)
