"""From T0 to the certificate of the whole service, which its offline verifier checks; refused while anything is open."""

from __future__ import annotations

import base64
import copy
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from psycopg.types.json import Jsonb

from include.cases import book, certifying, verbs
from include.cases.keys import FileKeyStore
from include.cases.opening import open_night
from include.cases.periods import last_day
from include.cases.shutdown import accepting, closing, orders, told_recipients
from include.cases.shutdown.told import Paper
from include.handover import service_page
from include.handover.ledger_bag import hand_over
from include.handover.transferring import transfer
from include.ledger import verify, verify_service
from include.ledger.signer import SignerClient
from include.model.errors import NotProved, Refused
from include.model.flow import Check
from include.model.times import Counting
from include.model.words import Verdict
from include.proofs import conserved
from tests.cases.resting import begun_unasked
from tests.cases.retention import house as houses
from tests.cases.shutdown.conftest import logging
from tests.cases.shutdown.ended import SHOP, Ended, Ledgered, stop
from tests.cases.shutdown.test_closing import INSERT, T0, company, gatekeeper
from tests.cases.shutdown.test_nights_after import LAST, RUNS
from tests.cases.test_certifying import RECORDS, answering, whole
from tests.conftest import PgServer
from tests.stores.postgres.conftest import new_company
from tests.stores.postgres.making import Company

pytestmark = pytest.mark.postgres
__all__ = ["gatekeeper", "new_company"]  # fixtures


@pytest.fixture
def case_book(pg18: PgServer) -> Iterator[str]:
    for login in RECORDS:
        pg18.add_role(login)
    name = pg18.fresh_database("ended_book", whole)
    yield name
    pg18.drop_database(name)


@pytest.fixture
def house(
    new_company: Callable[..., Company], pg18: PgServer, case_book: str, tmp_path: Path
) -> Iterator[Ledgered]:
    server = answering(tmp_path / "signer")
    schema = (
        houses.SCHEMA
        + "UPDATE u.visit SET at = '2026-11-01'; UPDATE a.account SET name = '1380013800'||right(id, 1);"
    )
    yield Ledgered(
        company=new_company(SHOP, schema, "ended"), records=lambda role: pg18.conninfo(case_book, role),
        keys=FileKeyStore(tmp_path / "keys", b"k" * 32), socket=str(tmp_path / "signer" / "s"),
        pem=str(tmp_path / "signer" / "pub.pem"),
    )  # fmt: skip
    server.shutdown()


@pytest.fixture
def ended(house: Ledgered, tmp_path: Path) -> Ended:
    return stop(house, tmp_path)


def test_it_ends_with_a_certificate_that_anybody_can_check(ended: Ended) -> None:
    ended.everything()
    made = ended.certificate()
    report = verify_service.verify_file(made.envelope.encode(), ended.pem)
    assert report.problems == []
    said = made.payload
    assert {x["dataset"]: (x["located"], x["transferred"], x["retained"]) for x in said["books"] if x["located"]} == {
        "a.account": (10, 0, 10), "u.visit": (60, 60, 0), "u.click": (20, 0, 20), "s.ticket": (8, 0, 8), "s.note": (8, 0, 8),
    }  # fmt: skip
    assert {(k["dataset"], k["law"], k["custodian"]) for k in said["residual"]} == {
        (d, "PIPL 56", "Archive Co") for d in ("a.account", "u.click", "s.ticket", "s.note")
    }
    assert {r["recipient"]: r["outcome"] for r in said["recipients"]} == dict.fromkeys(
        ("sms", "vetting", "bank"), "gone"
    )
    with ended.desk.book() as conn:
        of = orders.order(conn, ended.number)
    assert of.state == "ended" and ended.house.sql("SELECT count(*) FROM casebook.shutdown_needle") == [(0,)]
    assert ended.house.sql("SELECT state FROM casebook.case_ ORDER BY 1") == [("closed",), ("closed",)]
    assert ended.certificate() == made, "issued once"
    text = json.dumps(said, ensure_ascii=False)
    assert "acct_" not in text and "1380013800" not in text and "privacy@" not in text
    forged(ended, said)
    handed(ended)


def line(p: dict[str, Any], of: str, dataset: str) -> dict[str, Any]:
    found: dict[str, Any] = next(x for x in p[of] if x["dataset"] == dataset)
    return found


def moved(p: dict[str, Any]) -> None:
    line(p, "books", "u.click").update(retained=19, deleted=1)


FORGERIES: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda p: line(p, "books", "u.click").update(retained=19), "the books do not balance for u.click"),
    (moved, "the books of u.click are not those that the ledger recorded"),
    (lambda p: p["books"].pop(), "the books name"),
    (lambda p: p["proofs"].pop("conservation"), "its proofs does not have exactly the fields"),
    (lambda p: line(p, "books", "u.visit").update(located=61, transferred=61), "60 items were located after T0, and 61 are told"),
    (lambda p: p["bags"].pop(), "other numbers are told as transferred and in bags"),
    (lambda p: p["bags"][0].update(root="0" * 64), "the receipt that the ledger has is another"),
    (lambda p: p["bags"][0].update(receipt="0" * 64), "the receipt that the ledger has is another"),
    (lambda p: p["cases"].clear(), "no case took it away here"),
    (lambda p: p["proofs"].pop("approved"), "our copy began to go before anybody approved that by a document"),
    (lambda p: p["proofs"].update(approved=[p["proofs"]["closed"]]), "does not say 'source deletion approved'"),
    (lambda p: p["cases"][0].update(serial=7), "the log has another certificate of it"),
    (lambda p: p["cases"][0].update(items=59), "the cases that are named took 59"),
    (lambda p: p["cases"][0].update(begun=p["proofs"]["recipients"]), "does not say that it was begun"),
    (lambda p: p["bags"][-1].update(first=p["entry"]), "no receipt for it is among the entries given"),
    (lambda p: p["proofs"].update(collection=p["cases"][0]["begun"]), "does not say 'collection looked at'"),
    (lambda p: p["proofs"].update(books=p["cases"][0]["begun"]), "does not say 'books'"),
    (lambda p: p["proofs"].update(conservation=p["proofs"]["books"]), "does not say 'conservation proved'"),
    (lambda p: p.update(t0="2026-12-01"), "the ledger recorded another t0"),
    (lambda p: p.update(successor=None), "the ledger recorded another successor"),
    (lambda p: p["successor"].update(certificate="0" * 64), "the ledger recorded another successor"),
    (lambda p: p.update(custodian="Attic Co"), "the ledger recorded another custodian"),
    (lambda p: p["recipients"].pop(), "it is not said what became of the notice"),
    (lambda p: p["recipients"][0].update(outcome="open"), "is silent, and was not escalated"),
    (lambda p: p["residual"].pop(), "other numbers stay by the books and by the list of what stays"),
    (lambda p: p["residual"][0].update(custodian=None), "something stays without a law, or with nobody"),
    (lambda p: p["residual"][0].update(last="2026-01-01"), "its last day is over"),
    (lambda p: p["residual"][0].update(first="2026-01-01"), "its last day is over"),
    (lambda p: p["residual"][0].update(first=None), "nothing says until when"),
    (lambda p: p["residual"][0].update(first=None, last=None, waits=1), "nothing says until when"),
    (lambda p: p["proofs"]["dragnet"].clear(), "the estate was not looked through"),
    (lambda p: p["proofs"]["located"].clear(), "no entry says how much of u.visit was located after T0"),
    (lambda p: (p["recipients"].clear(), p["proofs"].update(recipients=None)), "the order had other recipients"),
    (lambda p: p["cases"].append({**p["cases"][0], "case": "CASE-000009"}), "the order had other cases"),
    (lambda p: p["proofs"].update(retest=p["proofs"]["books"]), "the test of what is called anonymous is not among"),
    (lambda p: p.update(closed_on="2026-12-01"), "collection was closed on another day"),
    (lambda p: p.update(open_cases=5), "the ledger recorded other facts"),
    (lambda p: p["entries"].pop(), "not among the entries given"),
    (lambda p: p["entries"][0].update(proof=[]), "is not in the log that the checkpoint signs"),
    (lambda p: p["books"][0].update(located=-1), "has a negative number"),
    (lambda p: p["copies"].append({"backup_set": "b", "store": "company", "position": None, "until": None, "because": "",
                                   "gone_on": None, "evidence": []}), "the order had other backup sets"),
]  # fmt: skip


def signed(ended: Ended, p: dict[str, Any]) -> dict[str, Any]:
    """As the authority itself would sign it."""
    key = load_pem_private_key((ended.home / "signer" / "key.pem").read_bytes(), None)
    assert isinstance(key, Ed25519PrivateKey)
    payload = verify.canonical(p)
    sig = base64.b64encode(key.sign(verify_service.pae(payload))).decode()
    signature = {"keyid": verify.key_id(key.public_key()), "sig": sig}
    return {
        "payload": base64.b64encode(payload).decode(), "payloadType": verify_service.PAYLOAD_TYPE, "signatures": [signature]
    }  # fmt: skip


def forged_so(ended: Ended, p: dict[str, Any], problem: str) -> None:
    envelope = signed(ended, p)
    found = verify_service.verify_file(verify.canonical(envelope), ended.pem).problems
    assert any(problem in x for x in found), (problem, found)
    envelope["signatures"][0]["sig"] = base64.b64encode(b"x" * 64).decode()
    assert (
        "the signature is not good"
        in verify_service.verify_file(verify.canonical(envelope), ended.pem).problems[0]
    )


@pytest.mark.parametrize("verdict", [Verdict.FAILED, Verdict.UNVERIFIED])
def test_no_service_is_certified_whose_books_a_suite_does_not_pass(
    ended: Ended, monkeypatch: pytest.MonkeyPatch, verdict: Verdict
) -> None:
    ended.everything()
    judged = conserved.ours

    def otherwise(*given: Any) -> tuple[Check, ...]:
        first, *others = judged(*given)
        return (first.model_copy(update={"verdict": verdict, "why": "planted"}), *others)

    monkeypatch.setattr(conserved, "ours", otherwise)
    assert f": {verdict}, planted" in refused(ended)
    monkeypatch.setattr(conserved, "ours", judged)
    made = ended.certificate()
    p = made.payload
    assert verify_service.verify_file(made.envelope.encode(), ended.pem).problems == []
    entries = {e["index"]: json.loads(base64.b64decode(e["leaf"])) for e in p["entries"]}
    at, books = p["proofs"]["conservation"], p["proofs"]["books"]
    before = max(i for i in range(books) if i not in entries)
    earlier = {**p, "proofs": {**p["proofs"], "conservation": before}}
    for said, log, problem in (
        (
            p,
            {**entries, at: {**entries[at], "body": {**entries[at]["body"], "verdict": verdict.value}}},
            "did not pass",
        ),
        (earlier, {**entries, before: entries[at]}, "was run before the last of them"),
    ):
        found = verify_service.content_problems(said, log, recorded=False)
        assert any(f"the suite that judges the books {problem}" in x for x in found), found


def test_what_is_past_its_last_day_goes_by_a_night_before_it_is_issued(
    house: Ledgered, tmp_path: Path
) -> None:
    """Clicks a law keeps for half a year, some until a month after T0, and the company had kept them for a year."""
    house.company = replace(house.company, catalogue=logging(house.company.catalogue, "u.click"))
    company(house, f"UPDATE u.click SET at = CASE WHEN id <= 12 THEN date '{LAST}' ELSE date '{RUNS}' END")
    ended, over = stop(house, tmp_path), last_day(RUNS, "P6M", Counting.CALENDAR)
    ended.everything()
    assert f"stays u.click: RS-13/main kept something of it until {T0}, and it is still here" in refused(
        ended, over
    )
    night = house.night(over)
    assert house.counts(night)["u.click"] == {"erased": 12}
    said = ended.certificate(as_of=over)
    assert verify_service.verify_file(said.envelope.encode(), ended.pem).problems == []
    stays = line(said.payload, "residual", "u.click")
    assert (stays["items"], stays["rule"], stays["first"], stays["last"]) == (
        8, "RS-13/main", over.isoformat(), over.isoformat()
    )  # fmt: skip
    assert line(said.payload, "books", "u.click")["deleted"] == 12


ANSWER = Paper("BR-77", "b" * 64)


def blind(ended: Ended, pg: PgServer, case_book: str) -> Callable[[], None]:
    """The picture of T0 is lost, so no look can say what came since; what gives it back."""
    with psycopg.connect(pg.conninfo(case_book), autocommit=True) as conn:
        rows = conn.execute(
            "DELETE FROM casebook.shutdown_picture RETURNING number, store, picture"
        ).fetchall()

    def again() -> None:
        with psycopg.connect(pg.conninfo(case_book), autocommit=True) as conn:
            for number, store, picture in rows:
                conn.execute(
                    "INSERT INTO casebook.shutdown_picture (number, store, picture) VALUES (%s, %s, %s)",
                    (number, store, Jsonb(picture)),
                )

    return again


def answered(ended: Ended) -> list[str]:
    with ended.desk.book() as conn:
        look = accepting.shown(conn, ended.number).look
    return accepting.accept(ended.desk, ended.number, look=look, paper=ANSWER, as_of=T0, actor="legal/zhao")


def refused(ended: Ended, as_of: date = T0) -> str:
    with pytest.raises(NotProved) as because:
        ended.certificate(as_of)
    return str(because.value)


def test_what_nobody_could_see_stands_in_it_by_name_with_the_document_that_answers_for_it(
    ended: Ended, pg18: PgServer, case_book: str
) -> None:
    ended.everything()
    seen_again = blind(ended, pg18, case_book)
    assert "unverified company: there is no picture of T0" in refused(ended)
    assert answered(ended) == ["company"]
    with pytest.raises(Refused, match="nothing unseen that nobody answers for"):
        answered(ended)
    seen_again()
    assert closing.prove(ended.desk, ended.number, as_of=T0, actor="system/airflow").verdict is Verdict.PASSED
    blind(ended, pg18, case_book)
    assert "there is no picture of T0" in refused(ended), "it was seen since: it is asked about anew"
    answered(ended)
    made = ended.certificate()
    (unseen,) = made.payload["unseen"]
    assert (unseen["store"], unseen["place"], unseen["why"]) == (
        "company",
        "company",
        "there is no picture of T0",
    )
    assert (unseen["document"], unseen["digest"], unseen["answered_on"]) == (
        "BR-77",
        "b" * 64,
        T0.isoformat(),
    )
    assert unseen["seen"] < unseen["entry"] < made.payload["proofs"]["collection"]
    report = verify_service.verify_file(made.envelope.encode(), ended.pem)
    assert (
        report.problems == []
        and "company: there is no picture of T0 (answered for by BR-77" in report.said["not seen"]
    )
    text = service_page.page(made)
    assert "未能核查之处 · What could not be seen" in text and "BR-77" in text and 'class="unseen"' in text
    forged(ended, made.payload, UNSEEN_FORGERIES)
    handed(ended)


def test_no_answer_covers_what_was_written_since(ended: Ended, pg18: PgServer, case_book: str) -> None:
    ended.everything()
    company(ended.house, INSERT)
    assert "wrong u.visit" in refused(ended) and "written since T0" in refused(ended)
    with pytest.raises(Refused, match="something was written since T0"):
        answered(ended)
    company(ended.house, "DELETE FROM u.visit WHERE id = 99; GRANT INSERT ON u.visit TO shop_app")
    assert "can still write it" in refused(ended)
    with pytest.raises(Refused, match="or still can be"):
        answered(ended)


def of_unseen(p: dict[str, Any], **said: Any) -> None:
    p["unseen"][0].update(said)


UNSEEN_FORGERIES: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda p: p["unseen"].clear(), "could not see company (there is no picture of T0), and nobody answers for it"),
    (lambda p: p["unseen"].append(p["unseen"][0]), "company is told as not seen, and the last look at collection did not say so"),
    (lambda p: of_unseen(p, place="u.visit"), "u.visit is told as not seen, and the last look"),
    (lambda p: of_unseen(p, why="a person said so"), "company is told as not seen, and the last look"),
    (lambda p: of_unseen(p, document="BR-78"), "company: the answer that the ledger has is another"),
    (lambda p: of_unseen(p, digest="0" * 64), "company: the answer that the ledger has is another"),
    (lambda p: of_unseen(p, answered_on="2026-01-01"), "company: the answer that the ledger has is another"),
    (lambda p: of_unseen(p, entry=p["proofs"]["closed"]), "does not say 'unverified accepted'"),
    (lambda p: of_unseen(p, entry=10_000), "is not among the entries given"),
    (lambda p: of_unseen(p, seen=p["proofs"]["collection"]), "between the look that saw it last and the last look"),
    (lambda p: of_unseen(p, seen=p["proofs"]["closed"]), "does not say 'collection looked at'"),
]  # fmt: skip


def forged(
    ended: Ended,
    said: dict[str, Any],
    forgeries: Sequence[tuple[Callable[[dict[str, Any]], object], str]] = FORGERIES,
) -> None:
    """A figure that was changed is named, though it were signed anew with the authority's own key; without that key the
    signature is not good; and the signer itself signs none of them."""
    for forge, problem in forgeries:
        p = copy.deepcopy(said)
        forge(p)
        forged_so(ended, p, problem)
    with pytest.raises(Refused, match="would not verify"):
        SignerClient(ended.home / "signer" / "s").certify_service(
            verify.canonical({**said, "t0": "2030-01-01"})
        )


LI, OVER = "acct_000000000002", date(2032, 6, 1)
"""Whose own case goes on after packing, and a day by which the five years of her visits are over."""


def test_a_bag_that_notices_changed_is_told_as_the_last_one_left_it(ended: Ended) -> None:
    ended.hand_over()
    deeds = (verbs.rehearse, verbs.restrict, verbs.settle_and_plan, verbs.dispose)
    begun_unasked(ended.desk, [LI], deeds, as_of=OVER, actor="system/test")
    ended.follow_notices(OVER)
    ended.delete_source()
    ended.tell_everybody()
    said = ended.certificate().payload
    visits = [b for b in said["bags"] if b["dataset"] == "u.visit"]
    assert sum(b["items"] for b in visits) == 60 and line(said, "books", "u.visit")["transferred"] == 53
    assert sum(b.get("noticed", b)["items"] for b in visits) == 53
    (other,) = said["others"]
    assert (other["certificate"], other["final"], other["waits"]) == (None, False, []), "it is under way"
    for forge, problem in OF_A_NOTICE:
        p = copy.deepcopy(said)
        forge(next(b for b in p["bags"] if "noticed" in b))
        forged_so(ended, p, problem)


OF_A_NOTICE: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda b: b.pop("noticed"), "of u.visit other numbers are told as transferred and in bags"),
    (lambda b: b["noticed"].update(root="0" * 64), "the answer to its last notice that the ledger has is another"),
    (lambda b: b["noticed"].update(digest="0" * 64), "the answer to its last notice that the ledger has is another"),
    (lambda b: b["noticed"].update(entry=b["entry"]), "no answer to its last notice is among the entries given"),
]  # fmt: skip


def handed(ended: Ended) -> None:
    """The custodian checks the whole with what lies in it and the key, and nothing of ours; and whatever was changed is named."""
    out = ended.home / "handed"
    again = certifying.certify(ended.desk, "CASE-000001", as_of=T0.replace(year=T0.year + 1), actor="ops/wu")
    assert again.serial == 2, "the service's certificate names the first"
    made = hand_over(ended.desk, ended.number, out, as_of=T0, actor="ops/wu")
    assert made.certificates == 3 and made.until == T0.replace(year=T0.year + 3)
    pem = ended.home / "signer" / "pub.pem"

    def check() -> tuple[int, str]:
        ran = subprocess.run(
            [sys.executable, "data/verifier/verify_ledger.py", ".", "--key", str(pem)], cwd=out, env={"PATH": "/usr/bin"},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        return ran.returncode, ran.stdout + ran.stderr

    first, again = check(), check()
    assert first == again and first[1].startswith("VALID"), "and it leaves nothing behind"
    page = (out / "data/service.html").read_text("utf-8")
    assert "停止运营证明" in page and "Certificate of a stopped service" in page and "Archive Co" in page
    (out / "data/extra").write_text("x")
    assert "data/extra is in no manifest" in check()[1]
    (out / "data/extra").unlink()
    entries = out / "data/ledger/entries.jsonl"
    whole_log = entries.read_bytes()
    entries.write_bytes(b"".join(whole_log.splitlines(keepends=True)[:-1]))
    code, said = check()
    assert (
        code == 1
        and "is not the one of" in said
        and "entries.jsonl is not the file that the manifest names" in said
    )
    entries.write_bytes(whole_log)
    certificate = out / "data/certificates/CASE-000001.1.json"
    moved = certificate.rename(out / "moved")
    assert "the certificate of CASE-000001 is missing" in check()[1]
    moved.rename(certificate)
    assert "signed by: the successor, with the key of SHA-256" in first[1]
    receipt = next((out / "data/receipts").glob("*.json"))
    moved = receipt.rename(out / "moved")
    assert "what the successor signed of bag" in check()[1]
    moved.rename(receipt)
    service = out / "data/certificates/service.json"
    given = service.read_bytes()
    p = json.loads(base64.b64decode(json.loads(given)["payload"]))
    earlier = {**p, "t0": "2026-12-01", "proofs": {**p["proofs"], "located": []}}
    service.write_bytes(verify.canonical(signed(ended, earlier)))
    said = check()[1]
    assert "service.json: by what the log says of the order its t0 is another" in said
    assert "says what was located, and the certificate does not name it" in said
    service.write_bytes(given)
    assert check()[0] == 0
    with pytest.raises(Refused, match="there already"):
        hand_over(ended.desk, ended.number, out, as_of=T0, actor="ops/wu")


UNIT = """
INSERT INTO casebook.unit (case_no, subject_no, category, dataset, copy_kind, part, state, disposition, items, rule, law, until,
                           rung_required)
VALUES (%s, 0, 'PI-002', 'u.visit', 'live', 0, 'restricted', 'retain', 3, 'RS-03', 'ESL 24', '2031-01-01', 2)"""
"""What another case keeps of what goes to the successor, until a day."""


def test_it_is_refused_while_anything_is_open_and_says_what(ended: Ended) -> None:
    def open_now() -> str:
        with pytest.raises(NotProved) as refused:
            ended.certificate()
        return str(refused.value)

    said = open_now()
    assert "waits u.visit: 60 items: is to go to the successor, and is not wholly packed" in said
    assert "recipient sms: was not told" in said
    with ended.desk.book() as conn, book.deed(conn, "a case"):
        other = open_night(ended.desk, conn, T0, "system/airflow")
        conn.execute(UNIT, (other,))
    with pytest.raises(Refused, match="the successor's receipt is not reconciled"):
        transfer(ended.desk, ended.number, as_of=T0, actor="ops/wu")
    ended.hand_over()
    assert "is received and still here, in both places" in open_now() or "both places" in open_now()
    ended.delete_source()
    told_recipients.tell(ended.desk, ended.number, as_of=T0, actor="ops/wu")
    assert "recipient bank: its answer is waited for" in open_now()
    ended.tell_everybody()
    # Only the look through the estate finds this: it is no row of a table.
    ((oid,),) = company(ended.house, "SELECT lo_from_bytea(0, 'x')")
    assert "estate undeclared.company.large_objects: failed" in open_now()
    company(ended.house, f"SELECT lo_unlink({oid})")
    assert ended.certificate().payload["open_cases"] == 1
    assert ended.house.sql("SELECT state FROM casebook.unit WHERE case_no = %s", other) == [("transferred",)]
