"""What is committed names no machine that it was written on: no path, no host of its registries."""

import os
import re
import shutil
import subprocess
from urllib.parse import urlsplit

import pytest

from scripts.documents import CHECKOUT

ROOTS = b"|".join((b"wo" + b"rk", b"ro" + b"ot", b"Us" + b"ers", b"mnt", b"data"))
"""Spelt apart, so that this file has none of them."""
PATHS = re.compile(rb"(?<![\w.~$}])/(?:" + ROOTS + rb")/[\w.\-]+")
HOMES = re.compile(rb"(?<![\w.~$}])/home/(?!(?:gopher|dev|user|u)\b)[\w.\-]+")
"""Homes of invented users are documentation."""
EXPECTED = {"tests/vm/init.sh": PATHS}
"""Where a pattern may match: this script mounts the emulated machine's own root."""
REGISTRIES = ("GOPROXY", "GONOSUMDB", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX")


def tracked() -> list[tuple[str, bytes]]:
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, check=False
    )
    if listed.returncode:
        pytest.fail("this is no checkout: git ls-files does not work here")
    paths = [CHECKOUT / name for name in listed.stdout.decode().split("\0") if name]
    return [(str(p.relative_to(CHECKOUT)), p.read_bytes()) for p in paths if p.is_file() and not p.is_symlink()]


def registry_hosts() -> set[str]:
    """Hosts that this machine gets its packages from."""
    said = [os.environ.get(name, "") for name in REGISTRIES]
    for command in (["go", "env", "GOPROXY"], ["python3", "-m", "pip", "config", "list"]):
        if shutil.which(command[0]):
            said.append(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
    hosts = {urlsplit(url).hostname or "" for url in re.findall(r"https?://[^\s,|'\"]+", " ".join(said))}
    return hosts - {"localhost", ""}


def test_no_tracked_file_holds_a_path_of_a_machine_that_it_was_made_on():
    found = [
        f"{name}: {match[0].decode('utf-8', 'replace')}"
        for name, data in tracked()
        for pattern in (PATHS, HOMES)
        if EXPECTED.get(name) is not pattern
        for match in pattern.finditer(data)
    ]
    assert found == []


def test_no_tracked_file_names_a_registry_of_this_machine():
    hosts = registry_hosts()
    assert [(name, host) for name, data in tracked() for host in hosts if host.encode() in data] == []


@pytest.mark.parametrize(
    ("pattern", "text"),
    [(PATHS, "see /" + "work/main/x.py"), (PATHS, "'/" + "root/.cache'"), (HOMES, "/home/" + "carol/src")],
)
def test_the_patterns_find_what_they_are_for(pattern, text):
    assert pattern.search(text.encode())
