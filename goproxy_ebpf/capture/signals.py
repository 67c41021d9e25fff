"""Signals that are sent to us alone are the child's; the terminal's keys reach it by themselves.

While the child runs they are read from a descriptor (signalfd(2)), because that says who sent them: what the kernel
sent, it has sent to the whole foreground process group, the child included. Passed on, it would arrive twice.
"""

import contextlib
import ctypes
import os
import signal
import struct
from collections.abc import Iterator

FORWARDED = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGTERM,
)
_SI_KERNEL = 0x80
_INFO = struct.Struct("<Iii116x")  # struct signalfd_siginfo: ssi_signo, ssi_errno, ssi_code
_CLOEXEC, _NONBLOCK = os.O_CLOEXEC, os.O_NONBLOCK

_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """What must not be left half done: a signal waits until it is."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Signals:
    """Held back from the start on; ``release`` gives them their usual effect again."""

    def __init__(self) -> None:
        self._before = signal.pthread_sigmask(signal.SIG_BLOCK, FORWARDED)
        mask = ctypes.c_uint64(sum(1 << (number - 1) for number in FORWARDED))
        # The system call's own mask is 8 bytes; libc's sigset_t is larger, and zero behind them.
        mask_set = ctypes.create_string_buffer(bytes(mask), 128)
        self.descriptor: int = _libc.signalfd(-1, mask_set, _CLOEXEC | _NONBLOCK)
        if self.descriptor < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))

    def sent_to_us(self) -> Iterator[int]:
        """The numbers of those that came since the last call and that the child has not got already."""
        while True:
            try:
                data = os.read(self.descriptor, _INFO.size)
            except BlockingIOError:
                return
            number, _, code = _INFO.unpack(data)
            if code != _SI_KERNEL:
                yield number

    def release(self) -> None:
        """Forget those that wait: they were for the run, which is over."""
        for _ in self.sent_to_us():
            pass
        os.close(self.descriptor)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._before)
