"""Reads Go executables, unprivileged and from a descriptor, and says where uprobes go.

``read_go_binary(fd)`` gives a GoBinary or raises GoBinaryError; nothing else comes out, whatever the file holds.
"""

from .model import GoBinary, GoBinaryError, HalfConnLayout, ProbePoint

__all__ = ["GoBinary", "GoBinaryError", "HalfConnLayout", "ProbePoint", "read_go_binary"]


def read_go_binary(fd: int) -> GoBinary:
    """See ``read``. Loaded at the first call: root reads no executable, and needs neither ELF nor a disassembler."""
    from . import read

    return read.read_go_binary(fd)
