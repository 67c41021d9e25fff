"""One traced run, on root's side: attach, let the child go, copy the ring into the spool, take everything away.

Nothing is decoded here. The only events looked into are execs, which our own programs wrote.
"""

import contextlib
import ctypes
import os
import select
import signal
import time
from collections.abc import Iterator

import msgspec

from ..records.capture import CaptureRecord, Loss, ProcessEvent, RunEnd, RunHeader
from . import layout
from .cgroup import RunCgroup
from .child import Child
from .executables import Executables
from .kernel import Kernel
from .prober import Prober
from .programs import Programs
from .spool import EVENT, RECORD, SpoolWriter

_GATHER_S = 0.002
"""How long events gather before they are copied: waking for each one would take the processor from the child."""
_LINGER_S = 0.3
"""How long the last FINs and ACKs of sockets that the child left open are waited for."""

_encode = msgspec.msgpack.Encoder().encode


class Settings(msgspec.Struct, frozen=True):
    """What the user asked for, as far as the capture is concerned.

    ``epoch_offset_ns`` is Unix time minus CLOCK_MONOTONIC, in nanoseconds: the kernel's clock made a date.
    """

    epoch_offset_ns: int
    ring_bytes: int = 64 << 20
    sk_msg: bool = False


class Session:
    """Use as: ``attach`` · ``run`` · ``close``. Raises Refusal from ``attach``."""

    def __init__(self, settings: Settings, child: Child, prober: Prober, spool: SpoolWriter) -> None:
        self._settings, self._child, self._prober, self._spool = settings, child, prober, spool
        self._kernel = Kernel()
        self._executed: list[int] = []
        self._status: int | None = None
        self._cgroup: RunCgroup | None = None
        self._programs: Programs | None = None

    def attach(self, header: RunHeader) -> None:
        """Make the cgroup, compile, attach; write the header with what came of it into the spool."""
        self._cgroup = cgroup = RunCgroup.create()
        cgroup.enter(self._child.pid)
        self._programs = programs = Programs(
            self._kernel, cgroup.id, cgroup.level, self._settings.ring_bytes, sk_msg=self._settings.sk_msg
        )
        programs.on_event(self._on_event)
        programs.attach_packets(cgroup.descriptor)
        egress = programs.attach_egress(cgroup.descriptor)
        programs.attach_processes()
        programs.attach_tcp()
        self._executables = executables = Executables(programs, self._prober)
        go_version = ""
        while True:
            received = self._prober.receive()
            if received is None or received[0].last:
                break
            binary = executables.discovered(*received)
            if binary is not None and binary.path == "cmd/go":
                go_version = go_version or binary.go_version
        self._record(
            msgspec.structs.replace(
                header,
                at_ns=self._now(),
                kernel=self._kernel.release,
                machine=self._kernel.machine,
                go_version=go_version,
                egress_hook=egress,
                hooks=tuple(programs.hooks),
            )
        )
        self._spool.flush()

    def run(self) -> int:
        """Let the child go and copy until it has ended; gives its wait status."""
        programs = self._attached()
        with self._forwarded_signals():
            self._child.release()
            poller = select.poll()
            for descriptor in (programs.ring, self._prober.socket.fileno(), self._child.pidfd):
                poller.register(descriptor, select.POLLIN)
            while self._status is None:
                ready = {descriptor for descriptor, _ in poller.poll(500)}
                time.sleep(_GATHER_S)
                self._copy()
                if self._prober.socket.fileno() in ready:
                    self._hear_prober(poller)
                if self._child.pidfd in ready:
                    _, self._status = os.waitpid(self._child.pid, 0)
        self._linger()
        return self._status

    def close(self) -> None:
        """End the spool, then take away what was attached and the cgroup. Safe to call at any point."""
        if self._programs is not None and self._status is not None:
            counters = self._programs.counters()
            at_ns = self._now()
            for loss in self._losses(counters, at_ns):
                self._record(loss)
            status = os.waitstatus_to_exitcode(self._status)
            self._record(RunEnd(at_ns, status, counters))
        self._spool.close()
        self._prober.close()
        if self._programs is not None:
            self._programs.detach()
        if self._cgroup is not None:
            self._cgroup.remove()

    def _attached(self) -> Programs:
        if self._programs is None:
            raise RuntimeError("attach() comes before run()")
        return self._programs

    def _now(self) -> int:
        return time.monotonic_ns() + self._settings.epoch_offset_ns

    def _record(self, record: CaptureRecord) -> None:
        self._spool.append(RECORD, _encode(record))

    def _on_event(self, _context: object, address: int, _size: int) -> None:
        length = ctypes.c_uint32.from_address(address + 4).value
        data = ctypes.string_at(address, length)
        self._spool.append(EVENT, data)
        if data[0] == layout.EVENT_EXEC:
            self._executed.append(layout.EVENT_HEAD.unpack_from(data)[3])

    def _copy(self) -> None:
        self._attached().consume()
        executed, self._executed = self._executed, []
        for pid in executed:
            self._say(self._executables.executed(pid))
        self._spool.flush()

    def _hear_prober(self, poller: select.poll) -> None:
        received = self._prober.receive()
        if received is None:
            poller.unregister(self._prober.socket.fileno())  # it has died: what is not known by now stays unknown
        else:
            self._say(self._executables.answered(received[0]))

    def _say(self, events: list[ProcessEvent]) -> None:
        for event in events:
            self._record(msgspec.structs.replace(event, at_ns=self._now()))

    def _linger(self) -> None:
        """The kernel closes what the child left open: see it through, but not for long."""
        until = time.monotonic() + _LINGER_S
        self._copy()
        while time.monotonic() < until and self._attached().open_sockets():
            time.sleep(0.01)
            self._copy()
        self._copy()

    def _losses(self, counters: dict[str, int], at_ns: int) -> Iterator[Loss]:
        for name, number in counters.items():
            if number and not name.endswith("_bytes"):
                yield Loss(at_ns, name, number, counters.get(f"{name}_bytes", 0))
            elif number and name.removesuffix("_bytes") not in counters:
                yield Loss(at_ns, name, 0, number)
        if self._spool.dropped:
            yield Loss(at_ns, "spool_full", self._spool.dropped, self._spool.dropped_bytes)

    @contextlib.contextmanager
    def _forwarded_signals(self) -> Iterator[None]:
        """The terminal's keys reach the child by themselves; what is sent to us alone is passed on to it."""

        def forward(number: int, _frame: object) -> None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._child.pidfd, number)

        before = {
            signal.SIGINT: signal.signal(signal.SIGINT, signal.SIG_IGN),
            signal.SIGQUIT: signal.signal(signal.SIGQUIT, signal.SIG_IGN),
            signal.SIGTERM: signal.signal(signal.SIGTERM, forward),
            signal.SIGHUP: signal.signal(signal.SIGHUP, forward),
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
