"""What kind of file one of ours is, told by its first bytes."""

from typing import Literal

Kind = Literal["capture", "log", "log.zst", "unknown"]

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_CAPTURES = (
    b"\x0a\x0d\x0d\x0a",  # pcapng
    b"\xd4\xc3\xb2\xa1",  # pcap: microseconds, nanoseconds, in both byte orders
    b"\xa1\xb2\xc3\xd4",
    b"\x4d\x3c\xb2\xa1",
    b"\xa1\xb2\x3c\x4d",
)


def kind_of(first_bytes: bytes) -> Kind:
    """``capture`` (pcapng or pcap, anybody's), ``log`` (JSON lines), ``log.zst`` or ``unknown``; 4 bytes are enough."""
    if first_bytes.startswith(_CAPTURES):
        return "capture"
    if first_bytes.startswith(ZSTD_MAGIC):
        return "log.zst"
    if first_bytes.lstrip().startswith(b"{"):
        return "log"
    return "unknown"
