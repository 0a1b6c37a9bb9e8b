"""That an answer is the recipient's own: a signature over its bytes, by the certificate of its domain.

OpenDSR 2.0, section 4: RSA (PKCS #1 v1.5) or ECDSA over SHA-256 of the raw body, base64, in a header. The certificate
leads to an authority that we trust, is valid today, and carries the domain that the catalogue gives for the
recipient; one that is signed by itself leads nowhere.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509 import verification
from urllib3 import HTTPHeaderDict

from include.model.errors import Refused
from include.model.times import observed_now
from include.recipients import authorities

DOMAIN, SIGNATURE = "x-opendsr-processor-domain", "x-opendsr-signature"
CHAIN = 8  # certificates in one file, at most


def trusted(pem: bytes, domain: str, authority: str | None, about: str) -> x509.Certificate:
    """The first certificate of a PEM file, if it and those behind it lead to an authority. Raises Refused."""
    try:
        chain = x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise _refused("its signing certificate is not PEM", about) from None
    if len(chain) > CHAIN:
        raise _refused("its signing certificate comes with more certificates than lead anywhere", about)
    leaf, *between = chain
    check(leaf, domain, about)
    try:
        builder = verification.PolicyBuilder().store(authorities.store(authority)).time(observed_now())
        builder.build_server_verifier(x509.DNSName(domain)).verify(leaf, between)
    except (verification.VerificationError, ValueError):
        itself = " but to itself" if leaf.issuer == leaf.subject else ""
        raise _refused(
            f"its signing certificate leads to no authority that we trust{itself}", about
        ) from None
    return leaf


def check(certificate: x509.Certificate, domain: str, about: str) -> None:
    """That a certificate, trusted once, is still valid and is this domain's. Raises Refused."""
    now: datetime = observed_now()
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise _refused("its signing certificate has expired, or is not valid yet", about)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        domains = names.get_values_for_type(x509.DNSName)
    except (x509.ExtensionNotFound, ValueError):
        domains = []
    if domain.casefold() not in (name.casefold() for name in domains):
        raise _refused("its signing certificate is another domain's", about)


def verify(
    headers: Mapping[str, str], body: bytes, certificate: x509.Certificate, domain: str, about: str
) -> None:
    """That these bytes were signed by the recipient. Raises Refused; the body is not looked into."""
    said = headers if isinstance(headers, HTTPHeaderDict) else HTTPHeaderDict(headers)
    if said.get(DOMAIN, "").strip().casefold() != domain.casefold():
        raise _refused("its answer is signed for another domain, or for none", about)
    try:
        signature = base64.b64decode("".join(said.get(SIGNATURE, "").split()), validate=True)
        if not signature:
            raise _refused("its answer is not signed", about)
        key = certificate.public_key()
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, body, padding.PKCS1v15(), hashes.SHA256())
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, body, ec.ECDSA(hashes.SHA256()))
        else:
            raise _refused("its signing certificate has a key that is neither RSA nor ECDSA", about)
    except (InvalidSignature, binascii.Error, ValueError):
        raise _refused("the signature on its answer is wrong", about) from None


def _refused(what: str, about: str) -> Refused:
    return Refused(
        what, about=about, next_step="nothing it says counts until it signs as agreed: tell its operators"
    )
