"""Offsets and enum values out of the running kernel's type information (BTF), so that no kernel header is needed.

Outcomes: a number · ``BtfError`` (no BTF, or the type or member does not exist in this kernel: a fact to decide on).
Format: the kernel's Documentation/bpf/btf.rst.
"""

import struct
from array import array
from bisect import bisect_left
from pathlib import Path

VMLINUX = Path("/sys/kernel/btf/vmlinux")

INT, PTR, ARRAY, STRUCT, UNION, ENUM = 1, 2, 3, 4, 5, 6
TYPEDEF, VOLATILE, CONST, RESTRICT = 8, 9, 10, 11
FUNC, FUNC_PROTO, VAR, DATASEC, DECL_TAG, TYPE_TAG, ENUM64 = 12, 13, 14, 15, 17, 18, 19

# Bytes that follow the 12-byte type header: fixed ones, and those for each of `vlen` entries.
_FIXED = {INT: 4, ARRAY: 12, VAR: 4, DECL_TAG: 4}
_EACH = {STRUCT: 12, UNION: 12, ENUM: 8, FUNC_PROTO: 8, DATASEC: 12, ENUM64: 12}
_HEADER = struct.Struct("<III")


class BtfError(Exception):
    """There is no such type, member or value in this kernel."""


class Btf:
    """The types of one kernel. ``data`` is the raw BTF blob, in this machine's byte order (little-endian)."""

    def __init__(self, data: bytes) -> None:
        if len(data) < 24 or data[:2] != b"\x9f\xeb":
            raise BtfError("not BTF")
        (header_length,) = struct.unpack_from("<I", data, 4)
        type_at, type_length, string_at, string_length = struct.unpack_from("<IIII", data, 8)
        self._data = data
        self._strings: int = header_length + string_at
        self._strings_end = self._strings + string_length
        try:
            self._at = self._index(header_length + type_at, header_length + type_at + type_length)
        except struct.error as error:
            raise BtfError("BTF that is cut") from error

    @classmethod
    def of_this_kernel(cls) -> "Btf":
        try:
            return cls(VMLINUX.read_bytes())
        except OSError as error:
            raise BtfError(f"{VMLINUX}: {error.strerror}") from error

    def offset(self, type_name: str, path: str) -> int:
        """Byte offset of a member (``a.b.c`` through structs held by value) in a struct or union."""
        return self._member(type_name, path)[0]

    def size(self, type_name: str) -> int:
        """Size in bytes of a struct or union."""
        return self._header(self._find(type_name, (STRUCT, UNION)))[2]

    def has(self, type_name: str, path: str) -> bool:
        """Whether the struct exists and has the member."""
        try:
            self.offset(type_name, path)
        except BtfError:
            return False
        return True

    def enum(self, constant: str) -> int:
        """The value of an enumeration constant, by its name alone."""
        name = self._name_offset(constant)
        for at in self._at:
            _, info, _ = _HEADER.unpack_from(self._data, at)
            if (info >> 24) & 0x1F == ENUM:
                for entry in range(at + 12, at + 12 + 8 * (info & 0xFFFF), 8):
                    entry_name, value = struct.unpack_from("<Ii", self._data, entry)
                    if entry_name == name:
                        return int(value)
        raise BtfError(f"no enumeration constant {constant}")

    def parameters(self, function: str) -> tuple[str, ...]:
        """The parameter names of a kernel function, in order."""
        _, _, prototype = self._header(self._find(function, (FUNC,)))
        at = self._at[prototype]
        _, info, _ = _HEADER.unpack_from(self._data, at)
        return tuple(
            self._string(struct.unpack_from("<I", self._data, at + 12 + 8 * number)[0])
            for number in range(info & 0xFFFF)
        )

    def _index(self, at: int, end: int) -> "array[int]":
        """The place of every type, by id; id 0 is void."""
        data, unpack = self._data, struct.Struct("<4xI").unpack_from
        step = [12 + _FIXED.get(kind, 0) for kind in range(32)]
        each = [_EACH.get(kind, 0) for kind in range(32)]
        places = array("I", [0])
        append = places.append
        while at < end:
            append(at)
            (info,) = unpack(data, at)
            kind = (info >> 24) & 0x1F
            at += step[kind] + each[kind] * (info & 0xFFFF)
        return places

    def knows(self, name: str) -> bool:
        """Whether any type, member or constant has this name."""
        return self._data.find(b"\0" + name.encode() + b"\0", self._strings, self._strings_end) >= 0

    def _name_offset(self, name: str) -> int:
        at = self._data.find(b"\0" + name.encode() + b"\0", self._strings, self._strings_end)
        if at < 0:
            raise BtfError(f"no {name}")
        return at + 1 - self._strings

    def _find(self, name: str, kinds: tuple[int, ...]) -> int:
        wanted, data = self._name_offset(name), self._data
        pattern = struct.pack("<I", wanted)
        # Type headers are 4-aligned: look for the name's offset and keep the hits that are the start of a type.
        types_end = self._at[-1] + 12
        hit = data.find(pattern, self._at[1], types_end)
        while hit >= 0:
            number = bisect_left(self._at, hit)
            if self._at[number] == hit and (_HEADER.unpack_from(data, hit)[1] >> 24) & 0x1F in kinds:
                return number
            hit = data.find(pattern, hit + 1, types_end)
        raise BtfError(f"no {name}")

    def _header(self, number: int) -> tuple[int, int, int]:
        name, info, size_or_type = _HEADER.unpack_from(self._data, self._at[number])
        return name, info, size_or_type

    def _string(self, offset: int) -> str:
        at = self._strings + offset
        return self._data[at : self._data.index(b"\0", at)].decode()

    def _member(self, type_name: str, path: str) -> tuple[int, int]:
        number, offset = self._find(type_name, (STRUCT, UNION)), 0
        for name in path.split("."):
            found = self._in(number, name)
            if found is None:
                raise BtfError(f"no member {path} in struct {type_name}")
            offset += found[0]
            number = self._by_value(found[1])
        return offset, number

    def _by_value(self, number: int) -> int:
        """The type behind typedefs and qualifiers."""
        while number:
            _, info, target = self._header(number)
            if (info >> 24) & 0x1F not in (TYPEDEF, VOLATILE, CONST, RESTRICT, TYPE_TAG):
                break
            number = target
        return number

    def _in(self, number: int, name: str) -> tuple[int, int] | None:
        """(byte offset, type id) of a member, looked for in anonymous structs and unions too."""
        at = self._at[number]
        _, info, _ = _HEADER.unpack_from(self._data, at)
        if (info >> 24) & 0x1F not in (STRUCT, UNION):
            return None
        bitfields = info >> 31
        for entry in range(at + 12, at + 12 + 12 * (info & 0xFFFF), 12):
            entry_name, entry_type, bits = _HEADER.unpack_from(self._data, entry)
            offset = (bits & 0xFFFFFF if bitfields else bits) // 8
            if entry_name == 0:
                inner = self._in(self._by_value(entry_type), name)
                if inner is not None:
                    return int(offset) + inner[0], inner[1]
            elif self._string(entry_name) == name:
                return offset, entry_type
        return None
