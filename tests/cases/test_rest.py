"""A night's cohort on a real server, of which a chunk is done when the next finds other items than were planned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from include.cases import book, papers, verbs
from include.cases.keys import FileKeyStore
from include.cases.planner import TOLERANCE_ITEMS
from include.cases.rooms import Desk
from include.model.errors import Drifted, Refused
from include.model.words import Ground, LegalRank
from tests.cases.small import TODAY, rule, world
from tests.stores.postgres import making
from tests.stores.postgres.conftest import new_company
from tests.stores.postgres.making import Company
from tests.stores.postgres.test_rest import in_a_child

__all__ = ["new_company"]
pytestmark = pytest.mark.postgres

ON = {"as_of": TODAY, "actor": "system/dag"}
PERSON = "acct_00000000000{}".format
SHOP = making.SHOP.model_copy(update={"rules": (rule("RS-01", "P0D", "ceiling", LegalRank.LAW, "PIPL 47"),)})
PEOPLE = making.PEOPLE.format(n=8).replace("'A'||", f"'{PERSON('')}'||")


def nothing(_point: str) -> None:
    pass


@dataclass
class Night:
    """A case about two people, restricted and planned; one chunk a person."""

    book: Desk
    shop: Company
    case_no: str = ""

    def desk(self, at: Callable[[str], None] = nothing) -> Desk:
        return replace(self.book, stores=lambda: (self.shop.store(chunk_subjects=1, at=at),))

    def shared_with(self, person: int, rows: int) -> None:
        """Somebody's folders are shown to a person of the cohort: a link that no restriction refuses."""
        self.shop.sql(
            "INSERT INTO sign.folder SELECT 100 + i, %s, %s, 'late' FROM generate_series(1, %s) AS i",
            PERSON(7), PERSON(person), rows,
        )  # fmt: skip


@pytest.fixture
def half_done(writer: str, tmp_path, new_company: Callable[..., Company]) -> Night:
    """The first person's chunk is committed; then the process was killed."""
    shop = new_company(SHOP, making.SCHEMA + PEOPLE, "shop8_named")
    made = world(writer, FileKeyStore(tmp_path / "keys", b"k" * 32), lambda: SHOP)
    night = Night(made.desk, shop)
    desk = night.desk()
    night.case_no = verbs.open_own_initiative(
        desk, [PERSON(2), PERSON(5)], ground=Ground.MINOR, trigger_user="system/nightly", as_of=TODAY
    ).case_no
    for verb in (verbs.rehearse, verbs.restrict, verbs.settle_and_plan):
        verb(desk, night.case_no, **ON)
    in_a_child("dispose.after_commit", lambda at: verbs.dispose(night.desk(at), night.case_no, **ON))
    return night


def plans_of_receipts(night: Night) -> list[str]:
    with night.desk().book() as conn:
        row = papers.current_step(conn, book.case(conn, night.case_no), "live")
        assert row is not None
        return [r.plan for r in papers.receipts(conn, row.step_id, "dispose")]


def test_the_rest_is_planned_anew_without_a_question_and_the_books_balance(half_done: Night) -> None:
    desk, case_no = half_done.desk(), half_done.case_no
    half_done.shared_with(5, 1)
    with pytest.raises(Drifted):
        verbs.dispose(desk, case_no, **ON)
    with desk.book() as conn:
        first = papers.plans(conn, book.case(conn, case_no), "live")[-1]
    second = verbs.settle_and_plan(desk, case_no, **ON)
    verbs.dispose(desk, case_no, **ON)
    assert plans_of_receipts(half_done) == [first.fingerprint(), second.fingerprint()]
    assert all(account.balances for account in verbs.balance(desk, case_no, **ON))
    assert {x.dataset: x.items for x in second.located}["account.session"] == 6, "the first person's, too"
    assert half_done.shop.value("SELECT count(*) FROM sign.folder WHERE viewer_id = %s", PERSON(5)) == 0


def test_a_rest_that_goes_further_waits_for_another_word_and_loses_nothing(half_done: Night) -> None:
    desk, case_no = half_done.desk(), half_done.case_no
    half_done.shared_with(5, 2 * TOLERANCE_ITEMS + 100)
    with pytest.raises(Drifted):
        verbs.dispose(desk, case_no, **ON)
    with pytest.raises(Refused, match=r"goes beyond what was approved.*sign\.folder"):
        verbs.settle_and_plan(desk, case_no, **ON)
    with pytest.raises(Refused, match="goes beyond"):
        verbs.dispose(desk, case_no, **ON)
    assert half_done.shop.value("SELECT count(*) FROM account.session WHERE account_id = %s", PERSON(5)) == 3
    with desk.book() as conn:
        plan = papers.plans(conn, book.case(conn, case_no), "live")[-1].fingerprint()
    verbs.accept_plan(desk, case_no, approver="approver/wang", plan=plan, as_of=TODAY)
    verbs.dispose(desk, case_no, **ON)
    assert plans_of_receipts(half_done)[1:] == [plan]
    assert all(account.balances for account in verbs.balance(desk, case_no, **ON))


def test_a_hold_that_comes_half_way_holds_the_rest_and_the_case_goes_on(half_done: Night) -> None:
    desk, case_no = half_done.desk(), half_done.case_no
    verbs.open_hold(desk, basis="court", document_no="1", issuing_body="b", law="Civil Procedure Law 84",
                    case_nos=frozenset({case_no}), datasets=frozenset({"account.session"}), **ON)  # fmt: skip
    with pytest.raises(Drifted, match="what must stay"):
        verbs.dispose(desk, case_no, **ON)
    verbs.settle_and_plan(desk, case_no, **ON)
    verbs.dispose(desk, case_no, **ON)
    assert all(account.balances for account in verbs.balance(desk, case_no, **ON))
    left = "SELECT account_id, count(*) FROM account.session WHERE account_id IN (%s, %s) GROUP BY 1"
    assert half_done.shop.sql(left, PERSON(2), PERSON(5)) == [(PERSON(5), 3)]
