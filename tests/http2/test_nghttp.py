"""The frames that nghttp and nghttpd print of their own conversation are those that we read of it."""

import re
import shutil
import socket
import subprocess

import pytest

from goproxy_ebpf.records.log import Exchange, Frame, Gap

from .relay import Relay
from .talk import run, split

pytestmark = pytest.mark.skipif(
    not (shutil.which("nghttp") and shutil.which("nghttpd")), reason="needs Debian's nghttp2-client and nghttp2-server"
)

FRAME = re.compile(r"\[ *[\d.]+\] (send|recv) (\S+) frame <length=(\d+), flags=0x(\w\w), stream_id=(\d+)>")
FIELD = re.compile(r"\[ *[\d.]+\] recv \(stream_id=\d+\) ([^ ]+): (.*)")


@pytest.fixture
def server(tmp_path):
    (tmp_path / "small.txt").write_text("small\n")
    (tmp_path / "large.bin").write_bytes(bytes(200_000))
    (tmp_path / "pushed.txt").write_text("pushed\n")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = ["nghttpd", "-v", "--no-tls", "-a", "127.0.0.1", "-d", str(tmp_path), "-b", "200", "-p"]
    command += ["/small.txt=/pushed.txt", "--trailer", "x-sum: 1", str(port)]
    with subprocess.Popen(["stdbuf", "-oL", *command], stdout=subprocess.PIPE, text=True) as process:
        while not process.stdout.readline().startswith("IPv4: listen"):
            assert process.poll() is None
        yield port
        process.terminate()


def nghttp(*options: str) -> str:
    command = ["nghttp", "-v", "-n", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def printed(text: str) -> list[tuple]:
    """(direction, type, length, flags, stream, details, header list) of each frame in nghttp's log."""
    frames, fields = [], []
    for line in text.splitlines():
        if found := FRAME.match(line):
            way, kind, length, flags, stream = found.groups()
            frames.append([way, kind, int(length), int(flags, 16), int(stream), [], fields if way == "recv" else []])
            if way == "recv":
                fields = []
        elif found := FIELD.match(line):
            fields.append(found.groups())
        elif line.startswith("          ") and frames:
            detail = line.strip()
            if re.match(r":?[a-z0-9-]+: ", detail):
                frames[-1][6].append(tuple(detail.split(": ", 1)))
            elif not detail.startswith(";"):
                frames[-1][5].append(detail)
    for each in frames:
        if each[1] == "SETTINGS":  # of a setting that is sent twice a record holds the last value
            last = {name: value for name, _, value in (item.partition(":") for item in each[5][1:])}
            each[5] = [f"(niv={len(last)})", *[f"{name}:{value}" for name, value in last.items()]]
    return [tuple(map(repr, each)) for each in frames]


BITS = {"END_STREAM": 1, "ACK": 1, "END_HEADERS": 4, "PADDED": 8, "PRIORITY": 32}


def details(frame: Frame) -> list[str]:
    """A frame's fields in nghttp's words."""
    priority = frame.priority and "dep_stream_id={:d}, weight={:d}, exclusive={:d}".format(*frame.priority)
    # nghttp counts the Pad Length octet as padding.
    padded = 0 if frame.padding is None else frame.padding + 1
    if frame.type == "HEADERS":
        return [f"(padlen={padded}, {priority})" if priority else f"(padlen={padded})"]
    if frame.type == "DATA":
        return [f"(padlen={padded})"] if padded else []
    if frame.type == "PRIORITY":
        return [f"({priority})"]
    if frame.type == "PUSH_PROMISE":
        return [f"(padlen={padded}, promised_stream_id={frame.promised_stream})"]
    if frame.type == "SETTINGS":
        settings = frame.settings or {}
        return [f"(niv={len(settings)})", *[f"[SETTINGS_{name}:{value}]" for name, value in settings.items()]]
    if frame.type == "WINDOW_UPDATE":
        return [f"(window_size_increment={frame.increment})"]
    if frame.type == "RST_STREAM":
        return [f"(error_code={frame.error})"]
    if frame.type == "GOAWAY":
        return [f"(last_stream_id={frame.last_stream}, error_code={frame.error}, opaque_data(0)=[])"]
    return [frame.type]


def ours(records: list) -> list[tuple]:
    return [
        tuple(
            map(
                repr,
                [
                    *(each.dir, each.type, each.length, sum(BITS[name] for name in each.flags), each.stream),
                    *(details(each), [tuple(field) for field in each.headers or ()]),
                ],
            )
        )
        for each in records
        if isinstance(each, Frame)
    ]


def of(direction: str, frames: list[tuple]) -> list[tuple]:
    return [each for each in frames if each[0] == repr(direction)]


@pytest.mark.parametrize(
    "options",
    [
        ["-H", "x-long: " + "a" * 5000],
        ["-m", "3", "-b", "100", "--no-push", "--header-table-size", "100"],
        ["-w", "20", "-W", "21", "--header-table-size", "0", "--header-table-size", "8192", "--no-dep"],
        ["-d", __file__, "--trailer", "x-sum: 2"],
    ],
    ids=["push", "padding", "windows", "upload"],
)
def test_frames_are_those_that_nghttp_prints(server, options):
    with Relay(server) as relay:
        urls = [f"http://127.0.0.1:{relay.port}/{name}" for name in ("small.txt", "large.bin", "missing")]
        log = nghttp(*options, *urls)
        (events,) = relay.finished()
    log = re.sub(r"\(0x\w\w\)", "", log)
    records = run(events)
    told, found = printed(log), ours(records)
    assert of("send", found) == of("send", told)
    # What the server still sent when nghttp had closed, nghttp cannot print.
    assert of("recv", found)[: len(of("recv", told))] == of("recv", told)
    assert len(of("recv", found)) <= len(of("recv", told)) + 2
    assert len(told) > 15
    assert not [each for each in records if isinstance(each, Gap)]
    assert {each.state for each in records if isinstance(each, Exchange)} == {"complete"}
    assert run(split(events, 7)) == records


def test_a_header_block_in_continuations_is_what_nghttp_sent(server):
    with Relay(server) as relay:
        url = f"http://127.0.0.1:{relay.port}/small.txt"
        log = nghttp("--no-push", "--continuation", url)
        (events,) = relay.finished()
    frames = [each for each in run(events) if isinstance(each, Frame) and each.dir == "send"]
    told = [each for each in printed(log) if each[:2] == ("'send'", "'HEADERS'")]
    (head,) = [each for each in frames if each.type == "HEADERS"]
    assert [repr(list(head.headers))] == [each[6] for each in told]
    assert "CONTINUATION" in [each.type for each in frames]
