"""The ways to a module, and those that lead nowhere: forward proxies, directories, refusals; each by a real go."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from goproxy_ebpf.lab.authority import NAMES
from goproxy_ebpf.lab.modules import generate_modules
from goproxy_ebpf.lab.project import write_project
from goproxy_ebpf.lab.server import Options
from goproxy_ebpf.lab.site import ModuleSite, Request, Response
from goproxy_ebpf.records.log import Exchange

from .forward import forwarding
from .harness import GO, Run, go_environment, trace
from .ownlab import Lab, serving
from .test_against_go import assert_same_as_go, assert_whole

CHOSEN, OLDER = generate_modules(3, 300_000)
HOST = "modules.lab.test"
"""Not one of loopback's: go takes no forward proxy to those. Nobody looks it up: the forward proxy is told its name."""


class Faulty(ModuleSite):
    """Answers with ``statuses``, by the end of the path that is asked for."""

    def __init__(self, **statuses: int) -> None:
        super().__init__([*OLDER, *CHOSEN])
        self.statuses = statuses

    def answer(self, request: Request) -> Response:
        for end, status in self.statuses.items():
            if request.path.endswith(end):
                return Response(status, (("content-type", "text/plain"),), b"no\n")
        return super().answer(request)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with serving(tmp_path, Faulty(), names=(*NAMES, HOST)) as lab:
        yield lab


def go(folder: Path, *options: str, command: tuple[str, ...] = ("mod", "download", "all"), **environment: str) -> Run:
    if not (folder / "project").exists():
        write_project(folder / "project", CHOSEN, OLDER)
    settings = go_environment(folder) | environment
    return trace(folder / "run", [GO, *command], *options, environment=settings, directory=folder / "project")


def first_line(run: Run) -> str:
    """The verdict, unfolded."""
    return " ".join(run.report.read_text().partition("\ncommand ")[0].split())


def modules_asked(run: Run) -> list[Exchange]:
    return [exchange for exchange in run.exchanges if exchange.method == "GET"]


def test_http_2_through_a_connect_proxy_is_read_frame_by_frame(tmp_path: Path, lab: Lab):
    target = f"{HOST}:{lab.port}"
    with forwarding(lab.port) as proxy:
        through = proxy.url.replace("//", "//somebody:hidden@")
        settings = lab.environment | {"GOPROXY": f"https://{target}", "HTTPS_PROXY": through}
        run = go(tmp_path, GODEBUG="http2debug=2", **settings)
    assert run.status == 0, run.stderr[-2000:]
    assert set(proxy.heads) == {f"CONNECT {target} HTTP/1.1"}
    assert_same_as_go(run)
    assert_whole(run)
    asked = modules_asked(run)
    assert {(each.protocol, each.authority, each.state, each.status) for each in asked} == {
        ("h2", target, "complete", 200)
    }
    assert len(asked) == 11
    tunnels = [each for each in run.exchanges if each.method == "CONNECT"]
    assert [(each.path, each.status) for each in tunnels] == [(target, 200)] * len(proxy.heads)
    assert first_line(run).startswith("HEALTHY")
    address = proxy.url.removeprefix("http://")
    assert f"{target} through {address} · TLS 1.3 AES-256-GCM · h2" in " ".join(run.report.read_text().split())
    assert "hidden" not in run.report.read_text() + run.log.read_text()


def test_a_connect_proxy_that_refuses_is_named_as_the_cause(tmp_path: Path, lab: Lab):
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    with forwarding(lab.port, refusal) as proxy:
        settings = lab.environment | {"GOPROXY": f"https://{HOST}:{lab.port}", "HTTPS_PROXY": proxy.url}
        run = go(tmp_path, **settings)
    assert run.status == 1
    assert {(each.method, each.path, each.status) for each in run.exchanges} == {("CONNECT", f"{HOST}:{lab.port}", 407)}
    assert first_line(run).startswith(f"FAILED {len(run.exchanges)} requests of {len(run.exchanges)} failed")
    assert "wants other credentials in HTTPS_PROXY" in " ".join(run.report.read_text().split())


def test_requests_through_a_cleartext_proxy_have_their_hosts_and_paths(tmp_path: Path):
    site = Faulty()
    with serving(tmp_path, site, options=Options(cleartext=True)) as lab, forwarding(lab.port) as proxy:
        url = f"http://{HOST}:{lab.port}"
        run = go(tmp_path, GOPROXY=url, HTTP_PROXY=proxy.url, GOSUMDB="off")
    assert run.status == 0, run.stderr[-2000:]
    assert all(head.startswith(f"GET {url}/") for head in proxy.heads)
    assert {(each.scheme, each.authority, each.status) for each in run.exchanges} == {
        ("http", f"{HOST}:{lab.port}", 200)
    }
    assert len(run.exchanges) == 11
    assert all(each.path.startswith("/example.com/") for each in run.exchanges)
    assert first_line(run).startswith("HEALTHY 11 requests answered")
    assert run.gaps == []


def test_what_is_in_the_cache_is_asked_of_nobody_and_cold_asks_for_it_again(tmp_path: Path, lab: Lab):
    filled = go(tmp_path, **lab.environment)
    assert len(filled.exchanges) == 11
    again = go(tmp_path, **lab.environment)
    assert (again.status, again.exchanges, again.connections) == (0, [], [])
    assert first_line(again) == "NO PROXY ASKED go opened no connection: everything it needed was in its cache."
    assert "trace --cold -- …" in again.report.read_text()
    before = sorted((tmp_path / "gomodcache").rglob("*"))
    cold = go(tmp_path, "--cold", **lab.environment)
    assert len(cold.exchanges) == 11
    throw_away = Path(cold.header.environment["GOMODCACHE"])
    assert throw_away != tmp_path / "gomodcache"
    assert not throw_away.exists()
    assert sorted((tmp_path / "gomodcache").rglob("*")) == before


def test_a_directory_as_proxy_and_no_proxy_at_all_are_not_taken_for_a_full_cache(tmp_path: Path, lab: Lab):
    assert go(tmp_path / "a", **lab.environment).status == 0
    url = f"file://{tmp_path}/a/gomodcache/cache/download"
    directory = go(tmp_path / "b", GOPROXY=url, GOSUMDB="off")
    assert directory.status == 0
    assert first_line(directory).startswith("NO PROXY ASKED go opened no connection: GOPROXY=file:///")
    assert first_line(directory).endswith("/gomodcache/cache/download is a directory.")
    off = go(tmp_path / "c", GOPROXY="off")
    assert off.status == 1
    assert "FAILED the command ended with status 1" in first_line(off)
    assert "go opened no connection: GOPROXY=off forbids it" in " ".join(off.report.read_text().split())


def test_a_vendor_directory_is_asked_instead_of_a_proxy(tmp_path: Path, lab: Lab):
    assert go(tmp_path, command=("mod", "vendor"), **lab.environment).status == 0
    run = go(tmp_path, command=("list", "-deps", "./..."), GOFLAGS="-mod=vendor", **lab.environment)
    assert run.status == 0, run.stderr
    assert run.exchanges == []
    expected = "NO PROXY ASKED go opened no connection: GOFLAGS=-mod=vendor has it use the vendor directory alone."
    assert first_line(run) == expected


def test_a_404_that_the_next_proxy_answers_is_no_failure(tmp_path: Path, lab: Lab):
    with serving(tmp_path, Faulty(info=404, mod=410, zip=404)) as empty:
        both = f"{empty.url},{lab.url}"
        # Two authorities: go trusts both.
        bundle = tmp_path / "both.pem"
        bundle.write_bytes(lab.ca + empty.ca)
        run = go(tmp_path, GOPROXY=both, GOSUMDB="off", SSL_CERT_FILE=str(bundle))
    assert run.status == 0, run.stderr
    statuses = {empty.port: {404, 410}, lab.port: {200}}
    assert {int(each.authority.rpartition(":")[2]) for each in run.exchanges} == set(statuses)
    for port, expected in statuses.items():
        found = {each.status for each in run.exchanges if each.authority.endswith(f":{port}")}
        assert found == expected
    assert first_line(run).startswith("HEALTHY")


@pytest.mark.parametrize("status", [403, 429, 451, 500, 503])
def test_any_other_error_is_a_failure_that_is_named_with_its_path(tmp_path: Path, status: int):
    with serving(tmp_path, Faulty(zip=status)) as lab:
        run = go(tmp_path, **lab.environment)
    assert run.status == 1
    failed = [each for each in run.exchanges if each.status == status]
    assert failed
    assert {each.path.rpartition(".")[2] for each in failed} == {"zip"}
    assert {each.status for each in run.exchanges if each not in failed} == {200}
    assert first_line(run).startswith(f"FAILED {len(failed)} requests of {len(run.exchanges)} failed ({len(failed)} ")
    assert "finding exchange-failed" in " ".join(run.report.read_text().split())


def test_a_certificate_that_go_does_not_trust_is_named_with_its_issuer_once(tmp_path: Path, lab: Lab):
    run = go(tmp_path, GOPROXY=lab.url, GOSUMDB="off")
    assert run.status == 1
    assert "certificate signed by unknown authority" in run.stderr
    said = first_line(run)
    assert said.startswith(f"FAILED TLS with localhost:{lab.port} ended with the alert bad_certificate (fatal)")
    assert said.count("goproxy-ebpf lab authority") == 1
    assert run.exchanges == []
    assert run.summary.undecryptable_bytes == 0


def test_a_refused_connection_is_named(tmp_path: Path, lab: Lab):
    run = go(tmp_path, **(lab.environment | {"GOPROXY": "https://127.0.0.1:1"}))
    assert run.status == 1
    assert first_line(run).startswith("FAILED no connection to 127.0.0.1:1: ")
    assert {each.closed_by for each in run.connections} == {"reset"}
