"""Handshake messages: cut out of records, and the few whose content is a fact (RFC 8446 §4, RFC 5246 §7.4).

A parser gives a value, or raises ``MalformedError`` for bytes that are no such message. The reader of messages has no
error: it gives the messages that are whole, and keeps the rest until more comes.
"""

import msgspec

CLIENT_HELLO = 1
SERVER_HELLO = 2
NEW_SESSION_TICKET = 4
END_OF_EARLY_DATA = 5
ENCRYPTED_EXTENSIONS = 8
CERTIFICATE = 11
SERVER_KEY_EXCHANGE = 12
SERVER_HELLO_DONE = 14
FINISHED = 20
KEY_UPDATE = 24

# RFC 8446 §4.1.3: a ServerHello with this random is a HelloRetryRequest.
RETRY_RANDOM = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")

# crypto/tls takes certificate messages of up to 256 KiB, all others are smaller.
LONGEST_MESSAGE = 1 << 18
_HEADER_LENGTH = 4

_SERVER_NAME = 0
_ALPN = 16
_PRE_SHARED_KEY = 41
_EARLY_DATA = 42
_SUPPORTED_VERSIONS = 43
_KEY_SHARE = 51
_HOST_NAME = 0
_NAMED_CURVE = 3


class MalformedError(ValueError):
    """Bytes that are not the message they say they are."""


class MessageReader:
    """Handshake messages out of the contents of handshake records."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._skip = 0
        self._adrift = False

    def reset(self, *, adrift: bool = False) -> None:
        """Forgets an unfinished message. ``adrift``: the next content may start inside a message."""
        self._data.clear()
        self._skip = 0
        self._adrift = adrift

    def feed(self, content: bytes) -> list[tuple[int, bytes]]:
        """The messages that are whole now: type and body (empty for one that is longer than LONGEST_MESSAGE)."""
        if self._adrift:
            if not _whole_messages(content):
                return []
            self._adrift = False
        if self._skip:
            skipped = min(self._skip, len(content))
            self._skip -= skipped
            content = content[skipped:]
        self._data += content
        messages: list[tuple[int, bytes]] = []
        start = 0
        while len(self._data) - start >= _HEADER_LENGTH:
            length = int.from_bytes(self._data[start + 1 : start + _HEADER_LENGTH], "big")
            end = start + _HEADER_LENGTH + length
            if length > LONGEST_MESSAGE:
                messages.append((self._data[start], b""))
                self._skip = max(0, end - len(self._data))
                end = min(end, len(self._data))
            elif end > len(self._data):
                break
            else:
                messages.append((self._data[start], bytes(self._data[start + _HEADER_LENGTH : end])))
            start = end
        del self._data[:start]
        return messages


def _whole_messages(content: bytes) -> bool:
    start = 0
    while len(content) - start >= _HEADER_LENGTH:
        start += _HEADER_LENGTH + int.from_bytes(content[start + 1 : start + _HEADER_LENGTH], "big")
    return start == len(content)


class _Fields:
    """Reads the presentation language of RFC 8446 §3 from front to back."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, length: int) -> bytes:
        if length > self.left:
            raise MalformedError("a field reaches beyond its message")
        self._at += length
        return self._data[self._at - length : self._at]

    def number(self, length: int) -> int:
        return int.from_bytes(self.take(length), "big")

    def vector(self, length_of_length: int) -> bytes:
        return self.take(self.number(length_of_length))

    def extensions(self) -> dict[int, bytes]:
        if not self.left:
            return {}
        fields = _Fields(self.vector(2))
        found: dict[int, bytes] = {}
        while fields.left:
            number = fields.number(2)
            found.setdefault(number, fields.vector(2))
        return found


class ClientHello(msgspec.Struct, frozen=True):
    random: bytes
    server_name: bytes = b""
    alpn: tuple[bytes, ...] = ()
    early_data: bool = False


class ServerHello(msgspec.Struct, frozen=True):
    """``group`` is the key_share's; ``alpn`` stands here under TLS 1.2 only."""

    random: bytes
    version: int
    cipher: int
    compression: int
    alpn: bytes = b""
    group: int | None = None
    pre_shared_key: bool = False

    @property
    def retry(self) -> bool:
        return self.random == RETRY_RANDOM


class EncryptedExtensions(msgspec.Struct, frozen=True):
    alpn: bytes
    early_data: bool


def _protocols(extension: bytes | None) -> tuple[bytes, ...]:
    """RFC 7301 §3.1."""
    names: list[bytes] = []
    if extension:
        fields = _Fields(_Fields(extension).vector(2))
        while fields.left:
            names.append(fields.vector(1))
    return tuple(names)


def _host_name(extension: bytes | None) -> bytes:
    """RFC 6066 §3."""
    if extension:
        fields = _Fields(_Fields(extension).vector(2))
        while fields.left:
            kind, name = fields.number(1), fields.vector(2)
            if kind == _HOST_NAME:
                return name
    return b""


def client_hello(body: bytes) -> ClientHello:
    fields = _Fields(body)
    fields.take(2)
    random = fields.take(32)
    fields.vector(1)
    fields.vector(2)
    fields.vector(1)
    extensions = fields.extensions()
    return ClientHello(
        random,
        _host_name(extensions.get(_SERVER_NAME)),
        _protocols(extensions.get(_ALPN)),
        early_data=_EARLY_DATA in extensions,
    )


def server_hello(body: bytes) -> ServerHello:
    fields = _Fields(body)
    version = fields.number(2)
    random = fields.take(32)
    fields.vector(1)
    cipher = fields.number(2)
    compression = fields.number(1)
    extensions = fields.extensions()
    if selected := extensions.get(_SUPPORTED_VERSIONS):
        version = _Fields(selected).number(2)
    share = extensions.get(_KEY_SHARE)
    names = _protocols(extensions.get(_ALPN))
    return ServerHello(
        random,
        version,
        cipher,
        compression,
        alpn=names[0] if names else b"",
        group=_Fields(share).number(2) if share else None,
        pre_shared_key=_PRE_SHARED_KEY in extensions,
    )


def encrypted_extensions(body: bytes) -> EncryptedExtensions:
    extensions = _Fields(body).extensions()
    names = _protocols(extensions.get(_ALPN))
    return EncryptedExtensions(names[0] if names else b"", _EARLY_DATA in extensions)


def certificates(body: bytes, *, tls13: bool) -> list[bytes]:
    """The chain's certificates in DER, leaf first (RFC 8446 §4.4.2, RFC 5246 §7.4.2)."""
    fields = _Fields(body)
    if tls13:
        fields.vector(1)
    entries = _Fields(fields.vector(3))
    chain: list[bytes] = []
    while entries.left:
        chain.append(entries.vector(3))
        if tls13:
            entries.vector(2)
    return chain


def key_exchange_group(body: bytes) -> int | None:
    """The named curve of a TLS 1.2 ECDHE ServerKeyExchange (RFC 8422 §5.4)."""
    fields = _Fields(body)
    return fields.number(2) if fields.number(1) == _NAMED_CURVE else None
