"""The go that runs is not always the go that was called: another toolchain, and the commands around it."""

import os
from pathlib import Path

import pytest

from goproxy_ebpf.lab.modules import generate_modules
from goproxy_ebpf.lab.project import write_project
from goproxy_ebpf.lab.site import ModuleSite

from .. import gobins
from .conftest import Proxy
from .harness import GO, go_environment, trace
from .ownlab import serving
from .test_against_go import assert_same_as_go, assert_whole, copied


@pytest.mark.parametrize("version", [gobins.NEWEST, gobins.OLD])
def test_a_go_that_becomes_another_toolchain_is_followed_and_decrypted(tmp_path: Path, proxy: Proxy, version: str):
    """GOTOOLCHAIN=…+path: ``go`` executes the command of that name in PATH, in its own place."""
    bin_directory = tmp_path / "bin"
    bin_directory.mkdir()
    (bin_directory / f"go{version}").symlink_to(gobins.go_bin(version))
    project = copied(proxy.project, tmp_path)
    settings = go_environment(tmp_path) | proxy.environment | {"GOSUMDB": "off", "GODEBUG": "http2debug=2"}
    settings |= {"GOTOOLCHAIN": f"go{version}+path", "PATH": f"{bin_directory}:{os.environ['PATH']}"}
    run = trace(tmp_path / "run", [GO, "mod", "download", "all"], environment=settings, directory=project)
    assert run.status == 0, run.stderr[-2000:]
    assert_same_as_go(run)
    assert_whole(run)
    execs = [each for each in run.processes if each.what == "exec"]
    assert [Path(each.path).resolve() for each in execs[:2]] == [Path(GO).resolve(), gobins.go_bin(version).resolve()]
    assert len({each.pid for each in execs[:2]}) == 1
    assert f"go{version}" in run.report.read_text()


def test_go_install_fetches_and_builds_a_program_by_its_name(tmp_path: Path):
    main = generate_modules(1, 20_000)
    with serving(tmp_path, ModuleSite([*main[0], *main[1]])) as lab:
        module = main[0][0]
        write_project(tmp_path / "project", *main)
        settings = go_environment(tmp_path, GOFLAGS="-modcacherw", GODEBUG="http2debug=2") | lab.environment
        command = [GO, "install", f"{module.path}@latest"]
        run = trace(tmp_path / "run", command, environment=settings, directory=tmp_path)
    # It is a library: go says so after it had asked for all of it.
    assert "is not a main package" in run.stderr
    assert run.status == 1
    assert_same_as_go(run)
    assert {"@v/list", ".zip", ".mod"} <= {
        end for each in run.exchanges for end in ("@v/list", ".zip", ".mod", "@latest") if each.path.endswith(end)
    }


SEVERAL = {
    "first/first.go": 'package first\n\nconst Name = "first"\n',
    "second/second.go": 'package second\n\nimport "example.com/project/first"\n\nvar Name = first.Name\n',
    "second/second_test.go": (
        'package second\n\nimport "testing"\n\nfunc TestName(t *testing.T) { if Name != "first" { t.Fatal() } }\n'
    ),
}


def test_go_test_of_several_packages_runs_its_tests_and_is_read_whole(tmp_path: Path, proxy: Proxy):
    project = copied(proxy.project, tmp_path)
    module = (project / "go.mod").read_text().split("\n", 1)[0].removeprefix("module ")
    for name, text in SEVERAL.items():
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text(text.replace("example.com/project", module))
    settings = go_environment(tmp_path) | proxy.environment
    settings |= {"GOSUMDB": "off", "GODEBUG": "http2debug=2", "CGO_ENABLED": "0"}
    run = trace(tmp_path / "run", [GO, "test", "./..."], environment=settings, directory=project)
    assert run.status == 0, run.stdout + run.stderr[-2000:]
    assert f"ok  \t{module}/second" in run.stdout
    assert_same_as_go(run)
    assert_whole(run)
    assert "second.test" in {Path(each.path).name for each in run.processes if each.what == "exec"}
