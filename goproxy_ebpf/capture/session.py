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

from ..records.capture import CaptureRecord, HookState, Loss, ProcessEvent, RunEnd, RunHeader
from . import layout
from .cgroup import RunCgroup, SharedCgroup
from .child import Child
from .errors import Refusal
from .executables import Executables
from .kernel import Kernel
from .prober import Prober
from .programs import Programs
from .signals import Signals, held_back
from .spool import EVENT, RECORD, SpoolWriter

_PRIORITY = -10
_GATHER_S = 0.002
"""How long events gather before they are copied: waking for each one would take the processor from the child."""
_COPY_AT_ONCE = 16 << 20
"""After so many bytes of events we look up: a run that fills the ring as fast as it is emptied gets its signals too."""
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
        self._room = 0
        self._status: int | None = None
        self._cgroup: RunCgroup | SharedCgroup | None = None
        self._compromises: list[HookState] = []
        self._programs: Programs | None = None
        self._executables: Executables | None = None
        self._signals: Signals | None = None

    def attach(self, header: RunHeader) -> None:
        """Make the cgroup, compile, attach; write the header with what came of it into the spool."""
        with held_back():  # between the making of the group and our knowing of it, nothing must come
            self._cgroup = cgroup = self._enter_cgroup()
        self._programs = programs = Programs(
            self._kernel, cgroup, self._settings.ring_bytes, sk_msg=self._settings.sk_msg
        )
        programs.hooks += self._compromises
        programs.follow(self._child.pid)
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
        # A busy machine must not keep us from emptying the ring: we need little time, but soon.
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, _PRIORITY)
        self._signals = signals = Signals()
        self._child.release()
        poller = select.poll()
        for descriptor in (programs.ring, self._prober.socket.fileno(), self._child.pidfd, signals.descriptor):
            poller.register(descriptor, select.POLLIN)
        more = False
        while self._status is None:
            ready = {descriptor for descriptor, _ in poller.poll(0 if more else 500)}
            for number in signals.sent_to_us():
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._child.pidfd, number)
            if not more:
                time.sleep(_GATHER_S)
            more = self._copy()
            if self._prober.socket.fileno() in ready:
                self._hear_prober(poller)
            if self._child.pidfd in ready:
                _, self._status = os.waitpid(self._child.pid, 0)
        self._linger()
        return self._status

    def close(self) -> None:
        """End the spool, then take away what was attached and the cgroup. Safe to call at any point."""
        with held_back():
            self._close()
        if self._signals is not None:
            self._signals.release()

    def _close(self) -> None:
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

    def _enter_cgroup(self) -> RunCgroup | SharedCgroup:
        """The run's own cgroup; where that is refused (read-only, threaded, delegated), the caller's, shared."""
        try:
            cgroup = RunCgroup.create()
            try:
                cgroup.enter(self._child.pid)
            except Refusal:
                cgroup.remove()
                raise
        except Refusal as refusal:
            if self._settings.sk_msg or not self._kernel.reads_memory_in_skb_programs:
                raise
            shared = SharedCgroup()
            detail = f"{refusal.why}; attached to the caller's, filtered by socket: DNS is not seen"
            self._compromises.append(HookState("cgroup", "a cgroup of the run's own", "refused", detail))
            return shared
        return cgroup

    def _attached(self) -> Programs:
        if self._programs is None:
            raise RuntimeError("attach() comes before run()")
        return self._programs

    def _now(self) -> int:
        return time.monotonic_ns() + self._settings.epoch_offset_ns

    def _record(self, record: CaptureRecord) -> None:
        self._spool.append(RECORD, _encode(record))

    def _on_event(self, _context: object, address: int, _size: int) -> int:
        """Negative: that is enough for now. The event is taken all the same, and the next stays in the ring."""
        length = ctypes.c_uint32.from_address(address + 4).value
        data = ctypes.string_at(address, length)
        self._spool.append(EVENT, data)
        if data[0] == layout.EVENT_EXEC:
            self._executed.append(layout.EVENT_HEAD.unpack_from(data)[3])
        self._room -= length
        return 0 if self._room > 0 else -1

    def _copy(self) -> bool:
        """What is in the ring into the spool; whether there may be more of it."""
        self._room = _COPY_AT_ONCE
        self._attached().consume()
        executed, self._executed = self._executed, []
        if self._executables is not None:
            for pid in executed:
                self._say(self._executables.executed(pid))
        self._spool.flush()
        return self._room <= 0

    def _copy_all(self) -> None:
        """All that is in the ring now. What the run left behind may fill it again for ever: once is enough."""
        for _ in range(self._settings.ring_bytes // _COPY_AT_ONCE + 1):
            if not self._copy():
                return

    def _hear_prober(self, poller: select.poll) -> None:
        received = self._prober.receive()
        if received is None:
            poller.unregister(self._prober.socket.fileno())  # it has died: what is not known by now stays unknown
        elif self._executables is not None:
            if received[1] is not None:
                os.close(received[1])  # we did not ask for that
            self._say(self._executables.answered(received[0]))

    def _say(self, events: list[ProcessEvent]) -> None:
        for event in events:
            self._record(msgspec.structs.replace(event, at_ns=self._now()))

    def _linger(self) -> None:
        """The kernel closes what the child left open: see it through, but not for long."""
        until = time.monotonic() + _LINGER_S
        self._copy_all()
        while time.monotonic() < until and self._attached().open_sockets():
            time.sleep(0.01)
            self._copy_all()
        self._copy_all()

    def _losses(self, counters: dict[str, int], at_ns: int) -> Iterator[Loss]:
        for name, number in counters.items():
            if number and not name.endswith("_bytes"):
                yield Loss(at_ns, name, number, counters.get(f"{name}_bytes", 0))
            elif number and name.removesuffix("_bytes") not in counters:
                yield Loss(at_ns, name, 0, number)
        if self._executables is not None and self._executables.unread:
            yield Loss(at_ns, "programs_not_looked_at", self._executables.unread)
        if self._spool.dropped:
            yield Loss(at_ns, "spool_full", self._spool.dropped, self._spool.dropped_bytes)
