"""Where the logs of the last runs are kept, for whom, and which is the newest."""

import os
import pwd
from pathlib import Path

from ..framelog.keep import newest
from .failure import Failure


def kept_directory() -> Path:
    """``XDG_STATE_HOME/goproxy-ebpf``, by default below ``~/.local/state``; under sudo the caller's."""
    state = os.environ.get("XDG_STATE_HOME", "")
    # The specification has relative paths ignored (specifications.freedesktop.org/basedir-spec).
    if state.startswith("/"):
        return Path(state) / "goproxy-ebpf"
    return _home() / ".local" / "state" / "goproxy-ebpf"


def _home() -> Path:
    user = os.environ.get("SUDO_UID", "")
    if os.geteuid() == 0 and user.isascii() and user.isdigit():
        try:
            return Path(pwd.getpwuid(int(user)).pw_dir)
        except (KeyError, OverflowError):
            pass
    return Path.home()


def newest_kept() -> Path:
    """The newest kept log. Raises Failure when there is none."""
    directory = kept_directory()
    log = newest(directory)
    if log is None:
        raise Failure(f"no run was kept in {directory}: name a file, or trace something first")
    return log
