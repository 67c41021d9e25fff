"""Records sealed by hand, where no library can be made to send them (RFC 8446 §5.2)."""

import hashlib
import hmac
import itertools

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from goproxy_ebpf.records.capture import Secret

RANDOM = bytes(range(32))
ALERT, HANDSHAKE, DATA = 21, 22, 23


def expand(secret: bytes, label: bytes, length: int) -> bytes:
    info = length.to_bytes(2, "big") + bytes([6 + len(label)]) + b"tls13 " + label + b"\0"
    return HKDFExpand(hashes.SHA256(), length, info).derive(secret)


class Sealer:
    """TLS_AES_128_GCM_SHA256 with one traffic secret."""

    def __init__(self, secret: bytes) -> None:
        self.sequence = 0
        self.secret = secret
        self.aead = AESGCM(expand(secret, b"key", 16))
        self.iv = int.from_bytes(expand(secret, b"iv", 12), "big")

    def seal(self, kind: int, content: bytes, padding: int = 0) -> bytes:
        inner = content + bytes([kind] if kind else []) + bytes(padding)
        header = b"\x17\x03\x03" + (len(inner) + 16).to_bytes(2, "big")
        nonce = (self.iv ^ self.sequence).to_bytes(12, "big")
        self.sequence += 1
        return header + self.aead.encrypt(nonce, inner, header)

    def update(self) -> "Sealer":
        return Sealer(expand(self.secret, b"traffic upd", 32))


def message(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def clear(kind: int, content: bytes) -> bytes:
    return bytes([kind]) + b"\x03\x03" + len(content).to_bytes(2, "big") + content


def vector(length: int, data: bytes) -> bytes:
    return len(data).to_bytes(length, "big") + data


def client_hello(*extensions: tuple[int, bytes]) -> bytes:
    body = b"\x03\x03" + RANDOM + b"\0" + vector(2, b"\x13\x01") + vector(1, b"\0")
    return clear(HANDSHAKE, message(1, body + _extensions(extensions)))


def server_hello(*extensions: tuple[int, bytes], cipher: bytes = b"\x13\x01") -> bytes:
    body = b"\x03\x03" + bytes(32) + b"\0" + cipher + b"\0"
    return clear(HANDSHAKE, message(2, body + _extensions(((43, b"\x03\x04"), *extensions))))


def _extensions(extensions) -> bytes:
    return vector(2, b"".join(number.to_bytes(2, "big") + vector(2, data) for number, data in extensions))


def secret(label: str) -> bytes:
    return hmac.digest(b"secret", label.encode(), hashlib.sha256)


def log(label: str) -> Secret:
    return Secret(0, 7, label, RANDOM, secret(label))


C_HS, S_HS = "CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET"
C_AP, S_AP = "CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"
LOG = [log(label) for label in (C_HS, S_HS, C_AP, S_AP)]
FINISHED = message(20, bytes(32))
ENCRYPTED_EXTENSIONS = message(8, vector(2, b"\0\x10\0\x05\0\x03\x02h2"))


class Peers:
    """Both sides of a TLS 1.3 connection whose records are made by hand."""

    def __init__(self) -> None:
        self.client, self.server = Sealer(secret(C_HS)), Sealer(secret(S_HS))

    def client_finished(self) -> bytes:
        record = self.client.seal(HANDSHAKE, FINISHED)
        self.client = Sealer(secret(C_AP))
        return record

    def server_flight(self, *pieces: int) -> bytes:
        """EncryptedExtensions and Finished; ``pieces`` are where to cut the messages into records."""
        flight = ENCRYPTED_EXTENSIONS + FINISHED
        edges = [0, *pieces, len(flight)]
        records = [self.server.seal(HANDSHAKE, flight[a:b]) for a, b in itertools.pairwise(edges)]
        self.server = Sealer(secret(S_AP))
        return b"".join(records)
