"""What this kernel has and allows. Features are tested for; the version is printed, and decides nothing."""

import ctypes
import os
import platform
import struct
from functools import cached_property
from pathlib import Path

from .btf import Btf, BtfError
from .errors import Refusal
from .links import bpf

_EVENT_SOURCES = Path("/sys/bus/event_source/devices")
_LOCKDOWN = Path("/sys/kernel/security/lockdown")
_PID_NAMESPACE = Path("/proc/self/ns/pid")
_FIRST_PID_NAMESPACE = 0xEFFFFFFC  # include/linux/proc_ns.h: PROC_PID_INIT_INO
_BPF_PROG_LOAD = 5
_BPF_PROG_TYPE_KPROBE = 2
_BPF_PROG_TYPE_CGROUP_SKB = 8
_HELPER_PROBE_READ_KERNEL = 113
_HELPER_ANCESTOR_CGROUP_ID = 123

# (struct, member, define): what the programs in bpf/ read of the kernel's own structures.
_OFFSETS = (
    ("sock_common", "skc_family"),
    ("sock_common", "skc_state"),
    ("sock_common", "skc_num"),
    ("sock_common", "skc_dport"),
    ("sock_common", "skc_daddr"),
    ("sock_common", "skc_rcv_saddr"),
    ("sock_common", "skc_v6_daddr"),
    ("sock_common", "skc_v6_rcv_saddr"),
    ("sock_common", "skc_net"),
    ("sock_common", "skc_cookie"),
    ("inet_sock", "inet_sport"),
    ("net", "ns.inum"),
    ("msghdr", "msg_iter"),
    ("iov_iter", "iov_offset"),
    ("iov_iter", "count"),
    ("iov_iter", "nr_segs"),
    ("tcp_sock", "write_seq"),
    ("tcp_sock", "snd_nxt"),
    ("tcp_sock", "snd_una"),
    ("tcp_sock", "rcv_nxt"),
    ("tcp_sock", "copied_seq"),
    ("tcp_sock", "srtt_us"),
    ("task_struct", "real_parent"),
    ("task_struct", "tgid"),
    ("task_struct", "mm"),
    ("task_struct", "signal"),
    ("task_struct", "exit_code"),
    ("mm_struct", "arg_start"),
    ("mm_struct", "arg_end"),
    ("signal_struct", "live"),
    ("linux_binprm", "filename"),
)


class Kernel:
    """The running kernel."""

    release = platform.release()
    machine = platform.machine()

    @cached_property
    def btf(self) -> Btf:
        try:
            return Btf.of_this_kernel()
        except BtfError as error:
            raise Refusal(
                "kernel type information (BTF)",
                str(error),
                "Use a kernel built with CONFIG_DEBUG_INFO_BTF=y, as the distributions' kernels since 5.10 are",
            ) from error

    def has_tracepoint(self, name: str) -> bool:
        """Whether the kernel has a tracepoint: its BTF names a type for each."""
        return self.btf.knows(f"btf_trace_{name}")

    @cached_property
    def has_kprobes(self) -> bool:
        return (_EVENT_SOURCES / "kprobe").exists()

    @cached_property
    def has_uprobes(self) -> bool:
        return (_EVENT_SOURCES / "uprobe").exists()

    @cached_property
    def lockdown(self) -> str:
        """``none``, ``integrity`` or ``confidentiality``."""
        try:
            text = _LOCKDOWN.read_text()
        except OSError:
            return "none"
        return text[text.find("[") + 1 : text.find("]")] if "[" in text else "none"

    @cached_property
    def reads_memory_in_skb_programs(self) -> bool:
        """Whether a cgroup_skb program may call bpf_probe_read_kernel."""
        arguments = ((0xBF, 0xA1, 0, 0), (0x07, 0x01, 0, -8), (0xB7, 0x02, 0, 8), (0xB7, 0x03, 0, 0))
        return _may_call(_BPF_PROG_TYPE_CGROUP_SKB, _HELPER_PROBE_READ_KERNEL, arguments)

    @cached_property
    def tells_ancestor_cgroups(self) -> bool:
        """Whether a tracing program may call bpf_get_current_ancestor_cgroup_id."""
        return _may_call(_BPF_PROG_TYPE_KPROBE, _HELPER_ANCESTOR_CGROUP_ID, ((0xB7, 0x01, 0, 0),))

    @staticmethod
    def pid_namespace() -> dict[str, str]:
        """Definitions that make the programs count processes as /proc does; none where the kernel does so too."""
        try:
            namespace, numbered = _PID_NAMESPACE.stat(), Path("/proc/self").resolve().name == str(os.getpid())
        except OSError:
            return {}
        if namespace.st_ino == _FIRST_PID_NAMESPACE or not numbered:  # /proc may be that of a namespace around ours
            return {}
        device = os.major(namespace.st_dev) << 20 | os.minor(namespace.st_dev)  # as the kernel packs it
        return {"PID_NAMESPACE": f"{namespace.st_ino}U", "PID_NAMESPACE_DEVICE": str(device)}

    def defines(self) -> dict[str, str]:
        """The preprocessor definitions that the programs need of this kernel. Raises Refusal."""
        btf = self.btf
        try:
            found = {
                f"OFFSET_{struct_name}_{member}".upper().replace(".", "_"): str(btf.offset(struct_name, member))
                for struct_name, member in _OFFSETS
            }
            found["OFFSET_IOV_ITER_IOV"] = str(
                btf.offset("iov_iter", "__iov" if btf.has("iov_iter", "__iov") else "iov")
            )
            if btf.has("iov_iter", "iter_type"):
                found["OFFSET_IOV_ITER_TYPE"] = str(btf.offset("iov_iter", "iter_type"))
            else:
                found["OFFSET_IOV_ITER_TYPE"] = str(btf.offset("iov_iter", "type"))
                found["ITER_TYPE_IS_MASK"] = "1"
            found["ITER_IOVEC_VALUE"] = str(btf.enum("ITER_IOVEC"))
        except BtfError as error:
            raise Refusal(
                "kernel structures", f"BTF of {self.release} has {error}", "Please report this kernel"
            ) from error
        if btf.knows("ITER_UBUF"):  # before 6.0 a single buffer is a vector of one
            found["ITER_UBUF_VALUE"] = str(btf.enum("ITER_UBUF"))
        if self.reads_memory_in_skb_programs:
            found["HAVE_PROBE_READ_IN_SKB"] = "1"
        return found


def _may_call(program_type: int, helper: int, arguments: tuple[tuple[int, int, int, int], ...]) -> bool:
    """Whether the kernel loads a program of this type that calls the helper: tried with one that does nothing else.

    ``arguments`` are instructions (opcode, registers, offset, immediate) that set the helper's arguments.
    """
    call, one, leave = (0x85, 0x00, 0, helper), (0xB7, 0x00, 0, 1), (0x95, 0x00, 0, 0)
    program = b"".join(struct.pack("<BBhi", *instruction) for instruction in (*arguments, call, one, leave))
    instructions = ctypes.create_string_buffer(program, len(program))
    licence = ctypes.create_string_buffer(b"GPL")
    addresses = (ctypes.addressof(instructions), ctypes.addressof(licence))
    attributes = struct.pack("<IIQQIIQII16sII", program_type, len(program) // 8, *addresses, 0, 0, 0, 0, 0, b"", 0, 0)
    try:
        os.close(bpf(_BPF_PROG_LOAD, attributes))
    except OSError:
        return False
    return True
