"""Under sudo the child is what the caller would have run: the user, the environment, the limits, and who owns what."""

import os
import re
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .. import gobins
from .accounts import Account, account
from .conftest import Proxy
from .harness import PROGRAM

pytestmark = pytest.mark.skipif(shutil.which("sudo") is None, reason="needs sudo")


@pytest.fixture(scope="module")
def user() -> Iterator[Account]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with tempfile.TemporaryDirectory() as folder, account(Path(folder)) as made:
        yield made


@pytest.fixture(params=["use_pty", "!use_pty"])
def caller(request: pytest.FixtureRequest, user: Account) -> Iterator[Account]:
    """The user, with sudo in one of its two ways of running a command."""
    user.settings(request.param)
    yield user
    user.settings()


STEERING = {
    "GOPROXY": "https://proxy.example,direct",
    "GOPRIVATE": "example.com/private/*",
    "HTTPS_PROXY": "http://user:password@10.0.0.1:3128",
    "SSL_CERT_FILE": "/etc/own.pem",
    "SSH_AUTH_SOCK": "/tmp/agent",
    "LD_LIBRARY_PATH": "/own/lib",
    "PYTHONPATH": "/own/python",
    "BASH_FUNC_f%%": '() { echo "shell\'s"; }',
    "EMPTY": "",
    "LINES_AND_BYTES": "a\nb=\udcff",
    "XDG_STATE_HOME": "/nowhere/at/all",
}


def test_the_environment_is_the_users_to_the_byte(caller: Account):
    environment = caller.environment | STEERING
    plain = caller.run("env", "-0", env=environment)
    traced = caller.trace("-q", "--no-keep", "--", "env", "-0", env=environment)
    assert (traced.returncode, traced.stderr) == (0, "")
    assert traced.stdout == plain.stdout
    assert "GOPROXY=https://proxy.example,direct\0" in plain.stdout


LOOK = (
    'id; pwd; umask; ulimit -a; ulimit -aH; echo "$0"; grep -E "Sig(Blk|Ign|Cgt)|Cap|NoNew|Groups" /proc/self/status;'
    ' cat /proc/self/oom_score_adj; ls /proc/self/fd; cd / && ls -d "$HOME"'
)


def same_but_for_core(text: str) -> str:
    """sudo takes the core limit away from itself, and without CAP_SYS_RESOURCE nobody can give it back."""
    return re.sub(r"^core.*$|^.*coredump.*$", "", text, flags=re.MULTILINE)


def test_identity_directory_umask_limits_and_signals_are_the_users(caller: Account):
    extra = [caller.gid, *sorted({4, 27, 100} - {caller.gid})]
    plain = caller.run("bash", "-c", LOOK, extra_groups=extra)
    traced = caller.trace("-q", "--no-keep", "--", "bash", "-c", LOOK, extra_groups=extra)
    assert (traced.returncode, traced.stderr) == (0, "")
    assert same_but_for_core(traced.stdout) == same_but_for_core(plain.stdout)
    assert "0027" in plain.stdout


def test_what_sudo_is_told_to_do_to_root_does_not_reach_the_child(user: Account):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    user.settings("umask=0077", "umask_override", f'rlimit_nofile="77,{hard}"', "secure_path=/usr/bin", "set_home")
    try:
        look = "umask; ulimit -n; echo $PATH $HOME"
        assert user.run("sudo", "sh", "-c", look).stdout.splitlines()[:2] == ["0077", "77"]
        assert user.trace("-q", "--", "sh", "-c", look).stdout == user.run("sh", "-c", look).stdout
    finally:
        user.settings()


@pytest.mark.parametrize("depth", [1, 12])
def test_a_root_shell_under_sudo_still_knows_the_user(caller: Account, depth: int):
    nested = " ".join(PROGRAM) + ' trace -q -- sh -c "id -un; echo $((1)); env | grep ^GOPROXY"'
    shells = [
        "bash",
        "-c",
        'n=$1; shift; if [ "$n" = 0 ]; then eval "$*"; else bash -c "$BODY" x $((n - 1)) "$@"; fi; :',
    ]
    environment = caller.environment | {"GOPROXY": "https://proxy.example"}
    done = caller.run("sudo", f"BODY={shells[2]}", *shells, "x", str(depth), nested, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{caller.name}\n1\nGOPROXY=https://proxy.example\n"


def test_a_program_of_a_closed_directory_is_not_found_and_of_the_users_own_is(user: Account):
    (user.home / "bin").mkdir(exist_ok=True)
    own = user.home / "bin" / "own-tool"
    own.write_text("#!/bin/sh\necho mine\n")
    own.chmod(0o755)
    for path in (own, own.parent):
        os.chown(path, user.uid, user.gid)
    assert user.trace("-q", "--", "own-tool").stdout == "mine\n"
    missing = user.trace("--", "no-such-tool")
    assert (missing.returncode, missing.stderr) == (127, "goproxy-ebpf: no-such-tool: not found in PATH\n")
    tool = user.home.parent / "closed/tool"
    closed = user.trace("--", str(tool))
    assert (closed.returncode, closed.stderr) == (126, f"goproxy-ebpf: {tool}: Permission denied\n")


def test_all_that_is_written_is_the_users(caller: Account):
    shutil.rmtree(caller.home / ".local", ignore_errors=True)
    outputs = ("-w", "run.pcapng", "-w", "run.jsonl", "-w", "run.jsonl.zst", "-o", "report.txt", "--cold")
    done = caller.trace(*outputs, "--", "sh", "-c", 'ls -ld "$GOMODCACHE"')
    assert (done.returncode, done.stderr) == (0, "")
    assert f" {caller.name} " in done.stdout
    assert not Path(done.stdout.split()[-1]).exists()
    made = {path.name: f"{path.stat().st_mode & 0o777:o}" for path in caller.home.glob("r*")}
    assert made == {"run.pcapng": "600", "run.jsonl": "640", "run.jsonl.zst": "640", "report.txt": "640"}
    assert len(list((caller.home / ".local/state/goproxy-ebpf").iterdir())) == 1
    assert caller.owned_by_others() == []
    for path in [*caller.home.glob("r*"), *(caller.home / ".local/state/goproxy-ebpf").iterdir()]:
        path.unlink()


@pytest.mark.parametrize("option", [("-w", "x.pcapng"), ("-w", "x.jsonl"), ("-o", "x.txt")])
def test_what_only_root_may_write_is_refused_with_a_line(user: Account, option: tuple[str, str]):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        target = f"{folder}/{option[1]}"
        done = user.trace(option[0], target, "--", "echo", "ran")
        assert (done.returncode, done.stdout) == (125, "")
        assert done.stderr == f"goproxy-ebpf: {target}: Permission denied\n"
        assert os.listdir(folder) == []


def test_a_place_that_cannot_be_kept_in_is_said_and_the_run_goes_on(user: Account):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        os.mkdir(f"{folder}/goproxy-ebpf", 0o755)  # there, but root's
        environment = user.environment | {"XDG_STATE_HOME": folder}
        done = user.trace("-o", "report.txt", "--", "echo", "ran", env=environment)
        assert (done.returncode, done.stdout) == (0, "ran\n")
        assert re.fullmatch(
            rf"goproxy-ebpf: {folder}/goproxy-ebpf\S*: Permission denied: this run is not kept\n", done.stderr
        )


def test_report_opens_the_newest_run_with_sudo_and_without(user: Account):
    environment = user.environment | {"XDG_STATE_HOME": f"{user.home}/own-state"}
    for number in (1, 2):
        user.trace("-q", "--label", f"run={number}", "--", "true", env=environment)
    alone = user.run(*PROGRAM, "report", env=environment)
    with_sudo = user.run("sudo", *PROGRAM, "report", env=environment)
    assert "run=2" in alone.stdout
    assert (with_sudo.stdout, with_sudo.stderr) == (alone.stdout, "")


def test_a_real_go_under_sudo_leaves_nothing_of_roots(user: Account, proxy: Proxy):
    ca = user.home / "ca.pem"
    shutil.copy(proxy.environment.get("SSL_CERT_FILE", "/dev/null"), ca)
    ca.chmod(0o644)
    project = user.home / "project"
    shutil.copytree(proxy.project, project)
    for path in (project, *project.rglob("*")):
        os.chown(path, user.uid, user.gid)
    os.chown(ca, user.uid, user.gid)
    environment = (
        user.environment | proxy.environment | {"SSL_CERT_FILE": str(ca), "GOSUMDB": "off", "GOFLAGS": "-mod=mod"}
    )
    environment["PATH"] = f"{gobins.installed().parent}:{environment['PATH']}"
    done = user.trace("--", "go", "mod", "download", "all", env=environment, cwd=project)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("HEALTHY")
    assert user.owned_by_others() == []
    assert (user.home / "go/pkg/mod/cache/download").is_dir()
    # Only root can remove what is in a read-only directory; the throw-away cache is the user's, and go's.
    temporary = user.home / "tmp"
    temporary.mkdir()
    os.chown(temporary, user.uid, user.gid)
    environment["TMPDIR"] = str(temporary)
    check = 'go mod download all; find "$GOMODCACHE" -type d ! -perm /222 | wc -l; exit 4'
    cold = user.trace("--cold", "--", "sh", "-c", check, env=environment, cwd=project)
    assert cold.returncode == 4, cold.stderr
    assert int(cold.stdout) > 28
    assert "answered" in cold.stderr or "requests" in cold.stderr
    assert list(temporary.iterdir()) == []
    assert user.owned_by_others() == []


def test_who_reads_bytes_of_strangers_has_no_rights(caller: Account):
    process = caller.start("sudo", *PROGRAM, "trace", "-q", "--", "sh", "-c", "echo ready; read line")
    try:
        assert process.stdout.readline() == "ready\n"
        ids: dict[str, list[str]] = {}
        tracers = [pid for pid in os.listdir("/proc") if pid.isdigit() and is_traced_below(int(pid), process.pid)]
        for pid in tracers:
            fields = dict(re.findall(r"^(\w+):[ \t]*(.*)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE))
            ids[pid] = [
                fields["Uid"].split()[1],
                fields["CapEff"],
                fields["CapBnd"],
                fields["Groups"].strip(),
                fields["NoNewPrivs"],
            ]
        assert len(ids) == 3
        nobodys = [each for each in ids.values() if each[0] != "0"]
        assert nobodys == [["65534", "0" * 16, "0" * 16, "", "1"]] * 2
    finally:
        process.communicate("\n", timeout=30)


def is_traced_below(pid: int, top: int) -> bool:
    """Whether this is a process of ours, below ``top``."""
    try:
        if str(PROGRAM[1]).encode() not in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
            return False
        if Path(f"/proc/{pid}/comm").read_text() == "sudo\n":
            return False
        while pid > 1:
            if parent_of(pid) == top:
                return True
            pid = parent_of(pid)
    except OSError:
        pass
    return False


def parent_of(pid: int) -> int:
    return int(re.search(r"^PPid:\s*(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)[1])


def test_without_root_it_is_one_line(user: Account):
    done = user.run(*PROGRAM, "trace", "--", "true")
    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr == "goproxy-ebpf: trace loads BPF programs into the kernel, which needs root: run it with sudo\n"


def test_root_without_capabilities_is_one_line(tmp_path: Path):
    command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *PROGRAM, "trace", "--", "true"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr == (
        "goproxy-ebpf: this root lacks CAP_SETGID, CAP_SETUID, CAP_NET_ADMIN, CAP_PERFMON, CAP_BPF, which trace needs: "
        "in a container, run it with --privileged\n"
    )


def test_sudo_ends_by_the_childs_signal_and_passes_ours_on(caller: Account):
    process = caller.start(
        "sudo", *PROGRAM, "trace", "-q", "--", "sh", "-c", "trap 'echo got; exit 9' TERM; echo ready; read x; :"
    )
    assert process.stdout.readline() == "ready\n"
    (sudo,) = [
        int(pid)
        for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        if Path(f"/proc/{pid}/comm").read_text() == "sudo\n"
    ]
    os.kill(sudo, 15)
    assert process.stdout.readline() == "got\n"
    stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stdout, stderr) == (9, "", "")
