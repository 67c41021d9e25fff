"""Listens on loopback and hands each connection to the protocol that ALPN chose."""

import asyncio
import contextlib
import itertools
import socket
import ssl
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from .authority import Authority
from .frames import Journal
from .http1 import Http1Connection
from .http2 import Http2Connection
from .site import Site

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
ATTEMPTS = 20
BACKLOG = 256

ConnectionFactory = Callable[[Site, Journal, int], asyncio.Protocol]


class Options(msgspec.Struct, frozen=True):
    """``port`` 0 takes a free one. ``tls`` is ``1.2``, ``1.3`` or empty for both; ``http1`` offers no h2."""

    port: int = 0
    tls: str = ""
    http1: bool = False
    cleartext: bool = False


class Server:
    """``url`` is what GOPROXY is set to."""

    def __init__(self, listeners: Sequence[asyncio.Server], url: str, port: int) -> None:
        self._listeners = listeners
        self.url = url
        self.port = port

    def close(self) -> None:
        for listener in self._listeners:
            listener.close()


async def start_server(
    site: Site,
    options: Options,
    authority: Authority,
    journal: Journal,
    http2: ConnectionFactory = Http2Connection,
) -> Server:
    """Serves on 127.0.0.1, and on ::1 where there is one, until closed. ``http2`` makes HTTP/2 connections.

    Raises OSError when the port is taken.
    """
    numbers = itertools.count(1)

    def accepted() -> asyncio.Protocol:
        number = next(numbers)
        if options.cleartext:
            return Http1Connection(site, journal, number)
        return _ChosenByAlpn(http2, site, journal, number)

    context = None if options.cleartext else _context(options, authority)
    sockets = _listen(options.port)
    for each in sockets:
        # Inherited by what it accepts. asyncio sets it only on sockets that were made with IPPROTO_TCP by name.
        each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    loop = asyncio.get_running_loop()
    listeners = [await loop.create_server(accepted, sock=each, ssl=context, backlog=BACKLOG) for each in sockets]
    port = int(sockets[0].getsockname()[1])
    return Server(listeners, f"{'http' if options.cleartext else 'https'}://localhost:{port}", port)


class _ChosenByAlpn(asyncio.Protocol):
    """Stands in until the TLS handshake is done, then gives its transport to the protocol that was agreed on."""

    def __init__(self, http2: ConnectionFactory, site: Site, journal: Journal, number: int) -> None:
        self._http2, self._arguments = http2, (site, journal, number)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        chosen = transport.get_extra_info("ssl_object").selected_alpn_protocol()
        protocol = self._http2(*self._arguments) if chosen == "h2" else Http1Connection(*self._arguments)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)


def _context(options: Options, authority: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"] if options.http1 else ["h2", "http/1.1"])
    context.minimum_version = VERSIONS[options.tls or "1.2"]
    context.maximum_version = VERSIONS[options.tls or "1.3"]
    with tempfile.TemporaryDirectory() as directory:  # ssl reads certificates from files only
        _, certificate, key = authority.write(Path(directory))
        context.load_cert_chain(certificate, key)
    return context


def _listen(port: int) -> list[socket.socket]:
    """One port on both loopback addresses: `localhost` may mean either, and a refused one shows up as a reset."""
    for attempt in range(ATTEMPTS):
        first = socket.create_server(("127.0.0.1", port))
        if not _has_ipv6_loopback():
            return [first]
        try:
            return [first, socket.create_server(("::1", first.getsockname()[1]), family=socket.AF_INET6)]
        except OSError:
            first.close()
            if port or attempt == ATTEMPTS - 1:
                raise
    raise AssertionError


def _has_ipv6_loopback() -> bool:
    with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        return True
    return False
