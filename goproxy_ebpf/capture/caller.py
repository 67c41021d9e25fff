"""Who called: under sudo the child is what the user would have run without it.

sudo cleans the environment, but its own process still has the one that the user had (``/proc/PID/environ``). That is
what the child gets; nothing of it is ever applied to the part that runs as root.
"""

import contextlib
import os
import pwd
import resource
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

_ANCESTORS = 64
_LIMITS = {  # fs/proc/base.c, lnames
    "cpu time": resource.RLIMIT_CPU,
    "file size": resource.RLIMIT_FSIZE,
    "data size": resource.RLIMIT_DATA,
    "stack size": resource.RLIMIT_STACK,
    "core file size": resource.RLIMIT_CORE,
    "resident set": resource.RLIMIT_RSS,
    "processes": resource.RLIMIT_NPROC,
    "open files": resource.RLIMIT_NOFILE,
    "locked memory": resource.RLIMIT_MEMLOCK,
    "address space": resource.RLIMIT_AS,
    "pending signals": resource.RLIMIT_SIGPENDING,
    "msgqueue size": resource.RLIMIT_MSGQUEUE,
    "nice priority": resource.RLIMIT_NICE,
    "realtime priority": resource.RLIMIT_RTPRIO,
    "realtime timeout": resource.RLIMIT_RTTIME,
}


class Caller(msgspec.Struct, frozen=True):
    """A user, and the environment and umask that a program of theirs would have been started with.

    ``limits`` are the resource limits (number, soft, hard); none where those of this process are the ones.
    """

    uid: int
    gid: int
    groups: tuple[int, ...]
    name: str
    home: str
    environment: dict[str, str]
    umask: int
    limits: tuple[tuple[int, int, int], ...] = ()

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


def sudo_process(uid: int) -> int | None:
    """The nearest ancestor that is the sudo which this user called."""
    pid = os.getppid()
    for _ in range(_ANCESTORS):
        status = _status(pid)
        if status.get("Name") == "sudo" and _real(status, "Uid") == uid:
            return pid
        pid = _parent(status)
        if pid <= 1:
            return None
    return None


def _who_called(sudo: int, uid: int) -> int | None:
    """The process that executed sudo, if it is the user's: the shell. sudo changes its own groups and limits."""
    status = _status(sudo)
    while status.get("Name") == "sudo":  # with use_pty there are two
        pid = _parent(status)
        status = _status(pid)
    return pid if _real(status, "Uid") == uid else None


def identify(user: str | None = None, own: Mapping[str, str] | None = None) -> Caller:
    """The caller: ``user`` if one is named, else sudo's user, else whoever runs this. Raises CallerError.

    ``own`` is this process's environment, by default as it was given to us.
    """
    environment = own_environment() if own is None else dict(own)
    sudo_uid, sudo_gid = environment.get("SUDO_UID", ""), environment.get("SUDO_GID", "")
    if os.geteuid() == 0 and sudo_uid.isdigit():
        by_sudo = _by_sudo(int(sudo_uid), int(sudo_gid) if sudo_gid.isdigit() else None, environment)
    else:
        by_sudo = None
    if user is None:
        return by_sudo or _whoever_runs_this(environment)
    try:
        entry = pwd.getpwuid(int(user)) if user.isdigit() else pwd.getpwnam(user)
    except (KeyError, OverflowError, ValueError) as error:
        raise CallerError(f"no such user: {user}") from error
    like = by_sudo or _whoever_runs_this(environment)
    named = {"HOME": entry.pw_dir, "USER": entry.pw_name, "LOGNAME": entry.pw_name}
    return Caller(
        entry.pw_uid,
        entry.pw_gid,
        tuple(os.getgrouplist(entry.pw_name, entry.pw_gid)),
        entry.pw_name,
        entry.pw_dir,
        like.environment | named,
        like.umask,
        like.limits,
    )


def own_environment() -> dict[str, str]:
    """The environment that this process was given. Python adds LC_CTYPE where no locale is set (PEP 538)."""
    environment = dict(os.environ)
    with contextlib.suppress(OSError):
        if "LC_CTYPE" not in parse_environment(Path("/proc/self/environ").read_bytes()):
            environment.pop("LC_CTYPE", None)
    return environment


def _whoever_runs_this(environment: dict[str, str]) -> Caller:
    uid, gid = os.getuid(), os.getgid()
    groups = tuple(os.getgroups())
    try:
        entry = pwd.getpwuid(uid)
        name, home = entry.pw_name, entry.pw_dir
    except KeyError:
        name, home = str(uid), "/"
    return Caller(uid, gid, groups, name, environment.get("HOME") or home, environment, _umask())


def _by_sudo(uid: int, gid: int | None, own: dict[str, str]) -> Caller:
    environment, umask = dict(own), _umask()
    limits: tuple[tuple[int, int, int], ...] = ()
    groups: tuple[int, ...] | None = None
    try:
        entry: pwd.struct_passwd | None = pwd.getpwuid(uid)
    except (KeyError, OverflowError):
        entry = None
    sudo = sudo_process(uid)
    found = b""
    if sudo is not None:
        with contextlib.suppress(OSError):
            found = Path(f"/proc/{sudo}/environ").read_bytes()
        shell = _who_called(sudo, uid)
        if shell is not None:
            groups = tuple(int(group) for group in _status(shell).get("Groups", "").split())
            with contextlib.suppress(OSError):
                limits = parse_limits(Path(f"/proc/{shell}/limits").read_text())
        # sudo has changed its own where sudoers says so.
        umask = int(_status(sudo if shell is None else shell).get("Umask", f"{umask:o}"), 8)
    if found:
        environment = parse_environment(found)
    elif (
        entry is not None
    ):  # sudo has ended (a terminal multiplexer that it started goes on): root's are not the user's
        environment |= {"HOME": entry.pw_dir, "USER": entry.pw_name, "LOGNAME": entry.pw_name}
    if entry is None:
        gid = os.getgid() if gid is None else gid
        return Caller(uid, gid, groups or (gid,), str(uid), environment.get("HOME") or "/", environment, umask, limits)
    gid = entry.pw_gid if gid is None else gid
    if groups is None:
        groups = tuple(os.getgrouplist(entry.pw_name, gid))
    home = environment.get("HOME") or entry.pw_dir
    return Caller(uid, gid, groups, entry.pw_name, home, environment, umask, limits)


def parse_limits(text: str) -> tuple[tuple[int, int, int], ...]:
    """(resource, soft, hard) out of the text of /proc/PID/limits. prlimit(2) would need CAP_SYS_RESOURCE."""
    found = []
    for line in text.splitlines():
        for name, number in _LIMITS.items():
            if line.startswith(f"Max {name}  "):
                soft, hard = line.removeprefix(f"Max {name}").split()[:2]
                found.append((number, _limit(soft), _limit(hard)))
    return tuple(found)


def _limit(text: str) -> int:
    return resource.RLIM_INFINITY if text == "unlimited" else int(text)


def _status(pid: int) -> dict[str, str]:
    """/proc/PID/status by field; empty when the process has ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(errors="replace")
    except OSError:
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in text.splitlines())}


def _parent(status: dict[str, str]) -> int:
    return int(status.get("PPid", "0"))


def _real(status: dict[str, str], kind: str) -> int:
    """The real one of four ids; -1 when the process has ended."""
    return int(status.get(kind, "-1").split()[0])


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


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
    for number, soft, hard in caller.limits:
        with contextlib.suppress(OSError, ValueError):  # without CAP_SYS_RESOURCE, a limit cannot be raised
            resource.setrlimit(number, (soft, hard))
    if os.getuid() == 0 or os.geteuid() == 0:
        os.setgroups(caller.groups)
        os.setresgid(caller.gid, caller.gid, caller.gid)
        os.setresuid(caller.uid, caller.uid, caller.uid)
    os.umask(caller.umask)
