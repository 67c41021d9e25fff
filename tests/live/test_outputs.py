"""What trace's options do, each by what it leaves and by what it does not."""

import json
import os
import pwd
import re
import shutil
import stat
from pathlib import Path

import pytest

from goproxy_ebpf.framelog.keep import RUNS

from .. import gobins
from .conftest import Proxy
from .harness import program
from .test_against_go import download

NOBODY = pwd.getpwnam("nobody")


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)


def kept(folder: Path) -> list[str]:
    place = folder / "state/goproxy-ebpf"
    return sorted(path.name for path in place.iterdir()) if place.exists() else []


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_quiet_prints_nothing_and_keeps_the_run(tmp_path: Path):
    done = program("trace", "-q", "--", "sh", "-c", "echo out; echo err >&2")
    assert (done.returncode, done.stdout, done.stderr) == (0, "out\n", "err\n")
    assert len(kept(tmp_path)) == 1


def test_no_keep_leaves_nothing(tmp_path: Path):
    assert program("trace", "--no-keep", "--", "true").returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_the_report_goes_where_it_is_told(tmp_path: Path):
    done = program("trace", "-o", "report", "--", "true")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "report").read_text() == program("report").stdout


def test_json_needs_a_file_and_is_one_document_there(tmp_path: Path):
    refused = program("trace", "--format", "json", "--", "touch", "ran")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert not (tmp_path / "ran").exists()
    done = program("trace", "--format", "json", "-o", "report.json", "--", "true")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((tmp_path / "report.json").read_text()) == json.loads(
        program("report", "--format", "json").stdout
    )


def test_labels_stand_in_the_header_and_the_report(tmp_path: Path):
    done = program("trace", "--label", "job=a b", "--label", "n=1=2", "-w", "run.jsonl", "--", "true")
    assert lines(tmp_path / "run.jsonl")[0]["labels"] == {"job": "a b", "n": "1=2"}
    assert "job=a b  n=1=2" in re.sub(r" · ", "  ", done.stderr)


def test_the_environment_is_added_to_and_path_in_it_is_used(tmp_path: Path):
    tool = tmp_path / "tool"
    tool.write_text('#!/bin/sh\necho "$A|$B"\n')
    tool.chmod(0o755)
    done = program("trace", "-q", "-E", "A=1=2", "-E", "B=", "-E", f"PATH={tmp_path}:/bin", "--", "tool")
    assert (done.returncode, done.stdout) == (0, "1=2|\n")


def test_a_named_user_runs_it_and_owns_what_is_written(tmp_path: Path):
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(folder.stat().st_mode | 0o011)
    place = tmp_path / "place"
    place.mkdir()
    os.chown(place, NOBODY.pw_uid, NOBODY.pw_gid)
    done = program(
        "trace", "-u", "nobody", "--no-keep", "-w", "run.jsonl", "-o", "report", "--", "id", "-un", cwd=place
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "nobody\n", "")
    assert {path.name: path.stat().st_uid for path in place.iterdir()} == {
        "run.jsonl": NOBODY.pw_uid,
        "report": NOBODY.pw_uid,
    }
    assert lines(place / "run.jsonl")[0]["user"] == "nobody"
    number = program("trace", "-u", str(NOBODY.pw_uid), "-q", "--no-keep", "--", "id", "-un")
    assert number.stdout == "nobody\n"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("-u", "no-such-user"), 125, "no such user: no-such-user"),
        (("-u", "99999999999999"), 125, "no such user: 99999999999999"),
        (("-o", "nowhere/report"), 125, "nowhere/report: No such file or directory"),
        (("-o", "."), 125, ".: Is a directory"),
        (("-w", "nowhere/a.pcapng"), 125, "nowhere/a.pcapng: No such file or directory"),
        (("-w", "pipe.pcapng"), 125, "pipe.pcapng: a capture is written to a regular file only"),
        (("-w", "a.txt"), 2, "-w a.txt: the name ends in .pcapng, .jsonl or .jsonl.zst"),
        (("-w", "a.jsonl", "-o", "./a.jsonl"), 2, "-w and -o name the same file twice"),
        (("-E", "NAME"), 2, "-E NAME: NAME=VALUE is wanted"),
        (("--label", "=x"), 2, "--label =x: NAME=VALUE is wanted"),
        (("-o", "-"), 2, "-o -: standard output is the command's; name a file"),
        (("-q", "-o", "report"), 2, "-q prints no report, -o says where to: leave one of them out"),
        (("--ring-kib", "100"), 2, "--ring-kib 100: a power of two is wanted"),
        (("--ring-kib", "32"), 2, "trace: Invalid value for '--ring-kib': .*"),
        (("--tx", "other"), 2, "trace: Invalid value for '--tx': .*"),
        (("--format", "xml"), 2, "trace: Invalid value for '--format': .*"),
        (("--bogus",), 2, "trace: No such option.*--bogus.*"),
        (("--cold", "-u", "nobody", "-o", "nowhere/x"), 125, "nowhere/x: Permission denied"),
    ],
)
def test_what_cannot_be_is_one_line_and_nothing_is_run(tmp_path: Path, arguments, status: int, said: str):
    os.mkfifo(tmp_path / "pipe.pcapng")
    done = program("trace", *arguments, "--", "touch", "ran")
    assert (done.returncode, done.stdout) == (status, "")
    assert re.fullmatch(f"goproxy-ebpf: {said}\n", done.stderr), done.stderr
    assert not (tmp_path / "ran").exists()
    assert kept(tmp_path) == []


def test_no_command_is_one_line_and_help_needs_nothing():
    assert (
        program("trace").stderr == "goproxy-ebpf: trace: Missing argument '[--] CMD…'; see goproxy-ebpf trace --help\n"
    )
    done = program("trace", "--help", user=NOBODY.pw_uid, group=NOBODY.pw_gid)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--no-keep" in done.stdout


def test_a_cold_cache_that_cannot_be_made_is_one_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TMPDIR", "/no/such/place")
    done = program("trace", "--cold", "--", "true")
    assert (done.returncode, done.stderr) == (125, "goproxy-ebpf: --cold: /no/such/place: No such file or directory\n")


def test_the_last_runs_are_kept_and_report_opens_the_newest(tmp_path: Path):
    place = tmp_path / "state/goproxy-ebpf"
    place.mkdir(parents=True)
    old = [f"20200101T0000{number:02}.000Z-{number}.jsonl" for number in range(RUNS + 5)]
    for name in old:
        (place / name).write_text("old\n")
    (place / "mine.txt").write_text("not yours")
    program("trace", "-q", "--label", "which=first", "--", "true")
    program("trace", "-q", "--label", "which=second", "--", "true")
    runs = [name for name in kept(tmp_path) if name != "mine.txt"]
    assert (len(runs), runs[: RUNS - 2]) == (RUNS, old[-(RUNS - 2) :])
    assert (place / "mine.txt").exists()
    assert "which=second" in program("report").stdout


@pytest.mark.parametrize("command", [["./orphan"], ["no-such-command"]])
def test_a_command_that_could_not_be_run_is_not_the_newest_run(tmp_path: Path, command: list[str]):
    (tmp_path / "orphan").write_text("#!/no/such/interpreter\n")
    (tmp_path / "orphan").chmod(0o755)
    program("trace", "-q", "--label", "which=real", "--", "true")
    before = kept(tmp_path)
    assert program("trace", "--", *command).returncode == 127
    assert kept(tmp_path) == before


# A real go -------------------------------------------------------------------------------------------------------


def go_settings(folder: Path, proxy: Proxy) -> dict[str, str]:
    fixed = {"GOENV": "off", "GOTOOLCHAIN": "local", "GOSUMDB": "off", "GOFLAGS": "-mod=mod"}
    return (
        dict(os.environ) | proxy.environment | fixed | {"TMPDIR": str(folder / "tmp"), "GOPATH": str(folder / "gopath")}
    )


@pytest.mark.parametrize("fails", [False, True])
def test_a_cold_cache_is_filled_from_the_proxy_and_removed_although_go_makes_it_read_only(
    tmp_path: Path, proxy: Proxy, fails: bool
):
    (tmp_path / "tmp").mkdir()
    project = tmp_path / "project"
    shutil.copytree(proxy.project, project)
    command = f'"{gobins.installed()}" mod download all && go env GOMODCACHE && find "$GOMODCACHE" -maxdepth 1'
    command += ' && find "$GOMODCACHE" -type d ! -perm /222 -name "*@*"' + ("; kill -9 $$" if fails else "")
    environment = go_settings(tmp_path, proxy)
    environment["PATH"] = f"{gobins.installed().parent}:{environment['PATH']}"
    done = program("trace", "--cold", "--", "bash", "-c", command, env=environment, cwd=project)
    assert done.returncode == (-9 if fails else 0), done.stderr
    assert f"{tmp_path}/tmp/goproxy-ebpf-cold-" in done.stdout.splitlines()[0]
    assert "@v" in done.stdout  # read-only
    assert list((tmp_path / "tmp").iterdir()) == []
    assert not (tmp_path / "gopath/pkg/mod/cache/download").exists()
    assert "requests" in done.stderr


def test_frames_are_printed_one_a_line_before_the_report(tmp_path: Path, proxy: Proxy):
    run = download(tmp_path, proxy, "--frames")
    report = run.report.read_text()
    frames, _, rest = report.partition("\nHEALTHY")
    assert rest
    assert len(re.findall(r"\bWINDOW_UPDATE\b", frames)) >= sum(frame.type == "WINDOW_UPDATE" for frame in run.frames)
    for frame in run.frames[:50]:
        assert re.search(rf"^.*\b{frame.type}\b", frames, re.MULTILINE)


def test_a_run_with_a_small_ring_says_what_it_lost_or_lost_nothing(tmp_path: Path, proxy: Proxy):
    run = download(tmp_path, proxy, "--ring-kib", "64")
    assert run.status == 0
    lost = sum(value for name, value in run.summary.counters.items() if not name.endswith("_bytes"))
    assert lost > 0
    assert run.summary.lost_records >= lost
    assert run.report.read_text().startswith("INCOMPLETE")


def test_outputs_have_the_modes_that_their_secrets_want(tmp_path: Path, proxy: Proxy):
    run = download(tmp_path, proxy)
    assert stat.S_IMODE(run.capture.stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "state/goproxy-ebpf").stat().st_mode) == 0o700
