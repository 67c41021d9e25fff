"""Wireshark's programs read the capture file as it is, decrypted, and say the same as our frame log."""

import contextlib
import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from goproxy_ebpf.capfile import read_capture
from goproxy_ebpf.framelog import read_log
from goproxy_ebpf.records.capture import Packet, Secret
from goproxy_ebpf.records.log import Connection, Frame, Header

from .conftest import Proxy, start_proxy, stop_proxy
from .harness import Run, program
from .test_against_go import assert_whole, download
from .wireshark import port_of, seen_by_tshark, seen_by_us, tcp_trouble, tool


def assert_same_as_tshark(run: Run) -> None:
    ports = {port_of(connection) for connection in run.connections}
    theirs, ours = seen_by_tshark(run.capture, ports), seen_by_us(run)
    assert theirs.keys() == ours.keys()
    for key, way in ours.items():
        assert theirs[key] == way, (key, tcp_trouble(run.capture))


@pytest.fixture(scope="module")
def proxy_of_tls_1_2(tmp_path_factory: pytest.TempPathFactory):
    proxy = start_proxy(tmp_path_factory.mktemp("proxy"), "--megabytes", "1", "--modules", "9", "--tls", "1.2")
    yield proxy
    stop_proxy(proxy)


@pytest.mark.parametrize("way", ["tcp_sendmsg", "sk_msg", "ipv6", "tls 1.2"])
def test_tshark_decrypts_the_capture_in_one_pass_and_sees_the_same_frames(
    tmp_path: Path, proxy: Proxy, proxy_of_tls_1_2: Proxy, way: str
):
    if way == "tls 1.2":
        run = download(tmp_path, proxy_of_tls_1_2)
        assert {each.tls.version for each in run.connections if each.frames} == {"TLS 1.2"}
    elif way == "ipv6":
        run = download(tmp_path, proxy, GOPROXY=proxy.url.replace("localhost", "[::1]"))
        assert {each.remote[:6] for each in run.connections} == {"[::1]:"}
    else:
        run = download(tmp_path, proxy, "--tx", way)
    assert run.status == 0, run.stderr[-2000:]
    assert_whole(run)
    assert {frame.type for frame in run.frames} >= {"DATA", "HEADERS", "SETTINGS", "WINDOW_UPDATE"}
    assert [path.name for path in run.folder.iterdir() if "key" in path.name] == []
    assert_same_as_tshark(run)


def test_capinfos_finds_every_packet_and_the_secrets(tmp_path: Path, proxy: Proxy):
    run = download(tmp_path, proxy)
    said = tool("capinfos", "-M", run.capture, home=tmp_path)
    facts = dict(re.findall(r"^\s*([A-Z][\w #]+?)(?: =|:)\s+(.*)$", said, re.MULTILINE))
    assert facts["File type"] == "pcapng"
    assert facts["File encapsulation"] == "rawip"
    assert facts["Capture application"] == "goproxy-ebpf"
    assert facts["Time precision"] == "nanoseconds (9)"
    assert int(facts["Number of packets"].split()[0]) == run.summary.packets
    assert int(facts["Number of decryption secrets in file"]) == 1


def test_every_row_of_wireshark_is_a_packet_of_ours_numbered_and_timed(tmp_path: Path, proxy: Proxy):
    run = download(tmp_path, proxy)
    with run.capture.open("rb") as file:
        times = [record.at_ns for record in read_capture(file) if isinstance(record, Packet)]
    fields = ("frame.number", "frame.time_epoch", "frame.time_relative", "frame.protocols")
    columns = [option for field in fields for option in ("-e", field)]
    said = tool("tshark", "-r", run.capture, "-T", "fields", *columns, home=tmp_path)
    rows = [line.split() for line in said.splitlines()]
    assert [row[:2] for row in rows] == [
        [str(number), f"{time_ns // 10**9}.{time_ns % 10**9:09}"] for number, time_ns in enumerate(times, 1)
    ]
    assert rows[0][2] == "0.000000000"
    assert {row[3].partition(":")[0] for row in rows} == {"raw"}


def test_what_editcap_wrote_of_a_run_has_its_frames_and_says_that_it_has_no_more(tmp_path: Path, proxy: Proxy):
    run = download(tmp_path, proxy)
    edited, log = tmp_path / "edited.pcapng", tmp_path / "edited.jsonl"
    tool("editcap", run.capture, edited, home=tmp_path)
    decoded = program("decode", str(edited), "-w", str(log))
    assert (decoded.returncode, decoded.stderr) == (0, "")
    live, other = frames_by_port(run.log), frames_by_port(log)
    assert {port: each_way(frames) for port, frames in other.items()} == {
        port: each_way(frames) for port, frames in live.items()
    }
    with log.open("rb") as file:
        header = next(record for record in read_log(file) if isinstance(record, Header))
    assert (header.source, header.argv) == ("packets", ())


def frames_by_port(log: Path) -> dict[int, list[Frame]]:
    """Frames without numbers, times and windows: two captures may differ in what passed first, sent or received."""
    with log.open("rb") as file:
        records = list(read_log(file))
    ports = {record.conn: port_of(record) for record in records if isinstance(record, Connection)}
    found: dict[int, list[Frame]] = {}
    for record in records:
        if isinstance(record, Frame):
            plain = (record.dir, record.stream, record.type, record.length, record.flags, record.headers)
            more = (record.settings, record.increment, record.error, record.last_stream, record.data)
            found.setdefault(ports[record.conn], []).append((*plain, *more))
    return found


def each_way(frames: list) -> tuple[list, list]:
    return [frame for frame in frames if frame[0] == "send"], [frame for frame in frames if frame[0] == "recv"]


@contextlib.contextmanager
def tcpdump(port: int, target: Path):
    """What passes the loopback interface, until the end of the block: all of it, which a connection of ours tells."""
    options = ["-i", "lo", "-n", "-q", "-l", "--print", "--immediate-mode", "-B", "65536", "-w", str(target)]
    process = subprocess.Popen(
        ["tcpdump", *options, "tcp", "port", str(port)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        while "listening on" not in process.stderr.readline():
            assert process.poll() is None
        yield
        with socket.create_connection(("127.0.0.1", port)) as last:
            mark = f".{last.getsockname()[1]} > "
            while mark not in process.stdout.readline():
                assert process.poll() is None
    finally:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert "\n0 packets dropped by kernel" in said


@pytest.mark.parametrize("secrets", ["embedded", "in a key log beside it"])
def test_a_capture_of_tcpdump_and_the_secrets_give_the_frames_of_the_live_run(
    tmp_path: Path, proxy: Proxy, secrets: str
):
    """tcpdump saw every packet at the interface; editcap puts the run's secrets into its capture, or they stay out."""
    elsewhere, keys, whole = tmp_path / "elsewhere.pcap", tmp_path / "keys.txt", tmp_path / "whole.pcapng"
    with tcpdump(int(proxy.url.rpartition(":")[2]), elsewhere):
        run = download(tmp_path, proxy)
    assert run.status == 0, run.stderr[-2000:]
    with run.capture.open("rb") as file:
        known = [record for record in read_capture(file) if isinstance(record, Secret)]
    lines = [f"{each.label} {each.client_random.hex()} {each.secret.hex()}\n" for each in known]
    keys.write_text("".join(lines))
    if secrets == "embedded":
        tool("editcap", "--inject-secrets", f"tls,{keys}", elsewhere, whole, home=tmp_path)
        arguments = [str(whole)]
    else:
        arguments = [str(elsewhere), "--keylog", str(keys)]
    decoded = program("decode", *arguments, "-w", str(tmp_path / "elsewhere.jsonl"))
    assert (decoded.returncode, decoded.stderr) == (0, "")
    live, other = frames_by_port(run.log), frames_by_port(tmp_path / "elsewhere.jsonl")
    for port, frames in live.items():
        assert each_way(other.pop(port)) == each_way(frames)
    # What came for a socket that go had closed already: the interface saw it, no socket did.
    assert {frame[0] for frames in other.values() for frame in frames} <= {"recv"}
    report = program("report", *arguments)
    assert report.returncode == 0
    assert report.stdout.startswith(f"HEALTHY  {len(run.exchanges)} requests answered")
    exported = program("export", *arguments, "--format", "jsonl")
    decoded_frames = frames_by_port(tmp_path / "elsewhere.jsonl").values()
    assert exported.stdout.count('"kind":"frame"') == sum(map(len, decoded_frames)) > 0
