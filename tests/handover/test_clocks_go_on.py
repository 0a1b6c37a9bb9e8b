"""The first policy at a successor: whatever day is asked about, its own look finds due what the clocks that came say, to the
item: also a certificate that lived when it came, whose clock starts there; and what is left of one that was cut before."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date, timedelta

import pytest

from include.cases.retention import due, simulate
from include.cases.retention.taken import with_taken
from include.handover.custody import prepare
from include.model.carried import Side
from include.model.catalogue import Catalogue
from include.model.interval import Standing
from include.model.policy import Period
from tests.cases.conftest import ROLES, build
from tests.conftest import PgServer
from tests.handover.both import TABLES, Both
from tests.stores.postgres.dated import AS_OF, CATALOGUE

pytestmark = pytest.mark.postgres
DAY = timedelta(days=1)
GOES = [c.dataset for c in TABLES]


@pytest.fixture
def successor(both: Both) -> Both:
    """With all that goes to it."""
    both.theirs.server.add_role("prover", "BYPASSRLS")
    tables = " ".join(f"GRANT USAGE ON SCHEMA {s} TO prover; GRANT SELECT ON ALL TABLES IN SCHEMA {s} TO prover;"
                      for s in ("account", "cert", "ra", "sign"))  # fmt: skip
    both.sql(both.theirs, tables)
    prepare(both.theirs.server.conninfo(both.theirs.database), CATALOGUE, "company")
    assert not both.pack().left
    both.send()
    assert not both.receive().refused
    return both


def look(both: Both, catalogue: Catalogue, day: date) -> dict[str, Counter[Standing]]:
    ours = tuple(d for d in catalogue.datasets if d.id in GOES)
    seen = due.see(catalogue.model_copy(update={"datasets": (*ours, *(d for d in catalogue.datasets if d.accounts))}),
                   both.theirs, day, everything=True)  # type: ignore[arg-type]  # fmt: skip
    assert not set(seen.unverified) & set(GOES), seen.unverified
    found: dict[str, Counter[Standing]] = {d: Counter() for d in GOES}
    for it in seen.judged:
        if it.dataset in found:
            found[it.dataset][it.interval.stands(day)] += it.items
    return found


def test_the_look_at_a_successor_finds_due_what_came_with_that_day(successor: Both) -> None:
    both = successor
    taken = with_taken(CATALOGUE, both.theirs)  # type: ignore[arg-type]
    sides = {d: {x.side for x in taken.taken.of(d)} for d in GOES}
    assert (
        all({Side.FLOOR, Side.DUE} <= of for of in sides.values()) and Side.WAITS in sides["cert.certificate"]
    ), sides
    rows = both.sql(both.theirs, "SELECT dataset, due, earliest FROM quietus_handover.running")
    came = [r for r in rows if r[0] in GOES]
    days = sorted({d for _, d, _ in came if d is not None})
    assert len(days) > 3 and any(d is None for _, d, _ in came)
    for day in (
        AS_OF,
        days[0] - DAY,
        days[0],
        days[len(days) // 2],
        days[-1] - DAY,
        days[-1],
        date(2080, 1, 1),
    ):
        by_clocks, by_rules = look(both, taken, day), look(both, CATALOGUE, day)
        said = Counter(d for d, at, _ in came if at is not None and at <= day)
        for dataset in GOES:
            found = by_clocks[dataset]
            assert found[Standing.DUE] >= said[dataset], (day, dataset)
            # Both sides have the same policy here: what it would say by itself is what came.
            assert +found == +by_rules[dataset], (day, dataset)
            if day <= days[0]:
                assert found[Standing.DUE] == said[dataset], (day, dataset)


def nine(period: Period) -> Period:
    """What the law keeps five years, kept nine."""
    return period.model_copy(update={"duration": "P9Y"}) if period.duration == "P5Y" else period


def test_a_longer_period_of_the_successors_moves_nothing_that_came_with_its_day(successor: Both) -> None:
    both = successor
    now = with_taken(CATALOGUE, both.theirs)  # type: ignore[arg-type]
    longer = tuple(r.model_copy(update={"periods": tuple(map(nine, r.periods))}) for r in CATALOGUE.rules)
    then = now.model_copy(update={"rules": longer})
    seen = due.see(now, both.theirs, AS_OF, everything=True)  # type: ignore[arg-type]
    moves = [m for m in simulate.moved(now, then, seen, AS_OF, date(2080, 1, 1)) if m.dataset in GOES]
    (waited,) = both.sql(both.theirs, "SELECT count(*) FROM quietus_handover.running WHERE due IS NULL")
    assert sum(m.items for m in moves) <= waited[0] and {m.dataset for m in moves} <= set(GOES)
    assert look(both, then, date(2080, 1, 1)) == look(both, now, date(2080, 1, 1))


def test_what_no_rule_here_starts_is_told_and_nothing_of_it_goes(successor: Both) -> None:
    both = successor
    without = CATALOGUE.model_copy(
        update={
            "datasets": tuple(
                d.model_copy(update={"binds": tuple(b.model_copy(update={"rule": "RS-10"}) for b in d.binds)})
                if d.id == "ra.application" else d
                for d in CATALOGUE.datasets
            )
        }
    )  # fmt: skip
    seen = due.see(with_taken(without, both.theirs), both.theirs, date(2080, 1, 1))  # type: ignore[arg-type]
    assert "had not started, and nothing here starts it" in seen.unverified["ra.application"]
    assert not any(it.dataset == "ra.application" for it in seen.judged)


def test_a_store_that_cannot_say_what_came_stops_its_datasets(successor: Both) -> None:
    both = successor
    # Not by a right taken away: an install on the same server may have given the prover pg_read_all_data.
    both.sql(both.theirs, "ALTER VIEW quietus_handover.carried RENAME TO carried_once")
    both.sql(both.theirs, "CREATE VIEW quietus_handover.carried AS SELECT 1 AS other")
    seen = due.see(with_taken(CATALOGUE, both.theirs), both.theirs, date(2080, 1, 1))  # type: ignore[arg-type]
    assert all("with which clocks its items came could not be read" in seen.unverified[d] for d in GOES)
    assert not seen.judged


def test_what_came_is_not_handed_on_by_clocks_that_would_start_again(successor: Both, pg15: PgServer) -> None:
    both = successor
    for role in ROLES:
        pg15.add_role(role)
    records = pg15.fresh_database("successors_case_book", build)
    home = both.home / "on"
    home.mkdir()
    try:
        on = replace(both, ours=replace(both.theirs, records=records), home=home, sender="The successor")
        outcome = on.pack()
        assert set(outcome.left) == set(GOES) and all(
            "cannot be handed on yet" in why for why in outcome.left.values()
        )
        assert not on.bags("cert.certificate")
    finally:
        pg15.drop_database(records)
