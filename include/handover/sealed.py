"""A bag's file sealed to one certificate: CMS AuthEnvelopedData (RFC 5083, 5084) with AES-256-GCM, in a stream both ways.

The library's own envelope is made in memory; this one is written as it is read. The length is known before (a tar of known
files), so it is plain DER of definite length, which ``openssl cms -decrypt -inform DER`` opens. The key goes by RSA-OAEP with
SHA-256 (RFC 3560, 4055). Whoever opens a stream sees plaintext before the tag at its end is checked: keep it apart until
:class:`Opening` has been read to its end, and check the sender's signature over the sealed file first.
"""

from __future__ import annotations

import hashlib
import os
from datetime import datetime
from typing import IO

from asn1crypto import cms, core
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from include.model.errors import LedgerError, Refused
from include.model.times import observed_now

KEY, NONCE, TAG = 32, 12, 16  # bytes
HEAD = 64 * 1024  # no header of one recipient is larger
LEAST_BITS = 2048
_AUTH_ENVELOPED = core.ObjectIdentifier("1.2.840.113549.1.9.16.1.23")
_DATA = core.ObjectIdentifier("1.2.840.113549.1.7.1")


def oaep() -> padding.OAEP:
    return padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)


def recipient(pem: str, at: datetime | None = None, *, compared: bool = False) -> x509.Certificate:
    """The certificate that bags are sealed to: the first of a chain that ends in one that signed itself, all valid now (``at``).
    ``compared``: it was valid when people compared it and the consignment was made, and it stays that key until the last bag is
    signed for, though a handover lasts longer than the certificate.

    Raises Refused for a chain that is broken or over, an issuer that is no CA, a key that is not RSA of 2048 bits or more, or one
    that is not for encrypting.
    """
    try:
        chain = x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        raise _no_recipient("the successor's certificate cannot be read") from None
    moment = at or observed_now()
    for of, issuer in zip(chain, [*chain[1:], chain[-1]], strict=True):
        try:
            of.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature):
            raise _no_recipient("the chain of the successor's certificate is broken") from None
        if not compared and not of.not_valid_before_utc <= moment <= of.not_valid_after_utc:
            raise _no_recipient("a certificate of the successor's chain is over, or not valid yet")
    for below, issuer in enumerate(chain[1:]):
        if not _issues(issuer, below):
            raise _no_recipient(
                "an issuer in the successor's chain is no certification authority, or not of that one"
            )
    if not _may(chain[0], "key_encipherment"):
        raise _no_recipient("the successor's certificate is not for encrypting keys")
    key = chain[0].public_key()
    if not isinstance(key, RSAPublicKey) or key.key_size < LEAST_BITS:
        raise _no_recipient(f"the successor's certificate is not of an RSA key of {LEAST_BITS} bits or more")
    return chain[0]


def _issues(of: x509.Certificate, below: int) -> bool:
    """Whether it may issue certificates, with so many authorities below it (RFC 5280, 4.2.1.3 and 4.2.1.9)."""
    try:
        said = of.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return False
    deep = said.path_length is None or below <= said.path_length
    return said.ca and deep and _may(of, "key_cert_sign")


def _may(of: x509.Certificate, usage: str) -> bool:
    """Whether its key may be used so: one that says nothing of it may."""
    try:
        return bool(getattr(of.extensions.get_extension_for_class(x509.KeyUsage).value, usage))
    except x509.ExtensionNotFound:
        return True
    except (x509.DuplicateExtension, ValueError):
        return False


def _no_recipient(what: str) -> Refused:
    return Refused(
        what,
        about="successor",
        next_step="ask it for one with its whole chain in PEM, and check its digest by phone",
    )


def digest_of(certificate: x509.Certificate) -> str:
    """SHA-256 of its DER form, in hex."""
    return certificate.fingerprint(hashes.SHA256()).hex()


class Sealing:
    """A file object to write exactly ``size`` bytes of plaintext to; what comes out goes to ``out``, digested on its way."""

    def __init__(self, out: IO[bytes], certificate: x509.Certificate, size: int) -> None:
        key, nonce = os.urandom(KEY), os.urandom(NONCE)
        self._out, self._left = out, size
        self._cipher = Cipher(algorithms.AES(key), modes.GCM(nonce)).encryptor()
        self._digest = hashlib.sha256()
        self.bytes = 0
        self._put(_head(certificate, key, nonce, size))

    def write(self, data: bytes) -> int:
        self._left -= len(data)
        if self._left < 0:
            raise ValueError("more was written than was announced")
        self._put(self._cipher.update(data))
        return len(data)

    def tell(self) -> int:
        """Where a tar begins in it: at its beginning. Nobody asks later."""
        return 0

    def finish(self) -> str:
        """The tag, then the SHA-256 of everything, in hex."""
        if self._left:
            raise ValueError("less was written than was announced")
        self._put(self._cipher.finalize())
        self._put(_tlv(0x04, self._cipher.tag))
        return self._digest.hexdigest()

    def _put(self, data: bytes) -> None:
        self._digest.update(data)
        self.bytes += len(data)
        self._out.write(data)


def _head(certificate: x509.Certificate, key: bytes, nonce: bytes, size: int) -> bytes:
    """Everything before the ciphertext, with lengths that count it and the tag after it."""
    public = certificate.public_key()
    assert isinstance(public, RSAPublicKey)  # noqa: S101 - recipient() saw to it
    theirs = asn1_x509.Certificate.load(certificate.public_bytes(serialization.Encoding.DER))
    sha256 = {"algorithm": "sha256"}
    to = cms.KeyTransRecipientInfo(
        {
            "version": "v0",
            "rid": cms.RecipientIdentifier(
                {
                    "issuer_and_serial_number": {
                        "issuer": theirs.issuer,
                        "serial_number": theirs.serial_number,
                    }
                }
            ),
            "key_encryption_algorithm": {
                "algorithm": "rsaes_oaep",
                "parameters": {
                    "hash_algorithm": sha256,
                    "mask_gen_algorithm": {"algorithm": "mgf1", "parameters": sha256},
                },
            },
            "encrypted_key": public.encrypt(key, oaep()),
        }
    )
    gcm = _tlv(
        0x30,
        core.ObjectIdentifier("2.16.840.1.101.3.4.1.46").dump()
        + _tlv(0x30, _tlv(0x04, nonce) + core.Integer(TAG).dump()),
    )
    content = _DATA.dump() + gcm
    inner = _sized(0x30, content + _sized(0x80, b"", size), size)
    recipients = _tlv(0x31, to.dump())
    tag = 2 + TAG
    body = _sized(0x30, core.Integer(0).dump() + recipients + inner, size + tag)
    explicit = _sized(0xA0, body, size + tag)
    return _sized(0x30, _AUTH_ENVELOPED.dump() + explicit, size + tag)


def _length(n: int) -> bytes:
    if n < 0x80:  # X.690, 8.1.3
        return bytes([n])
    raw = n.to_bytes((n.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(raw)]) + raw


def _tlv(tag: int, content: bytes) -> bytes:
    return bytes([tag]) + _length(len(content)) + content


def _sized(tag: int, content: bytes, following: int) -> bytes:
    """The beginning of a value of which so many bytes follow later."""
    return bytes([tag]) + _length(len(content) + following) + content


class Opening:
    """A file object to read plaintext from. At its end the tag is checked: LedgerError if a single bit is another.

    Raises Refused if it is sealed to another certificate, LedgerError if it is no such envelope.
    """

    def __init__(self, source: IO[bytes], key: RSAPrivateKey, certificate: x509.Certificate) -> None:
        self._source = source
        head = _Reader(source)
        try:
            for tag, oid in ((0x30, _AUTH_ENVELOPED), (0xA0, None), (0x30, core.Integer(0))):
                head.enter(tag)
                if oid is not None and head.whole() != oid.dump():
                    raise ValueError
            recipients = cms.RecipientInfos.load(head.whole())
            head.enter(0x30)
            if head.whole() != _DATA.dump():
                raise ValueError
            algorithm = cms.EncryptionAlgorithm.load(head.whole())
            if algorithm["algorithm"].native != "aes256_gcm" or len(recipients) != 1:
                raise ValueError
            self._left = head.enter(0x80)
            nonce = _first_octets(algorithm["parameters"].dump())
            to = recipients[0].chosen
            rid = to["rid"].chosen
            mine = asn1_x509.Certificate.load(certificate.public_bytes(serialization.Encoding.DER))
            serial, issuer = rid["serial_number"].native, rid["issuer"].dump()
            encrypted = to["encrypted_key"].native
        except (ValueError, TypeError, KeyError, IndexError, AttributeError):
            raise _broken() from None
        if serial != mine.serial_number or issuer != mine.issuer.dump():
            raise Refused(
                "it is sealed to another certificate",
                about="bag",
                next_step="use the key of the one it names",
            )
        try:
            self._cipher = Cipher(
                algorithms.AES(key.decrypt(encrypted, oaep())), modes.GCM(nonce)
            ).decryptor()
        except ValueError:
            raise Refused(
                "it does not open with this key", about="bag", next_step="use the key of its certificate"
            ) from None
        self._done = False

    def read(self, n: int = -1) -> bytes:
        if self._done:
            return b""
        if n < 0:
            n = self._left
        data = self._source.read(min(n, self._left))
        if not data and self._left and n:
            raise _broken()
        self._left -= len(data)
        out = self._cipher.update(data)
        if not self._left:
            self._done = True
            end = self._source.read(2 + TAG + 1)
            if len(end) != 2 + TAG or end[:2] != bytes([0x04, TAG]):
                raise _broken()
            try:
                out += self._cipher.finalize_with_tag(end[2:])
            except InvalidTag:
                raise _broken() from None
        return out

    def drain(self) -> None:
        """Read what is left, so that the tag is checked."""
        while not self._done:
            self.read(1 << 20)


class _Reader:
    """DER, value by value, from a stream. Nothing larger than :data:`HEAD` is ever held."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source

    def _exactly(self, n: int) -> bytes:
        if n > HEAD:
            raise ValueError
        data = self._source.read(n)
        if len(data) != n:
            raise ValueError
        return data

    def _begin(self) -> tuple[int, bytes, int]:
        raw = self._exactly(2)
        tag, n = raw
        if n & 0x80:
            more = self._exactly(n & 0x7F)
            raw += more
            n = int.from_bytes(more, "big")
        return tag, raw, n

    def enter(self, tag: int) -> int:
        """Go into a value with this tag; its length."""
        found, _, n = self._begin()
        if found != tag:
            raise ValueError
        return n

    def whole(self) -> bytes:
        """The next value, whole."""
        _, raw, n = self._begin()
        return raw + self._exactly(n)


def _first_octets(parameters: bytes) -> bytes:
    found = core.SequenceOf.load(parameters, spec=core.Any)[0].parse(core.OctetString).native
    return bytes(found)


def _broken() -> LedgerError:
    return LedgerError(
        "the sealed file is not whole, or not what was sealed", about="bag",
        next_step="fetch it again; if it stays so, have it packed and sent again",
    )  # fmt: skip
