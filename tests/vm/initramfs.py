"""The initial file system of an emulated machine: busybox, the modules that reach the root file system, and init.sh.

An archive in the ``newc`` format (Documentation/driver-api/early-userspace/buffer-format.rst); several may be joined.
"""

import lzma
import stat
from pathlib import Path, PurePosixPath

import zstandard

from tests.vm.kernels import Kernel

MODULES = ("virtio_pci", "virtio_console", "virtiofs", "overlay")
INIT = Path(__file__).with_name("init.sh")
BUSYBOX = Path("/usr/bin/busybox")
FOLDERS = ("bin", "proc", "sys", "dev", "modules", "lower", "upper", "root")


def archive(files: dict[str, tuple[int, bytes]]) -> bytes:
    """``path -> (mode, content)`` as a newc archive, in the order given."""
    out = bytearray()
    for inode, (path, (mode, content)) in enumerate([*files.items(), ("TRAILER!!!", (0, b""))], start=1):
        name = path.encode() + b"\0"
        fields = (inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0)
        out += b"070701" + b"".join(b"%08X" % field for field in fields) + name
        out += b"\0" * (-len(out) % 4) + content
        out += b"\0" * (-len(out) % 4)
    return bytes(out)


def base(kernel: Kernel) -> bytes:
    """The part that is the same for every run of a kernel."""
    files = dict.fromkeys(FOLDERS, (stat.S_IFDIR | 0o755, b""))
    files["bin/busybox"] = (stat.S_IFREG | 0o755, BUSYBOX.read_bytes())
    files["bin/sh"] = (stat.S_IFLNK | 0o777, b"busybox")
    files["init"] = (stat.S_IFREG | 0o755, INIT.read_bytes())
    for number, module in enumerate(load_order(kernel)):
        path = f"modules/{number:02}-{PurePosixPath(module).name.split('.')[0]}.ko"
        files[path] = (stat.S_IFREG | 0o644, decompressed(kernel.modules / module))
    return archive(files)


def command(script: str) -> bytes:
    """The part that says what this run does."""
    return archive({"command": (stat.S_IFREG | 0o755, script.encode())})


def load_order(kernel: Kernel) -> list[str]:
    """Paths of the modules, each after those it depends on. What is built in is not in modules.dep, and not needed."""
    depends: dict[str, list[str]] = {}
    by_name: dict[str, str] = {}
    for line in (kernel.modules / "modules.dep").read_text().splitlines():
        path, _, rest = line.partition(":")
        depends[path] = rest.split()
        by_name[PurePosixPath(path).name.split(".")[0].replace("-", "_")] = path
    order: list[str] = []
    for name in MODULES:
        if name in by_name:
            # modules.dep lists all dependencies, indirect ones too, nearest first.
            order += [path for path in [*reversed(depends[by_name[name]]), by_name[name]] if path not in order]
    return order


def decompressed(path: Path) -> bytes:
    content = path.read_bytes()
    if path.suffix == ".xz":
        return lzma.decompress(content)
    if path.suffix == ".zst":
        return zstandard.ZstdDecompressor().decompressobj().decompress(content)
    return content
