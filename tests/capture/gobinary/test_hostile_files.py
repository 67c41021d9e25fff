"""Any bytes give a GoBinary or GoBinaryError, nothing else, within a second."""

import os
import random
import struct
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goproxy_ebpf.capture.gobinary import GoBinary, GoBinaryError, read_go_binary
from tests.gobins import build

from .programs import HTTP_CLIENT

WITHIN_SECONDS = 3.0  # of a busy machine; alone it is a tenth of that


def outcome(fd: int) -> GoBinary | GoBinaryError:
    started = time.perf_counter()
    try:
        return read_go_binary(fd)
    except GoBinaryError as error:
        assert str(error)
        return error
    finally:
        assert time.perf_counter() - started < WITHIN_SECONDS


@pytest.fixture(scope="module", params=["plain", "movable"])
def victim(request, tmp_path_factory):
    """A descriptor of a copy of a real program, and that program's bytes."""
    flags = ["-buildmode=pie"] if request.param == "movable" else []
    data = build(HTTP_CLIENT, "-ldflags=-s -w", *flags, CGO_ENABLED="0").read_bytes()
    path = tmp_path_factory.mktemp("victim") / "program"
    path.write_bytes(data)
    fd = os.open(path, os.O_RDWR)
    yield fd, data
    os.close(fd)


def places(data: bytes) -> dict[str, tuple[int, int]]:
    """Start and length of the parts that steer a reader."""
    sections = int.from_bytes(data[40:48], "little")
    table = data.index(b"\xf1\xff\xff\xff\0\0\x01\x08")
    functions = table + int.from_bytes(data[table + 64 : table + 72], "little")
    return {
        "elf": (0, 64),
        "segments": (64, 700),
        "sections": (sections, 64 * 26),
        "table": (table, 72),
        "index": (functions, 4096),
        "build": (data.index(b"\xff Go buildinf:"), 300),
        "anywhere": (0, len(data)),
    }


def test_addresses_behind_the_end_of_all_addresses_are_nowhere(victim):
    """A segment that begins near 2^64 and is longer than what is left."""
    fd, whole = victim
    for number in range(10):
        start = 64 + 56 * number  # ELF64 program headers: p_vaddr is at 16
        try:
            os.pwrite(fd, b"\0\0\xfe" + b"\xff" * 5, start + 16)
            outcome(fd)
        finally:
            os.pwrite(fd, whole[start : start + 56], start)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_flipped_bytes_give_a_result_or_an_error(victim, data):
    fd, whole = victim
    start, length = places(whole)[data.draw(st.sampled_from(sorted(places(whole))))]
    at = st.integers(start, min(start + length, len(whole)) - 8)
    value = st.one_of(st.binary(min_size=1, max_size=8), st.sampled_from([b"\xff" * 8, bytes(8), b"\xff" * 4, b"\x7f"]))
    flips = data.draw(st.lists(st.tuples(at, value), min_size=1, max_size=6))
    try:
        for offset, new in flips:
            os.pwrite(fd, new, offset)
        outcome(fd)
    finally:
        for offset, new in flips:
            os.pwrite(fd, whole[offset : offset + len(new)], offset)


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 1), st.sampled_from([0, 16, 64, 100, 300, 700, 4096, 1 << 20]))
def test_a_file_cut_anywhere_gives_a_result_or_an_error(victim, share, near):
    fd, whole = victim
    length = min(int(share * len(whole)), near) if near else int(share * len(whole))
    try:
        os.ftruncate(fd, length)
        outcome(fd)
    finally:
        os.pwrite(fd, whole[length:], length)
    assert os.fstat(fd).st_size == len(whole)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=2048), st.booleans())
def test_random_bytes_give_a_result_or_an_error(tmp_path_factory, data, elf):
    path = tmp_path_factory.mktemp("random") / "file"
    path.write_bytes((b"\x7fELF\x02\x01\x01" + bytes(9) if elf else b"") + data)
    with path.open("rb") as file:
        outcome(file.fileno())


def test_the_victims_are_whole_programs_before_any_byte_is_flipped(victim):
    result = outcome(victim[0])
    assert isinstance(result, GoBinary) and result.note == "" and result.key_log is not None


def crafted(tmp_path, size: int, *, fill: bytes = b"", functions: int = 0) -> int:
    """A sparse file of ``size`` bytes with valid headers, build information, and a segment over all of it."""
    path = tmp_path / "crafted"
    with path.open("wb") as file:
        file.write(
            struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, 62, 1, 0, 64, 0, 0, 64, 56, 2, 64, 0, 0)
            + struct.pack("<IIQQQQQQ", 1, 4, 8192, 8192, 0, size - 8192, size, 4096)
            + struct.pack("<IIQQQQQQ", 1, 6, 0, 0, 0, 8192, 8192, 4096)
        )
        file.seek(4096)
        file.write(b"\xff Go buildinf:\x08\x02" + bytes(16) + b"\x06go1.26\x00")
        file.seek(8192)
        if functions:
            names = 72 + 8192
            file.write(b"\xf1\xff\xff\xff\0\0\x01\x08" + struct.pack("<8Q", functions, 0, 0, 72, names, 0, 0, names))
            file.write(b"\0crypto/tls.(*Config).writeKeyLog\0")
            file.seek(8192 + names)
            chooser = random.Random(1)
            for _ in range(functions):
                file.write(struct.pack("<II", 0, chooser.randrange(0, 1 << 31)))
        for _ in range(0, min(size - 8192, 64 << 20) if fill else 0, 1 << 20):
            file.write((fill * ((1 << 20) // len(fill)))[: 1 << 20])
        file.truncate(size)
    return os.open(path, os.O_RDONLY)


@pytest.mark.parametrize(
    ("why", "fill"),
    [
        ("nothing but zeros", b""),
        ("a false function table at every step", b"\xf1\xff\xff\xff\0\0\x01\x08"),
        ("half a function table at every step", b"\xf1\xff\xff\xff\0\0\x01"),
    ],
)
def test_a_huge_file_costs_no_more_than_its_budget(tmp_path, why, fill):
    fd = crafted(tmp_path, 1 << 40, fill=fill)
    try:
        result = outcome(fd)
    finally:
        os.close(fd)
    assert isinstance(result, GoBinary) and result.note == "it asks for more reading than any Go program needs", why


def test_a_function_table_that_jumps_about_runs_out_of_budget(tmp_path):
    fd = crafted(tmp_path, 1 << 33, functions=100_000)
    try:
        result = outcome(fd)
    finally:
        os.close(fd)
    assert isinstance(result, GoBinary) and result.note == "it asks for more reading than any Go program needs"
