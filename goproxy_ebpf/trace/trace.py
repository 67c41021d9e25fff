"""The fold: log records in, one at a time; what they say of the run, out. No clock, no file, any order survives.

Memory grows with connections, exchanges, look-ups and programs, never with frames.
"""

from collections.abc import Callable
from typing import Any

from ..records.log import (
    Connection,
    Dns,
    Exchange,
    Frame,
    Gap,
    Header,
    LogRecord,
    Process,
    Summary,
    Tcp,
)
from .connection import ConnectionTrace
from .losses import Losses
from .process import Processes, ProcessRun
from .proof import Proof, prove


class Trace:
    """A run, as far as its records told it.

    * ``header``, ``summary``: None until seen; a trace without a summary was cut off
    * ``connections``: by number; each holds its latest line, SETTINGS and windows of both sides
    * ``exchanges``: by their ``n``, as they ended; ``dns``: look-ups in order
    * ``frame_counts``: by (direction, type); ``frames`` is their sum
    * ``losses``: gaps by layer and reason
    * ``first_ns``, ``last_ns``: of all records; 0 when there were none
    """

    def __init__(self) -> None:
        self.header: Header | None = None
        self.summary: Summary | None = None
        self.connections: dict[int, ConnectionTrace] = {}
        self.exchanges: list[Exchange] = []
        self.dns: list[Dns] = []
        self.losses = Losses()
        self.frame_counts: dict[tuple[str, str], int] = {}
        self.records = 0
        self.first_ns = 0
        self.last_ns = 0
        self._processes = Processes()
        self._feed: dict[type, Callable[[Any], None]] = {
            Header: self._header,
            Connection: self._connection,
            Frame: self._frame,
            Exchange: self._exchange,
            Dns: self.dns.append,
            Tcp: self._tcp,
            Process: self._processes.feed,
            Gap: self.losses.feed,
            Summary: self._summary,
        }

    def feed(self, record: LogRecord) -> None:
        self.records += 1
        at_ns = record.time_ns
        if not self.first_ns or at_ns < self.first_ns:
            self.first_ns = at_ns
        self.last_ns = max(self.last_ns, at_ns)
        self._feed[type(record)](record)

    # What was asked most, in words.

    @property
    def processes(self) -> list[ProcessRun]:
        return self._processes.runs

    @property
    def frames(self) -> int:
        return sum(self.frame_counts.values())

    @property
    def started_ns(self) -> int:
        """When the run began: the zero of every relative time."""
        if self.header is not None:
            return self.header.time_ns
        return self.summary.started_ns if self.summary is not None else self.first_ns

    @property
    def duration_ns(self) -> int:
        """From the run's start to its end; to the last record where the log was cut off."""
        end = self.summary.time_ns if self.summary is not None else self.last_ns
        return max(0, end - self.started_ns)

    @property
    def status(self) -> int | None:
        """The child's exit status, or -signal; None when not known (cut off, or no child of ours)."""
        if self.summary is not None and self.summary.status is not None:
            return self.summary.status
        return None

    @property
    def cut(self) -> bool:
        """Whether the records end before the run did.

        Without a summary a log was cut. A capture that was cut between two blocks has one, made where it was decoded,
        but nobody who saw the child end: of a run of ours the status is always known.
        """
        if self.summary is None:
            return True
        return self.header is not None and self.header.source == "ebpf" and self.summary.status is None

    @property
    def go_version(self) -> str:
        """Of the go command that ran: the toolchain that go became, where it became one, else what the header says.

        Empty where programs are known and no go is among them: the header's is that of the go that would have run.
        """
        commands = [run for run in self.processes if run.is_go_command]
        versions = [run.go_version for run in commands if run.go_version]
        if versions:
            return versions[-1]
        if self.processes and not commands:
            return ""
        return self.header.go_version if self.header is not None else ""

    def thrown_away(self) -> frozenset[int]:
        """Connections that go opened in parallel and closed before SETTINGS, because another one was ready first.

        Parallel first requests each dial; the transport keeps one HTTP/2 connection and closes the others. Nothing
        was asked on them and nothing went wrong, though the peer may answer such a close with a reset.
        """
        used = {end for connection in self.connections.values() if connection.spoke_http for end in _ends(connection)}
        return frozenset(
            number
            for number, connection in self.connections.items()
            if not connection.spoke_http and not used.isdisjoint(_ends(connection)) and not _in_trouble(connection)
        )

    def proof(self) -> Proof:
        records = [connection.record for connection in self.connections.values() if connection.record is not None]
        return prove(records, self.thrown_away())

    # One kind of record each.

    def _of(self, number: int) -> ConnectionTrace:
        connection = self.connections.get(number)
        if connection is None:
            connection = self.connections[number] = ConnectionTrace(number)
        return connection

    def _header(self, record: Header) -> None:
        self.header = record

    def _summary(self, record: Summary) -> None:
        self.summary = record

    def _connection(self, record: Connection) -> None:
        self._of(record.conn).record = record

    def _frame(self, frame: Frame) -> None:
        key = (frame.dir, frame.type)
        self.frame_counts[key] = self.frame_counts.get(key, 0) + 1
        self._of(frame.conn).feed(frame)

    def _exchange(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)
        self._of(exchange.conn).exchange(exchange)

    def _tcp(self, event: Tcp) -> None:
        if not event.conn:
            return
        if event.what == "retransmit":
            self._of(event.conn).retransmits += 1
        elif event.what == "reset received":
            self._of(event.conn).resets_received += 1


def _ends(connection: ConnectionTrace) -> tuple[str, ...]:
    """Who was called: by name, which may have several addresses, and by address, if it closed before it said a name."""
    return (connection.host, connection.record.remote) if connection.record is not None else (connection.host,)


def _in_trouble(connection: ConnectionTrace) -> bool:
    """Whether more than a handshake may have passed, or the handshake failed.

    A client that gave up in mid-handshake has sent nothing encrypted, and what the server sent needs no explaining:
    go logs secrets only as it comes to them. One that finished its handshake had its secrets logged.
    """
    record = connection.record
    if record is None:
        return False
    unread = record.tls_sent is not None and record.tls_sent.undecryptable > 0
    return unread or (record.tls is not None and is_failure_alert(record.tls.alert))


def is_failure_alert(alert: str) -> bool:
    """Whether a TLS alert (RFC 8446 §6, RFC 5246 §7.2) says that something went wrong: all but the two closure alerts,
    and those that TLS 1.2 calls warnings, do.
    """
    return bool(alert) and not any(harmless in alert for harmless in ("close_notify", "user_canceled", "(warning)"))
