"""Holds over their life: reviewed on paper, narrowed, released; killed half-way; and beside support's own work."""

from __future__ import annotations

import threading
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from include.cases import book, holds, releasing, units, verbs
from include.cases.keys import FileKeyStore
from include.cases.scopes import HoldBasis, HoldOrder, Scope
from include.cases.workdays import DEFAULT
from include.model.errors import QuietusError, Refused
from include.model.words import UnitState
from tests.cases.small import TODAY, World, world
from tests.cases.test_verbs import approved, carried_out, hold, on, opened, rested
from tests.stores.postgres.making import dataset, own

pytestmark = pytest.mark.postgres
DAY = timedelta(days=1)
EVERYTHING = frozenset({"PI-060"})


@pytest.fixture
def w(writer: str, tmp_path: Path) -> World:
    return world(writer, FileKeyStore(tmp_path / "keys", b"k" * 32))


def look(w: World, as_of: date) -> releasing.Reviews:
    return releasing.look(w.desk, as_of=as_of, actor="system/airflow")


def held(w: World, case_no: str) -> set[str]:
    with w.desk.book() as conn:
        return {u.dataset for u in units.of_case(conn, case_no) if u.state is UnitState.HELD}


def test_a_hold_is_reviewed_every_six_months_on_paper_and_late_is_an_alarm(w: World) -> None:
    number = hold(w, approved(w), categories=EVERYTHING)
    due = date(2027, 5, 24)
    assert look(w, due).late == () and look(w, due + DAY).late == (number,)
    assert number not in str(look(w, due + DAY)) and str(look(w, due + DAY)).startswith("1 past their review")
    assert verbs.review_hold(w.desk, number, document="(2027) review 1", **on(due)) == date(2027, 11, 24)
    assert look(w, due + DAY).late == ()
    with w.desk.book() as conn:
        (told,) = holds.reviews(conn, number)
        assert (told["what"], told["document"], told["review_due"]) == (
            "reviewed",
            "(2027) review 1",
            date(2027, 11, 24),
        )
        assert told["reviewed_by"] == on()["actor"]


@pytest.mark.parametrize("scope", [{"datasets": frozenset({"web.log"})}, {"categories": EVERYTHING}])
def test_a_hold_on_a_kind_of_data_reaches_every_case_that_has_some(
    w: World, scope: dict[str, frozenset[str]]
) -> None:
    """Whosever it is; the case says so, keeps it, and goes on when the hold is released."""
    order = {"basis": "authority", "document_no": "1", "issuing_body": "b", "law": "policy 5.2(3)"}
    case_no = approved(w)
    verbs.restrict(w.desk, case_no, **on())
    verbs.settle_and_plan(w.desk, case_no, **on())
    number = verbs.open_hold(w.desk, **order, **scope, **on())
    with w.desk.book() as conn:
        noted = [e["detail"] for e in book.timeline(conn, case_no) if e["what"] == "hold opened"]
        (told,) = holds.listing(conn)
    assert noted == [{"hold": number, "while_disposing": False}] and told["everybody"]
    rested(w, case_no)
    covered = {d.id for d in w.desk.catalogue.datasets if Scope(**scope).covers(d)}
    assert held(w, case_no) and held(w, case_no) <= covered
    assert verbs.release_hold(w.desk, number, document="2", **on()) == (case_no,)
    with pytest.raises(Refused):
        verbs.narrow_hold(w.desk, number, without=Scope(**scope), document="3", **on())


@pytest.mark.parametrize("document", ["", "  ", "13800138000"])
def test_a_review_rests_on_a_paper_that_names_nobody(w: World, document: str) -> None:
    number = hold(w, approved(w))
    with pytest.raises(Refused):
        verbs.review_hold(w.desk, number, document=document, **on(TODAY))
    with w.desk.book() as conn:
        assert holds.reviews(conn, number) == []


def test_a_released_hold_is_not_reviewed(w: World) -> None:
    number = hold(w, approved(w))
    verbs.release_hold(w.desk, number, document="2", **on(TODAY))
    with pytest.raises(Refused, match="no such open hold"):
        verbs.review_hold(w.desk, number, document="3", **on(TODAY))


def test_the_clock_runs_again_at_release_and_a_case_left_alone_is_late_after_a_working_day(w: World) -> None:
    case_no = approved(w)
    number = hold(w, case_no, categories=EVERYTHING)
    rested(w, case_no)
    assert held(w, case_no)
    friday = date(2026, 11, 27)
    assert verbs.release_hold(w.desk, number, document="2", **on(friday)) == (case_no,)
    monday = DEFAULT.after(friday, 1).day
    assert monday == date(2026, 11, 30)
    assert look(w, monday).waiting == () and look(w, monday + DAY).waiting == (case_no,)
    carried_out(w, case_no)
    assert look(w, monday + 30 * DAY).waiting == ()


def test_a_release_that_was_killed_half_way_is_finished_by_the_next_look(
    w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    case_no = approved(w)
    number = hold(w, case_no, categories=EVERYTHING)
    rested(w, case_no)
    kept = held(w, case_no)

    def killed(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(releasing, "roll_up", killed)
    with pytest.raises(KeyboardInterrupt):
        verbs.release_hold(w.desk, number, document="2", **on(TODAY))
    monkeypatch.undo()
    assert held(w, case_no) == kept
    assert look(w, TODAY).freed == (case_no,) and held(w, case_no) == set()
    assert look(w, TODAY).freed == ()


def test_what_a_narrowed_hold_no_longer_covers_goes_and_the_rest_is_held_again(w: World) -> None:
    case_no = approved(w)
    number = hold(w, case_no, datasets=frozenset({"web.log", "scan.image"}))
    rested(w, case_no)
    assert held(w, case_no) == {"web.log", "scan.image"}
    without = Scope(datasets=frozenset({"scan.image"}))
    assert verbs.narrow_hold(w.desk, number, without=without, document="3", **on(TODAY)) == (case_no,)
    carried_out(w, case_no)
    verbs.rest(w.desk, case_no, **on(TODAY))
    assert held(w, case_no) == {"web.log"}
    with w.desk.book() as conn:
        assert [r["what"] for r in holds.reviews(conn, number)] == ["narrowed"]
        assert [e["detail"] for e in book.timeline(conn, case_no) if e["what"] == "hold narrowed"] == [
            {"hold": number}
        ]


@pytest.mark.parametrize(
    "without",
    [Scope(), Scope(categories=frozenset({"PI-060"})), Scope(datasets=frozenset({"web.log"})),
     Scope(cases=frozenset({"CASE-000001"})), Scope(datasets=frozenset({"scan.image"}))],
    ids=["nothing", "another side", "all that it covers", "everybody", "not its own"],
)  # fmt: skip
def test_a_hold_is_never_narrowed_into_everything(w: World, without: Scope) -> None:
    number = hold(w, approved(w), datasets=frozenset({"web.log"}))
    with pytest.raises(Refused):
        verbs.narrow_hold(w.desk, number, without=without, document="3", **on(TODAY))
    with w.desk.book() as conn:
        assert holds.order(conn, number).scope.datasets == {"web.log"} and holds.reviews(conn, number) == []


def test_holds_and_releases_beside_a_disposal_of_the_same_person_lose_nothing(
    w: World, database: str
) -> None:
    """Support works on the case, legal opens, narrows and releases, all at once: in the end every item has one state, and
    nothing that the last hold covers went after it was there."""
    case_no = approved(w)
    failures: list[BaseException] = []

    def legal(n: int) -> None:
        try:
            number = hold(w, case_no, datasets=frozenset({"web.log"}))
            verbs.review_hold(w.desk, number, document=f"review {n}", **on(TODAY))
            verbs.release_hold(w.desk, number, document=f"release {n}", **on(TODAY))
        except BaseException as error:
            failures.append(error)

    def support() -> None:
        for _ in range(6):
            try:
                carried_out(w, case_no)
                return
            except QuietusError:
                continue  # drifted, or being disposed of by somebody else: as Airflow does, try again

    people = [threading.Thread(target=legal, args=(n,)) for n in range(4)] + [
        threading.Thread(target=support)
    ]
    for p in people:
        p.start()
    for p in people:
        p.join()
    assert failures == []
    last = hold(w, case_no, datasets=frozenset({"web.log"}))
    there = look(w, TODAY)
    assert there.late == ()
    with psycopg.connect(database) as conn:
        assert conn.execute("SELECT count(*) FROM casebook.hold WHERE released_on IS NULL").fetchone() == (1,)
        stray = conn.execute(
            "SELECT count(*) FROM casebook.unit WHERE state = 'held' AND hold <> %s", (last,)
        )  # fmt: skip
        assert stray.fetchone() == (0,)


def test_a_case_that_is_open_but_was_never_held_is_not_waited_for(w: World) -> None:
    opened(w)
    assert look(w, TODAY + 60 * DAY).waiting == ()


def test_a_hold_that_came_covers_what_bears_its_number_and_nothing_else() -> None:
    came = Scope(came=frozenset({"Old CA/SO-000001/HOLD-000003"}))
    assert not came.empty and not came.everybody and came.subject_nos("CASE-000001", ("a", "b")) == ()
    assert came.within(Scope(came=came.came | {"Old CA/SO-000001/HOLD-000004"})) and not Scope().within(came)
    assert not came.within(Scope(came=frozenset({"New CA/SO-000001/HOLD-000003"}))), (
        "another authority's of this number"
    )
    assert not Scope(subjects=frozenset({"aa"})).within(came)
    held = HoldOrder("HOLD-000007", HoldBasis.COURT, "law", came).held(
        dataset("web.log", "id", own("id")), "CASE-000001", ("a",)
    )
    assert held is not None and (held.subject_nos, held.came) == ((), ("Old CA/SO-000001/HOLD-000003",))
