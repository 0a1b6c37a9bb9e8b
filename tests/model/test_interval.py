"""When an item may go and when it must."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from include.cases.periods import last_day
from include.cases.retention.limits import newest_over, split
from include.catalogue import load
from include.model.interval import Bounded, Standing, interval
from include.model.policy import Basis, Period
from include.model.times import Counting
from include.model.words import LegalRank

DAY = timedelta(days=1)
DAYS = st.dates(date(2000, 1, 1), date(2060, 1, 1))
ENDS = st.none() | DAYS


def bound(rule="RS-01", *, floor=False, ceiling=False, ends=None, **more) -> Bounded:
    return Bounded(rule, "main", floor, ceiling, ends, "law", **more)


@st.composite
def limits(draw) -> list[Bounded]:
    found = []
    for n in range(draw(st.integers(1, 5))):
        floor = draw(st.booleans())
        ceiling = not floor or draw(st.booleans())
        found.append(
            bound(f"RS-{n:02}", floor=floor, ceiling=ceiling, ends=draw(ENDS),
                  statutory=ceiling and not floor and draw(st.booleans()),
                  gives_way=tuple(draw(st.lists(st.sampled_from([f"RS-{i:02}" for i in range(5)]), max_size=2))))
        )  # fmt: skip
    return found


@given(limits(), DAYS, st.integers(0, 4000))
def test_what_is_due_stays_due_and_what_was_kept_is_never_due_before(found, day, more) -> None:
    it = interval(found)
    if it.stands(day) is Standing.DUE:
        assert it.stands(day + more * DAY) is Standing.DUE
    if it.stands(day + more * DAY) is Standing.KEPT:
        assert it.stands(day) is not Standing.DUE


@given(limits(), DAYS)
def test_nothing_is_due_inside_a_floor(found, day) -> None:
    running = any(x.floor and (x.ends is None or x.ends >= day) for x in found)
    assert not (running and interval(found).stands(day) is Standing.DUE)


@given(limits())
def test_the_order_of_the_rules_does_not_matter(found) -> None:
    one, other = interval(found), interval(found[::-1])
    assert (one.earliest, one.latest, one.waiting, bool(one.conflict)) == (
        other.earliest, other.latest, other.waiting, bool(other.conflict),
    )  # fmt: skip


@given(limits())
def test_a_conflict_is_explained_by_the_smallest_set_that_collides(found) -> None:
    told = interval(found).conflict
    if not told:
        for size in range(1, len(found) + 1):
            assert not any(interval(part).conflict for part in combinations(found, size))
        return
    assert interval(told).conflict
    for left_out in told:
        assert not interval([x for x in told if x is not left_out]).conflict


@given(DAYS, DAYS)
def test_a_ceiling_of_the_company_waits_for_the_statute_and_two_statutes_collide(kept, ended) -> None:
    floor = bound("RS-03", floor=True, ends=kept)
    ours = interval([floor, bound("RS-06", ceiling=True, ends=ended)])
    assert not ours.conflict
    assert ours.latest == max(kept, ended)
    law = interval([floor, bound("RS-06", ceiling=True, ends=ended, statutory=True)])
    assert bool(law.conflict) == (ended < kept)
    decided = bound("RS-06", ceiling=True, ends=ended, statutory=True, gives_way=("RS-03",))
    assert interval([floor, decided]).latest == max(kept, ended)


RANKS = st.sampled_from(list(LegalRank))


@given(RANKS, DAYS)
def test_a_floor_of_too_low_a_rank_never_restrains(rank, day) -> None:
    period = Period(duration="P5Y", kind="floor", basis=(Basis(cite="x", rank=rank),))
    assert period.restrains_deletion == rank.restrains_deletion
    it = interval(
        [bound(ceiling=True, ends=day), bound("RS-02", floor=period.restrains_deletion, ends=day + 900 * DAY)]
    )
    assert (it.stands(day + DAY) is Standing.DUE) != rank.restrains_deletion


def test_only_floors_the_laws_least_is_our_most() -> None:
    it = interval(
        [
            bound("RS-17", floor=True, ends=date(2036, 12, 31)),
            bound("RS-22", floor=True, ends=date(2031, 1, 1)),
        ]
    )
    assert it.latest == date(2036, 12, 31)
    assert it.kept_by is it.ended_by
    assert it.stands(date(2036, 12, 31)) is Standing.KEPT
    assert it.stands(date(2037, 1, 1)) is Standing.DUE


def test_what_has_not_started_says_which() -> None:
    assert interval([bound(ceiling=True)]).stands(date(2030, 1, 1)) is Standing.NOT_STARTED
    assert interval([bound(floor=True)]).stands(date(2030, 1, 1)) is Standing.KEPT
    assert interval([]).stands(date(2030, 1, 1)) is Standing.NO_RULE


PERIODS = [(f"{r.id}/{p.name}", p) for r in load().rules for p in r.periods]


@given(st.sampled_from(PERIODS), st.dates(date(2012, 1, 1), date(2060, 1, 1)))
def test_one_day_says_all_of_a_period(named, as_of) -> None:
    _, period = named
    days, newest = split(period)[1], newest_over(period, as_of)
    assert last_day(newest, days, period.counting) < as_of
    assert last_day(newest + DAY, days, period.counting) >= as_of


def test_29_february_and_the_fiscal_year_end_where_the_oracle_says() -> None:
    five = Period(duration="P5Y", kind="both", basis=(Basis(cite="ESL 24", rank=LegalRank.LAW),))
    assert newest_over(five, date(2029, 3, 1)) == date(2024, 2, 29)
    assert newest_over(five, date(2029, 2, 28)) == date(2024, 2, 27)
    ten = five.model_copy(update={"duration": "P10Y", "counting": Counting.FISCAL_YEARS})
    assert newest_over(ten, date(2037, 1, 1)) == date(2026, 12, 31)
    assert newest_over(ten, date(2036, 12, 31)) == date(2025, 12, 31)
