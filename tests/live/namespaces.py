"""Two network namespaces of the test's own with a veth pair between them, gone at the end of the block."""

import contextlib
import itertools
import os
import subprocess
from collections.abc import Iterator

import msgspec

CLIENT, SERVER = "192.0.2.1", "192.0.2.2"
"""Of TEST-NET-1 (RFC 5737): nobody's, and in the two namespaces alone."""

_numbers = itertools.count()


class Pair(msgspec.Struct, frozen=True):
    """Commands that run something in the client's or the server's namespace."""

    client: tuple[str, ...]
    server: tuple[str, ...]


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@contextlib.contextmanager
def two_namespaces() -> Iterator[Pair]:
    number = f"{os.getpid()}-{next(_numbers)}"
    client, server = f"goproxy-ebpf-c{number}", f"goproxy-ebpf-s{number}"
    made: list[str] = []
    try:
        for name in (client, server):
            _ip("netns", "add", name)
            made.append(name)
        _ip("-n", client, "link", "add", "veth0", "type", "veth", "peer", "name", "veth0", "netns", server)
        for name, address in ((client, CLIENT), (server, SERVER)):
            _ip("-n", name, "address", "add", f"{address}/28", "dev", "veth0")
            for device in ("lo", "veth0"):
                _ip("-n", name, "link", "set", device, "up")
        yield Pair(("ip", "netns", "exec", client), ("ip", "netns", "exec", server))
    finally:
        for name in made:
            _ip("netns", "delete", name)
