"""What a run could leave behind in the kernel: BPF programs (links hold them), cgroups, processes.

Other sessions may be running on this machine: theirs are told from ours by who holds them.
"""

import json
import os
import re
import subprocess
import time
import uuid
from pathlib import Path

from goproxy_ebpf.capture.cgroup import mount_point

from .harness import ROOT

MARK = f"GOPROXY_EBPF_TEST_RUN={uuid.uuid4()}"
os.environ.update([MARK.split("=")])  # inherited by all that a test starts
PROGRAMS = {
    name[:15]  # BPF_OBJ_NAME_LEN
    for file in (ROOT / "bpf").glob("*.c")
    for name in re.findall(r"^(?:int|RAW_TRACEPOINT_PROBE\()\s*(\w+)\(?", file.read_text(), re.MULTILINE)
}


def now() -> set[str]:
    """Each in a word or two."""
    return programs() | cgroups() | processes()


def after(before: set[str], patience_s: float = 10.0) -> list[str]:
    """What is there that was not before. The kernel takes its time with what is closed: it is waited for."""
    until = time.monotonic() + patience_s
    while (left := now() - before) and time.monotonic() < until:
        time.sleep(0.05)
    return sorted(left)


def programs() -> set[str]:
    """Loaded BPF programs with names of ours, unless a stranger holds them."""
    listed = json.loads(subprocess.run(["bpftool", "prog", "list", "-j"], capture_output=True, check=True).stdout)
    ours = {program["id"]: program["name"] for program in listed if program.get("name") in PROGRAMS}
    held = holders() if ours else {}
    return {
        f"program {number} {name}"
        for number, name in ours.items()
        if number not in held or any(is_ours(pid) for pid in held[number])
    }


def holders() -> dict[int, set[int]]:
    """Program id -> the processes that hold a descriptor of it, or of a link of it."""
    found: dict[int, set[int]] = {}
    for folder in Path("/proc").glob("[0-9]*/fdinfo"):
        try:
            for info in folder.iterdir():
                for number in re.findall(r"^prog_id:\s*(\d+)", info.read_text(), re.MULTILINE):
                    found.setdefault(int(number), set()).add(int(folder.parent.name))
        except OSError:
            continue
    return found


def cgroups() -> set[str]:
    """Groups of ours, unless a stranger is alive that made them."""
    mount = mount_point(Path("/proc/self/mountinfo").read_text())
    groups = mount.rglob("goproxy-ebpf.*") if mount else ()
    return {
        f"cgroup {group}"
        for group in groups
        if not Path("/proc", group.name.rpartition(".")[2]).exists() or is_ours(int(group.name.rpartition(".")[2]))
    }


def processes() -> set[str]:
    """Processes of the program in this checkout: tracer, worker, reader."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().split(b"\0")
            state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state != "Z" and str(ROOT / "scripts/run.py").encode() in command and is_ours(int(folder.name)):
            found.add(f"process {folder.name} {b' '.join(command[2:]).decode(errors='replace')}")
    return found


def is_ours(pid: int) -> bool:
    """Whether it, or a process above it, was started by this test session. (sudo clears the environment below it.)"""
    while pid > 1:
        try:
            if MARK.encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                return True
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            return False
        pid = int(re.search(r"^PPid:\s*(\d+)", status, re.MULTILINE)[1])
    return False
