"""The forms of a stack check: those that Go's compiler makes, and those that are refused."""

import re
import subprocess
from pathlib import Path

import pytest

from goproxy_ebpf.capture.gobinary.elf import ElfImage
from goproxy_ebpf.capture.gobinary.file import BoundedFile
from goproxy_ebpf.capture.gobinary.model import GoBinaryError
from goproxy_ebpf.capture.gobinary.pclntab import find_function_table
from goproxy_ebpf.capture.gobinary.prologue import after_stack_check
from tests.gobins import build, environment, installed

from .programs import FRAMES

NAMES = ["main.small", "main.large", "main.huge"]


def code_of(path: Path, names: list[str]) -> dict[str, tuple[bytes, int]]:
    with path.open("rb") as opened:
        file = BoundedFile(opened.fileno())
        image = ElfImage(file)
        table = find_function_table(image, headers_only=False)
        found = table.find(names)
        return {name: (file.read(image.offset_of(f.address), f.size), f.size) for name, f in found.items()}


@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_small_large_and_huge_frames_are_probed_behind_their_check(arch):
    path = build(FRAMES, GOARCH=arch)
    expected = {}
    for name in NAMES:
        command = [installed(), "tool", "objdump", "-s", f"^{re.escape(name)}$", path]
        text = subprocess.run(command, check=True, capture_output=True, text=True, env=environment()).stdout
        rows = re.findall(r"^ +\S+:\d+\s+(0x\w+)\s+\w+\s+(\S+)", text, re.MULTILINE)
        jump = next(number for number, (_, op) in enumerate(rows) if op in ("JBE", "JLS", "BLS"))
        expected[name] = int(rows[jump + 1][0], 16) - int(rows[0][0], 16)
    code = code_of(path, NAMES)
    assert {name: after_stack_check(*code[name], arch).distance for name in NAMES} == expected
    assert len(set(expected.values())) == 3, "the three forms of the check differ"


@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_a_function_without_a_stack_check_is_refused(arch):
    code = code_of(build(FRAMES, GOARCH=arch), ["main.bare"])["main.bare"]
    with pytest.raises(GoBinaryError, match="no stack check"):
        after_stack_check(*code, arch)


CHECK = bytes.fromhex("493b6610")  # cmp rsp, [r14+0x10]
JUMP = bytes.fromhex("7620")  # jbe +0x20
TAIL = bytes.fromhex("55") + bytes(60)


@pytest.mark.parametrize(
    ("why", "code"),
    [
        ("no stack check", bytes.fromhex("493b6618") + JUMP + TAIL),  # another field of g
        ("no stack check", bytes.fromhex("493b6710") + JUMP + TAIL),  # another register than g's
        ("no stack check", CHECK + bytes.fromhex("7720") + TAIL),  # ja instead of jbe
        ("no stack check", bytes.fromhex("4889cb") + CHECK + JUMP + TAIL),  # mov rbx, rcx: an argument is gone
        ("no stack check", JUMP + CHECK + TAIL),
        ("no stack check", CHECK + JUMP),  # cut off: nothing behind the check
        ("no stack check", b""),
        ("leaves the function", CHECK + bytes.fromhex("767f") + TAIL),
        ("leaves the function", CHECK + bytes.fromhex("76f0") + TAIL),
    ],
)
def test_anything_else_at_a_function_s_start_is_refused(why, code):
    assert after_stack_check(CHECK + JUMP + TAIL, 67, "amd64").distance == 6
    with pytest.raises(GoBinaryError, match=why):
        after_stack_check(code, 67, "amd64")
