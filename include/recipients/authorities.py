"""Whom we trust: the public authorities, and beside them those in the file that a recipient's connection names.

The same ones for the protection on the way and for signatures. Read once a process, and again when a file changed.
"""

from __future__ import annotations

import ssl
import warnings
from functools import lru_cache
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509 import verification

from include.model.errors import Refused

_Files = tuple[tuple[str, int], ...]


def context(authority: str | None) -> ssl.SSLContext:
    """For TLS, with certificate and host name verified. Raises Refused for a file that is none."""
    return _context(_files(authority))


def store(authority: str | None) -> verification.Store:
    """For the certificates that answers are signed with. Raises Refused for a file that is none."""
    return _store(_files(authority))


def _files(authority: str | None) -> _Files:
    """Each with the time of its last change, by which a renewed one is read again."""
    try:
        return tuple((file, Path(file).stat().st_mtime_ns) for file in (certifi.where(), authority) if file)
    except OSError:
        raise _unreadable() from None


@lru_cache(maxsize=64)
def _context(files: _Files) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=files[0][0])
    try:
        for file, _ in files[1:]:
            made.load_verify_locations(file)
    except OSError:  # as ssl.SSLError is one
        raise _unreadable() from None
    return made


@lru_cache(maxsize=64)
def _store(files: _Files) -> verification.Store:
    try:
        with warnings.catch_warnings():
            # One old public authority has a serial number that is no longer allowed; it is nobody's here.
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            return verification.Store(
                [c for file, _ in files for c in x509.load_pem_x509_certificates(Path(file).read_bytes())]
            )
    except (OSError, ValueError):
        raise _unreadable() from None


def _unreadable() -> Refused:
    return Refused(
        "the file of the authorities to trust there cannot be read, or holds no certificate",
        about="connection of a recipient", next_step='check "authority" in its extra, and that we may read it',
    )  # fmt: skip
