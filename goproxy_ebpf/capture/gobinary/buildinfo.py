"""The build information that every Go program carries: which Go built it, from which package.

Outcomes: (version, path), the latter maybe empty · None: there is none. The format is debug/buildinfo's: 32 bytes of
header, aligned to 16, then (since Go 1.18) two strings, each behind its length as a varint.
"""

from .elf import PF_W, ElfImage
from .model import GoBinaryError

MAGIC = b"\xff Go buildinf:"
HEADER = 32
ALIGNMENT = 16
INLINE_STRINGS = 2
MOST = 1 << 20
MOST_SEARCHED = 64 << 20


def read_build_info(image: ElfImage) -> tuple[str, str] | None:
    section = image.sections.get(".go.buildinfo")
    places = [(section.offset, section.size)] if section else []
    places += [(part.offset, min(part.size, MOST_SEARCHED)) for part in image.segments if part.flags & PF_W]
    for offset, size in places:
        for at in image.file.find(MAGIC, offset, offset + size):
            if at % ALIGNMENT == 0:
                return _strings(image, at)
    return None


def _strings(image: ElfImage, at: int) -> tuple[str, str] | None:
    data = image.file.read(at, min(HEADER + 2 * MOST, image.file.size - at))
    if len(data) < HEADER or not data[15] & INLINE_STRINGS:
        return None  # Go 1.17 and older point to their strings; their function tables are not read either
    try:
        version, end = _string(data, HEADER)
        modules, _ = _string(data, end)
    except GoBinaryError:
        return None
    # The module information stands between two marks of 16 bytes each; its first line is "path\t<package>".
    first = modules[16:].partition(b"\n")[0]
    path = first.removeprefix(b"path\t") if first.startswith(b"path\t") else b""
    return _text(version), _text(path)


def _string(data: bytes, at: int) -> tuple[bytes, int]:
    """A string behind its length (unsigned LEB128), and the place behind it."""
    length = shift = 0
    while True:
        if at >= len(data) or shift > 28:
            raise GoBinaryError("its build information makes no sense")
        byte = data[at]
        at += 1
        length |= (byte & 127) << shift
        if byte < 128:
            break
        shift += 7
    if length > len(data) - at:
        raise GoBinaryError("its build information is cut off")
    return data[at : at + length], at + length


def _text(raw: bytes) -> str:
    """Printable text only: it ends up on a terminal."""
    return "".join(character for character in raw[:512].decode("utf-8", "replace") if character.isprintable())
