"""Waiting for backups: by nights, looked at once for everybody, and ended only by what is seen."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from include.backups.horizon import ARCHIVE
from include.cases import backups, book, epochs, horizon, papers, settling, verbs
from include.cases.keys import FileKeyStore
from include.cases.rooms import Desk, no_tool
from include.ledger import verify
from include.model.backups import BackupCopy, Copies, CopyOf, WalArchive
from include.model.errors import NotReachable
from include.model.times import prc_date
from include.model.words import CaseState, UnitState
from tests.cases.small import TODAY, WANG, World, world
from tests.cases.test_verbs import approved, carried_out, issued, on, proved, rested

pytestmark = pytest.mark.postgres

DAY = timedelta(days=1)
MADE = datetime.now(UTC)


@pytest.fixture
def keys(tmp_path) -> FileKeyStore:
    return FileKeyStore(tmp_path / "keys", b"k" * 32)


@pytest.fixture
def w(writer: str, keys: FileKeyStore) -> World:
    return world(writer, keys)


def copy(name: str, start: int | None, made: datetime = MADE, **more: Any) -> BackupCopy:
    return BackupCopy(name, CopyOf.FULL, start, None, 1, made, made, "x", **more)


def here() -> date:
    """What is observed is observed now, whatever day is played: a run may begin on one day and end on another."""
    return prc_date(datetime.now(UTC))


def waits(w: World, case_no: str) -> dict[str, dict[str, Any]]:
    with w.desk.book() as conn:
        return {row["backup_set"]: row for row in epochs.of_case(conn, case_no)}


def look(w: World, as_of: date = TODAY) -> backups.Looked:
    return backups.look(w.desk, **on(as_of))


def nights(w: World) -> list[dict[str, Any]]:
    with w.desk.book() as conn:
        return conn.execute(
            "SELECT e.*, (SELECT count(*) FROM casebook.epoch_step s WHERE s.epoch_id = e.epoch_id) AS steps"
            " FROM casebook.epoch e WHERE store = 'main' ORDER BY opened_on, no"
        ).fetchall()


def moves(w: World, case_no: str, what: str) -> list[dict[str, Any]]:
    with w.desk.book() as conn:
        return [e for e in book.timeline(conn, case_no) if e["what"] == what]


def test_the_date_is_there_on_day_one_with_what_sets_it(w: World) -> None:
    w.copies["nightly"] = Copies(
        (copy("full-1", 500), copy("full-2", 900)), WalArchive(480, 1000, 3), system=7
    )
    case_no = approved(w)
    rested(w, case_no)
    night = waits(w, case_no)["nightly"]
    assert night["holding"] == [ARCHIVE, "full-1", "full-2"]
    assert night["state"] == UnitState.BACKUP_PENDING
    assert night["horizon"] == here() + 35 * DAY
    assert night["because"].startswith("full-2 until ")
    dumps = waits(w, case_no)["files"]
    assert dumps["horizon"] == TODAY + 7 * DAY, "what cannot be asked now has its own period"
    assert "cannot be asked" in dumps["because"]
    with w.desk.book() as conn:
        beyond = horizon.of_case(conn, w.desk.catalogue, case_no)
    assert beyond is not None and "sms has not answered" in beyond.because
    assert f"not before {here() + 35 * DAY} (backup set nightly: full-2 until" in beyond.because


@pytest.mark.parametrize("killed", [False, True])
def test_a_night_reaches_as_far_as_the_step_area_that_named_people(w: World, killed: bool) -> None:
    case_no = approved(w)
    carried_out(w, case_no)
    proved(w, case_no)
    verbs.open_backup_track(w.desk, case_no, **on())
    dropped: list[int] = []
    w.main.meanwhile["close"] = lambda: dropped.append(w.main.position)
    if killed:

        def dies() -> None:
            raise KeyboardInterrupt

        w.main.meanwhile["history"] = dies
        with pytest.raises(KeyboardInterrupt):
            verbs.rest(w.desk, case_no, **on())
    verbs.rest(w.desk, case_no, **on())
    (night,) = nights(w)
    assert night["position"] > dropped[0], "a copy that was begun before it was dropped holds account ids"
    assert night["steps"] == 1
    before = night["position"]
    verbs.rest(w.desk, case_no, **on())
    assert nights(w)[0]["position"] == before, "at rest, nothing more happens"


def test_what_was_settled_before_the_step_area_was_dropped_is_waited_for_anew(w: World) -> None:
    case_no = approved(w)
    carried_out(w, case_no)
    proved(w, case_no)
    verbs.open_backup_track(w.desk, case_no, **on())
    w.backups_expire(TODAY)
    held = w.main.position + 1  # begun after the night, and before the area is dropped
    w.copies["nightly"] = Copies((copy("full-2", held),), system=7)
    verbs.rest(w.desk, case_no, **on())
    assert [n["no"] for n in nights(w)] == [1, 2]
    assert waits(w, case_no)["nightly"]["holding"] == ["full-2"]
    w.backups_expire(TODAY)
    assert {r["state"] for r in waits(w, case_no).values()} == {UnitState.BACKUP_PURGED}


def test_two_cases_of_a_night_wait_together_and_one_of_the_next_apart(w: World) -> None:
    first, second = approved(w), approved(w, account=WANG)
    rested(w, first)
    carried_out(w, second)
    for _ in range(2):  # a task that is run again changes nothing
        verbs.open_backup_track(w.desk, second, **on())
    (night,) = nights(w)
    assert night["steps"] == 2
    assert night["position"] > 1000, "read after the commit"
    w.backups_expire(TODAY)
    assert {r["state"] for r in waits(w, first).values()} == {UnitState.BACKUP_PURGED}
    # What comes later on the same day is not covered by what was seen: it has a night of its own.
    with w.desk.book() as conn, book.deed(conn, second):
        case = book.case(conn, second, lock=True)
        step = papers.open_step(conn, case, "live", TODAY, True)
        epochs.enter(
            conn, case, step.step_id, "main", w.main.history(), last_deed=datetime.now(UTC),
            sets=w.desk.catalogue.backups[:1], rewrite=False, **on(),
        )  # fmt: skip
    assert [n["no"] for n in nights(w)] == [1, 2]
    assert waits(w, second)["nightly"]["state"] == UnitState.BACKUP_PENDING


def test_only_what_is_seen_ends_a_wait_and_the_ledger_shows_it(w: World) -> None:
    w.copies["nightly"] = Copies((copy("full-1", 500),), system=7)
    w.copies["files"] = Copies((copy("d-1", None, MADE - DAY),))
    case_no = approved(w)
    rested(w, case_no)
    late = here() + 40 * DAY
    looked = look(w, late)
    assert waits(w, case_no)["nightly"]["state"] == UnitState.BACKUP_PENDING
    assert [said for said in looked.overdue if "full-1" in said], "expected is not observed: it is an alarm"
    (night,) = nights(w)
    w.copies["nightly"] = Copies((copy("full-2", night["position"] + 1),), system=7)
    assert look(w, late).gone == {"nightly": 1}
    assert waits(w, case_no)["nightly"]["purged_on"] == late
    (kind, no, said), = [v for k, v in w.said.items() if ":nightly:" in k]  # fmt: skip
    assert (kind, no) == ("copies", None)
    assert not list(verify.reaching_back(said, "nightly")), "whoever verifies sees the same"
    assert look(w, late).gone == {}
    assert len(moves(w, case_no, "backup purged")) == 1
    w.copies["files"] = Copies((copy("d-2", None, datetime.now(UTC) + DAY),))
    assert look(w, late).gone == {"files": 1}


def test_a_look_that_was_cut_off_after_the_ledger_is_taken_up(w: World) -> None:
    case_no = approved(w)
    rested(w, case_no)
    w.copies |= {"nightly": Copies(()), "files": Copies(())}

    def dies(conn: Any, *args: Any) -> None:
        raise NotReachable("the case book ended the session", about="case book", next_step="try again")

    as_it_was, backups._gone = backups._gone, dies
    try:
        with pytest.raises(NotReachable):
            look(w)
    finally:
        backups._gone = as_it_was
    assert len([k for k in w.said if k.startswith("copies:")]) == 1
    assert sum(look(w).gone.values()) == 2
    assert {r["state"] for r in waits(w, case_no).values()} == {UnitState.BACKUP_PURGED}


def test_a_pin_moves_the_date_out_and_everybody_is_told_once(w: World) -> None:
    base = Copies((copy("full-1", 500),), system=7)
    w.copies["nightly"] = base
    case_no = approved(w)
    rested(w, case_no)
    assert not moves(w, case_no, "horizon moved")
    w.copies["nightly"] = Copies((copy("full-1", 500, pinned="kept by hand"),), system=7)
    assert look(w).moved == {"nightly": 1}
    (moved,) = moves(w, case_no, "horizon moved")
    assert moved["detail"]["to"] == "open" and "full-1 is pinned (kept by hand)" in moved["detail"]["because"]
    assert look(w).moved == {}
    w.copies["nightly"] = base
    assert look(w).moved == {}, "a date that comes nearer is no event"
    assert waits(w, case_no)["nightly"]["horizon"] == here() + 35 * DAY
    assert len(moves(w, case_no, "horizon moved")) == 1


@pytest.mark.parametrize("what", ["timeline", "system", "counter", "position"])
def test_after_a_failover_a_night_is_read_again_and_after_a_restore_it_waits(w: World, what: str) -> None:
    case_no = approved(w)
    rested(w, case_no)
    before = nights(w)[0]["position"]
    w.copies |= {"files": Copies(())}
    w.copies["nightly"] = Copies(
        (replace(copy("full-9", 10**9), timeline=w.main.timeline + (what == "timeline")),)
    )
    setattr(w.main, what, {"timeline": 2, "system": 8, "counter": 0, "position": 1}[what])
    w.main.lost = {f"case_{case_no[-6:]}_s1"}  # it was restored to before it
    looked = look(w)
    assert waits(w, case_no)["nightly"]["state"] == UnitState.BACKUP_PENDING
    assert waits(w, case_no)["nightly"]["horizon"] is None
    assert any("was restored to before 1 nights" in said for said in looked.unread)
    w.main.lost = set()  # it failed over, and all is there
    look(w)
    after = nights(w)[0]
    assert (after["timeline"], after["system"]) == (w.main.timeline, w.main.system)
    assert after["position"] != before
    assert waits(w, case_no)["nightly"]["state"] == UnitState.BACKUP_PURGED


def test_after_a_failover_the_log_of_the_new_server_is_waited_for(w: World) -> None:
    """Of the old one's it was seen that nothing of the night is left in it; the other has another."""
    log = w.desk.catalogue.backups[0].model_copy(update={"id": "log", "tool": backups.OWN_LOG})
    more = w.desk.catalogue.model_copy(update={"backups": (*w.desk.catalogue.backups, log)})
    w.desk = replace(w.desk, catalogue=more)
    w.copies["nightly"] = Copies((copy("full-1", 500),), system=7)
    w.copies["log"] = Copies((), WalArchive(10**9, 10**9, 1, 1), system=7)
    case_no = approved(w)
    rested(w, case_no)
    assert look(w).gone == {} and waits(w, case_no)["log"]["state"] == UnitState.BACKUP_PURGED
    (before,) = [key for key in w.said if ":log:" in key]
    w.main.timeline = 2
    w.copies["log"] = Copies((), WalArchive(900, 10**9, 9, 2), system=7)
    look(w)
    row = waits(w, case_no)["log"]
    assert (row["state"], row["holding"]) == (UnitState.BACKUP_PENDING, [ARCHIVE])
    assert len(moves(w, case_no, "log waited for again")) == 1
    look(w)
    assert len(moves(w, case_no, "log waited for again")) == 1, "once for a history"
    w.copies["log"] = Copies((), WalArchive(10**9, 10**9, 1, 2), system=7)
    assert look(w).gone == {"log": 1}
    (after,) = waits(w, case_no)["log"]["ledger_keys"]
    body = w.said[after][2]
    assert after != before and body["supersedes"] == [before] and body["timeline"] == 2
    assert not list(verify.reaching_back(body, "log"))


def test_a_copy_of_another_cluster_or_of_a_later_timeline_shows_nothing(w: World) -> None:
    case_no = approved(w)
    rested(w, case_no)
    w.copies["nightly"] = Copies((copy("full-9", 10**9),), system=99)
    looked = look(w)
    assert "another cluster" in waits(w, case_no)["nightly"]["because"]
    w.copies["nightly"] = Copies((replace(copy("full-9", 10**9), timeline=2),), system=7)
    look(w)
    assert "timeline 2, on which the deed was not seen" in waits(w, case_no)["nightly"]["because"]
    assert waits(w, case_no)["nightly"]["state"] == UnitState.BACKUP_PENDING
    assert looked.gone == {}


def test_copies_made_before_the_rewrite_hold_the_bytes(w: World) -> None:
    case_no = approved(w)
    rested(w, case_no)
    with w.desk.book() as conn:
        conn.execute("UPDATE casebook.epoch SET rewrite_wanted = true WHERE store = 'main'")
    (night,) = nights(w)
    w.copies["nightly"] = Copies((copy("full-2", night["position"] + 5),), system=7)
    look(w)
    assert waits(w, case_no)["nightly"]["horizon"] == here() + 36 * DAY, (
        "the next night, and the set's period"
    )
    assert "rewritten first" in waits(w, case_no)["nightly"]["because"]
    with w.desk.book() as conn:
        conn.execute(
            "UPDATE casebook.epoch SET rewritten_position = %s, rewritten_at = now() WHERE store = 'main'",
            (night["position"] + 100,),
        )
    look(w)
    assert waits(w, case_no)["nightly"]["holding"] == ["full-2"]
    w.copies["nightly"] = Copies((copy("full-3", night["position"] + 101),), system=7)
    assert look(w).gone == {"nightly": 1}


def test_a_set_that_was_declared_since_is_waited_for_and_one_that_is_not_any_more_is_an_alarm(
    w: World,
) -> None:
    case_no = approved(w)
    rested(w, case_no)
    tape = w.desk.catalogue.backups[0].model_copy(update={"id": "tape"})
    more = w.desk.catalogue.model_copy(update={"backups": (*w.desk.catalogue.backups[1:], tape)})
    desk: Desk = replace(w.desk, catalogue=more)
    looked = backups.look(desk, **on())
    assert set(waits(w, case_no)) == {"nightly", "files", "tape"}
    assert any(
        "backup set nightly: 1 nights wait for it, and it is no longer declared" in s for s in looked.unread
    )
    with w.desk.book() as conn:
        conn.execute(
            "UPDATE casebook.epoch_set SET state = 'backup_purged', purged_on = %s, ledger_key = 'k'"
            " WHERE backup_set = 'nightly'",
            (TODAY,),
        )
        assert settling.settle(conn) == 0, "another set of the same night still waits"


def test_whose_last_set_went_is_certified_anew_once(w: World) -> None:
    case_no = approved(w)
    carried_out(w, case_no)
    proved(w, case_no)
    verbs.open_backup_track(w.desk, case_no, **on())
    assert verbs.rest(w.desk, case_no, **on()).state is CaseState.WAITING
    issued(w, case_no)
    with w.desk.book() as conn:
        assert settling.to_certify(conn) == ()
    w.copies["files"] = Copies(())
    look(w)
    with w.desk.book() as conn:
        assert settling.to_certify(conn) == ()
    w.backups_expire(TODAY)
    with w.desk.book() as conn:
        assert settling.to_certify(conn) == (case_no,)
    with w.desk.book() as conn:
        assert settling.settle(conn) == 0, "a certificate that failed is tried again"
    issued(w, case_no)
    with w.desk.book() as conn:
        assert settling.to_certify(conn) == ()
        assert settling.settle(conn) == 2
        assert settling.settle(conn) == 0


def test_a_night_that_is_over_is_put_away_though_a_case_of_it_waits_for_another(w: World) -> None:
    first = approved(w)
    rested(w, first)
    issued(w, first)
    w.backups_expire(TODAY)
    with w.desk.book() as conn:
        assert settling.to_certify(conn) == (first,)
        # The same case has a night more, of a later step, which still waits.
        case = book.case(conn, first)
        with book.deed(conn, first):
            papers.close_step(conn, papers.open_step(conn, case, "live", TODAY, True).step_id)
            step = papers.open_step(conn, case, "live", TODAY, True)
            epochs.enter(
                conn, case, step.step_id, "main", w.main.history(), last_deed=datetime.now(UTC),
                sets=w.desk.catalogue.backups[:1], rewrite=False, **on(),
            )  # fmt: skip
        assert settling.to_certify(conn) == ()
        assert settling.settle(conn) == 2, "the nights that are over; nobody is certified by them"
        assert [bool(n["settled_at"]) for n in nights(w)] == [True, False]
    # Whoever is closed has been certified for the last time.
    w.backups_expire(TODAY)
    with w.desk.book() as conn:
        assert settling.to_certify(conn) == (first,)
        conn.execute("UPDATE casebook.case_ SET state = 'closed' WHERE case_no = %s", (first,))
        assert settling.to_certify(conn) == ()
        assert settling.settle(conn) == 1


def test_what_is_added_to_a_night_while_it_is_looked_at_is_not_taken_for_gone(w: World) -> None:
    first, second = approved(w), approved(w, account=WANG)
    rested(w, first)
    carried_out(w, second)
    seen = backups._say_gone

    def meanwhile(desk: Desk, one: Any, *args: Any) -> None:
        seen(desk, one, *args)
        if one.id == "nightly":
            verbs.open_backup_track(replace(w.desk, backup_tool=no_tool), second, **on())

    backups._say_gone = meanwhile
    try:
        w.copies |= {"nightly": Copies(()), "files": Copies(())}
        assert look(w).gone["nightly"] == 0
    finally:
        backups._say_gone = seen
    assert waits(w, second)["nightly"]["state"] == UnitState.BACKUP_PENDING
    assert look(w).gone["nightly"] == 1


def test_what_waited_before_there_were_nights_goes_on_waiting(database: str, pg18: Any) -> None:
    """The migration, with an open case."""
    import psycopg

    from include.cases.migrate import migrate

    name = pg18.fresh_database("older_book", lambda conninfo: migrate(conninfo, "0010"))
    conninfo = pg18.conninfo(name)
    with psycopg.connect(conninfo) as conn:
        for no in (1, 2):
            conn.execute(
                "INSERT INTO casebook.case_ (case_no, kind, ground, channel, requester, opened_by, received_at, opened_on,"
                " state, key_id) VALUES (%s, 'request', 'cancellation', 'app', 'self', 'support/li', now(), '2026-11-01',"
                " 'waiting', 'k')",
                [f"CASE-00000{no}"],
            )
            conn.execute(
                "INSERT INTO casebook.step (step_id, case_no, kind, step_no, as_of, restricting)"
                " VALUES (%s, %s, 'live', 1, '2026-11-01', true)",
                [f"case_00000{no}_s1", f"CASE-00000{no}"],
            )
            for backup, state, gone in (("a", "backup_pending", None), ("b", "backup_purged", "2026-11-20")):
                conn.execute(
                    "INSERT INTO casebook.backup_track VALUES (%s, %s, 'main', %s, '2026-11-01', '2026-12-01', %s)",
                    [f"CASE-00000{no}", backup, state, gone],
                )
    migrate(conninfo)
    with book.connect(conninfo) as conn:
        for no in (1, 2):
            rows = epochs.of_case(conn, f"CASE-00000{no}")
            assert {r["backup_set"]: (r["state"], r["horizon"]) for r in rows} == {
                "a": ("backup_pending", date(2026, 12, 1)),
                "b": ("backup_pending", date(2026, 12, 1)),
            }
            assert rows[0]["position"] is None
