"""The checkout may lie where only its owner may look: the parts that run as nobody have all they need by then."""

import shutil
import subprocess
import sys
from pathlib import Path

from goproxy_ebpf.framelog import read_log
from goproxy_ebpf.records.log import Exchange, Summary

from .conftest import Proxy
from .harness import GO, ROOT, go_environment
from .test_against_go import copied

DOWNLOAD = (GO, "mod", "download", "all")


def test_a_checkout_that_others_may_not_read_traces_and_decodes(tmp_path: Path, proxy: Proxy):
    checkout = tmp_path / "closed"
    checkout.mkdir(mode=0o700)
    for name in ("goproxy_ebpf", "bpf", "scripts"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    assert checkout.stat().st_mode & 0o077 == 0
    project = copied(proxy.project, tmp_path)
    done = subprocess.run(
        [sys.executable, checkout / "scripts/run.py", "trace", "--no-keep", "-w", "run.jsonl", "--", *DOWNLOAD],
        cwd=project,
        env=go_environment(tmp_path)
        | proxy.environment
        | {"GOSUMDB": "off", "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[0].startswith("HEALTHY"), done.stderr
    with (project / "run.jsonl").open("rb") as file:
        records = list(read_log(file))
    assert len([record for record in records if isinstance(record, Exchange)]) > 80
    assert isinstance(records[-1], Summary)
    assert records[-1].undecryptable_bytes == 0
