"""The last runs' frame logs, kept in one directory.

A log is named by the run's start (UTC, so that names sort by time) and its run id. Files of other names are nobody's
business here: they are neither counted nor removed.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

_NAME = re.compile(r"\d{8}T\d{6}\.\d{3}Z-[A-Za-z0-9]{1,64}\.jsonl(?:\.zst)?")
RUNS = 20
LIMIT_BYTES = 1 << 30


def name_of(at_ns: int, run_id: str, suffix: str = ".jsonl.zst") -> str:
    """``20261124T181542.123Z-ab12.jsonl.zst``: the file name for the run that began at ``at_ns``."""
    at = datetime.fromtimestamp(at_ns // 1_000_000_000, timezone.utc)
    letters = re.sub(r"[^A-Za-z0-9]", "", run_id)[:64] or "0"
    return f"{at:%Y%m%dT%H%M%S}.{at_ns // 1_000_000 % 1000:03}Z-{letters}{suffix}"


def newest(directory: Path) -> Path | None:
    """The log of the latest run; None if there is none, or no such directory."""
    return next(iter(_logs(directory)), None)


def make_room(directory: Path, runs: int = RUNS, limit_bytes: int = LIMIT_BYTES) -> list[Path]:
    """Before a new log is begun: remove the oldest until it will be at most the ``runs``-th, and all others together
    have at most ``limit_bytes``. Gives what was removed; what may not be removed stays, without a complaint.
    """
    removed: list[Path] = []
    total = 0
    for count, path in enumerate(_logs(directory), start=1):
        try:
            total += path.lstat().st_size
            if count >= runs or total > limit_bytes:
                path.unlink()
                removed.append(path)
        except OSError:
            continue
    return removed


def _logs(directory: Path) -> list[Path]:
    """Newest first; links and directories are none of ours."""
    with suppress(OSError):
        return sorted(_own(directory), key=lambda path: path.name, reverse=True)
    return []


def _own(directory: Path) -> Iterator[Path]:
    return (
        path for path in directory.iterdir() if _NAME.fullmatch(path.name) and path.is_file() and not path.is_symlink()
    )
