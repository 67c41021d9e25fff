"""Runs the program itself, as root, on real commands, and reads back what it wrote."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from goproxy_ebpf.framelog import read_log
from goproxy_ebpf.records.log import Connection, Exchange, Frame, Gap, Header, LogRecord, Process, Summary

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = (sys.executable, str(ROOT / "scripts/run.py"))
GO = shutil.which("go", path=f"{os.environ.get('PATH', '')}:/usr/local/go/bin:/usr/bin") or "go"


class Run:
    """One finished ``trace``."""

    def __init__(self, folder: Path, done: subprocess.CompletedProcess[str]) -> None:
        self.folder, self.status = folder, done.returncode
        self.stdout, self.stderr = done.stdout, done.stderr
        self.capture, self.log, self.report = folder / "run.pcapng", folder / "run.jsonl", folder / "report.txt"
        self.statistics = self._statistics()
        self.records: list[LogRecord] = []
        if self.log.exists() and self.log.stat().st_size:
            with self.log.open("rb") as file:
                self.records = list(read_log(file))

    def _statistics(self) -> dict[str, float]:
        path = self.folder / "statistics.json"
        return json.loads(path.read_text() or "{}") if path.exists() else {}

    def of(self, kind: type) -> list:
        return [record for record in self.records if isinstance(record, kind)]

    @property
    def frames(self) -> list[Frame]:
        return self.of(Frame)

    @property
    def exchanges(self) -> list[Exchange]:
        return self.of(Exchange)

    @property
    def gaps(self) -> list[Gap]:
        return self.of(Gap)

    @property
    def connections(self) -> list[Connection]:
        """The last line of each."""
        return list({record.conn: record for record in self.of(Connection)}.values())

    @property
    def header(self) -> Header:
        return self.of(Header)[0]

    @property
    def summary(self) -> Summary:
        return self.of(Summary)[-1]

    @property
    def processes(self) -> list[Process]:
        return self.of(Process)

    def frames_of(self, conn: int) -> list[Frame]:
        return [frame for frame in self.frames if frame.conn == conn]


def program(*arguments: str, **more: object) -> subprocess.CompletedProcess[str]:
    """The command line, in this checkout."""
    options: dict = {"capture_output": True, "text": True, "timeout": 240} | more
    return subprocess.run([*PROGRAM, *arguments], check=False, **options)


def trace(
    folder: Path,
    command: list[str],
    *options: str,
    environment: dict[str, str] | None = None,
    directory: Path | None = None,
    write: tuple[str, ...] = ("run.pcapng", "run.jsonl"),
    requests: bool = True,
) -> Run:
    """``trace`` with all outputs into ``folder``, 100 columns wide."""
    folder.mkdir(parents=True, exist_ok=True)
    own = dict(os.environ) | {
        "COLUMNS": "100",
        "XDG_STATE_HOME": str(folder / "state"),
        "GOPROXY_EBPF_STATISTICS": str(folder / "statistics.json"),
        "GOPROXY_EBPF_TRACEBACK": "1",
    }
    arguments = [*PROGRAM, "trace", "-o", str(folder / "report.txt"), *(["--requests"] if requests else [])]
    for name in write:
        arguments += ["-w", str(folder / name)]
    done = subprocess.run(
        [*arguments, *options, "--", *command],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=280,
        env=own | (environment or {}),
        cwd=directory or folder,
    )
    return Run(folder, done)


def go_environment(folder: Path, **more: str) -> dict[str, str]:
    """A module cache and build cache of its own, removable."""
    return {
        "GOMODCACHE": str(folder / "gomodcache"),
        "GOCACHE": str(folder / "gocache"),
        "GOPATH": str(folder / "gopath"),
        "GOFLAGS": "-mod=mod -modcacherw",
        "GOTOOLCHAIN": "local",
        "GOENV": "off",
    } | more
