"""Rough surroundings: the command runs as it would without us, its status is kept, and what is lost is said."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .harness import PROGRAM, program, trace


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


OPEN_ONES = """exec 9>open; for number in 0 1 2; do [ -e /proc/$$/fd/$number ] && echo $number >&9; done; exit 3"""


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_descriptors_that_were_closed_are_closed_for_the_command_and_harm_nobody(tmp_path: Path, closed: str):
    command = [*PROGRAM, "trace", "--no-keep", "-o", "report", "-w", "run.jsonl", "--", "sh", "-c", OPEN_ONES]
    done = subprocess.run(["sh", "-c", f'exec "$@" {closed}', "sh", *command], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, b"", b"")
    left = {"0", "1", "2"} - set(re.findall(r"(\d)[<>]", closed))
    assert set((tmp_path / "open").read_text().split()) == left
    assert "exit 3" in (tmp_path / "report").read_text()
    assert '"status":3' in (tmp_path / "run.jsonl").read_text().splitlines()[-1]


def test_what_is_no_utf_8_is_run_as_it_is_and_shown_with_replacements(tmp_path: Path):
    folder = os.fsencode(tmp_path) + b"/new\nline\xff"
    os.mkdir(folder)
    command = folder + b"/echo\xfe"
    os.symlink("/bin/echo", command)
    environment = os.environb | {b"GOFLAGS": b"\xfd"}
    arguments = ["trace", "--no-keep", "-o", "report", "-w", "run.jsonl", "-w", "run.pcapng", "--label", b"a=\xfc"]
    run = [*PROGRAM, *arguments, "--", command, b"\xff\n"]
    done = subprocess.run(run, capture_output=True, check=False, env=environment, cwd=folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"\xff\n\n", b"")
    assert "�" in Path(os.fsdecode(folder), "report").read_text()
    again = program("report", "run.pcapng", cwd=folder, env=os.environ | {"COLUMNS": "100"})
    assert (again.returncode, again.stdout) == (0, Path(os.fsdecode(folder), "report").read_text())


WAITS = """echo $PPID > tracer; while [ ! -e goon ]; do :; done; sleep 0.5; exit STATUS"""


def trace_and_kill(folder: Path, which: int, status: int) -> subprocess.CompletedProcess[str]:
    """Kill one of the tracer's processes, by order of their start, while the command runs."""
    command = ["sh", "-c", WAITS.replace("STATUS", str(status))]
    options = ["--no-keep", "-o", "report", "-w", "run.jsonl"]
    process = subprocess.Popen([*PROGRAM, "trace", *options, "--", *command], stderr=subprocess.PIPE, text=True)
    tracer = folder / "tracer"
    while not tracer.exists() or not tracer.read_text().endswith("\n"):
        assert process.poll() is None
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) == 3
    victim = int(sorted(children, key=int)[which])
    os.kill(victim, signal.SIGKILL)
    while Path(f"/proc/{victim}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        pass
    (folder / "goon").touch()
    _, errors = process.communicate(timeout=60)
    return subprocess.CompletedProcess(command, process.returncode, "", errors)


def test_a_run_whose_reader_of_executables_is_killed_says_what_was_not_looked_at(tmp_path: Path):
    done = trace_and_kill(tmp_path, 1, 0)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.match(r"INCOMPLETE +[12] records? lost \(programs_not_looked_at\)", (tmp_path / "report").read_text())


@pytest.mark.parametrize(("status", "wanted"), [(5, 5), (0, 125)])
def test_a_run_whose_decoder_is_killed_says_so_and_keeps_what_status_there_is(tmp_path: Path, status: int, wanted: int):
    done = trace_and_kill(tmp_path, 2, status)
    assert done.returncode == wanted
    assert done.stderr == "goproxy-ebpf: the report is not complete: decoding ended early\n"


def test_a_low_limit_on_open_files_is_the_commands_and_not_ours(tmp_path: Path):
    command = [*PROGRAM, "trace", "--no-keep", "-q", "--", "sh", "-c", "ulimit -Sn"]
    done = subprocess.run(["sh", "-c", 'ulimit -Sn 24; "$@"', "sh", *command], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"24\n", b"")


def test_more_open_files_than_select_knows_are_no_problem(tmp_path: Path):
    held = [os.open("/dev/null", os.O_RDONLY) for _ in range(1100)]
    try:
        done = program("trace", "--no-keep", "--", "true", pass_fds=held)
    finally:
        for descriptor in held:
            os.close(descriptor)
    assert done.returncode == 0
    assert done.stderr.startswith("NO PROXY ASKED")


def test_an_environment_of_two_megabytes_arrives(tmp_path: Path):
    large = {f"LARGE_{number}": "x" * 100_000 for number in range(18)}
    run = trace(tmp_path / "run", ["sh", "-c", "env | wc -c"], environment=large)
    assert run.status == 0
    assert int(run.stdout) > 1_800_000


FLOOD = """
import signal, socket, sys, threading
near = socket.create_server(("127.0.0.1", 0))
to = socket.create_connection(near.getsockname())
end, _ = near.accept()

def read():
    while end.recv(1 << 20):
        pass

signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
threading.Thread(target=read, daemon=True).start()
data = bytes(1 << 20)
for number in range(40000):
    to.sendall(data)
    if number == 500:
        print("ready", flush=True)
"""


def test_a_run_that_fills_the_ring_without_end_still_gets_its_signals(tmp_path: Path):
    command = [*PROGRAM, "trace", "--no-keep", "-q", "--ring-kib", "8192", "--", sys.executable, "-I", "-c", FLOOD]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 7
