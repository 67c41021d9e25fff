"""The documents say what the program does: quoted output is made anew, commands run, fields are those of the code."""

import json
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from goproxy_ebpf.capfile import blocks, note
from goproxy_ebpf.cli.main import COMMANDS, PROGRAM, group
from goproxy_ebpf.diagnose import Finding, Word
from goproxy_ebpf.framelog.schema import PATH
from goproxy_ebpf.records import capture, flow, log
from scripts.documents import CHECKOUT, DOCUMENTS, EXAMPLE, MANUAL, manual, output_of, renewed

from .documents import PAGES, anchors, commands, links, prose, tables, text

REMEDY = "run scripts/documents.py"


@pytest.mark.parametrize("page", DOCUMENTS)
def test_what_a_page_quotes_is_what_the_program_prints(page):
    assert text(page) == renewed(text(page)), REMEDY


def test_the_first_thing_in_the_readme_is_the_report_of_a_real_run():
    assert text("README.md").startswith(
        f"# goproxy-ebpf\n\n```\n$ sudo goproxy-ebpf trace -- go mod download all\n{report_of_the_example()}```\n"
    )


def report_of_the_example() -> str:
    found = output_of("sudo goproxy-ebpf trace -- go mod download all")
    assert found is not None and found.startswith("HEALTHY  186 requests answered")
    return found


def test_help_of_the_program_and_of_trace_is_in_the_readme():
    quoted = {command for command in commands("README.md") if command.endswith(" --help")}
    assert quoted == {f"{PROGRAM} --help", f"{PROGRAM} trace --help"}


def test_the_man_page_is_that_of_the_program():
    assert MANUAL.read_text() == manual(), REMEDY


def test_the_man_page_names_every_command_and_option():
    page = MANUAL.read_text().replace("\\-", "-")
    for name in COMMANDS:
        command = group.get_command(group.make_context(PROGRAM, [], resilient_parsing=True), name)
        options = [option for parameter in command.params for option in parameter.opts if option.startswith("-")]
        assert [option for option in (f".SS {name}", *options) if option not in page] == []


# Commands ----------------------------------------------------------------------------------------------------------

PROGRAMS = {
    "goproxy-ebpf",
    "scripts/demo",
    "scripts/goproxy-ebpf",
    "scripts/install",
    "editcap",
    "eval",
    "pip",
    "tshark",
    "zstd",
}


def programs_of(command: str) -> list[str]:
    words = shlex.split(command)
    return words[1:] if words[0] == "sudo" else words


@pytest.mark.parametrize("command", sorted({command for page in PAGES for command in commands(page)}))
def test_a_command_of_a_document_exists_and_is_used_as_it_may_be(command):
    program, *arguments = programs_of(command.partition(" | ")[0])
    assert program in PROGRAMS
    if program.startswith("scripts/"):
        assert Path(CHECKOUT, program).stat().st_mode & 0o111
    if program in ("goproxy-ebpf", "scripts/goproxy-ebpf"):
        assert_parses(arguments)


def assert_parses(arguments: list[str]) -> None:
    """Parsed by click as it would be, and not run."""
    top = group.make_context(PROGRAM, [], resilient_parsing=True)
    if arguments[0].startswith("-"):
        assert CliRunner().invoke(group, arguments).exit_code == 0
        return
    command = group.get_command(top, arguments[0])
    assert command is not None, f"no command {arguments[0]}"
    if "--help" not in arguments:
        command.make_context(arguments[0], arguments[1:], parent=top)


@pytest.mark.parametrize("page", PAGES)
def test_commands_and_options_in_the_text_exist(page):
    """In `backquotes`: ``goproxy-ebpf report …`` is a command that there is, ``--frames`` an option of one."""
    top = group.make_context(PROGRAM, [], resilient_parsing=True)
    known = {
        option for name in COMMANDS for parameter in group.get_command(top, name).params for option in parameter.opts
    }
    others = {"--privileged", "--inject-secrets", "--uninstall", "--token"}
    quoted = re.findall(r"`([^`]+)`", prose(page))
    assert {word for line in quoted for word in line.split() if word.startswith("--")} - known - others - {
        "--"
    } == set()
    used = {line.split()[1] for line in quoted if line.startswith(f"{PROGRAM} ")}
    assert used <= {*COMMANDS}


def test_the_commands_that_need_no_root_run_as_they_stand_in_the_readme():
    lines = [line for line in commands("README.md") if line.startswith(f"{PROGRAM} ") and EXAMPLE in line]
    assert lines
    for line in lines:
        arguments = programs_of(line.partition(" | ")[0])[1:]
        done = subprocess.run(
            [sys.executable, "-m", "goproxy_ebpf", *arguments],
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_to_be_had_for_each_shell_that_the_readme_names(shell):
    assert f"{shell}_source" in text("README.md")
    done = complete(f"{shell}_source")
    assert done.returncode == 0
    assert PROGRAM in done.stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("re",), ["plain,report"]),
        (("report", "--fo"), ["plain,--format"]),
        (("report", "--format", ""), ["plain,text", "plain,json"]),
        (("report", "run."), ["file,run."]),
        (("trace", "-w", "run."), ["file,run."]),
        (("decode", ""), ["file,"]),
        (("trace", "--", "./go"), ["file,./go"]),
    ],
)
def test_the_shell_is_given_commands_options_values_and_left_to_find_files(words, expected):
    done = complete("bash_complete", *words)
    assert (done.returncode, done.stdout.splitlines()) == (0, expected)


def test_bash_takes_the_completion_script():
    script = complete("bash_source").stdout
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    subprocess.run(["bash", "-c", f"{script}\ncomplete -p {PROGRAM}"], check=True, stdout=subprocess.DEVNULL)


def complete(instruction: str, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "_GOPROXY_EBPF_COMPLETE": instruction,
        "COMP_WORDS": shlex.join((PROGRAM, *words)),
        "COMP_CWORD": str(len(words)),
        "PATH": "/usr/bin:/bin",
        "fish_mode": "",
    }
    return subprocess.run(
        [sys.executable, "scripts/run.py"], cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False
    )


# Fields ------------------------------------------------------------------------------------------------------------


def fields(struct: type) -> list[str]:
    return list(struct.__struct_fields__)


LOG = {
    **{str(struct.__struct_config__.tag): struct for struct in log.LogRecord.__args__},
    "hook": capture.HookState,
    "tls": flow.TlsFacts,
    "certificate": flow.Certificate,
    "bytes of a direction": flow.DirectionBytes,
    "TLS bytes of a direction": flow.TlsBytes,
    "window": log.WindowChange,
    "finding": Finding,
}
CAPTURE = {str(struct.__struct_config__.tag): struct for struct in capture.CaptureRecord.__args__}


def test_the_frame_logs_page_has_every_kind_with_every_field_in_order():
    assert tables("docs/frame-log.md") == {name: fields(struct) for name, struct in LOG.items()}


def test_the_capture_files_page_has_every_record_with_every_field_in_order():
    assert tables("docs/capture-file.md") == {name: fields(struct) for name, struct in CAPTURE.items()}


def test_every_struct_of_the_frame_logs_schema_is_on_its_page():
    described = {struct.__name__ for struct in LOG.values()} - {"Finding"}
    assert set(json.loads(PATH.read_bytes())["$defs"]) == described


def test_numbers_of_the_capture_files_page_are_those_of_the_code():
    page = text("docs/capture-file.md")
    for number in (
        f"`0x{blocks.SECTION_HEADER:08X}`",
        f"`0x{blocks.INTERFACE_DESCRIPTION:08X}`",
        f"`0x{blocks.DECRYPTION_SECRETS:08X}`",
        f"`0x{blocks.TLS_KEY_LOG:08X}`",
        f"`0x{blocks.ENHANCED_PACKET:08X}`",
        f"`0x{blocks.RECORD:08X}`",
        f"`0x{blocks.FILLER:08X}`",
        f"link type {blocks.LINKTYPE_RAW} ",
        f"enterprise number, {blocks.ENTERPRISE}, in",
        f"enterprise number {blocks.ENTERPRISE}:",
        f"magic, `{blocks.MAGIC.decode()}`",
        f"code {blocks.OPTION_CUSTOM_BYTES}",
        f"above {blocks.MAX_PACKET_BYTES >> 10} KiB",
        f"`{capture.SCHEMA}`",
    ):
        assert number in page
    assert blocks.RECORD_HEAD.size == 4 + 4 + 2 + 2 + 4
    assert len(note.STAND_IN) == 2 + 1 + 1 + 4 + 8
    assert f"`{log.SCHEMA}`" in text("docs/frame-log.md")


def test_every_verdict_is_explained():
    for page in ("README.md", "docs/report.md"):
        assert [word.value for word in Word if f"`{word.value}`" not in prose(page)] == []


def test_every_line_of_the_report_is_explained():
    labels = set(re.findall(r"^(\w[\w ]*?)  ", report_of_the_example(), re.MULTILINE))
    # The longest label fills its column.
    labels = {"WINDOW_UPDATE" if label.startswith("WINDOW_UPDATE") else label for label in labels}
    explained = re.findall(r"^\| (`.*?`|first line) \|", prose("README.md"), re.MULTILINE)
    words = {word.strip("` ") for line in explained for word in line.split(",")}
    assert labels - words == {"HEALTHY"}


# Links, lines --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES)
def test_relative_links_lead_somewhere(page):
    for link in links(page):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = Path(CHECKOUT, page).parent / path if path else Path(CHECKOUT, page)
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(str(target.resolve().relative_to(CHECKOUT))), link


@pytest.mark.parametrize("page", PAGES)
def test_prose_fits_on_80_columns(page):
    """Tables and links apart, which cannot be broken."""
    long = [line for line in prose(page).splitlines() if len(line) > 80 and not line.startswith(("|", "> |"))]
    assert [line for line in long if "](" not in line] == []


def test_the_example_is_neutral():
    """Documentation addresses only (RFC 5737), one host, no directory but the invented one."""
    lines = output_of(f"{PROGRAM} export --format jsonl {EXAMPLE} | grep -m 100000 'kind'")
    records = [json.loads(line) for line in lines.splitlines()]
    header = records[0]
    assert (header["user"], header["directory"], header.get("environment")) == ("gopher", "/home/gopher/app", None)
    connections = [record for record in records if record["kind"] == "connection"]
    addresses = {record[end].rpartition(":")[0] for record in connections for end in ("local", "remote")}
    addresses |= {record["resolver"].rpartition(":")[0] for record in records if record["kind"] == "dns"}
    assert all(address.startswith(("192.0.2.", "198.51.100.", "203.0.113.")) for address in addresses)
    issuers = {cert["issuer"] for c in connections for cert in (c.get("tls") or {}).get("certificates", ())}
    assert issuers == {"CN=Example CA"}
    hosts = {record["authority"] for record in records if record["kind"] == "exchange"}
    assert hosts == {"proxy.example.com"}
    assert msgspec.json.decode(lines.splitlines()[-1])["kind"] == "summary"


def test_wrapped_output_says_nothing_that_is_not_said_at_other_widths():
    """The quoted report is as wide as the page: what a stranger reads on 80 columns is not broken a second time."""
    assert max(map(len, report_of_the_example().splitlines())) <= 80
    assert textwrap.dedent(report_of_the_example()) == report_of_the_example()
