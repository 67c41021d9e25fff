"""One HTTP/2 connection of the lab's server: h2 keeps the protocol, this keeps the answers moving.

Answers take turns, a frame each, as far as the client's windows and the socket's buffer allow. What waits for a window
waits without being looked at until a WINDOW_UPDATE or SETTINGS comes.
"""

import asyncio
from collections import deque
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError, StreamClosedError
from h2.settings import SettingCodes, Settings

from .frames import FrameReader, Journal
from .site import Request, Response, Site

SETTINGS = {
    SettingCodes.MAX_CONCURRENT_STREAMS: 250,
    SettingCodes.INITIAL_WINDOW_SIZE: 1 << 20,
    SettingCodes.MAX_HEADER_LIST_SIZE: 1 << 16,
}
LARGEST_FRAME = 1 << 16
FLUSH_BYTES = 1 << 18
BUFFER_BYTES = 1 << 20


class Http2Connection(asyncio.Protocol):
    """``site`` answers; ``number`` names the connection in the journal."""

    def __init__(self, site: Site, journal: Journal, number: int) -> None:
        self.site, self.journal, self.number = site, journal, number
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding="latin-1"))
        self.h2.local_settings = Settings(client=False, initial_values=SETTINGS)
        self.transport: asyncio.Transport | None = None
        self._requests: dict[int, Request] = {}
        self._bodies: dict[int, memoryview] = {}
        self._ready: deque[int] = deque()
        self._blocked: dict[int, None] = {}  # in the order in which they came to wait
        self._paused = self._stopped = False
        self._witnesses = (
            (FrameReader(journal, number, "client"), FrameReader(journal, number, "server")) if journal.wanted else None
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(high=BUFFER_BYTES)
        self.h2.initiate_connection()
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self.stop()
        self.transport = None
        self.journal.flush()

    def data_received(self, data: bytes) -> None:
        if self._stopped:
            return
        if self._witnesses:
            self._witnesses[0].feed(data)
        try:
            for event in self.h2.receive_data(data):
                self.handle(event)
        except ProtocolError:  # h2 has the GOAWAY ready
            self.stop()
        self.pump()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self.pump()

    def handle(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            self._requests[event.stream_id] = _request(event.headers or [])
        elif isinstance(event, StreamEnded):
            if request := self._requests.pop(event.stream_id, None):
                self.respond(event.stream_id, request)
        elif isinstance(event, WindowUpdated):
            if event.stream_id:
                self._unblock(event.stream_id)
            else:
                self._unblock(*self._blocked)
        elif isinstance(event, RemoteSettingsChanged):
            if SettingCodes.INITIAL_WINDOW_SIZE in event.changed_settings:
                self._unblock(*self._blocked)
        elif isinstance(event, DataReceived):
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, StreamReset):
            self.forget(event.stream_id)
        elif isinstance(event, ConnectionTerminated):  # h2 lets nothing more be sent
            self.stop()

    def respond(self, stream: int, request: Request) -> None:
        self.send(stream, self.site.answer(request), with_body=request.method != "HEAD")

    def send(self, stream: int, response: Response, *, with_body: bool = True) -> None:
        """Sends the header list now and the body as windows allow."""
        ends = not with_body or not response.body
        headers = [(":status", str(response.status)), *response.headers]
        try:
            self.h2.send_headers(stream, headers, end_stream=ends)
        except StreamClosedError:  # reset by frames that h2 has already read
            return
        if not ends:
            self._bodies[stream] = memoryview(response.body)
            self._ready.append(stream)

    def forget(self, stream: int) -> None:
        self._requests.pop(stream, None)
        self._bodies.pop(stream, None)
        self._blocked.pop(stream, None)

    def stop(self) -> None:
        """Sends what h2 has ready, and no more."""
        if not self._stopped and self.transport is not None:
            self._stopped = True
            self._bodies.clear()
            self._ready.clear()
            self._blocked.clear()
            self.flush()
            self.transport.close()

    def pump(self) -> None:
        """Sends what can be sent."""
        waiting = 0
        while self._ready and not self._paused:
            stream = self._ready.popleft()
            if stream not in self._bodies:
                continue
            waiting += self._send_piece(stream)
            if waiting >= FLUSH_BYTES:
                self.flush()
                waiting = 0
        self.flush()

    def flush(self) -> None:
        data = self.h2.data_to_send()
        if data and self.transport is not None:
            if self._witnesses:
                self._witnesses[1].feed(data)
            self.transport.write(data)

    def _send_piece(self, stream: int) -> int:
        """One DATA frame; how many bytes it had, 0 when the stream now waits for a window."""
        body = self._bodies[stream]
        window = self.h2.local_flow_control_window(stream)
        size = min(window, len(body), self.h2.max_outbound_frame_size, LARGEST_FRAME)
        if size <= 0:
            self._blocked[stream] = None
            return 0
        ends = size == len(body)
        self.h2.send_data(stream, bytes(body[:size]), end_stream=ends)
        if ends:
            del self._bodies[stream]
        else:
            self._bodies[stream] = body[size:]
            self._ready.append(stream)
        return size

    def _unblock(self, *streams: int) -> None:
        for stream in streams:
            if stream in self._blocked:
                del self._blocked[stream]
                self._ready.append(stream)


def _request(headers: Any) -> Request:
    fields = {str(name): str(value) for name, value in headers if str(name).startswith(":")}
    return Request(
        method=fields.get(":method", ""),
        path=fields.get(":path", ""),
        authority=fields.get(":authority", ""),
        headers=tuple((str(name), str(value)) for name, value in headers if not str(name).startswith(":")),
    )
