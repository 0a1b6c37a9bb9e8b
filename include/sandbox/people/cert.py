"""Schema ``cert``: certificates and their renewals, the revocation list, hosted keys and USB keys."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from random import Random

from cryptography import x509
from cryptography.x509.oid import NameOID

from include.sandbox.people.authority import authority
from include.sandbox.people.making import Certificate, Making, Row, unique
from include.sandbox.people.values import region

REASONS = ("key_compromise", "affiliation_changed", "superseded", "cessation_of_operation")


def rows(m: Making, r: Random) -> Iterator[Row]:
    p = m.person
    for certificate in m.certificates:
        yield from _certificate(m, r, certificate)
    if not m.certificates:
        return
    newest = m.certificates[-1]
    if p.left is not None:  # the key went with the account
        yield _destruction(m, unique(r), p.left)
        return
    if m.has(r, 0.4):
        key, destroyed = unique(r), newest.revoked
        yield "cert.hosted_key", {
            "key_id": key, "account_id": p.account_id, "serial": newest.serial,
            "wrapped_key": None if destroyed is not None else r.randbytes(48), "hsm": "hsm-1",
            "created_at": m.ago(-newest.begins), "destroyed_at": None if destroyed is None else m.ago(-destroyed),
        }  # fmt: skip
        if destroyed is not None:
            yield _destruction(m, key, -destroyed)
    if m.has(r, 0.4):
        yield "cert.usb_key", {
            "key_serial": f"UK{m.seed % 100:02d}{p.number:09d}", "account_id": p.account_id,
            "handed_out_at": m.ago(-newest.begins),
        }  # fmt: skip


def _destruction(m: Making, key: str, days: int) -> Row:
    """The HSM's word that a key is no more."""
    return "cert.key_destruction", {
        "key_id": key, "hsm": "hsm-1", "method": "zeroised", "destroyed_on": m.day(days),
        "case_no": f"CASE-{900_000 + m.person.number}",
    }  # fmt: skip


def _certificate(m: Making, r: Random, c: Certificate) -> Iterator[Row]:
    p = m.person
    holder = p.firm if p.kind == "enterprise" else p.name
    number = p.credit_code if p.kind == "enterprise" else p.document_no
    subject = f"CN={holder},serialNumber={number},L={region(p.address)},C=CN"
    der = authority(m.seed).certificate(
        c.serial,
        _subject(holder, number, region(p.address)),
        r.randbytes(64),
        m.ago(-c.begins),
        m.ago(-c.ends),
    )
    revoked = m.ago(-c.revoked) if c.revoked is not None else None
    yield "cert.certificate", {
        "serial": c.serial, "account_id": p.account_id, "application_id": c.application_id, "renews_serial": c.renews,
        "subject_dn": subject, "der": der, "der_sha256": hashlib.sha256(der).hexdigest(), "status": c.status,
        "not_before": m.ago(-c.begins), "not_after": m.ago(-c.ends), "revoked_at": revoked,
    }  # fmt: skip
    yield "cert.issuance_log", {
        "issuance_log_id": m.id("issuance_log"), "serial": c.serial, "event": "issued", "subject_dn": subject,
        "at": m.ago(-c.begins),
    }  # fmt: skip
    if revoked is not None:
        reason = REASONS[-1] if p.left is not None else r.choice(REASONS[:-1])
        yield "cert.crl_entry", {"serial": c.serial, "revoked_at": revoked, "reason": reason}
        yield "cert.issuance_log", {
            "issuance_log_id": m.id("issuance_log"), "serial": c.serial, "event": "revoked", "subject_dn": subject,
            "at": revoked,
        }  # fmt: skip


def _subject(holder: str, number: str, place: str) -> x509.Name:
    parts = {
        NameOID.COMMON_NAME: holder, NameOID.SERIAL_NUMBER: number, NameOID.LOCALITY_NAME: place,
        NameOID.COUNTRY_NAME: "CN",
    }  # fmt: skip
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in parts.items()])
