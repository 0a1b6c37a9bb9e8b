"""Somebody's account is cancelled while a night is at the same rows: whoever comes second finds them gone, nobody is stuck, and
both sets of books balance."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest

from include.model.errors import Drifted
from include.model.words import CaseState
from tests.cases.retention import house as houses
from tests.cases.retention.house import AS_IF, DAY, TABLES, House
from tests.stores.postgres.making import PATIENCE, Company, provide, step
from tests.stores.sizes import Pieces

PEOPLE = ("acct_000000000002", "acct_000000000004")
LONG = 60.0  # seconds until a test gives up
LEAVES = f"""
DELETE FROM s.note WHERE ticket_id IN (SELECT id FROM s.ticket WHERE account_id IN {PEOPLE});
DELETE FROM s.ticket WHERE account_id IN {PEOPLE}; DELETE FROM u.visit WHERE account_id IN {PEOPLE};
DELETE FROM u.click WHERE account_id IN {PEOPLE}; DELETE FROM a.account WHERE id IN {PEOPLE};
"""


def until(company: Company, locks: str) -> None:
    """Wait until this is so of somebody's locks in the company's database. Raises AssertionError if it never is."""
    end = time.monotonic() + LONG
    while not company.value(
        f"SELECT count(*) FROM pg_locks WHERE {locks} AND pid IN"
        " (SELECT pid FROM pg_stat_activity WHERE datname = current_database())"
    ):
        assert time.monotonic() < end, "nobody was in anybody's way"
        time.sleep(0.02)


class Cancellation(threading.Thread):
    """A support case of two people, at the store. ``at``: what happens at its named points."""

    def __init__(self, company: Company, at: Callable[[str], None]) -> None:
        super().__init__()
        self.company, self.step = company, step(*PEOPLE, as_of=DAY)
        self.store = company.store(at=at)
        self.wrong: BaseException | None = None

    def run(self) -> None:
        provisions = provide(self.company.catalogue)
        try:
            self.store.open(self.step)
            self.store.restrict(self.step)
            self.store.settle(self.step)
            for _ in range(3):  # as the verb does: what moved is surveyed and planned again
                plan, _ = self.company.prepare(self.step, provisions, self.store)
                try:
                    self.store.dispose(self.step, plan)
                    return
                except Drifted:
                    continue
            raise AssertionError("it kept moving")
        except BaseException as wrong:
            self.wrong = wrong

    def erased(self) -> Counter[str]:
        return Counter(
            {d: w.get("erased", 0) for r in self.store.receipts(self.step) if r.verb == "dispose"
             for d, w in r.counts.items()}
        )  # fmt: skip


@pytest.mark.parametrize("first", ["the case", "the night"])
def test_a_case_and_a_night_dispose_of_the_same_rows_at_once(
    house: House, new_company: Callable[..., Company], first: str
) -> None:
    undisturbed = new_company(houses.SHOP, houses.SCHEMA, "nights")
    undisturbed.sql(AS_IF + LEAVES)
    before = {t: house.company.digest(t)[0] for t in TABLES}
    case_there, night_there = threading.Event(), threading.Event()
    waiting = "NOT granted"

    def at_case(here: str) -> None:
        if first == "the case" and here == "dispose.before_commit" and not case_there.is_set():
            case_there.set()
            until(house.company, waiting)  # the night wants a row that it has
        if first == "the night" and here == "dispose.weighed" and not case_there.is_set():
            case_there.set()
            assert night_there.wait(LONG)

    def at_night(here: str) -> None:
        if first == "the night" and here == "clearing.before_commit" and not night_there.is_set():
            night_there.set()
            until(house.company, waiting)  # the case wants a row that it has

    case = Cancellation(house.company, at_case)

    def begin() -> None:
        case.start()
        assert case_there.wait(LONG)

    with house.clearing(size=Pieces(12), patience=PATIENCE, at=at_night):
        night = house.night(before=begin, then=case.join)
    assert case.wrong is None
    assert house.there() == {t: undisturbed.digest(t) for t in TABLES}
    by_night = Counter({d: w.get("erased", 0) for d, w in house.counts(night).items()})
    gone = {t: before[t] - house.company.digest(t)[0] for t in TABLES}
    assert by_night + case.erased() == Counter(gone), "each row is in one receipt"
    if first == "the case":
        assert sum(w.get("not_due", 0) for w in house.counts(night).values()) > 0
    assert house.state(night) is CaseState.WAITING and not house.findings(night)
