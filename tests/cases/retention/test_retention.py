"""Forecast, burn-down, the refusal of periods that nobody owns, and what a rule change moves."""

from __future__ import annotations

from datetime import date

import pytest

from include.cases.retention.due import Judged, Seen, judge, table
from include.cases.retention.forecast import bars, burn_down, nights
from include.cases.retention.held import HeldPeople
from include.cases.retention.limits import binds, bounded
from include.cases.retention.proposals import in_earnest, unowned
from include.cases.retention.records import aging
from include.cases.retention.simulate import Change, moved
from include.catalogue import load
from include.model.catalogue import Catalogue, Stop
from include.model.errors import BooksDoNotBalance, Refused
from include.model.interval import Standing, interval
from include.model.policy import Proposal
from include.model.retention import Clock, Group

CATALOGUE = load()
AS_OF = date(2026, 11, 24)
LOGS = CATALOGUE.dataset("usage.access_log")  # a floor of six months, a cap of twelve, by the same column


def logged(day: date, items: int = 10, *, held: bool = False) -> Group:
    return Group(clocks=(Clock(applies=True, day=day),) * len(LOGS.binds), held=held, items=items)


class House:
    def __init__(self, *declared: str) -> None:
        self.declared = declared

    def text(self, name: str) -> str:
        if name not in self.declared:
            raise Refused("it is not declared", about=name)
        return "yes"


def test_a_company_period_without_an_owner_is_refused_outside_the_sandbox() -> None:
    assert "RS-12/cap" in unowned(CATALOGUE)
    in_earnest(CATALOGUE, House("sandbox"))  # type: ignore[arg-type]
    with pytest.raises(Refused, match="RS-12/cap"):
        in_earnest(CATALOGUE, House())  # type: ignore[arg-type]
    in_earnest(changed("P12M", owner=True), House())  # type: ignore[arg-type]


def changed(cap: str, *, owner: bool = False) -> Catalogue:
    """The first policy with another cap on logs; with an owner and a day for every proposal, if asked."""
    rules = []
    for rule in CATALOGUE.rules:
        periods = []
        for p in rule.periods:
            told = p.proposal and (Proposal(owner="cfo", approved_on=AS_OF) if owner else p.proposal)
            long = cap if (rule.id, p.name) == ("RS-12", "cap") else p.duration
            periods.append(p.model_copy(update={"proposal": told, "duration": long}))
        rules.append(rule.model_copy(update={"periods": tuple(periods)}))
    return CATALOGUE.model_copy(update={"rules": tuple(rules)})


def seen(*groups: Group, as_of: date = AS_OF) -> Seen:
    return Seen(as_of, list(judge(CATALOGUE, LOGS, as_of, groups, everything=True)))


def test_what_was_due_before_last_night_is_overdue_and_a_hold_counts_apart() -> None:
    found = seen(
        logged(date(2025, 11, 23)), logged(date(2025, 11, 22), 7), logged(date(2025, 1, 1), 3, held=True),
        logged(date(2025, 11, 24), 100),
    )  # fmt: skip
    (row,) = table(found)
    assert (row.rule, row.due, row.overdue, row.held) == ("RS-12/cap", 17, 7, 3)
    assert (row.oldest, row.basis) == (date(2026, 11, 23), "company period")


def test_a_store_that_calls_due_what_is_not_is_found_out() -> None:
    with pytest.raises(BooksDoNotBalance, match="10 items due that are allowed"):
        list(judge(CATALOGUE, LOGS, AS_OF, [logged(date(2025, 11, 24))]))


def test_what_has_no_date_is_kept_and_never_due() -> None:
    group = Group(clocks=(Clock(applies=True, day=None),) * 2, held=False, items=1)
    it = interval(bounded(tuple(binds(CATALOGUE, LOGS)), group))
    assert it.stands(date(2099, 1, 1)) is Standing.KEPT


def ended(catalogue: Catalogue, *datasets: str) -> Catalogue:
    """The same after collection of these was closed on that day."""
    purposes = dict.fromkeys(datasets, AS_OF)
    stop = Stop(closed_on=AS_OF, ended=False, over=False, waits=frozenset(), purposes=purposes)
    return catalogue.model_copy(update={"stop": stop})


@pytest.mark.parametrize(
    ("started", "until", "by"),
    [
        (
            date(2026, 5, 23),
            date(2027, 5, 23),
            "RS-12/cap",
        ),  # its floor was over: it goes by the order itself
        (date(2026, 5, 24), date(2026, 11, 24), "RS-28/main"),
        (date(2026, 11, 24), date(2027, 5, 24), "RS-28/main"),
    ],
)
def test_logs_that_a_floor_kept_when_their_service_ended_go_with_it(
    started: date, until: date, by: str
) -> None:
    found = ended(CATALOGUE, LOGS.id)
    (it,) = judge(found, LOGS, AS_OF, [logged(started)], everything=True)
    assert (it.interval.latest, it.rule) == (until, by)
    (other,) = judge(ended(CATALOGUE, "usage.cookie"), LOGS, AS_OF, [logged(started)], everything=True)
    assert (other.interval.latest, other.rule) == (
        date(started.year + 1, started.month, started.day),
        "RS-12/cap",
    )


def test_records_of_files_go_so_too() -> None:
    files = CATALOGUE.dataset("objects.web_log")
    (floor,) = files.binds
    files = files.model_copy(update={"binds": (floor, floor.model_copy(update={"period": "cap"}))})
    clocks = (date(2026, 6, 1),) * 2
    day = date(2026, 12, 2)
    assert aging(CATALOGUE, files, day, HeldPeople()).fate(clocks) is None
    fate = aging(ended(CATALOGUE, files.id), files, day, HeldPeople()).fate
    assert fate(clocks) == ("RS-28", "PIPL 47(1)(2); RS-28/main: policy 5.6(3)")
    assert fate((day,) * 2) is None


def test_a_simulation_holds_both_catalogues_under_the_same_end_of_purpose() -> None:
    now, then = ended(CATALOGUE, LOGS.id), ended(changed("P24M"), LOGS.id)
    judged = list(judge(now, LOGS, AS_OF, [logged(AS_OF)], everything=True))
    assert list(moved(now, then, Seen(AS_OF, judged), AS_OF, date(2029, 1, 1))) == []
    assert list(moved(now, changed("P24M"), Seen(AS_OF, judged), AS_OF, date(2029, 1, 1)))


def test_the_first_night_has_the_backlog_and_a_quiet_night_has_no_bar() -> None:
    ahead = seen(logged(date(2020, 1, 1), 50), logged(date(2025, 11, 25), 5), as_of=date(2026, 11, 26))
    of = nights(ahead, AS_OF)
    assert {d: n.total() for d, n in of.items()} == {AS_OF: 50, date(2026, 11, 26): 5}
    lines = bars(of, AS_OF, date(2026, 11, 26))
    assert [line.count("█") for line in lines] == [
        50,
        0,
        50,
    ]  # the others can be told apart, whatever the backlog is
    assert [line.endswith("…") for line in lines] == [True, False, False]


@pytest.mark.parametrize(
    ("backlog", "rate", "coming", "expected"), [(0, 1, 0, 0), (10, 3, 0, 4), (10, 3, 2, 10), (10, 3, 3, None)]
)
def test_a_backlog_burns_down_by_what_a_night_gains(backlog, rate, coming, expected) -> None:
    assert burn_down(backlog, rate, coming) == expected


@pytest.mark.parametrize(
    ("cap", "change"), [("P9M", Change.EARLIER), ("P18M", Change.NOT_LATER), ("P3M", Change.EARLIER)]
)
def test_a_longer_company_period_reaches_nobody_who_has_not_accepted_it(cap, change) -> None:
    it = seen(logged(date(2025, 12, 1)), as_of=date(2026, 12, 31))
    (found,) = moved(CATALOGUE, changed(cap), it, AS_OF, date(2026, 12, 31))
    assert (found.change, found.items) == (change, 10)
    assert isinstance(it.judged[0], Judged)


def test_a_shorter_period_has_a_backlog_that_goes_on_the_first_night() -> None:
    it = seen(logged(date(2026, 1, 1), 7), logged(date(2025, 11, 1), 3), as_of=date(2026, 11, 30))
    (found,) = moved(CATALOGUE, changed("P9M"), it, AS_OF, date(2026, 11, 30))
    # The older three are due on the first night under both.
    assert (found.items, found.change) == (7, Change.EARLIER)
    assert (found.before, found.after) == (date(2027, 1, 2), AS_OF)
