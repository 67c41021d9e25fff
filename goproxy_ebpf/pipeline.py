"""Capture records in, frame log records out: everything between, wired together. Pure: no clock, no file, no root.

A live run and a file go through this same function over the same records in the same order, so they print the same.

Frames are numbered across connections in time order. Connections are decoded one record at a time, and a secret comes
later than the bytes that need it, so what is decoded waits ``HOLD_NS`` (of the records' own time) to be put in order.
What is decoded later still, because its secret was found late, follows in the order in which it was decoded.
"""

import heapq
from collections.abc import Iterable

import msgspec

from .dns.lookups import Lookups
from .framelog.header import header_line
from .framelog.masking import mask_argv, mask_headers, mask_path, mask_url
from .http2.http import Http
from .records.capture import (
    CaptureRecord,
    Egress,
    Loss,
    Packet,
    ProcessEvent,
    RunEnd,
    RunHeader,
    Secret,
    TcpEvent,
    TrafficSecret,
)
from .records.common import Direction
from .records.flow import (
    ConnectionClosed,
    ConnectionEstablished,
    ConnectionOpened,
    Datagram,
    Lookup,
    Plaintext,
    PlaintextEnd,
    PlaintextGap,
    StreamBytes,
    StreamEvent,
    StreamGap,
    TlsBytes,
    TlsEvent,
    TlsFacts,
)
from .records.log import Connection, Dns, Exchange, Frame, Gap, LogRecord, Process, Summary, Tcp
from .streams.streams import Streams
from .tls import Tls

HOLD_NS = 250_000_000

_replace = msgspec.structs.replace


class _Connection:
    """What is gathered about one connection while it lives."""

    __slots__ = ("closed", "dns", "established", "facts", "frames", "http", "opened")

    def __init__(self, opened: ConnectionOpened, dns: Lookup | None) -> None:
        self.opened = opened
        self.dns = dns
        self.http = Http(opened.connection)
        self.established: ConnectionEstablished | None = None
        self.closed: ConnectionClosed | None = None
        self.facts: TlsFacts | None = None
        self.frames = 0


class Pipeline:
    """One run. ``feed`` and ``finish`` give the log records that are ready, in the log's order."""

    def __init__(self) -> None:
        self._streams = Streams()
        self._tls, self._dns = Tls(), Lookups()
        self._connections: dict[int, _Connection] = {}
        self._processes: dict[int, ProcessEvent] = {}
        self._resolved: dict[str, Lookup] = {}
        self._held: list[tuple[int, int, LogRecord]] = []
        self._order = 0
        self._now = 0
        self._started = 0
        self._decoded = self._frames = self._exchanges = self._packets = self._opened = 0
        self._lost_records = self._lost_bytes = self._missing = self._undecryptable = 0
        self._first_and_last: dict[tuple[int, int], tuple[int, int]] = {}
        self._end: RunEnd | None = None

    @property
    def decoded(self) -> int:
        """Frames decoded so far, those included that still wait for their place in the order."""
        return self._decoded

    def feed(self, record: CaptureRecord) -> list[LogRecord]:
        """Take the next record of the run."""
        self._now = max(self._now, record.at_ns)
        if not self._started:
            self._started = record.at_ns
        if type(record) is Packet:
            self._packets += 1
            self._through_streams(self._streams.feed(record))
        elif isinstance(record, Egress):
            self._through_streams(self._streams.feed(record))
        else:
            self._rare(record)
        if self._held and self._held[0][0] <= self._now - HOLD_NS:
            return self._release(self._now - HOLD_NS)
        return []

    def finish(self) -> list[LogRecord]:
        """The run is over, or its records end here: close everything and sum up."""
        at_ns = self._now
        self._through_streams(self._streams.finish(at_ns))
        for loss in self._streams.losses(at_ns):
            self._lose(loss)
        for number, event in self._tls.finish(at_ns):
            self._plain(number, event)
        for connection in list(self._connections.values()):
            self._close(connection)
        for lookup in self._dns.finish(at_ns):
            self._looked_up(lookup)
        records = self._release(None)
        records.append(
            Summary(
                at_ns,
                self._started,
                self._end.status if self._end is not None else None,
                self._opened,
                self._frames,
                self._exchanges,
                self._packets,
                self._lost_records,
                self._lost_bytes,
                self._missing,
                self._undecryptable,
                self._end.counters if self._end is not None else {},
            )
        )
        return records

    def _rare(self, record: CaptureRecord) -> None:
        if isinstance(record, (Secret, TrafficSecret)):
            for number, event in self._tls.secret(record):
                self._plain(number, event)
        elif isinstance(record, TcpEvent):
            self._through_streams(self._streams.feed(record))
            self._tcp(record)
        elif isinstance(record, ProcessEvent):
            self._process(record)
        elif isinstance(record, RunHeader):
            self._begin(record)
        elif isinstance(record, Loss):
            self._lose(record)
        elif isinstance(record, RunEnd):
            self._end = record

    def _begin(self, header: RunHeader) -> None:
        """What our own hooks see comes in the order in which it happened; other captures may be out of order."""
        if header.source == "ebpf":
            packets = any(hook.hook == "cgroup_skb" and hook.state == "attached" for hook in header.hooks)
            self._streams = Streams(packets=packets, reordering=1)
        self._hold(header_line(header))

    def _lose(self, loss: Loss) -> None:
        self._lost_records += loss.records
        self._lost_bytes += loss.length_bytes
        self._hold(Gap(loss.at_ns, "capture", loss.length_bytes, loss.where, records=loss.records))

    def _through_streams(self, events: Iterable[StreamEvent]) -> None:
        for event in events:
            if type(event) is StreamBytes:
                for number, plain in self._tls.feed(event):
                    self._plain(number, plain)
            elif isinstance(event, Datagram):
                for lookup in self._dns.feed(event):
                    self._looked_up(lookup)
            elif isinstance(event, ConnectionOpened):
                self._open(event)
            elif isinstance(event, ConnectionEstablished):
                self._connections[event.connection].established = event
            elif isinstance(event, StreamGap):
                self._missing += event.length
                gap = Gap(event.at_ns, "tcp", event.length, event.reason, event.connection, event.direction.value)
                self._hold(_replace(gap, offset=event.offset))
                for number, plain in self._tls.feed(event):
                    self._plain(number, plain)
            elif isinstance(event, ConnectionClosed):
                for number, plain in self._tls.feed(event):
                    self._plain(number, plain)
                connection = self._connections.get(event.connection)
                if connection is not None:
                    connection.closed = event
                    self._close(connection)

    def _plain(self, number: int, event: TlsEvent) -> None:
        connection = self._connections.get(number)
        if connection is None:
            return
        if isinstance(event, TlsFacts):
            before, connection.facts = connection.facts, event
            if _settled(event) and not (before and _settled(before)):
                at_ns = event.client_finished_ns or event.server_hello_ns or event.client_hello_ns or self._now
                self._hold(self._line(connection, at_ns, "tls"))
            return
        if isinstance(event, PlaintextGap) and self._tls.is_tls(number):
            gap = Gap(event.at_ns, "tls", event.length, event.reason, number, event.direction.value)
            self._hold(gap)
        self._http(connection, event)

    def _http(self, connection: _Connection, event: Plaintext | PlaintextGap | PlaintextEnd) -> None:
        for record in connection.http.feed(event):
            if type(record) is Frame:
                self._decoded += 1
                connection.frames += 1
            self._hold(record)

    def _open(self, event: ConnectionOpened) -> None:
        self._opened += 1
        connection = _Connection(event, self._resolved.get(_address(event.addresses.remote)))
        self._connections[event.connection] = connection
        self._hold(self._line(connection, event.at_ns, "open"))
        for number, plain in self._tls.feed(event):
            self._plain(number, plain)

    def _close(self, connection: _Connection) -> None:
        number = connection.opened.connection
        at_ns = connection.closed.at_ns if connection.closed is not None else self._now
        for record in connection.http.finish(at_ns):
            if type(record) is Frame:
                self._decoded += 1
                connection.frames += 1
            self._hold(record)
        line = self._line(connection, at_ns, "closed")
        for counted in (line.tls_sent, line.tls_received):
            if counted is not None:
                self._undecryptable += counted.undecryptable
        self._hold(line)
        self._tls.forget(number)
        del self._connections[number]

    def _line(self, connection: _Connection, at_ns: int, state: str) -> Connection:
        """All that is known of a connection now."""
        opened, closed, facts = connection.opened, connection.closed, connection.facts
        number = opened.connection
        pid = (closed.pid if closed is not None else 0) or self._streams.pid_of(number) or opened.pid
        process = self._processes.get(pid)
        established, dns = connection.established, connection.dns
        is_tls = self._tls.is_tls(number)
        sent: TlsBytes | None = None
        received: TlsBytes | None = None
        if state == "closed" and is_tls:
            sent = self._tls.bytes(number, Direction.SEND)
            received = self._tls.bytes(number, Direction.RECV)
        return Connection(
            at_ns,
            number,
            state,
            str(opened.addresses.local),
            str(opened.addresses.remote),
            pid,
            process.path.rsplit("/", 1)[-1] if process is not None else "",
            connection.http.protocol or ("tls" if is_tls else ""),
            opened.at_ns,
            opened.complete,
            established.at_ns if established is not None else None,
            established.rtt_ns if established is not None else None,
            closed.srtt_us if closed is not None else 0,
            closed.at_ns if closed is not None else None,
            closed.how if closed is not None else "",
            facts,
            dns.name if dns is not None else "",
            dns.answered_ns - dns.asked_ns if dns is not None and dns.answered_ns is not None else None,
            connection.frames,
            closed.sent if closed is not None else None,
            closed.received if closed is not None else None,
            sent,
            received,
        )

    def _looked_up(self, lookup: Lookup) -> None:
        rtt = lookup.answered_ns - lookup.asked_ns if lookup.answered_ns is not None else None
        self._hold(
            Dns(
                lookup.asked_ns,
                lookup.name,
                lookup.type,
                lookup.resolver,
                lookup.transport,
                lookup.rcode,
                lookup.answers,
                lookup.ttl,
                rtt,
                lookup.asked_times,
            )
        )
        for answer in lookup.answers:
            self._resolved[answer] = lookup

    def _tcp(self, record: TcpEvent) -> None:
        if record.socket.local.port == 0:
            return  # connect() has not chosen the port yet: which connection it will be is told by the next event
        number = self._streams.connection_of(record.socket, record.netns)
        self._hold(
            Tcp(
                record.at_ns,
                number,
                record.what,
                "" if number else str(record.socket.local),
                "" if number else str(record.socket.remote),
                record.old_state,
                record.state,
                record.write_sequence,
                record.srtt_us,
            )
        )

    def _process(self, record: ProcessEvent) -> None:
        if record.what == "exec":
            self._processes[record.pid] = record
        status = record.status
        self._hold(
            Process(
                record.at_ns,
                record.what,
                record.pid,
                record.parent,
                record.path,
                mask_argv(record.argv),
                record.go_version,
                record.coverage,
                record.note,
                None if status is None else (-(status & 0x7F) if status & 0x7F else status >> 8),
            )
        )

    def _hold(self, record: LogRecord) -> None:
        self._order += 1
        heapq.heappush(self._held, (record.time_ns, self._order, record))

    def _release(self, until_ns: int | None) -> list[LogRecord]:
        held, released = self._held, []
        while held and (until_ns is None or held[0][0] <= until_ns):
            record = heapq.heappop(held)[2]
            if type(record) is Frame:
                record = self._numbered(record)
            elif isinstance(record, Exchange):
                record = self._finished(record)
            released.append(record)
        return released

    def _numbered(self, frame: Frame) -> Frame:
        self._frames += 1
        number = self._frames
        if frame.stream:
            first, _ = self._first_and_last.get((frame.conn, frame.stream), (number, 0))
            self._first_and_last[frame.conn, frame.stream] = (first, number)
        if frame.headers is not None:
            return _replace(frame, n=number, headers=mask_headers(frame.headers))
        return _replace(frame, n=number)

    def _finished(self, exchange: Exchange) -> Exchange:
        self._exchanges += 1
        return _replace(
            exchange,
            n=self._exchanges,
            path=mask_path(exchange.path),
            authority=mask_url(exchange.authority),
            frames=self._first_and_last.pop((exchange.conn, exchange.stream), (0, 0)),
            request_headers=mask_headers(exchange.request_headers),
            response_headers=mask_headers(exchange.response_headers),
            trailers=mask_headers(exchange.trailers),
        )


def _settled(facts: TlsFacts) -> bool:
    """Whether a handshake is over, one way or the other."""
    return bool(facts.client_finished_ns or facts.alert or facts.trouble)


def _address(endpoint: object) -> str:
    """An endpoint's address as DNS answers spell it, without the port."""
    return str(endpoint).rpartition(":")[0].strip("[]")
