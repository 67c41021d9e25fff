"""The traced command: forked before anything heavy is loaded, held at a pipe (never by a signal), then executed.

It stays in the caller's session and process group, so that the terminal's keys reach it as always.
"""

import errno
import os
import signal
import stat
from collections.abc import Callable

import msgspec

from .caller import Caller, become

_READY = b"!"
_SHELL = "/bin/sh"


class CommandError(Exception):
    """The command cannot be run; ``status`` is what a shell would give: 127 not found, 126 not executable."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def find_program(name: str, path_variable: str) -> str:
    """The path that execvp would execute for ``name``, from the current directory. Raises CommandError.

    It stays as it is written (``./script``): a script reads it as its ``$0``.
    """
    if "/" in name:
        candidates = [name]
    else:
        # An empty part is the current directory, as POSIX has it.
        parts = (path_variable or "/usr/local/bin:/usr/bin:/bin").split(":")
        candidates = [f"{part or '.'}/{name}" for part in parts] if name else []
    unusable, reason = "", ""
    for candidate in candidates:
        try:
            mode = os.stat(candidate).st_mode  # noqa: PTH116 (a Path would lose the ./)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR) and not unusable:
                unusable, reason = candidate, error.strerror or ""
            continue
        if stat.S_ISREG(mode) and os.access(candidate, os.X_OK, effective_ids=True):
            return candidate
        if stat.S_ISREG(mode) or "/" in name:
            unusable, reason = candidate, "not executable" if stat.S_ISREG(mode) else "not a program"
    if unusable and ("/" in name or reason == "not executable"):
        raise CommandError(f"{unusable}: {reason}", 126)
    where = "no such file" if "/" in name else "not found in PATH"
    raise CommandError(f"{name}: {where}", 127)


class Child(msgspec.Struct):
    """A forked process that waits to be released."""

    pid: int
    pidfd: int
    program: str
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
            raise CommandError(f"{self.program}: {_refused(code)}", 127 if code == errno.ENOENT else 126)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What another process that is forked from this one has to close: the child waits for the pipe's end."""
        return (self.pidfd, self._release, self._failure)

    def cancel(self) -> None:
        """End it before it has executed anything."""
        os.close(self._release)
        os.close(self._failure)
        os.waitpid(self.pid, 0)


def _refused(code: int) -> str:
    if code == errno.ENOENT:  # the file itself was found: it is the script's first line that names nothing
        return "its interpreter does not exist"
    return os.strerror(code)


def spawn(program: str, argv: list[str], caller: Caller, environment: dict[str, str]) -> Child:
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
    return Child(pid, os.pidfd_open(pid), program, release, failure)


def _be_the_child(wait: int, report: int, execute: Callable[[], None]) -> None:
    try:
        if os.read(wait, 1) == _READY:
            execute()
    except OSError as error:
        os.write(report, str(error.errno).encode())
    finally:
        os._exit(126)


def _execute(program: str, argv: list[str], caller: Caller, environment: dict[str, str]) -> None:
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
        os.execve(_SHELL, [_SHELL, program, *argv[1:]], environment)
