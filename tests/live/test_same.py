"""The live report, the report of the capture and the report of the frame log are one text, to the byte."""

import os
from pathlib import Path

import pytest

from goproxy_ebpf.lab.modules import generate_modules
from goproxy_ebpf.lab.project import write_project
from goproxy_ebpf.lab.site import ModuleSite

from .conftest import Proxy, start_proxy, stop_proxy
from .harness import GO, Run, go_environment, program, trace
from .ownlab import paced, serving
from .test_against_go import assert_whole, copied

RUNS = 10
FORMS = (("text",), ("text", "--frames"), ("json",))
"""The runs take turns in what they print."""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory):
    proxy = start_proxy(tmp_path_factory.mktemp("small"), "--megabytes", "2", "--modules", "12")
    yield proxy
    stop_proxy(proxy)


def report_of(path: Path, form: tuple[str, ...]) -> str:
    """``report`` of a file, as wide as the live one."""
    done = program("report", str(path), "--format", *form, env=dict(os.environ) | {"COLUMNS": "100"})
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def live(folder: Path, proxy: Proxy, form: tuple[str, ...], command: list[str]) -> Run:
    project = copied(proxy.project, folder)
    settings = go_environment(folder) | proxy.environment | {"GOSUMDB": "off"}
    return trace(folder, command, "--format", *form, environment=settings, directory=project, requests=False)


@pytest.mark.parametrize("number", range(RUNS))
def test_ten_runs_in_a_row_read_back_as_they_were_shown(tmp_path: Path, small: Proxy, number: int):
    form = FORMS[number % len(FORMS)]
    command = [GO, "mod", "download", "all"]
    if number % 2:  # several processes, each with parallel connections of which all but one are thrown away
        other = f"GOMODCACHE={tmp_path}/other {GO} mod download all"
        command = ["sh", "-c", f"{other} & {GO} mod download all; wait"]
    run = live(tmp_path, small, form, command)
    assert (run.status, run.stderr) == (0, "")
    assert len(run.exchanges) > 30
    assert len({frame.conn for frame in run.frames}) >= 1 + number % 2
    decoded = tmp_path / "decoded.jsonl"
    assert program("decode", str(run.capture), "-w", str(decoded)).returncode == 0
    assert decoded.read_bytes() == run.log.read_bytes()
    shown = run.report.read_text()
    assert [report_of(path, form) == shown for path in (run.capture, run.log)] == [True, True]


def test_of_50_megabytes_nearly_all_is_decoded_before_go_has_ended(tmp_path: Path):
    """At the pace of a good network, not of loopback: there, what a quarter of a second brings is most of it."""
    chosen, older = generate_modules(28, 50_000_000)
    write_project(tmp_path / "project", chosen, older)
    with serving(tmp_path, ModuleSite([*older, *chosen]), paced(10_000_000)) as lab:
        settings = go_environment(tmp_path) | lab.environment
        command = [GO, "mod", "download", "all"]
        run = trace(tmp_path / "run", command, environment=settings, directory=tmp_path / "project")
    assert (run.status, run.stderr) == (0, "")
    assert_whole(run)
    assert sum(exchange.response_bytes for exchange in run.exchanges) > 50_000_000
    assert run.statistics["frames"] == len(run.frames)
    assert run.statistics["frames_before_exit"] >= 0.9 * len(run.frames), run.statistics
