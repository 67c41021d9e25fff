"""Which executables are probed: those known before the child starts, and those whose exec was seen.

A file is known by device, inode, size and time of change: a build removes the programs that it made and makes others,
which get the same inode. What was known before a process started has its key log read from the first
handshake; a file that we learn of by the exec itself may be past its first handshake, so its process is also watched
at halfConn.encrypt/decrypt (``late``).
"""

import errno
import os

import msgspec

from ..records.capture import ProcessEvent
from .gobinary import GoBinary, ProbePoint
from .prober import Answer, Prober
from .programs import Programs

_MOST_DESCRIPTORS = 256


_File = tuple[int, int, int, int]


def _file(executable: int) -> _File:
    status = os.fstat(executable)
    return status.st_dev, status.st_ino, status.st_size, status.st_ctime_ns


class _Known(msgspec.Struct):
    """One file: what it is, and what was attached to it."""

    path: str = ""
    binary: GoBinary | None = None
    key_log: bool = False
    late: bool = False
    note: str = ""
    waiting: list[int] | None = None


class Executables:
    """Looks at executables through the prober and attaches what they need."""

    def __init__(self, programs: Programs, prober: Prober) -> None:
        self._programs, self._prober = programs, prober
        self._known: dict[_File, _Known] = {}
        self._asked: dict[int, tuple[int, _File]] = {}
        self.unread = 0
        """How many executed programs could not be looked at, although their processes were alive."""

    def discovered(self, answer: Answer, executable: int | None) -> GoBinary | None:
        """An executable that the prober found on disk before the child started."""
        if executable is None:
            return None
        try:
            known = self._enter(executable, answer)
            self._attach_key_log(known, executable)
        finally:
            os.close(executable)
        return known.binary

    def executed(self, pid: int) -> list[ProcessEvent]:
        """A process of the run has executed something: say what is known of it, or ask."""
        try:
            executable = os.open(f"/proc/{pid}/exe", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            # ENOENT, ESRCH: it has ended already, nothing of it can be missed that was not.
            self.unread += error.errno not in (errno.ENOENT, errno.ESRCH)
            return []
        key = _file(executable)
        known = self._known.get(key)
        if known is not None and known.waiting is None:
            os.close(executable)
            return self._say(known, pid, "key log")
        if known is not None and known.waiting is not None:
            os.close(executable)
            known.waiting.append(pid)
            return []
        try:
            number = self._prober.ask(executable) if len(self._asked) < _MOST_DESCRIPTORS else 0
        except OSError:  # it has ended: what is not known by now is seen in packets only
            number = 0
        if not number:
            os.close(executable)
            self.unread += 1
            return []
        self._known[key] = _Known(waiting=[pid])
        self._asked[number] = (executable, key)
        return []

    def answered(self, answer: Answer) -> list[ProcessEvent]:
        """The prober's answer to a question of ``executed``."""
        asked = self._asked.pop(answer.number, None)
        if asked is None:
            return []  # we did not ask that
        executable, key = asked
        known = self._known[key]
        pids, known.waiting = known.waiting or [], None
        try:
            self._describe(known, answer)
            self._attach_key_log(known, executable)
            self._attach_late(known, executable, pids)
        finally:
            os.close(executable)
        return [event for pid in pids for event in self._say(known, pid, "late")]

    def _enter(self, executable: int, answer: Answer) -> _Known:
        known = self._known.setdefault(_file(executable), _Known())
        self._describe(known, answer)
        return known

    @staticmethod
    def _describe(known: _Known, answer: Answer) -> None:
        known.path, known.binary = answer.path, answer.binary
        known.note = answer.problem if answer.binary is None else answer.binary.note

    def _attach_key_log(self, known: _Known, executable: int) -> None:
        binary = known.binary
        if binary is None or binary.key_log is None or known.key_log:
            return
        try:
            self._programs.attach_secrets(executable, checked(binary, binary.key_log))
            known.key_log = True
        except (OSError, ValueError) as error:
            known.note = f"no uprobe: {error}"

    def _attach_late(self, known: _Known, executable: int, pids: list[int]) -> None:
        binary = known.binary
        if binary is None or binary.encrypt is None or binary.decrypt is None or binary.layout is None:
            return
        try:
            # The table first: a hit before the process is in it would be passed over.
            for pid in pids:
                layout = binary.layout
                self._programs.watch_late(pid, layout.version, layout.sequence, layout.traffic_secret)
            if not known.late:
                encrypt, decrypt = checked(binary, binary.encrypt), checked(binary, binary.decrypt)
                self._programs.attach_late_secrets(executable, encrypt, decrypt)
                known.late = True
        except (OSError, ValueError) as error:
            known.note = f"no uprobe: {error}"

    @staticmethod
    def _say(known: _Known, pid: int, coverage: str) -> list[ProcessEvent]:
        binary = known.binary
        if binary is None or (binary.key_log is None and binary.path != "cmd/go"):
            return []  # not Go, or no TLS in it: only its packets are seen, and it sends none that we could read
        how = coverage if known.key_log else "packets only"
        return [ProcessEvent(0, "program", pid, 0, go_version=binary.go_version, coverage=how, note=known.note)]


def checked(binary: GoBinary, point: ProbePoint) -> int:
    """The probe's file offset, if it lies in an executable segment. Raises ValueError."""
    for start, length in binary.executable_ranges:
        if start <= point.file_offset < start + length:
            return point.file_offset
    raise ValueError(f"{point.function} is outside of the executable segments")
