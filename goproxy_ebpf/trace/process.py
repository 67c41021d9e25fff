"""The programs that ran: one entry for each exec, ended by the next exec of its process or by its exit."""

import msgspec

from ..records.log import Process


class ProcessRun(msgspec.Struct):
    """One program in one process. ``status`` is the exit status, or -signal; None while running or when it
    went on as another program (``replaced``: a toolchain that go executed in its place keeps the process id).
    """

    pid: int
    parent: int
    path: str
    argv: tuple[str, ...]
    go_version: str
    coverage: str
    note: str
    started_ns: int
    ended_ns: int | None = None
    status: int | None = None
    replaced: bool = False

    @property
    def is_go_command(self) -> bool:
        """A file called ``go`` (or ``go1.26.8``, as golang.org/dl names them) that Go built, or that is named so."""
        name = self.path.rpartition("/")[2] or (self.argv[0].rpartition("/")[2] if self.argv else "")
        return name == "go" or (name.startswith("go1.") and bool(self.go_version))


class Processes(msgspec.Struct):
    """``runs`` in order of their exec; ``latest`` finds a process's newest entry by its id.

    A record's ``what`` is ``exec``, ``program`` (what a process's executable is: Go version, coverage) or ``exit``.
    """

    runs: list[ProcessRun] = []
    latest: dict[int, ProcessRun] = {}

    def feed(self, record: Process) -> None:
        if record.what == "exit":
            run = self.latest.get(record.pid)
            if run is not None and run.ended_ns is None:
                run.ended_ns = record.time_ns
                run.status = record.status
            return
        if record.what == "program":
            self._known(record)
            return
        old = self.latest.get(record.pid)
        if old is not None and old.ended_ns is None and not (old.path or old.argv):
            old.path, old.argv, old.parent = record.path, record.argv, record.parent
            return
        if old is not None and old.ended_ns is None:
            old.ended_ns = record.time_ns
            old.replaced = True
        self._begin(record)

    def _known(self, record: Process) -> None:
        """What the executable turned out to be, once it was read: a moment before the exec, or after it,
        for a short program even after its end.
        """
        run = self.latest.get(record.pid)
        if run is None or (run.ended_ns is not None and (run.coverage or run.go_version)):
            run = self._begin(record)
        run.go_version = record.go_version
        run.coverage = record.coverage
        run.note = record.note

    def _begin(self, record: Process) -> ProcessRun:
        run = ProcessRun(
            record.pid,
            record.parent,
            record.path,
            record.argv,
            record.go_version,
            record.coverage,
            record.note,
            record.time_ns,
        )
        self.runs.append(run)
        self.latest[record.pid] = run
        return run
