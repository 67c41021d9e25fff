"""Who called, and what they would have run without sudo."""

import os
import pwd
import stat
import subprocess
from pathlib import Path

import pytest

from goproxy_ebpf.capture.caller import CallerError, acting_as, identify, parse_environment
from goproxy_ebpf.capture.child import CommandError, find_program, spawn

NOBODY = pwd.getpwnam("nobody")


def test_an_environment_is_read_as_the_kernel_writes_it():
    raw = b"PATH=/bin\0EMPTY=\0WITH=a=b\0\xff=\xfe\0nonsense\0=x\0"
    assert parse_environment(raw) == {"PATH": "/bin", "EMPTY": "", "WITH": "a=b", "\udcff": "\udcfe"}


def test_without_sudo_the_caller_is_whoever_runs_it():
    caller = identify(own={"PATH": "/bin", "HOME": "/somewhere"})
    assert (caller.uid, caller.home, caller.environment) == (
        os.getuid(),
        "/somewhere",
        {"PATH": "/bin", "HOME": "/somewhere"},
    )


def test_a_named_user_gets_that_users_identity():
    caller = identify("nobody", own={"PATH": "/bin", "HOME": "/root"})
    assert (caller.uid, caller.gid, caller.name) == (NOBODY.pw_uid, NOBODY.pw_gid, "nobody")
    assert caller.environment["HOME"] == NOBODY.pw_dir


def test_an_unknown_user_is_one_error():
    with pytest.raises(CallerError, match="no such user: nobody-at-all"):
        identify("nobody-at-all")


def test_kept_runs_are_where_the_callers_state_is():
    assert identify(own={"HOME": "/h"}).state_directory == Path("/h/.local/state/goproxy-ebpf")
    assert identify(own={"HOME": "/h", "XDG_STATE_HOME": "/s"}).state_directory == Path("/s/goproxy-ebpf")
    assert identify(own={"HOME": "/h", "XDG_STATE_HOME": "not/absolute"}).state_directory == Path(
        "/h/.local/state/goproxy-ebpf"
    )


def test_files_made_for_a_caller_are_the_callers(tmp_path: Path):
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents:
        if parent.stat().st_uid == 0 and parent != Path("/") and str(parent).startswith("/tmp/pytest"):
            parent.chmod(parent.stat().st_mode | stat.S_IXOTH | stat.S_IROTH)
    caller = identify("nobody")
    before = (os.geteuid(), os.getegid(), os.getgroups())
    with acting_as(caller):
        (tmp_path / "made").write_text("x")
    assert (os.geteuid(), os.getegid(), os.getgroups()) == before
    assert (tmp_path / "made").stat().st_uid == NOBODY.pw_uid
    with acting_as(caller), pytest.raises(PermissionError):
        Path("/etc/shadow").read_text()


def program(path: Path, mode: int, text: str = "#!/bin/sh\n") -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_program_is_found_as_execvp_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    program(first / "tool", 0o644)
    good = program(second / "tool", 0o755)
    monkeypatch.chdir(tmp_path)
    assert find_program("tool", f"{first}:{second}") == str(good)
    assert find_program("./b/tool", "") == "./b/tool"
    assert find_program("tool", "b:/bin") == "b/tool"
    monkeypatch.chdir(second)
    assert find_program("tool", ":/bin") == "./tool"


def test_what_may_not_be_looked_into_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    closed = tmp_path / "closed"
    closed.mkdir(0o700)
    program(closed / "env", 0o755)
    with acting_as(identify("nobody")):
        assert find_program("env", f"{closed}:{'/' + 'x' * 300}:/usr/bin") == "/usr/bin/env"
        with pytest.raises(CommandError, match="closed/env: Permission denied") as caught:
            find_program(f"{closed}/env", "")
        with pytest.raises(CommandError, match="nowhere: not found in PATH") as not_found:
            find_program("nowhere", f"{closed}:/usr/bin")
    assert (caught.value.status, not_found.value.status) == (126, 127)


@pytest.mark.parametrize(
    ("name", "status", "said"),
    [
        ("missing", 127, "missing: not found in PATH"),
        ("./missing", 127, "./missing: no such file"),
        ("./plain", 126, "not executable"),
        ("./folder", 126, "./folder: not a program"),
        ("", 127, ": not found in PATH"),
    ],
)
def test_what_cannot_be_run_has_a_shells_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, status: int, said: str
):
    monkeypatch.chdir(tmp_path)
    program(tmp_path / "plain", 0o644)
    (tmp_path / "folder").mkdir()
    with pytest.raises(CommandError, match=said) as caught:
        find_program(name, str(tmp_path))
    assert caught.value.status == status


def test_a_child_runs_only_when_released(tmp_path: Path):
    marker = tmp_path / "ran"
    caller = identify()
    child = spawn("/bin/sh", ["sh", "-c", f"echo > {marker}"], caller, {"PATH": "/bin"})
    assert not marker.exists()
    child.release()
    assert os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1]) == 0
    assert marker.exists()
    cancelled = spawn("/bin/sh", ["sh", "-c", f"echo > {marker}2"], caller, {"PATH": "/bin"})
    cancelled.cancel()
    assert not Path(f"{marker}2").exists()


def test_a_script_without_an_interpreter_line_is_given_to_the_shell(tmp_path: Path):
    script = program(tmp_path / "script", 0o755, "exit 7\n")
    child = spawn(str(script), ["script"], identify(), {"PATH": "/bin"})
    child.release()
    assert os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1]) == 7


def test_a_child_has_the_signal_dispositions_of_a_program_and_no_stray_descriptors(tmp_path: Path):
    out = tmp_path / "out"
    command = f"grep SigIgn /proc/self/status > {out}; ls /proc/self/fd >> {out}"
    child = spawn("/bin/sh", ["sh", "-c", command], identify(), {"PATH": "/bin"})
    child.release()
    os.waitpid(child.pid, 0)
    traced = out.read_text()
    subprocess.run(["/bin/sh", "-c", command], close_fds=False, env={"PATH": "/bin"}, check=True)
    assert traced.split("\n")[1:] == out.read_text().split("\n")[1:]
    assert int(traced.split()[1], 16) & (1 << 12 | 1 << 24) == 0  # SIGPIPE and SIGXFSZ, which Python ignores
