"""One HTTP/1.1 connection of the lab's server, on h11: cleartext, or TLS with a client that offers no h2."""

import asyncio

import h11

from .frames import Journal
from .site import Request, Site


class Http1Connection(asyncio.Protocol):
    """Journals a ``request`` and an ``answer`` for each exchange."""

    def __init__(self, site: Site, journal: Journal, number: int) -> None:
        self.site, self.journal, self.number = site, journal, number
        self._h11 = h11.Connection(h11.SERVER)
        self._request: h11.Request | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self.journal.flush()

    def data_received(self, data: bytes) -> None:
        if self.transport is None:
            return
        self._h11.receive_data(data)
        try:
            self._advance(self.transport)
        except h11.RemoteProtocolError as error:
            if self._h11.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                refusal = h11.Response(status_code=error.error_status_hint, headers=[("connection", "close")])
                self.transport.write(self._h11.send(refusal) or b"")
            self.transport.close()

    def _advance(self, transport: asyncio.Transport) -> None:
        while True:
            event = self._h11.next_event()
            if isinstance(event, h11.Request):
                self._request = event
            elif isinstance(event, h11.EndOfMessage) and self._request is not None:
                self._respond(transport, self._request)
                if self._h11.our_state is h11.MUST_CLOSE:
                    transport.close()
                    return
                self._h11.start_next_cycle()
            elif event is h11.NEED_DATA or event is h11.PAUSED:
                return
            elif isinstance(event, h11.ConnectionClosed):
                transport.close()
                return

    def _respond(self, transport: asyncio.Transport, event: h11.Request) -> None:
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers)
        request = Request(
            method=event.method.decode("ascii"),
            path=event.target.decode("latin-1"),
            authority=dict(headers).get("host", ""),
            headers=headers,
        )
        self.journal.write(self.number, "client", "request", method=request.method, path=request.path, headers=headers)
        response = self.site.answer(request)
        head = self._h11.send(h11.Response(status_code=response.status, headers=list(response.headers)))
        body = response.body if request.method != "HEAD" else b""
        transport.write(head or b"")
        if body:
            transport.write(self._h11.send(h11.Data(data=body)) or b"")
        transport.write(self._h11.send(h11.EndOfMessage()) or b"")
        self.journal.write(self.number, "server", "answer", status=response.status, length=len(body))
