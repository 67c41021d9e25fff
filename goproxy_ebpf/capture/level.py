"""How deep this process's cgroup lies in the hierarchy, as the kernel counts.

A path does not tell: in a cgroup namespace (any container) it begins somewhere below the root. So the kernel is asked,
by a program of a few instructions that looks which ancestor is the cgroup itself. Outcomes: the level, 0 for the
root · None where the kernel does not run such programs for us.
"""

import ctypes
import os
import struct

from .links import bpf, test_run

_PROG_LOAD, _RAW_TRACEPOINT = 5, 17
_GET_CURRENT_CGROUP_ID, _GET_CURRENT_ANCESTOR_CGROUP_ID = 80, 123
_DEEPEST = 64
_NONE = 0xFFFFFFFF


def own_level() -> int | None:
    """Ask the kernel, in this process."""
    program = b"".join(struct.pack("<BBhi", *instruction) for instruction in _instructions())
    code, licence = ctypes.create_string_buffer(program, len(program)), ctypes.create_string_buffer(b"GPL")
    head = struct.pack("<IIQQ", _RAW_TRACEPOINT, len(program) // 8, ctypes.addressof(code), ctypes.addressof(licence))
    try:
        loaded = bpf(_PROG_LOAD, head.ljust(72, b"\0"))
    except OSError:
        return None
    try:
        level = test_run(loaded)
    except OSError:
        return None
    finally:
        os.close(loaded)
    return None if level == _NONE else level


def _instructions() -> list[tuple[int, int, int, int]]:
    """(opcode, registers, offset, immediate): for each level, give it if the ancestor there has our own number."""
    found = [(0x85, 0x00, 0, _GET_CURRENT_CGROUP_ID), (0xBF, 0x06, 0, 0)]  # r6 = the cgroup's own number
    for level in range(_DEEPEST):
        ask = [(0xB7, 0x01, 0, level), (0x85, 0x00, 0, _GET_CURRENT_ANCESTOR_CGROUP_ID)]
        give = [(0x5D, 0x60, 2, 0), (0xB7, 0x00, 0, level), (0x95, 0x00, 0, 0)]  # unless r0 == r6: over the next two
        found += [*ask, *give]
    return [*found, (0xB7, 0x00, 0, -1), (0x95, 0x00, 0, 0)]
