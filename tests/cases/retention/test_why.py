"""Why something is still here, or why it went: of a person without a case, and of one row, with days, laws, holds and cases."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date

import pytest
from typer.testing import CliRunner

from include.cases import verbs
from include.cases.discretion import EVERYTHING, discretion
from include.cases.retention import why
from include.cases.retention.why import Stands, Why
from include.commands import _common as common
from include.commands import build
from include.model.errors import Refused
from include.model.words import Ground
from tests.cases.retention.house import DAY, House

ONE, LEFT = "acct_000000000003", "acct_000000000010"  # a customer; and who left long ago
YEAR, YEAR_ON = date(2026, 10, 19), date(2027, 11, 23)  # a year after each
LIMIT = "RS-12/main: PIPL 19"


def stands(house: House, account: str = ONE) -> dict[tuple[str, str], Stands]:
    found = why.of_person(house.desk, account, EVERYTHING, DAY)
    assert not found.unverified
    return {(s.dataset, s.stands): s for s in found.stands}


def test_who_has_no_case_is_told_what_is_here_until_when_and_by_what(house: House) -> None:
    found = stands(house)
    assert {k: s.items for k, s in found.items()} == {
        ("a.account", "not started"): 1, ("u.visit", "due"): 3, ("u.visit", "allowed"): 4, ("u.click", "allowed"): 2,
        ("u.click", "due"): 1, ("s.ticket", "due"): 1, ("s.note", "allowed"): 1,
    }  # fmt: skip
    due, allowed = found["u.visit", "due"], found["u.visit", "allowed"]
    assert (due.earliest, due.until_then, due.latest, due.by_then) == (None, "no law keeps it", YEAR, LIMIT)
    assert (allowed.latest, allowed.by_then, allowed.holds) == (YEAR_ON, LIMIT, ())
    account = found["a.account", "not started"]
    assert (account.latest, account.by_then) == (None, "RS-01/main: PIPL 47; its clock has not started")


def test_a_hold_is_named_and_a_confidential_one_is_told_as_kept(house: House) -> None:
    order = {"document_no": "7", "issuing_body": "court", "law": "law", "as_of": DAY, "actor": "legal/zhao"}
    visits = frozenset({"u.visit"})
    number = verbs.open_hold(
        house.desk, basis="court", account_ids=frozenset({ONE}), datasets=visits, **order
    )
    found = stands(house)
    held = found["u.visit", "held"]
    assert held.holds == (number,) and ("u.visit", "due") not in found
    assert found["u.click", "due"].holds == ()
    assert ("u.visit", "held") not in stands(house, "acct_000000000004"), "it names nobody else"
    secret = verbs.open_hold(
        house.desk, basis="court", account_ids=frozenset({ONE}), datasets=frozenset({"u.click"}), confidential=True, **order
    )  # fmt: skip
    with house.desk.book() as conn:
        told = discretion(conn)
    said = why.of_person(house.desk, ONE, told, DAY)
    clicks = [s for s in said.stands if s.dataset == "u.click"]
    assert {(s.stands, s.latest, s.holds) for s in clicks} == {("kept by law", None, ())}
    assert secret not in json.dumps([s.told() for s in said.stands], default=str)


def test_of_a_row_that_is_gone_the_night_that_took_it_is_told(house: House) -> None:
    visit = house.company.value("SELECT id::text FROM u.visit WHERE at < '2025-12-01' ORDER BY id LIMIT 1")
    there = why.of_row(house.desk, "u.visit", (visit,), EVERYTHING, DAY)
    assert [(s.items, s.stands, s.latest) for s in there.stands] == [(1, "due", YEAR)] and not there.took
    at_work: list[Why] = []
    night = house.night(
        then=lambda: at_work.append(why.of_row(house.desk, "u.visit", (visit,), EVERYTHING, DAY))
    )
    (gone,) = at_work
    assert not gone.stands and gone.sure
    assert [(t.case_no, t.dataset, t.what, t.items) for t in gone.took] == [
        (night.case_no, "u.visit", "erased", 30)
    ]
    never = why.of_row(house.desk, "u.visit", ("4711",), EVERYTHING, DAY)
    assert not never.sure, "nobody knows of it: the cases that took rows of the table are told"
    assert [t.case_no for t in never.took] == [night.case_no]
    later = why.of_row(house.desk, "u.visit", (visit,), EVERYTHING, DAY)
    assert not later.sure and [t.case_no for t in later.took] == [night.case_no]


@pytest.mark.parametrize(
    ("dataset", "key", "said"),
    [("u.nothing", ("1",), "no such table"), ("u.visit", ("1", "2"), "its key has 1 columns: id"),
     ("u.visit", ("1; DROP",), "its key cannot be that")],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused_before_the_server_hears_of_it(
    house: House, dataset: str, key: tuple[str, ...], said: str
) -> None:
    with pytest.raises(Refused, match=said) as refused:
        found = why.of_row(house.desk, dataset, key, EVERYTHING, DAY)
        raise Refused("; ".join(found.unverified.values()), about="x")
    assert key[0] not in str(refused.value).replace("has 1", "")


def test_the_command_asks_for_the_account_and_does_not_say_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(common, "desk", lambda: house.desk)
    monkeypatch.setattr(common, "today", lambda: DAY)

    def quietus(*arguments: str, typed: str = "") -> str:
        done = CliRunner().invoke(
            build(), ["retention", "why", *arguments], input=typed, env={"COLUMNS": "80"}
        )
        assert done.exit_code == 0, done.output
        return done.output

    said = quietus(typed=f"{ONE}\n")
    assert ONE not in said and "u.visit" in said and str(YEAR) in said and LIMIT in said
    whole = json.loads(quietus("--json", "--account", ONE))
    assert {r["dataset"] for r in whole["stands"]} >= {"u.visit", "a.account"} and whole["cases"] == []
    house.night()
    gone = quietus("--dataset", "u.visit", typed="1\n")
    assert "it is not here any more" in gone and "CASE-000001" in gone and "limit_reached" in gone
    assert "nothing of it is here" in quietus("--account", "acct_00000000zzzz".replace("zzzz", "0099"))


def test_what_cases_about_a_person_took_is_told(house: House) -> None:
    case_no = verbs.open_own_initiative(
        house.desk, [LEFT], ground=Ground.MINOR, trigger_user="system/nightly", as_of=DAY
    ).case_no
    found = why.of_person(house.desk, LEFT, EVERYTHING, DAY)
    assert [(c["case"], c["ground"]) for c in found.cases] == [(case_no, "minor")] and found.took == []
    assert asdict(found)["sure"]
