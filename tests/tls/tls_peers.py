"""Real TLS peers to listen to: Python's ssl in memory, and openssl's s_client and s_server over a socket."""

import contextlib
import datetime
import ipaddress
import socket
import ssl
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from goproxy_ebpf.records.capture import Secret
from goproxy_ebpf.records.common import Direction, Endpoint, SocketAddresses
from goproxy_ebpf.records.flow import (
    ConnectionClosed,
    ConnectionOpened,
    DirectionBytes,
    Plaintext,
    StreamBytes,
    StreamGap,
    TlsFacts,
)
from goproxy_ebpf.tls import Tls

SEND, RECV = Direction.SEND, Direction.RECV
ADDRESSES = SocketAddresses(Endpoint(b"\x0a\0\0\1", 40000), Endpoint(b"\x0a\0\0\2", 443))


def key_log(text: str, at_ns: int = 0) -> list[Secret]:
    rows = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return [Secret(at_ns, 7, label, bytes.fromhex(random), bytes.fromhex(secret)) for label, random, secret in rows]


class Identity:
    """A self-signed certificate for example.com."""

    def __init__(self, folder: Path, kind: str) -> None:
        key = ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else rsa.generate_private_key(65537, 2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{kind}.example.com")])
        names = [x509.DNSName("example.com"), x509.DNSName("*.example.org"), x509.IPAddress(ipaddress.ip_address(1))]
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(datetime.datetime(2024, 1, 1))
            .not_valid_after(datetime.datetime(2044, 1, 1))
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        self.cert_file = folder / f"{kind}.crt"
        self.key_file = folder / f"{kind}.key"
        self.cert_file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        self.key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )


@dataclass
class Transcript:
    """What the kernel saw, in order: ``(direction, bytes)`` and secrets. Seen from the client."""

    items: list[tuple[Direction, bytes] | Secret] = field(default_factory=list)
    sent: bytes = b""  # plaintext, as the applications know it
    received: bytes = b""

    @property
    def secrets(self) -> list[Secret]:
        return [item for item in self.items if isinstance(item, Secret)]

    @property
    def flights(self) -> list[tuple[Direction, bytes]]:
        return [item for item in self.items if not isinstance(item, Secret)]

    def wire(self, direction: Direction) -> bytes:
        return b"".join(data for way, data in self.flights if way is direction)


class Memory:
    """A client and a server of Python's ssl, joined in memory; what passes is written down in the order of a kernel."""

    def __init__(self, client: ssl.SSLContext, server: ssl.SSLContext, log: Path, session=None, name="example.com"):
        log.write_text("")
        client.keylog_filename = str(log)
        self._log, self._logged = log, 0
        self._client_in, self._client_out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._server_in, self._server_out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = client.wrap_bio(self._client_in, self._client_out, server_hostname=name, session=session)
        self.server = server.wrap_bio(self._server_in, self._server_out, server_side=True)
        self.transcript = Transcript()

    def pass_on(self) -> None:
        """The client's secrets are there before the bytes that it makes of them."""
        text = self._log.read_text()
        self.transcript.items += key_log(text[self._logged :])
        self._logged = len(text)
        if data := self._client_out.read():
            self.transcript.items.append((SEND, data))
            self._server_in.write(data)
        if data := self._server_out.read():
            self.transcript.items.append((RECV, data))
            self._client_in.write(data)

    def shake_hands(self) -> None:
        done: set[object] = set()
        for _ in range(10):
            for side in (self.client, self.server):
                try:
                    if side not in done:
                        side.do_handshake()
                        done.add(side)
                except ssl.SSLWantReadError:
                    pass
                self.pass_on()
            if len(done) == 2:
                return
        raise AssertionError("the peers did not agree")

    def say(self, data: bytes) -> None:
        self.client.write(data)
        self.transcript.sent += data
        self.pass_on()
        self._read(self.server, len(data))

    def answer(self, data: bytes) -> None:
        self.server.write(data)
        self.transcript.received += data
        self.pass_on()
        self._read(self.client, len(data))

    def _read(self, side: ssl.SSLObject, length: int) -> None:
        while length:
            length -= len(side.read(length))

    def end(self) -> None:
        for side in (self.client, self.server):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.unwrap()
            self.pass_on()


def contexts(identity: Identity, version: ssl.TLSVersion, ciphers: str = "") -> tuple[ssl.SSLContext, ssl.SSLContext]:
    client, server = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for context in (client, server):
        context.set_ciphers(ciphers or "DEFAULT")
        context.minimum_version = context.maximum_version = version
        context.set_alpn_protocols(["h2", "http/1.1"])
    client.load_verify_locations(identity.cert_file)
    server.load_cert_chain(identity.cert_file, identity.key_file)
    return client, server


def conversation(memory: Memory) -> Transcript:
    memory.shake_hands()
    memory.say(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    memory.answer(bytes(range(256)) * 70)
    memory.say(b"x" * 2_000)
    memory.answer(b"last")
    memory.end()
    return memory.transcript


def openssl(folder: Path, identity: Identity, server: list[str], *clients: tuple[list[str], list]) -> list[Transcript]:
    """s_client and s_server with a relay between them, one transcript a client.

    A client is its arguments, and what stands on its terminal: lines to type, and what must be shown before it goes on.
    """
    port = _free_port()
    serving = subprocess.Popen(
        [
            "openssl",
            "s_server",
            "-accept",
            f"127.0.0.1:{port}",
            "-cert",
            identity.cert_file,
            "-key",
            identity.key_file,
            "-naccept",
            str(len(clients)),
            *server,
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        _wait_for(serving.stdout, b"ACCEPT")
        transcripts = []
        for client in clients:
            serving.stdin.write(b"welcome\n")  # sent to the client, unless the server runs with -rev
            serving.stdin.flush()
            transcripts.append(_openssl_client(folder / "openssl.keys", port, *client))
        return transcripts
    finally:
        serving.stdin.close()
        serving.stdout.close()
        serving.wait()


def _wait_for(shown, text: bytes) -> None:
    for line in shown:
        if text in line:
            return
    raise AssertionError(f"{text!r} was not shown")


def _openssl_client(log: Path, port: int, arguments: list[str], typed: list[tuple[bytes, bytes]]) -> Transcript:
    log.unlink(missing_ok=True)
    transcript = Transcript()
    relay = socket.create_server(("127.0.0.1", 0))
    asking = subprocess.Popen(
        [
            "openssl",
            "s_client",
            "-connect",
            f"127.0.0.1:{relay.getsockname()[1]}",
            "-keylogfile",
            str(log),
            "-servername",
            "example.com",
            *arguments,
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    near, _ = relay.accept()
    far = socket.create_connection(("127.0.0.1", port))
    threads = [
        threading.Thread(target=_pump, args=(near, far, SEND, transcript)),
        threading.Thread(target=_pump, args=(far, near, RECV, transcript)),
    ]
    for thread in threads:
        thread.start()
    for line, shown in typed:
        asking.stdin.write(line)
        asking.stdin.flush()
        _wait_for(asking.stdout, shown)
    asking.stdin.close()
    asking.wait()
    for thread in threads:
        thread.join()
    for each in (asking.stdout, near, far, relay):
        each.close()
    transcript.items += key_log(log.read_text())
    return transcript


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def _pump(source: socket.socket, sink: socket.socket, way: Direction, transcript: Transcript) -> None:
    while data := source.recv(65536):
        transcript.items.append((way, data))
        sink.sendall(data)
    sink.shutdown(socket.SHUT_WR)


@dataclass
class Heard:
    """What ``Tls`` made of one connection."""

    tls: Tls
    events: list = field(default_factory=list)
    spans: dict = field(default_factory=lambda: {SEND: 0, RECV: 0})

    @property
    def facts(self) -> TlsFacts:
        return [event for event in self.events if isinstance(event, TlsFacts)][-1]

    def plaintext(self, direction: Direction) -> bytes:
        return b"".join(
            event.data for event in self.events if isinstance(event, Plaintext) and event.direction is direction
        )

    def of(self, direction: Direction) -> list:
        return [event for event in self.events if not isinstance(event, TlsFacts) and event.direction is direction]

    def total(self, direction: Direction):
        return self.tls.bytes(1, direction)


def opened(*, pid: int = 7, complete: bool = True, at_ns: int = 1, number: int = 1) -> ConnectionOpened:
    return ConnectionOpened(number, at_ns, ADDRESSES, 0, pid, complete)


def closed(at_ns: int, how: str = "fin", number: int = 1) -> ConnectionClosed:
    return ConnectionClosed(number, at_ns, how, DirectionBytes(), DirectionBytes())


def play(items: list, *, piece: int = 1 << 30, tls: Tls | None = None, mirror: bool = False, **how) -> Heard:
    """Feeds a connection: ``(direction, bytes)``, ``(direction, number)`` for a gap, or a secret. 1000 ns an item."""
    heard = Heard(tls or Tls())
    complete = how.pop("complete", True)
    end = how.pop("how", "fin")
    heard.events += [event for _, event in heard.tls.feed(opened(complete=complete, **how))]
    at_ns = 0
    for item in items:
        at_ns += 1000
        if not isinstance(item, tuple):
            heard.events += [event for _, event in heard.tls.secret(item)]
            continue
        direction, data = item
        direction = direction.other if mirror else direction
        if isinstance(data, int):
            gap = StreamGap(1, direction, at_ns, heard.spans[direction], data, "lost")
            heard.spans[direction] += data
            heard.events += [event for _, event in heard.tls.feed(gap)]
            continue
        for start in range(0, len(data), piece):
            part = data[start : start + piece]
            heard.events += [
                event for _, event in heard.tls.feed(StreamBytes(1, direction, at_ns, heard.spans[direction], part))
            ]
            heard.spans[direction] += len(part)
    if end:
        heard.events += [event for _, event in heard.tls.feed(closed(at_ns + 1000, end))]
    check_sums(heard)
    return heard


def check_sums(heard: Heard) -> None:
    """TlsBytes adds up to the span, and its plaintext is what the events hold."""
    for direction in (SEND, RECV):
        total = heard.total(direction)
        if total is not None:
            parts = total.clear + total.decrypted + total.undecryptable + total.missing + total.partial
            assert parts == heard.spans[direction], total
            assert total.plaintext == len(heard.plaintext(direction)), total
            assert bool(total.reason) == bool(total.undecryptable), total
