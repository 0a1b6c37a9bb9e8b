"""Nights under holds: on everybody's items of a kind, and on an account id of which no account is there."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from include.cases import hold_people, holds, naming, releasing
from include.cases.closing import open_hold
from include.cases.retention.held import held_people
from include.cases.scopes import Scope
from include.model.errors import NotProved, Refused
from include.proofs import limits
from tests.cases.retention.house import DAY, GONE, House
from tests.stores.sizes import Pieces

NEXT = DAY + timedelta(days=1)
TENTH, TYPED = "acct_000000000010", "acct_zzzzzzzzzzzz"


def hold(house: House, *accounts: str, **scope: Any) -> str:
    return open_hold(
        house.desk, basis="court", document_no="7", issuing_body="court", law="law", as_of=DAY, actor="ops/li",
        account_ids=frozenset(accounts), **scope,
    )  # fmt: skip


def test_a_hold_on_a_dataset_holds_everybodys_rows_of_it_until_it_is_released(house: House) -> None:
    number = hold(house, datasets=frozenset({"u.visit"}))
    first = house.night()
    assert first.held == 30
    gone = {d: w.get("erased") for d, w in house.counts(first).items()}
    assert gone == {d: n for d, n in GONE.items() if d != "u.visit"}
    assert releasing.review_hold(house.desk, number, document="8", as_of=NEXT, actor="legal/sun") > NEXT
    releasing.release_hold(house.desk, number, document="9", as_of=NEXT, actor="legal/sun")
    assert house.counts(house.night(NEXT)) == {
        "u.visit": {"erased": 30},
        "s.ticket": {"needed": 1},
    }


def test_a_dataset_of_which_the_two_looks_see_another_number_is_held_and_all_else_goes(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way out that ``docs/ops.md`` names for a night that stands still over one dataset."""
    seen = limits.baseline

    def one_less(
        catalogue: Any, connections: Any, step: Any, plan: Any, due: dict[str, int], *more: Any
    ) -> Any:
        return seen(catalogue, connections, step, plan, due | {"u.visit": max(due["u.visit"] - 1, 0)}, *more)

    monkeypatch.setattr(limits, "baseline", one_less)
    for _ in range(2):  # the next run is no wiser
        with pytest.raises(NotProved, match=r"seen\.u\.visit"):
            house.night()
    hold(house, datasets=frozenset({"u.visit"}))
    night = house.night()
    gone = {d: w.get("erased") for d, w in house.counts(night).items()}
    assert gone == {d: n for d, n in GONE.items() if d != "u.visit"} and night.ended_at is not None


def test_a_hold_that_says_nothing_is_none(house: House) -> None:
    with pytest.raises(Refused, match="whose items it covers, or which"):
        hold(house)


def test_rows_that_bear_an_id_of_which_no_account_is_there_are_held(house: House) -> None:
    house.company.sql("ALTER TABLE u.visit DROP CONSTRAINT visit_account_id_fkey")
    house.night()
    assert house.company.sql("SELECT FROM a.account WHERE id = %s", TENTH) == []
    visits = "INSERT INTO u.visit SELECT 500 + i, %s, date '2025-12-01', '/' FROM generate_series(1, 5) i"
    house.company.sql(visits, TENTH)
    number = hold(house, TENTH)
    assert held_people(house.desk).people == {number: frozenset({TENTH})}
    later = house.night(DAY + timedelta(days=30))
    assert later.held == 5
    assert house.company.sql("SELECT count(*) FROM u.visit WHERE account_id = %s", TENTH) == [(5,)]
    found = naming.names(house.desk, [TENTH], Scope())
    assert (found.there, found.nobody, +found.rows, found.unseen) == (0, 0, {"u.visit": 5}, {})


def test_a_hold_on_nobody_needs_a_word(house: House) -> None:
    with pytest.raises(Refused, match="1 of 2 account ids are nobody's"):
        hold(house, TENTH, TYPED)
    with house.desk.book() as conn:
        assert holds.listing(conn) == []
    number = hold(house, TYPED, even_if_nobody=True)
    assert held_people(house.desk).people == {number: frozenset({TYPED})}


def test_whom_a_hold_names_is_sealed_and_forgotten_when_it_is_released(house: House) -> None:
    number = hold(house, TENTH)
    ((sealed,),) = house.sql("SELECT sealed_id FROM casebook.hold_subject")
    assert TENTH.encode() not in bytes(sealed)
    with house.desk.book() as conn, pytest.raises(Refused, match="the hold is open"):
        hold_people.forget(conn, house.keys, number)
    for killed in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            if killed:
                patch.setattr(hold_people, "forget", lambda *_: None)
            releasing.release_hold(house.desk, number, document="9", as_of=NEXT, actor="legal/sun")
        assert house.sql("SELECT count(*) FROM casebook.hold_subject") == [(int(killed),)]
    assert house.keys.versions(number.lower()) == ()


def test_a_release_that_was_killed_forgets_at_the_next_look(house: House) -> None:
    number = hold(house, TENTH)
    with house.desk.book() as conn:
        holds.release(conn, number, document="9", as_of=NEXT, actor="legal/sun")
        conn.commit()
    releasing.look(house.desk, as_of=NEXT, actor="system/airflow")
    assert house.sql("SELECT count(*) FROM casebook.hold_subject") == [(0,)]


def test_of_a_hold_of_an_older_version_the_accounts_are_asked(house: House) -> None:
    number = hold(house, TENTH)
    house.sql("DELETE FROM casebook.hold_subject")
    assert held_people(house.desk).people == {number: frozenset({TENTH})}


def test_who_opens_a_hold_while_a_night_disposes_is_told_what_may_have_gone(house: House) -> None:
    to_come, opened = [2], []

    def at(here: str) -> None:  # after the second piece, of whatever kind it is
        if here == "clearing.after_commit":
            to_come.append(to_come.pop() - 1)
            if to_come == [0]:
                opened.append(hold(house, "acct_000000000002"))

    with house.clearing(size=Pieces(2), at=at):
        night = house.night()
    with house.desk.book() as conn:
        (told,) = holds.went(conn, opened[0])
        assert holds.overtaken(conn, opened[0]) == (night.case_no,)
    detail = {k: v for k, v in told["detail"].items() if k != "datasets"}
    assert (told["case_no"], detail) == (night.case_no, {"hold": opened[0], "unseen": {}})
    assert sum(told["detail"]["datasets"].values()) == 4
    assert house.sql("SELECT count(*) FROM casebook.event WHERE what = 'went before the hold'") == [(1,)]


def test_a_hold_after_a_night_is_told_nothing(house: House) -> None:
    house.night()
    number = hold(house, "acct_000000000002")
    with house.desk.book() as conn:
        assert holds.went(conn, number) == [] and holds.overtaken(conn, number) == ()
