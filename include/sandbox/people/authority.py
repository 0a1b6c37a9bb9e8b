"""The company as a certification authority: its own two certificates, those that it issues, and the revocation lists that it
publishes.

Its keys are made from the seed, and Ed25519 signs the same bytes the same way (RFC 8032, 5.1.6): same seed and day, same bytes.
Formats: RFC 5280 (certificates 4, revocation lists 5), RFC 8410 (Ed25519 in both).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from include.sandbox.people.making import Making, Row

BETWEEN = 91  # days from one list to the next: one a quarter
LISTS = 12  # so many quarters back; the first ones of a small company list nobody, and are not there
_FROM, _UNTIL = datetime(2005, 1, 1, tzinfo=UTC), datetime(2055, 1, 1, tzinfo=UTC)
_CHINA = timedelta(hours=8)


def _usage(*of: str) -> x509.KeyUsage:
    every = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign",
        "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{use: use in of for use in every})


_SIGNATORY = x509.BasicConstraints(ca=False, path_length=None)
_SIGNS = _usage("digital_signature", "content_commitment")


@dataclass(frozen=True)
class Revoked:
    """A certificate that was revoked before it expired."""

    serial: str
    revoked_at: datetime
    not_after: datetime


@dataclass(frozen=True)
class Authority:
    """A root, and the authority below it that issues and revokes."""

    seed: int

    @cached_property
    def chain(self) -> str:
        """Both certificates as PEM, the one that signs first: what whoever checks a list needs beside it."""
        return "".join(c.public_bytes(Encoding.PEM).decode() for c in (self._issuing, self._root))

    @cached_property
    def name(self) -> x509.Name:
        """Who issues."""
        return self._issuing.subject

    def certificate(
        self, serial: str, subject: x509.Name, secret: bytes, begins: datetime, ends: datetime
    ) -> bytes:  # fmt: skip
        """A signatory's certificate in DER. ``serial``: in hex; ``secret``: of which the signing key is made."""
        key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(secret).digest()).public_key()
        made = (
            x509.CertificateBuilder(self.name, subject, key, int(serial, 16), begins, ends)
            .add_extension(_SIGNATORY, critical=True)
            .add_extension(_SIGNS, critical=True)
            .add_extension(self._issued_by, critical=False)
        )  # fmt: skip
        return made.sign(self._issuing_key, None).public_bytes(Encoding.DER)

    def crl(self, number: int, at: datetime, listed: Sequence[Revoked]) -> bytes:
        """The revocation list of that number in DER, of these certificates. Reasons are not published: what a list says of
        somebody is what the register keeps of a certificate, its serial, dates and status."""
        made = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.name)
            .last_update(at)
            .next_update(at + timedelta(days=BETWEEN))
            .add_extension(x509.CRLNumber(number), critical=False)
            .add_extension(self._issued_by, critical=False)
        )
        for one in listed:
            made = made.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(int(one.serial, 16))
                .revocation_date(one.revoked_at)
                .build()
            )
        return made.sign(self._issuing_key, None).public_bytes(Encoding.DER)

    @cached_property
    def _issued_by(self) -> x509.AuthorityKeyIdentifier:
        return _authority_key(self._issuing_key)

    @cached_property
    def _root_key(self) -> Ed25519PrivateKey:
        return self._key("root")

    @cached_property
    def _issuing_key(self) -> Ed25519PrivateKey:
        return self._key("issuing")

    def _key(self, what: str) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(
            hashlib.sha256(f"{self.seed}/authority/{what}".encode()).digest()
        )

    @cached_property
    def _root(self) -> x509.Certificate:
        return _certified(
            _name("Sandbox Root CA"), _name("Sandbox Root CA"), self._root_key, self._root_key, 1
        )

    @cached_property
    def _issuing(self) -> x509.Certificate:
        return _certified(
            _name("Sandbox Issuing CA"), self._root.subject, self._issuing_key, self._root_key, 0
        )


@lru_cache(maxsize=4)
def authority(seed: int) -> Authority:
    """The authority of a seed, whose keys are made once."""
    return Authority(seed)


@dataclass
class Published:
    """The lists of a company, one a quarter, the last of yesterday. ``add`` everybody, then ask for the ``rows``."""

    seed: int
    today: date
    _revoked: list[Revoked] = field(default_factory=list)

    def add(self, making: Making) -> None:
        """Note what was revoked of somebody's."""
        self._revoked += [
            Revoked(c.serial, making.ago(-c.revoked), making.ago(-c.ends))
            for c in making.certificates
            if c.revoked is not None
        ]

    def rows(self) -> Iterator[Row]:
        """A list has whatever was revoked by then, until one that comes after it expired had it, too (RFC 5280, 3.3); one that
        would list nobody is none."""
        ca, number = authority(self.seed), 0
        for back in reversed(range(LISTS)):
            day = self.today - timedelta(days=1 + back * BETWEEN)
            at = datetime(day.year, day.month, day.day, 1, tzinfo=UTC)
            listed = sorted(
                (r for r in self._revoked if r.revoked_at <= at < r.not_after + timedelta(days=BETWEEN)),
                key=lambda r: (r.revoked_at, r.serial),
            )
            if not listed:
                continue
            number += 1
            last = max((r.not_after + _CHINA).date() for r in listed)
            yield "cert.crl", {
                "crl_number": number, "issuer": ca.name.rfc4514_string(), "this_update": at,
                "next_update": at + timedelta(days=BETWEEN), "last_expiry": last,
                "der": ca.crl(number, at, listed), "ca_chain": ca.chain,
            }  # fmt: skip
            for one in listed:
                yield "cert.crl_listed", {"crl_number": number, "serial": one.serial}


def _name(common: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"), x509.NameAttribute(NameOID.COMMON_NAME, common)]
    )


def _authority_key(key: Ed25519PrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _certified(
    subject: x509.Name, issuer: x509.Name, key: Ed25519PrivateKey, signer: Ed25519PrivateKey, below: int
) -> x509.Certificate:  # fmt: skip
    """The certificate of an authority with so many levels of authorities below it at most."""
    return (
        x509.CertificateBuilder(issuer, subject, key.public_key(), 1 + below, _FROM, _UNTIL)
        .add_extension(x509.BasicConstraints(ca=True, path_length=below), critical=True)
        .add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_authority_key(signer), critical=False)
        .sign(signer, None)
    )
