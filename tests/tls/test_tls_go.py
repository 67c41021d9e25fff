"""Against Go's crypto/tls: its ClientHello, its order of secrets and bytes, its records that grow."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tls_peers import RECV, SEND, key_log, play

from goproxy_ebpf.records.capture import TrafficSecret
from goproxy_ebpf.records.flow import PlaintextEnd, PlaintextGap

GO = shutil.which("go", path=os.environ.get("PATH", "") + ":/usr/local/go/bin:/usr/lib/go/bin")


@pytest.fixture(scope="module")
def peers(tmp_path_factory):
    if GO is None:
        pytest.skip("there is no go command here")
    program = tmp_path_factory.mktemp("go") / "peers"
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GO111MODULE": "off", "GOPROXY": "off", "GOFLAGS": ""}
    source = Path(__file__).parent / "tls_gopeer.go"
    subprocess.run([GO, "build", "-o", program, source], check=True, env=environment)
    return program


def transcript(peers, version):
    items = []
    for line in subprocess.run([peers, version], check=True, capture_output=True, text=True).stdout.splitlines():
        what, value = line.split(" ", 1)
        items += key_log(value) if what == "log" else [(SEND if what == "send" else RECV, bytes.fromhex(value))]
    return items


@pytest.mark.parametrize("piece", [1, 1448, 1 << 20])
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_go_is_read_in_the_order_in_which_it_works(peers, version, piece):
    items = transcript(peers, version)
    heard = play(items, piece=piece)
    assert heard.plaintext(SEND) == b"request"
    assert heard.plaintext(RECV) == b"answer " * 6000
    assert [heard.of(d)[-1] for d in (SEND, RECV)] == [PlaintextEnd(d, heard.of(d)[-1].at_ns) for d in (SEND, RECV)]
    facts = heard.facts
    assert (facts.version, facts.alpn, facts.server_name) == (f"TLS {version}", "h2", "proxy.example")
    assert [certificate.names for certificate in facts.certificates] == [("proxy.example",)]
    times = facts.client_hello_ns, facts.server_hello_ns, facts.server_finished_ns, facts.client_finished_ns
    assert None not in times
    assert (facts.trouble, facts.alert, facts.secrets) == ("", "", "key log")
    if version == "1.3":
        assert facts.group in ("X25519MLKEM768", "x25519")


def test_go_is_read_with_late_secrets_only(peers):
    items = transcript(peers, "1.3")
    flights = [item for item in items if isinstance(item, tuple)]
    secrets = [
        TrafficSecret(10**9, 7, SEND if item.label[0] == "C" else RECV, 0x0304, item.secret, 2)
        for item in items
        if not isinstance(item, tuple) and item.label.endswith("_0")
    ]
    heard = play([*flights, *secrets])
    assert (heard.plaintext(SEND), heard.plaintext(RECV)) == (b"request", b"answer " * 6000)
    assert not [event for event in heard.events if isinstance(event, PlaintextGap)]
