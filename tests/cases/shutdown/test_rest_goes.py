"""After T0 what goes to nobody goes: what is handed over, or stays by law, loses nothing by it; killed anywhere it goes on."""

from __future__ import annotations

from collections import Counter
from datetime import date
from typing import Any

import pytest
from typer.testing import CliRunner

from include.cases import book, papers, verbs
from include.cases.retention import stopping
from include.cases.shutdown import breaker, disposing, needles, orders
from include.cases.shutdown.residual import POINTED_AT, residual
from include.cases.shutdown.told import Custodian
from include.commands import shutdown as command
from include.handover import clearing
from include.handover.conservation import Place
from include.model.errors import BooksDoNotBalance, Refused, Stopped
from include.model.words import CaseState, Ground, Verdict
from tests.cases.resting import begun_unasked
from tests.cases.restoring import killed_at
from tests.cases.retention.house import House
from tests.cases.shutdown.test_books import Stopped as Shop
from tests.cases.shutdown.test_books import stopped, why
from tests.cases.shutdown.test_closing import PAPER, T0, company, gatekeeper, ready, withdraw
from tests.cases.shutdown.test_command import today
from tests.cases.shutdown.test_orders import TOLD

pytestmark = pytest.mark.postgres
__all__ = ["gatekeeper", "stopped", "today"]  # fixtures
KEEPER = ("Keeper Co", "office@keeper.example")


def approved(shop: Shop) -> Shop:
    for who in TOLD.approvers:
        breaker.approve(shop.house.desk, shop.number, as_of=T0, actor=who)
    return shop


def go(shop: Shop, **more: Any) -> disposing.Done:
    return disposing.run(shop.house.desk, shop.number, as_of=T0, actor="ops/wu", **more)


def handed_over(shop: Shop) -> None:
    shop.pack()
    for bag in shop.bags():
        shop.answer(bag)
    clearing.run(shop.house.desk, shop.number, as_of=T0, actor="ops/wu")


def counts(shop: Shop) -> dict[str, int]:
    return {t: int(str(company(shop.house, f"SELECT count(*) FROM {t}")[0][0])) for t in shop.house.there()}


def words(shop: Shop) -> Counter[str]:
    """What the receipts of all disposals say, of everything that went to nobody."""
    found = Counter[str]()
    with shop.house.desk.book() as conn:
        for event in orders.history(conn, shop.number):
            if event["what"] == breaker.BEGUN:
                row = papers.current_step(conn, book.case(conn, event["detail"]["case"]), "live")
                for receipt in papers.receipts(conn, row.step_id, "dispose") if row else ():
                    found.update(
                        {w: n for of in receipt.counts.values() for w, n in of.items() if w != "upto"}
                    )
    return +found


def test_it_goes_before_and_after_the_handover_and_then_the_books_balance(
    stopped: Shop, today: list[Any]
) -> None:
    shop, desk = approved(stopped), stopped.house.desk
    before = shop.house.there()
    done = go(shop)
    with desk.book() as conn:
        case = book.case(conn, done.case_no)
    assert (case.state, case.ground) == (CaseState.WAITING, Ground.SHUTDOWN)
    # All accounts but one are needed by visits, which go to the successor; tickets by notes that a statute keeps.
    assert done.gone == {"a.account": 1} and set(done.left) == {"a.account", "s.ticket"}
    assert all("that stay need these" in why for why in done.left.values())
    after = shop.house.there()
    assert {t for t in before if before[t] != after[t]} == {"a.account"}, "nothing else was touched"
    assert company(shop.house, "SELECT count(*) FROM a.account WHERE name IS NULL") == [(0,)], (
        "none is cut early"
    )
    handed_over(shop)
    assert {b.place for b, _ in shop.look().bags if b.dataset == "u.visit"} == {Place.GONE}
    assert go(shop).gone == {"a.account": 9}, "cut to keys at which clicks and tickets point"
    assert counts(shop) == {"a.account": 9, "u.visit": 0, "u.click": 20, "s.ticket": 8, "s.note": 8}
    assert company(shop.house, "SELECT count(*) FROM a.account WHERE name IS NULL") == [(9,)]
    assert {t: d for t, d in shop.house.there().items() if t[0] != "a" and t != "u.visit"} == {
        t: d for t, d in before.items() if t[0] != "a" and t != "u.visit"
    }
    orders.name_custodian(desk, shop.number, Custodian(*KEEPER), paper=PAPER, as_of=T0, actor="legal/zhao")
    found = shop.look()
    assert {x.dataset: (x.located, x.transferred, x.deleted, x.retained) for x in found.lines if x.located} == {
        "a.account": (10, 0, 1, 9), "u.visit": (60, 60, 0, 0), "u.click": (20, 0, 0, 20), "s.ticket": (8, 0, 0, 8),
        "s.note": (8, 0, 0, 8),
    }  # fmt: skip
    assert found.verdict is Verdict.PASSED, [why(found, x.dataset) for x in found.open]
    rest = residual(desk, shop.number)
    assert rest.settled and rest.custodian == "Keeper Co" and rest.items == 45
    assert {(k.dataset, k.rule): k.items for k in rest.kept if k.law == POINTED_AT} == {
        ("a.account", "key"): 9, ("s.ticket", "needed"): 4,
    }  # fmt: skip
    with pytest.raises(Refused, match=r"nothing that goes to nobody.*all of it is gone"):
        go(shop)
    today[0] = T0
    said = CliRunner().invoke(command.app, ["residual", shop.number], catch_exceptions=False)
    assert said.exit_code == 0 and "45 items stay with Keeper Co" in said.output


@pytest.mark.parametrize(
    "point",
    [
        "rest.begun",
        "rest.planned",
        "clearing.before_commit",
        "clearing.after_commit",
        "rest.disposed",
        "rest.proved",
    ],
)
def test_killed_anywhere_it_goes_on(stopped: Shop, point: str) -> None:
    company(stopped.house, "DELETE FROM s.note; DELETE FROM u.visit")
    shop = approved(stopped)
    assert killed_at(point, lambda at: go(shop, at=at)), f"{point} was never reached"
    if point == "rest.proved":
        with pytest.raises(Refused, match="all of it is gone"):
            go(shop)
    else:
        go(shop)
    assert words(shop) == Counter(erased=5, deidentified=9), "nothing twice"
    assert counts(shop) == {"a.account": 9, "u.visit": 0, "u.click": 20, "s.ticket": 4, "s.note": 0}
    (line,) = [x for x in shop.look().lines if x.dataset == "s.ticket"]
    assert (line.located, line.deleted, line.retained) == (8, 4, 4)


def test_both_approvers_say_so_and_only_they(stopped: Shop, today: list[Any]) -> None:
    with pytest.raises(
        Refused, match=r"14 items of 2 datasets would go, and board/qian and legal/zhao did not say so yet"
    ):
        go(stopped)
    with pytest.raises(Refused, match="only those who approved the order"):
        breaker.approve(stopped.house.desk, stopped.number, as_of=T0, actor="ops/wu")
    figures, missing = breaker.approve(stopped.house.desk, stopped.number, as_of=T0, actor="legal/zhao")
    assert {d: n for d, n in figures.items() if n} == {"a.account": 10, "s.ticket": 4} and missing == (
        "board/qian",
    )
    with pytest.raises(Refused, match="and board/qian did not say so yet"):
        go(stopped)
    breaker.approve(stopped.house.desk, stopped.number, as_of=T0, actor="legal/zhao")
    kinds = [b["what"] for k, b, _ in stopped.house.ledger if k == orders.KIND]
    assert kinds.count(breaker.APPROVED) == 1, "saying it again says nothing new"
    assert "zhao" not in str(stopped.house.ledger)
    with stopped.house.desk.book() as conn:
        assert not conn.execute("SELECT FROM casebook.case_ WHERE ground = 'shutdown'").fetchall()
    breaker.approve(stopped.house.desk, stopped.number, as_of=T0, actor="board/qian")
    today[0] = T0
    shown = CliRunner().invoke(command.app, ["dispose", stopped.number], catch_exceptions=False)
    assert shown.exit_code == 1 and f"{stopped.number}: 1 items are gone, by CASE-000001" in shown.output
    assert "left a.account: rows, objects or records that stay need these" in shown.output
    refused = CliRunner().invoke(command.app, ["dispose", stopped.number, "--approve", "--role", "ops"])
    assert isinstance(refused.exception, Refused) and refused.exit_code == 1


def test_more_than_was_located_on_t0_never_goes(stopped: Shop) -> None:
    approved(stopped)
    company(stopped.house, "INSERT INTO s.ticket VALUES (9, 'acct_000000000001', '2020-01-01', 'b')")
    before = stopped.house.there()
    with pytest.raises(BooksDoNotBalance, match=r"s.ticket: 5 items would go, and 4 were located"):
        go(stopped)
    assert stopped.house.there() == before


def test_what_other_cases_took_was_never_in_the_figures_and_is_not_taken_off(stopped: Shop) -> None:
    """A person's own case goes on after T0, and takes what the law kept here on that day."""
    shop = approved(stopped)
    company(shop.house, "DELETE FROM s.note; DELETE FROM u.visit")
    deeds = (verbs.rehearse, verbs.restrict, verbs.settle_and_plan, verbs.dispose)
    begun_unasked(shop.house.desk, ["acct_000000000002"], deeds, as_of=date(2030, 12, 1), actor="system/test")
    assert company(shop.house, "SELECT count(*) FROM s.ticket") == [(7,)]
    assert go(shop).gone["s.ticket"] == 4


def test_not_before_t0_nor_by_an_order_that_is_withdrawn_nor_while_nights_are_stopped(house: House) -> None:
    number = ready(house)
    with pytest.raises(Refused, match="T0 has not come"):
        disposing.run(house.desk, number, as_of=T0, actor="ops/wu")
    with pytest.raises(Refused, match="its books are not opened"):
        breaker.approve(house.desk, number, as_of=T0, actor="legal/zhao")
    with house.desk.book() as conn:
        stopping.stop(conn, "a test", actor="ops/li")
        conn.commit()
    house.sql("UPDATE casebook.shutdown_order SET closed_on = %s, closing_at = now()", T0)
    with pytest.raises(Stopped):
        disposing.run(house.desk, number, as_of=T0, actor="ops/wu")


def test_an_order_is_not_withdrawn_while_a_disposal_is_under_way(stopped: Shop) -> None:
    company(stopped.house, "DELETE FROM s.note; DELETE FROM u.visit")
    assert killed_at("rest.begun", lambda at: go(approved(stopped), at=at))
    with pytest.raises(Refused, match="CASE-000001 disposes of what goes to nobody"):
        withdraw(stopped.house, stopped.number)
    go(stopped)
    withdraw(stopped.house, stopped.number)
    with pytest.raises(Refused, match="the order is withdrawn"):
        go(stopped)


def test_once_a_withdrawal_was_begun_nothing_goes_and_no_receipt_is_taken(stopped: Shop) -> None:
    """Rights are given back store by store, so that takes its time; and with the order go everybody's digests."""
    shop, desk = approved(stopped), stopped.house.desk
    needles.gather(desk, shop.number, as_of=T0, actor="ops/wu")
    shop.pack()
    assert killed_at("shutdown.withdraw.begun", lambda at: withdraw(shop.house, shop.number, at=at))
    for deed in (go, handed_over, lambda s: s.answer(s.bags()[0])):
        with pytest.raises(Refused, match="it is being withdrawn"):
            deed(shop)
    with desk.book() as conn:
        assert needles.owners(desk, conn, shop.number) is not None
    assert withdraw(shop.house, shop.number).state == "withdrawn"
    with desk.book() as conn:
        assert needles.owners(desk, conn, shop.number) is None
        assert not conn.execute("SELECT FROM casebook.shutdown_needle").fetchall()


def test_a_hold_that_comes_between_plan_and_deed_is_obeyed(stopped: Shop) -> None:
    company(stopped.house, "DELETE FROM s.note; DELETE FROM u.visit")

    opened: list[str] = []

    def hold(point: str) -> None:
        if point == "rest.planned":
            opened.append(verbs.open_hold(
                stopped.house.desk, basis="court", document_no="7", issuing_body="court", law="law", as_of=T0,
                actor="legal/zhao", account_ids=frozenset({"acct_000000000003"}), datasets=frozenset({"s.ticket"}),
            ))  # fmt: skip

    assert go(approved(stopped), at=hold).gone == {"a.account": 10, "s.ticket": 3}
    assert company(stopped.house, "SELECT id FROM s.ticket WHERE id % 2 = 1") == [(3,)]
    rest = residual(stopped.house.desk, stopped.number)
    assert {k.dataset: k.items for k in rest.kept if k.disposition == "hold"} == {"s.ticket": 1}
    (line,) = [x for x in stopped.look().lines if x.dataset == "s.ticket"]
    assert (line.located, line.deleted, line.retained) == (8, 3, 5)
    verbs.release_hold(stopped.house.desk, opened[0], document="8", as_of=T0, actor="legal/zhao")
    assert go(stopped).gone == {"s.ticket": 1}, (
        "accounts that were cut to keys are cut again, and counted once"
    )
