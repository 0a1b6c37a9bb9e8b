"""`quietus handover prove`: a successor counts what it has stored again, and a suite sees what differs."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from include.handover import proving, recounting
from include.handover.custody import Custody
from include.handover.following import follow
from include.handover.items import Growing
from include.handover.sending import notice_key
from include.ledger import attest
from include.model.handover import BagNotice
from include.model.times import observed_now
from include.model.words import Role, Verdict
from tests.handover.both import INBOX, ORDER, TABLES, Both
from tests.proofs.controls import control
from tests.stores.postgres.dated import AS_OF

SIGNATURES = "sign.signature"


@pytest.fixture
def stored(both: Both) -> Both:
    both.datasets = (TABLES[1], TABLES[3])
    both.pack()
    both.send()
    assert not both.receive().refused
    return both


def prove(both: Both, said: list[Any] | None = None) -> proving.Proof:
    record = (said if said is not None else []).append
    return proving.theirs(both.inbox, both.custody, lambda *entry: record(entry), ORDER)


def failed(proof: proving.Proof) -> set[str]:
    return {c.name for c in proof.checks if c.verdict is Verdict.FAILED}


@control("custody", "stored", "postgres")
@control("custody", "same", "postgres")
@control("custody", "differences", "postgres")
def test_what_is_lost_or_added_at_the_successor_is_seen(stored: Both) -> None:
    said: list[Any] = []
    proof = prove(stored, said)
    assert proof.verdict is Verdict.PASSED and {c.dataset for c in proof.checks} >= {
        SIGNATURES,
        "cert.crl_entry",
    }
    ((kind, case, body, _),) = said
    assert (kind, case, body["order"], body["verdict"]) == (proving.KIND, None, ORDER, "passed")
    stored.sql(
        stored.theirs,
        "DELETE FROM sign.signature WHERE signature_id = (SELECT min(signature_id) FROM sign.signature)",
    )
    assert failed(prove(stored)) == {f"{w}.{SIGNATURES}" for w in ("stored", "same", "differences")}
    with pytest.raises(Exception, match=rf"differences\.{SIGNATURES}"):
        proving.proved(prove(stored))


@pytest.fixture
def keeping(stored: Both) -> tuple[Both, date, date]:
    """The sender deleted two signatures, and the successor could only keep them, until this day."""
    bag = stored.bags(SIGNATURES)[0]
    leaves = stored.sql(
        stored.theirs,
        f"SELECT i.leaf FROM quietus_handover.item AS i JOIN quietus_handover.running AS r USING (order_no, bag, no)"
        f" WHERE i.bag = '{bag.name}' ORDER BY r.earliest NULLS LAST, i.no LIMIT 2",
    )
    gone, root = {bytes(x) for (x,) in leaves}, Growing()
    for leaf in stored.sql(
        stored.theirs, f"SELECT leaf FROM quietus_handover.item WHERE bag = '{bag.name}' ORDER BY no"
    ):
        if bytes(leaf[0]) not in gone:
            root.add(bytes(leaf[0]))
    said = BagNotice(
        order=ORDER, bag=bag.name, notice=1, statement=attest.digest(bag.payload), removed=tuple(x.hex() for x in gone), added=0,
        items=bag.items - 2, root=root.root(), as_of=AS_OF, made_at=observed_now(),
    )  # fmt: skip
    stored.theirs.s3("inbox", Role.COURIER).put_object(
        Bucket=INBOX, Key=notice_key(ORDER, f"{bag.name}-0001"), Body=stored.our_signer(said.canonical())
    )
    done = follow(stored.inbox, stored.custody, stored.their_signer, ORDER, as_of=AS_OF)
    (answer,) = done.receipts
    days = [k.until for k in answer.kept if k.until is not None]
    assert len(days) == 2
    return stored, min(days), max(days)


@control("custody", "kept", "postgres")
def test_what_a_notice_could_only_keep_is_missed_until_its_day(
    keeping: tuple[Both, date, date],
) -> None:
    both, first, last = keeping
    before = replace(both.custody, today=lambda: first)
    over = replace(both.custody, today=lambda: last + timedelta(days=1))

    def proof(custody: Custody) -> proving.Proof:
        return proving.theirs(both.inbox, custody, lambda *_: None, ORDER)

    assert proof(before).verdict is Verdict.PASSED
    key = "key[1] FROM quietus_handover.item WHERE fate = 'kept' ORDER BY no"
    both.sql(
        both.theirs,
        "SET session_replication_role = replica; UPDATE sign.signature SET signed_at = signed_at + interval '1 s'"
        f" WHERE signature_id::text = (SELECT {key} LIMIT 1)",
    )
    assert failed(proof(before)) == {f"kept.{SIGNATURES}"}
    both.sql(
        both.theirs, f"DELETE FROM sign.signature WHERE signature_id::text IN (SELECT {key})",
    )  # fmt: skip
    assert failed(proof(before)) == {f"kept.{SIGNATURES}"}
    assert proof(over).verdict is Verdict.PASSED, "a night took them"


def test_one_that_is_changed_is_seen_though_as_many_are_there(stored: Both) -> None:
    stored.sql(
        stored.theirs,
        "SET session_replication_role = replica; UPDATE sign.signature SET signed_at = signed_at + interval '1 s'"
        " WHERE signature_id = (SELECT min(signature_id) FROM sign.signature)",
    )
    assert failed(prove(stored)) == {f"{w}.{SIGNATURES}" for w in ("same", "differences")}


def test_a_bag_that_arrived_and_was_not_stored_does_not_pass(both: Both) -> None:
    both.datasets = (TABLES[3],)
    both.pack()
    both.send()
    assert f"stored.{SIGNATURES}" in failed(prove(both)) and f"same.{SIGNATURES}" in failed(prove(both))


def test_what_nobody_signed_is_unverified(stored: Both) -> None:
    key = f"{ORDER}/sign.signature-00001.json"
    stored.theirs.s3("inbox", None).put_object(Bucket=INBOX, Key=key, Body=b"{}")  # type: ignore[arg-type]
    mine = [c for c in prove(stored).checks if c.dataset == SIGNATURES]
    assert {c.verdict for c in mine} == {Verdict.UNVERIFIED}


def test_a_stored_bag_whose_statement_is_gone_from_the_inbox_is_unverified(stored: Both) -> None:
    inbox = stored.theirs.s3("inbox", None)  # type: ignore[arg-type]
    inbox.delete_object(Bucket=INBOX, Key=f"{ORDER}/sign.signature-00001.json")
    found = prove(stored)
    assert {c.dataset for c in found.checks if c.verdict is Verdict.UNVERIFIED} == {SIGNATURES}
    assert found.verdict is Verdict.UNVERIFIED


def test_what_is_no_notice_makes_its_bag_unverified_and_no_other(stored: Both) -> None:
    inbox = stored.theirs.s3("inbox", None)  # type: ignore[arg-type]
    inbox.put_object(Bucket=INBOX, Key=notice_key(ORDER, "sign.signature-00001-0001"), Body=b"{}")
    found = prove(stored)
    assert {c.dataset for c in found.checks if c.verdict is Verdict.UNVERIFIED} == {SIGNATURES}
    assert any(c.verdict is Verdict.PASSED for c in found.checks)


@pytest.mark.parametrize(
    ("clocks", "may_go", "is_due"),
    [
        (None, True, False),
        ({"running": [], "earliest": None, "due": "2031-01-01"}, True, False),
        ({"running": [], "earliest": "2026-11-24", "due": "2031-01-01"}, True, True),
        ({"running": [], "earliest": "2026-11-25", "due": "2031-01-01"}, False, False),
        ({"running": [{"floor": True, "ends": None}], "earliest": None, "due": None}, False, False),
        ({"running": [{"floor": False, "ends": None}], "earliest": None, "due": None}, True, False),
    ],
)
def test_what_only_a_hold_kept_goes_with_the_hold_unless_a_floor_forbids_it(
    clocks: dict[str, object] | None, may_go: bool, is_due: bool
) -> None:
    """It was to be deleted: that its own clock has not run out keeps it no longer, as a night judges it, too."""
    said = b"" if clocks is None else json.dumps(clocks).encode()
    assert recounting._no_floor(said, date(2026, 11, 24)) is may_go
    assert recounting.lawful(said, date(2026, 11, 24)) is is_due
