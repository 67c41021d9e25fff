"""Put a block into the middle of a file that is already written, with bounded memory and no second file.

The block's room is a filler block that is appended at the end and then travels to its place like a bubble: what stands
before it is copied to its far side, piece by piece. A piece is smaller than the filler, so its copy never overlaps its
source and nothing is ever held in memory only. Each step is committed by writing the filler's new head, eight bytes,
over the piece's old place; killed at any moment, the file still reads whole from start to end, and only the filler's
trailing length may be stale (our reader knows; a strict one stops there).
"""

from itertools import pairwise
from typing import BinaryIO

from .blocks import FILLER, U32, block, read_all, write_at

_HEAD_BYTES = 8


def room_for(marks: list[int]) -> int:
    """The least length of a block that can travel past the pieces between ``marks``."""
    return max((high - low for low, high in pairwise(marks)), default=0) + 64 & ~3


def insert_block(file: BinaryIO, marks: list[int], new: bytes) -> None:
    """Insert the whole block ``new`` at ``marks[0]``.

    ``marks`` are offsets of block borders, ascending, up to the file's end; ``len(new) >= room_for(marks)``.
    """
    length = len(new)
    filler = block(FILLER, bytes(length - 12))
    write_at(file, marks[-1], filler)
    for low, high in reversed(list(pairwise(marks))):
        file.seek(low)
        piece = read_all(file, high - low)
        write_at(file, low + length, piece)
        write_at(file, low, filler[:_HEAD_BYTES])
        write_at(file, low + length - 4, U32.pack(length))
    # The body first: until its type is written, it is filler.
    write_at(file, marks[0] + _HEAD_BYTES, new[_HEAD_BYTES:])
    write_at(file, marks[0], new[:4])
