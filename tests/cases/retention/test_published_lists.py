"""A published revocation list stays to the byte until five years after the last of its certificates expired, and keeps nobody's
certificate longer for that; then it goes whole."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from include.sandbox.people.authority import Authority, Revoked
from tests.cases.retention.test_night_with_objects import House, house

pytestmark = pytest.mark.slow
__all__ = ["house"]  # a fixture; its nights are of 24 November 2026
OLD, YOUNG = "0A" * 16, "0B" * 16
OVER, RUNNING = 9001, 9002
EXPIRY = {OLD: datetime(2021, 11, 1, tzinfo=UTC), YOUNG: datetime(2021, 12, 31, tzinfo=UTC)}
REVOKED = {OLD: datetime(2020, 11, 1, tzinfo=UTC), YOUNG: datetime(2021, 11, 30, tzinfo=UTC)}
HOLDERS = "SELECT account_id FROM account.account WHERE cancelled_at IS NULL ORDER BY 1 LIMIT 2"


def ask(house: House, statement: str, *given: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(house.server.conninfo(house.company)) as conn:
        cursor = conn.execute(statement.encode(), given or None)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def published(house: House) -> bytes:
    """One list of a certificate whose years are over, and one that has another as well; the bytes of that."""
    authority, ders = Authority(1), {}
    for serial, (account,) in zip(EXPIRY, ask(house, HOLDERS), strict=True):
        ask(
            house,
            "INSERT INTO cert.certificate (serial, account_id, subject_dn, der_sha256, status, not_before, not_after, revoked_at)"
            " VALUES (%s, %s, 'CN=somebody', 'x', 'revoked', '2020-01-01', %s, %s)",
            serial, account, EXPIRY[serial], REVOKED[serial],
        )  # fmt: skip
    for number, at, listed in ((OVER, REVOKED[OLD], (OLD,)), (RUNNING, REVOKED[YOUNG], (OLD, YOUNG))):
        on = [Revoked(s, REVOKED[s], EXPIRY[s]) for s in listed]
        ders[number] = authority.crl(number, at, on)
        last = max(EXPIRY[s] for s in listed).date()
        ask(
            house, "INSERT INTO cert.crl VALUES (%s, 'x', %s, %s, %s, %s, %s)",
            number, at, at, last, ders[number], authority.chain,
        )  # fmt: skip
        for serial in listed:
            ask(house, "INSERT INTO cert.crl_listed VALUES (%s, %s)", number, serial)
    return ders[RUNNING]


def here(house: House) -> tuple[set[tuple[int, str]], dict[int, bytes]]:
    mine = (OVER, RUNNING)
    listed = ask(house, "SELECT crl_number, serial FROM cert.crl_listed WHERE crl_number IN (%s, %s)", *mine)
    return set(listed), dict(
        ask(house, "SELECT crl_number, der FROM cert.crl WHERE crl_number IN (%s, %s)", *mine)
    )  # type: ignore[return-value]


def test_a_list_stays_as_it_was_signed_and_goes_whole(house: House, published: bytes) -> None:
    night, said = house.night()
    assert night.case_no is not None and house.certificate(night) == []
    assert not [x for x in said if x.startswith("cert.crl")]
    assert here(house) == ({(RUNNING, YOUNG)}, {RUNNING: published})
    assert ask(house, "SELECT account_id, subject_dn FROM cert.certificate WHERE serial = %s", OLD) == [
        (None, None)
    ], "a list that goes on for somebody else's sake keeps nobody's name"
    key = x509.load_pem_x509_certificates(
        ask(house, "SELECT ca_chain FROM cert.crl WHERE crl_number = %s", RUNNING)[0][0].encode()
    )[0].public_key()
    assert isinstance(key, Ed25519PublicKey)
    assert x509.load_der_x509_crl(here(house)[1][RUNNING]).is_signature_valid(key)

    due = date(2021, 11, 22)  # its day has come
    ask(house, "UPDATE cert.crl SET last_expiry = %s WHERE crl_number = %s", due, RUNNING)
    night, said = house.night()
    assert night.case_no is not None and house.certificate(night) == []
    assert not [x for x in said if x.startswith("cert.crl")]
    assert here(house) == ({(RUNNING, YOUNG)}, {}), (
        "what leads to somebody whose years run yet stays with the certificate"
    )
    assert house.due().keys().isdisjoint({"cert.crl", "cert.crl_listed"})
