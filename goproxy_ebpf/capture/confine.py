"""Taking rights away from the processes that read what the network or a stranger's executable sent."""

import ctypes
import os
from pathlib import Path

_PR_SET_NO_NEW_PRIVS, _PR_SET_DUMPABLE, _PR_CAPBSET_DROP = 38, 4, 24
_CAP_LAST = 63
_CAP_SYS_ADMIN = 21  # linux/capability.h
_CHANGE_USER = {"CAP_SETGID": 6, "CAP_SETUID": 7}
_BPF_WITHOUT_SYS_ADMIN = {"CAP_NET_ADMIN": 12, "CAP_PERFMON": 38, "CAP_BPF": 39}
_NOBODY = 65534

_libc = ctypes.CDLL(None, use_errno=True)


class _CapHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapData(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def missing_capabilities() -> list[str]:
    """What this process lacks to become other users, to load BPF programs and to attach them."""
    held = 0
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            held = int(line.split()[1], 16)
    wanted = _CHANGE_USER if held >> _CAP_SYS_ADMIN & 1 else {**_CHANGE_USER, **_BPF_WITHOUT_SYS_ADMIN}
    return [name for name, number in wanted.items() if not held >> number & 1]


def drop_bounding_set() -> None:
    """No exec can gain a capability. To be called while still root: it takes CAP_SETPCAP."""
    for capability in range(_CAP_LAST + 1):
        if _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) < 0:
            break


def drop_capabilities() -> None:
    """No capability, now or after any exec. uid 0 keeps its files and nothing else."""
    drop_bounding_set()
    header = _CapHeader(0x20080522, 0)
    data = (_CapData * 2)()
    _libc.capset(ctypes.byref(header), ctypes.byref(data))
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def become_nobody() -> None:
    """Give up every identity: from here on the process has only the descriptors that it already holds."""
    drop_bounding_set()
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    drop_capabilities()
