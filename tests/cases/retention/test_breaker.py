"""The breaker of the nights: it judges what is really to go, by dataset, and a person's word is good for what they were shown."""

from __future__ import annotations

from datetime import timedelta

import pytest

from include.cases import book
from include.cases.retention import night as nightly
from include.cases.retention import night_proofs, nights
from include.cases.retention.breaker import FEW
from include.model.errors import Refused
from include.model.words import LegalRank
from tests.cases.retention.house import DAY, DUE, GONE, ROBOT, House
from tests.cases.small import rule

ON = {"as_of": DAY, "actor": ROBOT}
NEXT = DAY + timedelta(days=1)
VISITS = "INSERT INTO u.visit SELECT %s + i, 'acct_000000000001', '%s', '/' FROM generate_series(1, %s) i"
MANY = 2000


def visits(house: House, many: int, at: str = "2020-01-01", first: int = 1000) -> None:
    """So many visits of a day; of 2020, they should have gone long ago."""
    house.company.sql(VISITS % (first, at, many))


def said(house: House, case_no: str | None) -> list[str]:
    with house.desk.book() as conn:
        return [e["what"] for e in book.timeline(conn, str(case_no))]


def test_what_came_between_the_look_and_the_plan_waits_for_a_person_before_anything_goes(
    house: House,
) -> None:
    before = house.begin()
    assert before.needs_word is None
    visits(house, MANY)
    there = house.there()
    night = house.night()
    assert night.waits_for_a_person and night.gone is None and house.there() == there
    assert f"of u.visit {MANY + DUE['u.visit']}, " in str(night.needs_word)
    with pytest.raises(Refused, match="out of line"):
        nightly.dispose(house.desk, str(night.case_no), **ON)
    nightly.approve(house.desk, str(night.case_no), as_of=DAY, actor="ops/li")
    done = house.night()
    assert (done.approved_by, done.gone) == ("ops/li", sum(GONE.values()) + MANY)
    assert said(house, night.case_no).count("night approved") == 1


def test_a_word_is_good_for_what_was_shown_and_is_asked_again_for_more(house: House) -> None:
    visits(house, MANY)
    night = house.begin()
    nightly.approve(house.desk, str(night.case_no), budget=MANY * 5, as_of=DAY, actor="ops/li")
    visits(house, FEW, first=10_000)
    night_proofs.plan_and_prove(house.desk, str(night.case_no), **ON)
    assert not house.of(night).waits_for_a_person, "a few more are none"
    visits(house, 1, first=20_000)
    night_proofs.plan_and_prove(house.desk, str(night.case_no), **ON)
    asked = house.of(night)
    assert asked.waits_for_a_person and asked.budget is None and "ops/li" in str(asked.needs_word)
    assert "night out of line" in said(house, night.case_no)
    nightly.approve(house.desk, str(night.case_no), as_of=DAY, actor="ops/wang")
    assert house.night().gone == sum(GONE.values()) + MANY + FEW + 1


def test_one_dataset_out_of_line_is_seen_behind_a_large_one_that_is_not(house: House) -> None:
    visits(house, MANY, at="2025-11-24")  # fall due the next night
    house.night()
    house.company.sql(
        "INSERT INTO s.ticket SELECT 100 + i, 'acct_000000000001', '2020-01-01', 'b' FROM generate_series(1, %s) i"
        % (FEW + 1)
    )
    night = house.begin(NEXT)
    assert night.expected is not None and night.due < 3 * night.expected, "the total is in line"
    assert night.waits_for_a_person and "s.ticket" in str(night.needs_word)
    assert "u.visit" not in str(night.needs_word)


def test_a_week_that_was_missed_is_held_against_a_weeks_nights(house: House) -> None:
    for n in range(3):
        visits(house, 120, at=f"2025-11-{23 + n}", first=1000 * (n + 1))
        house.night(DAY + timedelta(days=n))
    visits(house, 700, at="2025-11-27", first=10_000)
    with house.desk.book() as conn:
        there = nights.latest(conn)
    assert [n.needs_word for n in there] == [None] * 3
    late = house.begin(DAY + timedelta(days=9))
    assert late.expected is None and late.needs_word is None, "seven nights, 120 each"
    house.night(DAY + timedelta(days=9))
    # What went that night is a week's: another week of as much is usual, and seven times that is not.
    visits(house, 4_000, at="2025-12-10", first=100_000)
    assert house.begin(DAY + timedelta(days=17)).needs_word is not None


def test_what_a_person_let_go_is_not_what_is_usual(house: House) -> None:
    visits(house, MANY)
    nightly.approve(house.desk, str(house.begin().case_no), as_of=DAY, actor="ops/li")
    assert house.night().gone == sum(GONE.values()) + MANY
    visits(house, MANY, first=10_000)
    assert house.begin(NEXT).waits_for_a_person


def test_a_stage_of_one_night_makes_no_forecast_of_the_rest(house: House) -> None:
    visits(house, MANY)
    nightly.approve(house.desk, str(house.begin().case_no), budget=50, as_of=DAY, actor="ops/li")
    left = house.night().remaining
    assert left is not None and left > MANY - 50
    assert house.begin(NEXT).waits_for_a_person, "nobody said that the rest may go"


def test_a_second_word_is_refused_and_so_is_one_for_a_night_that_needs_none(house: House) -> None:
    night = house.begin()
    with pytest.raises(Refused, match="in line"):
        nightly.approve(house.desk, str(night.case_no), as_of=DAY, actor="ops/li")
    visits(house, MANY)
    house.night()
    no = str(night.case_no)
    nightly.approve(house.desk, no, budget=5, as_of=DAY, actor="ops/li")
    again = nightly.approve(house.desk, no, budget=5, as_of=DAY, actor="ops/li")  # a task that is tried again
    assert again.budget == 5
    for actor, budget in (("ops/wang", 5), ("ops/li", 6)):
        with pytest.raises(Refused, match="ops/li let it go on"):
            nightly.approve(house.desk, no, budget=budget, as_of=DAY, actor=actor)
    house.night()
    with pytest.raises(Refused, match="has ended"):
        nightly.approve(house.desk, no, as_of=DAY, actor="ops/zhao")
    assert said(house, no).count("night approved") == 1


def longer(house: House, duration: str = "P3Y") -> None:
    """Another catalogue: clicks, visits and tickets have another period."""
    cat = house.company.catalogue
    new = rule("RS-12", duration, "ceiling", LegalRank.LAW, "NEW LAW 1")
    rules = tuple(new if r.id == "RS-12" else r for r in cat.rules)
    house.company.catalogue = cat.model_copy(update={"rules": rules, "digest": "e" * 64})


def test_a_night_that_another_catalogue_planned_says_so_and_plans_again_before_anything_goes(
    house: House,
) -> None:
    night = house.begin()
    no = str(night.case_no)
    night_proofs.plan_and_prove(house.desk, no, **ON)
    there = house.there()
    longer(house)
    with pytest.raises(Refused, match="another catalogue"):
        nightly.dispose(house.desk, no, **ON)
    assert house.there() == there
    night = house.night()
    assert "planned under another catalogue" in said(house, no)
    assert (night.gone, house.counts(night)) == (1, {"a.account": {"erased": 1}}), (
        "what is due by the rules of now"
    )
    assert house.certified == [no]


def test_a_word_under_another_catalogue_is_asked_again(house: House) -> None:
    visits(house, MANY)
    night = house.begin()
    nightly.approve(house.desk, str(night.case_no), as_of=DAY, actor="ops/li")
    longer(house, "P2Y")
    assert house.night().waits_for_a_person


def test_what_a_changed_catalogue_meets_half_way_is_told_with_both(house: House) -> None:
    night = house.begin()
    no = str(night.case_no)
    was = house.company.catalogue.digest
    night_proofs.plan_and_prove(house.desk, no, **ON)
    nightly.dispose(house.desk, no, **ON)
    longer(house)
    nightly.dispose(house.desk, no, **ON)
    with house.desk.book() as conn:
        (told,) = [e["detail"] for e in book.timeline(conn, no) if e["what"] == "catalogue changed"]
    assert told == {"planned": was, "now": "e" * 64, "code": house.desk.code, "code_now": house.desk.code}


def test_a_rule_that_rests_on_no_law_disposes_of_nothing(house: House) -> None:
    cat = house.company.catalogue
    rules = tuple(
        r.model_copy(update={"periods": tuple(p.model_copy(update={"basis": ()}) for p in r.periods)})
        if r.id == "RS-12" else r for r in cat.rules
    )  # fmt: skip
    house.company.catalogue = cat.model_copy(update={"rules": rules})
    there = house.there()
    with pytest.raises(Refused, match=r"RS-12/main.*no law.*catalogue lint"):
        house.night()
    assert house.there() == there
