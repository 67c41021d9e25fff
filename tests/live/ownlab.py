"""The lab's server in a thread of the test's own, with another site or another way to send."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from goproxy_ebpf.lab.authority import NAMES, make_authority
from goproxy_ebpf.lab.frames import Journal
from goproxy_ebpf.lab.http2 import Http2Connection
from goproxy_ebpf.lab.server import ConnectionFactory, Options, start_server
from goproxy_ebpf.lab.site import Site


class Lab:
    """``environment`` is what a ``go`` that is to use it needs."""

    def __init__(self, url: str, port: int, ca: Path) -> None:
        self.url, self.port, self.ca = url, port, ca.read_bytes()
        self.environment = {"GOPROXY": url, "SSL_CERT_FILE": str(ca), "GOSUMDB": "off"}


@contextlib.contextmanager
def serving(
    folder: Path,
    site: Site,
    http2: ConnectionFactory = Http2Connection,
    options: Options = Options(),  # noqa: B008
    names: tuple[str, ...] = NAMES,
) -> Iterator[Lab]:
    """Until the end of the block. ``folder`` gets the authority's certificate, which is for ``names``."""
    authority = make_authority(names)
    ca = folder / "ca.pem"
    ca.write_bytes(authority.ca)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        starting = start_server(site, options, authority, Journal(None), http2)
        server = asyncio.run_coroutine_threadsafe(starting, loop).result(timeout=30)
        yield Lab(server.url, server.port, ca)
        loop.call_soon_threadsafe(server.close)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=30)
        loop.close()


def paced(bytes_per_s: int) -> ConnectionFactory:
    """HTTP/2 connections that send no faster than a network would: a turn of 1/100 s each."""

    class Paced(Http2Connection):
        turn: asyncio.TimerHandle | None = None

        def pump(self) -> None:
            if self.turn is None:
                self._a_turn()

        def _a_turn(self) -> None:
            self.turn = None
            left = bytes_per_s // 100
            while self._ready and not self._paused and left > 0:
                stream = self._ready.popleft()
                if stream in self._bodies:
                    left -= self._send_piece(stream)
            self.flush()
            if self._ready and not self._stopped:
                self.turn = asyncio.get_running_loop().call_later(0.01, self._a_turn)

    return Paced
