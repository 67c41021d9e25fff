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
from goproxy_ebpf.records.capture import Secret
from goproxy_ebpf.records.log import Connection, Frame

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


def test_a_capture_of_tcpdump_with_embedded_secrets_gives_the_frames_of_the_live_run(tmp_path: Path, proxy: Proxy):
    """tcpdump saw every packet at the interface; the run's secrets are put into its capture by editcap."""
    elsewhere, keys, whole = tmp_path / "elsewhere.pcap", tmp_path / "keys.txt", tmp_path / "whole.pcapng"
    with tcpdump(int(proxy.url.rpartition(":")[2]), elsewhere):
        run = download(tmp_path, proxy)
    assert run.status == 0, run.stderr[-2000:]
    with run.capture.open("rb") as file:
        secrets = [record for record in read_capture(file) if isinstance(record, Secret)]
    lines = [f"{each.label} {each.client_random.hex()} {each.secret.hex()}\n" for each in secrets]
    keys.write_text("".join(lines))
    tool("editcap", "--inject-secrets", f"tls,{keys}", elsewhere, whole, home=tmp_path)
    decoded = program("decode", str(whole), "-w", str(tmp_path / "elsewhere.jsonl"))
    assert (decoded.returncode, decoded.stderr) == (0, "")
    live, other = frames_by_port(run.log), frames_by_port(tmp_path / "elsewhere.jsonl")
    for port, frames in live.items():
        assert each_way(other.pop(port)) == each_way(frames)
    # What came for a socket that go had closed already: the interface saw it, no socket did.
    assert {frame[0] for frames in other.values() for frame in frames} <= {"recv"}
    report = program("report", str(whole))
    assert report.returncode == 0
    assert report.stdout.startswith(f"HEALTHY  {len(run.exchanges)} requests answered")
