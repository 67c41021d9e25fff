"""Where secrets stand for Wireshark: a Decryption Secrets Block in front of the first packet, reserved at the start.

The kernel tells a secret after the flight that needs it, and tshark decrypts only with what it read before. So the file
begins with one such block, full length from the start, whose key log holds nothing but comments. A secret's line
overwrites comments: no length in the file ever changes, and it is a valid file before, between and after the writes.
"""

import struct

from .blocks import DECRYPTION_SECRETS, TLS_KEY_LOG, U32, block

_COMMENT = b"#" + b"." * 126 + b"\n"
_HEAD_BYTES = 16
"""Block type, block length, secrets type, secrets length."""
SMALLEST_BYTES = 256


def secrets_block(lines: bytes, total_bytes: int = 0) -> bytes:
    """A Decryption Secrets Block with ``lines``, filled up with comments to ``total_bytes`` (a multiple of 4)."""
    missing = max(total_bytes - _HEAD_BYTES - 4 - len(lines), -len(lines) & 3)
    # A comment cut short has no end of line, which a key log's last line may do without.
    text = lines + (_COMMENT * (missing // len(_COMMENT) + 1))[:missing]
    return block(DECRYPTION_SECRETS, U32.pack(TLS_KEY_LOG) + struct.pack("<I", len(text)) + text)


class Reserve:
    """The unused part of one reserved block: where the next line goes."""

    def __init__(self, block_offset: int, block_bytes: int) -> None:
        self._next = block_offset + _HEAD_BYTES
        self._end = block_offset + block_bytes - 4

    def place(self, line: bytes) -> list[tuple[int, bytes]]:
        """The writes, in this order, that turn comments into ``line``; none if there is no room.

        The first byte, a ``#`` until then, comes last: a reader sees a comment or the whole line, and what is left of a
        comment is a comment again.
        """
        whole = line + b"\n#"
        if self._next + len(whole) > self._end:
            return []
        at = self._next
        self._next += len(whole) - 1
        return [(at + 1, whole[1:]), (at, whole[:1])]
