"""A successor holds certificates and revocation lists as they were signed: each speaks for itself, offline."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509.oid import NameOID

from include.cases.periods import last_day
from include.handover import notices
from include.handover.following import Followed, follow
from include.handover.heeding import Heeded, heed
from include.handover.items import Growing
from include.handover.sending import notice_key, request_key
from include.ledger import attest
from include.model.errors import BooksDoNotBalance
from include.model.handover import REQUEST, BagNotice, BagRequest, Consigned
from include.model.times import observed_now
from include.model.words import Role
from include.sandbox.people.authority import BETWEEN
from tests.handover.both import INBOX, ORDER, Both
from tests.stores.postgres.dated import AS_OF

LISTS, LISTED = "cert.crl", "cert.crl_listed"
GOING = tuple(Consigned(dataset=d, rule="RS-04") for d in ("cert.certificate", LISTS, LISTED))
NAME = f"{LISTS}-00001"
LATE = date(2060, 1, 1)
"""By then no floor of a certificate runs."""


@pytest.fixture
def sent(both: Both) -> Both:
    both.datasets = GOING
    assert both.pack().left == {}
    both.send()
    return both


def test_a_list_is_read_and_checked_with_what_came_along(sent: Both) -> None:
    assert sent.receive().refused == {}
    for bag in sent.bags():
        sent.verify(bag.name)
    assert sent.reconciled()
    shown = f"SELECT crl_number, der, ca_chain, last_expiry FROM {LISTS} ORDER BY 1"
    there = sent.sql(sent.theirs, shown)
    assert len(there) >= 2 and there == sent.sql(sent.ours, shown), "as they were signed, to the byte"
    for number, der, chain, last in there:
        crl, (issuing, root) = (
            x509.load_der_x509_crl(der),
            x509.load_pem_x509_certificates(chain.encode()),
        )
        root.verify_directly_issued_by(root)
        issuing.verify_directly_issued_by(root)
        key = issuing.public_key()
        assert isinstance(key, Ed25519PublicKey) and crl.is_signature_valid(key)
        assert crl.issuer == issuing.subject
        assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == number
        listed = sent.sql(
            sent.theirs,
            f"SELECT c.serial, c.revoked_at, c.not_after, (c.not_after AT TIME ZONE 'Asia/Shanghai')::date"
            f" FROM {LISTED} JOIN cert.certificate AS c USING (serial)"
            f" WHERE crl_number = {number}",
        )
        assert listed and {r.serial_number: r.revocation_date_utc for r in crl} == {
            int(serial, 16): revoked for serial, revoked, *_ in listed
        }, "whom it lists, and since when"
        assert all(
            revoked <= crl.last_update_utc < ends + timedelta(days=BETWEEN) for _, revoked, ends, _ in listed
        )
        assert last == max(day for *_, day in listed)


def test_a_certificate_is_checked_by_the_chain_that_comes_with_the_lists(sent: Both) -> None:
    sent.receive()
    ((chain,),) = sent.sql(sent.theirs, f"SELECT DISTINCT ca_chain FROM {LISTS}")
    issuing, _root = x509.load_pem_x509_certificates(chain.encode())
    held = sent.sql(sent.theirs, "SELECT serial, subject_dn, der FROM cert.certificate WHERE der IS NOT NULL")
    assert len(held) > 20
    for serial, subject, der in held:
        found = x509.load_der_x509_certificate(der)
        found.verify_directly_issued_by(issuing)
        assert found.serial_number == int(serial, 16)
        (name,) = found.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        assert subject.startswith(f"{name.rfc4514_string()},")


def test_its_clock_goes_on_five_years_from_the_last_of_its_certificates(sent: Both) -> None:
    sent.receive()
    clocks = sent.sql(
        sent.theirs,
        f"SELECT t.last_expiry, r.due FROM quietus_handover.running AS r JOIN {LISTS} AS t ON t.crl_number::text = r.key[1]"
        f" WHERE r.dataset = '{LISTS}'",
    )
    assert clocks
    for last, due in clocks:
        assert due > AS_OF and due == last_day(last, "P5Y") + timedelta(days=1)


def test_a_byte_that_changed_at_the_successor_is_named_and_the_list_says_so_itself(sent: Both) -> None:
    sent.receive()
    last = f"(SELECT max(crl_number) FROM {LISTS})"
    sent.sql(
        sent.theirs,
        f"UPDATE {LISTS} SET der = set_byte(der, length(der) - 1, get_byte(der, length(der) - 1) # 1) WHERE crl_number = {last}",
    )
    found = {r.bag: r.differences for r in sent.receive().receipts}
    assert len(found[NAME].changed) == 1 and all(d.none for name, d in found.items() if name != NAME)
    with pytest.raises(BooksDoNotBalance, match="nothing of this bag may be deleted"):
        sent.verify(NAME)
    ((der, chain),) = sent.sql(sent.theirs, f"SELECT der, ca_chain FROM {LISTS} WHERE crl_number = {last}")
    key = x509.load_pem_x509_certificates(chain.encode())[0].public_key()
    assert isinstance(key, Ed25519PublicKey) and not x509.load_der_x509_crl(der).is_signature_valid(key)


def test_a_byte_that_changed_on_the_way_stops_that_bag(sent: Both) -> None:
    client, key = sent.ours.stands_in["inbox"], f"{ORDER}/{NAME}.cms"
    file = bytearray(client.get_object(Bucket=INBOX, Key=key)["Body"].read())
    file[len(file) // 2] ^= 1
    client.put_object(Bucket=INBOX, Key=key, Body=bytes(file))
    got = sent.receive()
    assert set(got.refused) == {NAME}
    assert sent.sql(sent.theirs, f"SELECT count(*) FROM {LISTS}") == [(0,)]


@pytest.mark.parametrize("how", ["notice", "request"])
def test_a_list_that_is_published_still_keeps_no_certificate_on_it(sent: Both, how: str) -> None:
    assert not sent.receive().refused
    ((serial,),) = sent.sql(
        sent.theirs,
        f"SELECT min(serial) FROM {LISTED} AS t WHERE NOT EXISTS"
        " (SELECT FROM cert.certificate AS c WHERE c.renews_serial = t.serial)",
    )
    lists = sent.sql(sent.theirs, f"SELECT crl_number, der FROM {LISTS} ORDER BY 1")
    assert _fates(sent, how, LISTED, serial) == {("deleted", None)}, "the list itself does not need that row"
    assert _fates(sent, how, "cert.certificate", serial) == {("deleted", None)}
    assert lists == sent.sql(sent.theirs, f"SELECT crl_number, der FROM {LISTS} ORDER BY 1"), "to the byte"


def _fates(both: Both, how: str, dataset: str, serial: str) -> set[tuple[str, str | None]]:
    """Of the rows of this certificate: what became of them at the authority's word, and why."""
    mine = f"dataset = '{dataset}' AND '{serial}' = ANY(key)"
    for bag in both.bags(dataset):
        leaves = both.sql(
            both.theirs,
            f"SELECT encode(leaf, 'hex') FROM quietus_handover.item WHERE {mine} AND bag = '{bag.name}' ORDER BY no",
        )
        if leaves:
            _say(both, how, bag.name, attest.digest(bag.payload), tuple(x for (x,) in leaves))
    obeys = follow if how == "notice" else heed
    done: Followed | Heeded = obeys(both.inbox, both.custody, both.their_signer, ORDER, as_of=LATE)
    assert not done.refused
    return set(both.sql(both.theirs, f"SELECT fate, why FROM quietus_handover.item WHERE {mine}"))  # type: ignore[arg-type]


def _say(both: Both, how: str, bag: str, statement: str, leaves: tuple[str, ...]) -> None:
    same: dict[str, Any] = {
        "order": ORDER, "bag": bag, "statement": statement, "as_of": AS_OF, "made_at": observed_now(),
    }  # fmt: skip
    said: BagNotice | BagRequest
    if how == "notice":
        said = BagNotice(notice=1, removed=leaves, added=0, items=0, root=Growing().root(), **same)
        key = notice_key(ORDER, notices.name(bag, 1))
    else:
        said = BagRequest(
            format=REQUEST, request=1, asked=leaves, people=1, law="PIPL 47", answer_by=AS_OF, **same
        )
        key = request_key(ORDER, notices.name(bag, 1))
    both.theirs.s3("inbox", Role.COURIER).put_object(
        Bucket=both.bucket, Key=key, Body=both.our_signer(said.canonical())
    )
