"""A cohort of which a chunk is done, and the next finds other items than were planned: the rest is planned anew."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from include.cases import balance
from include.model.errors import Drifted, Refused
from include.model.flow import Plan, Reach, Step
from include.stores.postgres.chunks import pack
from tests.stores.postgres import making
from tests.stores.postgres.making import Company, fates, holding, shop_provisions, step
from tests.stores.postgres.test_whole import TABLES

LATE = "INSERT INTO account.session VALUES (900, 'A2', 'late')"


def in_a_child(point: str, deed: Callable[[Callable[[str], None]], object]) -> None:
    """Do it in a process that is killed at the first such point."""

    def at(here: str) -> None:
        if here == point:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        try:
            deed(at)
        finally:
            os._exit(0)  # reached only if the point was not
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, f"{point} was never reached"


def half_done(shop: Company) -> tuple[Step, Plan]:
    """A5 is done, and A2 is written to before their chunk's turn; nobody is restricted, so the company may."""
    it = step("A5", "A2", restricting=False)
    store = shop.store()
    store.open(it)
    store.restrict(it)
    plan, _ = shop.prepare(it, shop_provisions(), store)
    in_a_child("dispose.after_commit", lambda at: shop.store(chunk_subjects=1, at=at).dispose(it, plan))
    assert [(r.chunk, r.plan) for r in disposals(shop, it)] == [(0, plan.fingerprint())]
    shop.sql(LATE, user="shop_app")
    with pytest.raises(Drifted, match=r"account\.session: 3 planned, 4 there now"):
        shop.store(chunk_subjects=1).dispose(it, plan)
    return it, plan


def disposals(shop: Company, it: Step) -> list[making.Receipt]:
    return [r for r in shop.store().receipts(it) if r.verb == "dispose"]


def planned(shop: Company, it: Step, provisions: making.Sequence[making.Provision] = ()) -> Plan:
    return shop.prepare(it, provisions or shop_provisions(), shop.store())[0]


def test_the_rest_is_planned_anew_and_both_receipts_balance_the_books(
    new_company: Callable[..., Company],
) -> None:
    same = (making.SHOP, making.SCHEMA + making.PEOPLE.format(n=8), "shop8")
    undisturbed, shop = new_company(*same), new_company(*same)
    undisturbed.sql(LATE, user="shop_app")
    whole, _ = undisturbed.cancel(step("A5", "A2", restricting=False), shop_provisions())

    it, first = half_done(shop)
    assert shop.store().begun_under(it) is None, "what is left may be planned anew"
    second = planned(shop, it)
    assert fates(second) == fates(whole), "of the whole cohort, what is done included"
    assert {x.dataset: x.items for x in second.located}["account.session"] == 7
    shop.store(chunk_subjects=1).dispose(it, second)

    receipts = disposals(shop, it)
    assert [(r.chunk, r.plan) for r in receipts] == [(0, first.fingerprint()), (1, second.fingerprint())]
    balance.check(second, receipts, earlier=[first.fingerprint()])
    assert [r.counts["account.session"]["erased"] for r in receipts] == [3, 4]
    assert {t: shop.digest(t) for t in TABLES} == {t: undisturbed.digest(t) for t in TABLES}
    assert shop.store().begun_under(it) == second.fingerprint()
    shop.store(chunk_subjects=1).dispose(it, second)
    assert disposals(shop, it) == receipts, "a second run finds nothing to do"


@pytest.mark.parametrize(
    "point", ["survey.after_commit", "weigh.after_commit", "dispose.weighed", "dispose.before_commit",
              "dispose.after_commit"],
)  # fmt: skip
def test_killed_while_the_rest_is_planned_and_disposed_of_it_comes_to_the_same_end(
    shop: Company, point: str
) -> None:
    it, first = half_done(shop)

    def again(at: Callable[[str], None]) -> None:
        store = shop.store(at=at, chunk_subjects=1)
        store.dispose(it, shop.prepare(it, shop_provisions(), store)[0])

    in_a_child(point, again)
    second = planned(shop, it)
    shop.store(chunk_subjects=1).dispose(it, second)
    receipts = disposals(shop, it)
    assert [(r.chunk, r.plan) for r in receipts] == [(0, first.fingerprint()), (1, second.fingerprint())]
    balance.check(second, receipts, earlier=[first.fingerprint()])
    assert shop.value("SELECT count(*) FROM account.session WHERE account_id IN ('A2', 'A5')") == 0


def test_planned_again_without_a_change_it_goes_on_under_the_same_plan(shop: Company) -> None:
    it, first = half_done(shop)
    shop.sql("DELETE FROM account.session WHERE id = 900")
    assert planned(shop, it) == first
    shop.store(chunk_subjects=1).dispose(it, first)
    assert [(r.chunk, r.plan) for r in disposals(shop, it)] == [(n, first.fingerprint()) for n in (0, 1)]
    balance.check(first, disposals(shop, it))


def test_a_hold_that_came_since_holds_what_is_left(shop: Company) -> None:
    it, first = half_done(shop)
    second = planned(shop, it, holding(shop_provisions(), "account.session", 0, 1))
    assert fates(second)["account.session"] == {"erase": 3, "hold": 4}
    shop.store(chunk_subjects=1).dispose(it, second)
    balance.check(second, disposals(shop, it), earlier=[first.fingerprint()])
    assert shop.value("SELECT count(*) FROM account.session WHERE account_id = 'A2'") == 4


def test_what_is_accounted_for_is_not_counted_again_for_somebody_else(shop: Company) -> None:
    it, _ = half_done(shop)
    kept = shop.sql("SELECT serial FROM cert.certificate WHERE serial = 'S5b'")
    assert kept, "cut, and still there"
    shop.sql("UPDATE cert.certificate SET account_id = 'A2' WHERE serial = 'S5b'", user="shop_app")
    with pytest.raises(Refused, match="accounted for already") as told:
        planned(shop, it)
    assert "cert.certificate" in str(told.value) and "S5b" not in str(told.value)


def test_a_step_area_that_was_lost_half_way_is_not_taken_for_a_fresh_one(shop: Company) -> None:
    it, _ = half_done(shop)
    shop.store().close(it)
    with pytest.raises(Refused, match="1 chunks were disposed of from another step area"):
        planned(shop, it)


def test_who_is_done_ties_nobody_who_is_left() -> None:
    assert pack([2, 3], [(1, 2), (1, 3), (9, 3)], 1) == {2: 0, 3: 1}


def test_what_a_step_does_not_reach_is_located_and_left_whatever_its_links_floors_and_holds(
    shop: Company,
) -> None:
    """A partner takes back what it entrusted: of one table some rows, of every other none."""
    it = step("A1", restricting=False)
    reached = {"account.session": ("ip", "10.0.0.2")}
    provisions = tuple(
        p.model_copy(update={"reaches": Reach(only=reached.get(p.dataset), law="own contract")})
        for p in holding(shop_provisions(), "account.account", 0)
    )
    before = {t: shop.digest(t) for t in TABLES if t != "account.session"}
    others = shop.digest("account.session", "ip <> '10.0.0.2' OR account_id <> 'A1'")
    plan, receipt = shop.cancel(it, provisions)
    assert receipt.counts == {"account.session": {"erased": 1}}
    assert {t: shop.digest(t) for t in before} == before
    assert shop.digest("account.session") == others
    kept = [x for x in plan.lines if not x.disposition.changes_data]
    assert kept and all(x.not_reached and x.law == "own contract" for x in kept)
    assert sum(x.items for x in plan.lines) == sum(x.items for x in plan.located)
