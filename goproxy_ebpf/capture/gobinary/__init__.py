"""Reads Go executables, unprivileged and from a descriptor, and says where uprobes go.

``read_go_binary(fd)`` gives a GoBinary or raises GoBinaryError; nothing else comes out, whatever the file holds.
"""

from .model import GoBinary, GoBinaryError, HalfConnLayout, ProbePoint
from .read import read_go_binary

__all__ = ["GoBinary", "GoBinaryError", "HalfConnLayout", "ProbePoint", "read_go_binary"]
