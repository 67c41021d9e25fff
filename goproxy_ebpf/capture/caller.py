"""Who called: under sudo the child is what the user would have run without it.

sudo cleans the environment, but its own process still has the one that the user had (``/proc/PID/environ``). That is
what the child gets; nothing of it is ever applied to the part that runs as root.
"""

import contextlib
import grp
import os
import pwd
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

_ANCESTORS = 8


class Caller(msgspec.Struct, frozen=True):
    """A user, and the environment and umask that a program of theirs would have been started with."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    name: str
    home: str
    environment: dict[str, str]
    umask: int

    @property
    def state_directory(self) -> Path:
        """Where this user's kept runs are: ``$XDG_STATE_HOME/goproxy-ebpf`` or ``~/.local/state/goproxy-ebpf``."""
        base = self.environment.get("XDG_STATE_HOME") or ""
        root = Path(base) if base.startswith("/") else Path(self.home) / ".local/state"
        return root / "goproxy-ebpf"


class CallerError(Exception):
    """There is no such user."""


def parse_environment(raw: bytes) -> dict[str, str]:
    """The text of /proc/PID/environ: NUL-terminated NAME=VALUE strings."""
    pairs = (entry.partition(b"=") for entry in raw.split(b"\0") if b"=" in entry)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs if name}


def sudo_process() -> int | None:
    """The nearest ancestor that is sudo."""
    pid = os.getppid()
    for _ in range(_ANCESTORS):
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            return None
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        if fields.get("Name") == "sudo":
            return pid
        pid = int(fields.get("PPid", "0"))
        if pid <= 1:
            return None
    return None


def identify(user: str | None = None, own: Mapping[str, str] = os.environ) -> Caller:
    """The caller: ``user`` if one is named, else sudo's user, else whoever runs this. Raises CallerError."""
    sudo_uid = own.get("SUDO_UID", "")
    by_sudo = os.geteuid() == 0 and sudo_uid.isdigit()
    environment = dict(own)
    umask = _umask()
    if by_sudo:
        pid = sudo_process()
        if pid is not None:
            with contextlib.suppress(OSError):
                environment = parse_environment(Path(f"/proc/{pid}/environ").read_bytes())
                umask = _umask_of(_parent(pid), umask)
    if user is not None:
        try:
            entry = pwd.getpwuid(int(user)) if user.isdigit() else pwd.getpwnam(user)
        except KeyError as error:
            raise CallerError(f"no such user: {user}") from error
        environment |= {"HOME": entry.pw_dir, "USER": entry.pw_name, "LOGNAME": entry.pw_name}
        return _caller(entry, environment, umask)
    uid = int(sudo_uid) if by_sudo else os.getuid()
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        gid = int(own.get("SUDO_GID", os.getgid())) if by_sudo else os.getgid()
        return Caller(uid, gid, (gid,), str(uid), environment.get("HOME", "/"), environment, umask)
    if not by_sudo:
        groups = tuple(os.getgroups())
        home = environment.get("HOME") or entry.pw_dir
        return Caller(uid, os.getgid(), groups, entry.pw_name, home, environment, umask)
    return _caller(entry, environment, umask)


def _caller(entry: pwd.struct_passwd, environment: dict[str, str], umask: int) -> Caller:
    groups = tuple(os.getgrouplist(entry.pw_name, entry.pw_gid))
    home = environment.get("HOME") or entry.pw_dir
    return Caller(entry.pw_uid, entry.pw_gid, groups, entry.pw_name, home, environment, umask)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _umask_of(pid: int, otherwise: int) -> int:
    """A process's umask; sudo may have changed our own."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    return otherwise


def _parent(pid: int) -> int:
    with contextlib.suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("PPid:"):
                return int(line.split()[1])
    return 0


@contextlib.contextmanager
def acting_as(caller: Caller) -> Iterator[None]:
    """Create and open files as this user would, from the root part: their rights, their umask, their ownership."""
    if os.geteuid() != 0 or caller.uid == 0:
        before = os.umask(caller.umask)
        try:
            yield
        finally:
            os.umask(before)
        return
    groups, gid = os.getgroups(), os.getegid()
    before = os.umask(caller.umask)
    os.setgroups(caller.groups)
    os.setegid(caller.gid)
    os.seteuid(caller.uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(gid)
        os.setgroups(groups)
        os.umask(before)


def become(caller: Caller) -> None:
    """Turn this process into the user's, for good."""
    if os.getuid() == 0 or os.geteuid() == 0:
        os.setgroups(caller.groups)
        os.setresgid(caller.gid, caller.gid, caller.gid)
        os.setresuid(caller.uid, caller.uid, caller.uid)
    os.umask(caller.umask)


def group_name(gid: int) -> str:
    """A group's name, or its number."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
