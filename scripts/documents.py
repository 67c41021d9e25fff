"""Writes anew what the documents quote from the program, after a change to its options or its report.

A fenced block whose first line is ``$ command`` and that goes on is a session: its output is made anew. The man page
is made whole. tests/docs expects no difference.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click
from click.testing import CliRunner

CHECKOUT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(CHECKOUT))

from goproxy_ebpf import __version__  # noqa: E402 (the checkout's)
from goproxy_ebpf.cli.main import COMMANDS, PROGRAM, group  # noqa: E402

EXAMPLE = "docs/gin.jsonl.zst"
MANUAL = CHECKOUT / "docs" / f"{PROGRAM}.1"
DOCUMENTS = ("README.md", *(f"docs/{name}.md" for name in ("frame-log", "capture-file", "report")))
WIDTH = 80

_SESSION = re.compile(r"^```\w*\n\$ (.*)\n((?!\$ |```)(?:.*\n)+?)```$", re.MULTILINE)
_HELP = re.compile(rf"{PROGRAM}( [a-z]+)? --help")
_EXPORTED = re.compile(rf"{PROGRAM} export --format jsonl {EXAMPLE} \| grep -m (\d+) '(.*)'")


def output_of(command: str) -> str | None:
    """What ``command`` prints; None for one whose output is nobody's to make anew."""
    if command == f"sudo {PROGRAM} trace -- go mod download all":
        return run("report", EXAMPLE)
    if wanted := _HELP.fullmatch(command):
        return run(*(wanted[1] or "").split(), "--help")
    if exported := _EXPORTED.fullmatch(command):
        lines = run("export", "--format", "jsonl", EXAMPLE).splitlines(keepends=True)
        return "".join([line for line in lines if exported[2] in line][: int(exported[1])])
    if command.startswith(f"{PROGRAM} report "):
        wanted, _, cut = command.removeprefix(f"{PROGRAM} ").partition(" | head -n ")
        lines = run(*wanted.split()).splitlines(keepends=True)
        return "".join(lines[: int(cut)] if cut else lines)
    return None


def run(*arguments: str) -> str:
    """Standard output of the program in the checkout, 80 columns wide."""
    absolute = [str(CHECKOUT / argument) if argument == EXAMPLE else argument for argument in arguments]
    result = CliRunner(env={"COLUMNS": str(WIDTH)}).invoke(
        group, absolute, prog_name=PROGRAM, terminal_width=WIDTH, catch_exceptions=False
    )
    if result.exit_code:
        raise SystemExit(result.output)
    return result.stdout


def renewed(document: str) -> str:
    """The document with the output of every session made anew."""

    def renew(session: re.Match[str]) -> str:
        output = output_of(session[1])
        return session[0] if output is None else session[0].replace(session[2], output)

    return _SESSION.sub(renew, document)


# The man page ------------------------------------------------------------------------------------------------------

_TOP = r"""
.SH DESCRIPTION
.B goproxy-ebpf trace
runs a command, mostly
.BR go ,
and watches it from the kernel with eBPF: every request to the module proxy, every HTTP/2 frame, the flow\-control
windows of both sides, decrypted with the secrets that the command itself made. The report is printed at the end.
.PP
FILE is a capture (pcapng, everything in it, secrets included) or a frame log (JSON lines, safe to share), told apart
by content;
.B \-
is standard input. Without FILE the newest kept run is taken.
""".strip()
_BOTTOM = r"""
.SH EXIT STATUS
.B trace
ends with the status of the command (its signal is raised again), 125 after a failure of its own, 126 if the command
cannot be executed, 127 if it is not found. The others end with 0, with 2 where a file cannot be read or the usage is
wrong, and
.B doctor
with 1 where something keeps
.B trace
from seeing everything.
.SH ENVIRONMENT
.TP
.B COLUMNS
Width of the report; without it that of the terminal, and 100 where there is none.
.TP
.B NO_COLOR
Not empty: no colour, unless
.B \-\-color always
is given.
.TP
.B XDG_STATE_HOME
Where runs are kept, below
.IR goproxy\-ebpf .
.SH FILES
.TP
.I ~/.local/state/goproxy\-ebpf/*.jsonl.zst
The frame logs of the last 20 runs, 1 GiB at most.
.SH NOTES
A capture holds credentials and keys in reach of whoever reads it. Share frame logs instead.
.SH SEE ALSO
.BR go (1),
.BR tshark (1),
.BR bpf (2)
""".strip()


def manual() -> str:
    """The man page, from the commands and their options."""
    return "\n".join([*_manual(), ""])


def _manual() -> Iterator[str]:
    yield f'.TH {PROGRAM.upper()} 1 "" "{PROGRAM} {__version__}" "User Commands"'
    yield f".SH NAME\n{PROGRAM} \\- {_roff(group.help or '').rstrip('.').replace('Watch', 'watch', 1)}"
    yield ".SH SYNOPSIS"
    for number, (name, context) in enumerate(_contexts()):
        usage = " ".join(context.command.collect_usage_pieces(context))
        yield f"{'.br' if number else '.nf'}\n.B {_roff(f'{PROGRAM} {name}')}\n{_roff(usage)}".replace(".br\n", "")
    yield ".fi"
    yield _TOP
    yield ".SH COMMANDS"
    for name, context in _contexts():
        yield f".SS {name}\n{_roff(context.command.help or '')}"
        for parameter in context.command.get_params(context):
            record = parameter.get_help_record(context)
            if record is not None:
                yield f".TP\n.B {_roff(record[0])}\n{_roff(record[1])}"
    yield _BOTTOM


def _contexts() -> Iterator[tuple[str, click.Context]]:
    top = click.Context(group, info_name=PROGRAM, **group.context_settings)
    for name in COMMANDS:
        command = group.get_command(top, name)
        assert command is not None
        yield name, click.Context(command, parent=top, info_name=name)


def _roff(text: str) -> str:
    """Plain text as troff takes it: one line, hyphens that stay hyphens."""
    line = " ".join(text.split()).replace("\\", "\\e").replace("-", "\\-").replace("…", "...")
    return f"\\&{line}" if line.startswith((".", "'")) else line


def main() -> None:
    for name in DOCUMENTS:
        path = CHECKOUT / name
        path.write_text(renewed(path.read_text()))
    MANUAL.write_text(manual())


if __name__ == "__main__":
    main()
