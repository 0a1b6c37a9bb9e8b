"""What the custodian's verifier adds: the root of a log at many lengths, and what only the whole log says of an order."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from include.ledger import verify, verify_ledger, verify_service_said
from include.ledger.verify_ledger import roots_at
from tests.ledger.test_verify_service import content

Said = dict[str, Any]


def test_every_length_has_the_root_of_rfc_6962() -> None:
    hashes = [hashlib.sha256(b"%d" % n).digest() for n in range(70)]
    assert roots_at(hashes, set(range(1, 71))) == {n: verify.root_of(hashes[:n]) for n in range(1, 71)}
    assert roots_at(hashes, {80}) == {}


def known() -> tuple[Said, dict[int, Said]]:
    """A released certificate, and the entries of its log of which the whole log is asked, twice as far apart: so there is room
    between them for one more."""
    p, entries = content("service-v1")
    for b in p["bags"]:
        b.update(entry=2 * b["entry"], first=2 * b["first"])
    for c in p["cases"]:
        c["begun"] *= 2
    p["entry"] *= 2
    p["proofs"] = {k: [2 * i for i in v] if isinstance(v, list) else 2 * v for k, v in p["proofs"].items()}
    return p, {2 * i: e for i, e in entries.items() if e["kind"] in verify_ledger.ASKED}


def test_a_gate_that_was_done_again_is_another_than_is_told() -> None:
    p, log = known()
    p["gates"] = [{"gate": "reported", "entry": 3}]
    log[p["entry"] + 1] = says(p, what="gate", gate="reported", done_on="2026-11-24")
    assert list(verify_ledger.of_the_whole_log(p, log)) == [], "it came after the certificate"
    log[before(p)] = says(p, what="gate", gate="reported", done_on="2026-11-24")
    (problem,) = verify_ledger.of_the_whole_log(p, log)
    assert problem.startswith(f"gate reported: ledger entry {before(p)} says it was done on 2026-11-24")


@pytest.mark.parametrize("what", ["successor withdrew", "T0 moved"])
def test_a_gate_that_counts_no_more_is_none_that_was_passed(what: str) -> None:
    p, log = known()

    def gates(at: int, gone: list[str], **more: Any) -> list[str]:
        there = log | {at: says(p, what=what, counts_no_more=gone, **more)}
        return [x for x in verify_ledger.of_the_whole_log(p, there) if x.startswith("gate ")]

    p["gates"] = [{"gate": "notified", "entry": 3}, {"gate": "reported", "entry": 5}]
    assert gates(4, ["notified"]) == ["gate notified: by ledger entry 4 what is told of it counts no more"]
    assert gates(2, ["notified"]) == [], "people were told anew since"
    assert gates(after(p), ["notified"]) == [], "it came after the certificate"
    assert gates(4, ["successor_told"]) == [], "another gate"
    assert gates(4, []) == [] == gates(4, ["notified"], order="SO-000002")


@pytest.mark.parametrize("what", verify_service_said.SINCE_FORMER)
def test_a_former_format_that_tells_less_is_none_for_a_log_that_says_more(what: str) -> None:
    """An order whose log has what only the present format tells of, told in the former one."""
    p, log = known()
    assert p["format"] == verify_service_said.FORMER
    more: Said = {"verdict": "passed", "media": [], "becomes": "stays", "who": None, "until": None, "document": "D-1",
                  "digest": "d", "approver": 1}  # fmt: skip
    log[after(p)] = says(p, what=what, **more)
    assert list(verify_ledger.of_the_whole_log(p, log)) == [], "it came after the certificate"
    log[opened(p)] = says(p, what=what, **more)
    assert [
        x
        for x in verify_ledger.of_the_whole_log(p, log)
        if "it is in a former format" in x and repr(what) in x
    ]
    p["format"] = verify_service_said.FORMAT
    assert not [x for x in verify_ledger.of_the_whole_log(p, log) if "former" in x]


def says(p: Said, kind: str = "shutdown", **body: Any) -> Said:
    return {"kind": kind, "case_no": None, "body": {"order": p["order"], **body}}


def look(verdict: str, at: Callable[[Said], int]) -> Callable[[Said, dict[int, Said]], None]:
    def put(p: Said, log: dict[int, Said]) -> None:
        log[at(p)] = says(p, what="collection looked at", verdict=verdict, stores=[])

    return put


def event(at: Callable[[Said], int], **body: Any) -> Callable[[Said, dict[int, Said]], None]:
    def put(p: Said, log: dict[int, Said]) -> None:
        log[at(p)] = says(p, **body)

    return put


def receipt(
    at: Callable[[Said], int], bag: str | None = None, missing: int = 0, **more: Any
) -> Callable[[Said, dict[int, Said]], None]:
    def put(p: Said, log: dict[int, Said]) -> None:
        of = next((b for b in p["bags"] if b["bag"] == bag), p["bags"][-1])
        body = {
            "bag": bag or of["bag"],
            "missing": missing,
            "changed": 0,
            "extra": 0,
            "receipt": f"{at(p)}" * 8,
        }
        log[at(p)] = says(
            p, "handover.receipt", **body, **({"items": of["items"], "root": of["root"]} | more)
        )

    return put


def forged(**said: Any) -> Callable[[Said, dict[int, Said]], None]:
    return lambda p, _: p.update(said)


def before(p: Said) -> int:
    return int(p["entry"]) - 1


def after(p: Said) -> int:
    return int(p["entry"]) + 1


def opened(p: Said) -> int:
    return int(p["proofs"]["opened"]) + 1


def receipts(p: Said) -> int:
    return int(min(b["first"] for b in p["bags"])) - 1


@pytest.mark.parametrize(
    ("forge", "problem"),
    [
        (look("passed", before), "says 'collection looked at' once more"),
        (look("failed", after), "after the certificate, says 'collection looked at': failed"),
        (event(before, what="books", verdict="passed"), "says 'books' once more"),
        (event(after, what="books", verdict="failed"), "after the certificate, says 'books': failed"),
        (event(after, what="conservation proved", verdict="failed"), "says 'conservation proved': failed"),
        (event(before, what="located", datasets={}), "says what was located, and the certificate does not name it"),
        (receipt(before), "is a newer receipt for bag u.visit-00003"),
        (receipt(after, missing=1), "is a receipt for bag u.visit-00003 that names differences"),
        (receipt(after, root="0" * 64), "is a receipt for bag u.visit-00003 that names differences, and nobody answers"),
        (receipt(before, "u.visit-00004"), "bag u.visit-00004, which the certificate does not name"),
        (event(receipts, what="source deletion begun", case="CASE-000009", bags=["u.visit-00001..00002"]),
         "the source of bag u.visit-00002 began to go, before its receipt"),
        (forged(t0="2020-01-01"), "its t0 is another"),
        (event(opened, what="T0 moved", t0="2027-04-01"), "its t0 is another"),
        (forged(successor={"name": "Nobody Ltd", "certificate": "0" * 64}), "its successor is another"),
        (forged(successor=None), "its successor is another"),
        (event(opened, what="successor withdrew"), "its successor is another"),
        (event(opened, what="successor named", successor="B", successor_certificate="c"), "its successor is another"),
        (forged(custodian=None), "its custodian is another"),
        (event(opened, what="custodian named", custodian="Attic Co"), "its custodian is another"),
    ],
)  # fmt: skip
def test_what_the_whole_log_says_otherwise_is_named(
    forge: Callable[[Said, dict[int, Said]], None], problem: str
) -> None:
    p, log = known()
    assert list(verify_ledger.of_the_whole_log(p, log)) == []
    forge(p, log)
    assert [x for x in verify_ledger.of_the_whole_log(p, log) if problem in x]


@pytest.mark.parametrize(
    "more",
    [look("passed", after), event(after, what="books", verdict="passed"), receipt(after),
     event(after, what="custodian named", custodian="Attic Co")],
)  # fmt: skip
def test_what_came_after_it_and_is_nothing_against_it_is_none(
    more: Callable[[Said, dict[int, Said]], None],
) -> None:
    p, log = known()
    more(p, log)
    assert list(verify_ledger.of_the_whole_log(p, log)) == []


def accepted(at: int, approver: int, **more: Any) -> Callable[[Said, dict[int, Said]], None]:
    """One approver's word about the receipt that came right after the certificate."""

    def put(p: Said, log: dict[int, Said]) -> None:
        body = {
            "what": verify_ledger.LATE,
            "receipts": [f"{after(p)}" * 8],
            "document": "D-9",
            "digest": "9" * 64,
        }
        log[p["entry"] + at] = says(p, **{**body, "approver": approver, **more})

    return put


@pytest.mark.parametrize(
    ("more", "settled"),
    [
        ([accepted(2, 1), accepted(3, 2)], True),
        ([receipt(lambda p: p["entry"] + 2)], True),
        ([accepted(2, 1)], False),
        ([accepted(2, 1), accepted(3, 1)], False),
        ([accepted(2, 1), accepted(3, 2, digest="8" * 64)], False),
        ([accepted(2, 1), accepted(3, 2, receipts=["8" * 64])], False),
        ([accepted(2, 1, order="SO-000002"), accepted(3, 2)], False),
        ([accepted(2, 1, what="unverified accepted"), accepted(3, 2)], False),
        ([accepted(0, 1), accepted(3, 2)], False),
        ([receipt(lambda p: p["entry"] + 2, root="0" * 64)], False),
        ([receipt(lambda p: p["entry"] + 2, "u.visit-00001")], False),
    ],
)  # fmt: skip
def test_a_difference_after_it_stands_until_it_is_signed_anew_or_both_answer_for_it(
    more: list[Callable[[Said, dict[int, Said]], None]], settled: bool
) -> None:
    p, log = known()
    receipt(after, missing=1)(p, log)
    for put in more:
        put(p, log)
    found = [x for x in verify_ledger.of_the_whole_log(p, log) if "nobody answers for it" in x]
    assert bool(found) is not settled
    told = [how for index, _, how in verify_ledger.late(p, log) if index == after(p)]
    assert len(told) == 1 and bool(told[0]) is settled, "and it is named, settled or not"


def test_what_another_order_says_is_nothing_to_it() -> None:
    p, log = known()
    look("failed", after)(p | {"order": "SO-000002"}, log)
    assert list(verify_ledger.of_the_whole_log(p, log)) == []


COPY = {"backup_set": "nightly", "store": "company", "gone_on": "2027-03-04", "evidence": [3, 5]}
WAITS = {"track": "backups", "name": "nightly", "due": "2027-04-01"}
OURS = {"case_no": "CASE-000001", "edition": "auditor", "serial": 2, "completeness": {"entry": 7}, "kind": "final",
        "pending": [], "copies": [COPY]}  # fmt: skip
NIGHT = {"case_no": "CASE-000005", "edition": "auditor", "serial": 1, "completeness": {"entry": 9}, "kind": "interim",
         "pending": [WAITS], "copies": []}  # fmt: skip


def named() -> tuple[Said, dict[str, Said]]:
    other = {"case": "CASE-000005", "certificate": "n", "serial": 1, "entry": 9, "final": False,
             "waits": [{"backup_set": "nightly", "due": "2027-04-01"}]}  # fmt: skip
    begun = {
        "case": "CASE-000006",
        "certificate": None,
        "serial": None,
        "entry": None,
        "final": False,
        "waits": [],
    }
    p = {"cases": [{"case": "CASE-000001", "certificate": "o", "serial": 2, "entry": 7, "begun": 1}],
         "others": [other, begun], "copies": [{**COPY, "evidence": [3, 5, 6]}]}  # fmt: skip
    return copy.deepcopy((p, {"o": OURS, "n": NIGHT}))


@pytest.mark.parametrize(
    ("forge", "problem"),
    [
        (lambda p, g: p["copies"].clear(), "backup set nightly of its certificate is not told as gone"),
        (lambda p, g: p["copies"][0].update(evidence=[3]), "backup set nightly of its certificate is not told as gone"),
        (lambda p, g: p["copies"][0].update(store="other"), "backup set nightly of its certificate is not told as gone"),
        (lambda p, g: g["o"]["copies"][0].update(gone_on=None), "backup set nightly of its certificate is not told as gone"),
        (lambda p, g: g["o"].update(kind="interim"), "CASE-000001: its certificate is interim"),
        (lambda p, g: g["o"].update(case_no="CASE-000002"), "that is named for CASE-000001 is another one"),
        (lambda p, g: g["o"].update(edition="person"), "that is named for CASE-000001 is another one"),
        (lambda p, g: g["o"]["completeness"].update(entry=8), "that is named for CASE-000001 is another one"),
        (lambda p, g: g.pop("n"), "the certificate of CASE-000005 is missing"),
        (lambda p, g: g["n"].update(serial=2), "that is named for CASE-000005 is another one"),
        (lambda p, g: p["others"][0].update(waits=[]), "CASE-000005: its certificate says otherwise what it waits for"),
        (lambda p, g: p["others"][0].update(final=True), "CASE-000005: its certificate says otherwise what it waits for"),
    ],
)  # fmt: skip
def test_a_named_certificate_is_what_it_is_told_to_be(
    forge: Callable[[Said, dict[str, Said]], object], problem: str
) -> None:
    p, given = named()
    assert list(verify_ledger.named_certificates(p, given)) == []
    forge(p, given)
    assert [x for x in verify_ledger.named_certificates(p, given) if problem in x]
