"""What stays after a shutdown is named by category, law, custodian and end date; what is on its way is no residue."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from include.cases import verbs
from include.cases.periods import last_day
from include.cases.shutdown import located
from include.cases.shutdown.residual import POINTED_AT, Kept, residual
from include.commands import shutdown as command
from include.handover import books
from include.model.errors import Refused
from include.model.estate import Bound, Start
from include.model.times import Counting
from tests.cases.retention.house import House
from tests.cases.shutdown.conftest import logging
from tests.cases.shutdown.test_books import Stopped, stopped
from tests.cases.shutdown.test_closing import T0, close, company, gatekeeper, ready
from tests.cases.shutdown.test_command import today
from tests.cases.shutdown.test_nights_after import RUNS

pytestmark = pytest.mark.postgres
__all__ = ["gatekeeper", "stopped", "today"]  # fixtures


def lines(kept: tuple[Kept, ...]) -> dict[tuple[str, str, str], tuple[int, date | None, date | None, int]]:
    return {(k.dataset, k.disposition, k.law): (k.items, k.first, k.last, k.waits) for k in kept}


def test_what_stays_is_listed_and_what_is_on_its_way_is_counted_beside_it(stopped: Stopped) -> None:
    found = residual(stopped.house.desk, stopped.number)
    assert {(k.dataset, k.disposition, k.law): k.items for k in found.kept} == {
        ("u.click", "retain", "PIPL 56"): 20, ("s.ticket", "retain", "CSL 23(3)"): 4, ("s.note", "retain", "ESL 24"): 8,
    }  # fmt: skip
    assert all(k.first and k.last and k.first >= T0 and not k.waits for k in found.kept)
    assert found.moving == {"u.visit": 60} and found.going == {"a.account": 10, "s.ticket": 4}
    assert found.items == 32 and not found.settled and not found.unverified


def test_a_hold_is_told_to_whom_it_may_be(stopped: Stopped) -> None:
    verbs.open_hold(
        stopped.house.desk, basis="court", document_no="7", issuing_body="court", law="law", as_of=T0, actor="legal/zhao",
        account_ids=frozenset({"acct_000000000003"}), datasets=frozenset({"s.ticket"}),
    )  # fmt: skip
    found = residual(stopped.house.desk, stopped.number)
    by = lines(found.kept)
    assert by["s.ticket", "hold", "policy 5.2"] == (1, None, None, 1) and found.going["s.ticket"] == 3
    (of,) = [k for k in found.body(holds=False)["kept"] if k["dataset"] == "s.ticket"]
    assert (of["disposition"], of["rule"], of["law"], of["items"], of["last"]) == ("retain", "", "", 5, None)
    assert found.body(holds=False)["items"] == found.items


def test_past_its_last_day_only_a_hold_keeps_what_a_statute_kept(stopped: Stopped) -> None:
    """That it is told with the day of a law that is over would keep the order from its end for as long as the hold stands."""
    desk, number = stopped.house.desk, stopped.number
    (click,) = [k for k in residual(desk, number).kept if k.dataset == "u.click"]
    assert click.last is not None
    verbs.open_hold(
        desk, basis="court", document_no="7", issuing_body="court", law="law", as_of=T0, actor="legal/zhao",
        account_ids=frozenset({"acct_000000000003"}), datasets=frozenset({"u.click"}),
    )  # fmt: skip
    ((held,),) = company(stopped.house, "SELECT count(*) FROM u.click WHERE account_id = 'acct_000000000003'")
    assert isinstance(held, int) and held
    last = lines(residual(desk, number, as_of=click.last).kept)
    assert last["u.click", "retain", "PIPL 56"] == (20, click.first, click.last, 0)
    after = lines(residual(desk, number, as_of=click.last + timedelta(days=1)).kept)
    assert after["u.click", "hold", "policy 5.2"] == (held, None, None, held)
    assert after["u.click", "retain", "PIPL 56"][0] == 20 - held


def test_past_its_last_day_a_row_stays_that_another_needs_and_is_told_so(house: House) -> None:
    """Tickets are kept for eight months, notes, of which each needs its ticket, for years."""
    house.company = replace(house.company, catalogue=logging(house.company.catalogue))
    company(house, "UPDATE s.ticket SET closed = '2026-10-01' WHERE id <= 4; DELETE FROM s.note WHERE id = 2")
    close(house, number := ready(house))
    over = last_day(date(2026, 10, 1), "P8M", Counting.CALENDAR)
    day = over + timedelta(days=1)
    before = lines(residual(house.desk, number, as_of=over).kept)
    assert before["s.ticket", "retain", "ECL 31"][1] == over
    late = lines(residual(house.desk, number, as_of=day).kept)
    assert late["s.ticket", "retain", POINTED_AT] == (3, None, None, 3)
    assert late["s.ticket", "retain", "ECL 31"][1] == over, (
        "what nothing needs is to go by the night of this day"
    )
    assert house.counts(house.night(day))["s.ticket"]["erased"] == 1
    after = lines(residual(house.desk, number, as_of=day).kept)
    assert after["s.ticket", "retain", POINTED_AT] == (3, None, None, 3)
    first = after["s.ticket", "retain", "ECL 31"][1]
    assert first is not None and first > day


def test_a_bare_key_is_told_once_by_the_law_while_it_runs_and_then_by_what_points_at_it(
    house: House,
) -> None:
    """Half a year after their end accounts are cut to keys, since visits point at them; two were cut before T0."""
    shop = logging(house.company.catalogue, "u.click")
    binds = (Bound(rule="RS-13", start=Start(column="ended")),)
    house.company = replace(
        house.company,
        catalogue=shop.model_copy(
            update={
                "datasets": tuple(
                    d.model_copy(update={"binds": binds}) if d.id == "a.account" else d for d in shop.datasets
                )
            }
        ),
    )
    over = last_day(RUNS, "P6M", Counting.CALENDAR)
    day = over + timedelta(days=1)
    company(
        house,
        f"UPDATE a.account SET ended = '{RUNS}'; UPDATE a.account SET name = NULL WHERE id <= 'acct_000000000002'",
    )
    close(house, number := ready(house))

    def accounts(as_of: date) -> dict[str, int]:
        found = [k for k in residual(house.desk, number, as_of=as_of).kept if k.dataset == "a.account"]
        return {k.rule: k.items for k in found}

    assert accounts(over) == {"RS-13/main": 10}
    words = house.counts(house.night(day))["a.account"]
    assert words == {"deidentified": 7, "erased": 1}, words
    assert accounts(day) == {"key": 9}
    located.locate(house.desk, number, as_of=T0, actor="ops/wu")
    (of,) = [
        x
        for x in books.balance(house.desk, number, as_of=day, actor="ops/wu").lines
        if x.dataset == "a.account"
    ]
    assert (of.located, of.retained) == (9, 9)


def test_a_bare_key_stays_as_long_as_something_points_at_it(stopped: Stopped) -> None:
    company(stopped.house, "UPDATE a.account SET name = NULL WHERE id <= 'acct_000000000004'")
    company(stopped.house, "DELETE FROM u.visit; DELETE FROM u.click WHERE account_id = 'acct_000000000001'")
    company(stopped.house, "DELETE FROM s.note WHERE ticket_id = 1; DELETE FROM s.ticket WHERE id = 1")
    found = residual(stopped.house.desk, stopped.number)
    assert lines(found.kept)["a.account", "retain", POINTED_AT] == (3, None, None, 3)
    assert found.going["a.account"] == 7, "to the first nothing points any more"
    assert next(k.categories for k in found.kept if k.dataset == "a.account") == (), (
        "what it was about is cut"
    )


def test_the_command_says_what_stays(stopped: Stopped, today: list[Any]) -> None:
    today[0] = T0
    shown = CliRunner().invoke(command.app, ["residual", stopped.number], catch_exceptions=False)
    assert shown.exit_code == 1 and "32 items stay with" in shown.output
    assert "u.visit: 60 items are still to go to the successor" in shown.output
    asked = CliRunner().invoke(command.app, ["residual", stopped.number, "--json"], catch_exceptions=False)
    (told,) = json.loads(asked.output)
    assert asked.exit_code == 1 and told["items"] == 32 and told["moving"] == {"u.visit": 60}


def test_there_is_no_list_before_collection_is_closed(house: House) -> None:
    with pytest.raises(Refused, match="collection is not closed"):
        residual(house.desk, ready(house))
