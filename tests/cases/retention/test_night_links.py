"""A row that is needed by a link of the catalogue, whether the database knows a foreign key for it or not: whoever cuts it and
whoever asks what is due say the same of it, so that it is cut once, and goes when nothing needs it any more."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from include.cases.closing import open_hold
from include.model.estate import Cut, Link
from include.model.words import Ownership
from tests.cases.retention.house import DAY, House

TENTH = "acct_000000000010"
LAST = date(2025, 12, 1)


@pytest.fixture(params=["foreign key", "link"])
def linked(house: House, request: pytest.FixtureRequest) -> House:
    """The tenth left long ago, and has visits that are not due for another week."""
    if request.param == "link":
        house.company.sql("ALTER TABLE u.visit DROP CONSTRAINT visit_account_id_fkey")
    house.company.sql("INSERT INTO u.visit SELECT 500 + i, %s, %s, '/' FROM generate_series(1, 5) i", TENTH, LAST)  # fmt: skip
    return house


def tenth(house: House) -> list[tuple[object, ...]]:
    return list(house.company.sql("SELECT name FROM a.account WHERE id = %s", TENTH))


def test_a_row_that_a_link_alone_needs_is_cut_once(linked: House) -> None:
    first = linked.night()
    assert linked.counts(first)["a.account"] == {"deidentified": 1}
    assert tenth(linked) == [(None,)]
    for day in (1, 2):
        again = linked.night(DAY + timedelta(days=day))
        assert "a.account" not in (linked.counts(again) if again.case_no else {})


def test_it_goes_once_nothing_needs_it(linked: House) -> None:
    linked.night()
    linked.company.sql("DELETE FROM u.visit WHERE account_id = %s", TENTH)
    assert linked.counts(linked.night(DAY + timedelta(days=1)))["a.account"] == {"erased": 1}
    assert tenth(linked) == []


def test_the_night_that_takes_the_last_row_which_needs_it_says_so_and_the_next_takes_it(
    linked: House,
) -> None:
    linked.night()
    last = linked.night(DAY + timedelta(days=14))
    assert linked.counts(last)["u.visit"]["erased"] >= 5
    assert tenth(linked) == [(None,)], "it was not due when the night looked"
    assert last.case_no in linked.certified
    assert linked.counts(linked.night(DAY + timedelta(days=15)))["a.account"]["erased"] == 1
    assert tenth(linked) == []


def test_one_of_several_ways_to_an_owner_needs_it_only_under_a_hold(house: House) -> None:
    """A shared row goes by its own dates, and the row above it too, unless a hold names who is known by that alone."""
    either = Link(via="s.ticket", on={"ticket_id": "id"}, ownership=Ownership.SHARED)
    shared = {"s.note": {"links": (either,)}, "s.ticket": {"cut": Cut(set={"body": None})}}
    datasets = tuple(d.model_copy(update=shared.get(d.id, {})) for d in house.company.catalogue.datasets)
    house.company.catalogue = house.company.catalogue.model_copy(update={"datasets": datasets})
    house.company.sql("ALTER TABLE s.note DROP CONSTRAINT note_ticket_id_fkey")
    house.company.sql("UPDATE s.note SET written = %s WHERE id IN (3, 5)", DAY)
    open_hold(
        house.desk, basis="court", document_no="7", issuing_body="court", law="law", as_of=DAY, actor="ops/li",
        account_ids=frozenset({"acct_000000000003"}), datasets=frozenset({"s.note"}),
    )  # fmt: skip
    first = house.night()
    assert house.counts(first)["s.ticket"] == {"erased": 3, "deidentified": 1}
    assert house.company.sql("SELECT id FROM s.ticket WHERE body IS NULL") == [(3,)], "five is held by nobody"
    again = house.night(DAY + timedelta(days=1))
    assert again.due == 0 and house.certified == [first.case_no]
