"""Wireshark's programs and tcpdump open our files as they are, and decrypt them in one pass."""

import datetime
import io
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec.structs import replace

from goproxy_ebpf.capfile import read_capture
from goproxy_ebpf.records.capture import Packet, RunHeader, Secret
from goproxy_ebpf.records.common import Direction

from .files import written
from .records import SAMPLES, SOCKET, START, packet
from .tools import need, run, tshark_packets

REQUEST = b"GET /golang.org/x/text/@v/list HTTP/1.1\r\nHost: proxy.example\r\nConnection: close\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: close\r\n\r\nv0.14.0\n"
DEADLINE_S = 20


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "proxy.example")])
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(pem + builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    return path


def exchange(port_socket: socket.socket, certificate: Path, version: ssl.TLSVersion, keys: Path) -> None:
    """One request and its answer through a real TLS connection on loopback."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.minimum_version = client.maximum_version = version
    client.keylog_filename = str(keys)

    def serve() -> None:
        with port_socket.accept()[0] as plain, server.wrap_socket(plain, server_side=True) as stream:
            received = b""
            while not received.endswith(b"\r\n\r\n"):
                received += stream.recv(4096)
            stream.sendall(ANSWER)

    thread = threading.Thread(target=serve)
    thread.start()
    with socket.create_connection(port_socket.getsockname()) as plain, client.wrap_socket(plain) as stream:
        stream.sendall(REQUEST)
        received = b""
        while part := stream.recv(4096):
            received += part
    thread.join()
    assert received == ANSWER


def fins(path: Path) -> int:
    with path.open("rb") as file:
        return sum(isinstance(one, Packet) and bool(one.data[33] & 1) for one in read_capture(file))


@contextmanager
def captured(port_socket: socket.socket, path: Path) -> Iterator[None]:
    """tcpdump runs until it has seen both ends of the connection close."""
    port = port_socket.getsockname()[1]
    command = [need("tcpdump"), "-i", "lo", "-U", "--immediate-mode", "-w", path, "-s", "0", "tcp", "port", str(port)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        said = process.stderr.readline()
        while said and "listening" not in said:
            said = process.stderr.readline()
        if not said:
            pytest.skip("tcpdump may not capture here: it needs root")
        try:
            yield
            deadline = time.monotonic() + DEADLINE_S
            while fins(path) < 2 and time.monotonic() < deadline:
                pass
        finally:
            process.send_signal(signal.SIGINT)


@pytest.fixture(scope="module", params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda v: v.name)
def session(request, certificate, tmp_path_factory) -> tuple[list[Packet], list[Secret]]:
    """The packets and the secrets of one real connection."""
    folder = tmp_path_factory.mktemp("session")
    with socket.create_server(("127.0.0.1", 0)) as port_socket, captured(port_socket, folder / "lo.pcap"):
        exchange(port_socket, certificate, request.param, folder / "keys")
    with (folder / "lo.pcap").open("rb") as capture, (folder / "keys").open("rb") as keys:
        records = list(read_capture(capture, keys))
    return [one for one in records if isinstance(one, Packet)], [one for one in records if isinstance(one, Secret)]


def http(path: Path) -> list[str]:
    fields = ("-e", "http.request.uri", "-e", "http.response.code", "-e", "http.content_length_header")
    return run("tshark", "-r", path, "-Y", "http", "-T", "fields", *fields).splitlines()


def test_tcpdump_gives_both_directions_of_a_real_connection(session):
    packets, secrets = session
    first = [Direction.SEND, Direction.RECV, Direction.SEND]
    assert [one.direction for one in packets[:3]] == first
    assert {one.label for one in secrets} >= {"CLIENT_RANDOM"} or len(secrets) >= 4


@pytest.mark.parametrize("reserve", [262_144, 0], ids=["in the reserve", "after a rewrite"])
def test_tshark_decrypts_in_one_pass_although_the_secrets_came_last(session, reserve, tmp_path):
    packets, secrets = session
    records = [RunHeader(START, "ebpf"), *packets, *secrets]
    path = tmp_path / "run.pcapng"
    path.write_bytes(written(records, reserve))
    assert http(path) == ["/golang.org/x/text/@v/list\t\t", "\t200\t8"]
    with path.open("rb") as file:
        assert list(read_capture(file)) == records


def test_tshark_decrypts_nothing_without_the_secrets(session, tmp_path):
    """So that the test above can fail."""
    path = tmp_path / "run.pcapng"
    path.write_bytes(written([RunHeader(START, "ebpf"), *session[0]]))
    assert http(path) == []


@pytest.mark.parametrize("tool", [("editcap",), ("mergecap", "-w")], ids=lambda tool: tool[0])
def test_what_editcap_and_mergecap_write_is_decrypted_by_tshark_and_by_us(session, tool, tmp_path):
    packets, secrets = session
    ours, edited = tmp_path / "ours.pcapng", tmp_path / "edited.pcapng"
    ours.write_bytes(written([RunHeader(START, "ebpf"), *packets, *secrets]))
    run(*tool, *((ours, edited) if tool == ("editcap",) else (edited, ours)))
    assert len(http(edited)) == 2
    start = packets[0].at_ns
    expected = [RunHeader(start, "packets"), *(replace(one, at_ns=start) for one in secrets), *packets]
    assert list(read_capture(io.BytesIO(edited.read_bytes()))) == expected


def seconds(time_ns: int) -> str:
    return f"{time_ns // 10**9}.{time_ns % 10**9:09}"


def test_tshark_tcpdump_and_capinfos_see_the_packets_as_they_were_written(tmp_path):
    path = tmp_path / "run.pcapng"
    path.write_bytes(written([*SAMPLES, packet(20, 262_144), packet(21)]))
    packets = [one for one in [*SAMPLES, packet(20, 262_144), packet(21)] if isinstance(one, Packet)]
    text = run("tshark", "-r", path, "-T", "fields",
               "-e", "frame.number", "-e", "frame.time_relative", "-e", "frame.time_epoch",
               "-e", "frame.cap_len", "-e", "frame.len", "-e", "frame.packet_flags_direction")  # fmt: skip
    expected = [
        (str(number), seconds(one.at_ns - packets[0].at_ns), seconds(one.at_ns), str(len(one.data)), str(one.seen),
         "0x00000002" if one.direction is Direction.SEND else "0x00000001")
        for number, one in enumerate(packets, 1)
    ]  # fmt: skip
    rows = [tuple(line.split("\t")) for line in text.splitlines()]
    assert rows == expected
    assert f"Number of packets:   {len(packets)}" in run("capinfos", "-M", path)
    assert "Number of decryption secrets in file: 1" in run("capinfos", path)
    assert len(run("tcpdump", "-nn", "-r", path).splitlines()) == len(packets)


def test_tshark_reads_on_behind_a_packet_past_its_limit(tmp_path):
    from scapy.layers.inet import IP, TCP

    head = bytes(IP(src="10.0.0.1", dst="10.0.0.2", len=0) / TCP(sport=40_000, dport=443, seq=1, flags="A"))
    data = head + bytes(300_000)
    path = tmp_path / "run.pcapng"
    path.write_bytes(written([packet(1), Packet(START + 2, Direction.SEND, len(data), data, SOCKET), packet(3)]))
    found = [sequence for *_, ports, sequence in tshark_packets(path) if ports == "40000>443"]
    assert found == [str(1 + 60_000 * n) for n in range(5)]
    assert len(tshark_packets(path)) == 7
