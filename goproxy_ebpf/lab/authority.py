"""A certificate authority and a server certificate for localhost, made anew for each run."""

import datetime
import ipaddress
from collections.abc import Sequence
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NAMES = ("localhost",)
ADDRESSES = ("127.0.0.1", "::1")
LIFETIME = datetime.timedelta(days=7)


class Authority(msgspec.Struct, frozen=True):
    """PEM texts: the authority's certificate, the server's certificate and its private key."""

    ca: bytes
    certificate: bytes
    key: bytes

    def write(self, directory: Path) -> tuple[Path, Path, Path]:
        """``ca.pem``, ``server.pem`` and ``server.key`` (readable by its owner only) in ``directory``."""
        paths = directory / "ca.pem", directory / "server.pem", directory / "server.key"
        paths[2].touch(mode=0o600)
        for path, text in zip(paths, (self.ca, self.certificate, self.key), strict=True):
            path.write_bytes(text)
        return paths


def make_authority(names: Sequence[str] = NAMES) -> Authority:
    """``names``: the DNS names that the server's certificate is for, beside this machine's own addresses."""
    ca_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name, server_name = _name("goproxy-ebpf lab authority"), _name("localhost")
    ca_identifier = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())
    ca = (
        _builder(ca_name, ca_name, ca_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(ca_identifier, critical=False)
        .sign(ca_key, SHA256())
    )
    addresses = [x509.IPAddress(ipaddress.ip_address(address)) for address in ADDRESSES]
    alternatives = x509.SubjectAlternativeName([*map(x509.DNSName, names), *addresses])
    server = (
        _builder(server_name, ca_name, server_key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ca_identifier), critical=False)
        .add_extension(alternatives, critical=False)
        .sign(ca_key, SHA256())
    )
    return Authority(
        ca=ca.public_bytes(Encoding.PEM),
        certificate=server.public_bytes(Encoding.PEM),
        key=server_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + LIFETIME)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
