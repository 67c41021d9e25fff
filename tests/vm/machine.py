"""Runs a command on another kernel, in an emulated machine whose files are this machine's.

The guest sees the host's root file system read-only, with memory above: what it writes is gone with it. cgroup2 is at
/sys/fs/cgroup, tracefs, debugfs and bpf are mounted, loopback is up, there is no other network. No KVM is needed or
used: results must not depend on it. Everything takes about ten times as long as outside: poll, never sleep.

Outcomes: ``Finished`` · ``subprocess.TimeoutExpired`` · ``MachineFailed`` (it stopped without a status) ·
``kernels.Unavailable``.
"""

import dataclasses
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.vm import initramfs, kernels

CHECKOUT = Path(__file__).resolve().parent.parent.parent
ENVIRONMENT = {
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "PYTHONDONTWRITEBYTECODE": "1",
    "TERM": "dumb",
}
VIRTIOFSD = ("/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd")
# Cloud kernels have PVH entry points and no 9p. Without rdrand the random pool fills late, and whatever makes a key
# waits for it; mitigations would be for a processor that is not there.
PROCESSOR = "Nehalem,+rdrand"
COMMAND_LINE = "console=ttyS0 quiet panic=-1 nokaslr mitigations=off"
PORTS = ("out", "err", "status")


class MachineFailed(Exception):
    """The machine stopped and did not say how its command ended. The text ends with its console."""


@dataclasses.dataclass(frozen=True)
class Finished:
    """Like ``subprocess.CompletedProcess``; ``seconds`` is the whole run, boot included."""

    args: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str
    console: str
    release: str
    seconds: float


def run_in_vm(
    command: Sequence[str | Path],
    *,
    kernel: str = "6.1",
    timeout: float = 300,
    directory: Path = CHECKOUT,
    environment: dict[str, str] | None = None,
    visible: Iterable[Path] = (),
    processors: int = 1,
    memory_mib: int = 1024,
) -> Finished:
    """Boots ``kernel`` and runs ``command`` in it, as root, with nothing on standard input.

    ``timeout`` is in seconds of this machine. ``environment`` adds to ENVIRONMENT. Files on other mounts than the root
    file system's are seen if ``visible`` (or ``directory``, or the temporary directory) names a path there.
    """
    found = kernels.fetch(kernel)
    words = tuple(str(word) for word in command)
    script = guest_script(words, directory, ENVIRONMENT | (environment or {}))
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="goproxy-ebpf-vm-") as name:
        folder = Path(name)
        (folder / "initrd").write_bytes(initramfs.base(found) + initramfs.command(script))
        server = serve_files(folder, [directory, CHECKOUT, folder, *visible])
        try:
            wait_for_socket(folder, server)
            machine = start(qemu_command(found, folder, processors, memory_mib), folder)
            try:
                machine.wait(timeout)
            except subprocess.TimeoutExpired as error:
                error.output, error.stderr = text(folder / "out"), text(folder / "err") + text(folder / "console")
                raise
            finally:
                machine.kill()
                machine.wait()
        finally:
            server.kill()
            server.wait()
        status, console = text(folder / "status").split(), text(folder / "console")
        if not status:
            tail = f"{text(folder / 'log')}\n{console[-3000:]}\n{text(folder / 'err')[-2000:]}"
            raise MachineFailed(f"{found.release}: no exit status from {shlex.join(words)}\n{tail}")
        return Finished(
            words,
            int(status[0]),
            text(folder / "out"),
            text(folder / "err"),
            console,
            found.release,
            time.monotonic() - started,
        )


def text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def guest_script(words: Sequence[str], directory: Path, environment: dict[str, str]) -> str:
    variables = [f"{name}={value}" for name, value in environment.items()]
    return (
        "#!/bin/sh\n"
        f"cd {shlex.quote(str(directory))} || exit 126\n"
        f"exec setsid -w env -i {shlex.join(variables)} {shlex.join(words)}\n"
    )


def start(command: Sequence[str], folder: Path) -> "subprocess.Popen[bytes]":
    """A child that does not outlive this process, whichever way that ends."""
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "--", *command], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )


def mount_point(path: Path) -> Path:
    path = path.resolve()
    while not os.path.ismount(path):
        path = path.parent
    return path


def serve_files(folder: Path, visible: Iterable[Path]) -> "subprocess.Popen[bytes]":
    """Offers the root file system, read-only, on ``folder/socket``; mounts are in a namespace of the server's own."""
    root = folder / "root"
    root.mkdir()
    lines = ["set -e"]
    for point in ["/", *sorted({str(mount_point(path)) for path in visible} - {"/"})]:
        target = shlex.quote(f"{root}{point}".rstrip("/"))
        lines += [f"mount --bind {shlex.quote(point)} {target}", f"mount -o remount,bind,ro {target}"]
    program = next((path for path in VIRTIOFSD if shutil.which(path)), None)
    if program is None:
        raise kernels.Unavailable("no virtiofsd here: apt-get install qemu-system-x86 (Debian 13: and virtiofsd)")
    if "qemu" in program:  # the one in C, part of QEMU until 8.0
        options = ["-o", f"source={root}", "-o", "cache=always", "-o", "sandbox=chroot", "-o", "log_level=err"]
    else:
        options = ["--shared-dir", str(root), "--cache", "always", "--sandbox", "chroot", "--log-level", "error"]
    lines.append(shlex.join(["exec", program, f"--socket-path={folder / 'socket'}", *options]))
    return start(["unshare", "--mount", "--propagation", "private", "sh", "-c", "\n".join(lines)], folder)


def wait_for_socket(folder: Path, server: "subprocess.Popen[bytes]", seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not (folder / "socket").exists():
        if server.poll() is not None or time.monotonic() > deadline:
            raise MachineFailed(f"virtiofsd did not start: {text(folder / 'log')}")
        time.sleep(0.01)


def qemu_command(kernel: kernels.Kernel, folder: Path, processors: int, memory_mib: int) -> list[str]:
    command = ["qemu-system-x86_64", "-M", "q35", "-accel", "tcg,thread=multi", "-cpu", PROCESSOR]
    command += ["-smp", str(processors), "-m", str(memory_mib)]
    # virtiofsd reads the guest's memory, so it is shared.
    command += ["-object", f"memory-backend-memfd,id=memory,size={memory_mib}M,share=on", "-numa", "node,memdev=memory"]
    command += ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    command += ["-kernel", str(kernel.image), "-initrd", str(folder / "initrd"), "-append", COMMAND_LINE]
    command += ["-chardev", f"socket,id=files,path={folder / 'socket'}"]
    command += ["-device", "vhost-user-fs-pci,chardev=files,tag=host", "-device", "virtio-serial-pci"]
    for number, port in enumerate(PORTS, start=1):
        command += ["-chardev", f"file,id={port},path={folder / port}"]
        command += ["-device", f"virtserialport,chardev={port},nr={number},name={port}"]
    return [*command, "-serial", f"file:{folder / 'console'}"]
