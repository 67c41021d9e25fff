"""nghttpd as the module proxy: a server that nobody here wrote, and its own log of what it sent and received."""

import contextlib
import ipaddress
import re
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from goproxy_ebpf.lab import authority
from goproxy_ebpf.lab.modules import escaped, generate_modules
from goproxy_ebpf.lab.project import write_project

FRAME = re.compile(
    r"\[id=(\d+)\] \[ *[\d.]+\] (send|recv) (\S+) frame <length=(\d+), flags=0x([0-9a-f]{2}), stream_id=(\d+)>"
)
RECEIVED_HEADER = re.compile(r"\[id=(\d+)\] \[ *[\d.]+\] recv \(stream_id=(\d+)\) (:?[^:]+): (.*)")
SENT_HEADER = re.compile(r" {10}(:?[a-z0-9-]+): (.*)")
INCREMENT = re.compile(r" {10}\(window_size_increment=(\d+)\)")
SETTING = re.compile(r" {10}\[SETTINGS_([A-Z_]+)\(0x[0-9a-f]{2}\):(\d+)\]")


class Seen(NamedTuple):
    """One frame, as both sides of the comparison say it. ``dir`` is seen from go."""

    dir: str
    type: str
    stream: int
    length: int
    flags: int
    headers: tuple[tuple[str, str], ...] = ()
    settings: tuple[tuple[str, int], ...] = ()
    increment: int | None = None


class Server:
    def __init__(self, url: str, environment: dict[str, str], project: Path, log: Path) -> None:
        self.url, self.environment, self.project, self.log = url, environment, project, log

    def connections(self) -> list[list[Seen]]:
        """The frames of each connection that had any, in the order of the log."""
        return parse(self.log.read_text(errors="replace"))


@contextlib.contextmanager
def running_nghttpd(
    folder: Path, modules: int, size: int, *, address: str = "127.0.0.1", within: Sequence[str] = ()
) -> Iterator[Server]:
    """``modules`` generated modules of ``size`` bytes together, as a tree of files behind nghttpd.

    ``within`` is the command that runs it elsewhere. Its certificate is also for the whole network of ``address``.
    """
    chosen, older = generate_modules(modules, size)
    for module in (*chosen, *older):
        base = folder / "tree" / escaped(module.path) / "@v"
        base.mkdir(parents=True, exist_ok=True)
        for suffix, content in (("info", module.info), ("mod", module.mod), ("zip", module.zip)):
            (base / f"{escaped(module.version)}.{suffix}").write_bytes(content)
    write_project(folder / "project", chosen, older)
    network = ipaddress.ip_network(f"{address}/{124 if ':' in address else 28}", strict=False)
    with mock.patch.object(authority, "ADDRESSES", [str(each) for each in network]):
        ca, certificate, key = authority.make_authority().write(folder)
    port = _free_port()
    log = folder / "nghttpd.log"
    command = [
        *within,
        "nghttpd",
        "-v",
        "-a",
        address,
        "-d",
        str(folder / "tree"),
        str(port),
        str(key),
        str(certificate),
    ]
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        try:
            while f" listen {address}:{port}" not in log.read_text():
                assert process.poll() is None, log.read_text()
            host = "localhost" if address == "127.0.0.1" else f"[{address}]" if ":" in address else address
            environment = {"GOPROXY": f"https://{host}:{port}", "SSL_CERT_FILE": str(ca), "GOSUMDB": "off"}
            yield Server(environment["GOPROXY"], environment, folder / "project", log)
        finally:
            process.terminate()
            process.wait(timeout=10)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def parse(text: str) -> list[list[Seen]]:
    connections: dict[str, list[Seen]] = {}
    received: dict[tuple[str, str], list[tuple[str, str]]] = {}
    last: tuple[str, int] | None = None
    for line in text.splitlines():
        header = RECEIVED_HEADER.match(line)
        if header:
            received.setdefault((header[1], header[2]), []).append((header[3], header[4]))
            continue
        frame = FRAME.match(line)
        if frame:
            connection, way, kind, length, flags, stream = frame.groups()
            frames = connections.setdefault(connection, [])
            headers = tuple(received.pop((connection, stream), ())) if kind == "HEADERS" else ()
            told = Seen("recv" if way == "send" else "send", kind, int(stream), int(length), int(flags, 16), headers)
            last = connection, len(frames)
            frames.append(told)
            continue
        if last and line.startswith(" "):
            connection, at = last
            connections[connection][at] = _more(connections[connection][at], line)
        else:
            last = None
    return list(connections.values())


def _more(seen: Seen, line: str) -> Seen:
    """A line that belongs to the frame above it."""
    if seen.type == "HEADERS" and seen.dir == "recv" and (found := SENT_HEADER.fullmatch(line)):
        return seen._replace(headers=(*seen.headers, (found[1], found[2])))
    if seen.type == "SETTINGS" and (found := SETTING.fullmatch(line)):
        return seen._replace(settings=(*seen.settings, (found[1], int(found[2]))))
    if seen.type == "WINDOW_UPDATE" and (found := INCREMENT.fullmatch(line)):
        return seen._replace(increment=int(found[1]))
    return seen


FLAGS = {"END_STREAM": 0x1, "ACK": 0x1, "END_HEADERS": 0x4, "PADDED": 0x8, "PRIORITY": 0x20}


def ours(record) -> Seen:
    """A frame of our log in the same words."""
    return Seen(
        record.dir,
        record.type,
        record.stream,
        record.length,
        sum(FLAGS[flag] for flag in record.flags),
        tuple(tuple(pair) for pair in record.headers or ()),
        tuple((record.settings or {}).items()),
        record.increment,
    )
