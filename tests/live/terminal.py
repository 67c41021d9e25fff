"""A terminal of its own for a program, with somebody who types and reads."""

import contextlib
import os
import pty
import re
import select
import signal
import time


class Terminal:
    """The program leads a session on this terminal. As a context manager, it ends with it."""

    def __init__(self, command: list[str], env: dict[str, str] | None = None) -> None:
        self.seen = ""
        self._at = 0
        self._status: int | None = None
        self.pid, self._descriptor = pty.fork()
        if self.pid == 0:
            try:
                os.execvpe(command[0], command, dict(os.environ) if env is None else env)
            finally:
                os._exit(127)

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._descriptor)

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    def type_until(self, text: str, pattern: str, tries: int = 10) -> None:
        """Types again, each three seconds, until ``pattern`` has come."""
        for number in range(tries):
            self.type(text)
            try:
                self.wait_for(pattern, 3)
            except AssertionError:
                if number == tries - 1:
                    raise
            else:
                return

    def wait_for(self, pattern: str, patience_s: float = 30) -> str:
        """What matches, behind what was waited for before."""
        until = time.monotonic() + patience_s
        while not (found := re.search(pattern, self.seen[self._at :])):
            if not self._read(until - time.monotonic()):
                raise AssertionError(f"{pattern!r} did not come: {self.seen!r}")
        self._at += found.end()
        return found[0]

    def status(self, patience_s: float = 30) -> int:
        """As subprocess has it: the exit status, or -signal."""
        until = time.monotonic() + patience_s
        while self._read(until - time.monotonic()):
            pass
        self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._status

    def _read(self, patience_s: float) -> bool:
        if not select.select([self._descriptor], [], [], max(0.0, patience_s))[0]:
            return False
        try:
            data = os.read(self._descriptor, 65536)
        except OSError:  # EIO: nobody has the other side open
            return False
        self.seen += data.decode(errors="replace")
        return bool(data)
