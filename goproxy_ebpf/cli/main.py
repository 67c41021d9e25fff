"""The entry point: which commands there are, and what becomes of everything that goes wrong in one.

Commands are loaded when they are called: ``report`` of a file needs neither BCC nor the TLS and HTTP/2 libraries, and
``--help`` needs nothing.
"""

import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from .. import __version__
from ..report.harmless import harmless
from .failure import Failure, because

PROGRAM = "goproxy-ebpf"
BROKEN_PIPE = 128 + 13
INTERRUPTED = 128 + 2


class Entry(NamedTuple):
    """``target`` is ``module:attribute``, the module below this package; ``summary`` the line in ``--help``."""

    target: str
    summary: str


COMMANDS: dict[str, Entry] = {
    "trace": Entry("trace:trace", "Run a command and show what go asks its proxy and is answered."),
    "report": Entry("report:report", "Print the report of a capture or a frame log."),
    "decode": Entry("decode:decode", "Make a frame log, which is safe to share, from a capture."),
    "export": Entry("export:export", "Write a run in another program's format."),
    "doctor": Entry("doctor:doctor", "Say what this machine allows, and what to do about the rest."),
}


class ReaderGoneError(Exception):
    """Nobody reads standard output any more (`| head`). In click's hands a BrokenPipeError would become status 1."""


class LazyGroup(click.Group):
    """A group that knows its commands by name and loads the one that is called."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            status = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError as error:
            raise ReaderGoneError from error
        return status

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry.target.partition(":")
        command = getattr(importlib.import_module(f".{module}", __package__), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{entry.target} is no command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name=PROGRAM, message="%(prog)s %(version)s")
@click.pass_context
def group(ctx: click.Context) -> None:
    """Watch what the real go command asks its module proxy for, and what it is answered."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its status. Failures are one line on standard error, never a traceback.

    A command gives its status by returning it (None is 0) or by raising Failure.
    """
    _occupy_standard_descriptors()
    try:
        status = group.main(args=arguments, prog_name=PROGRAM, standalone_mode=False)
    except Failure as failure:
        return _complain(failure.message, failure.status)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.UsageError as problem:
        return _complain(_usage(problem), 2)
    except click.ClickException as problem:
        return _complain(problem.format_message(), 2)
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except ReaderGoneError:
        # What is still buffered must not be tried again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except OSError as error:
        return _complain(f"{error.filename}: {because(error)}" if error.filename else because(error), 2)
    return status if isinstance(status, int) else 0


def _occupy_standard_descriptors() -> None:
    """Where 0, 1 or 2 is closed, something of ours would get that number, and output or messages would go into it.

    What is opened here is closed by exec: a command that is run finds them as closed as they were.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)  # gets the lowest number that is free: this one
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 (as long as we live)


def _usage(problem: click.UsageError) -> str:
    message = problem.format_message().rstrip(".")
    where = problem.ctx.command_path if problem.ctx is not None else PROGRAM
    command = where.removeprefix(PROGRAM).strip()
    return f"{command + ': ' if command else ''}{message}; see {where} --help"


def _complain(message: str, status: int) -> int:
    """``goproxy-ebpf: message``, in one harmless line."""
    line = harmless(" ".join(message.split()))
    print(f"{PROGRAM}: {line}", file=sys.stderr)  # noqa: T201
    return status
