"""``goproxy-ebpf doctor``: what this machine allows, tried rather than guessed, and what to do about the rest."""

import contextlib
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import msgspec

from .. import __version__
from ..capture.caller import acting_as, identify
from ..capture.cgroup import RunCgroup, mount_point, own_path
from ..capture.errors import Refusal
from ..capture.executables import checked
from ..capture.gobinary import GoBinary, GoBinaryError, read_go_binary
from ..capture.kernel import Kernel
from ..capture.programs import Programs, import_bcc
from ..capture.toolchains import go_commands_on_disk
from ..report.harmless import harmless
from .failure import require

_CAPABILITIES = {38: "PERFMON", 39: "BPF", 12: "NET_ADMIN", 19: "SYS_PTRACE", 2: "DAC_READ_SEARCH", 21: "SYS_ADMIN"}
_ALL_WELL, _NOT_ALL = 0, 1
_LABEL = 20


class Line(msgspec.Struct, frozen=True):
    """One finding: ``good`` is None where it only informs."""

    label: str
    text: str
    good: bool | None = None
    remedy: str = ""


@click.command()
def doctor() -> int:
    """Say what this kernel and machine allow, which go commands can be read, and what to do about the rest."""
    require("doctor", "elftools", "capstone")
    missing = 0
    for line in _lines():
        mark = {True: "ok", False: "NO", None: ""}[line.good]
        sys.stdout.write(f"{line.label:<{_LABEL}}{mark:<4}{harmless(line.text)}\n")
        if line.remedy:
            sys.stdout.write(f"{'':<{_LABEL + 4}}-> {line.remedy}\n")
        sys.stdout.flush()
        missing += line.good is False
    if missing:
        sys.stdout.write(
            f"\n{missing} of the above {'keeps' if missing == 1 else 'keep'} trace from seeing everything.\n"
        )
        return _NOT_ALL
    sys.stdout.write("\ntrace can run here.\n")
    return _ALL_WELL


def _lines() -> Iterator[Line]:
    kernel = Kernel()
    yield Line("goproxy-ebpf", f"{__version__}, Python {platform.python_version()}")
    yield Line("kernel", f"{kernel.release} {kernel.machine}")
    yield from _lockdown(kernel)
    yield from _tried("kernel types (BTF)", lambda: f"{len(kernel.defines())} facts of them in use")
    yield from _cgroup()
    yield from _bcc()
    yield from _rights()
    if os.geteuid() == 0:
        yield from _hooks(kernel)
    yield from _go_commands()


def _tried(label: str, attempt: Callable[[], str]) -> Iterator[Line]:
    try:
        yield Line(label, attempt(), good=True)
    except Refusal as refusal:
        yield Line(label, f"{refusal.what}: {refusal.why}", good=False, remedy=refusal.remedy)


def _lockdown(kernel: Kernel) -> Iterator[Line]:
    if kernel.lockdown == "confidentiality":
        remedy = "Boot without lockdown=confidentiality (integrity is fine): it forbids BPF to read kernel memory"
        yield Line("lockdown", "confidentiality", good=False, remedy=remedy)
    else:
        yield Line("lockdown", kernel.lockdown, good=True)


def _cgroup() -> Iterator[Line]:
    mount = mount_point(Path("/proc/self/mountinfo").read_text())
    if mount is None:
        yield Line("cgroup v2", "not mounted", good=False, remedy="mount -t cgroup2 none /sys/fs/cgroup/unified")
    else:
        inside = own_path(Path("/proc/self/cgroup").read_text())
        yield Line("cgroup v2", f"{mount}, this process in {inside}", good=True)


def _bcc() -> Iterator[Line]:
    def attempt() -> str:
        bcc = import_bcc()
        return f"{getattr(bcc, '__version__', 'of unknown version')} ({Path(bcc.__file__).parent})"

    yield from _tried("BCC", attempt)


def _rights() -> Iterator[Line]:
    effective = 0
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("CapEff:"):
                effective = int(line.split()[1], 16)
    lacking = [name for number, name in _CAPABILITIES.items() if not effective >> number & 1]
    if os.geteuid() != 0:
        yield Line("rights", "not root: the hooks were not tried", good=False, remedy="sudo goproxy-ebpf doctor")
    elif lacking:
        remedy = "Run with these capabilities (in a container: --privileged, or --cap-add each)"
        yield Line("rights", f"root without {', '.join(lacking)}", good=False, remedy=remedy)
    else:
        yield Line("rights", "root with the capabilities that trace needs", good=True)


def _hooks(kernel: Kernel) -> Iterator[Line]:
    """Attach everything for a moment, to a cgroup with nothing in it."""
    try:
        cgroup = RunCgroup.create()
    except Refusal as refusal:
        yield Line("hooks", f"{refusal.what}: {refusal.why}", good=False, remedy=refusal.remedy)
        return
    try:
        programs = Programs(kernel, cgroup, 1 << 20, sk_msg=True)
    except Refusal as refusal:
        cgroup.remove()
        yield Line("hooks", f"{refusal.what}: {refusal.why}", good=False, remedy=refusal.remedy)
        return
    try:
        for label, attach in (
            ("packets", lambda: programs.attach_packets(cgroup.descriptor)),
            ("tcp_sendmsg", programs.attach_tcp_sendmsg),
            ("sk_msg", lambda: programs.attach_sk_msg(cgroup.descriptor)),
            ("processes", programs.attach_processes),
            ("tcp events", programs.attach_tcp),
        ):
            yield from _tried(label, lambda attach=attach: _attached(programs, attach))  # type: ignore[misc]
        if kernel.has_uprobes:
            yield Line("uprobes", "of this kernel", good=True)
        else:
            remedy = "Use a kernel with CONFIG_UPROBES=y; without it TLS stays encrypted"
            yield Line("uprobes", "not in this kernel", good=False, remedy=remedy)
    finally:
        programs.detach()
        cgroup.remove()


def _attached(programs: Programs, attach: Callable[[], None]) -> str:
    attach()
    hook = programs.hooks[-1]
    return f"{hook.hook}: {hook.detail}"


def _go_commands() -> Iterator[Line]:
    caller = identify()
    paths = go_commands_on_disk(caller.environment, Path(caller.home))
    if not paths:
        yield Line("go", "no go command found", good=None, remedy="Put go into PATH")
    first = shutil.which("go", path=caller.environment.get("PATH"))
    for path in paths:
        marked = " (in PATH)" if first and Path(first).resolve() == path else ""
        try:
            with acting_as(caller), path.open("rb") as file:
                binary = read_go_binary(file.fileno())
        except OSError as error:
            yield Line("go", f"{path}{marked}: {error.strerror}", good=None)
        except GoBinaryError as error:
            yield Line("go", f"{path}{marked}: {error}", good=None)
        else:
            yield _go_line(f"{path}{marked}", binary)


def _go_line(path: str, binary: GoBinary) -> Line:
    if binary.key_log is None:
        return Line("go", f"{path}: {binary.go_version} {binary.arch}: {binary.note}", good=False)
    try:
        offset = checked(binary, binary.key_log)
    except ValueError as error:
        return Line("go", f"{path}: {error}", good=False)
    late = "" if binary.layout is not None and binary.encrypt is not None else ", no late secrets"
    where = f"writeKeyLog+{binary.key_log.distance} at file offset {offset:#x}"
    return Line("go", f"{path}: {binary.go_version} {binary.arch}, {where}{late}", good=True)
