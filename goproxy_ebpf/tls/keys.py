"""Traffic keys: from a secret to an AEAD that opens records (RFC 8446 §5.2, §7; RFC 5246 §5, §6.3; RFC 5288; RFC 7905).

Opening a record has two outcomes: its content type and content, or None where the tag does not verify. A key holds no
sequence number: whoever opens says which one, so that a number can be tried.
"""

import hmac
import re
from enum import IntEnum
from hashlib import new as new_hash

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305

from .names import TLS12, TLS13, cipher_name

HEADER_LENGTH = 5


class Epoch(IntEnum):
    """What protects a direction's records; TLS 1.2 knows only CLEAR and APPLICATION."""

    CLEAR = 0
    EARLY = 1
    HANDSHAKE = 2
    APPLICATION = 3


class Suite(msgspec.Struct, frozen=True, gc=False):
    """A cipher suite that can be opened. ``hash_name`` is that of HKDF (1.3) or the PRF (1.2)."""

    name: str
    version: int
    aead: str
    key_length: int
    hash_name: str
    tag_length: int = 16

    @property
    def hash_length(self) -> int:
        return 48 if self.hash_name == "sha384" else 32

    @property
    def explicit_nonce(self) -> bool:
        """RFC 5288 §3, RFC 6655 §3: TLS 1.2 AES suites carry 8 bytes of the nonce in the record."""
        return self.version == TLS12 and self.aead != "CHACHA20_POLY1305"


_NAME = re.compile(
    r"TLS_(?:(?:ECDHE|DHE|RSA)\w*_WITH_)?(AES_128|AES_256|CHACHA20)_(GCM|CCM_8|CCM|POLY1305)(?:_SHA(256|384))?"
)


def suite_of(number: int, version: int) -> Suite | None:
    """The suite with this IANA number under this protocol version, or None where it cannot be opened."""
    name = cipher_name(number)
    match = _NAME.fullmatch(name)
    if not match or version not in (TLS12, TLS13) or ("_WITH_" in name) == (version == TLS13):
        return None
    cipher, mode, bits = match.groups()
    aead = "CHACHA20_POLY1305" if cipher == "CHACHA20" else mode.removesuffix("_8")
    tag_length = 8 if mode == "CCM_8" else 16
    return Suite(name, version, aead, 16 if cipher == "AES_128" else 32, f"sha{bits or 256}", tag_length)


_TLS13_SUITES = tuple(suite for number in range(0x1301, 0x1306) if (suite := suite_of(number, TLS13)))


def tls13_suites(secret: bytes) -> tuple[Suite, ...]:
    """The TLS 1.3 suites whose secrets are as long as this one: for a connection whose ServerHello was not seen."""
    return tuple(suite for suite in _TLS13_SUITES if suite.hash_length == len(secret))


def _aead(suite: Suite, key: bytes) -> AESGCM | AESCCM | ChaCha20Poly1305:
    if suite.aead == "GCM":
        return AESGCM(key)
    return ChaCha20Poly1305(key) if suite.aead == "CHACHA20_POLY1305" else AESCCM(key, suite.tag_length)


def expand_label(hash_name: str, secret: bytes, label: bytes, length: int) -> bytes:
    """HKDF-Expand-Label with an empty context (RFC 8446 §7.1)."""
    full = b"tls13 " + label
    info = length.to_bytes(2, "big") + bytes([len(full)]) + full + b"\0"
    output, block = b"", b""
    while len(output) < length:
        block = hmac.digest(
            secret, block + info + bytes([len(output) // new_hash(hash_name).digest_size + 1]), hash_name
        )
        output += block
    return output[:length]


def prf(hash_name: str, secret: bytes, label: bytes, seed: bytes, length: int) -> bytes:
    """The PRF of TLS 1.2 (RFC 5246 §5)."""
    seed = label + seed
    output, a = b"", seed
    while len(output) < length:
        a = hmac.digest(secret, a, hash_name)
        output += hmac.digest(secret, a + seed, hash_name)
    return output[:length]


class Key:
    """One direction's key under one epoch."""

    epoch: Epoch
    suite: Suite
    secret: bytes

    def open(self, sequence: int, data: bytearray, start: int, length: int) -> tuple[int, bytes] | None:
        """Content type and content of the record with its header at ``data[start]`` and a body of ``length``."""
        raise NotImplementedError

    def next(self) -> "Key | None":
        """The key after a KeyUpdate; None under TLS 1.2, which has none."""
        return None


class Key13(Key):
    def __init__(self, suite: Suite, secret: bytes, epoch: Epoch) -> None:
        self.suite = suite
        self.epoch = epoch
        self.secret = secret
        self._decrypt = _aead(suite, expand_label(suite.hash_name, secret, b"key", suite.key_length)).decrypt
        self._iv = int.from_bytes(expand_label(suite.hash_name, secret, b"iv", 12), "big")
        self._next: Key13 | None = None

    def open(self, sequence: int, data: bytearray, start: int, length: int) -> tuple[int, bytes] | None:
        body = start + HEADER_LENGTH
        with memoryview(data) as view:
            try:
                inner = self._decrypt(
                    (self._iv ^ sequence).to_bytes(12, "big"), view[body : body + length], view[start:body]
                )
            except InvalidTag:
                return None
        if inner and inner[-1]:
            return inner[-1], inner[:-1]
        inner = inner.rstrip(b"\0")  # §5.4: zeros behind the content type are padding
        return (inner[-1], inner[:-1]) if inner else (0, b"")

    def next(self) -> "Key13":
        if self._next is None:
            secret = expand_label(self.suite.hash_name, self.secret, b"traffic upd", self.suite.hash_length)
            self._next = Key13(self.suite, secret, self.epoch)
        return self._next


class Key12(Key):
    epoch = Epoch.APPLICATION

    def __init__(self, suite: Suite, secret: bytes, key: bytes, iv: bytes) -> None:
        self.suite = suite
        self.secret = secret
        self._decrypt = _aead(suite, key).decrypt
        self._salt = iv
        self._iv = int.from_bytes(iv, "big")
        self._explicit = 8 if suite.explicit_nonce else 0

    def open(self, sequence: int, data: bytearray, start: int, length: int) -> tuple[int, bytes] | None:
        explicit = self._explicit
        content_length = length - explicit - self.suite.tag_length
        if content_length < 0:
            return None
        body = start + HEADER_LENGTH
        counter = sequence.to_bytes(8, "big")
        varying = data[body : body + explicit]
        nonce = self._salt + varying if explicit else (self._iv ^ sequence).to_bytes(12, "big")
        associated = counter + data[start : start + 3] + content_length.to_bytes(2, "big")
        with memoryview(data) as view:
            try:
                return data[start], self._decrypt(nonce, view[body + explicit : body + length], associated)
            except InvalidTag:
                return None


def tls12_keys(suite: Suite, master: bytes, client_random: bytes, server_random: bytes) -> tuple[Key12, Key12]:
    """The client's and the server's key (RFC 5246 §6.3; AEAD suites have no MAC keys)."""
    iv_length = 4 if suite.explicit_nonce else 12
    length = suite.key_length
    block = prf(suite.hash_name, master, b"key expansion", server_random + client_random, 2 * (length + iv_length))
    client, server, ivs = block[:length], block[length : 2 * length], block[2 * length :]
    return Key12(suite, master, client, ivs[:iv_length]), Key12(suite, master, server, ivs[iv_length:])
