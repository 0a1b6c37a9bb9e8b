"""An extract on the night on which it falls due: the release of that night takes it first, and what that leaves the night erases.

Its rule leaves it one night and no other (PIPL 47, 73(3)): due on the day after its person left, overdue on the next. So nothing
can be left for a release that is still to come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta

import pytest

from include.cases.retention import night as nightly
from include.cases.retention import release_runs, releases
from include.cases.retention.nights import Night
from include.cases.retention.release_runs import Run
from include.model.errors import Refused
from include.model.estate import Bound
from tests.cases.retention.house import DAY, ROBOT, House
from tests.cases.retention.test_releases import _fill, _hiding_nobody, _id, count, house, release

__all__ = ["house"]
ONE = timedelta(days=1)
LEFT = 20  # of sixty people, on the day before
EXTRACT = "stat.extract"


@pytest.fixture(autouse=True)
def leaving(house: House) -> None:
    """Twenty people have left: by RS-27 their extracts and pseudonyms fall due today."""
    of, by = house.company.catalogue, {"binds": (Bound(rule="RS-27"),)}
    bound = tuple(d.model_copy(update=by if d.id in (EXTRACT, "stat.pseudonym") else {}) for d in of.datasets)
    house.company.catalogue = of.model_copy(update={"datasets": bound})
    house.company.sql("UPDATE stat.account SET ended = %s WHERE id <= %s", DAY - ONE, _id(LEFT))
    assert [due(house, DAY + n * ONE) for n in (-1, 0, 1)] == [(0, 0), (LEFT, 0), (LEFT, LEFT)]


def due(house: House, day: date) -> tuple[int, int]:
    """Extracts that are due on a day, and overdue."""
    rows = [r for r in nightly.look(house.desk, day).rows if r.dataset == EXTRACT]
    return sum(r.due for r in rows), sum(r.overdue for r in rows)


def night(house: House, day: date = DAY) -> Night:
    done = house.night(day)
    if done.waits_for_a_person:
        nightly.approve(house.desk, str(done.case_no), as_of=day, actor="ops/li")
        done = house.night(day)
    return done


def never_overdue(house: House, nights: list[Night]) -> None:
    assert {n.overdue for n in nights} == {0} and due(house, DAY + ONE) == (0, 0)


def test_on_the_day_of_a_release_what_falls_due_becomes_part_of_the_set(house: House) -> None:
    assert [r.id for r in release_runs.called_for(house.desk, DAY)] == ["moved"]
    done = release(house)
    assert done.located == 60 and (done.released or 0) >= 48, "whoever left the day before is one of them"
    assert due(house, DAY) == (0, 0) and count(house, EXTRACT) == 0
    after = night(house)
    assert after.gone == 0 and count(house, "stat.released") == done.released
    never_overdue(house, [after])


def test_what_a_release_could_hide_nobody_in_the_night_erases_the_same_night(house: House) -> None:
    _hiding_nobody(house)
    done = release(house)
    assert "no declared level" in (done.unhidden or "") and due(house, DAY) == (LEFT, 0)
    after = night(house)
    assert house.counts(after)[EXTRACT] == {"erased": LEFT}
    assert count(house, EXTRACT) == 60 - LEFT, "of who is still here the extract stays, personal as it is"
    assert (count(house, "stat.pseudonym"), count(house, "stat.released")) == (60 - LEFT, 0)
    never_overdue(house, [after])


def test_of_too_few_people_no_release_is_made_and_the_night_erases(house: House) -> None:
    few = house.company.catalogue.releases[0].model_copy(update={"k": 61})
    house.company.catalogue = house.company.catalogue.model_copy(update={"releases": (few,)})
    assert isinstance(releases.begin(house.desk, "moved", as_of=DAY, actor=ROBOT), str)
    never_overdue(house, [night(house)])
    assert count(house, EXTRACT) == 60 - LEFT


@pytest.fixture
def without_a_right(house: House) -> Iterator[Callable[[], None]]:
    """Of the eraser, which a release needs and a night does not."""
    (eraser,) = house.company.sql(
        "SELECT DISTINCT grantee FROM information_schema.role_table_grants"
        " WHERE table_schema = 'stat' AND table_name = 'released' AND privilege_type = 'INSERT' AND grantee ~ 'eraser'"
    )[0]
    house.company.sql(f'REVOKE INSERT ON stat.released FROM "{eraser}"')
    yield lambda: house.company.sql(f'GRANT INSERT ON stat.released TO "{eraser}"') and None


def test_a_release_that_stands_half_way_keeps_no_night_waiting(
    house: House, without_a_right: Callable[[], None]
) -> None:
    """It located all of them, and failed. The night takes what is due, and the release goes on with the others the next day."""
    with pytest.raises(Refused, match="privilege"):
        release(house)
    after = night(house)
    assert house.counts(after)[EXTRACT] == {"erased": LEFT} and count(house, EXTRACT) == 60 - LEFT
    never_overdue(house, [after])
    without_a_right()
    done = release(house, DAY + ONE)
    assert (done.released or 0) + (done.erased or 0) == 60 - LEFT and count(house, EXTRACT) == 0


def test_a_release_that_comes_late_finds_what_the_night_left(house: House) -> None:
    after = night(house)
    assert house.counts(after)[EXTRACT] == {"erased": LEFT}
    done = release(house)
    assert isinstance(done, Run) and (done.located, count(house, EXTRACT)) == (60 - LEFT, 0)
    never_overdue(house, [after])


def test_no_release_is_waited_for_that_is_called_for_tomorrow(house: House) -> None:
    """By tomorrow what falls due today would be overdue."""
    release(house, date(2026, 8, 25))
    assert [release_runs.called_for(house.desk, d) != () for d in (DAY, DAY + ONE)] == [False, True]
    _fill(house, 61)
    house.company.sql(
        "UPDATE stat.account SET ended = %s WHERE id BETWEEN %s AND %s", DAY - ONE, _id(61), _id(60 + LEFT)
    )
    after = night(house)
    assert house.counts(after)[EXTRACT] == {"erased": LEFT}
    never_overdue(house, [after])
    assert release(house, DAY + ONE).located == 60 - LEFT
