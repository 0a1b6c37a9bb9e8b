"""What holds for whoever accepted which version of the policy: never longer than anything promised since."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.cases.periods import last_day
from include.model.versions import PolicyVersion, formers, may_be_shorter

NAME = "RS-12/cap"
months, days = st.integers(1, 40).map(lambda n: f"P{n}M"), st.integers(1, 900).map(lambda n: f"P{n}D")
durations = st.one_of(months, days, st.integers(1, 3).map(lambda n: f"P{n}Y"))


@given(
    said=st.lists(st.one_of(st.none(), durations), max_size=4), now=durations, accepted=st.integers(0, 4),
    start=st.dates(date(2020, 1, 1), date(2027, 12, 31)),
)  # fmt: skip
def test_a_period_is_the_shortest_that_was_promised_since_the_version_accepted(
    said, now, accepted, start
) -> None:
    versions = [PolicyVersion(id=f"v{n}", says={NAME: d} if d else {}) for n, d in enumerate(said)]
    mine = f"v{accepted}"  # one that is no version was never accepted
    since = accepted if accepted < len(said) else 0
    expected = min(last_day(start, d) for d in (*(d for d in said[since:] if d), now))
    found = [f.duration for f in formers(versions, NAME, now) if mine not in f.unless]
    assert min(last_day(start, d) for d in (now, *found)) == expected


@given(one=durations, other=durations, start=st.dates(date(2020, 1, 1), date(2027, 12, 31)))
def test_what_ends_first_from_some_day_may_be_shorter(one: str, other: str, start: date) -> None:
    if last_day(start, one) < last_day(start, other):
        assert may_be_shorter(one, other)


@pytest.mark.parametrize(
    ("one", "other", "may"),
    [("P12M", "P1Y", False), ("P12M", "P13M", True), ("P13M", "P12M", False), ("P30D", "P1M", True), ("P1M", "P30D", True),
     ("PT24H", "P1D", False), ("PT10M", "PT24H", True), ("P2W", "P15D", True)],
)  # fmt: skip
def test_a_month_has_28_to_31_days(one: str, other: str, may: bool) -> None:
    assert may_be_shorter(one, other) is may


def test_a_period_that_no_version_made_longer_has_no_former_one() -> None:
    version = PolicyVersion(id="1", says={NAME: "P12M"})
    for shorter in ("P12M", "P1Y", "P6M"):
        assert formers([version], NAME, shorter) == ()
    assert formers([], NAME, "P24M") == ()
    (for_all,) = formers([version], NAME, "P24M")
    assert (for_all.duration, for_all.unless) == ("P12M", ()), "no version says it, so that it reaches nobody"
