"""All connections of a run: where secrets find theirs, and where the bound on what waits is kept."""

from collections import deque
from collections.abc import Iterator

from ..records.capture import Secret, TrafficSecret
from ..records.common import Direction
from ..records.flow import ConnectionClosed, ConnectionOpened, StreamBytes, StreamGap, TlsBytes, TlsEvent
from .connection import Connection
from .handshake import MASTER_SECRET, TRAFFIC_LABELS
from .late import LateSecret
from .names import TLS13

WAITING_PER_CONNECTION = 64 << 20
WAITING_IN_ALL = 256 << 20

_MOST_RANDOMS = 16_384
_MOST_MASTERS = 256
_MOST_LATE = 1_024

_Events = Iterator[tuple[int, TlsEvent]]


class Tls:
    """Bytes and secrets in, plaintext and facts out; a connection that does not speak TLS passes as it is.

    Events come as soon as all is there that they need, which is at the latest at the connection's close. Those of one
    call are in the order of time for both directions of a connection. Any bytes, gaps and secrets are taken; nothing
    raises. What waits for a secret takes ``waiting_per_connection`` bytes of memory, ``waiting_in_all`` for all
    connections; what is above that counts as undecryptable.
    """

    def __init__(
        self, *, waiting_per_connection: int = WAITING_PER_CONNECTION, waiting_in_all: int = WAITING_IN_ALL
    ) -> None:
        self._connections: dict[int, Connection] = {}
        self._secrets: dict[bytes, dict[str, bytes]] = {}
        self._known: set[bytes] = set()
        self._randoms: dict[bytes, set[int]] = {}
        self._masters: deque[bytes] = deque(maxlen=_MOST_MASTERS)
        self._late: deque[LateSecret] = deque(maxlen=_MOST_LATE)
        self._most_per_connection = waiting_per_connection
        self._most_in_all = waiting_in_all
        self._waiting = 0

    def feed(self, event: ConnectionOpened | StreamBytes | StreamGap | ConnectionClosed) -> _Events:
        """The next event of the streams."""
        number = event.connection
        if isinstance(event, ConnectionOpened):
            if number not in self._connections:
                self._open(number, event.at_ns, event.pid, complete=event.complete)
            return iter(())
        connection = self._connections.get(number)
        if connection is None:
            at_start = isinstance(event, StreamBytes | StreamGap) and event.offset == 0
            connection = self._open(number, event.at_ns, 0, complete=at_start)
        if connection.closed:
            return iter(())
        if isinstance(event, StreamBytes):
            if event.data:
                connection.bytes_came(event.direction, event.at_ns, event.data)
        elif isinstance(event, StreamGap):
            if event.length > 0:
                connection.gap_came(event.direction, event.at_ns, event.length, event.reason)
        else:
            connection.close(event.at_ns, orderly=event.how == "fin")
        return self._after(number, connection)

    def secret(self, record: Secret | TrafficSecret) -> _Events:
        """A line of the key log, or a traffic secret out of a process's memory."""
        if isinstance(record, Secret):
            return self._key_log(record)
        if record.version != TLS13 or record.secret in self._known:
            return iter(())
        late = LateSecret(record)
        self._late.append(late)
        found: list[tuple[int, TlsEvent]] = []
        for number, connection in list(self._connections.items()):
            if not late.used and _may_be_of(late, connection):
                connection.offer(late)
                found += self._after(number, connection)
        return iter(found)

    def bytes(self, connection: int, direction: Direction) -> TlsBytes | None:
        """What became of the bytes so far; None where the connection is not TLS, or not known to be yet."""
        found = self._connections.get(connection)
        return found.total(direction) if found else None

    def is_tls(self, connection: int) -> bool | None:
        """None: not known yet, or no such connection."""
        found = self._connections.get(connection)
        return found.is_tls if found else None

    def finish(self, at_ns: int) -> _Events:
        """The run is over: every connection that is still open ends here."""
        found: list[tuple[int, TlsEvent]] = []
        for number, connection in list(self._connections.items()):
            if not connection.closed:
                connection.close(at_ns, orderly=False)
                found += self._after(number, connection)
        return iter(found)

    def forget(self, connection: int) -> None:
        """Frees a connection's state and secrets."""
        found = self._connections.pop(connection, None)
        if found is None:
            return
        self._waiting -= found.cost
        random = found.handshake.client_random
        numbers = self._randoms.get(random, set())
        numbers.discard(connection)
        if not numbers:
            self._randoms.pop(random, None)
            self._known.difference_update(self._secrets.pop(random, {}).values())

    def _open(self, number: int, at_ns: int, pid: int, *, complete: bool) -> Connection:
        connection = Connection(at_ns, pid, lambda: self._masters, complete=complete)
        self._connections[number] = connection
        for late in self._late:
            if not late.used and _may_be_of(late, connection):
                connection.offer(late)
        return connection

    def _after(self, number: int, connection: Connection) -> _Events:
        """What follows from any change: secrets that were there before their ClientHello, bounds, events."""
        random = connection.handshake.client_random
        if random and number not in self._randoms.setdefault(random, set()):
            self._randoms[random].add(number)
            for label, secret in self._secrets.get(random, {}).items():
                connection.secret_came(label, secret)
        self._waiting += connection.cost_change()
        if connection.cost > self._most_per_connection:
            connection.overflow()
            self._waiting += connection.cost_change()
        if self._waiting > self._most_in_all:
            greatest = max(self._connections.values(), key=lambda each: each.cost)
            greatest.overflow()
            self._waiting += greatest.cost_change()
        return ((number, event) for event in connection.events())

    def _key_log(self, record: Secret) -> _Events:
        if record.label not in TRAFFIC_LABELS and record.label != MASTER_SECRET:
            return iter(())
        if record.label == MASTER_SECRET and record.secret not in self._known:
            self._masters.append(record.secret)
        secrets = self._secrets.setdefault(record.client_random, {})
        secrets[record.label] = record.secret
        self._known.add(record.secret)
        if len(self._secrets) > _MOST_RANDOMS:
            self._known.difference_update(self._secrets.pop(next(iter(self._secrets))).values())
        found: list[tuple[int, TlsEvent]] = []
        for number in sorted(self._randoms.get(record.client_random, ())):
            connection = self._connections[number]
            connection.secret_came(record.label, record.secret)
            found += self._after(number, connection)
        return iter(found)


def _may_be_of(late: LateSecret, connection: Connection) -> bool:
    if late.record.pid and connection.pid and late.record.pid != connection.pid:
        return False
    return not (connection.complete and late.record.at_ns < connection.at_ns)
