"""The key by which the sandbox's company signs as somebody else's recipient, with its certificate, in one PEM text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DOMAIN = "quietus.sandbox.example"
VALID = timedelta(days=3650)


def made() -> str:
    """A new one. It vouches for itself: the sandbox's partners are shown it, as a real one would be at signing."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, DOMAIN)])
    certificate = (
        x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(), now - timedelta(hours=1), now + VALID
        )
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(DOMAIN)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private.decode() + certificate.public_bytes(serialization.Encoding.PEM).decode()


def certificate(text: str) -> str:
    """The part of it that others are shown."""
    return x509.load_pem_x509_certificate(text.encode()).public_bytes(serialization.Encoding.PEM).decode()
