"""The sandbox's own certification authority: made once in its home, it certifies the server and each body's signing key.

ca.pem          what whoever asks the bodies must trust
server.pem      key and certificate of the server, for localhost and 127.0.0.1
<body>.pem      key and certificate that a body signs with, for its domain
"""

from __future__ import annotations

import base64
import os
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from include.model.errors import Refused
from include.sandbox.recipients.bodies import Body

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
VALID = timedelta(days=3650)
CURVE = ec.SECP256R1()


@dataclass(frozen=True)
class Signer:
    """A key with its certificate."""

    key: Key
    certificate: x509.Certificate

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def sign(self, said: bytes) -> str:
        """Over SHA-256 of what is said, in base64 (specification, 4.2 and 7.3)."""
        if isinstance(self.key, rsa.RSAPrivateKey):
            signature = self.key.sign(said, padding.PKCS1v15(), hashes.SHA256())
        else:
            signature = self.key.sign(said, ec.ECDSA(hashes.SHA256()))
        return base64.b64encode(signature).decode()


class Authority:
    """The authority in a directory, made there if there is none. Keys are made when they are first asked for."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._turn = threading.Lock()
        self._signers: dict[str, Signer] = {}
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = _read(home / "ca-key.pem")
        self._ca = found or self._make_ca()

    @property
    def certificate(self) -> Path:
        """What to trust, as a file."""
        return self.home / "ca.pem"

    def server(self) -> Path:
        """Key and certificate of the server, in one file."""
        names: list[x509.GeneralName] = [
            x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1")), x509.IPAddress(ip_address("::1")),
        ]  # fmt: skip
        self._signer("server", _ec, names, ExtendedKeyUsageOID.SERVER_AUTH)
        return self.home / "server.pem"

    def context(self) -> ssl.SSLContext:
        """For a server on loopback."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.server())
        return context

    def signer(self, body: Body) -> Signer:
        """The key by which a body signs, and its certificate for the body's domain."""
        make = _rsa if body.signs == "rsa" else _ec
        return self._signer(body.id, make, [x509.DNSName(body.domain)], None)

    def _signer(
        self,
        name: str,
        make: Callable[[], Key],
        names: list[x509.GeneralName],
        usage: x509.ObjectIdentifier | None,
    ) -> Signer:
        with self._turn:
            if name not in self._signers:
                path = self.home / f"{name}.pem"
                found = _read(path)
                if found is None:
                    key = make()
                    found = Signer(key, self._certify(name, key, names, usage))
                    _write(path, found)
                self._signers[name] = found
            return self._signers[name]

    def _make_ca(self) -> Signer:
        key = ec.generate_private_key(CURVE)
        name = _name("Quietus sandbox: the outside world")
        made = (
            _builder(name, name, key.public_key(), key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(certificates=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        signer = Signer(key, made)
        # The certificate first: whoever finds the key must find what to trust, too.
        self.certificate.write_bytes(signer.pem)
        _write(self.home / "ca-key.pem", signer)
        return signer

    def _certify(
        self, name: str, key: Key, names: list[x509.GeneralName], usage: x509.ObjectIdentifier | None
    ) -> x509.Certificate:
        builder = (
            _builder(_name(name), self._ca.certificate.subject, key.public_key(), self._ca.key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(certificates=False), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
        )
        if usage is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        return builder.sign(self._ca.key, hashes.SHA256())


def stranger() -> Signer:
    """A key that nobody certified for anything: whoever checks against it finds a wrong signature."""
    key = ec.generate_private_key(CURVE)
    name = _name("nobody")
    return Signer(key, _builder(name, name, key.public_key(), key.public_key()).sign(key, hashes.SHA256()))


def _ec() -> Key:
    return ec.generate_private_key(CURVE)


def _rsa() -> Key:
    return rsa.generate_private_key(65537, 2048)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    issuer_key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def _usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certificates, key_cert_sign=certificates, crl_sign=certificates,
        content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _read(path: Path) -> Signer | None:
    try:
        said = path.read_bytes()
    except FileNotFoundError:
        return None
    key = serialization.load_pem_private_key(said, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise Refused("its key is of no kind that is made here", about=path.name, next_step="remove the file")
    return Signer(key, x509.load_pem_x509_certificate(said))


def _write(path: Path, signer: Signer) -> None:
    """Whole or not at all, and for its owner's eyes."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    fresh.touch(mode=0o600)
    fresh.write_bytes(
        signer.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + signer.pem
    )
    fresh.replace(path)
