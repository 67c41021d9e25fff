"""Attaching by file descriptor: what is attached here is gone when the descriptor is, even after kill -9.

BCC's own ``attach_func`` for cgroups replaces another program silently and stays when the process has died, so cgroup
programs are attached with ``bpf(BPF_LINK_CREATE)`` directly. Uprobes are attached through the open executable, whose
path may have changed or may never have been one.
"""

import ctypes
import errno
import os
import platform
import struct
from pathlib import Path

_BPF = {"x86_64": 321, "aarch64": 280}
_PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241}
_PROG_TEST_RUN = 10
_LINK_CREATE = 28
_PROG_ATTACH, _PROG_DETACH = 8, 9

# enum bpf_attach_type (include/uapi/linux/bpf.h)
CGROUP_INET_INGRESS, CGROUP_INET_EGRESS, CGROUP_SOCK_OPS, SK_MSG_VERDICT = 0, 1, 3, 7

_PERF_ATTR_SIZE = 112
_PERF_FLAG_FD_CLOEXEC = 8
_PERF_IOC_ENABLE, _PERF_IOC_SET_BPF = 0x2400, 0x40042408

_libc = ctypes.CDLL(None, use_errno=True)


def _syscall(numbers: dict[str, int], *arguments: object) -> int:
    result = _libc.syscall(ctypes.c_long(numbers[platform.machine()]), *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(result)


def bpf(command: int, attributes: bytes) -> int:
    """The bpf system call with the attribute union's bytes. Raises OSError."""
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    return _syscall(_BPF, ctypes.c_int(command), buffer, ctypes.c_uint(len(attributes)))


def test_run(program: int) -> int:
    """Run a loaded program that wants no context once, in this process; gives what it returns. Raises OSError."""
    buffer = ctypes.create_string_buffer(struct.pack("<II", program, 0), 80)
    _syscall(_BPF, ctypes.c_int(_PROG_TEST_RUN), buffer, ctypes.c_uint(len(buffer)))
    return int(struct.unpack_from("<I", buffer, 4)[0])


def link(program: int, target: int, attach_type: int) -> int:
    """Attach a loaded program to a cgroup (or map) by link; gives the link's descriptor.

    Raises OSError: EPERM where a program attached the exclusive way stands on the cgroup or above it; EINVAL where the
    kernel has no links for this type.
    """
    return bpf(_LINK_CREATE, struct.pack("<IIIIQQ", program, target, attach_type, 0, 0, 0))


def attach_to_map(program: int, map_fd: int, attach_type: int) -> None:
    """Attach an sk_msg program to a sockhash (kernels before 6.13 have no link for that); it goes with the map."""
    bpf(_PROG_ATTACH, struct.pack("<IIIIII", map_fd, program, attach_type, 0, 0, 0))


def uprobe(program: int, executable: int, file_offset: int) -> int:
    """Run a program wherever the instruction at ``file_offset`` of the open file is executed; gives a perf event.

    Raises OSError: EINVAL where no instruction may be probed there, ENOENT where the kernel has no uprobes.
    """
    try:
        kind = int(Path("/sys/bus/event_source/devices/uprobe/type").read_text())
    except OSError as error:
        raise OSError(errno.ENOENT, "this kernel has no uprobes") from error
    path = ctypes.create_string_buffer(f"/proc/self/fd/{executable}".encode())
    attributes = bytearray(_PERF_ATTR_SIZE)
    struct.pack_into("<II", attributes, 0, kind, _PERF_ATTR_SIZE)
    struct.pack_into("<QQ", attributes, 56, ctypes.addressof(path), file_offset)
    buffer = ctypes.create_string_buffer(bytes(attributes), _PERF_ATTR_SIZE)
    event = _syscall(
        _PERF_EVENT_OPEN,
        buffer,
        ctypes.c_int(-1),
        ctypes.c_int(0),
        ctypes.c_int(-1),
        ctypes.c_ulong(_PERF_FLAG_FD_CLOEXEC),
    )
    try:
        _ioctl(event, _PERF_IOC_SET_BPF, program)
        _ioctl(event, _PERF_IOC_ENABLE, 0)
    except OSError:
        os.close(event)
        raise
    return event


def _ioctl(fd: int, request: int, argument: int) -> None:
    if _libc.ioctl(ctypes.c_int(fd), ctypes.c_ulong(request), ctypes.c_ulong(argument)) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
