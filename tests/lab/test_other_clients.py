"""curl and openssl as clients; how the lab starts and stops."""

import hashlib
import json
import socket
import subprocess
import sys

import pytest

from goproxy_ebpf.lab.authority import make_authority
from goproxy_ebpf.lab.modules import generate_modules
from tests.labs import ROOT, running_lab

ZIP = "/example.com/lab/module00/@v/v1.0.0.zip"


def curl(lab: dict, path: str, *options: str) -> bytes:
    trust = ["--cacert", lab["ca"]] if lab["ca"] else []
    done = subprocess.run(["curl", "-sS", *trust, *options, lab["url"] + path], check=True, capture_output=True)
    return done.stdout


@pytest.mark.parametrize("arguments", [(), ("--tls", "1.2"), ("--http1",), ("--cleartext",)])
def test_curl_gets_the_same_bytes_by_every_protocol(arguments):
    modules, _ = generate_modules(3, 2_000_000)
    expected = hashlib.sha256(modules[0].zip).hexdigest()
    with running_lab("--modules", "3", "--megabytes", "2", *arguments) as lab:
        for option in ("--http2", "--http1.1"):
            assert hashlib.sha256(curl(lab, ZIP, option)).hexdigest() == expected
        version = curl(lab, ZIP, "--http2", "-o", "/dev/null", "-w", "%{http_version} %{size_download}")
        head = curl(lab, ZIP, "--http2", "-I").decode().lower()
    spoken = "1.1" if {"--http1", "--cleartext"} & set(arguments) else "2"
    assert version.decode() == f"{spoken} {len(modules[0].zip)}"
    assert f"content-length: {len(modules[0].zip)}\r\n" in head and "content-type: application/zip\r\n" in head


@pytest.mark.parametrize("address", ["127.0.0.1", "[::1]"])
def test_both_loopback_addresses_are_served_on_one_port(address):
    with running_lab("--modules", "1", "--megabytes", "0") as lab:
        lab["url"] = f"https://{address}:{lab['url'].rpartition(':')[2]}"
        assert curl(lab, "/example.com/lab/module00/@latest").startswith(b'{"Version":"v1.0.0"')


def test_openssl_accepts_the_certificate_for_every_name_of_this_machine(tmp_path):
    ca, certificate, key = make_authority().write(tmp_path)
    for option in (["-verify_hostname", "localhost"], ["-verify_ip", "127.0.0.1"], ["-verify_ip", "::1"]):
        command = ["openssl", "verify", "-x509_strict", "-CAfile", ca, *option, certificate]
        assert subprocess.run(command, check=True, capture_output=True).stdout.endswith(b": OK\n")
    assert key.stat().st_mode & 0o077 == 0


def test_generated_modules_are_the_same_each_time_and_have_the_size_asked_for():
    chosen, older = generate_modules(28, 5_000_000)
    assert generate_modules(28, 5_000_000) == (chosen, older)
    assert abs(sum(len(module.zip) for module in chosen) - 5_000_000) < 28 * 2_000
    assert len({(module.path, module.version) for module in (*chosen, *older)}) == 28 + len(older)
    assert len(older) >= 5


def test_nothing_is_left_behind_and_a_named_directory_is_kept(tmp_path):
    with running_lab("--modules", "1", "--megabytes", "0") as lab:
        assert (ROOT / lab["ca"]).exists()
    assert not (ROOT / lab["ca"]).exists()
    with running_lab("--modules", "1", "--megabytes", "0", "--directory", str(tmp_path / "kept")) as lab:
        pass
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["ca.pem", "project"]


def test_a_port_that_is_taken_is_one_line_and_exit_1():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "goproxy_ebpf.lab", "--modules", "1", "--megabytes", "0", "--port", port]
        done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("Error: cannot listen: ")


def test_a_client_without_tls_or_with_half_a_request_does_no_harm():
    with running_lab("--modules", "1", "--megabytes", "0", "--http1") as lab:
        port = int(lab["url"].rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), 10) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
            plain.recv(100)
        socket.create_connection(("127.0.0.1", port), 10).close()
        assert json.loads(curl(lab, "/example.com/lab/module00/@latest"))["Version"] == "v1.0.0"
    with running_lab("--modules", "1", "--megabytes", "0", "--cleartext") as lab:
        port = int(lab["url"].rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), 10) as plain:
            plain.sendall(b"\x16\x03\x01 no request\r\n\r\n")
            assert plain.recv(100).startswith(b"HTTP/1.1 400 ")
