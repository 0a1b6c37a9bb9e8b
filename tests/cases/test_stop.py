"""The emergency stop: whatever disposes stands still before its next piece, restricted as it is, and lifted it goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from include.cases import assembling, verbs
from include.cases.keys import FileKeyStore
from include.cases.retention import stopping
from include.cases.rooms import Desk
from include.model.errors import Stopped
from include.model.words import Ground
from tests.cases.small import TODAY, World, world
from tests.cases.test_rest import ON, PEOPLE, PERSON, SHOP, Night, nothing
from tests.cases.test_verbs import approved, on
from tests.stores.postgres import making
from tests.stores.postgres.conftest import new_company
from tests.stores.postgres.making import Company

__all__ = ["new_company"]
pytestmark = pytest.mark.postgres
OPS = "ops/zhao"


@pytest.fixture
def w(writer: str, tmp_path: Path) -> World:
    return world(writer, FileKeyStore(tmp_path / "keys", b"k" * 32))


def stop(desk: Desk) -> None:
    with desk.book() as conn:
        stopping.stop(conn, "an incident", actor=OPS)


def lift(desk: Desk) -> None:
    with desk.book() as conn:
        assert stopping.lift(conn, actor=OPS)


def test_a_case_that_was_opened_before_is_restricted_all_the_same_and_nothing_of_it_goes(w: World) -> None:
    case_no = approved(w)
    stop(w.desk)
    verbs.restrict(w.desk, case_no, **on())
    verbs.settle_and_plan(w.desk, case_no, **on())
    with pytest.raises(Stopped, match=r"disposing is stopped by ops/zhao .*an incident"):
        verbs.dispose(w.desk, case_no, **on())
    with w.desk.book() as conn:
        assert not conn.execute("SELECT FROM casebook.tombstone").fetchall(), "not even the tombstone"
    for store in (w.main, w.files):
        assert [r.verb for r in store.kept] == ["restrict"] and store.restricted
    lift(w.desk)
    assert {r.store for r in verbs.dispose(w.desk, case_no, **on())} == {w.main.id, w.files.id}


def test_stopped_after_the_first_store_the_second_keeps_its_items_until_it_is_lifted(
    w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    case_no = approved(w)
    verbs.restrict(w.desk, case_no, **on())
    verbs.settle_and_plan(w.desk, case_no, **on())
    first, second = w.desk.stores()
    carry_out = first.dispose

    def then_somebody_stops(*args: object) -> object:
        done = carry_out(*args)  # type: ignore[arg-type]
        stop(w.desk)
        return done

    monkeypatch.setattr(first, "dispose", then_somebody_stops)
    with pytest.raises(Stopped):
        verbs.dispose(w.desk, case_no, **on())
    assert [r.verb for r in second.kept] == ["restrict"]  # type: ignore[attr-defined]
    monkeypatch.undo()
    lift(w.desk)
    verbs.dispose(w.desk, case_no, **on())
    assert [[r.verb for r in x.kept] for x in (first, second)] == [["restrict", "dispose"]] * 2  # type: ignore[attr-defined]


def test_between_two_chunks_of_a_database_it_stands_still_and_goes_on_there(
    writer: str, tmp_path: Path, new_company: Callable[..., Company]
) -> None:
    shop = new_company(SHOP, making.SCHEMA + PEOPLE, "shop8_named")
    night = Night(world(writer, FileKeyStore(tmp_path / "keys", b"k" * 32), lambda: SHOP).desk, shop)
    night.case_no = verbs.open_own_initiative(
        night.desk(), [PERSON(2), PERSON(5)], ground=Ground.MINOR, trigger_user="system/nightly", as_of=TODAY
    ).case_no
    for verb in (verbs.rehearse, verbs.restrict, verbs.settle_and_plan):
        verb(night.desk(), night.case_no, **ON)

    def stops(point: str) -> None:
        if point == "dispose.after_commit":
            stop(night.book)

    def desk(at: Callable[[str], None]) -> Desk:
        store = shop.store(chunk_subjects=1, at=at, may_go_on=night.book.may_go_on)
        return replace(night.book, stores=lambda: (store,))

    def here() -> list[int]:
        return [
            shop.value("SELECT count(*) FROM account.session WHERE account_id = %s", PERSON(n))
            for n in (2, 5)
        ]

    before = here()
    assert all(before)
    with pytest.raises(Stopped):
        verbs.dispose(desk(stops), night.case_no, **ON)
    assert sorted(here()) == [0, before[0]], "the first chunk is through, the second was not begun"
    lift(night.book)
    verbs.dispose(desk(nothing), night.case_no, **ON)
    assert here() == [0, 0]


def test_the_stores_of_a_real_desk_ask_its_book(w: World, monkeypatch: pytest.MonkeyPatch) -> None:
    handed: list[Callable[[], None]] = []
    monkeypatch.setattr(assembling, "faithful", lambda *_: None)
    monkeypatch.setattr(assembling, "pasts", lambda *_: ())
    monkeypatch.setattr(assembling, "stores", lambda _c, _at, asks: handed.append(asks) or ())
    monkeypatch.setattr(assembling.FileKeyStore, "from_text", lambda *_: w.desk.keys)
    there = SimpleNamespace(text=lambda _: "", postgres=w.desk.connections.postgres)
    assembling.desk(there, w.desk.catalogue).stores()  # type: ignore[arg-type]
    handed[0]()
    stop(w.desk)
    with pytest.raises(Stopped):
        handed[0]()
