"""The traced command: forked before anything heavy is loaded, held at a pipe (never by a signal), then executed.

It stays in the caller's session and process group, so that the terminal's keys reach it as always.
"""

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path

import msgspec

from .caller import Caller, become

_READY = b"!"
_SHELL = "/bin/sh"


class CommandError(Exception):
    """The command cannot be run; ``status`` is what a shell would give: 127 not found, 126 not executable."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def find_program(name: str, path_variable: str, directory: Path) -> Path:
    """The file that execvp would execute for ``name``. Raises CommandError."""
    if "/" in name:
        candidates = [directory / name]
    else:
        candidates = [directory / part / name for part in (path_variable or "/usr/local/bin:/usr/bin:/bin").split(":")]
    unusable: Path | None = None
    for candidate in candidates:
        if candidate.is_file():
            if os.access(candidate, os.X_OK, effective_ids=True):
                return candidate
            unusable = unusable or candidate
        elif candidate.is_dir() and "/" in name:
            unusable = candidate
    if unusable is not None:
        raise CommandError(f"{unusable}: not executable", 126)
    where = "no such file" if "/" in name else "not found in PATH"
    raise CommandError(f"{name}: {where}", 127)


class Child(msgspec.Struct):
    """A forked process that waits to be released."""

    pid: int
    pidfd: int
    _release: int
    _failure: int

    def release(self) -> None:
        """Let it execute the command. Raises CommandError when the kernel refuses to."""
        os.write(self._release, _READY)
        os.close(self._release)
        said = os.read(self._failure, 16)
        os.close(self._failure)
        if said:
            code = int(said)
            os.waitpid(self.pid, 0)
            raise CommandError(os.strerror(code), 127 if code == errno.ENOENT else 126)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What another process that is forked from this one has to close: the child waits for the pipe's end."""
        return (self.pidfd, self._release, self._failure)

    def cancel(self) -> None:
        """End it before it has executed anything."""
        os.close(self._release)
        os.close(self._failure)
        os.waitpid(self.pid, 0)


def spawn(program: Path, argv: list[str], caller: Caller, environment: dict[str, str]) -> Child:
    """Fork the process that will become ``program``, in the current directory, as ``caller``."""
    wait, release = os.pipe2(os.O_CLOEXEC)
    failure, report = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        os.close(release)
        os.close(failure)
        _be_the_child(wait, report, lambda: _execute(program, argv, caller, environment))
    os.close(wait)
    os.close(report)
    return Child(pid, os.pidfd_open(pid), release, failure)


def _be_the_child(wait: int, report: int, execute: Callable[[], None]) -> None:
    try:
        if os.read(wait, 1) == _READY:
            execute()
    except OSError as error:
        os.write(report, str(error.errno).encode())
    finally:
        os._exit(126)


def _execute(program: Path, argv: list[str], caller: Caller, environment: dict[str, str]) -> None:
    # Python ignores these two, and what is ignored stays so over exec.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    become(caller)
    try:
        os.execve(program, argv, environment)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
        # A script without an interpreter line: execvp gives it to the shell.
        os.execve(_SHELL, [_SHELL, str(program), *argv[1:]], environment)
