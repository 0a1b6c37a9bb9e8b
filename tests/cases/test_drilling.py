"""The drill on real copies of a real database: who should be in the copy is found, who should not be is not; a lie comes out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import Result
from typer.testing import CliRunner

from include.backups.dumps import Dumps
from include.cases import (
    backups,
    book,
    came_up,
    drilling,
    drills,
    epochs,
    horizon,
    papers,
    provers,
    scrubbing,
    settling,
    verbs,
)
from include.commands import _common as common
from include.commands import backups as command
from include.ledger import verify
from include.model.errors import NotReachable, Refused
from include.model.words import CaseState, UnitState, Verdict
from include.sandbox.stack.places import Places, give
from tests.backups.conftest import archiving
from tests.backups.making import wait_for
from tests.cases.backed import ON, PERSON, SET, Backed, backed
from tests.cases.restoring import killed_at
from tests.cases.small import TODAY
from tests.conftest import PgServer
from tests.proofs.controls import control

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def company_server(session_places: Places) -> Iterator[PgServer]:
    yield from archiving(session_places, "drilled", 18)


@pytest.fixture
def at_work(company_server: PgServer, writer: str, tmp_path: Path) -> Iterator[Backed]:
    with backed(company_server, writer, tmp_path / "keys") as made:
        yield made


def said(w: Backed) -> list[dict[str, Any]]:
    return [body for kind, _, body in w.world.said.values() if kind == drills.KIND]


def gone_from_the_set(w: Backed, *people: int) -> str:
    """A case of these people, before which the set has no copy any more: what is left is 0002."""
    w.maker.full()
    case_no = w.erase(*people)
    w.maker.full()
    w.expire()
    return case_no


def brought_back(w: Backed, *people: int) -> None:
    """They are in the one copy that is left, 0003."""
    w.import_again(*people)
    w.maker.full()
    shutil.rmtree(w.maker.home / "0002")


def test_who_is_within_reach_is_found_and_who_is_beyond_is_not(at_work: Backed) -> None:
    w = at_work
    w.maker.full()
    case_no = w.erase(2, 5)
    first = w.drill()
    assert (first.verdict, first.within.cases, first.within.present, first.beyond.cases) == (
        Verdict.PASSED,
        1,
        1,
        0,
    ), first.why
    assert first.within.of[case_no].rows > 10 and first.within.of[case_no].unasked > 0

    w.maker.full()
    w.expire()
    second = w.drill()
    assert (second.within.cases, second.beyond.cases, second.beyond.failed) == (0, 1, {})
    assert second.verdict is Verdict.PASSED, second.why
    assert second.beyond.counts()["only_bytes"] == 1, (
        "VACUUM leaves them in the pages; this night asked for no more"
    )
    assert second.copy == "0002" and second.system
    assert [b["verdict"] for b in said(w)] == ["passed", "passed"]
    with w.desk.book() as conn:
        kept = drills.last(conn)["nightly"]
        assert not papers.open_findings(conn, case_no)
    assert (kept["copy"], kept["verdict"], kept["body"]["beyond"]["rows"]) == ("0002", "passed", 0)


@control("drill", "restored", "postgres")
def test_who_came_back_into_a_copy_is_a_finding_and_a_closed_case_begins_again(at_work: Backed) -> None:
    w = at_work
    w.maker.full()
    case_no, waits = w.erase(2), w.erase(3)
    w.maker.full()
    w.expire()
    with w.desk.book() as conn:
        conn.execute("UPDATE casebook.case_ SET state = 'closed' WHERE case_no = %s", (case_no,))
    brought_back(w, 2, 3)

    done = w.drill()
    assert done.verdict is Verdict.FAILED
    assert set(done.beyond.failed) == {case_no, waits}
    assert w.state(case_no) is not CaseState.CLOSED, "it begins again"
    with w.desk.book() as conn:
        for no in (case_no, waits):
            (found,) = [f for f in papers.open_findings(conn, no) if f["code"] == came_up.CODE]
            assert found["place"] == "backup set nightly" and found["items"] >= 1
        assert "came up in a drill" in [e["what"] for e in book.timeline(conn, case_no)]
    (body,) = said(w)
    assert body["beyond"]["present"] == 2 and body["verdict"] == "failed"
    assert not any(no in json.dumps(body) for no in (case_no, waits, PERSON(2))), "it names nobody"


def waits(w: Backed, case_no: str) -> dict[str, Any]:
    with w.desk.book() as conn:
        (row,) = epochs.of_case(conn, case_no)
    return row


def test_a_night_of_which_somebody_came_up_waits_again_until_that_copy_is_gone(at_work: Backed) -> None:
    w = at_work
    w.maker.full()
    case_no, beside = w.erase(2), w.erase(3)
    w.maker.full()
    w.expire()
    (said_gone,) = [key for key in w.world.said if key.startswith("copies:")]
    assert waits(w, case_no)["state"] == UnitState.BACKUP_PURGED
    with w.desk.book() as conn:
        conn.execute("UPDATE casebook.epoch SET settled_at = now()")
    brought_back(w, 2)

    assert set(w.drill().beyond.failed) == {case_no}
    (drilled,) = [key for key, (kind, *_) in w.world.said.items() if kind == drills.KIND]
    for no in (case_no, beside):  # everybody of the night
        row = waits(w, no)
        assert (row["state"], row["holding"], row["purged_on"]) == (UnitState.BACKUP_PENDING, ["0003"], None)
        assert row["horizon"] is not None and "as a drill showed" in row["because"]
        with w.desk.book() as conn:
            (event,) = [e for e in book.timeline(conn, no) if e["what"] == "backup holds again"]
            assert (event["law_row"], event["from_state"], event["detail"]["drill"]) == (
                20,
                "backup_purged",
                drilled,
            )
            beyond = horizon.of_case(conn, w.desk.catalogue, no)
            assert beyond is not None and beyond.until == row["horizon"], "the certificate would say so too"
            assert UnitState.BACKUP_PENDING in epochs.states(conn, no)
            (night,) = conn.execute("SELECT settled_at FROM casebook.epoch").fetchall()
            assert night["settled_at"] is None and settling.settle(conn) == 0, "it is not put away any more"
    assert backups.look(w.desk, **ON).gone == {}, (
        "the copy begins after the night, and it was seen to hold somebody"
    )
    assert set(w.drill().beyond.failed) == {case_no}, "looked for again, and found again"
    assert said_gone in w.world.said

    with psycopg.connect(w.shop.conninfo("quietus_admin"), autocommit=True) as live:
        live.execute("DELETE FROM account.session WHERE id > 9000")
    w.maker.full()
    assert backups.look(w.desk, **ON).gone == {}
    again = w.drill()
    assert again.copy == "0003" and again.beyond.failed
    assert waits(w, case_no)["holding"] == ["0003", "0004"], (
        "made since then, and before it was looked into again"
    )
    w.maker.full()
    for name in ("0003", "0004"):
        (w.maker.home / name).rename(w.maker.home / f".expiring-{name}")
    assert backups.look(w.desk, **ON).gone == {}, "it is being removed, and what is left of it holds them"
    for name in ("0003", "0004"):
        shutil.rmtree(w.maker.home / f".expiring-{name}")
    w.expire()
    assert waits(w, case_no)["state"] == UnitState.BACKUP_PURGED
    gone_anew = waits(w, case_no)["ledger_keys"]
    assert gone_anew == [f"{said_gone}:1"] and said_gone in w.world.said, "both entries stand"
    said_then = w.world.said[gone_anew[0]][2]
    assert said_then["supersedes"] == [said_gone] and said_then["names"] == ["0005"]
    assert not list(verify.reaching_back(said_then, "nightly"))
    assert list(verify.reaching_back(said_then | {"names": ["0003", "0005"]}, "nightly"))
    last = w.drill()
    assert (last.copy, last.verdict, last.beyond.cases) == ("0005", Verdict.PASSED, 2), last.why


def test_a_copy_after_one_in_which_somebody_came_up_is_expected_to_be_free_of_them(at_work: Backed) -> None:
    """The night waits, and still nobody of it is to be in a copy that begins after it: else the second find would be none."""
    w = at_work
    case_no = gone_from_the_set(w, 2)
    brought_back(w, 2)
    assert w.drill().beyond.failed
    w.maker.full()
    shutil.rmtree(w.maker.home / "0003")
    again = w.drill()
    assert again.copy == "0004" and set(again.beyond.failed) == {case_no}
    with w.desk.book() as conn:
        assert len([e for e in book.timeline(conn, case_no) if e["what"] == "backup holds again"]) == 1


def rewritten(w: Backed) -> None:
    """The step areas are dropped and the pages rewritten, and the book knows where the log stood then."""
    put_away(w)
    with psycopg.connect(w.shop.conninfo("quietus_admin"), autocommit=True) as live:
        live.execute("VACUUM FULL")
        live.execute("CHECKPOINT")
    claimed(w)


def put_away(w: Backed) -> None:
    """The step areas are dropped, as when a case comes to its rest."""
    with psycopg.connect(w.shop.conninfo("quietus_admin"), autocommit=True) as live:
        for (area,) in live.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'q\\_%'").fetchall():
            live.execute(f'DROP SCHEMA "{area}" CASCADE'.encode())


def claimed(w: Backed) -> None:
    with w.desk.book() as conn:
        conn.execute(
            "UPDATE casebook.epoch SET rewrite_wanted = true, rewritten_position = %s, rewritten_at = now()",
            (w.maker.position(),),
        )


def archived(w: Backed) -> None:
    """What the log has by now is in the archive."""
    end = w.maker.position()
    w.maker.sql("SELECT pg_switch_wal()")

    def there() -> bool:
        archive = w.maker.reader.look().archive
        return archive is not None and archive.newest >= end

    wait_for(there)


@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize("really", [True, False])
def test_where_the_bytes_are_to_go_a_dead_row_in_a_page_of_the_copy_is_a_failure(
    at_work: Backed, really: bool, asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``asked``: by the table itself; a dead row in one that holds nothing whose bytes are to go is no failure."""
    w = at_work
    tables = frozenset(d.id for d in w.desk.catalogue.datasets) if asked else frozenset()
    monkeypatch.setattr(scrubbing, "asking", lambda catalogue, store: tables)
    w.maker.full()
    case_no = w.erase(2, 5)
    put_away(w)
    (rewritten if really else claimed)(w)
    w.maker.full()
    w.expire()
    done = w.drill()
    of = done.beyond.of[case_no]
    assert of.bytes_too and of.rows == 0
    lies = asked and not really
    assert (done.verdict, of.places > 0) == ((Verdict.FAILED, True) if lies else (Verdict.PASSED, False)), (
        done.why
    )
    assert (of.unasked > 0) is (not asked and not really)


def test_a_look_that_finds_nobody_who_should_be_there_proves_nothing(at_work: Backed) -> None:
    """By the book the copy begins before the disposal, and yet it knows nobody: it is another than it is said to be."""
    w = at_work
    w.maker.full()
    w.erase(2)
    rewritten(w)
    w.maker.full()
    shutil.rmtree(w.maker.home / "0001")
    with w.desk.book() as conn:
        conn.execute(
            "UPDATE casebook.epoch SET position = position + (1::bigint << 40), rewritten_position = NULL"
        )
    done = w.drill()
    assert (done.within.cases, done.within.present) == (1, 0), done.within.of
    assert done.verdict is Verdict.UNVERIFIED and "another copy" in done.why[0]


def test_a_copy_that_was_begun_before_the_step_area_was_dropped_is_waited_for(at_work: Backed) -> None:
    w = at_work
    w.maker.full()
    case_no = w.erase(2)
    with psycopg.connect(w.shop.conninfo("quietus_admin"), autocommit=True) as live:
        areas = live.execute("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'q\\_case%'").fetchone()
    assert areas == (1,), "it names them"
    w.maker.full()
    provers.prove_gone(w.desk, case_no, **ON)
    assert verbs.rest(w.desk, case_no, **ON).state is CaseState.WAITING
    w.expire()
    assert "0002" in waits(w, case_no)["holding"]
    w.maker.full()
    w.expire()
    assert waits(w, case_no)["state"] == UnitState.BACKUP_PURGED


def test_archived_log_alone_is_read_file_by_file(at_work: Backed) -> None:
    w = at_work
    with psycopg.connect(w.shop.conninfo("quietus_admin"), autocommit=True) as live:
        live.execute("UPDATE account.account SET name = name || '!'")
    archived(w)
    case_no = w.erase(2)
    archived(w)
    done = w.drill()
    assert done.copy is None
    assert done.within.known == 1 and done.within.of[case_no].perhaps_kept > 0, (
        "the log repeats what is kept, too"
    )
    assert done.verdict is Verdict.PASSED, done.why
    with (
        w.desk.book() as conn
    ):  # the same log, of a night that is said to be gone: rows alone were asked for, then bytes too
        conn.execute(
            "UPDATE casebook.epoch_set SET state = 'backup_purged', purged_on = %s, ledger_key = 'k'",
            (TODAY,),
        )
    done = w.drill()
    assert done.beyond.of[case_no].perhaps_kept > 0 and done.verdict is Verdict.PASSED, done.why
    claimed(w)
    done = w.drill()
    assert done.beyond.of[case_no].bytes_too and not done.beyond.failed
    assert done.verdict is Verdict.UNVERIFIED and "may be what is kept" in done.why[0]
    with w.desk.book() as conn:
        conn.execute(
            "UPDATE casebook.epoch_set SET state = 'backup_pending', purged_on = NULL, ledger_key = NULL"
        )
        conn.execute("UPDATE casebook.epoch SET rewrite_wanted = false, rewritten_position = NULL")
    for segment in (w.maker.home / "archive").iterdir():
        segment.unlink()
    backups.look(w.desk, **ON)
    done = w.drill()
    assert done.verdict is Verdict.PASSED and done.beyond.cases == 0, "nothing is left to look into"


def test_a_drill_that_cannot_be_made_is_in_the_ledger_as_unverified(at_work: Backed) -> None:
    w = at_work
    w.maker.full()
    w.erase(2)
    (w.maker.home / "0001" / "backup_manifest").unlink()
    with pytest.raises(Refused, match="no copy of the set can be restored"):
        w.drill()
    (body,) = said(w)
    assert body["verdict"] == "unverified" and body["why"] == ["no copy of the set can be restored"]
    w.maker.home.rename(w.maker.home.with_name("away"))
    try:
        with pytest.raises(NotReachable):
            w.drill()
    finally:
        w.maker.home.with_name("away").rename(w.maker.home)
    assert [b["verdict"] for b in said(w)] == ["unverified", "unverified"]


def test_the_command_says_what_came_of_it_by_its_exit_status(
    at_work: Backed, reader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = at_work
    monkeypatch.setattr(common, "desk", lambda: w.desk)
    monkeypatch.setattr(common, "catalogue", lambda: w.desk.catalogue)
    monkeypatch.setattr(common, "reader", lambda: book.connect(reader))

    def run(*words: str) -> Result:
        return CliRunner().invoke(command.app, list(words), catch_exceptions=False)

    assert "never" in run("drills").output
    w.maker.full()
    case_no = w.erase(2)
    done = run("drill", "nightly")
    assert done.exit_code == 0 and "nightly, copy 0001: passed" in done.output
    assert case_no not in done.output and PERSON(2) not in done.output
    with w.desk.book() as conn:
        conn.execute("DELETE FROM casebook.sought WHERE case_no = %s", (case_no,))
    assert run("drill", "nightly").exit_code == 3
    assert "unverified" in run("drills").output
    with pytest.raises(Refused, match="no such backup set"):
        run("drill", "weekly")


def test_a_drill_that_is_broken_off_is_none(at_work: Backed, monkeypatch: pytest.MonkeyPatch) -> None:
    w = at_work
    w.maker.full()

    def breaks(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("include.cases.drill_looks.look", breaks)
    with pytest.raises(KeyboardInterrupt):
        w.drill()
    (body,) = said(w)
    assert (body["verdict"], body["why"]) == ("unverified", ["it was broken off"])
    assert not list(w.place.glob("scratch-*"))


def test_a_dump_is_drilled_too(at_work: Backed, company_server: PgServer) -> None:
    w = at_work
    conninfo = w.shop.conninfo("quietus_admin")
    dumps = Dumps("weekly", str(w.maker.home / "dumps"), str(company_server.cluster.binaries / "pg_restore"))
    (w.maker.home / "dumps").mkdir()
    give(w.maker.home / "dumps")
    w.maker.run(
        company_server.cluster.binaries / "pg_dump",
        "-Fc",
        "-d",
        conninfo,
        "-f",
        w.maker.home / "dumps" / "1.dump",
    )
    weekly = SET.model_copy(update={"id": "weekly", "tool": "dump"})
    desk = replace(
        w.desk, backup_tool=lambda _: dumps,
        catalogue=w.desk.catalogue.model_copy(update={"backups": (weekly,)}),
    )  # fmt: skip
    desk.connections.texts["backup_weekly"] = str(w.maker.home / "dumps")  # type: ignore[attr-defined]
    case_no = replace(w, desk=desk).erase(2)
    done = drilling.drill(desk, weekly, **ON)
    assert (done.copy, done.within.cases, done.within.present) == ("1.dump", 1, 1), done.why
    assert done.within.of[case_no].rows > 0 and done.system is None
    assert done.verdict is Verdict.PASSED, done.why


def test_a_copy_of_another_cluster_is_refused(at_work: Backed, monkeypatch: pytest.MonkeyPatch) -> None:
    w = at_work
    w.maker.full()
    w.erase(2)
    monkeypatch.setattr("include.cases.drill_looks.system_of", lambda desk, store: 7)
    with pytest.raises(Refused, match="of another cluster"):
        w.drill()
    assert said(w)[0]["verdict"] == "unverified"


def test_whose_key_is_destroyed_is_known_by_the_tombstone(at_work: Backed) -> None:
    w = at_work
    w.maker.full()
    case_no = w.erase(2)
    assert verbs.tombstone(w.desk, case_no, as_of=TODAY) in (0, 1)
    with w.desk.book() as conn:
        w.desk.keys.destroy(book.case(conn, case_no).key_id)
    done = w.drill()
    assert (done.forgotten, done.within.present) == (1, 1), done.why
    assert done.within.of[case_no].rows > 0 and done.verdict is Verdict.PASSED
    w.maker.full()
    w.expire()
    done = w.drill()
    assert (done.forgotten, done.beyond.cases, done.beyond.failed, done.verdict) == (
        1,
        1,
        {},
        Verdict.PASSED,
    ), done.why
    brought_back(w, 2)
    done = w.drill()
    assert set(done.beyond.failed) == {case_no}


def test_of_whom_nothing_was_kept_is_said(at_work: Backed) -> None:
    w = at_work
    w.maker.full()
    case_no = w.erase(2)
    with w.desk.book() as conn:
        conn.execute("DELETE FROM casebook.sought WHERE case_no = %s", (case_no,))
    done = w.drill()
    assert done.unsearchable == 1 and done.verdict is Verdict.UNVERIFIED
    assert "nothing was kept" in done.why[0]


def test_what_the_copy_brings_back_is_gone_after_the_replay(at_work: Backed) -> None:
    w = at_work
    w.maker.full()
    case_no = w.erase(2, 5)
    with psycopg.connect(w.shop.conninfo("quietus_admin"), autocommit=True) as live:
        before = live.execute("SELECT count(*) FROM account.session").fetchone()
    done = w.drill()
    assert done.within.of[case_no].rows > 0, "the copy knew them"
    assert (done.replayed or {})["cases"] == 1 and done.left_after_replay == 0
    assert done.verdict is Verdict.PASSED, done.why
    with psycopg.connect(w.shop.conninfo("quietus_admin"), autocommit=True) as live:
        assert live.execute("SELECT count(*) FROM account.session").fetchone() == before, "only in the copy"

    def does_nothing(*_: Any) -> dict[str, int]:
        return {"cases": 0}

    done = w.drill(replay=does_nothing)
    assert done.left_after_replay == 1 and done.verdict is Verdict.FAILED


@pytest.mark.parametrize(
    "point", ["drill.found", "drill.said", "came_up.brought_back", "came_up.noted"]
)  # fmt: skip
def test_what_a_killed_drill_found_is_taken_by_the_next_look_at_the_sets(at_work: Backed, point: str) -> None:
    """The ledger has it, or is to have it: nobody says meanwhile, or afterwards, that the night is gone."""
    w = at_work
    case_no = gone_from_the_set(w, 2)
    with w.desk.book() as conn:
        conn.execute("UPDATE casebook.case_ SET state = 'closed' WHERE case_no = %s", (case_no,))
    brought_back(w, 2)
    assert waits(w, case_no)["state"] == UnitState.BACKUP_PURGED

    assert killed_at(point, lambda at: drilling.drill(w.desk, SET, **ON, at=at)), "it never came there"
    with w.desk.book() as conn:
        assert conn.execute(
            "SELECT count(*) AS n FROM casebook.came_up WHERE taken_at IS NULL"
        ).fetchall() == [{"n": 1}]
    assert came_up.take_left(w.desk, **ON) == 1

    (drilled,) = [key for key, (kind, *_) in w.world.said.items() if kind == drills.KIND]
    row = waits(w, case_no)
    assert (row["state"], row["holding"]) == (UnitState.BACKUP_PENDING, ["0003"])
    assert row["horizon"] is not None and "as a drill showed" in row["because"]
    assert w.state(case_no) is not CaseState.CLOSED
    with w.desk.book() as conn:
        assert drills.last(conn)["nightly"]["ledger_key"] == drilled
        assert [f["code"] for f in papers.open_findings(conn, case_no)] == [came_up.CODE]
        happened = [e["what"] for e in book.timeline(conn, case_no)]
        (event,) = [e for e in book.timeline(conn, case_no) if e["what"] == came_up.NOTED]
    assert event["detail"]["drill"] == drilled
    assert happened.count("backup holds again") == 1, "what was done before the kill is not done twice"
    assert came_up.take_left(w.desk, **ON) == 0


def test_the_next_drill_takes_what_a_killed_one_found(at_work: Backed) -> None:
    w = at_work
    case_no = gone_from_the_set(w, 2)
    brought_back(w, 2)
    assert killed_at("drill.said", lambda at: drilling.drill(w.desk, SET, **ON, at=at))
    w.maker.home.rename(w.maker.home.with_name("away"))
    try:
        with pytest.raises(NotReachable):
            w.drill()  # it finds nothing out, and still
    finally:
        w.maker.home.with_name("away").rename(w.maker.home)
    assert waits(w, case_no)["state"] == UnitState.BACKUP_PENDING


def test_who_comes_up_in_a_drill_that_goes_wrong_afterwards_is_not_forgotten(at_work: Backed) -> None:
    w = at_work
    case_no = gone_from_the_set(w, 2)
    waits_for_it = w.erase(3)
    brought_back(w, 2)

    def refuses(*_: Any) -> dict[str, int]:
        raise Refused("the replay does not begin", about="company", next_step="see why")

    with w.desk.book() as conn:  # as if the copy were from before this one's night
        conn.execute("UPDATE casebook.epoch SET position = position + (1::bigint << 40) WHERE epoch_id ="
                     " (SELECT epoch_id FROM casebook.epoch_step WHERE case_no = %s)", (waits_for_it,))  # fmt: skip
    with pytest.raises(Refused, match="does not begin"):
        w.drill(replay=refuses)
    assert waits(w, case_no)["state"] == UnitState.BACKUP_PURGED
    assert came_up.take_left(w.desk, **ON) == 1
    assert waits(w, case_no)["state"] == UnitState.BACKUP_PENDING
