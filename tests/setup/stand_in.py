"""A checkout whose program only says what it sees: the scripts are the real ones, what they start is small.

Its lock file names one package, so that an environment for it is made in seconds; its name differs from the real one's.
"""

import os
import shutil
import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent.parent
START = "scripts/goproxy-ebpf"

PROGRAM = """
import json, os, sys
import hyperframe

def main():
    print(json.dumps({
        "argv": sys.argv, "directory": os.getcwd(), "environment": dict(os.environ), "package": __file__,
        "prefix": sys.prefix, "parent": os.getppid(), "descriptors": sorted(os.listdir("/proc/self/fd")),
    }))
    return 3
"""


def build(folder: Path, salt: str = "") -> Path:
    """A checkout in ``folder``. Another ``salt``, another environment."""
    shutil.copytree(CHECKOUT / "scripts", folder / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(CHECKOUT / "requirements", folder / "requirements")
    lines = (CHECKOUT / "requirements/run.txt").read_text().splitlines(keepends=True)
    start = next(number for number, line in enumerate(lines) if line.startswith("hyperframe=="))
    end = next(number for number, line in enumerate(lines) if number > start and not line.startswith(" "))
    (folder / "requirements/run.txt").write_text("".join(lines[start:end]) + f"# {salt}\n")
    (folder / "goproxy_ebpf/cli").mkdir(parents=True)
    (folder / "goproxy_ebpf/__init__.py").touch()
    (folder / "goproxy_ebpf/cli/__init__.py").touch()
    (folder / "goproxy_ebpf/cli/main.py").write_text(PROGRAM)
    return folder


def start(checkout: Path, *arguments: str, **options: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [checkout / START, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, **options
    )  # type: ignore[call-overload]


def tree(folder: Path) -> set[str]:
    return {os.path.join(path, name) for path, folders, files in os.walk(folder) for name in [*folders, *files]}
