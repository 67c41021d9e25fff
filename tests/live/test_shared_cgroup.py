"""Where the run can have no cgroup of its own, it looks at its own sockets in the caller's, and at nobody else's."""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from goproxy_ebpf.capture.cgroup import mount_point

from .conftest import Proxy
from .harness import GO, PROGRAM, Run, go_environment
from .test_against_go import assert_same_as_go, assert_whole, copied

NEIGHBOUR = """
import socket, sys, time
host, port = sys.argv[1], int(sys.argv[2])
print("ready", flush=True)
while True:
    with socket.create_connection((host, port)) as connection:
        connection.sendall(b"a stranger's secret")
    time.sleep(0.01)
"""


@pytest.fixture
def threaded() -> Iterator[Path]:
    """A threaded cgroup: whatever is made below it is invalid."""
    top = mount_point(Path("/proc/self/mountinfo").read_text()) / f"test-threaded-{os.getpid()}"
    inner = top / "inner"
    inner.mkdir(parents=True)
    (inner / "cgroup.type").write_text("threaded")
    yield inner
    for folder in (inner, top):
        for _ in range(100):  # what closes our probes behind us takes a moment
            try:
                folder.rmdir()
                break
            except OSError:
                time.sleep(0.05)


def trace_in(setup: str, folder: Path, proxy: Proxy, inside: tuple[str, ...] = ()) -> Run:
    """``trace`` behind a shell's ``setup``, with a neighbour in the same cgroup that talks to the same proxy."""
    project = copied(proxy.project, folder)
    port = proxy.url.rsplit(":", 1)[1]
    program = shlex.join([*PROGRAM, "trace", "--no-keep", "-o", "report.txt", "-w", "run.jsonl", "-w", "run.pcapng"])
    script = f"""
        {setup}
        {shlex.quote(sys.executable)} -c {shlex.quote(NEIGHBOUR)} 127.0.0.1 {port} > ready & neighbour=$!
        until grep -q ready ready 2>/dev/null; do sleep 0.01; done
        {program} -- sh -c 'cd {shlex.quote(str(project))} && {GO} mod download all'; status=$?
        kill $neighbour
        exit $status
    """
    environment = os.environ | go_environment(folder) | proxy.environment
    environment |= {"GOSUMDB": "off", "GODEBUG": "http2debug=2", "COLUMNS": "100"}
    done = subprocess.run(
        [*inside, "sh", "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Run(folder, done)


def assert_only_ours(run: Run) -> None:
    assert run.status == 0, run.stderr[-2000:]
    refused = [hook for hook in run.header.hooks if hook.state == "refused"]
    assert [hook.hook for hook in refused] == ["cgroup"]
    assert "filtered by socket" in run.report.read_text().replace("\n              ", " ")
    assert_same_as_go(run)
    assert_whole(run)
    assert [Path(process.path).name for process in run.processes if process.what == "exec"] == ["sh", "go"]
    assert {connection.process for connection in run.connections} == {"go"}
    assert b"a stranger's secret" not in run.capture.read_bytes()
    assert {exchange.state for exchange in run.exchanges} == {"complete"}


def test_in_a_threaded_cgroup_the_run_sees_its_own_sockets_only(tmp_path: Path, threaded: Path, proxy: Proxy):
    enter = f"echo $$ > {threaded.parent}/cgroup.procs; echo $$ > {threaded}/cgroup.threads"
    run = trace_in(enter, tmp_path, proxy)
    assert "threaded" in run.header.hooks[0].detail
    assert_only_ours(run)


def test_where_the_cgroup_file_system_is_read_only_too(tmp_path: Path, proxy: Proxy):
    mount = mount_point(Path("/proc/self/mountinfo").read_text())
    run = trace_in(f"mount -o bind,remount,ro {mount}", tmp_path, proxy, inside=("unshare", "--mount"))
    assert "Read-only file system" in run.header.hooks[0].detail
    assert_only_ours(run)
