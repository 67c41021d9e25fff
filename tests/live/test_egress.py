"""What is read at tcp_sendmsg is what is sent, however it is handed over; what cannot be read is counted."""

import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from .harness import Run, trace

PREPARE = """
import mmap, os, socket, sys
to = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
def until_full(data):
    to.setblocking(False)
    try:
        while True:
            to.sendmsg(data)
    except BlockingIOError:
        to.setblocking(True)
"""


@pytest.fixture
def sink() -> Iterator[int]:
    """A port that reads nothing for a while, so that senders fill their buffers, and then all."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                threading.Event().wait(0.4)
                while connection.recv(1 << 20):
                    pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield server.getsockname()[1]
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()


def sent_by(folder: Path, sink: int, text: str) -> Run:
    run = trace(folder, [sys.executable, "-I", "-c", PREPARE + text, str(sink)])
    assert run.status == 0, run.stderr
    (connection,) = run.connections
    assert connection.sent.on_wire == connection.sent.accepted == connection.sent.span > 0
    assert connection.sent.matches is True
    return run


def test_other_bytes_where_a_full_socket_took_none_are_the_ones_that_are_shown(tmp_path: Path, sink: int):
    """A send that is not taken whole is offered ahead; what is sent in its place is none of it."""
    run = sent_by(tmp_path, sink, "until_full([b'a' * 1000000])\nto.sendall(b'b' * 300000)")
    assert set(run.summary.counters.values()) == {0}
    assert not run.report.read_text().startswith("INCOMPLETE")


def test_eight_megabytes_in_one_send_are_read_once(tmp_path: Path, sink: int):
    run = sent_by(tmp_path, sink, "to.sendall(os.urandom(8 << 20))")
    assert set(run.summary.counters.values()) == {0}
    assert run.connections[0].sent.offered == 8 << 20


def test_a_gathered_send_from_pages_that_are_not_there_is_counted(tmp_path: Path, sink: int):
    (tmp_path / "file").write_bytes(bytes(1 << 20))
    text = f"""
with open({str(tmp_path / "file")!r}, "rb") as file:
    pages = memoryview(mmap.mmap(file.fileno(), 1 << 20, prot=mmap.PROT_READ))
    to.sendmsg([b"first", pages[500000:510000]])
"""
    run = sent_by(tmp_path, sink, text)
    assert {name: value for name, value in run.summary.counters.items() if value} == {"egress_read_failed": 1}


@pytest.mark.parametrize("tx", ["tcp_sendmsg", "sk_msg"])
def test_what_waits_in_a_socket_that_outlives_the_run_is_unsent_and_no_difference(tmp_path: Path, sink: int, tx: str):
    """And the socket goes on working: what a survivor sends arrives when we have taken away all that is ours."""
    text = f"""
until_full([b'a' * 1000000])
if os.fork() == 0:
    for number in range(3):
        os.close(number)
    to.sendall(b'b' * (8 << 20))
    to.shutdown(socket.SHUT_WR)
    os.rename({str(tmp_path / "waiting")!r}, {str(tmp_path / "sent")!r})
"""
    (tmp_path / "waiting").touch()
    run = trace(tmp_path / "run", [sys.executable, "-I", "-c", PREPARE + text, str(sink)], "--tx", tx)
    assert run.status == 0, run.stderr
    report = run.report.read_text()
    assert " ≠ " not in report
    assert not report.startswith("INCOMPLETE")
    for _ in range(1000):
        if (tmp_path / "sent").exists():
            break
        threading.Event().wait(0.01)
    assert (tmp_path / "sent").exists()
