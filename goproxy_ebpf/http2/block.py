"""A header block while it is being put together from HEADERS or PUSH_PROMISE and CONTINUATIONs (RFC 9113 §4.3)."""

from . import names
from .framing import RawFrame
from .headers import MAX_BLOCK
from .payload import Payload

_MAX_CONTINUATIONS = 1000


class HeaderBlock:
    """``first`` is None once the block was given up. ``fragment`` is None if a part of it is unreadable."""

    def __init__(self, raw: RawFrame, payload: Payload, note: str) -> None:
        self.direction = raw.direction
        self.stream = raw.stream
        self.first: RawFrame | None = raw
        self.payload = payload
        self.note = note
        self.continuations: list[RawFrame] = []
        self.complete = bool(raw.flags & names.END_HEADERS)
        self._fragments: list[bytes] | None = None if payload.fragment is None else [payload.fragment]
        self._length = len(payload.fragment or b"")

    @property
    def fragment(self) -> bytes | None:
        return None if self._fragments is None else b"".join(self._fragments)

    @property
    def full(self) -> bool:
        """No more will be kept."""
        return self._length > MAX_BLOCK or len(self.continuations) > _MAX_CONTINUATIONS

    def add(self, raw: RawFrame, payload: Payload) -> None:
        self.continuations.append(raw)
        self.complete = bool(raw.flags & names.END_HEADERS)
        if payload.fragment is None:
            self._fragments = None
        elif self._fragments is not None:
            self._fragments.append(payload.fragment)
            self._length += len(payload.fragment)
