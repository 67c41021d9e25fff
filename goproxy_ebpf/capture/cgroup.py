"""The run's own cgroup (v2): below the caller's, no controllers enabled, so that no limit is escaped.

Outcomes of ``create``: a ``RunCgroup`` · ``Refusal`` with the reason. What a killed run left behind (groups of ours
with no live owner) is swept when the next one starts.
"""

import contextlib
import errno
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from .errors import Refusal
from .level import own_level

_PREFIX = "goproxy-ebpf."
_TRIES = 8


def mount_point(mountinfo: str) -> Path | None:
    """Where cgroup v2 is mounted, out of the text of /proc/self/mountinfo (proc(5))."""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        if after.split(" ", 1)[0] == "cgroup2":
            return Path(_plain(before.split(" ")[4]))
    return None


def own_path(cgroup: str) -> str:
    """The v2 path in the text of /proc/PID/cgroup: the line of hierarchy 0."""
    for line in cgroup.splitlines():
        if line.startswith("0::"):
            return line[3:]
    return "/"


def own_directory(mountinfo: str, cgroup: str) -> Path | None:
    """Where this process's group is found in the file system; None where no mount shows it.

    A mount may show a part of the hierarchy only, and a process may be outside of its own cgroup namespace.
    """
    inside = PurePosixPath(own_path(cgroup))
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        root = PurePosixPath(_plain(fields[3]) if len(fields) > 4 else "/")
        if after.split(" ", 1)[0] == "cgroup2" and ".." not in inside.parts and inside.is_relative_to(root):
            return Path(_plain(fields[4]), inside.relative_to(root))
    return None


def _plain(field: str) -> str:
    """proc(5): spaces, tabs, newlines and backslashes are octal escapes."""
    return re.sub(r"\\([0-7]{3})", lambda escape: chr(int(escape[1], 8)), field)


def _find() -> Path:
    """``own_directory`` of this process. Raises Refusal."""
    mountinfo = Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
    directory = own_directory(mountinfo, Path("/proc/self/cgroup").read_text(errors="surrogateescape"))
    if directory is None:
        mounted = mount_point(mountinfo) is not None
        raise Refusal(
            "cgroup v2",
            "this process's own group is not in what is mounted" if mounted else "it is not mounted",
            "mount -t cgroup2 none /sys/fs/cgroup/unified (or boot with systemd.unified_cgroup_hierarchy=1)",
        )
    return directory


def _make(parent: Path) -> Path:
    """A new group. Another run may have our number, in another namespace of processes. Raises OSError."""
    names = (f"{_PREFIX}{attempt}{os.getpid()}" for attempt in ("", *(f"{number}." for number in range(1, 100))))
    for name in names:
        with contextlib.suppress(FileExistsError):
            (parent / name).mkdir()
            return parent / name
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(parent / f"{_PREFIX}{os.getpid()}"))


class RunCgroup:
    """A cgroup that exists for one run. ``level`` counts from the hierarchy's root (0), as the kernel does."""

    def __init__(self, path: Path, parent: Path, level: int) -> None:
        self.path, self._parent, self.level = path, parent, level
        self.descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        # Says that the owner is alive: in another pid namespace our process id is nobody's, or somebody else's.
        fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.id = path.stat().st_ino

    @classmethod
    def create(cls) -> "RunCgroup":
        """Make the group below this process's own. Raises Refusal."""
        parent = _find()
        sweep(parent)
        level = own_level()
        if level is None:
            level = len(PurePosixPath(own_path(Path("/proc/self/cgroup").read_text(errors="replace"))).parts) - 1
        try:
            return cls._made(parent, level + 1)
        except OSError as error:
            raise Refusal(
                "the run's cgroup",
                f"{error.filename}: {error.strerror}",
                "Run where the cgroup file system is writable (in a container: with the host's cgroup namespace, -v "
                "/sys/fs/cgroup:/sys/fs/cgroup:rw)",
            ) from error

    @classmethod
    def _made(cls, parent: Path, level: int) -> "RunCgroup":
        for _ in range(_TRIES):
            path = _make(parent)
            # Another namespace's sweep may come before we hold it.
            with contextlib.suppress(FileNotFoundError, BlockingIOError):
                return cls(path, parent, level)
            with contextlib.suppress(OSError):
                path.rmdir()
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(path))

    def enter(self, pid: int) -> None:
        """Move a process in. Raises Refusal (a threaded parent makes the group invalid)."""
        try:
            (self.path / "cgroup.procs").write_text(str(pid))
        except OSError as error:
            why = "the caller's cgroup is threaded" if error.errno == errno.EOPNOTSUPP else str(error.strerror)
            raise Refusal("the run's cgroup", why, "Run from a cgroup of type `domain`") from error

    def remove(self) -> int:
        """Move survivors back to the caller's group and remove this one. Gives the number of survivors."""
        os.close(self.descriptor)
        moved = 0
        with contextlib.suppress(OSError):  # whoever removed it before us has moved its processes
            for _ in range(8):
                pids = (self.path / "cgroup.procs").read_text().split()
                if not pids:
                    break
                for pid in pids:
                    with contextlib.suppress(ProcessLookupError):
                        (self._parent / "cgroup.procs").write_text(pid)
                        moved += 1
            self.path.rmdir()
        return moved


class SharedCgroup:
    """The caller's own cgroup, where the run can have none: programs go onto it in place, and look at the run's sockets
    only. A stranger's packets in the same cgroup cost one look into a table.
    """

    def __init__(self) -> None:
        self.path, self.level = _find(), 0
        self.descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self.id = self.path.stat().st_ino

    def remove(self) -> int:
        """Only the descriptor is ours."""
        os.close(self.descriptor)
        return 0


@contextlib.contextmanager
def _unlocked(path: Path) -> Iterator[None]:
    """Holds a group while it is removed. Raises BlockingIOError where the run that made it is alive."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def sweep(parent: Path) -> list[str]:
    """Remove groups of ours whose owner is gone; gives their names.

    An owner that is not in our /proc may live in another namespace of processes: it holds a lock.
    """
    removed = []
    for path in parent.glob(f"{_PREFIX}*"):
        owner = path.name.rpartition(".")[2]
        # A process id comes again, in a container soon: ours is not another run's.
        if owner.isdigit() and (int(owner) == os.getpid() or not Path("/proc", owner).exists()):
            with contextlib.suppress(OSError), _unlocked(path):
                for pid in (path / "cgroup.procs").read_text().split():
                    with contextlib.suppress(ProcessLookupError):
                        (parent / "cgroup.procs").write_text(pid)
                path.rmdir()
                removed.append(path.name)
    return removed
