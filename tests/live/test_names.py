"""Names: what a resolver of our own was asked is what the log has, with its times, for go's resolver and libc's."""

from collections import Counter
from pathlib import Path

import pytest

from goproxy_ebpf.lab.authority import NAMES
from goproxy_ebpf.lab.modules import generate_modules
from goproxy_ebpf.lab.project import write_project
from goproxy_ebpf.lab.site import ModuleSite
from goproxy_ebpf.records.log import Dns

from .. import gobins
from .harness import GO, Run, go_environment, trace
from .ownlab import serving
from .resolver import ADDRESS, resolving

HOST = "modules.lab.test"
WITH_RESOLVER = 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"'
"""In a mount namespace of its own: nobody else's names change."""
MS = 1_000_000


def run_with_resolver(folder: Path, *command: str, options: str = "", **environment: str) -> Run:
    settings = folder / "resolv.conf"
    settings.write_text(f"nameserver {ADDRESS}\n{options}")
    whole = ["unshare", "--mount", "sh", "-c", WITH_RESOLVER, "sh", str(settings), *command]
    (folder / "empty").mkdir(exist_ok=True)
    where = folder / "project" if (folder / "project").exists() else folder / "empty"
    return trace(folder / "run", whole, environment=go_environment(folder) | environment, directory=where)


def lookups(run: Run) -> list[Dns]:
    found = run.of(Dns)
    assert {each.resolver for each in found} <= {f"{ADDRESS}:53"}
    return found


def asked(run: Run) -> Counter[tuple[str, str]]:
    times: Counter[tuple[str, str]] = Counter()
    for each in lookups(run):
        times[each.name, each.type] += each.asked_times
    return times


def first_line(run: Run) -> str:
    return " ".join(run.report.read_text().partition("\ncommand ")[0].split())


@pytest.mark.parametrize(
    ("go", "resolver", "delay_ms"),
    [(GO, "go", 0), (GO, "go", 150), (str(gobins.DEBIAN), "cgo", 150)],
    ids=["at once", "late", "late, by the C library"],
)
def test_look_ups_of_go_have_their_answers_and_their_times(tmp_path: Path, go: str, resolver: str, delay_ms: int):
    """Debian's go is built with cgo, upstream's is not."""
    modules = generate_modules(3, 100_000)
    write_project(tmp_path / "project", *modules)
    site = ModuleSite([*modules[0], *modules[1]])
    with serving(tmp_path, site, names=(*NAMES, HOST)) as lab, resolving({HOST: "127.0.0.1"}, delay_ms / 1000) as names:
        settings = lab.environment | {"GOPROXY": f"https://{HOST}:{lab.port}", "GODEBUG": f"netdns={resolver}"}
        run = run_with_resolver(tmp_path, go, "mod", "download", "all", **settings)
    assert run.status == 0, run.stderr[-2000:]
    assert asked(run) == Counter(names.asked)
    assert {(each.name, each.type) for each in lookups(run)} == {(HOST, "A"), (HOST, "AAAA")}
    for each in lookups(run):
        assert (each.rcode, each.transport) == ("NOERROR", "udp")
        assert each.answers == (("127.0.0.1",) if each.type == "A" else ())
        assert each.rtt_ns >= delay_ms * MS
    used = [each for each in run.connections if each.frames]
    assert {(each.dns_name, each.remote) for each in used} == {(HOST, f"127.0.0.1:{lab.port}")}
    assert all(each.dns_ns >= delay_ms * MS for each in used)
    assert f"{HOST} A · 127.0.0.1" in " ".join(run.report.read_text().split())


def test_a_name_that_does_not_exist_is_why_the_run_failed(tmp_path: Path):
    modules = generate_modules(3, 100_000)
    write_project(tmp_path / "project", *modules)
    with resolving({}) as names:
        run = run_with_resolver(tmp_path, GO, "mod", "download", "all", GOPROXY=f"https://{HOST}", GOSUMDB="off")
    assert run.status == 1
    assert "no such host" in run.stderr
    assert asked(run) == Counter(names.asked)
    assert {each.rcode for each in lookups(run)} == {"NXDOMAIN"}
    assert run.connections == []
    assert f"go opened no connection: {HOST} has no address (NXDOMAIN)" in " ".join(run.report.read_text().split())
    assert first_line(run).startswith("FAILED")


def test_a_resolver_that_never_answers_is_why_the_run_failed(tmp_path: Path):
    modules = generate_modules(1, 10_000)
    write_project(tmp_path / "project", *modules)
    with resolving({}, silent=True) as names:
        settings = {"GOPROXY": f"https://{HOST}", "GOSUMDB": "off"}
        command = (GO, "mod", "download", "all")
        run = run_with_resolver(tmp_path, *command, options="options timeout:1 attempts:2\n", **settings)
    assert run.status == 1
    assert asked(run) == Counter(names.asked)
    assert {(each.rcode, each.rtt_ns, each.answers) for each in lookups(run)} == {("", None, ())}
    assert f"go opened no connection: {HOST} has no address (no answer)" in " ".join(run.report.read_text().split())
