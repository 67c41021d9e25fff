"""The traced command: its output, its end, its signals and its terminal are what they would be without us."""

import os
import re
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from goproxy_ebpf.capture.cgroup import own_path

from .. import gobins
from . import leftovers
from .harness import PROGRAM, program
from .terminal import Terminal

TRACE = (*PROGRAM, "trace")


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts ``trace OPTIONS -- COMMAND`` and gives it when the command has said "ready"."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: str, **more: object) -> subprocess.Popen[str]:
        options: dict = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen([*TRACE, *arguments], **options | more)
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()


def script(path: Path, text: str, mode: int = 0o755) -> str:
    path.write_text(text)
    path.chmod(mode)
    return f"./{path.name}"


@pytest.mark.parametrize("status", [0, 3, 125, 255])
def test_the_status_is_the_childs(status: int):
    done = program("trace", "--", "sh", "-c", f"exit {status}")
    assert (done.returncode, done.stdout) == (status, "")
    assert f"exit {status}" in done.stderr


@pytest.mark.parametrize("name", ["TERM", "SEGV", "KILL", "HUP", "PIPE", "INT", "QUIT", "ABRT", "USR1"])
def test_a_child_that_a_signal_killed_ends_us_by_the_same_signal(tmp_path: Path, name: str):
    number = signal.Signals[f"SIG{name}"]
    done = program("trace", "--", "sh", "-c", f"kill -{name} $$")
    assert done.returncode == -number
    assert f"killed by SIG{name}" in done.stderr
    assert not list(tmp_path.glob("core*"))


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        ("no-such-command", 127, "no-such-command: not found in PATH"),
        ("./nothing", 127, "./nothing: no such file"),
        ("./plain", 126, "./plain: not executable"),
        ("./folder", 126, "./folder: not a program"),
        ("./orphan", 127, "./orphan: its interpreter does not exist"),
        ("./folder/x", 127, "./folder/x: no such file"),
    ],
)
def test_what_cannot_be_run_is_one_line_and_a_shells_status(tmp_path: Path, command: str, status: int, said: str):
    script(tmp_path / "plain", "text", 0o644)
    script(tmp_path / "empty", "")
    script(tmp_path / "orphan", "#!/no/such/interpreter\n")
    (tmp_path / "folder").mkdir()
    done = program("trace", "--", command)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", f"goproxy-ebpf: {said}\n")
    shell = subprocess.run(["bash", "-c", command], check=False, capture_output=True)
    assert done.returncode == shell.returncode


def test_a_program_that_is_being_written_is_not_executable(tmp_path: Path):
    busy = tmp_path / "busy"
    busy.write_bytes(Path("/bin/true").read_bytes())
    busy.chmod(0o755)
    with busy.open("ab"):
        done = program("trace", "--", "./busy")
    assert (done.returncode, done.stderr) == (126, "goproxy-ebpf: ./busy: Text file busy\n")


@pytest.mark.parametrize("first", ["", "#!/bin/sh\n"])
def test_a_script_is_run_as_the_shell_runs_it(tmp_path: Path, first: str):
    name = script(tmp_path / "script", first + 'echo "$0" "$@"; exit 7\n')
    done = program("trace", "--", name, "a b", "--cold", "-q")
    assert (done.returncode, done.stdout) == (7, "./script a b --cold -q\n")


def test_options_behind_the_command_are_the_commands(tmp_path: Path):
    done = program("trace", "-q", "echo", "-q", "--bogus", "--", "-w")
    assert (done.returncode, done.stdout, done.stderr) == (0, "-q --bogus -- -w\n", "")


def test_standard_streams_are_the_childs_alone(tmp_path: Path):
    writes = "cat; head -c 100000 /dev/urandom | tee copy; tail -c 5000 copy >&2; echo x >&3"
    command = ["bash", "-c", 'exec "$@" 3>three', "bash", *TRACE, "-o", "report", "--", "sh", "-c", writes]
    done = subprocess.run(command, check=False, capture_output=True, input=b"\xff\0in")
    written = (tmp_path / "copy").read_bytes()
    assert done.stdout == b"\xff\0in" + written
    assert done.stderr == written[-5000:]
    assert (tmp_path / "three").read_text() == "x\n"
    assert "NO PROXY ASKED" in (tmp_path / "report").read_text()


def test_the_child_has_our_descriptors_signals_limits_and_nothing_of_ours(tmp_path: Path):
    command = ["sh", "-c", "ls -l /proc/self/fd | sed 's/.*-> //'; grep Sig /proc/self/status; ulimit -a; umask; env"]
    own = {"PATH": os.environ["PATH"], "A": "1"}
    plain = subprocess.run(command, check=True, capture_output=True, text=True, env=own, umask=0o027)
    traced = program("trace", "-q", "--no-keep", "--", *command, env=own, umask=0o027)
    anonymous = [re.sub(r"pipe:\[\d+\]|/proc/\d+", "?", each.stdout) for each in (plain, traced)]
    assert anonymous[0] == anonymous[1]


def test_a_reader_that_goes_away_is_the_childs_affair(tmp_path: Path):
    line = f"{' '.join(TRACE)} -o report -- yes | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], check=False, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("y\n141\n", "")
    assert "killed by SIGPIPE" in (tmp_path / "report").read_text()


def test_a_removed_directory_keeps_nothing_from_running(tmp_path: Path):
    gone = tmp_path / "gone"
    gone.mkdir()
    done = subprocess.run(
        ["bash", "-c", f"cd gone && rmdir ../gone && exec {' '.join(TRACE)} -q -- echo hello"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello\n", "")


# Signals ---------------------------------------------------------------------------------------------------------

COUNTING = """
import signal, sys
seen = []
for name in ("SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"):
    def handler(number, _frame):
        seen.append(signal.Signals(number).name)
        print("got", seen[-1], flush=True)
    signal.signal(getattr(signal, name), handler)
print("ready", flush=True)
sys.stdin.readline()
print("all", *seen, flush=True)
sys.exit(5)
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2"])
def test_a_signal_sent_to_us_reaches_the_child_once(start, name: str):
    process = start("--", "/usr/bin/python3", "-c", COUNTING)
    process.send_signal(signal.Signals[name])
    assert process.stdout.readline() == f"got {name}\n"
    stdout, stderr = process.communicate("\n", timeout=30)
    assert (process.returncode, stdout) == (5, f"all {name}\n")
    assert "exit 5" in stderr


def test_a_childs_default_end_by_a_signal_sent_to_us_is_ours(start):
    process = start("--", "sh", "-c", "echo ready; exec sleep 300")
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGTERM
    assert "killed by SIGTERM" in stderr


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_before_the_child_runs_ends_us_with_nothing_run(tmp_path: Path, name: str):
    """Sent when the first BPF program is there, which is before the child is let go."""
    process = subprocess.Popen(
        [*TRACE, "--cold", "--", "touch", "ran"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=dict(os.environ) | {"TMPDIR": str(tmp_path)}
    )  # fmt: skip
    while process.poll() is None and not leftovers.cgroups():
        pass
    process.send_signal(signal.Signals[name])
    stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stdout, stderr) == (-signal.Signals[name], "", "")
    assert not (tmp_path / "ran").exists()
    assert not list(tmp_path.glob("goproxy-ebpf-cold*"))


def test_the_terminals_interrupt_reaches_the_child_once_and_the_report_is_printed():
    with Terminal([*TRACE, "--", "/usr/bin/python3", "-c", COUNTING]) as terminal:
        terminal.wait_for("ready")
        terminal.type("\x03")
        terminal.wait_for("got SIGINT")
        terminal.type("\x1c")
        terminal.wait_for("got SIGQUIT")
        terminal.type("\n")
        terminal.wait_for("all SIGINT SIGQUIT\r\n")
        terminal.wait_for("NO PROXY ASKED|FAILED")
        terminal.wait_for("exit 5")
        assert terminal.status() == 5


def test_the_terminals_interrupt_ends_what_does_not_handle_it_and_the_report_is_printed():
    with Terminal([*TRACE, "--", "sh", "-c", "echo ready; exec sleep 300"]) as terminal:
        terminal.wait_for("ready")
        terminal.type("\x03")
        terminal.wait_for("killed by SIGINT")
        assert terminal.status() == -signal.SIGINT


def test_a_job_is_stopped_and_goes_on():
    with Terminal(
        ["bash", "--norc", "--noprofile", "-i"], env={"PS1": "prompt> ", "PATH": os.environ["PATH"]}
    ) as shell:
        shell.wait_for("prompt> ")
        shell.type(f"{' '.join(TRACE)} --no-keep -- sh -c 'echo rea''dy; read line; echo \"<$line>\"; exit 6'\n")
        shell.wait_for("ready\r\n")
        shell.type("\x1a")
        shell.wait_for("Stopped")
        shell.wait_for("prompt> ")
        shell.type("fg\n")
        shell.wait_for("fg\r\n")
        shell.type("input\n")
        shell.wait_for("<input>")
        shell.wait_for("exit 6")
        shell.wait_for("prompt> ")
        shell.type("echo status=$?\n")
        shell.wait_for("status=6")
        shell.type("exit\n")
        assert shell.status() == 0


# Survivors and kill -9 -------------------------------------------------------------------------------------------


def cgroup_of(pid: int) -> str:
    return own_path(Path(f"/proc/{pid}/cgroup").read_text())


def test_what_survives_the_child_lives_on_in_the_callers_cgroup():
    done = program("trace", "-q", "--", "sh", "-c", "sleep 300 >/dev/null 2>&1 & echo $!")
    survivor = int(done.stdout)
    try:
        assert done.returncode == 0
        assert Path(f"/proc/{survivor}/comm").read_text() == "sleep\n"
        assert cgroup_of(survivor) == cgroup_of(os.getpid())
    finally:
        os.kill(survivor, signal.SIGKILL)


def test_a_killed_tracer_leaves_the_child_to_its_normal_end(tmp_path: Path, start):
    before = leftovers.now()
    process = start("-o", "report", "--", "sh", "-c", "echo ready; cat; echo done >end")
    kinds = {thing.split()[0] for thing in leftovers.now() - before}
    assert kinds == {"program", "cgroup", "process"}  # what the fixture looks for, it sees
    process.kill()
    process.wait()
    assert [left for left in leftovers.after(before, 3) if not left.startswith("cgroup ")] == []
    assert not (tmp_path / "end").exists()
    process.stdin.write("still here")
    process.stdin.close()
    assert process.stdout.read() == "still here"
    assert process.stderr.read() == ""
    assert (tmp_path / "end").read_text() == "done\n"
    assert [left.split()[0] for left in leftovers.now() - before] == ["cgroup"]
    assert program("trace", "-q", "--", "true").returncode == 0
    assert leftovers.after(before, 3) == []  # what closes the probes behind it takes a moment


# Programs that are not go ----------------------------------------------------------------------------------------

HELLO = 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("hello") }\n'


@pytest.mark.parametrize("flags", [("-ldflags=-s -w",), ("-buildmode=pie",)])
def test_a_go_program_without_tls_is_traced_and_said_to_have_asked_nothing(flags: tuple[str, ...]):
    binary = gobins.build(HELLO, *flags, CGO_ENABLED="0")
    done = program("trace", "--", str(binary))
    assert (done.returncode, done.stdout) == (0, "hello\n")
    assert done.stderr.startswith("NO PROXY ASKED  no go command ran")
    assert "speaks no TLS" in done.stderr


def test_a_file_that_only_looks_like_a_program_is_run_and_said_to_be_no_go(tmp_path: Path):
    damaged = tmp_path / "damaged"
    damaged.write_bytes(Path("/bin/true").read_bytes()[:4096])
    damaged.chmod(0o755)
    done = program("trace", "--", "./damaged")
    plain = subprocess.run(["bash", "-c", "./damaged"], check=False, capture_output=True)
    assert done.returncode in (plain.returncode, -signal.SIGSEGV)
    assert "Traceback" not in done.stderr


def test_a_go_command_that_asks_no_proxy_is_told_of_the_cache():
    done = program("trace", "--", str(gobins.installed()), "version")
    assert done.stderr.startswith("NO PROXY ASKED  go opened no connection: everything it needed was in its cache.")
    assert "--cold" in done.stderr


def test_outputs_of_a_run_are_the_callers_with_their_umask(tmp_path: Path):
    done = program("trace", "-w", "a.pcapng", "-w", "a.jsonl", "-o", "report", "--", "true", umask=0o022)
    assert (done.returncode, done.stderr) == (0, "")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob("*") if path.is_file()}
    assert modes == {"a.pcapng": 0o600, "a.jsonl": 0o644, "report": 0o644}  # a capture holds the keys
