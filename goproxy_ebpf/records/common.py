"""Directions and addresses, shared by every kind of record."""

import ipaddress
from enum import Enum

import msgspec


class Direction(str, Enum):
    """Which way bytes went, as seen from the traced process."""

    SEND = "send"
    RECV = "recv"

    @property
    def other(self) -> "Direction":
        return Direction.RECV if self is Direction.SEND else Direction.SEND


class Endpoint(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """An IP address (4 or 16 bytes, network order; IPv4-mapped IPv6 is stored as 4) and a TCP or UDP port."""

    address: bytes
    port: int

    def __str__(self) -> str:
        text = str(ipaddress.ip_address(self.address))
        return f"[{text}]:{self.port}" if len(self.address) == 16 else f"{text}:{self.port}"


class SocketAddresses(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """A socket's own two ends: ``local`` is the traced process's side."""

    local: Endpoint
    remote: Endpoint

    @property
    def swapped(self) -> "SocketAddresses":
        return SocketAddresses(self.remote, self.local)


def unmapped(address: bytes) -> bytes:
    """The 4-byte form of an IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2); any other address unchanged."""
    if len(address) == 16 and address[:12] == b"\0" * 10 + b"\xff\xff":
        return address[12:]
    return address
