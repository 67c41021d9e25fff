"""Where the logs of the last runs are kept, for whom, and which is the newest."""

from pathlib import Path

from ..capture.caller import identify
from ..framelog.keep import newest
from .failure import Failure


def kept_directory() -> Path:
    """``XDG_STATE_HOME/goproxy-ebpf``, else below ``~/.local/state``; under sudo the caller's, as in ``trace``."""
    return identify().state_directory


def newest_kept() -> Path:
    """The newest kept log. Raises Failure when there is none."""
    directory = kept_directory()
    log = newest(directory)
    if log is None:
        raise Failure(f"no run was kept in {directory}: name a file, or trace something first")
    return log
