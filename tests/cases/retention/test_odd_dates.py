"""A start that is no date: infinite, before our era, of a year of five digits. Its row is neither due nor hidden; others go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
import pytest
from psycopg import sql

from include.cases.retention.due import UNREADABLE, see
from include.model.flow import Floor
from include.model.interval import Standing
from include.model.times import Counting
from include.stores.postgres.periods import until
from include.stores.postgres.retention.clocks import moment, shifted
from include.stores.postgres.server import meaning
from tests.cases.retention.house import DAY, GONE, House

ODD = ("-infinity", "infinity", "0044-03-15 BC", "20260-01-01")


def odd_visits(house: House) -> None:
    for n, at in enumerate(ODD):
        house.company.sql("INSERT INTO u.visit VALUES (%s, 'acct_000000000003', %s::date, '/')", 9000 + n, at)


@pytest.mark.parametrize("index", [False, True])
def test_a_night_takes_all_others_and_names_how_many_have_no_date(house: House, index: bool) -> None:
    if index:
        house.company.sql("CREATE INDEX ON u.visit (at)")
    odd_visits(house)
    night = house.night()
    assert night.gone == sum(GONE.values())
    there = house.company.sql("SELECT id FROM u.visit WHERE id >= 9000 ORDER BY id")
    assert [n for (n,) in there] == [9000, 9001, 9002, 9003], "no date is no licence to delete"
    assert any(x.startswith("u.visit") and UNREADABLE.format(4) in x for x in house.left(night))


def test_a_look_at_everything_counts_them_among_what_has_not_started(house: House) -> None:
    odd_visits(house)
    seen = see(house.company.catalogue, house, DAY, everything=True)  # type: ignore[arg-type]
    assert seen.unverified == {"u.visit": UNREADABLE.format(4)}
    stand = {it.interval.stands(DAY): it.items for it in seen.judged if it.dataset == "u.visit"}
    assert (stand[Standing.NOT_STARTED], stand[Standing.DUE]) == (4, 30)


@pytest.mark.parametrize("kind", ["date", "timestamp", "timestamptz"])
@pytest.mark.parametrize("value", ODD)
def test_no_clock_of_any_kind_starts_by_it_and_no_error_comes_of_it(
    house: House, kind: str, value: str
) -> None:
    start = sql.SQL("{}::{}").format(sql.Literal(value), sql.SQL(kind))
    floor = Floor(
        rule="RS-99", period="main", duration="P99Y", counting=Counting.CALENDAR, start=None, law="x"
    )
    ways: Sequence[sql.Composable] = [
        shifted(start, kind, 0), shifted(start, kind, 90), moment(start, kind, 90), until(floor, start, kind),
    ]  # fmt: skip
    with psycopg.connect(house.company.conninfo("prover")) as conn:
        found: Any = conn.execute(sql.SQL("SELECT {}").format(sql.SQL(", ").join(ways))).fetchone()
    assert found == (None, None, None, None)


def test_a_value_that_cannot_be_read_is_not_said_to_be_a_trigger_s(house: House) -> None:
    with psycopg.connect(house.company.conninfo("prover")) as conn, pytest.raises(psycopg.DataError) as error:
        conn.execute("SELECT 'infinity'::date").fetchone()
    said = str(meaning(error.value, "company u.visit"))
    assert "a value cannot be read" in said and "trigger" not in said
