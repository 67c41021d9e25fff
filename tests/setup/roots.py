"""A fresh Debian, as after its installation: a root file system in memory, seen by its own processes only.

What a machine's owner would have set up is copied from this machine: mirrors, proxies, certificates, name resolution.
Nothing else is: no Python, no BCC, no compiler. Kernel and network are this machine's; /sys and the cgroup tree are
mounted anew, so tracefs is not. All is gone when the last process in it is.
"""

import dataclasses
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

from tests.vm.kernels import KEYRING, alone, mirror_for

CACHE = Path("/var/cache/goproxy-ebpf/roots")
KEPT_SECONDS = 14 * 24 * 3600
USER = "dev"
HOME = Path("/home") / USER
NETWORK_SETTINGS = re.compile(r"Acquire::(http|https|ftp|Check-|Retries|Force|Proxy)", re.IGNORECASE)


def base(suite: str) -> Path:
    """The archive of a minimal ``suite``, made by debootstrap; kept, as that takes half a minute."""
    archive = CACHE / f"{suite}.tar.zst"
    CACHE.mkdir(parents=True, exist_ok=True)
    with alone(CACHE / f"{suite}.lock"):
        if archive.exists() and time.time() - archive.stat().st_mtime < KEPT_SECONDS:
            return archive
        part = archive.with_suffix(".part")
        script = """
            mount -t tmpfs -o mode=755 root "$1"
            debootstrap --variant=minbase --include=sudo --keyring="$2" "$3" "$1/root" "$4" >&2
            tar -C "$1/root" --one-file-system -c . | zstd -q -1 >"$5"
        """
        folder = CACHE / f"{suite}.making"
        folder.mkdir(exist_ok=True)
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", script, "sh"]
        command += [str(folder), KEYRING, suite, mirror_for(suite), str(part)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode:
            raise OSError(f"debootstrap {suite}: {done.stderr[-1000:]}")
        part.rename(archive)
    return archive


@dataclasses.dataclass(frozen=True)
class Done:
    status: int
    output: str
    errors: str
    seconds: float


class FreshRoot:
    """``with FreshRoot("bookworm", folder) as root: root.run("sudo apt-get …")``."""

    def __init__(self, suite: str, folder: Path) -> None:
        self.suite = suite
        self.path = folder / "root"
        self.path.mkdir()

    def __enter__(self) -> "FreshRoot":
        archive = base(self.suite)
        # The mounts live as long as this process does, which is told to end by the end of its input.
        script = """
            cd "$1"
            mount -t tmpfs -o mode=755 root . && cd "$1"
            zstd -qdc "$2" | tar -x
            mount -t proc proc proc
            mount -t sysfs sysfs sys
            mount -t cgroup2 cgroup2 sys/fs/cgroup
            mount -t bpf bpf sys/fs/bpf
            mount --rbind /dev dev
            mount -t tmpfs run run
            echo ready
            read -r _ || true
        """
        command = ["unshare", "--mount", "--propagation", "private", "sh", "-euc", script, "sh", self.path, archive]
        self.holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout is not None
        assert self.holder.stdout.readline() == "ready\n", f"no root for {self.suite}"
        self._settle()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.holder.communicate()
        self.path.rmdir()

    @property
    def inside(self) -> Path:
        """The root as this process can read it, though the mounts are not its own."""
        return Path(f"/proc/{self.holder.pid}/root") / str(self.path)[1:]

    def run(self, script: str, user: str = USER, directory: Path = HOME, **variables: str) -> Done:
        """Runs a shell script in the root with a login's environment and nothing on standard input."""
        home = HOME if user == USER else Path("/root")
        environment = {"HOME": str(home), "USER": user, "LOGNAME": user, "SHELL": "/bin/bash", "TERM": "dumb"}
        environment["PATH"] = "/usr/local/bin:/usr/bin:/bin" + (
            "" if user == USER else ":/usr/local/sbin:/usr/sbin:/sbin"
        )
        pairs = [f"{name}={value}" for name, value in (environment | variables).items()]
        command = ["nsenter", f"--mount=/proc/{self.holder.pid}/ns/mnt", "chroot", f"--userspec={user}", self.path]
        command += ["env", "-i", *pairs, "bash", "-c", f"cd {directory} && {script}"]
        begin = time.monotonic()
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        return Done(done.returncode, done.stdout, done.stderr, time.monotonic() - begin)

    def clone(self, repository: Path) -> Path:
        """A clean clone of the repository in the user's home; its path as the root sees it."""
        target = self.inside / str(HOME)[1:] / "goproxy-ebpf"
        with tempfile.TemporaryDirectory() as folder:  # git would take the path below /proc for what it links to
            cloned = Path(folder) / "clone"
            command = ["git", "-c", "safe.directory=*", "clone", "-q", "--no-hardlinks", repository, cloned]
            subprocess.run(command, check=True)
            shutil.copytree(cloned, target, symlinks=True)
        entry = self.inside.joinpath(str(HOME)[1:]).stat()
        for path, folders, files in os.walk(target):
            for name in (".", *folders, *files):
                os.chown(os.path.join(path, name), entry.st_uid, entry.st_gid, follow_symlinks=False)
        return HOME / "goproxy-ebpf"

    def owned_by_root(self) -> list[str]:
        """What in the user's home is not the user's."""
        return self.run(f"find {HOME} ! -user {USER}", user="root").output.splitlines()

    def _settle(self) -> None:
        """What the owner of the machine did: a user who may use sudo, mirrors, certificates, proxies."""
        root = self.inside
        release = {"main": [self.suite, f"{self.suite}-updates"], "security": [f"{self.suite}-security"]}
        sources = [
            f"deb [signed-by={KEYRING}] {mirror_for(suite)} {suite} main"
            for suite in (*release["main"], *release["security"])
        ]
        (root / "etc/apt/sources.list").write_text("\n".join(sources) + "\n")
        shown = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
        network = [line for line in shown.splitlines() if NETWORK_SETTINGS.match(line)]
        (root / "etc/apt/apt.conf.d/90network").write_text("\n".join(network) + "\n")
        # Memory forgets anyway.
        (root / "etc/dpkg/dpkg.cfg.d/90unsafe-io").write_text("force-unsafe-io\n")
        for name in ("etc/resolv.conf", "etc/hosts", "etc/pip.conf"):
            if Path("/", name).exists():
                (root / name).unlink(missing_ok=True)
                shutil.copyfile(Path("/", name), root / name)
        with (root / "etc/hosts").open("a") as hosts:
            hosts.write(f"\n127.0.1.1 {os.uname().nodename}\n")
        authorities = root / "usr/local/share/ca-certificates"
        authorities.mkdir(parents=True, exist_ok=True)
        for path in Path("/usr/local/share/ca-certificates").glob("*.crt"):
            shutil.copy(path, authorities)
        self.run(f"useradd --create-home --shell /bin/bash {USER}", user="root", directory=Path("/"))
        sudoers = root / "etc/sudoers.d/dev"
        sudoers.write_text(f"{USER} ALL=(ALL) NOPASSWD: ALL\n")
        sudoers.chmod(0o440)
