"""The process that reads executables: opened as the calling user, read as nobody, one descriptor at a time.

An ELF file may be anybody's. Root only passes a descriptor over a socket, gets back offsets, and checks those against
the executable segments before it attaches anything through that same descriptor.
"""

import contextlib
import importlib
import os
import signal
import socket
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from .caller import Caller, acting_as
from .confine import become_nobody
from .gobinary import GoBinary, GoBinaryError, read_go_binary
from .toolchains import go_commands_on_disk

_MESSAGE_MAX = 65536
_MOST_ON_DISK = 64


class Answer(msgspec.Struct, frozen=True):
    """What one executable is: ``binary``, or ``problem`` in one clause. ``path`` is empty for a descriptor sent to us.

    ``number`` counts the requests; 0 is what the prober found by itself, and ``last`` marks the end of those.
    """

    number: int
    path: str = ""
    binary: GoBinary | None = None
    problem: str = ""
    last: bool = False


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Answer).decode


class Prober:
    """Root's end. ``socket`` becomes readable when an answer is there.

    ``first`` are files to look at before those that are found on disk; ``strangers`` are descriptors that the new
    process must not hold.
    """

    def __init__(
        self, caller: Caller, environment: dict[str, str], first: list[Path], strangers: tuple[int, ...]
    ) -> None:
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._next = 0
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                self.socket.close()
                for descriptor in strangers:
                    os.close(descriptor)
                for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP):
                    signal.signal(number, signal.SIG_IGN)
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the run is over before the answer
                    _serve(theirs, caller, environment, first)
                status = 0
            except ConnectionError:
                status = 0  # root has no more questions
            except BaseException as error:  # noqa: BLE001 (the process ends here: what it says is all that is left)
                os.write(2, f"goproxy-ebpf: looking at executables ended early: {error!r}\n".encode())
            finally:
                os._exit(status)
        theirs.close()

    def ask(self, executable: int) -> int:
        """Send an open executable; gives the number that its answer will carry. Raises OSError: it is gone, or so far
        behind that we would have to wait.
        """
        # socket.send_fds() takes flags and forgets them.
        passed = (socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", executable))
        self.socket.sendmsg([str(self._next + 1).encode()], [passed], socket.MSG_DONTWAIT)
        self._next += 1
        return self._next

    def receive(self) -> tuple[Answer, int | None] | None:
        """The next answer, and the descriptor of an executable that the prober opened itself; None at the end.

        Any end: it has read strangers' files, so it may be killed, or not be what it was. Then nothing more is heard.
        """
        try:
            data, descriptors, _, _ = socket.recv_fds(self.socket, _MESSAGE_MAX, 1)
            if data:
                return _decode(data), (descriptors[0] if descriptors else None)
        except (OSError, msgspec.MsgspecError):
            pass
        return None

    def close(self) -> None:
        """End the process, whatever file it may be reading or waiting for."""
        self.socket.close()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def _serve(server: socket.socket, caller: Caller, environment: dict[str, str], first: list[Path]) -> None:
    # Nobody may not be able to read our own files: a checkout can lie in a home that only its owner may look into.
    importlib.import_module(".gobinary.read", __package__)
    with acting_as(caller):
        opened = list(_opened([*first, *go_commands_on_disk(environment, Path(caller.home))]))
    become_nobody()
    for path, executable in opened:
        socket.send_fds(
            server, [_encode(_answer(0, executable, os.fsencode(path).decode("utf-8", "replace")))], [executable]
        )
        os.close(executable)
    server.send(_encode(Answer(0, last=True)))
    while True:
        data, descriptors, _, _ = socket.recv_fds(server, 64, 1)
        if not data:
            return
        for executable in descriptors:
            server.send(_encode(_answer(int(data), executable, "")))
            os.close(executable)


def _opened(paths: Iterable[Path]) -> Iterator[tuple[Path, int]]:
    """Each file once, as the caller may open it; those that the caller may not are passed over."""
    seen: set[tuple[int, int]] = set()
    for path in paths:
        try:
            executable = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a FIFO by now, maybe
        except OSError:
            continue
        status = os.fstat(executable)
        if (status.st_dev, status.st_ino) in seen or len(seen) >= _MOST_ON_DISK:
            os.close(executable)
            continue
        seen.add((status.st_dev, status.st_ino))
        yield path, executable


def _answer(number: int, executable: int, path: str) -> Answer:
    try:
        return Answer(number, path, read_go_binary(executable))
    except GoBinaryError as error:
        return Answer(number, path, problem=str(error))
