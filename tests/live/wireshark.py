"""Wireshark's programs, as an oracle: what tshark, capinfos and editcap make of a capture file."""

import subprocess
from pathlib import Path
from typing import NamedTuple

from goproxy_ebpf.records.log import Connection

from .harness import Run

TYPES = (
    *("DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS"),
    *("PUSH_PROMISE", "PING", "GOAWAY", "WINDOW_UPDATE", "CONTINUATION"),
)
FIELDS = {
    "ports": ("tcp.srcport", "tcp.dstport"),
    "frame": ("http2.type", "http2.streamid", "http2.length"),
    "path": ("http2.headers.path",),
    "status": ("http2.headers.status",),
    "increment": ("http2.window_update.window_size_increment",),
}


class Way(NamedTuple):
    """One direction of one connection. ``frames`` are (type, stream, length); everything in the order of the wire."""

    frames: list[tuple[str, int, int]]
    paths: list[str]
    statuses: list[str]
    increments: list[int]


Views = dict[tuple[int, str], Way]
"""By the client's port and the direction as the client sees it."""


def tool(*arguments: str | Path, home: Path) -> str:
    """Runs one of the programs with nobody's configuration; its standard output."""
    command = [str(argument) for argument in arguments]
    environment = {"HOME": str(home), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def seen_by_tshark(capture: Path, ports: set[int]) -> Views:
    """In one pass, with no key file: the secrets have to be in the capture, before what they decrypt."""
    fields = [name for names in FIELDS.values() for name in names]
    options = [option for name in fields for option in ("-e", name)]
    form = ["-T", "fields", "-E", "separator=|", "-E", "occurrence=a", "-E", "aggregator=,"]
    empty = capture.parent / "wireshark-home"
    empty.mkdir(exist_ok=True)
    views: Views = {}
    # Off by default: then tshark stops decrypting at the first segment that came out of order, as on a busy machine.
    order = ("-o", "tcp.reassemble_out_of_order:TRUE")
    for line in tool("tshark", "-r", capture, *order, "-Y", "http2", *form, *options, home=empty).splitlines():
        source, target, types, streams, lengths, paths, statuses, increments = (
            [value for value in column.split(",") if value] for column in line.split("|")
        )
        sent = int(source[0]) in ports
        key = int((source if sent else target)[0]), "send" if sent else "recv"
        way = views.setdefault(key, Way([], [], [], []))
        names = [TYPES[int(number)] for number in types]
        way.frames.extend(zip(names, map(int, streams), map(int, lengths), strict=True))
        way.paths.extend(paths)
        way.statuses.extend(statuses)
        way.increments.extend(map(int, increments))
    return views


def tcp_trouble(capture: Path) -> str:
    """What tshark thinks of the order and completeness of the segments: for whoever reads a failed comparison."""
    trouble = "tcp.analysis.out_of_order || tcp.analysis.retransmission || tcp.analysis.lost_segment"
    columns = ("-T", "fields", "-e", "frame.number", "-e", "_ws.col.Info")
    return tool("tshark", "-r", capture, "-Y", trouble, *columns, home=capture.parent / "wireshark-home")[:4000]


def port_of(connection: Connection) -> int:
    return int(connection.local.rpartition(":")[2])


def seen_by_us(run: Run) -> Views:
    views: Views = {}
    ports = {connection.conn: port_of(connection) for connection in run.connections}
    for frame in run.frames:
        way = views.setdefault((ports[frame.conn], frame.dir), Way([], [], [], []))
        way.frames.append((frame.type, frame.stream, frame.length))
        headers = dict(frame.headers or ())
        way.paths.extend(value for name, value in headers.items() if name == ":path")
        way.statuses.extend(value for name, value in headers.items() if name == ":status")
        if frame.increment is not None:
            way.increments.append(frame.increment)
    return views
