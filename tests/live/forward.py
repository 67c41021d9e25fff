"""A forward proxy on loopback, as HTTPS_PROXY and HTTP_PROXY name one: CONNECT (RFC 9110 §9.3.6) and absolute URLs.

Whatever host it is asked for, it goes to the same port on loopback.
"""

import contextlib
import re
import socket
import threading
from collections.abc import Iterator

ABSOLUTE = re.compile(rb"\A(\w+ )http://[^/ ]+(/)")


class Forward:
    """``heads``: the first line of each connection, as it came."""

    def __init__(self, target: int, refusal: bytes) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.heads: list[str] = []
        self._target, self._refusal = target, refusal

    def accept(self) -> None:
        with contextlib.suppress(OSError):  # closed: the end
            while True:
                client = self.listener.accept()[0]
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                data = client.recv(65536)
                if not data:
                    return
                head += data
            self.heads.append(head.split(b"\r\n", 1)[0].decode())
            if self._refusal:
                client.sendall(self._refusal)
                return
            with socket.create_connection(("127.0.0.1", self._target)) as server:
                if head.startswith(b"CONNECT "):
                    client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                else:  # RFC 9112 §3.2.2: a server is asked for the path alone
                    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._pass_on(client, server, head)
                    return
                other = threading.Thread(target=_copy, args=(server, client), daemon=True)
                other.start()
                _copy(client, server)
                other.join()

    def _pass_on(self, client: socket.socket, server: socket.socket, data: bytes) -> None:
        """Requests without a body, one after another."""
        other = threading.Thread(target=_copy, args=(server, client), daemon=True)
        other.start()
        while data:
            while b"\r\n\r\n" not in data and (more := client.recv(65536)):
                data += more
            head, end, data = data.partition(b"\r\n\r\n")
            server.sendall(ABSOLUTE.sub(rb"\1\2", head, count=1) + end)
            data = data or client.recv(65536)
        server.shutdown(socket.SHUT_WR)
        other.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def forwarding(target: int, refusal: bytes = b"") -> Iterator[Forward]:
    """To this port, until the end of the block; with ``refusal``, every request has that answer."""
    proxy = Forward(target, refusal)
    thread = threading.Thread(target=proxy.accept)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.listener.shutdown(socket.SHUT_RDWR)
        proxy.listener.close()
        thread.join(timeout=10)
