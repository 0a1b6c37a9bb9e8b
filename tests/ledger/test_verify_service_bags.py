"""A bag of a service's certificate: its receipts name the root that was due when they were signed, no later answer differs."""

from __future__ import annotations

from typing import Any

import pytest

from include.ledger import verify_ledger, verify_service_books, verify_service_said

ORDER, BAG = "SO-000001", "u.visit-00001"
PACKED, LEFT = "a" * 64, "b" * 64
CLEAN = {"missing": 0, "changed": 0, "extra": 0}


def entry(kind: str, **body: Any) -> dict[str, Any]:
    return {"kind": f"handover.{kind}", "body": {"order": ORDER, "bag": BAG, **body}}


def receipt(root: str, **more: Any) -> dict[str, Any]:
    items = 3 if root == PACKED else 2
    return entry("receipt", statement="s", receipt="r", items=items, root=root, **CLEAN, **more)


def told(**changes: Any) -> dict[str, Any]:
    """A bag, a notice about which was followed by entry 7."""
    noticed = {"notice": 1, "digest": "d", "items": 2, "root": LEFT, "entry": 7}
    bag = {
        "bag": BAG, "dataset": "u.visit", "items": 3, "root": PACKED, "statement": "s", "receipt": "r", "entry": 5, "first": 5,
        "notices": [6], "noticed": noticed,
    }  # fmt: skip
    books = [{"dataset": "u.visit", "transferred": 2}]
    return {"order": ORDER, "bags": [bag | changes], "books": books, "successor": {"name": "x"}, "entry": 20}


ANSWER = entry(
    "notice_receipt", notice=1, digest="d", items=2, root=LEFT, done_at="2027-03-04T10:00:00+00:00", **CLEAN
)
NOTICE = entry("notice", notice=1, items=2, root=LEFT)


def problems(at: int, of: dict[str, Any]) -> list[str]:
    entries = {5: receipt(PACKED), 6: NOTICE, 7: ANSWER, at: of}
    return list(verify_service_books.check_bags(told(entry=at, first=min(at, 5)), entries))


BEFORE, AFTER = {"stored_at": "2027-03-04T09:59:59+00:00"}, {"stored_at": "2027-03-04T18:00:00.5+08:00"}


@pytest.mark.parametrize(
    ("at", "of", "fine"),
    [
        (5, receipt(PACKED, **BEFORE), True),
        (8, receipt(PACKED, **BEFORE), True),  # verified late
        (5, receipt(LEFT, **BEFORE), True),  # followed, and not yet answered
        (8, receipt(LEFT, **AFTER), True),
        (8, receipt(PACKED, **AFTER), False),
        (8, receipt("1" * 64, **AFTER), False),
        (5, receipt("1" * 64, **BEFORE), False),
        (8, receipt(PACKED), False),  # the log does not say when: by the order of entries
        (5, receipt(PACKED), True),
    ],
)
def test_a_receipt_names_what_was_due(at: int, of: dict[str, Any], fine: bool) -> None:
    found = problems(at, of)
    assert found == [] if fine else "the receipt that the ledger has is another" in found[0]


@pytest.mark.parametrize("at", ["entry", "first"])
def test_what_nobody_asked_to_delete_is_a_difference(at: str) -> None:
    """Of the receipt that stands, and of the one after which the source might go."""

    def found(**more: Any) -> list[str]:
        entries = {5: receipt(PACKED, **(more if at == "first" else {})), 6: NOTICE, 7: ANSWER}
        entries[8] = receipt(LEFT, **AFTER, **(more if at == "entry" else {}))
        return list(verify_service_books.check_bags(told(entry=8, first=5), entries))

    assert found() == found(asked=3) == found(asked=3, not_asked=0) == []
    assert found(asked=3, not_asked=3) == [f"bag {BAG}: its receipt names differences"]


@pytest.mark.parametrize(
    ("index", "changes", "fine"),
    [(9, {}, True), (9, {"missing": 1}, False), (21, {"root": PACKED}, False), (4, {"missing": 1}, True)],
)
def test_no_later_answer_says_otherwise(index: int, changes: dict[str, Any], fine: bool) -> None:
    late = {**ANSWER, "body": {**ANSWER["body"], **changes}}
    found = list(verify_ledger._newer_answers(told(), {7: ANSWER["body"], index: late["body"]}))
    assert (
        found == []
        if fine
        else found[0].startswith(f"ledger entry {index} is a newer answer about bag {BAG}")
    )
    assert "handover.notice_receipt" in verify_ledger.ASKED


def test_nothing_goes_before_somebody_let_it_of_that_consignment() -> None:
    """By the certificate, and by the whole log; an entry of before anybody was asked names no consignment."""
    let, other = (
        {"order": "SO-000001", "what": verify_service_said.PERMITTED, "consignment": c} for c in "ab"
    )
    begun = {
        "order": "SO-000001",
        "what": verify_service_said.BEGUN[0],
        "case": "CASE-000001",
        "bags": [],
        "consignment": "a",
    }
    former = {k: v for k, v in begun.items() if k != "consignment"}

    def wrong(told: dict[int, dict[str, Any]], approved: list[int], at: int) -> bool:
        case = {"case": "CASE-000001", "items": 0, "certificate": "", "serial": 1, "entry": 9, "begun": at}
        p = {
            "order": "SO-000001",
            "proofs": {"approved": approved},
            "cases": [case],
            "bags": [],
            "others": [],
            "books": [],
        }
        entries = {i: {"kind": "shutdown", "case_no": None, "body": body} for i, body in told.items()}
        found = [x for x in verify_service_books.check_cases(p, entries) if "before anybody approved" in x]
        assert bool(found) == bool([*verify_ledger._before_it_was_approved(told)])
        return bool(found)

    assert not wrong({1: let, 2: begun}, [1], 2)
    assert wrong({1: begun, 2: let}, [2], 1), "it was let go afterwards"
    assert wrong({1: other, 2: begun}, [1], 2), "another consignment was let go"
    assert wrong({1: begun}, [], 1)
    assert not wrong({1: former, 2: let}, [2], 1)
