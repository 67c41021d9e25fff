"""The lab's server as a process of its own, for tests: started, ready, and stopped again."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.gobins import environment, installed

ROOT = Path(__file__).resolve().parent.parent


@contextlib.contextmanager
def running_lab(*arguments: str) -> Iterator[dict]:
    """What it printed when it was ready: ``url``, ``ca``, ``project``, ``environment``. It must end well."""
    command = [sys.executable, "-m", "goproxy_ebpf.lab", *arguments]
    lab = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = lab.stdout.readline()
        if not line:
            raise AssertionError(lab.communicate()[1])
        yield json.loads(line)
    finally:
        lab.terminate()
        _, trouble = lab.communicate(timeout=30)
    assert (lab.returncode, trouble) == (0, "")


def go_through(lab: dict, modules: Path, *arguments: str, go: Path | None = None, **more: str) -> str:
    """Runs ``go`` in the lab's project, with ``modules`` as its module cache. Its stdout; it must succeed."""
    settings = environment(**{"GOFLAGS": "-modcacherw", "GOMODCACHE": str(modules), **lab["environment"], **more})
    done = subprocess.run(
        [go or installed(), *arguments],
        cwd=lab["project"] or more.get("PWD") or os.sep,
        env=settings,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout if "http2debug=2" not in settings.get("GODEBUG", "") else done.stderr


def journal(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]
