"""What a Packet record holds beyond an Enhanced Packet Block: a custom option of ours in the block.

Self-contained, so that a file that editcap has cut to pieces keeps it: 36 bytes for IPv4, 60 for IPv6, none where
nothing is known. Layout, little-endian: magic, family (0, 4 or 6), version, netns, cookie, local and remote
address, local and remote port.

Outcomes of ``unpack_note``: a ``Note`` · None where the option is not ours (or not to be understood).
"""

import struct
from typing import NamedTuple

from goproxy_ebpf.records.common import Endpoint, SocketAddresses

_MAGIC = 0x6567
_VERSION = 1
_NO_SOCKET = 0
_STAND_IN = 255
_FIXED = struct.Struct("<HBBIQ")
_PORTS = struct.Struct("<HH")
_ADDRESS_BYTES = {4: 4, 6: 16}


class Note(NamedTuple):
    """``stand_in`` marks a packet that is there for other programs: the record stands whole in a block before it."""

    socket: SocketAddresses | None
    netns: int
    cookie: int
    stand_in: bool = False


STAND_IN = _FIXED.pack(_MAGIC, _STAND_IN, _VERSION, 0, 0)


def pack_note(socket: SocketAddresses | None, netns: int, cookie: int) -> bytes | None:
    """The option's value after the enterprise number, empty if there is nothing to say, None if it does not fit."""
    if socket is None and not netns and not cookie:
        return b""
    try:
        if socket is None:
            return _FIXED.pack(_MAGIC, _NO_SOCKET, _VERSION, netns, cookie)
        local, remote = socket.local, socket.remote
        family = {4: 4, 16: 6}.get(len(local.address))
        if family is None or len(remote.address) != len(local.address):
            return None
        fixed = _FIXED.pack(_MAGIC, family, _VERSION, netns, cookie)
        return fixed + local.address + remote.address + _PORTS.pack(local.port, remote.port)
    except struct.error:
        return None


def unpack_note(value: bytes) -> Note | None:
    """``value``: the option's value after the enterprise number."""
    if len(value) < _FIXED.size:
        return None
    magic, family, version, netns, cookie = _FIXED.unpack_from(value)
    if magic != _MAGIC or version != _VERSION:
        return None
    if family in (_NO_SOCKET, _STAND_IN):
        return Note(None, netns, cookie, family == _STAND_IN)
    size = _ADDRESS_BYTES.get(family)
    if size is None or len(value) != _FIXED.size + 2 * size + _PORTS.size:
        return None
    local_port, remote_port = _PORTS.unpack_from(value, _FIXED.size + 2 * size)
    middle = _FIXED.size + size
    local = Endpoint(value[_FIXED.size : middle], local_port)
    remote = Endpoint(value[middle : middle + size], remote_port)
    return Note(SocketAddresses(local, remote), netns, cookie)
