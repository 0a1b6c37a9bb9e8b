"""A store that is away when a night begins: the night waits for it while it may, and never calls what it did not see a zero."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from include.cases.retention import night as nightly
from include.cases.retention import nights
from include.cases.retention.objects import Partly
from include.cases.retention.silent import Silent, silent, why
from include.catalogue import load
from include.commands import _common as common
from include.commands import build
from include.model.errors import CatalogueError, NotReachable
from include.model.words import Role
from include.stores.postgres.server import Busy
from tests.cases.retention.house import DAY, DUE, GONE, ROBOT, House

NEXT = DAY + timedelta(days=1)


@contextmanager
def away() -> Iterator[None]:
    """Nobody listens where the company's database is said to be."""
    there = House.postgres

    def postgres(house: House, connection: str, role: Role) -> str:
        known = there(house, connection, role)
        return known if connection == "records" else "host=127.0.0.1 port=1 connect_timeout=2"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(House, "postgres", postgres)
        yield


def began(house: House) -> list[nights.Night]:
    with house.desk.book() as conn:
        return nights.latest(conn)


def test_a_night_is_not_begun_while_a_store_is_silent_and_may_answer_yet(house: House) -> None:
    with away(), pytest.raises(NotReachable, match="nobody knows what of it is due") as said:
        nightly.begin(house.desk, as_of=DAY, actor=ROBOT, patiently=True)
    assert "store company" in str(said.value) and "Next: " in str(said.value)
    assert began(house) == [] and house.ledger == []
    night = nightly.begin(house.desk, as_of=DAY, actor=ROBOT, patiently=True)
    assert night.due == sum(DUE.values())


def test_one_that_found_nothing_and_was_killed_is_not_ended_while_a_store_is_silent(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.company.sql("TRUNCATE s.note, s.ticket, u.visit, u.click, a.account CASCADE")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(nightly, "keep", _dies)
        nightly.begin(house.desk, as_of=DAY, actor=ROBOT)
    with away(), pytest.raises(NotReachable):
        nightly.begin(house.desk, as_of=NEXT, actor=ROBOT, patiently=True)
    (stuck,) = began(house)
    assert stuck.ended_at is None and house.ledger == []


def _dies(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def test_the_last_try_and_a_command_go_on_and_say_what_nobody_could_see(house: House) -> None:
    with away():
        night = house.night()
    assert (night.case_no, night.due, night.gone) == (None, 0, 0)
    (said,) = [body for kind, body, _ in house.ledger if kind == "night"]
    assert said["unverified"] == len(DUE)
    left = house.left(night)
    assert len(left) == len(DUE) and all("u.visit" not in x or "answer" in x or "reach" in x for x in left)
    later = house.night(NEXT)
    assert later.gone == sum(GONE.values()), "what nobody saw is the next night's"
    assert [body["unverified"] for kind, body, _ in house.ledger if kind == "night"] == [len(DUE), 0]


def test_one_table_that_cannot_be_asked_is_no_store_that_is_silent(house: House) -> None:
    house.company.sql("DROP TABLE u.click")
    night = nightly.begin(house.desk, as_of=DAY, actor=ROBOT, patiently=True)
    assert night.due == sum(DUE.values()) - DUE["u.click"]


def test_a_table_that_somebody_has_locked_is_no_server_that_is_away() -> None:
    gone = NotReachable("no answer", about="store company", next_step="wait")
    locked = Busy("a lock", about="u.visit", next_step="wait")
    wrong = CatalogueError("no such bucket", about="objects", next_step="make it")
    assert [isinstance(why(x), Silent) for x in (gone, locked, wrong)] == [True, False, False]
    assert [why(x) for x in (gone, locked, wrong)] == [str(gone), str(locked), str(wrong)]


def test_a_store_is_silent_if_nothing_of_it_was_seen_and_a_server_is_why() -> None:
    catalogue = load().in_parts
    ids = [d.id for d in catalogue.of_store("objects")]
    assert len(ids) > 2
    every = dict.fromkeys(ids, Silent("no answer"))
    assert silent(catalogue, every) == {"objects": "no answer"}
    assert silent(catalogue, every | {ids[0]: "not bound"}) == {"objects": "no answer"}
    assert silent(catalogue, every | {ids[0]: Partly("7 lead to nobody")}) == {}
    assert silent(catalogue, {d: w for d, w in every.items() if d != ids[0]}) == {}
    assert silent(catalogue, dict.fromkeys(ids, "not bound")) == {}
    assert silent(catalogue, {}) == {}


def test_the_command_line_says_it(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "desk", lambda: house.desk)
    with away():
        done = CliRunner().invoke(build(), ["retention", "night"], env={"COLUMNS": "200"})
    assert done.exit_code == 1 and f"UNVERIFIED {len(DUE)}" in done.output and "u.visit" in done.output
    table = CliRunner().invoke(build(), ["retention", "nights"], env={"COLUMNS": "200"})
    assert "unverified" in table.output.splitlines()[0]
    told = json.loads(CliRunner().invoke(build(), ["retention", "nights", "--json"]).output)
    assert [n["unverified"] for n in told["nights"]] == [len(DUE)]
