"""Says where a Go executable is to be probed, from its descriptor. Any bytes give a GoBinary or GoBinaryError.

It runs without privilege and believes nothing: sizes are capped, reading has a budget (``file.py``), and whoever
attaches checks the offsets against ``executable_ranges`` again.
"""

import re

from .buildinfo import read_build_info
from .elf import PF_X, ElfImage
from .file import BoundedFile
from .model import GoBinary, GoBinaryError, HalfConnLayout, ProbePoint
from .pclntab import QUANTUM, Function, find_function_table
from .prologue import CODE_BYTES, after_stack_check

KEY_LOG = "crypto/tls.(*Config).writeKeyLog"
ENCRYPT = "crypto/tls.(*halfConn).encrypt"
DECRYPT = "crypto/tls.(*halfConn).decrypt"


def read_go_binary(fd: int) -> GoBinary:
    """The executable open at ``fd``, whose file position is left alone.

    Raises GoBinaryError: "not an ELF file", "not a Go executable", or what else makes it unreadable.
    """
    image = ElfImage(BoundedFile(fd))
    info = read_build_info(image)
    if info is None and find_function_table(image, headers_only=True) is None:
        raise GoBinaryError("not a Go executable")
    version, path = info or ("", "")
    points: dict[str, ProbePoint] = {}
    try:
        points, note = _probe_points(image)
    except GoBinaryError as error:  # it is a Go program all the same, and is traced as far as that goes
        note = str(error)
    return GoBinary(
        go_version=version,
        arch=image.arch,
        path=path,
        key_log=points.get(KEY_LOG),
        encrypt=points.get(ENCRYPT),
        decrypt=points.get(DECRYPT),
        layout=half_conn_layout(version) if ENCRYPT in points or DECRYPT in points else None,
        executable_ranges=tuple((part.offset, part.size) for part in image.segments if part.flags & PF_X),
        note=note,
    )


def half_conn_layout(version: str) -> HalfConnLayout | None:
    """The layout by Go version (QUIC's level came before the secret in 1.21); None where the version is not known.

    A version newer than any known gets the newest layout: a secret found by it is believed only when it decrypts.
    """
    number = re.search(r"go1\.(\d{1,3})", version)
    if number is None or int(number[1]) < 18:
        return None
    return HalfConnLayout(version=24, sequence=64, traffic_secret=128 if int(number[1]) >= 21 else 120)


def _probe_points(image: ElfImage) -> tuple[dict[str, ProbePoint], str]:
    """The points by function name, and why any is missing. Raises GoBinaryError."""
    if image.bits == 32:
        return {}, f"a 32-bit program ({image.arch}): probe points are known for amd64 and arm64"
    if image.arch not in QUANTUM:
        return {}, f"probe points are known for amd64 and arm64, not for {image.arch}"
    table = find_function_table(image, headers_only=False)
    if table is None:
        return {}, "no function table of Go 1.18 or later in it"
    names = (KEY_LOG, ENCRYPT, DECRYPT)
    found = table.find(names)
    if not found:
        known = table.has_package(b"crypto/tls.")
        return {}, "crypto/tls is in it, but not what connections need" if known else "no crypto/tls in it"
    points: dict[str, ProbePoint] = {}
    notes = []
    for name in names:
        if name not in found:
            notes.append(f"{name} is not in it")
            continue
        try:
            points[name] = _probe_point(image, found[name])
        except GoBinaryError as error:
            notes.append(f"{name}: {error}")
    return points, "; ".join(notes)


def _probe_point(image: ElfImage, function: Function) -> ProbePoint:
    segment = image.segment_at(function.address)
    if segment is None or not segment.flags & PF_X:
        raise GoBinaryError("it stands in no executable segment")
    offset = function.address - segment.address + segment.offset
    size = min(function.size, segment.offset + segment.size - offset)
    place = after_stack_check(image.file.read(offset, max(0, min(size, CODE_BYTES))), size, image.arch)
    return ProbePoint(
        function=function.name,
        file_offset=offset + place.distance,
        address=function.address + place.distance,
        distance=place.distance,
        instruction=place.instruction,
        instruction_length=place.length,
    )
