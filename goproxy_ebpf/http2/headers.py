"""Header blocks of one direction (RFC 9113 §4.3), decoded by hpack.

Two outcomes: a header list · None, and then for every later block of this direction too: once one block is missing
or wrong, the dynamic table is unknown (RFC 7541 §2.3.2), and a header list is never guessed.
"""

import hpack

from ..records.log import HeaderList

MAX_BLOCK = 128 << 10
"""The longest header block that is decoded, in bytes, HEADERS and CONTINUATIONs together."""

MAX_LIST = 256 << 10
"""The longest header list, counted as SETTINGS_MAX_HEADER_LIST_SIZE is (32 bytes a field added)."""

_TABLE = 64 << 10
_MAX_TABLE = 1 << 20


class HeaderDecoder:
    """``known`` is False when blocks can no longer be decoded."""

    def __init__(self, *, known: bool) -> None:
        self.known = known
        self._decoder = hpack.Decoder(max_header_list_size=MAX_LIST)
        # The encoder says which table size it uses (RFC 7541 §4.2); whether its peer allowed that is the peer's
        # business. The SETTINGS may reach us behind the blocks, and a lowered limit would refuse blocks in flight.
        self._decoder.max_allowed_table_size = _TABLE

    def allow(self, size: int) -> None:
        """The peer of this direction's sender sent SETTINGS_HEADER_TABLE_SIZE."""
        self._decoder.max_allowed_table_size = max(self._decoder.max_allowed_table_size, min(size, _MAX_TABLE))

    def lose(self) -> None:
        """A block of this direction is missing."""
        self.known = False

    def decode(self, block: bytes) -> HeaderList | None:
        if not self.known:
            return None
        if len(block) > MAX_BLOCK:
            self.known = False
            return None
        try:
            fields = self._decoder.decode(block, raw=True)
        except (hpack.HPACKError, LookupError, ValueError, ArithmeticError):
            self.known = False
            return None
        return tuple([(str(name, "latin-1"), str(value, "latin-1")) for name, value in fields])
