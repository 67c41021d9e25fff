"""In a container: its own namespaces of cgroups and processes, with a /proc and a cgroup mount of their own."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from goproxy_ebpf.capture.cgroup import mount_point

from .conftest import Proxy
from .harness import Run
from .test_against_go import assert_same_as_go, assert_whole
from .test_shared_cgroup import trace_in

NAMESPACES = ("unshare", "--mount", "--cgroup", "--pid", "--fork", "--mount-proc")


@pytest.fixture
def deep() -> Iterator[Path]:
    """A cgroup two levels below the root, as a container's is."""
    top = mount_point(Path("/proc/self/mountinfo").read_text()) / f"test-container-{os.getpid()}"
    inner = top / "inner"
    inner.mkdir(parents=True)
    yield inner
    for folder in (inner, top):
        for _ in range(100):  # what closes our probes behind us takes a moment
            try:
                folder.rmdir()
                break
            except OSError:
                time.sleep(0.05)


def contained(deep: Path, folder: Path, proxy: Proxy, options: str = "") -> Run:
    mount = deep.parent.parent
    inside = ("sh", "-c", f'echo $$ > {deep}/cgroup.procs; exec "$@"', "sh", *NAMESPACES)
    return trace_in(f"umount {mount} && mount -t cgroup2 {options} none {mount}", folder, proxy, inside)


def assert_numbered_as_inside(run: Run) -> None:
    assert_same_as_go(run)
    assert_whole(run)
    executed = [process for process in run.processes if process.what == "exec"]
    assert [Path(process.path).name for process in executed] == ["sh", "go"]
    assert all(process.pid < 100 for process in run.processes)
    assert [process.coverage for process in run.processes if process.what == "program"] == ["key log"]
    assert {connection.pid for connection in run.connections} == {executed[-1].pid}


def test_processes_are_told_below_a_cgroup_that_is_the_root_of_its_namespace(tmp_path: Path, deep: Path, proxy: Proxy):
    run = contained(deep, tmp_path, proxy)
    assert run.status == 0, run.stderr[-2000:]
    assert {hook.state for hook in run.header.hooks} == {"attached"}
    assert_numbered_as_inside(run)


def test_processes_are_told_by_their_number_where_its_cgroups_are_read_only(tmp_path: Path, deep: Path, proxy: Proxy):
    run = contained(deep, tmp_path, proxy, "-o ro")
    assert run.status == 0, run.stderr[-2000:]
    assert [hook.hook for hook in run.header.hooks if hook.state == "refused"] == ["cgroup"]
    assert_numbered_as_inside(run)
