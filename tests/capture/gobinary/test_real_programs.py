"""Every kind of Go program that is met, against what Go's own tools and readelf say of it."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection

from goproxy_ebpf.capture.gobinary import GoBinary, GoBinaryError, HalfConnLayout, read_go_binary
from goproxy_ebpf.capture.gobinary.read import half_conn_layout
from tests.gobins import DEBIAN, NEWEST, OLD, build, environment, go_bin, installed

from .programs import HALF_CONN, HTTP_CLIENT, SMALL

FUNCTIONS = ("crypto/tls.(*Config).writeKeyLog", "crypto/tls.(*halfConn).encrypt", "crypto/tls.(*halfConn).decrypt")


def read(path: Path) -> GoBinary:
    with path.open("rb") as file:
        return read_go_binary(file.fileno())


def points(binary: GoBinary) -> list:
    return [binary.key_log, binary.encrypt, binary.decrypt]


def symbols(path: Path) -> dict[str, int]:
    text = subprocess.run(["readelf", "-sW", path], check=True, capture_output=True, text=True).stdout
    rows = (line.split() for line in text.splitlines() if " FUNC " in line)
    return {" ".join(row[7:]): int(row[1], 16) for row in rows if len(row) > 7}


def executable_ranges(path: Path) -> list[tuple[int, int]]:
    text = subprocess.run(["readelf", "-lW", path], check=True, capture_output=True, text=True).stdout
    rows = re.findall(r"^ +LOAD +(0x\w+) 0x\w+ 0x\w+ (0x\w+) 0x\w+ (.{3})", text, re.MULTILINE)
    return [(int(offset, 16), int(size, 16)) for offset, size, flags in rows if "E" in flags]


def in_file(path: Path, address: int) -> int:
    """readelf's word for where an address stands in the file."""
    text = subprocess.run(["readelf", "-lW", path], check=True, capture_output=True, text=True).stdout
    for offset, start, size in re.findall(r"^ +LOAD +(0x\w+) (0x\w+) 0x\w+ (0x\w+)", text, re.MULTILINE):
        if int(start, 16) <= address < int(start, 16) + int(size, 16):
            return address - int(start, 16) + int(offset, 16)
    raise AssertionError(hex(address))


UNSTRIPPED = {
    "the installed go command": installed,
    "the go command of 1.21": lambda: go_bin(OLD),
    "the newest go command": lambda: go_bin(NEWEST),
    "a plain program": lambda: build(HTTP_CLIENT),
    "position independent": lambda: build(HTTP_CLIENT, "-buildmode=pie", CGO_ENABLED="0"),
    "linked by the C linker": lambda: build(HTTP_CLIENT, "-ldflags=-linkmode=external"),
    "position independent, linked by the C linker": lambda: build(
        HTTP_CLIENT, "-buildmode=pie", "-ldflags=-linkmode=external"
    ),
    "position independent, by 1.21": lambda: build(HTTP_CLIENT, "-buildmode=pie", go=go_bin(OLD), CGO_ENABLED="0"),
    "position independent, by 1.21 and the C linker": lambda: build(
        HTTP_CLIENT, "-buildmode=pie", "-ldflags=-linkmode=external", go=go_bin(OLD)
    ),
    "arm64": lambda: build(HTTP_CLIENT, GOARCH="arm64"),
    "arm64, position independent": lambda: build(HTTP_CLIENT, "-buildmode=pie", GOARCH="arm64"),
}


@pytest.mark.parametrize("kind", UNSTRIPPED)
def test_probe_points_are_where_the_symbol_table_says(kind):
    path = UNSTRIPPED[kind]()
    binary, known = read(path), symbols(path)
    assert binary.note == ""
    assert [(point.function, point.address - point.distance) for point in points(binary)] == [
        (name, known[name]) for name in FUNCTIONS
    ]
    assert [point.file_offset for point in points(binary)] == [
        in_file(path, known[point.function] + point.distance) for point in points(binary)
    ]
    assert list(binary.executable_ranges) == executable_ranges(path)


@pytest.mark.parametrize("kind", ["the installed go command", "the newest go command", "arm64", "position independent"])
def test_probe_points_stand_behind_the_jump_of_the_stack_check(kind):
    path = UNSTRIPPED[kind]()
    for point in points(read(path)):
        listing = subprocess.run(
            [installed(), "tool", "objdump", "-s", f"^{re.escape(point.function)}$", path],
            check=True,
            capture_output=True,
            text=True,
            env=environment(),
        ).stdout
        rows = re.findall(r"^ +\S+:\d+\s+(0x\w+)\s+\w+\s+(\S+)", listing, re.MULTILINE)
        addresses = [int(address, 16) for address, _ in rows]
        jump = next(number for number, (_, name) in enumerate(rows) if name in ("JBE", "JLS", "BLS"))
        assert rows[jump - 1][1] in ("CMPQ", "CMP")
        assert point.address == addresses[jump + 1]
        assert point.instruction_length == addresses[jump + 2] - addresses[jump + 1]


def test_versions_and_paths_are_those_that_go_version_prints():
    paths = [installed(), DEBIAN, go_bin(OLD), go_bin(NEWEST), build(HTTP_CLIENT), build(SMALL, GOARCH="arm64")]
    printed = []
    for path in paths:
        text = subprocess.run([installed(), "version", "-m", path], check=True, capture_output=True, text=True).stdout
        printed.append((text.splitlines()[0].rpartition(": ")[2], re.search(r"^\tpath\t(.*)$", text, re.MULTILINE)[1]))
    assert [(read(path).go_version, read(path).path) for path in paths] == printed


def test_debian_s_stripped_go_is_read_without_a_symbol_table():
    assert set(FUNCTIONS) & set(symbols(DEBIAN)) == set()
    binary = read(DEBIAN)
    assert binary.note == "" and binary.layout == half_conn_layout(binary.go_version)
    assert [(point.function, point.distance) for point in points(binary)] == list(
        zip(FUNCTIONS, (15, 18, 18), strict=True)
    )


def test_a_stripped_program_has_the_points_of_the_unstripped_one():
    plain, stripped = build(HTTP_CLIENT), build(HTTP_CLIENT, "-ldflags=-s -w")
    assert "crypto/tls.(*Config).writeKeyLog" not in symbols(stripped)
    assert points(read(stripped)) == points(read(plain))


@pytest.mark.parametrize(
    "kind", ["a plain program", "position independent", "linked by the C linker", "position independent, by 1.21"]
)
def test_without_section_headers_all_is_found_by_searching(kind, tmp_path):
    whole = UNSTRIPPED[kind]()
    data = bytearray(whole.read_bytes())
    sections, count = int.from_bytes(data[40:48], "little"), int.from_bytes(data[60:62], "little")
    data[sections : sections + 64 * count] = bytes(64 * count)
    data[40:48], data[60:64] = bytes(8), bytes(4)  # e_shoff; e_shnum, e_shstrndx
    bare = tmp_path / "bare"
    bare.write_bytes(data)
    assert "no sections" in subprocess.run(["readelf", "-SW", bare], check=True, capture_output=True, text=True).stdout
    assert read(bare) == read(whole)


@pytest.mark.parametrize("kind", [kind for kind in UNSTRIPPED if "position independent" in kind])
def test_pointers_that_only_their_relocations_hold_are_found(kind, tmp_path):
    whole = UNSTRIPPED[kind]()
    data = bytearray(whole.read_bytes())
    with whole.open("rb") as file:
        elf = ELFFile(file)
        tables = [section for section in elf.iter_sections() if isinstance(section, RelocationSection)]
        places = [
            entry["r_offset"] for table in tables for entry in table.iter_relocations() if entry["r_info"] in (8, 1027)
        ]
        loads = [part for part in elf.iter_segments() if part["p_type"] == "PT_LOAD"]
    for place in places:  # as LLVM's linker leaves them; Go's and GNU's repeat the addend in place
        (load,) = (load for load in loads if load["p_vaddr"] <= place < load["p_vaddr"] + load["p_filesz"])
        offset = place - load["p_vaddr"] + load["p_offset"]
        data[offset : offset + 8] = bytes(8)
    zeroed = tmp_path / "zeroed"
    zeroed.write_bytes(data)
    assert len(places) > 1000 and points(read(zeroed)) == points(read(whole))
    assert None not in points(read(whole))


@pytest.mark.parametrize("make", [installed, lambda: DEBIAN, lambda: go_bin(OLD), lambda: go_bin(NEWEST)])
def test_the_half_connection_s_layout_is_what_reflection_says(make):
    go = make()
    path = build(HALF_CONN, go=go)
    offsets = subprocess.run([path], capture_output=True, text=True, check=True).stderr.split()
    layout = read(go).layout
    assert [str(layout.version), str(layout.sequence), str(layout.traffic_secret)] == offsets


def test_a_version_that_is_not_known_has_no_layout_and_a_newer_one_the_newest():
    old, new = (HalfConnLayout(version=24, sequence=64, traffic_secret=offset) for offset in (120, 128))
    versions = {"go1.18": old, "go1.20.14": old, "go1.21rc2": new, "go1.99.1 X:loopvar": new}
    versions |= {"devel go1.28-0123456789 Thu Jan 1": new, "go1.17.13": None, "devel": None, "": None}
    assert {version: half_conn_layout(version) for version in versions} == versions


def test_what_has_no_probe_points_says_why():
    cases = {
        build(SMALL): "no crypto/tls in it",
        build(HTTP_CLIENT, GOARCH="386"): "a 32-bit program (386): probe points are known for amd64 and arm64",
        build(HTTP_CLIENT, GOARCH="riscv64"): "probe points are known for amd64 and arm64, not for riscv64",
        build(HTTP_CLIENT, GOARCH="s390x"): "probe points are known for amd64 and arm64, not for s390x",
    }
    assert {path: read(path).note for path in cases} == cases
    assert [points(read(path)) for path in cases] == [[None, None, None]] * len(cases)
    assert [read(path).layout for path in cases] == [None] * len(cases)


def test_what_is_no_go_program_is_refused_with_a_clause(tmp_path):
    script, empty, object_file = tmp_path / "script", tmp_path / "empty", tmp_path / "object"
    script.write_text("#!/bin/sh\nexec go\n")
    empty.touch()
    header = bytearray(Path("/bin/true").read_bytes()[:4096])
    header[16] = 1  # ET_REL
    object_file.write_bytes(header)
    said = {}
    for path in (script, empty, object_file, Path("/bin/true")):
        with pytest.raises(GoBinaryError) as caught:
            read(path)
        said[path.name] = str(caught.value)
    assert said == {
        "script": "not an ELF file",
        "empty": "not an ELF file",
        "object": "an ELF file, but not an executable",
        "true": "not a Go executable",
    }


def test_a_descriptor_that_is_no_file_is_refused():
    reader, writer = os.pipe()
    try:
        with pytest.raises(GoBinaryError, match="not a regular file"):
            read_go_binary(reader)
    finally:
        os.close(reader)
        os.close(writer)
    with pytest.raises(GoBinaryError, match="cannot be read"):
        read_go_binary(reader)


def test_the_file_s_position_is_left_alone():
    with installed().open("rb", buffering=0) as file:
        file.seek(7)
        read_go_binary(file.fileno())
        assert file.tell() == 7
