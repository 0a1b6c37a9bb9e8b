"""A successor holds certificates and revocation lists as they were signed: each speaks for itself, offline."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509.oid import NameOID

from include.cases.periods import last_day
from include.model.errors import BooksDoNotBalance
from include.model.handover import Consigned
from include.sandbox.people.authority import BETWEEN
from tests.handover.both import INBOX, ORDER, Both
from tests.stores.postgres.dated import AS_OF

LISTS, LISTED = "cert.crl", "cert.crl_listed"
GOING = tuple(Consigned(dataset=d, rule="RS-04") for d in ("cert.certificate", LISTS, LISTED))
NAME = f"{LISTS}-00001"


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
