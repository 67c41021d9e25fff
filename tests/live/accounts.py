"""An ordinary user who may use sudo, made for a test and gone after it."""

import contextlib
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from .harness import PROGRAM

SUDOERS = Path("/etc/sudoers.d")


class Account:
    """``environment`` is what the user's login has set; ``settings`` changes what sudo does."""

    def __init__(self, name: str) -> None:
        entry = pwd.getpwnam(name)
        self.name, self.uid, self.gid, self.home = name, entry.pw_uid, entry.pw_gid, Path(entry.pw_dir)
        self._sudoers = SUDOERS / name
        self.environment = {
            "PATH": f"{self.home}/bin:{self.home.parent}/closed:/usr/local/go/bin:/usr/bin:/bin",
            "HOME": str(self.home),
            "USER": name,
            "LOGNAME": name,
            "SHELL": "/bin/bash",
            "TERM": "dumb",
        }

    def settings(self, *defaults: str) -> None:
        """The user's ``Defaults`` for sudo, and the right to use it without a password."""
        lines = [f"{self.name} ALL=(ALL) NOPASSWD: ALL", *(f"Defaults:{self.name} {each}" for each in defaults)]
        self._sudoers.write_text("\n".join(lines) + "\n")
        self._sudoers.chmod(0o440)
        subprocess.run(["visudo", "-c", "-q"], check=True)

    def run(self, *command: str, **more: object) -> subprocess.CompletedProcess[str]:
        """As the user, in the home directory, with exactly ``environment``; its parent is a process of the user's."""
        options: dict = {
            "user": self.uid,
            "group": self.gid,
            "extra_groups": [self.gid],
            "umask": 0o027,
            "cwd": self.home,
            "env": self.environment,
            "capture_output": True,
            "text": True,
            "errors": "surrogateescape",
            "timeout": 60,
        }
        # Its own variables (PWD, _, SHLVL) are the shell's, not what is compared: env -u would hide the user's own.
        return subprocess.run(["/usr/bin/python3", "-Ic", _PARENT, *command], check=False, **options | more)

    def start(self, *command: str, **more: object) -> subprocess.Popen[str]:
        options: dict = {
            "user": self.uid,
            "group": self.gid,
            "extra_groups": [self.gid],
            "cwd": self.home,
            "env": self.environment,
            "stdin": subprocess.PIPE,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
        }
        return subprocess.Popen(["/usr/bin/python3", "-Ic", _PARENT, *command], **options | more)

    def trace(self, *arguments: str, **more: object) -> subprocess.CompletedProcess[str]:
        """``sudo goproxy-ebpf trace …``."""
        return self.run("sudo", *PROGRAM, "trace", *arguments, **more)

    def owned_by_others(self) -> list[str]:
        """What lies in the user's home and is not the user's."""
        return [str(path) for path in self.home.rglob("*") if path.lstat().st_uid != self.uid]

    def remove(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._sudoers.unlink()
        subprocess.run(["userdel", "--force", self.name], check=True, capture_output=True)
        shutil.rmtree(self.home, ignore_errors=True)


# What a shell does and nothing else: it waits for its child and ends with its status.
_PARENT = """
import os, sys
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], {k: v for k, v in os.environ.items() if k != "LC_CTYPE" or GIVEN},
                      setsigdef=[13, 25])
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
sys.exit(code if code >= 0 else 128 - code)
""".replace("GIVEN", "b'LC_CTYPE' in open('/proc/self/environ', 'rb').read()")


@contextlib.contextmanager
def account(folder: Path) -> Iterator[Account]:
    """A new user with a home in ``folder``, which the user may reach."""
    name = f"goproxy-t{os.getpid()}"
    folder.chmod(0o711)
    subprocess.run(
        ["useradd", "--no-user-group", "-m", "-d", str(folder / name), name], check=True, capture_output=True
    )
    (folder / "closed").mkdir(0o700)
    made = Account(name)
    try:
        made.settings()
        yield made
    finally:
        made.remove()
