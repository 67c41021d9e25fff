"""The wheel, in an environment of its own without the system's packages: offline commands need no BCC and no root."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.setup.stand_in import CHECKOUT, tree

pytestmark = pytest.mark.timeout(600)

IMPORT_ALL = """
import importlib, pkgutil, sys
import goproxy_ebpf
kernel_side = ("goproxy_ebpf.capture", "goproxy_ebpf.cli.trace", "goproxy_ebpf.cli.worker", "goproxy_ebpf.cli.doctor")
names = [module.name for module in pkgutil.walk_packages(goproxy_ebpf.__path__, "goproxy_ebpf.")]
needed = [name for name in names if not name.startswith(kernel_side) and not name.endswith("__main__")]
failed = []
for name in needed:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        failed.append(f"{name}: {error}")
print(len(needed), *failed, sep="\\n")
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built as scripts/install builds it, which leaves the checkout as it was."""
    folder = tmp_path_factory.mktemp("wheel")
    script = '. "$checkout/scripts/lib.sh" && find_cache && mkdir -p "$cache" && build_wheel "$1"'
    sources = [CHECKOUT / "goproxy_ebpf", CHECKOUT / "bpf"]
    before = [tree(source) for source in sources]
    command = ["bash", "-euc", script, "bash", folder]
    environment = {**os.environ, "checkout": str(CHECKOUT), "XDG_CACHE_HOME": str(folder / "cache")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert [tree(source) for source in sources] == before
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def plain(wheel, tmp_path_factory):
    """The Python of an environment with the wheel and what it depends on, at the locked versions, and nothing else."""
    folder = tmp_path_factory.mktemp("plain")
    subprocess.run(["/usr/bin/python3", "-m", "venv", folder / "venv"], check=True)
    pins = [
        line.split(" \\")[0] for line in (CHECKOUT / "requirements/run.txt").read_text().splitlines() if "==" in line
    ]
    (folder / "pins").write_text("\n".join(pins))
    python = folder / "venv/bin/python"
    pip = [python, "-I", "-m", "pip", "install", "-q", "--disable-pip-version-check", "--only-binary", ":all:"]
    done = subprocess.run([*pip, "-c", folder / "pins", wheel], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return python


def run(plain: Path, *words: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    command = [plain, *words]
    return subprocess.run(command, cwd=folder, env={"HOME": str(folder)}, capture_output=True, text=True, check=False)


def test_the_wheel_holds_the_bpf_programs_and_their_headers(wheel):
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("goproxy_ebpf/_bpf/")}
    tracked = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "bpf"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert inside == {f"goproxy_ebpf/_{name}" for name in tracked.stdout.split()}
    assert "goproxy_ebpf/_bpf/events.h" in inside


def test_bcc_cannot_be_imported_there(plain, tmp_path):
    assert run(plain, "-c", "import bcc", folder=tmp_path).returncode == 1
    assert run(plain, "-c", "import capstone", folder=tmp_path).returncode == 1


def test_every_module_but_those_of_the_kernel_side_can_be_imported(plain, tmp_path):
    done = run(plain, "-c", IMPORT_ALL, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    count, *failed = done.stdout.splitlines()
    assert failed == []
    assert int(count) > 40


def test_the_command_line_says_its_commands(plain, tmp_path):
    done = run(plain, "-m", "goproxy_ebpf", "--help", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert {"report", "decode", "export", "trace", "doctor"} <= set(done.stdout.split())
    script = subprocess.run([plain.with_name("goproxy-ebpf"), "--help"], capture_output=True, text=True, check=False)
    assert script.stdout == done.stdout


def test_the_report_of_a_file_that_is_none_is_one_line(plain, tmp_path):
    (tmp_path / "empty").touch()
    done = run(plain, "-m", "goproxy_ebpf", "report", "empty", folder=tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert sys.prefix not in done.stderr


def test_trace_says_in_one_line_that_a_plain_installation_cannot(plain, tmp_path):
    done = run(plain, "-m", "goproxy_ebpf", "trace", "--", "true", folder=tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (125, 1), done.stderr
