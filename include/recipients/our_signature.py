"""Our own signature on what we answer as somebody else's recipient (OpenDSR 2.0, sections 6 and 7)."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from include.model.errors import Refused

DOMAIN, SIGNATURE = "X-OpenDSR-Processor-Domain", "X-OpenDSR-Signature"
CONNECTION = "dsr_signing_key"


@dataclass(frozen=True)
class OurSignature:
    """A key, and the certificate that says whose it is."""

    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey = field(repr=False)
    certificate: x509.Certificate

    @classmethod
    def of(cls, pem: str) -> OurSignature:
        """From one PEM text with both. Raises Refused, quoting nothing of it."""
        try:
            key = serialization.load_pem_private_key(pem.encode(), password=None)
            certificate = x509.load_pem_x509_certificate(pem.encode())
        except (ValueError, TypeError):
            raise _unusable("it is not a private key and a certificate in PEM") from None
        if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
            raise _unusable("the key is neither RSA nor of an elliptic curve")
        if key.public_key() != certificate.public_key():
            raise _unusable("the certificate is another key's")
        return cls(key, certificate)

    @property
    def domain(self) -> str:
        """The first name that the certificate is for."""
        try:
            names = self.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            return names.get_values_for_type(x509.DNSName)[0]
        except (x509.ExtensionNotFound, IndexError):
            raise _unusable("the certificate names no domain") from None

    @property
    def pem(self) -> bytes:
        """The certificate, for whoever checks."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def headers(self, body: bytes) -> dict[str, str]:
        """What goes with a body, so that the other side knows that it is ours."""
        if isinstance(self.key, rsa.RSAPrivateKey):
            made = self.key.sign(body, padding.PKCS1v15(), hashes.SHA256())
        else:
            made = self.key.sign(body, ec.ECDSA(hashes.SHA256()))
        return {DOMAIN: self.domain, SIGNATURE: base64.b64encode(made).decode()}


def _unusable(why: str) -> Refused:
    return Refused(
        f"our signing key cannot be used: {why}", about=CONNECTION,
        next_step="put the private key and its certificate, both in PEM, into the connection's text",
    )  # fmt: skip
