"""``goproxy-ebpf trace``: capture, and run the pipeline over the records as they arrive."""

import contextlib
import os
import signal
import stat
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import msgspec

from .. import __version__
from ..capture.caller import Caller, CallerError, acting_as, identify
from ..capture.child import Child, CommandError, find_program, spawn
from ..capture.confine import missing_capabilities
from ..capture.errors import Refusal
from ..capture.prober import Prober
from ..capture.session import Session, Settings
from ..capture.spool import Spool
from ..framelog.keep import make_room, name_of
from ..framelog.masking import steering
from ..records.capture import RunHeader
from ..report.harmless import harmless
from .failure import Failure, UsageProblem, because, require
from .output import color_option, complete_files, shape
from .worker import SAID, Outputs, start

OUR_FAILURE = 125
_SPOOL_CAP = 4 << 30
_SPOOL_DIRECTORY = Path("/var/tmp")  # noqa: S108 (a file without a name; /tmp is often memory)
_DESCRIPTORS = 1 << 16
_SECRET_FILE = 0o600


class Job(msgspec.Struct, frozen=True):
    """What is to be run, by whom, with which environment."""

    argv: tuple[str, ...]
    program: str
    caller: Caller
    environment: dict[str, str]
    labels: dict[str, str]
    run_id: str


def _pairs(values: Sequence[str], option: str) -> dict[str, str]:
    pairs = {}
    for value in values:
        name, equals, rest = value.partition("=")
        if not equals or not name:
            raise UsageProblem(f"{option} {value}: NAME=VALUE is wanted")
        pairs[name] = rest
    return pairs


@click.command(context_settings={"allow_interspersed_args": False})
@click.option(
    "-w",
    "--write",
    "targets",
    multiple=True,
    metavar="FILE",
    shell_complete=complete_files,
    help="Write data: a capture if the name ends in .pcapng, a frame log if in .jsonl or .jsonl.zst.",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    shell_complete=complete_files,
    help="Write the report here instead of to standard error.",
)
@click.option("--cold", is_flag=True, help="Run with a throw-away GOMODCACHE, removed afterwards.")
@click.option("--frames", is_flag=True, help="Print every frame, one a line.")
@click.option("--requests", "all_requests", is_flag=True, help="List every request instead of the slowest.")
@click.option(
    "--tx",
    type=click.Choice(["auto", "tcp_sendmsg", "sk_msg"]),
    default="auto",
    show_default=True,
    help="Where the bytes that go sends are read.",
)
@click.option("-u", "--user", metavar="USER", help="Run the command as this user.")
@click.option("-E", "--env", "extra", multiple=True, metavar="VAR=VAL", help="Add to the command's environment.")
@click.option("--label", "labels", multiple=True, metavar="K=V", help="Put a label into the run's header.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Form of the report; json goes with -o.",
)
@click.option("--no-keep", is_flag=True, help="Do not keep this run's frame log among the last 20.")
@click.option(
    "--ring-kib",
    type=click.IntRange(64, 1 << 20),
    default=65536,
    show_default=True,
    metavar="KIB",
    help="Size of the kernel's ring buffer, a power of two.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print no report.")
@color_option
@click.argument("command", nargs=-1, required=True, metavar="[--] CMD…", shell_complete=complete_files)
def trace(
    *,
    targets: tuple[str, ...],
    output: str | None,
    cold: bool,
    frames: bool,
    all_requests: bool,
    tx: str,
    user: str | None,
    extra: tuple[str, ...],
    labels: tuple[str, ...],
    form: str,
    no_keep: bool,
    ring_kib: int,
    quiet: bool,
    color: str,
    command: tuple[str, ...],
) -> int:
    """Run CMD and show what go asks its module proxy for, and what it is answered."""
    if form == "json" and output is None and not quiet:
        raise UsageProblem("--format json needs -o FILE: standard error is the command's as well")
    if output == "-":
        raise UsageProblem("-o -: standard output is the command's; name a file")
    if quiet and output is not None:
        raise UsageProblem("-q prints no report, -o says where to: leave one of them out")
    if ring_kib & (ring_kib - 1):
        raise UsageProblem(f"--ring-kib {ring_kib}: a power of two is wanted")
    for target in targets:
        if not target.endswith((".pcapng", ".jsonl", ".jsonl.zst")):
            raise UsageProblem(f"-w {target}: the name ends in .pcapng, .jsonl or .jsonl.zst")
    added, wanted_labels = _pairs(extra, "-E"), _pairs(labels, "--label")
    _need_root()
    require("trace", "elftools", "capstone")
    try:
        caller = identify(user)
        with contextlib.ExitStack() as stack:
            stack.enter_context(_ended_by_signals())
            job = _job(command, caller, added, wanted_labels, stack if cold else None)
            outputs = _outputs(job, targets, output, keep=not no_keep, quiet=quiet)
            look = shape(None if output else sys.stderr, color)
            shown = msgspec.structs.replace(
                outputs.worker,
                form=form,
                width=look.width,
                colour=look.colour,
                frames=frames,
                all_requests=all_requests,
            )
            settings = Settings(ring_bytes=ring_kib << 10, sk_msg=tx == "sk_msg", epoch_offset_ns=_epoch_offset_ns())
            with _nothing_kept_of_nothing(caller, outputs.kept):
                status = _run(job, settings, shown)
    except _Ended as end:
        return _end_like(end.number)
    except CallerError as error:
        raise Failure(str(error), OUR_FAILURE) from error
    except CommandError as error:
        raise Failure(str(error), error.status) from error
    except Refusal as refusal:
        raise Failure(str(refusal), OUR_FAILURE) from refusal
    except OSError as error:
        raise Failure(f"the capture failed: {because(error)}", OUR_FAILURE) from error
    if outputs.kept is not None and not quiet and sys.stderr.isatty():
        click.echo(f"kept as {outputs.kept}: `goproxy-ebpf report` shows it again", err=True)
    return _end_like(status)


def _need_root() -> None:
    if os.geteuid() != 0:
        raise Failure("trace loads BPF programs into the kernel, which needs root: run it with sudo", OUR_FAILURE)
    lacking = missing_capabilities()
    if lacking:
        remedy = "in a container, run it with --privileged"
        raise Failure(f"this root lacks {', '.join(lacking)}, which trace needs: {remedy}", OUR_FAILURE)


class _Ended(BaseException):
    """A signal came that ends this program, outside of the time in which it is passed on to the child."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Before the child runs and while the report is waited for, a signal must not keep us from cleaning up."""

    def end(number: int, _frame: object) -> None:
        raise _Ended(number)

    numbers = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, end) for number in numbers if signal.getsignal(number) != signal.SIG_IGN}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _nothing_kept_of_nothing(caller: Caller, kept: Path | None) -> Iterator[None]:
    """A command that could not be run leaves no empty log for `report` to open."""
    try:
        yield
    except BaseException:
        if kept is not None:
            with acting_as(caller), contextlib.suppress(OSError):
                if kept.stat().st_size == 0:
                    kept.unlink()
        raise


def _job(
    command: tuple[str, ...],
    caller: Caller,
    added: dict[str, str],
    labels: dict[str, str],
    cold: contextlib.ExitStack | None,
) -> Job:
    environment = caller.environment | added
    if cold is not None:
        environment["GOMODCACHE"] = cold.enter_context(_cold_cache(caller))
    with acting_as(caller):
        program = find_program(command[0], environment.get("PATH", ""))
    return Job(command, program, caller, environment, labels, uuid.uuid4().hex)


def _epoch_offset_ns() -> int:
    return time.time_ns() - time.monotonic_ns()


@contextlib.contextmanager
def _cold_cache(caller: Caller) -> Iterator[str]:
    """An empty module cache of the caller's, gone afterwards. Go makes what it unpacks read-only."""
    with acting_as(caller):
        folder = caller.environment.get("TMPDIR") or "/tmp"  # noqa: S108 (mkdtemp's name is nobody's to guess)
        try:
            path = Path(tempfile.mkdtemp(prefix="goproxy-ebpf-cold-", dir=folder))
        except OSError as error:
            raise Failure(f"--cold: {folder}: {because(error)}", OUR_FAILURE) from error
    try:
        yield str(path)
    finally:
        with acting_as(caller):
            _remove_tree(path)


def _remove_tree(path: Path) -> None:
    import shutil

    for folder, _, _ in os.walk(path):
        with contextlib.suppress(OSError):
            Path(folder).chmod(stat.S_IRWXU)
    shutil.rmtree(path, ignore_errors=True)
    if path.exists():
        click.echo(f"goproxy-ebpf: {harmless(str(path))}: the cold module cache could not be removed", err=True)


class _Opened(msgspec.Struct):
    worker: Outputs
    kept: Path | None


def _outputs(job: Job, targets: tuple[str, ...], output: str | None, *, keep: bool, quiet: bool) -> _Opened:
    """Open all that will be written, as the caller: their rights decide, and the files are theirs."""
    captures: list[int] = []
    logs: list[tuple[int, bool]] = []
    text: int | None = None if quiet else 2
    kept: Path | None = None
    with acting_as(job.caller):
        for target in targets:
            if target.endswith(".pcapng"):
                captures.append(_open(Path(target), _SECRET_FILE, seekable=True))
            else:
                logs.append((_open(Path(target), 0o666), target.endswith(".zst")))
        if output is not None and not quiet:
            text = _open(Path(output), 0o666)
        _refuse_twice([*captures, *(number for number, _ in logs), *([text] if output is not None else [])])
        if keep:
            kept, descriptor = _keep(job)
            if descriptor is not None:
                logs.append((descriptor, True))
        statistics = os.environ.get("GOPROXY_EBPF_STATISTICS")
        counted = _open(Path(statistics), 0o666) if statistics else None
    return _Opened(Outputs(tuple(captures), tuple(logs), text, statistics=counted), kept)


def _open(path: Path, mode: int, *, seekable: bool = False) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NONBLOCK, mode)
        os.set_blocking(descriptor, True)
    except OSError as error:
        raise Failure(f"{path}: {because(error)}", OUR_FAILURE) from error
    if seekable and not stat.S_ISREG(os.fstat(descriptor).st_mode):
        # Secrets found late go to the capture's start.
        raise Failure(f"{path}: a capture is written to a regular file only", OUR_FAILURE)
    return descriptor


def _refuse_twice(descriptors: Sequence[int | None]) -> None:
    """Two outputs in one file would overwrite each other."""
    files = [os.fstat(number) for number in descriptors if number is not None]
    regular = [(each.st_dev, each.st_ino) for each in files if stat.S_ISREG(each.st_mode)]
    if len(regular) != len(set(regular)):
        raise UsageProblem("-w and -o name the same file twice")


def _keep(job: Job) -> tuple[Path | None, int | None]:
    """Where this run's log is kept, opened; None, with a line, where the caller has no place for it."""
    environment = job.environment
    directory = msgspec.structs.replace(job.caller, environment=environment).state_directory
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        make_room(directory)
        path = directory / name_of(time.time_ns(), job.run_id[:8])
        return path, os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except OSError as error:
        click.echo(f"goproxy-ebpf: {harmless(str(directory))}: {because(error)}: this run is not kept", err=True)
        return None, None


def _run(job: Job, settings: Settings, outputs: Outputs) -> int:
    """Fork what has to be forked while this process is small, then capture. Gives the child's wait status."""
    child = spawn(job.program, list(job.argv), job.caller, job.environment)
    prober = Prober(job.caller, job.environment, [Path(job.program)], child.descriptors)
    spool = Spool(_SPOOL_DIRECTORY if _SPOOL_DIRECTORY.is_dir() else None)
    worker = start(spool, outputs, settings.epoch_offset_ns, (*child.descriptors, prober.socket.fileno()))
    writer = spool.writer(_SPOOL_CAP)
    session = Session(settings, child, prober, writer)
    header = _header(job)
    _allow_many_descriptors()
    os.chdir("/")  # the compiler in BCC wants a directory that exists; and the caller's is not ours to keep busy
    status: int | None = None
    try:
        session.attach(header)
        status = session.run()
    except BaseException:
        if status is None:
            _abandon(child, worker)
        raise
    finally:
        session.close()
        worker_status = _wait_for_report(worker)
    if os.WIFEXITED(worker_status) and os.WEXITSTATUS(worker_status) == SAID:
        return status or OUR_FAILURE << 8
    if worker_status:
        failure = "the report is not complete: decoding ended early"
        if not status:
            raise Failure(failure, OUR_FAILURE)
        click.echo(f"goproxy-ebpf: {failure}", err=True)  # the command's own status says more
    return status


def _allow_many_descriptors() -> None:
    """Each Go program that runs takes a few. The limit that was set for the command stays the command's."""
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if most == resource.RLIM_INFINITY else max(most, _DESCRIPTORS)
    for limits in ((wanted, wanted), (most, most)):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            return


def _wait_for_report(worker: int) -> int:
    """Until all is decoded and printed, or until we are told again to end."""
    try:
        return os.waitpid(worker, 0)[1]
    except _Ended:
        os.kill(worker, signal.SIGKILL)
        os.waitpid(worker, 0)
        return 0


def _abandon(child: Child, worker: int) -> None:
    """Nothing was run: end the child where it waits, and the worker without a report."""
    with contextlib.suppress(OSError):
        child.cancel()
    with contextlib.suppress(ProcessLookupError):
        os.kill(worker, signal.SIGKILL)


def _header(job: Job) -> RunHeader:
    return RunHeader(
        0,
        "ebpf",
        __version__,
        run_id=job.run_id,
        argv=tuple(_text(argument) for argument in job.argv),
        directory=_text(_directory()),
        user=job.caller.name,
        environment={name: _text(value) for name, value in steering(job.environment).items()},
        labels={_text(name): _text(value) for name, value in job.labels.items()},
    )


def _text(given: str) -> str:
    """What was given to us may be no UTF-8, and a record is text: each byte that is none becomes U+FFFD."""
    return os.fsencode(given).decode("utf-8", "replace")


def _directory() -> str:
    """The working directory; empty where it has been removed, which keeps no program from running in it."""
    try:
        return str(Path.cwd())
    except OSError:
        return ""


def _end_like(status: int) -> int:
    """End as the child did: its status, or its signal (without a second core dump)."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return code
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.stdout.flush()
    sys.stderr.flush()
    if -code not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(-code, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [-code])
    os.kill(os.getpid(), -code)
    return 128 - code
