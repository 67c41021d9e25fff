"""What both directions of a connection share: who is the client, what was agreed, the secrets, and the facts of it.

Messages that are malformed or in the wrong place are left aside; nothing here raises.
"""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from ..records.common import Direction
from ..records.flow import TlsFacts
from . import messages
from .certificates import LONGEST_CHAIN, certificate
from .keys import Epoch, Key, Key12, Key13, Suite, suite_of, tls12_keys, tls13_suites
from .names import (
    CLOSE_NOTIFY,
    TLS12,
    TLS13,
    USER_CANCELED,
    alert_name,
    cipher_name,
    group_name,
    printable,
    version_name,
)

MASTER_SECRET = "CLIENT_RANDOM"  # noqa: S105 - a label of the NSS key log format
_EARLY_SECRET = "CLIENT_EARLY_TRAFFIC_SECRET"  # noqa: S105
_WARNING = 1

KEY_LOG = "key log"
LATE = "late"

TRAFFIC_LABELS = frozenset(
    {
        _EARLY_SECRET,
        "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
        "SERVER_HANDSHAKE_TRAFFIC_SECRET",
        "CLIENT_TRAFFIC_SECRET_0",
        "SERVER_TRAFFIC_SECRET_0",
    }
)


class Handshake:
    """One connection's handshake, as far as it was seen.

    ``generation`` grows whenever a record that could not be opened might be opened now. ``masters`` gives the TLS 1.2
    master secrets of other connections, for one that is resumed.
    """

    def __init__(self, masters: Callable[[], Iterable[bytes]]) -> None:
        self.facts = TlsFacts()
        self.generation = 0
        self.client: Direction | None = None
        self.client_random = b""
        self.version: int | None = None
        self.suite: Suite | None = None
        self.refused = ""
        self.early_data = False
        self.early_data_accepted: bool | None = None
        self._masters = masters
        self._server_random = b""
        self._server_hello_done = False
        self._secrets: dict[str, bytes] = {}
        self._keys13: dict[tuple[Epoch, bytes], list[Key13]] = {}
        self._keys12: dict[bytes, tuple[Key12, Key12]] = {}
        self._proven: set[bytes | None] = set()

    @property
    def has_secrets(self) -> bool:
        return bool(self._secrets)

    def side(self, direction: Direction) -> str:
        """Who sends in this direction, in words."""
        if direction is Direction.SEND:
            return "the go side"
        return "the client" if self.client is Direction.RECV else "the server"

    def say(self, **facts: object) -> None:
        self.facts = msgspec.structs.replace(self.facts, **facts)

    def trouble(self, sentence: str) -> None:
        """The first trouble is the cause of the others."""
        if not self.facts.trouble:
            self.say(trouble=sentence)

    # Messages

    def message(self, direction: Direction, kind: int, body: bytes, at_ns: int, *, sealed: bool) -> None:
        try:
            if kind == messages.CLIENT_HELLO and not sealed:
                self._client_hello(direction, body, at_ns)
            elif self.client is direction:
                return
            elif kind == messages.SERVER_HELLO and not sealed:
                self._server_hello(direction, body, at_ns)
            elif kind == messages.ENCRYPTED_EXTENSIONS and sealed:
                self._encrypted_extensions(body)
            elif kind == messages.CERTIFICATE and sealed == (self.version == TLS13):
                self._certificates(body)
            elif kind == messages.SERVER_KEY_EXCHANGE and not sealed and "ECDHE" in self.facts.cipher:
                if group := messages.key_exchange_group(body):
                    self.say(group=group_name(group))
            elif kind == messages.SERVER_HELLO_DONE:
                self._server_hello_done = True
        except messages.MalformedError as error:
            self.trouble(f"a handshake message (type {kind}) from {self.side(direction)} is malformed: {error}")

    def _client_hello(self, direction: Direction, body: bytes, at_ns: int) -> None:
        if self.client is direction.other:
            return
        if self.facts.client_hello_ns is not None:
            self.early_data = False  # RFC 8446 §4.2.10: not after a HelloRetryRequest
            return
        self.client = direction
        self.generation += 1
        self.say(client_hello_ns=at_ns)
        hello = messages.client_hello(body)
        self.client_random = hello.random
        self.early_data = hello.early_data
        self.say(
            server_name=printable(hello.server_name),
            alpn_offered=tuple(printable(name) for name in hello.alpn),
        )

    def _server_hello(self, direction: Direction, body: bytes, at_ns: int) -> None:
        if self._server_random:
            return
        hello = messages.server_hello(body)
        self.client = direction.other
        self.generation += 1
        self.version = hello.version
        self.suite = suite_of(hello.cipher, hello.version)
        self._keys13.clear()  # made for suites that were only possible
        self.say(version=version_name(hello.version), cipher=cipher_name(hello.cipher))
        if self.suite is None or hello.compression:
            self._refuse("compression" if self.suite else self.facts.cipher)
        if hello.retry:
            self.say(hello_retry_request=True)
            return
        self._server_random = hello.random
        self.say(
            server_hello_ns=at_ns,
            resumed=hello.version == TLS13 and hello.pre_shared_key,
            group=group_name(hello.group) if hello.group is not None else "",
            alpn=printable(hello.alpn),
        )

    def _refuse(self, what: str) -> None:
        self.refused = (
            f"{what} under {self.facts.version} cannot be decrypted: only AES-GCM, AES-CCM and ChaCha20-Poly1305"
            " under TLS 1.2 and TLS 1.3 can"
        )
        self.trouble(self.refused)

    def _encrypted_extensions(self, body: bytes) -> None:
        extensions = messages.encrypted_extensions(body)
        self.early_data_accepted = extensions.early_data
        self.generation += 1
        self.say(alpn=printable(extensions.alpn))

    def _certificates(self, body: bytes) -> None:
        if not self.facts.certificates:
            chain = messages.certificates(body, tls13=self.version == TLS13)
            self.say(certificates=tuple(certificate(der) for der in chain[:LONGEST_CHAIN]))

    def change_cipher_spec(self, direction: Direction) -> None:
        """Under TLS 1.2 and older: the next record of this direction is its Finished, and encrypted."""
        self.generation += 1
        if direction is not self.client and not self._server_hello_done:
            self.say(resumed=True)  # RFC 5246 §7.3, figure 2; RFC 5077 §3.1

    def finished(self, direction: Direction, at_ns: int) -> None:
        if self.client is None:
            return
        if direction is self.client and self.facts.client_finished_ns is None:
            self.say(client_finished_ns=at_ns)
        elif direction is self.client.other and self.facts.server_finished_ns is None:
            self.say(server_finished_ns=at_ns)

    def alert(self, direction: Direction, content: bytes) -> bool:
        """Notes an alert; True for a close_notify."""
        if len(content) != 2:
            return False
        level, description = content
        if description == CLOSE_NOTIFY:
            return True
        if self.version == TLS13:  # RFC 8446 §6: the level field says nothing any more
            level = _WARNING if description == USER_CANCELED else 0
        severity = "warning" if level == _WARNING else "fatal"
        if not self.facts.alert or (severity == "fatal" and "(warning)" in self.facts.alert):
            self.say(alert=f"{alert_name(description)} ({severity}) from {self.side(direction)}")
        return False

    # Secrets and keys

    def add_secret(self, label: str, secret: bytes) -> None:
        """A line of the key log; one that has opened something is not replaced."""
        known = self._secrets.get(label)
        if known == secret or known in self._proven:
            return
        self._secrets[label] = secret
        self.generation += 1
        if self.version is None and label in TRAFFIC_LABELS:
            self.version = TLS13  # only its ServerHello is missing

    def label(self, direction: Direction, epoch: Epoch) -> str:
        """The key log's label of the secret for these records."""
        if self.version != TLS13:
            return MASTER_SECRET
        if epoch is Epoch.EARLY:
            return _EARLY_SECRET
        side = "CLIENT" if direction is self.client else "SERVER"
        return f"{side}_HANDSHAKE_TRAFFIC_SECRET" if epoch is Epoch.HANDSHAKE else f"{side}_TRAFFIC_SECRET_0"

    def keys(self, direction: Direction, epoch: Epoch) -> Sequence[Key]:
        """What may open this direction's records under this epoch; several where the cipher suite was not seen."""
        if self.client is None or self.refused or epoch is Epoch.CLEAR:
            return []
        if self.version == TLS13:
            secret = self._secrets.get(self.label(direction, epoch))
            if secret and (epoch, secret) not in self._keys13:
                self._keys13[epoch, secret] = [Key13(suite, secret, epoch) for suite in self.suites(secret)]
            return self._keys13[epoch, secret] if secret else []
        return self._tls12_keys(direction) if epoch is Epoch.APPLICATION else []

    def suites(self, secret: bytes) -> tuple[Suite, ...]:
        """The TLS 1.3 suites that this secret may be for."""
        return tuple(suite for suite in tls13_suites(secret) if self.suite in (None, suite))

    def _tls12_keys(self, direction: Direction) -> list[Key12]:
        if self.version != TLS12 or self.suite is None or not self._server_random or not self.client_random:
            return []
        if MASTER_SECRET in self._secrets:
            masters: tuple[bytes, ...] = (self._secrets[MASTER_SECRET],)
        else:
            masters = tuple(self._masters()) if self.facts.resumed else ()
        for master in masters:
            if master not in self._keys12:
                self._keys12[master] = tls12_keys(self.suite, master, self.client_random, self._server_random)
        return [self._keys12[master][direction is not self.client] for master in masters]

    def adopt(self, key: Key, how: str) -> None:
        """A key has opened a record: what it is made of is a fact."""
        if self.suite is None:
            self.suite = key.suite
            self.version = key.suite.version
            self.generation += 1
            self.say(version=version_name(key.suite.version), cipher=key.suite.name)
        if not self.facts.secrets:
            self.say(secrets=how)
        self._proven.add(key.secret)

    def why_closed(self, direction: Direction, epoch: Epoch) -> str:
        """Why this direction's records could not be opened, for a connection that has ended."""
        if self.refused:
            return self.refused
        if not self.has_secrets:
            if self.client is None:
                return "the handshake was not seen, so no secret can be joined to the connection"
            return "no TLS secret came for this connection"
        if self.version is None or (self.version != TLS13 and not self._server_random):
            return "the ServerHello was not seen"
        label = self.label(direction, epoch)
        if label in self._secrets:
            return f"the {label} that came does not open the record"
        return f"no {label} came"
