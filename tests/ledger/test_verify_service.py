"""Released certificates of services that stopped verify for ever, and none of them once anything in it was changed."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from include.commands import verify as command
from include.ledger import verify, verify_service, verify_service_said

VECTORS = Path(__file__).parent / "vectors"
RELEASED = sorted(p.name for p in VECTORS.glob("service-*"))


@pytest.mark.parametrize("name", RELEASED)
def test_a_released_certificate_verifies(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    home = VECTORS / name
    report = verify_service.verify_file((home / "service.json").read_bytes(), (home / "pub.pem").read_bytes())
    assert report.problems == [] and report.said["books"].startswith("located 106 = 60 transferred")
    told = {
        "service-v1": ("media", "not said of each"),
        "service-v2": ("not sanitised", "store:company stays in service with"),
    }
    word, what = told[name]
    assert report.said[word].startswith(what)
    assert ("gates" in report.said) == (name == "service-v1"), (
        "of a former one it is printed that it says none"
    )
    assert verify_service.main([str(home / "service.json"), "--key", str(home / "pub.pem")]) == 0
    assert capsys.readouterr().out.startswith("VALID")
    assert verify.verify((home / "service.json").read_bytes(), (home / "pub.pem").read_bytes()).problems == [
        "the file is not a Quietus certificate: it has another payload type"
    ]
    assert callable(command.command)


@pytest.mark.parametrize("name", RELEASED)
def test_a_byte_that_was_changed_is_noticed_and_never_a_traceback(name: str) -> None:
    home = VECTORS / name
    whole, pem = (home / "service.json").read_bytes(), (home / "pub.pem").read_bytes()
    envelope = json.loads(whole)
    payload = base64.b64decode(envelope["payload"])
    for n in range(0, len(payload), max(1, len(payload) // 60)):
        changed = payload[:n] + bytes([payload[n] ^ 1]) + payload[n + 1 :]
        again = verify.canonical({**envelope, "payload": base64.b64encode(changed).decode()})
        assert not verify_service.verify_file(again, pem).ok
    for cut in (b"", b"{}", b"[]", whole[:-40], b"\xff" * 10):
        assert not verify_service.verify_file(cut, pem).ok
    for odd in ({}, {"format": verify_service.FORMAT}, [], None, {**json.loads(payload), "books": [1]}):
        assert not verify_service.check_payload(verify.canonical(odd), verify.load_key(pem)).ok


Content = tuple[dict[str, Any], dict[int, dict[str, Any]]]


def content(name: str) -> Content:
    """What a certificate says, and its entries."""
    p = json.loads(base64.b64decode(json.loads((VECTORS / name / "service.json").read_bytes())["payload"]))
    return p, {e["index"]: json.loads(base64.b64decode(e["leaf"])) for e in p["entries"]}


def earlier(
    kind: str, than: Callable[[dict[str, Any]], int]
) -> Callable[[dict[str, Any], dict[int, Any]], None]:
    """As if an entry on which it rests had been made before."""

    def forge(p: dict[str, Any], entries: dict[int, Any]) -> None:
        was = p["proofs"][kind]
        index = than(p) - 1
        entries[index] = entries[was[0] if isinstance(was, list) else was]
        p["proofs"][kind] = [index] if isinstance(was, list) else index

    return forge


def anonymous(p: dict[str, Any], _: dict[int, Any]) -> None:
    line = next(x for x in p["books"] if x["retained"])
    line.update(anonymised=line["retained"], retained=0)


def begun_early(p: dict[str, Any], entries: dict[int, Any]) -> None:
    """As if our copy had begun to go before the successor signed for it."""
    index = max({*range(min(b["first"] for b in p["bags"]))} - entries.keys())
    entries[index] = entries[p["cases"][0]["begun"]]
    p["cases"][0]["begun"] = index


def signed_late(p: dict[str, Any], entries: dict[int, Any]) -> None:
    """As if a bag had been signed for once it was gone here."""
    bag = p["bags"][-1]
    entries[p["entry"] + 1] = entries[bag["entry"]]
    bag.update(entry=p["entry"] + 1, first=p["entry"] + 1)


def another(what: str) -> Callable[[dict[str, Any], dict[int, Any]], None]:
    """As if a night had gone on beside the order; ``what`` is said of it that cannot be."""
    said: dict[str, Any] = {"case": "CASE-000005", "items": 0, "cut": 0, "certificate": None, "serial": None, "entry": None,
                            "final": False, "waits": []}  # fmt: skip
    said |= {
        "items": {"items": 7}, "unnamed": {"final": True}, "waits": {"waits": [{"backup_set": "b", "due": None}]},
        "twice": {"case": "CASE-000001"}, "certificate": {"certificate": "0" * 64, "serial": 1, "entry": 31},
    }[what]  # fmt: skip
    return lambda p, _: p["others"].append(said)


def of_more(what: str) -> Callable[[dict[str, Any], dict[int, Any]], None]:
    """As if the order had one more than the certificate tells of."""

    def forge(p: dict[str, Any], entries: dict[int, Any]) -> None:
        entries[p["proofs"]["dragnet"][0]]["body"][what].append("one more")

    return forge


@pytest.mark.parametrize("name", RELEASED)
@pytest.mark.parametrize(
    ("forge", "problem"),
    [
        (earlier("located", lambda p: p["proofs"]["closed"]), "was counted before collection was closed"),
        (lambda p, _: p["proofs"]["located"].append(p["proofs"]["located"][0]), "is told out of its order"),
        (lambda p, _: p["proofs"]["located"].clear(), "no entry says how much of"),
        (earlier("collection", lambda p: p["proofs"]["closed"]), "the last look at collection came before it was closed"),
        (earlier("retest", lambda p: p["proofs"]["recipients"]), "was tested before the last books"),
        (anonymous, "something was made anonymous, and no set was tested"),
        (earlier("dragnet", lambda p: p["cases"][0]["entry"]), "the estate was looked through before the last deed"),
        (earlier("collection", lambda p: p["cases"][0]["begun"]), "the last look at collection came before the last deed"),
        (earlier("collection", lambda p: p["proofs"]["recipients"] - 1), "the last look at collection came before the last deed"),
        (earlier("books", lambda p: p["cases"][0]["begun"]), "the last books came before the last deed"),
        (begun_early, "its source began to go before the successor had signed for it"),
        (signed_late, "its source began to go before the successor had signed for it"),
        (lambda p, _: p["bags"][-1].update(first=p["bags"][-1]["entry"] + 1), "its first receipt came after its last"),
        (lambda p, _: p["bags"][-1].update(first=p["bags"][-2]["entry"]), "the receipt that the ledger has is another"),
        (lambda p, _: p["cases"][0].update(begun=p["proofs"]["recipients"]), "does not say that it was begun"),
        (lambda p, _: p["cases"][0].update(items=59), "60 items are not here any more, and the cases that are named took 59"),
        (another("items"), "60 items are not here any more, and the cases that are named took 67"),
        (another("unnamed"), "no certificate of it is named, and it is told what that says"),
        (another("waits"), "no certificate of it is named, and it is told what that says"),
        (another("twice"), "CASE-000001 is told 2 times"),
        (another("certificate"), "CASE-000005: its certificate is not in the log"),
        (lambda p, _: p.update(t0="2020-01-01"), "the ledger recorded another t0"),
        (lambda p, _: p.update(successor={"name": "Nobody Ltd", "certificate": "0" * 64}), "recorded another successor"),
        (lambda p, _: p.update(custodian=None), "the ledger recorded another custodian"),
        (signed_late, "which came after it was recorded"),
        (of_more("cases"), "the order had other cases"),
        (of_more("backup_sets"), "the order had other backup sets"),
        (of_more("recipients"), "the order had other recipients"),
    ],
)  # fmt: skip
def test_a_proof_that_is_left_out_or_came_too_early_is_named(
    forge: Callable[[dict[str, Any], dict[int, Any]], object], problem: str, name: str
) -> None:
    p, entries = content(name)
    assert verify_service.content_problems(p, entries) == []
    forge(p, entries)
    assert any(problem in x for x in verify_service.content_problems(p, entries))


@pytest.mark.parametrize("name", RELEASED)
def test_collection_is_closed_on_t0_or_later_whatever_the_path(name: str) -> None:
    p, entries = content(name)
    for path in ("voluntary", "licence_revoked"):
        entries[p["proofs"]["opened"]]["body"]["path"] = path
        for t0, fine in (("2027-03-04", True), ("2027-03-01", True), ("2027-03-05", False)):
            p["t0"] = entries[p["entry"]]["body"]["t0"] = t0
            found = verify_service.content_problems(p, entries)
            assert ("collection was closed on 2027-03-04, before T0" in found) is not fine, (path, t0)


def test_a_gate_that_counts_no_more_is_named_where_the_entry_is_there() -> None:
    p, entries = content("service-v2")
    withdrew = {"order": p["order"], "what": verify_service_said.WITHDREW, "counts_no_more": ["notified"]}
    gate = next(x for x in p["gates"] if x["gate"] == "notified")
    entries[5] = {"kind": "shutdown", "case_no": None, "body": withdrew}
    problem = "gate notified: by ledger entry 5 what is told of it counts no more"
    assert gate["entry"] < 5 and problem in verify_service.content_problems(p, entries)
    entries[1] = entries.pop(5)
    assert verify_service.content_problems(p, entries) == []


def test_that_a_suite_judged_the_books_is_said_by_every_certificate_but_a_former_one() -> None:
    said = "nothing says that a suite judged the books"
    for name, wanted in (("service-v1", []), ("service-v2", [said])):
        p, entries = content(name)
        assert p["format"] in (verify_service.FORMAT, verify_service_said.FORMER)
        p["proofs"].pop("conservation", None)
        found = verify_service.content_problems(p, entries, recorded=False)
        assert found == wanted, name
    pem = (VECTORS / "service-v2" / "pub.pem").read_bytes()
    (problem,) = verify_service.check_payload(verify.canonical(p), verify.load_key(pem)).problems
    assert problem.startswith("its proofs does not have exactly the fields") and "conservation" in problem


def test_a_receipt_under_the_root_that_a_notice_left_is_as_good_as_one_under_the_first() -> None:
    """It was signed between two notices: neither as packed nor as the bag was in the end."""
    p, entries = content("service-v1")
    bag = p["bags"][-1]
    left = {"items": bag["items"] - 1, "root": "1" * 64}
    entries[bag["first"]]["body"].update(left)
    problem = f"bag {bag['bag']}: the receipt that the ledger has is another"
    assert problem in verify_service.content_problems(p, entries)
    told = {"order": p["order"], "bag": bag["bag"], **left}
    entries[10_000] = {"kind": "handover.notice", "case_no": None, "body": told}
    bag["notices"].append(10_000)
    assert problem not in verify_service.content_problems(p, entries)
    told["bag"] = p["bags"][-2]["bag"]
    assert problem in verify_service.content_problems(p, entries)
