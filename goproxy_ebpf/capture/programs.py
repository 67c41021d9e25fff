"""The BPF programs of one run: joined from ``bpf/``, compiled by BCC, loaded, attached, and taken away again."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..records.capture import HookState
from . import layout, links
from .cgroup import RunCgroup, SharedCgroup
from .errors import Refusal
from .kernel import Kernel

_PARTS = ("events.h", "common.c", "packets.c", "egress.c", "secrets.c", "processes.c", "tcp.c")
_BCC_REMEDY = "Install the distribution's package: apt install python3-bpfcc (PyPI's `bcc` is something else)"

PROCESS_TRACEPOINTS = ("sched_process_exec", "sched_process_exit")
TCP_TRACEPOINTS = ("inet_sock_set_state", "tcp_retransmit_skb", "tcp_send_reset", "tcp_receive_reset")


def sources() -> Path:
    """Where the C programs are: in the wheel, or beside the package in a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "_bpf"
    return inside if inside.is_dir() else package.parent / "bpf"


def joined(parts: tuple[str, ...]) -> str:
    """The programs' text in one piece; ``#line`` keeps the compiler's messages true."""
    folder = sources()
    return "".join(f'#line 1 "bpf/{part}"\n{(folder / part).read_text()}' for part in parts)


def import_bcc() -> Any:
    """BCC's Python module. Raises Refusal where it is missing or is the wrong one."""
    os.environ["BCC_KERNEL_SOURCE"] = str(sources() / "include")
    try:
        import bcc
    except ImportError as error:
        raise Refusal("BCC", "the Python module bcc is not installed", _BCC_REMEDY) from error
    if not hasattr(bcc, "BPF"):
        raise Refusal("BCC", f"{bcc.__file__} is not BCC", _BCC_REMEDY)
    return bcc


class Programs:
    """Compiled and loaded; nothing is attached before one of the ``attach_…`` methods is called."""

    def __init__(self, kernel: Kernel, cgroup: RunCgroup | SharedCgroup, ring_bytes: int, *, sk_msg: bool) -> None:
        self._bcc = import_bcc()
        self._kernel = kernel
        self._descriptors: list[int] = []
        self._uprobes: list[int] = []
        self._sk_msg = sk_msg
        self.hooks: list[HookState] = []
        self.egress_by_tracepoint = kernel.has_tracepoint("tcp_sendmsg_locked")
        defines = kernel.defines() | {
            "RING_PAGES": str(ring_bytes // 4096),
            "TRACED_CGROUP": f"{cgroup.id}ULL",
            "TRACED_LEVEL": str(cgroup.level),
        }
        shared = isinstance(cgroup, SharedCgroup)
        self._by_process = shared or not kernel.tells_ancestor_cgroups
        if shared:
            defines["CGROUP_IS_SHARED"] = "1"
        if self._by_process:
            defines["TASKS_BY_PROCESS"] = "1"
        defines |= kernel.pid_namespace()
        if self.egress_by_tracepoint:
            defines["EGRESS_BY_TRACEPOINT"] = "1"
        text = joined((*_PARTS, "sk_msg.c") if sk_msg else _PARTS)
        with _explained("compiling the BPF programs", "Please report this with the output of `goproxy-ebpf doctor`"):
            self._module = self._bcc.BPF(text=text, cflags=[f"-D{name}={value}" for name, value in defines.items()])
        self._functions: dict[str, Any] = {}

    @property
    def ring(self) -> int:
        """The ring buffer's descriptor, readable when there is something in it."""
        return int(self._bcc.lib.bpf_table_fd(self._module.module, b"events"))

    def on_event(self, callback: Callable[[Any, int, int], int]) -> None:
        """Give every event to ``callback(context, address, size)`` when ``consume`` is called, which ends at a negative
        result.
        """
        self._module["events"].open_ring_buffer(callback)

    def consume(self) -> None:
        """Run the callback over what is in the ring, and what comes meanwhile."""
        self._module.ring_buffer_consume()

    def counters(self) -> dict[str, int]:
        """The in-kernel counters by name."""
        table = self._module["counters"]
        return {name: int(table[number].value) for number, name in enumerate(layout.COUNTERS)}

    def open_sockets(self) -> int:
        """How many of the run's sockets have not come to the state CLOSE."""
        return len(self._module["sockets"])

    def attach_packets(self, cgroup: int) -> None:
        """cgroup_skb, both ways. Raises Refusal: without it nothing that go is answered can be seen."""
        for function, attach_type in (
            ("packet_recv", links.CGROUP_INET_INGRESS),
            ("packet_send", links.CGROUP_INET_EGRESS),
        ):
            program = self._load(function, self._bcc.BPF.CGROUP_SKB)
            try:
                self._descriptors.append(links.link(program, cgroup, attach_type))
            except OSError as error:
                raise Refusal(
                    "packets (cgroup_skb)",
                    f"attaching to the run's cgroup: {error.strerror}",
                    "A program that was attached exclusively may stand above it: see `bpftool cgroup tree`",
                ) from error
        self.hooks.append(HookState("cgroup_skb", "packets both ways", "attached", "BPF link"))

    def attach_processes(self) -> None:
        """exec and exit of the run's processes."""
        for name in PROCESS_TRACEPOINTS:
            self._raw_tracepoint(name)
        if self._by_process:
            self._raw_tracepoint("sched_process_fork")
        self.hooks.append(HookState("sched_process_exec, _exit", "processes", "attached", "raw tracepoint"))

    def follow(self, pid: int) -> None:
        """Where tasks are told by their process: the one that the run begins with, from its exec on."""
        if self._by_process:
            table = self._module["followed"]
            table[table.Key(pid)] = table.Leaf(1)

    def attach_tcp(self) -> None:
        """TCP's own events; each is optional."""
        attached = [name for name in TCP_TRACEPOINTS if self._kernel.has_tracepoint(name)]
        for name in attached:
            self._raw_tracepoint(name)
        missing = [name for name in TCP_TRACEPOINTS if name not in attached]
        detail = "raw tracepoint" + (f"; not in this kernel: {', '.join(missing)}" if missing else "")
        self.hooks.append(HookState(", ".join(attached), "TCP states and retransmits", "attached", detail))

    def attach_egress(self, cgroup: int) -> str:
        """The bytes handed to TCP; gives the hook's name (``tcp_sendmsg`` or ``sk_msg``). Raises Refusal."""
        if self._sk_msg:
            self.attach_sk_msg(cgroup)
            return "sk_msg"
        self.attach_tcp_sendmsg()
        return "tcp_sendmsg"

    def attach_tcp_sendmsg(self) -> None:
        """The raw tracepoint, else the kprobe. Raises Refusal where the kernel has neither."""
        if self.egress_by_tracepoint:
            self._raw_tracepoint("tcp_sendmsg_locked")
            self.hooks.append(HookState("tcp_sendmsg_locked", "egress bytes", "attached", "raw tracepoint"))
            return
        if not self._kernel.has_kprobes:
            raise Refusal(
                "egress bytes (tcp_sendmsg)",
                "this kernel has neither the tracepoint tcp_sendmsg_locked (6.16 and newer) nor kprobes",
                "Use --tx sk_msg",
            )
        with _explained("egress bytes (kprobe on tcp_sendmsg_locked)", "Use --tx sk_msg"):
            self._module.attach_kprobe(event="tcp_sendmsg_locked", fn_name="egress_kprobe")
        self.hooks.append(HookState("tcp_sendmsg_locked", "egress bytes", "attached", "kprobe"))

    def attach_secrets(self, executable: int, file_offset: int) -> None:
        """writeKeyLog of one executable. Raises OSError."""
        self._uprobes.append(links.uprobe(self._load("secret", self._bcc.BPF.KPROBE), executable, file_offset))

    def attach_late_secrets(self, executable: int, encrypt: int, decrypt: int) -> None:
        """halfConn.encrypt and decrypt of one executable; does something only for processes in ``watch_late``."""
        for function, offset in (("traffic_secret_encrypt", encrypt), ("traffic_secret_decrypt", decrypt)):
            program = self._load(function, self._bcc.BPF.KPROBE)
            self._uprobes.append(links.uprobe(program, executable, offset))

    def watch_late(self, pid: int, version: int, sequence: int, traffic_secret: int) -> None:
        """Read the traffic secrets of this process's connections, at these offsets in its halfConn."""
        table = self._module["layouts"]
        leaf = table.Leaf(version, sequence, traffic_secret, 0)
        table[table.Key(pid)] = leaf

    def detach(self) -> None:
        """Take away all that was attached: closing descriptors is all that it takes."""
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors.clear()
        for name in list(self._module.raw_tracepoint_fds):
            self._module.detach_raw_tracepoint(name)
        self._module.cleanup()
        _close_behind(self._uprobes)
        self._uprobes.clear()

    def attach_sk_msg(self, cgroup: int) -> None:
        """sock_ops on the cgroup, sk_msg on the sockhash that it fills. Raises Refusal."""
        sockets = int(self._bcc.lib.bpf_table_fd(self._module.module, b"message_sockets"))
        what, remedy = "egress bytes (sk_msg)", "Leave out --tx sk_msg"
        try:
            links.attach_to_map(self._load("message", self._bcc.BPF.SK_MSG), sockets, links.SK_MSG_VERDICT)
            program = self._load("socket_established", self._bcc.BPF.SOCK_OPS)
            self._descriptors.append(links.link(program, cgroup, links.CGROUP_SOCK_OPS))
        except OSError as error:
            raise Refusal(what, str(error.strerror), remedy) from error
        self.hooks.append(HookState("sk_msg", "egress bytes", "attached", "sock_ops link, sockhash"))

    def _raw_tracepoint(self, name: str) -> None:
        with _explained(f"raw tracepoint {name}", "See `goproxy-ebpf doctor`"):
            self._module.attach_raw_tracepoint(tp=name, fn_name=f"on_{name}")

    def _load(self, function: str, kind: int) -> int:
        if function not in self._functions:
            with _explained(f"loading the BPF program {function}", "See `goproxy-ebpf doctor`"):
                self._functions[function] = self._module.load_func(function, kind)
        return int(self._functions[function].fd)


def _close_behind(descriptors: list[int]) -> None:
    """Close uprobes without waiting for it.

    The kernel waits until no task can still be in the probe's program (a fifth of a second), and whoever closes the
    last descriptor waits with it: a process of its own, which outlives us by that time.
    """
    if descriptors and os.fork() == 0:
        os.closerange(0, 3)
        for descriptor in descriptors:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        os._exit(0)
    for descriptor in descriptors:
        os.close(descriptor)


@contextlib.contextmanager
def _explained(what: str, remedy: str) -> Iterator[None]:
    """Turn BCC's way of failing (a bare Exception, and pages on file descriptor 2) into a Refusal of one line."""
    kept = os.dup(2)
    with tempfile.TemporaryFile() as messages:
        os.dup2(messages.fileno(), 2)
        try:
            yield
        except Refusal:
            raise
        except Exception as error:
            messages.seek(0)
            lines = messages.read().decode("utf-8", "replace").strip().splitlines()
            said = [line for line in lines if "error:" in line] or [
                line for line in lines if line and not line.startswith("processed")
            ][-1:]
            raise Refusal(what, (said[0] if said else str(error)).strip(), remedy) from error
        finally:
            os.dup2(kept, 2)
            os.close(kept)
