"""Two runs of packing for one order: one packs, the other waits for it; and whatever becomes of their turns, a file that has its
name is the one that the book is about."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

from include.cases import book, turns
from include.handover import packing
from include.model.errors import NotReachable
from tests.handover.both import ORDER, TABLES, Both


class Died(Exception):
    """The other run came no further."""


@pytest.fixture
def short(both: Both, monkeypatch: pytest.MonkeyPatch) -> Both:
    both.datasets = (TABLES[3],)
    monkeypatch.setattr(book, "_TIMEOUTS", "-c lock_timeout=200ms")
    return both


def other_run_dies(both: Both, point: str, said: list[Exception]) -> Callable[[str], None]:
    """When the first run has come to the point, another one begins, and dies there."""
    began: list[str] = []

    def dies(here: str) -> None:
        if here == point:
            raise Died

    def at(here: str) -> None:
        if here != point or began:
            return
        began.append(here)
        with pytest.raises((Died, NotReachable)) as of:
            both.at(dies).pack()
        said.append(of.value)

    return at


def is_whole(both: Both) -> None:
    for name, said in both.statements().items():
        file = both.home / "out" / ORDER / f"{name}.cms"
        assert hashlib.sha256(file.read_bytes()).hexdigest() == said.sha256, (
            f"{name} is not what the book has"
        )
    both.send()
    got = both.receive()
    assert not got.refused, got.refused
    assert {b.name: b.statement.root for b in both.bags()} == {r.bag: r.root for r in got.receipts}


@pytest.mark.parametrize("point", ["handover.piece", "handover.sealed"])
def test_another_run_waits_and_touches_nothing(short: Both, point: str) -> None:
    said: list[Exception] = []
    short.at(other_run_dies(short, point, said)).pack()
    is_whole(short)
    assert "being packed by another run" in str(*said)


@pytest.mark.parametrize("point", ["handover.piece", "handover.sealed"])
def test_a_turn_that_was_lost_ruins_nothing(short: Both, point: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server went away, and with it the turn: the later run takes away what the first one had begun, which says so."""
    monkeypatch.setattr(turns, "waited", lambda *_: True)
    said: list[Exception] = []
    with pytest.raises(NotReachable, match="a later run took away"):
        short.at(other_run_dies(short, point, said)).pack()
    assert [type(x) for x in said] == [Died]
    short.pack()
    is_whole(short)


def test_of_two_that_sealed_the_same_bag_the_first_to_say_so_has_it(
    short: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "waited", lambda *_: True)
    monkeypatch.setattr(packing, "swept", lambda _: None)
    began: list[str] = []

    def at(here: str) -> None:
        if here == "handover.sealed" and not began:
            began.append(here)
            assert not short.pack().left

    outcome = short.at(at).pack()
    assert any("another run packed it meanwhile" in why for why in outcome.left.values())
    is_whole(short)


def test_what_was_made_later_waits_for_its_turn_too(short: Both) -> None:
    short.pack()
    with short.book() as conn:
        # The server may not have ended the session of the run before yet.
        conn.execute("SET lock_timeout = '20s'")
        assert turns.waited(conn, f"casebook.shutdown bags {ORDER}")
        with pytest.raises(NotReachable, match="being packed by another run"):
            packing.later(short.room, short.consignment)
