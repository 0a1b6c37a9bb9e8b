"""Our copy of what the successor signed for goes, bag by bag; what is stopped stays; and then both books balance."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from psycopg.types.json import Jsonb
from typer.testing import CliRunner

from include.cases import book, papers, verbs
from include.cases.retention import stopping as emergency
from include.cases.shutdown import needles, orders, permitting
from include.cases.shutdown.told import Paper
from include.commands import shutdown as command
from include.handover import clearing
from include.handover.conservation import Place
from include.model.errors import BooksDoNotBalance, NotProved, Refused
from include.model.errors import Stopped as StandsStill
from include.model.handover import Differences
from include.model.words import CaseState, Ground
from tests.cases.restoring import killed_at
from tests.cases.retention.house import House
from tests.cases.shutdown.test_books import Stopped, stopped, ungathered, why
from tests.cases.shutdown.test_closing import T0, company, gatekeeper
from tests.cases.shutdown.test_command import today
from tests.conftest import S3Server

pytestmark = pytest.mark.postgres
__all__ = ["gatekeeper", "stopped", "today"]  # fixtures


def go(stopped: Stopped, **more: Any) -> clearing.Going:
    return clearing.run(stopped.house.desk, stopped.number, as_of=T0, actor="ops/wu", **more)


def visits(house: House) -> int:
    return int(str(company(house, "SELECT count(*) FROM u.visit")[0][0]))


def state(house: House, going: clearing.Going) -> tuple[CaseState, Ground]:
    with house.desk.book() as conn:
        case = book.case(conn, going.case_no)
    return case.state, case.ground


def test_what_was_signed_for_goes_and_the_rest_stays(stopped: Stopped) -> None:
    with pytest.raises(Refused, match="no bag may be deleted"):
        go(stopped)
    stopped.pack()
    bags = [b for b in stopped.bags() if b.statement.dataset == "u.visit"]
    for bag in stopped.bags():
        if bag.name not in (bags[1].name, bags[2].name):
            stopped.answer(bag)
    with pytest.raises(BooksDoNotBalance):
        stopped.answer(bags[1], differences=Differences(missing=("c" * 64,)))
    others = {t: d for t, d in stopped.house.there().items() if t != "u.visit"}
    going = go(stopped)
    assert state(stopped.house, going) == (CaseState.WAITING, Ground.SHUTDOWN)
    left = bags[1].statement.items + bags[2].statement.items
    assert visits(stopped.house) == left
    assert {t: d for t, d in stopped.house.there().items() if t != "u.visit"} == others, (
        "nothing else was touched"
    )
    found = stopped.look()
    (line,) = [x for x in found.lines if x.dataset == "u.visit"]
    assert (line.located, line.transferred, line.deleted, line.pending) == (60, 60 - left, 0, left)
    assert why(found, "u.visit") == [
        "waits: is sent, and no receipt without difference came",
        "wrong: the receipt names differences: 1 missing, 0 changed, 0 too many",
    ]
    with pytest.raises(Refused, match="no bag may be deleted"):
        go(stopped)
    # The successor stores them again, and signs anew.
    stopped.answer(bags[1])
    stopped.answer(bags[2])
    assert state(stopped.house, go(stopped))[0] is CaseState.WAITING and visits(stopped.house) == 0
    found = stopped.look()
    (line,) = [x for x in found.lines if x.dataset == "u.visit"]
    assert line.balances and (line.located, line.transferred, line.pending) == (60, 60, 0)
    assert {b.place for b, _ in found.bags if b.dataset == "u.visit"} == {Place.GONE}


def test_nothing_goes_before_a_person_lets_it_by_a_document_of_what_was_consigned_last(
    house: House, tmp_path: Path, today: list[Any]
) -> None:
    stopped = ungathered(house, tmp_path)
    needles.gather(house.desk, stopped.number, as_of=T0, actor="ops/wu")
    stopped.consigned_by("first")
    on: dict[str, Any] = {"as_of": T0, "actor": "ops/wu"}
    permitting.permit(house.desk, stopped.number, paper=Paper("BR-9", "a" * 64), **on)
    stopped.consigned_by("theirs")  # another key for receipts: who let the first go did not let this go
    stopped.pack()
    for bag in stopped.bags():
        stopped.answer(bag)
    with pytest.raises(Refused, match="nobody approved by a document that our copy goes"):
        go(stopped)
    with house.desk.book() as conn:
        assert not conn.execute("SELECT FROM casebook.case_ WHERE ground = 'shutdown'").fetchall()
    for paper, wrong in ((Paper("", "a" * 64), "number is missing"), (Paper("BR-10", ""), "no SHA-256")):
        with pytest.raises(Refused, match=wrong):
            permitting.permit(house.desk, stopped.number, paper=paper, **on)
    with house.desk.book() as conn:
        now = permitting.shown(conn, stopped.number)
    assert now == stopped.consignment.fingerprint()
    with pytest.raises(
        Refused, match="consigned anew since that was asked"
    ):  # an old answer, whose task was cleared
        permitting.permit(
            house.desk, stopped.number, paper=Paper("BR-10", "a" * 64), consignment="0" * 64, **on
        )
    today[0] = T0
    scan = tmp_path / "scan.pdf"
    scan.write_bytes(b"it may go")
    for _ in range(2):  # again it is said no second time
        with pytest.raises(Refused, match="not declared"):  # where newer receipts lie
            CliRunner().invoke(
                command.app, ["delete-source", stopped.number, "--document", "BR-10", "--file", str(scan)],
                catch_exceptions=False,
            )  # fmt: skip
    with house.desk.book() as conn:
        said = [e for e in orders.history(conn, stopped.number) if e["what"] == permitting.PERMITTED]
        assert permitting.permitted(conn, stopped.number) == "approved by BR-10"
    digest = hashlib.sha256(b"it may go").hexdigest()
    assert [(e["detail"]["document"], e["actor"].partition("/")[0]) for e in said] == [
        ("BR-9", "ops"),
        ("BR-10", "ops"),
    ]
    (body,) = [b for _, b, _ in house.ledger if b.get("document") == "BR-10"]
    assert (body["what"], body["digest"], body["role"]) == (permitting.PERMITTED, digest, "ops")
    permitting.permit(house.desk, stopped.number, paper=Paper("BR-10", digest), consignment=now, **on)
    with pytest.raises(Refused, match="it is approved by BR-10 already"):
        permitting.permit(house.desk, stopped.number, paper=Paper("BR-11", "a" * 64), consignment=now, **on)
    assert go(stopped).bags


def test_what_was_begun_before_a_document_was_asked_for_goes_on(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = ungathered(house, tmp_path)
    needles.gather(house.desk, stopped.number, as_of=T0, actor="ops/wu")
    stopped.pack()
    first, *others = [b for b in stopped.bags() if b.statement.dataset == "u.visit"]
    stopped.answer(first)
    with monkeypatch.context() as patch:
        patch.setattr(permitting, "may_begin", lambda *_: None)
        go(stopped)
    for bag in others:
        stopped.answer(bag)
    with house.desk.book() as conn, conn.transaction(force_rollback=True):  # to another it does not go on
        conn.execute(
            "INSERT INTO casebook.shutdown_event (number, as_of, actor, what, detail) VALUES (%s, %s, 'ops/wu', 'consigned', %s)",
            (stopped.number, T0, Jsonb({"consignment": "0" * 64})),
        )
        assert permitting.permitted(conn, stopped.number) is None
    assert go(stopped).bags


@pytest.mark.parametrize("point", ["bags.planned", "clearing.after_commit", "bags.disposed", "bags.proved"])
def test_killed_anywhere_it_goes_on(stopped: Stopped, point: str) -> None:
    stopped.pack()
    for bag in stopped.bags():
        stopped.answer(bag)
    assert killed_at(point, lambda at: go(stopped, at=at)), f"{point} was never reached"
    if point == "bags.proved":
        assert visits(stopped.house) == 0
    else:
        assert state(stopped.house, go(stopped))[0] is CaseState.WAITING
    (line,) = [x for x in stopped.look().lines if x.dataset == "u.visit"]
    assert line.balances and line.transferred == 60
    with stopped.house.desk.book() as conn:
        cases = {
            str(r["case_no"])
            for r in conn.execute("SELECT case_no FROM casebook.case_ WHERE ground = 'shutdown'")
        }
        words = Counter[str]()
        for no in cases:
            row = papers.current_step(conn, book.case(conn, no), "live")
            for receipt in papers.receipts(conn, row.step_id, "dispose") if row else ():
                words.update({w: n for of in receipt.counts.values() for w, n in of.items() if w != "upto"})
    assert len(cases) == 1 and +words == Counter(erased=60), "nothing twice"


def test_while_disposing_is_stopped_no_bag_goes_and_between_two_pieces_neither(stopped: Stopped) -> None:
    stopped.pack()
    for bag in stopped.bags():
        stopped.answer(bag)
    desk = stopped.house.desk

    def stop(point: str) -> None:
        if point == "bags.planned":
            with desk.book() as conn:
                emergency.stop(conn, "an incident", actor="ops/zhao")

    with pytest.raises(StandsStill, match="an incident"):
        go(stopped, at=stop)
    assert visits(stopped.house) == 60
    with desk.book() as conn:
        emergency.lift(conn, actor="ops/zhao")
    go(stopped)
    assert visits(stopped.house) == 0


def test_a_hold_or_a_receipt_that_comes_in_between_is_obeyed(stopped: Stopped) -> None:
    stopped.pack()
    bags = [b for b in stopped.bags() if b.statement.dataset == "u.visit"]
    for bag in stopped.bags():
        stopped.answer(bag)

    def difference(point: str) -> None:
        if point == "bags.planned":
            with pytest.raises(BooksDoNotBalance):
                stopped.answer(bags[0], differences=Differences(missing=("c" * 64,)))

    with pytest.raises(Refused, match=f"{bags[0].name}: the receipt names differences"):
        go(stopped, at=difference)
    assert visits(stopped.house) == 60
    stopped.answer(bags[0])

    opened: list[str] = []

    def hold(point: str) -> None:
        if point == "bags.planned":
            opened.append(verbs.open_hold(
                stopped.house.desk, basis="court", document_no="7", issuing_body="court", law="law", as_of=T0,
                actor="legal/zhao", account_ids=frozenset({"acct_000000000002"}), datasets=frozenset({"u.visit"}),
            ))  # fmt: skip

    with pytest.raises(NotProved, match="something is left of"):
        go(stopped, at=hold)
    assert visits(stopped.house) == 7
    rest = company(stopped.house, "SELECT DISTINCT account_id FROM u.visit")
    assert rest == [("acct_000000000002",)], "what the hold names, and nothing else"
    with pytest.raises(Refused, match="a hold names"):
        go(stopped)
    # The hold is lifted: what is left of those bags goes by another case, and nothing else may be among it.
    for number in opened:
        verbs.release_hold(stopped.house.desk, number, document="8", as_of=T0, actor="legal/zhao")
    changed = "UPDATE u.visit SET path = path || 'x' WHERE account_id = 'acct_000000000002' AND id < 10"
    company(stopped.house, changed)
    part = [r.why for x in stopped.look().lines for r in x.reasons if r.bag == bags[0].name]
    assert part == ["is received, and what is here was changed or is gone in part"]
    company(stopped.house, changed.replace("path || 'x'", "rtrim(path, 'x')"))
    assert "waits: is received, and its deletion here was not finished" in why(stopped.look(), "u.visit")
    going = go(stopped)
    assert sum(going.rest.values()) == 7 and state(stopped.house, going)[0] is CaseState.WAITING
    assert visits(stopped.house) == 0
    (line,) = [x for x in stopped.look().lines if x.dataset == "u.visit"]
    assert line.balances and line.transferred == 60


def test_rows_that_changed_since_they_were_packed_do_not_go(stopped: Stopped) -> None:
    stopped.pack()
    for bag in stopped.bags():
        stopped.answer(bag)
    company(stopped.house, "UPDATE u.visit SET path = '/x' WHERE id = 1")
    going = go(stopped)
    assert visits(stopped.house) == 10 and len(going.bags) == 5
    assert company(stopped.house, "SELECT count(*) FROM u.visit WHERE id <= 10") == [(10,)]


def test_a_bag_of_which_a_row_is_needed_stays_whole_and_is_named(
    stopped: Stopped, today: list[Any], moto: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped.pack()
    for bag in stopped.bags():
        stopped.answer(bag)
    company(
        stopped.house,
        "CREATE TABLE u.remark (visit_id int REFERENCES u.visit); INSERT INTO u.remark VALUES (3), (3), (15);"
        " GRANT SELECT ON u.remark TO prover, eraser",
    )
    today[0] = T0
    with pytest.raises(Refused, match="not declared"):  # where newer receipts lie
        CliRunner().invoke(command.app, ["delete-source", stopped.number], catch_exceptions=False)
    monkeypatch.setattr(House, "s3", lambda *_: moto.client())
    moto.client().create_bucket(Bucket="inbox-of-needed")
    file = stopped.home / "consignment.json"
    file.write_bytes(stopped.consignment.canonical())
    where = ["--consignment", str(file), "--bucket", "inbox-of-needed"]
    with pytest.raises(Refused, match="a document has a number and a file"):
        CliRunner().invoke(
            command.app, ["delete-source", stopped.number, "--document", "BR-9"], catch_exceptions=False
        )
    shown = CliRunner().invoke(command.app, ["delete-source", stopped.number, *where], catch_exceptions=False)
    assert shown.output.splitlines() == [
        f"{stopped.number}: 4 bags are gone here, by CASE-000001",
        "left u.visit-00001: 2 rows of u.remark that stay need rows of it",
        "left u.visit-00002: 1 rows of u.remark that stay need rows of it",
    ]
    assert company(stopped.house, "SELECT count(*), max(id) FROM u.visit") == [(20, 20)]
    with pytest.raises(Refused, match="rows of it"):
        go(stopped)
    company(stopped.house, "DROP TABLE u.remark")
    assert len(go(stopped).bags) == 2 and visits(stopped.house) == 0
