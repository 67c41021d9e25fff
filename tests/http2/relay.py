"""A recording relay on loopback: what passes is handed on, and kept as pipeline events, one list a connection."""

import itertools
import socket
import threading

from goproxy_ebpf.records.common import Direction
from goproxy_ebpf.records.flow import Plaintext, PlaintextEnd


class Relay:
    """Listens on ``port`` and hands on to ``target`` on 127.0.0.1. The client is SEND. Times count up from 1."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._events: list[list[Plaintext | PlaintextEnd]] = []
        self._threads: list[threading.Thread] = []
        self._clock = itertools.count(1)
        self._lock = threading.Lock()

    def __enter__(self) -> "Relay":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def finished(self) -> list[list[Plaintext | PlaintextEnd]]:
        """Every connection's events, when both its ends are closed."""
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()
        return self._events

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            events: list[Plaintext | PlaintextEnd] = []
            self._events.append(events)
            for args in ((client, server, Direction.SEND), (server, client, Direction.RECV)):
                thread = threading.Thread(target=self._pass, args=(*args, events), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _pass(self, source: socket.socket, sink: socket.socket, direction: Direction, events: list) -> None:
        while True:
            try:
                data = source.recv(65_536)
            except OSError:
                data = b""
            with self._lock:  # recorded before it is handed on: an answer is never recorded before its question
                at_ns = next(self._clock)
                events.append(Plaintext(direction, at_ns, data) if data else PlaintextEnd(direction, at_ns))
            try:
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    return
                sink.sendall(data)
            except OSError:
                return
