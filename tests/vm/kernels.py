"""Debian's stock kernels by name, fetched and unpacked beside the system, which is never touched.

A kernel is named by its series (``6.1``) or ``newest``. Which package that is today is asked of the metapackage
``linux-image-cloud-amd64`` in the suite that has the series, through an apt state of our own: its lists, its cache, its
idea of what is installed; proxies, certificates and mirrors are the machine's own configuration.

Outcomes of ``fetch``: a ``Kernel`` · ``Unavailable`` (the suite has left the mirror, no network and nothing kept).
"""

import dataclasses
import fcntl
import lzma
import platform
import re
import shutil
import subprocess
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CACHE = Path("/var/cache/goproxy-ebpf/kernels")
SUITES = {
    "5.10": "bullseye-security",
    "6.1": "bookworm-security",
    "6.12": "trixie-security",
    "newest": "trixie-backports",
}
FLAVOUR = "cloud-amd64"
KEPT_SECONDS = 7 * 24 * 3600
"""Younger than this, what was unpacked is used without asking the mirror."""

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
PARTS = re.compile(r"linux-(?:image|binary|modules)-\d[^ ,]*")


class Unavailable(Exception):
    """The kernel is not to be had; the text says why."""


@dataclasses.dataclass(frozen=True)
class Kernel:
    """An unpacked kernel: ``image`` is an ELF file (PVH boot), ``modules`` holds ``modules.dep``."""

    name: str
    release: str
    image: Path
    modules: Path


def fetch(name: str) -> Kernel:
    if name not in SUITES:
        raise Unavailable(f"no kernel {name}: known are {', '.join(SUITES)}")
    if platform.machine() != "x86_64":
        raise Unavailable(f"kernels are fetched for x86_64 only, this is {platform.machine()}")
    folder = CACHE / name
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder / "lock"):
        kept = unpacked(name)
        if kept is not None and time.time() - kept.image.stat().st_mtime < KEPT_SECONDS:
            return kept
        try:
            return download(name)
        except Unavailable:
            if kept is None:
                raise
            return kept


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def unpacked(name: str) -> Kernel | None:
    """The newest kernel kept under this name. The image is written last: with it, the rest is there."""
    images = sorted((CACHE / name).glob("*/vmlinux"), key=lambda path: path.stat().st_mtime)
    if not images:
        return None
    release = images[-1].parent.name
    return Kernel(name, release, images[-1], modules_folder(images[-1].parent / "files", release))


def modules_folder(files: Path, release: str) -> Path:
    return next(
        path for path in (files / "usr/lib/modules" / release, files / "lib/modules" / release) if path.is_dir()
    )


def download(name: str) -> Kernel:
    apt = Apt(CACHE / name / "apt", SUITES[name])
    apt.run("apt-get", "update")
    packages = apt.parts(f"linux-image-{FLAVOUR}")
    image_package = next(package for package in packages if package.startswith("linux-image-"))
    release = image_package.removeprefix("linux-image-").removesuffix("-unsigned")
    folder = CACHE / name / release
    if (folder / "vmlinux").exists():  # the mirror has nothing newer: as good as fetched now
        (folder / "vmlinux").touch()
        return Kernel(name, release, folder / "vmlinux", modules_folder(folder / "files", release))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    apt.run("apt-get", "download", *packages, cwd=folder)
    for archive in folder.glob("*.deb"):
        run("dpkg", "-x", str(archive), str(folder / "files"))
        archive.unlink()
    modules = modules_folder(folder / "files", release)
    run("depmod", "-b", str(modules.parent.parent.parent), release)
    compressed = [folder / "files/boot" / f"vmlinuz-{release}", modules / "vmlinuz"]
    image = elf_of_bzimage(next(path for path in compressed if path.exists()).read_bytes())
    (folder / "vmlinux.part").write_bytes(image)
    (folder / "vmlinux.part").rename(folder / "vmlinux")
    return Kernel(name, release, folder / "vmlinux", modules)


def run(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise Unavailable(f"{' '.join(command[:1] + command[-1:])}: {(done.stderr or done.stdout).strip()[-400:]}")
    return done.stdout


class Apt:
    """An apt of our own for one suite, below ``folder``."""

    def __init__(self, folder: Path, suite: str) -> None:
        for part in ("lists/partial", "archives/partial", "state"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        (folder / "state/status").touch()
        sources = folder / "sources.list"
        sources.write_text(f"deb [signed-by={KEYRING}] {mirror_for(suite)} {suite} main\n")
        settings = {
            "Dir::Etc::SourceList": sources,
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::Etc::PreferencesParts": "/dev/null",
            "Dir::State": folder / "state",
            "Dir::State::Status": folder / "state/status",
            "Dir::State::Lists": folder / "lists",
            "Dir::Cache": folder,
            "Dir::Cache::Archives": folder / "archives",
            "APT::Sandbox::User": "root",
            "APT::Architecture": "amd64",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
        }
        self.options = [item for key, value in settings.items() for item in ("-o", f"{key}={value}")]

    def run(self, program: str, *arguments: str, cwd: Path | None = None) -> str:
        return run(program, *self.options, "-qq", *arguments, cwd=cwd)

    def depends(self, package: str) -> list[str]:
        """Names in the Depends field of the newest version."""
        shown = self.run("apt-cache", "show", "--no-all-versions", package)
        field = next((line for line in shown.splitlines() if line.startswith("Depends: ")), "")
        return PARTS.findall(field)

    def parts(self, metapackage: str) -> list[str]:
        """The packages that hold the kernel's image and modules: one up to 7.1, three from 7.2 on."""
        found: list[str] = []
        todo = self.depends(metapackage)
        while todo:
            package = todo.pop()
            if package not in found:
                found.append(package)
                todo += self.depends(package)
        if not found:
            raise Unavailable(f"{metapackage} is not in the suite")
        return found


def mirror_for(suite: str) -> str:
    """The archive, out of those that this machine uses, that would have a suite of this kind."""
    shown = run("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages")
    archives = {release: uri for uri, release in (line.split() for line in shown.splitlines())}
    security = [uri for release, uri in archives.items() if "security" in release]
    debian = [uri for release, uri in archives.items() if re.fullmatch(r"[a-z]+", release) and uri not in security]
    candidates = security if suite.endswith("-security") else debian
    if not candidates:
        raise Unavailable(f"no Debian archive for {suite} in this machine's apt sources")
    return candidates[0]


def elf_of_bzimage(image: bytes) -> bytes:
    """The ELF kernel inside a bzImage (Linux x86 boot protocol 2.08: payload_offset at 0x248, payload_length at 0x24c).

    Booting that directly saves a second of emulated decompression.
    """
    setup_sectors = image[0x1F1] or 4
    start = (setup_sectors + 1) * 512 + int.from_bytes(image[0x248:0x24C], "little")
    payload = image[start : start + int.from_bytes(image[0x24C:0x250], "little")]
    if payload.startswith(b"\xfd7zXZ\0"):
        return lzma.LZMADecompressor().decompress(payload)
    if payload.startswith(b"\x1f\x8b"):
        return zlib.decompressobj(31).decompress(payload)
    # The last four bytes are the length of the result, no part of the compressed stream.
    for magic, program in ((b"\x02\x21\x4c\x18", "lz4"), (b"\x28\xb5\x2f\xfd", "zstd")):
        if payload.startswith(magic):
            return subprocess.run([program, "-dc"], input=payload[:-4], capture_output=True, check=True).stdout
    raise Unavailable(f"a kernel image compressed in an unknown way: {payload[:4].hex()}")
