"""What is learned of executables, and what becomes of it when the process that reads them is no help."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from goproxy_ebpf.capture.caller import identify
from goproxy_ebpf.capture.executables import Executables
from goproxy_ebpf.capture.prober import Answer, Prober


class Asked:
    """Stands for the prober: takes questions, or refuses them."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.questions = 0
        self._refuses = refuses

    def ask(self, _executable: int) -> int:
        if self._refuses:
            raise BrokenPipeError
        self.questions += 1
        return self.questions


@pytest.fixture
def prober() -> Iterator[Prober]:
    prober = Prober(identify(), {"PATH": "/nowhere"}, [], ())
    yield prober
    if prober.socket.fileno() >= 0:
        prober.close()


def until_ready(prober: Prober) -> None:
    while (received := prober.receive()) and not received[0].last:
        if received[1] is not None:
            os.close(received[1])


def run(program: Path, content: Path) -> subprocess.Popen[bytes]:
    program.write_bytes(content.read_bytes())
    program.chmod(0o755)
    return subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_another_program_on_the_same_inode_is_another_program(tmp_path: Path):
    """As when a build removes the test that it ran and makes the next one."""
    asked = Asked()
    executables = Executables(None, asked)  # type: ignore[arg-type] (nothing is attached: neither is a Go program)
    numbers = set()
    for content in ("/bin/cat", "/bin/cat", "/usr/bin/tee"):
        with run(tmp_path / "program", Path(content)) as process:
            process.stdin.write(b"x\n")
            process.stdin.flush()
            assert process.stdout.read(2) == b"x\n"  # it is past its exec
            executables.executed(process.pid)
            executables.executed(process.pid)
            executables.answered(Answer(asked.questions, problem="not a Go executable"))
            numbers.add((tmp_path / "program").stat().st_ino)
            process.stdin.close()
    assert len(numbers) == 1
    assert asked.questions == 3
    assert executables.unread == 0


def test_a_program_that_nobody_can_be_asked_about_is_counted():
    executables = Executables(None, Asked(refuses=True))  # type: ignore[arg-type]
    assert executables.executed(os.getpid()) == []
    assert executables.unread == 1
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    assert executables.executed(ended.pid) == []
    assert executables.unread == 1


def test_an_answer_to_no_question_is_no_answer():
    assert Executables(None, Asked()).answered(Answer(7)) == []  # type: ignore[arg-type]


def test_a_prober_that_is_killed_with_questions_unread_is_only_gone(prober: Prober):
    until_ready(prober)
    os.kill(prober.pid, signal.SIGSTOP)
    with Path("/bin/true").open("rb") as file:
        for _ in range(3):
            prober.ask(file.fileno())
        os.kill(prober.pid, signal.SIGKILL)
        assert prober.receive() is None
        with pytest.raises(OSError, match=r"pipe|reset"):
            prober.ask(file.fileno())
    assert prober.receive() is None


def test_a_prober_that_hangs_holds_nobody_up(prober: Prober):
    """It waits for a file system that does not answer, say: neither a question nor the end waits for it."""
    until_ready(prober)
    os.kill(prober.pid, signal.SIGSTOP)
    with Path("/bin/true").open("rb") as file, pytest.raises(BlockingIOError):
        while True:
            prober.ask(file.fileno())
    prober.close()
