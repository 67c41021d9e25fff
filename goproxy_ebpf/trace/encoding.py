"""Structs as JSON, whatever their texts hold."""

import msgspec

from ..capfile.text import without_surrogates


def json_bytes(value: object) -> bytes:
    r"""``value`` as compact JSON; bytes of a command line that were no UTF-8 become ``\xNN``, as in frame logs."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(without_surrogates(msgspec.to_builtins(value, str_keys=True)))
