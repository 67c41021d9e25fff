"""The offline commands: what they print, and every way in which they can fail, as one line and a status."""

import io
import json
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import msgspec
import pytest

from goproxy_ebpf import __version__
from goproxy_ebpf.capfile import CaptureWriter
from goproxy_ebpf.cli.main import COMMANDS, main
from goproxy_ebpf.framelog import encode, read_log
from goproxy_ebpf.framelog.keep import name_of
from goproxy_ebpf.records.capture import Loss, RunEnd, RunHeader, Secret
from goproxy_ebpf.records.log import Frame, Gap, Header, Summary
from goproxy_ebpf.report.document import render_json
from goproxy_ebpf.report.text import render
from tests.gin_like import START, fold, records

ROOT = Path(__file__).resolve().parents[2]


class FakePipeline:
    """Stands in for the decoder, which these commands only pass records to."""

    def feed(self, record):
        if isinstance(record, RunHeader):
            yield Header(record.at_ns, source=record.source, argv=record.argv)
        elif isinstance(record, Loss):
            yield Gap(record.at_ns, "capture", record.length_bytes, record.where, records=record.records)

    def finish(self):
        yield Summary(START + 5, START, 0)


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path):
    """No terminal, no colour, no kept runs, no decoder."""
    for name in ("COLUMNS", "NO_COLOR", "SUDO_UID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    fake = types.ModuleType("goproxy_ebpf.pipeline")
    fake.Pipeline = FakePipeline
    monkeypatch.setitem(sys.modules, "goproxy_ebpf.pipeline", fake)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def log(tmp_path) -> Path:
    path = tmp_path / "run.jsonl"
    path.write_bytes(b"".join(map(encode, records())))
    return path


@pytest.fixture
def capture(tmp_path) -> Path:
    path = tmp_path / "run.pcapng"
    with path.open("w+b") as file:
        writer = CaptureWriter(file)
        writer.write(RunHeader(START, "ebpf", argv=("go", "build")))
        writer.write(RunEnd(START + 5, 0))
        writer.close()
    return path


@pytest.fixture
def run(capsysbinary):
    """Runs a command: its status, standard output and standard error."""

    def call(*arguments) -> tuple[int, str, str]:
        status = main([str(argument) for argument in arguments])
        out, err = capsysbinary.readouterr()
        return status, out.decode(), err.decode()

    return call


def test_report_of_a_log_is_the_text_of_its_trace(run, log):
    assert run("report", log) == (0, render(fold(records()), 100), "")


def test_columns_set_the_width(run, log, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    assert run("report", log)[1] == render(fold(records()), 160)


@pytest.mark.parametrize("columns", ["", "0", "-5", "x", "9" * 30, "²"])
def test_columns_that_are_no_width_are_ignored(run, log, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    assert run("report", log)[1] == render(fold(records()), 100)


def test_report_as_json(run, log):
    assert run("report", log, "--format", "json") == (0, render_json(fold(records())).decode(), "")


def test_report_lists_requests_and_frames_when_asked(run, log):
    status, out, err = run("report", log, "--frames", "--requests")
    assert (status, err) == (0, "")
    assert out.endswith("\n\n" + render(fold(records()), 100, all_requests=True))
    numbers = re.findall(r"^ *([0-9]+) +[+-][0-9.]+ ", out, re.MULTILINE)
    assert numbers == [str(record.n) for record in records() if isinstance(record, Frame)]


def test_colour_is_for_terminals_unless_asked_for(run, log):
    assert "\x1b" not in run("report", log)[1]
    assert "\x1b" not in run("report", log, "--color", "never")[1]
    assert run("report", log, "--color", "always")[1] == render(fold(records()), 100, colour=True)


@pytest.mark.parametrize(("variable", "coloured"), [("", True), ("1", False)])
def test_a_terminal_has_colour_and_no_color_takes_it_away(log, monkeypatch, variable, coloured):
    from goproxy_ebpf.cli.output import shape

    class Terminal(io.StringIO):
        def isatty(self):
            return True

        def fileno(self):
            raise ValueError("no file")

    monkeypatch.setenv("NO_COLOR", variable)
    monkeypatch.setenv("TERM", "xterm")
    assert shape(Terminal(), "auto").colour is coloured
    assert shape(Terminal(), "always").colour
    assert not shape(Terminal(), "never").colour
    monkeypatch.setenv("TERM", "dumb")
    assert not shape(Terminal(), "auto").colour
    assert shape(Terminal(), "auto").width == 100


def test_report_into_a_file(run, log, tmp_path):
    out = tmp_path / "report.txt"
    assert run("report", log, "-o", out) == (0, "", "")
    assert out.read_text() == render(fold(records()), 100)


def test_report_without_a_file_is_that_of_the_newest_kept_run(run, log, tmp_path):
    kept = tmp_path / "state" / "goproxy-ebpf"
    kept.mkdir(parents=True)
    (kept / name_of(START, "a", ".jsonl")).write_bytes(log.read_bytes())
    (kept / "zzz.jsonl").write_text("none of ours")
    assert run("report") == run("report", log)
    (kept / name_of(START + 10**9, "b", ".jsonl")).write_bytes(encode(Header(START, argv=("newer",))))
    assert "newer" in run("report")[1]


def test_a_log_from_standard_input_through_a_pipe(log):
    command = [sys.executable, "-m", "goproxy_ebpf", "report", "-"]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(command, input=log.read_bytes(), capture_output=True, check=False, cwd=ROOT, env=environment)
    assert (done.returncode, done.stdout.decode(), done.stderr) == (0, render(fold(records()), 100), b"")


def test_a_capture_goes_through_the_pipeline(run, capture):
    status, out, err = run("report", capture)
    assert (status, err) == (0, "")
    assert out.splitlines()[:2] == [
        "NO PROXY ASKED  no go command ran, and nothing that ran has Go's TLS in it.",
        "command       go build",
    ]


def test_a_capture_that_was_cut_has_its_report_with_the_gap(run, capture):
    capture.write_bytes(capture.read_bytes()[:-3])
    status, out, err = run("report", capture)
    assert (status, err) == (2, f"goproxy-ebpf: {capture}: is cut; shown is what could be read of it\n")
    assert out.startswith("INCOMPLETE")
    assert "file cut" in out


def test_a_log_that_was_cut_has_its_report_and_says_so(run, log):
    log.write_bytes(log.read_bytes()[:-200])
    status, out, err = run("report", log)
    assert (status, err) == (2, f"goproxy-ebpf: {log}: is cut; shown is what could be read of it\n")
    assert out.startswith("INCOMPLETE")
    assert "the log ends before the run did" in " ".join(out.split())


def test_a_log_without_its_last_lines_is_no_whole_run(run, log, tmp_path):
    """Cut between two lines, or still being written: what is there is shown, by every command."""
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))
    why = "ends before its run did (cut, or still being written)"
    said = f"goproxy-ebpf: {log}: {why}; shown is what could be read of it\n"
    status, out, err = run("report", log)
    assert (status, out.split()[0], err) == (2, "INCOMPLETE", said)
    status, out, err = run("export", "--format", "jsonl", log)
    assert (status, err) == (2, said)
    assert out.startswith('{"kind":"header"')
    target = tmp_path / "again.jsonl"
    assert run("decode", log, "-w", target) == (2, "", said)
    assert target.read_bytes() == log.read_bytes()


def test_decode_makes_a_log_of_a_capture(run, capture, tmp_path):
    target = tmp_path / "made.jsonl"
    assert run("decode", capture, "-w", target) == (0, "", "")
    with target.open("rb") as file:
        assert list(read_log(file)) == [
            Header(START, source="ebpf", argv=("go", "build")),
            Summary(START + 5, START, 0),
        ]


def test_decode_packs_a_log_whose_name_says_so(run, log, tmp_path):
    target = tmp_path / "made.jsonl.zst"
    assert run("decode", log, "-w", target) == (0, "", "")
    assert target.read_bytes()[:4] == b"\x28\xb5\x2f\xfd"
    assert run("report", target) == run("report", log)


def test_export_jsonl_is_the_log_with_its_findings(run, log):
    found = records()
    found[-1] = msgspec.structs.replace(found[-1], status=3)
    log.write_bytes(b"".join(map(encode, found)))
    status, out, err = run("export", log, "--format", "jsonl")
    lines = out.splitlines()
    assert (status, err) == (0, "")
    assert [line.encode() + b"\n" for line in lines if '"kind":"finding"' not in line] == [encode(one) for one in found]
    assert [json.loads(line)["rule"] for line in lines if '"kind":"finding"' in line] == ["child-failed"]
    assert json.loads(lines[-1])["kind"] == "summary"


KEYS = f"# keys\nCLIENT_RANDOM {'ab' * 32} {'cd' * 48}\n".encode()
OFFLINE = [["report"], ["export", "--format", "jsonl"], ["decode", "-w", "out.jsonl"]]


@pytest.mark.parametrize("command", OFFLINE)
def test_a_key_log_beside_a_capture_is_decoded_with_it(run, capture, tmp_path, monkeypatch, command):
    fed = []

    class Remembering(FakePipeline):
        def feed(self, record):
            fed.append(record)
            return super().feed(record)

    monkeypatch.setattr(sys.modules["goproxy_ebpf.pipeline"], "Pipeline", Remembering)
    make(tmp_path, "keys.log", KEYS)
    assert run(*command, capture, "--keylog", "keys.log")[::2] == (0, "")
    assert fed == [
        RunHeader(START, "ebpf", argv=("go", "build")),
        Secret(0, 0, "CLIENT_RANDOM", b"\xab" * 32, b"\xcd" * 48),
        RunEnd(START + 5, 0),
    ]


@pytest.mark.parametrize("command", OFFLINE)
@pytest.mark.parametrize(
    "case",
    [
        ("run.pcapng", "none.log", "none.log: No such file or directory"),
        ("run.pcapng", ".", ".: Is a directory"),
        (
            "run.pcapng",
            "run.jsonl",
            "run.jsonl: The key log holds no TLS secret: it is not the file that SSLKEYLOGFILE named.",
        ),
        (
            "run.jsonl",
            "keys.log",
            "--keylog goes with a capture: run.jsonl is a frame log, which is decrypted already",
        ),
        ("none", "keys.log", "none: No such file or directory"),
    ],
)
@pytest.mark.usefixtures("log", "capture")
def test_a_key_log_that_is_none_or_goes_with_nothing_is_one_line_and_status_2(run, tmp_path, command, case):
    file, keys, line = case
    make(tmp_path, "keys.log", KEYS)
    assert run(*command, file, "--keylog", keys) == (2, "", f"goproxy-ebpf: {line}\n")
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize("command", [["report", "-o"], ["export", "--format", "jsonl", "-o"], ["decode", "-w"]])
def test_a_key_log_is_not_written_over(run, capture, tmp_path, command):
    make(tmp_path, "keys.jsonl", KEYS)
    found = run(*command, "keys.jsonl", capture, "--keylog", "keys.jsonl")
    assert found == (2, "", "goproxy-ebpf: keys.jsonl is a file that is read; write to another one\n")
    assert (tmp_path / "keys.jsonl").read_bytes() == KEYS


def make(tmp_path: Path, name: str, data: bytes) -> str:
    (tmp_path / name).write_bytes(data)
    return name


@pytest.mark.parametrize("command", OFFLINE)
@pytest.mark.parametrize(
    "case",
    [
        ("empty", b"", "is empty"),
        ("other", b"\x7fELF\x02\x01\x01", "neither a capture (pcapng) nor a frame log (JSON lines)"),
        ("text", b"hello\n", "neither a capture (pcapng) nor a frame log (JSON lines)"),
        ("short", b"\n", "neither a capture (pcapng) nor a frame log (JSON lines)"),
        ("json", b'{"a": 1}\n', ""),
        ("noise.zst", b"\x28\xb5\x2f\xfd" + b"\xff" * 40, ""),
        ("noise.pcapng", b"\x0a\x0d\x0d\x0a" + b"\xff" * 40, ""),
        ("cut.pcapng", b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c", "nothing of this capture can be read: file cut"),
    ],
)
def test_a_file_that_is_no_run_is_one_line_and_status_2(run, tmp_path, command, case):
    name, data, words = case
    status, out, err = run(*command, make(tmp_path, name, data))
    assert (status, out) == (2, "")
    assert err.startswith(f"goproxy-ebpf: {name}: ")
    assert err.count("\n") == 1
    assert words in err
    assert not (tmp_path / "out.jsonl").exists()


def test_a_log_of_a_newer_schema_is_one_line_and_status_2(run, tmp_path):
    newer = encode(Header(START, schema="goproxy-ebpf/999"))
    status, out, err = run("report", make(tmp_path, "newer.jsonl", newer))
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("goproxy-ebpf: newer.jsonl: ")
    assert "999" in err


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["report", "none"], "none: No such file or directory"),
        (["report", "."], ".: Is a directory"),
        (["report"], "no run was kept in {state}/goproxy-ebpf: name a file, or trace something first"),
        (
            ["export", "--format", "jsonl"],
            "no run was kept in {state}/goproxy-ebpf: name a file, or trace something first",
        ),
        (["report", "run.jsonl", "-o", "no/such/file"], "no/such/file: No such file or directory"),
        (["report", "run.jsonl", "-o", "run.jsonl"], "run.jsonl is a file that is read; write to another one"),
        (["report", "run.jsonl", "-o", "./run.jsonl"], "./run.jsonl is a file that is read; write to another one"),
        (
            ["report", "run.jsonl", "--format", "json", "--frames"],
            "--frames and --requests go with --format text: JSON has every request, export every frame",
        ),
        (["decode", "run.jsonl", "-w", "x.txt"], "-w x.txt: a frame log's name ends in .jsonl or .jsonl.zst"),
        (["decode", "run.jsonl", "-w", "run.jsonl"], "run.jsonl is a file that is read; write to another one"),
        (["decode", "run.jsonl", "-w", "no/x.jsonl"], "no/x.jsonl: No such file or directory"),
        (
            ["decode", "run.jsonl"],
            "decode: Missing option '-w' / '--write'; see goproxy-ebpf decode --help",
        ),
        (["decode"], "decode: Missing argument 'FILE'; see goproxy-ebpf decode --help"),
        (
            ["export", "run.jsonl", "--format", "har"],
            "export: Invalid value for '--format': 'har' is not 'jsonl'; see goproxy-ebpf export --help",
        ),
        (
            ["report", "run.jsonl", "--format", "html"],
            "report: Invalid value for '--format': 'html' is not one of 'text', 'json'; see goproxy-ebpf report --help",
        ),
        (["report", "--bogus"], "report: No such option '--bogus'; see goproxy-ebpf report --help"),
        (["bogus"], "No such command 'bogus'; see goproxy-ebpf --help"),
        (["report", "a\x1b[2J\nb"], r"a\x1b[2J b: No such file or directory"),
    ],
)
def test_a_failure_is_one_line_and_status_2(run, log, tmp_path, arguments, line):
    before = log.read_bytes()
    status, out, err = run(*arguments)
    assert (status, out, err) == (2, "", f"goproxy-ebpf: {line.replace('{state}', str(tmp_path / 'state'))}\n")
    assert log.read_bytes() == before


def test_a_full_disk_is_one_line(run, log):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    assert run("report", log, "-o", "/dev/full") == (2, "", "goproxy-ebpf: /dev/full: No space left on device\n")


def test_a_reader_that_goes_away_ends_it_quietly(log):
    command = [sys.executable, "-m", "goproxy_ebpf", "report", "--frames", str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as process:
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_a_stream_that_has_no_unicode_gets_question_marks(log):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    command = [sys.executable, "-m", "goproxy_ebpf", "report", str(log)]
    done = subprocess.run(command, capture_output=True, check=False, cwd=ROOT, env=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode("ascii") == render(fold(records()), 100).encode("ascii", "replace").decode()


def test_version_and_help(run):
    assert run("--version") == (0, f"goproxy-ebpf {__version__}\n", "")
    status, out, err = run("--help")
    assert (status, err) == (0, "")
    assert run() == (status, out, err) == run("-h")
    assert [line.split()[0] for line in out.split("Commands:\n")[1].splitlines()] == list(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_table_can_be_loaded_and_says_how_it_is_used(run, command):
    status, out, _ = run(command, "--help")
    assert status == 0
    assert out.startswith(f"Usage: goproxy-ebpf {command} ")


def test_help_loads_no_library_of_a_command():
    code = (
        "import sys; from goproxy_ebpf.cli.main import main; main(['--help']);"
        "heavy = {'bcc', 'msgspec', 'cryptography', 'h2', 'hpack', 'hyperframe', 'zstandard', 'dns', 'h11'};"
        "print('loaded', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=ROOT, text=True)
    assert done.stdout.splitlines()[-1] == "loaded []"


def test_report_of_a_log_loads_no_decoder_and_no_bcc(log):
    code = (
        f"import sys; from goproxy_ebpf.cli.main import main; main(['report', {str(log)!r}]);"
        "print('loaded', sorted({'bcc', 'cryptography', 'h2', 'hpack', 'hyperframe', 'dns', 'h11'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, cwd=ROOT, text=True)
    assert done.stdout.splitlines()[-1] == "loaded []"


@pytest.mark.parametrize("arguments", [("doctor",), ("trace", "true")])
def test_a_plain_pip_install_says_what_the_commands_that_it_is_not_for_lack(arguments):
    """Without the modules that only tracing needs: a stand-in for them that is not there."""
    hidden = "import sys; sys.modules.update(dict.fromkeys(('capstone', 'elftools', 'bcc'))); "
    start = hidden + "from goproxy_ebpf.cli.main import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", start, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (125, "", 1)
    assert f"goproxy-ebpf: {arguments[0]} needs the Python module elftools, which is not installed: " in done.stderr
    assert "scripts/install" in done.stderr
