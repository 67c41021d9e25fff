"""The scripts are sound shell, the lock files are exact, and the suite runs on what they say."""

import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent.parent
CACHE = "/var/cache/goproxy-ebpf"


def test_shell_scripts_pass_shellcheck():
    scripts = [path for path in sorted((CHECKOUT / "scripts").iterdir()) if path.is_file()]
    shell = [path for path in scripts if path.suffix == ".sh" or path.read_text().startswith("#!/bin/bash")]
    assert {path.name for path in shell} >= {
        "check",
        "demo",
        "goproxy-ebpf",
        "install",
        "kernels",
        "lib.sh",
        "lock",
        "test",
    }
    done = subprocess.run(
        ["shellcheck", "-x", *shell, CHECKOUT / ".ci/run"], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_lock_files_name_no_index_and_no_host():
    for lock in sorted((CHECKOUT / "requirements").glob("*.txt")):
        text = lock.read_text()
        assert "://" not in text, lock
        assert "--index" not in text, lock
        assert "--find-links" not in text, lock


def test_every_lock_of_a_dependency_pins_it_with_hashes():
    for lock in sorted((CHECKOUT / "requirements").glob("*.txt")):
        if lock.name.startswith("apt"):
            continue
        pins = [line for line in lock.read_text().splitlines() if line and line[0] not in " #"]
        assert pins, lock
        assert all("==" in line and line.endswith("\\") for line in pins), lock


def test_the_suite_runs_on_what_the_lock_files_say():
    """Otherwise a green run here says nothing about a fresh machine."""
    if not sys.prefix.startswith(str(CACHE)):
        pytest.skip("not started by scripts/test")
    frozen = subprocess.run(
        [sys.executable, "-I", "-m", "pip", "freeze", "--local"], capture_output=True, text=True, check=True
    ).stdout.split()
    locked = {
        line.split(" ")[0]
        for name in ("test.txt", "check.txt")
        for line in (CHECKOUT / "requirements" / name).read_text().lower().splitlines()
        if "==" in line
    }
    assert {name.lower().replace("_", "-") for name in frozen} - locked == set()
