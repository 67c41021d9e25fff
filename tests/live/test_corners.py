"""Networks and processes that are not one go on one loopback: the same frames, and each byte once."""

import subprocess
from collections import Counter
from pathlib import Path

import pytest

from goproxy_ebpf.capfile import read_capture
from goproxy_ebpf.records.capture import Packet

from .. import gobins
from . import http2debug, nghttpd
from .conftest import Proxy
from .harness import GO, PROGRAM, ROOT, Run, go_environment, trace
from .namespaces import CLIENT, SERVER, two_namespaces
from .test_against_go import assert_same_as_go, assert_whole, copied
from .wireshark import port_of, seen_by_tshark, seen_by_us, tool

NAT_ADDRESS, NAT_PORT = "192.0.2.7", 443
REDIRECT = f"""
table ip test {{
	chain output {{
		type nat hook output priority -100;
		ip daddr {NAT_ADDRESS} tcp dport {NAT_PORT} dnat to {SERVER}:PORT
	}}
}}
"""


def packets(run: Run) -> list[Packet]:
    with run.capture.open("rb") as file:
        return [record for record in read_capture(file) if isinstance(record, Packet)]


def assert_same_as_tshark(run: Run) -> None:
    ports = {port_of(connection) for connection in run.connections}
    assert seen_by_tshark(run.capture, ports) == seen_by_us(run)


@pytest.mark.parametrize("tx", ["tcp_sendmsg", "sk_msg"])
def test_a_proxy_behind_a_veth_pair_is_seen_as_on_loopback(tmp_path: Path, tx: str):
    with two_namespaces() as pair:
        place = {"address": SERVER, "within": pair.server}
        with nghttpd.running_nghttpd(tmp_path / "server", 12, 16_000_000, **place) as server:
            settings = go_environment(tmp_path) | server.environment | {"GODEBUG": "http2debug=2"}
            command = [*pair.client, GO, "mod", "download", "all"]
            project = copied(server.project, tmp_path)
            run = trace(tmp_path / "run", command, "--tx", tx, environment=settings, directory=project)
    assert run.status == 0, run.stderr[-2000:]
    assert_same_as_go(run)
    assert_whole(run)
    assert_same_as_tshark(run)
    ends = {(each.local.rpartition(":")[0], each.remote) for each in run.connections}
    assert ends == {(CLIENT, f"{SERVER}:{server.url.rpartition(':')[2]}")}
    # Packets as the sockets see them, before segmentation and after coalescing: more than any wire carries.
    largest = {way: max(each.seen for each in packets(run) if each.direction.value == way) for way in ("send", "recv")}
    assert largest["recv"] > 9_000


def test_segments_above_64_kib_are_captured_whole(tmp_path: Path):
    """IPv6 with BIG TCP: the IP header's length is 0 then, and an option in front of TCP's holds it (RFC 2675)."""
    with two_namespaces() as pair:
        in_client = [*pair.client, "ip", "link", "set", "lo"]
        subprocess.run([*in_client, "gso_max_size", "200000", "gro_max_size", "200000"], check=True)
        place = {"address": "::1", "within": pair.client}
        with nghttpd.running_nghttpd(tmp_path / "server", 12, 24_000_000, **place) as server:
            settings = go_environment(tmp_path) | server.environment | {"GODEBUG": "http2debug=2"}
            command = [*pair.client, GO, "mod", "download", "all"]
            project = copied(server.project, tmp_path)
            run = trace(tmp_path / "run", command, environment=settings, directory=project)
    assert run.status == 0, run.stderr[-2000:]
    assert max(each.seen for each in packets(run)) > 70_000
    assert_same_as_go(run)
    assert_whole(run)


def test_nat_in_output_hides_no_frame(tmp_path: Path):
    """go connects to an address that nobody has: its packets leave with another, answers come from that one."""
    with two_namespaces() as pair:
        place = {"address": SERVER, "within": pair.server}
        with nghttpd.running_nghttpd(tmp_path / "server", 12, 4_000_000, **place) as server:
            rules = REDIRECT.replace("PORT", server.url.rpartition(":")[2])
            subprocess.run([*pair.client, "nft", "-f", "-"], input=rules, text=True, check=True)
            settings = go_environment(tmp_path) | server.environment | {"GODEBUG": "http2debug=2"}
            settings["GOPROXY"] = f"https://{NAT_ADDRESS}:{NAT_PORT}"
            command = [*pair.client, GO, "mod", "download", "all"]
            project = copied(server.project, tmp_path)
            run = trace(tmp_path / "run", command, environment=settings, directory=project)
    assert run.status == 0, run.stderr[-2000:]
    assert_same_as_go(run)
    assert_whole(run)
    assert {each.remote for each in run.connections} == {f"{NAT_ADDRESS}:{NAT_PORT}"}


BOTH = """
"$1" -m goproxy_ebpf.lab --directory "$2/lab" --modules 12 --megabytes 8 >"$2/ready" &
lab=$!
while [ ! -s "$2/ready" ]; do :; done
cd "$2/lab/project" && SSL_CERT_FILE="$2/lab/ca.pem" GOPROXY=$(jq -r .url "$2/ready") "$3" mod download all
status=$?
kill $lab
wait $lab
exit $status
"""


def assert_one_copy(run: Run) -> None:
    """By the fields that a sender gives each packet anew: two hooks that see one packet see the same."""
    fields = ("ip.id", "tcp.srcport", "tcp.dstport", "tcp.seq_raw", "tcp.ack_raw", "tcp.len", "tcp.flags")
    options = [option for name in fields for option in ("-e", name)]
    said = tool("tshark", "-r", run.capture, "-Y", "tcp", "-T", "fields", *options, home=run.folder)
    twice = {line: count for line, count in Counter(said.splitlines()).items() if count > 1}
    assert twice == {}
    assert len(packets(run)) == run.summary.packets == len(said.splitlines())


def test_both_ends_of_a_connection_in_one_run_give_each_packet_and_each_frame_once(tmp_path: Path):
    (tmp_path / "lab").mkdir()
    settings = go_environment(tmp_path, GODEBUG="http2debug=2", GOSUMDB="off", PYTHONPATH=str(ROOT))
    command = ["sh", "-c", BOTH, "sh", PROGRAM[0], str(tmp_path), GO]
    run = trace(tmp_path / "run", command, environment=settings)
    assert run.status == 0, run.stderr[-2000:]
    assert_same_as_go(run)
    assert_whole(run)
    assert {each.process for each in run.connections if each.frames} == {"go"}
    assert_one_copy(run)
    assert_same_as_tshark(run)


SERVER_AND_CLIENT = """package main

import ("fmt"; "io"; "net"; "net/http"; "net/http/httptest"; "os"; "strings")

func main() {
	body := strings.Repeat("0123456789abcdef", 200000)
	closed := make(chan bool, 9)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, body)
	}))
	server.EnableHTTP2 = true
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed { closed <- true }
	}
	server.StartTLS()
	for i := 0; i < 5; i++ {
		answer, err := server.Client().Get(fmt.Sprintf("%s/part/%d", server.URL, i))
		if err != nil { fmt.Println(err); os.Exit(1) }
		n, _ := io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		fmt.Println(answer.StatusCode, n)
	}
	server.Client().CloseIdleConnections()
	// Until the server has read it all: its Close would reset what the client has not sent yet.
	<-closed
	server.Close()
}
"""


def test_server_and_client_in_one_go_process_are_one_connection(tmp_path: Path):
    """As in a test with httptest: both ends log the same secrets, and both ends' packets pass our hooks."""
    both = gobins.build(SERVER_AND_CLIENT)
    run = trace(tmp_path / "run", [str(both)], environment={"GODEBUG": "http2debug=2"})
    assert (run.status, run.stdout) == (0, "200 3200000\n" * 5)
    assert_whole(run, reset_in_flight=True)  # the server closes while WINDOW_UPDATEs still wait to be sent
    (connection,) = [each for each in run.connections if each.frames]
    client = [
        [frame._replace(headers=None) for frame in frames]
        for frames in http2debug.parse(run.stderr).values()
        if any(frame.type == "SETTINGS" and "ENABLE_PUSH=0" in frame.extra and frame.dir == "send" for frame in frames)
    ]
    ours = [http2debug.ours(frame)._replace(headers=None) for frame in run.frames_of(connection.conn)]
    # Any number of WINDOW_UPDATEs may still wait to be sent when the server closes.
    assert [http2debug.difference(frames, ours, slack=len(ours)) for frames in client] == [""]
    assert [exchange.path for exchange in run.exchanges] == [f"/part/{number}" for number in range(5)]
    assert [exchange.response_bytes for exchange in run.exchanges] == [3_200_000] * 5
    assert_one_copy(run)
    assert_same_as_tshark(run)


SEVERAL = """
for number in 1 2 3; do
	GOMODCACHE="$1/cache$number" "$2" mod download all 2>"$1/go$number.log" &
done
wait
"""


def test_several_go_processes_at_once_have_each_its_own_connections(tmp_path: Path, proxy: Proxy):
    project = copied(proxy.project, tmp_path)
    settings = go_environment(tmp_path) | proxy.environment | {"GOSUMDB": "off", "GODEBUG": "http2debug=2"}
    settings["GOFLAGS"] = "-modcacherw"
    command = ["sh", "-c", SEVERAL, "sh", str(tmp_path), GO]
    run = trace(tmp_path / "run", command, environment=settings, directory=project)
    assert (run.status, run.stderr) == (0, "")
    assert_same_as_go(run, *((tmp_path / f"go{number}.log").read_text() for number in (1, 2, 3)))
    assert_whole(run)
    goes = {each.pid for each in run.processes if each.what == "exec" and Path(each.path).name == "go"}
    assert len(goes) == 3
    asked = {exchange.conn for exchange in run.exchanges}
    assert {each.pid for each in run.connections if each.conn in asked} == goes
    per_process = Counter(next(c.pid for c in run.connections if c.conn == each.conn) for each in run.exchanges)
    assert len(set(per_process.values())) == 1
    assert_same_as_tshark(run)
