"""Live tests: real BPF programs in this kernel, a real ``go``, the built-in proxy on loopback."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import leftovers
from .harness import ROOT


class Proxy:
    """The built-in module proxy, running."""

    def __init__(self, process: subprocess.Popen[str], said: dict) -> None:
        self.process = process
        self.url: str = said["url"]
        self.project = Path(said["project"])
        self.environment: dict[str, str] = said["environment"]


def start_proxy(folder: Path, *options: str) -> Proxy:
    folder.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "goproxy_ebpf.lab", "--directory", str(folder), *options],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    return Proxy(process, json.loads(process.stdout.readline()))


def stop_proxy(proxy: Proxy) -> None:
    proxy.process.terminate()
    proxy.process.wait(timeout=10)


@pytest.fixture(scope="session")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """28 modules, 5 MB."""
    proxy = start_proxy(tmp_path_factory.mktemp("proxy"), "--megabytes", "5")
    yield proxy
    stop_proxy(proxy)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """After every kind of end: no BPF program, no cgroup and no process of ours."""
    if os.geteuid() != 0:
        yield
        return
    before = leftovers.now()
    yield
    assert leftovers.after(before) == []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.live)
            if os.geteuid() != 0:
                item.add_marker(pytest.mark.skip(reason="needs root"))
