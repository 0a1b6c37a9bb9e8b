"""Clocks that have not begun: the ordinary ones are counted, and those that nothing can begin any more are named every night."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from include.cases.retention import due, starts
from include.cases.retention.due import NEVER
from include.cases.retention.starts import Start
from include.commands import _common as common
from include.commands import build
from include.model.errors import NotReachable
from include.model.estate import Bound
from include.model.estate import Start as By
from include.stores.postgres.retention import begun
from tests.cases.retention.house import DAY, GONE, House

NEXT = DAY + timedelta(days=1)
TENTH, THIRD = (
    "acct_000000000010",
    "acct_000000000003",
)  # of whom the tenth left long ago, and the third lives


def tickets(house: House, owner: str, closed: str | None, *ids: int) -> None:
    for n in ids:
        house.company.sql("INSERT INTO s.ticket VALUES (%s, %s, %s, 'b')", n, owner, closed)


def told(house: House) -> dict[str, Start]:
    with house.desk.book() as conn:
        return {x.dataset: x for x in starts.of_night(conn, house.of_last())}


def never(house: House) -> list[str]:
    """What the last night's last task says of them."""
    return [x for x in house.left(house.of_last()) if "They are never due" in x]


@pytest.mark.parametrize("index", [False, True])
def test_a_row_that_was_never_closed_and_whose_owner_left_is_named_and_that_of_one_who_lives_is_counted(
    house: House, index: bool
) -> None:
    if index:
        house.company.sql("CREATE INDEX ON s.ticket (closed)")
    tickets(house, TENTH, None, 101, 102)
    tickets(house, THIRD, None, 103, 104, 105)
    night = house.night()
    assert night.gone == sum(GONE.values()), "the account is cut, for its row says whose these tickets are"
    assert told(house) == {
        "a.account": Start("a.account", "ended", ("RS-01/main",), 9, 0, 0),
        "s.ticket": Start("s.ticket", "closed", ("RS-12/main",), 5, 0, 2),
    }
    assert never(house) == ["s.ticket: " + NEVER.format(2)]
    house.night(NEXT)
    assert never(house) == ["s.ticket: " + NEVER.format(2)], "every night, until somebody mends it"
    house.company.sql("UPDATE s.ticket SET closed = '2025-01-01' WHERE account_id = %s", TENTH)
    house.night(NEXT + timedelta(days=1))
    assert (never(house), told(house)["s.ticket"].not_started) == ([], 3)
    assert house.company.sql("SELECT count(*) FROM s.ticket WHERE account_id = %s", TENTH) == [(0,)]


def test_one_whose_owner_left_lately_is_no_finding_yet(house: House) -> None:
    house.company.sql("UPDATE a.account SET ended = %s WHERE id = %s", DAY - timedelta(days=89), TENTH)
    tickets(house, TENTH, None, 101)
    house.night()
    assert never(house) == []
    house.night(NEXT)
    assert len(never(house)) == 1


def test_a_child_s_owner_is_found_by_way_of_its_parent(house: House) -> None:
    tickets(house, TENTH, "2026-11-20", 101)
    house.company.sql("INSERT INTO s.note VALUES (101, 101, NULL)")
    house.night()
    assert never(house) == ["s.note: " + NEVER.format(1)]


def test_where_the_account_s_end_ends_it_too_only_a_row_of_nobody_can_never_begin(house: House) -> None:
    cat = house.company.catalogue
    both = (Bound(rule="RS-12", start=By(column="closed")), Bound(rule="RS-12"))
    house.company.catalogue = cat.model_copy(
        update={"datasets": tuple(d.model_copy(update={"binds": both}) if d.id == "s.ticket" else d for d in cat.datasets)}
    )  # fmt: skip
    house.company.sql("UPDATE a.account SET ended = '2026-06-01' WHERE id = %s", TENTH)
    tickets(house, TENTH, None, 101)
    house.company.sql("ALTER TABLE s.ticket DROP CONSTRAINT IF EXISTS ticket_account_id_fkey")
    house.company.sql(
        "INSERT INTO s.ticket VALUES (102, 'acct_that_is_none', NULL, 'b'), (103, NULL, NULL, 'b')"
    )
    house.night()
    assert told(house)["s.ticket"] == Start("s.ticket", "closed", ("RS-12/main",), 3, 0, 1), (
        "a guest's may be open"
    )


def test_what_could_not_be_counted_is_said_and_the_rest_is_judged(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(server: Any, connection: Any, it: Any, rows: int) -> Any:
        if it.dataset.id == "s.ticket":
            raise NotReachable("the statement took too long", about="s.ticket")
        return begun.begun(server, connection, it, rows)

    monkeypatch.setattr(due, "begun", slow)
    night = house.night()
    assert house.counts(night)["s.ticket"]["erased"] > 0
    assert any("could not be counted (the statement took too long)" in x for x in house.left(night))


def test_a_start_ahead_is_counted_and_one_of_a_far_year_is_named(house: House) -> None:
    tickets(house, THIRD, "2029-01-01", 101)
    tickets(house, THIRD, "2999-01-01", 102, 103)
    house.company.sql("UPDATE a.account SET ended = '2999-01-01' WHERE id = 'acct_000000000005'")
    house.night()
    assert told(house)["s.ticket"] == Start("s.ticket", "closed", ("RS-12/main",), 0, 3, 2)
    assert told(house)["a.account"] == Start("a.account", "ended", ("RS-01/main",), 8, 1, 1)
    assert sorted(never(house)) == ["a.account: " + NEVER.format(1), "s.ticket: " + NEVER.format(2)]


def test_a_night_asks_no_more_statements_for_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """They come with the answer of what looks for dates that are none."""
    from include.cases.retention import due
    from include.cases.retention.seen import look

    asked = list[str]()
    monkeypatch.setattr(due, "unreadable", lambda *_: asked.append("unreadable") or 0)
    look(house.desk, DAY, starts=True)
    assert asked == []
    look(house.desk, DAY)
    assert len(asked) == 5


def test_the_command_and_the_ledger_tell_them(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "desk", lambda: house.desk)
    tickets(house, TENTH, None, 101, 102)
    house.night()
    assert house.ledger[-1][1]["never_started"] == 2
    said = CliRunner().invoke(build(), ["retention", "starts"])
    assert said.exit_code == 1
    (line,) = [x.split() for x in said.output.splitlines() if x.startswith("s.ticket")]
    assert line == ["s.ticket", "closed", "RS-12/main", "2", "0", "2"]
    tickets_closed = "UPDATE s.ticket SET closed = '2025-01-01' WHERE account_id = %s"
    house.company.sql(tickets_closed, TENTH)
    house.night(NEXT)
    assert CliRunner().invoke(build(), ["retention", "starts"]).exit_code == 0
