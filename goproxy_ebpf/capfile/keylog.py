"""Lines of an NSS key log: ``LABEL <client random> <secret>``, both in hex.

Outcomes of ``secrets_of``: a Secret for each line that is one. Comments, blank lines and everything else are passed
over, as every reader of key logs does.
"""

import re
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO

from goproxy_ebpf.records.capture import Secret

_LINE = re.compile(rb"^([A-Z][A-Z0-9_]{0,63})[ \t]+([0-9A-Fa-f]{64})[ \t]+((?:[0-9A-Fa-f]{2}){1,128})[ \t]*\r?$", re.M)
_READ_BYTES = 1 << 20
_LONGEST_LINE_BYTES = 1024
_LABEL = re.compile(r"[A-Z][A-Z0-9_]{0,63}")


def secrets_of(text: bytes, at_ns: int) -> Iterator[Secret]:
    """The secrets in ``text``, in their order; the process that they belong to is not known (pid 0)."""
    for label, client_random, secret in _LINE.findall(text):
        yield Secret(at_ns, 0, label.decode(), bytes.fromhex(client_random.decode()), bytes.fromhex(secret.decode()))


def secrets_of_file(file: BinaryIO, most: int) -> list[Secret]:
    """The first ``most`` secrets of a key log file, at time 0."""
    return list(islice((secret for text in _whole_lines(file) for secret in secrets_of(text, 0)), most))


def _whole_lines(file: BinaryIO) -> Iterator[bytes]:
    rest = b""
    while text := file.read(_READ_BYTES):
        lines, _, rest = (rest + text).rpartition(b"\n")
        yield lines
        rest = rest[-_LONGEST_LINE_BYTES:]
    yield rest


def line_of(secret: Secret) -> bytes:
    """The secret's line without its end; empty if it cannot be one."""
    if not _LABEL.fullmatch(secret.label) or not secret.client_random or not secret.secret:
        return b""
    return f"{secret.label} {secret.client_random.hex()} {secret.secret.hex()}".encode()
