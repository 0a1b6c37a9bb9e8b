"""Backups through the real scheduler: a case waits for them with a date and a reason, and is certified anew when they go."""

from __future__ import annotations

import json
import shutil
import subprocess
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from include.cases import book, certificates, drills, epochs
from include.cases.book import Rows
from include.ledger import verify
from include.model.words import CaseState
from include.sandbox.api import wait
from include.sandbox.backups import take
from include.sandbox.stack.places import give
from tests.e2e.conftest import House, Run

PURGE, SCRUB, DRILL, REPLAY = "backup_purge", "table_scrub", "restore_drill", "restore_replay"


@pytest.fixture(scope="module")
def rested(house: House) -> Run:
    """Somebody who is gone, and whose case waits: for backups, too, for one was made before."""
    take(house.stack.company, house.stack.backups)
    run = house.trigger(house.somebody()).approved()
    assert run.ended() == "success", run.why()
    assert run.case().state is CaseState.WAITING
    return run


def copies(house: House, case_no: str) -> Rows:
    with house.desk.book() as conn:
        return epochs.of_case(conn, case_no)


def certificate(house: House, case_no: str) -> Mapping[str, Any]:
    """The auditor's edition of the last one, which verifies."""
    with house.desk.book() as conn:
        issued = certificates.issued(conn, case_no)
    report = verify.verify(issued.auditor.encode(), (house.stack.ledger_home / "pub.pem").read_bytes())
    assert report.ok, report.problems
    said: dict[str, Any] = json.loads(b64decode(json.loads(issued.auditor)["payload"]))
    return said


def test_on_day_one_the_certificate_has_a_date_and_what_sets_it(house: House, rested: Run) -> None:
    said = certificate(house, rested.case_no)
    (database,) = [c for c in said["copies"] if c["store"] == "company" and c["backup_set"] != "company_log"]
    assert database["until"] is not None and database["position"] is not None
    assert database["gone_on"] is None
    assert said["horizon"]["because"]
    shown = house.command("case", "show", rested.case_no)
    assert "horizon" in shown and database["backup_set"] in shown


def test_a_drill_restores_the_copy_and_finds_who_must_still_be_in_it(house: House, rested: Run) -> None:
    house.passes(DRILL)
    with house.desk.book() as conn:
        done = drills.last(conn)["company_base"]
        assert drills.restorable(conn, since=done["as_of"])["company_base"] == [done["copy"]]
    assert done["verdict"] == "passed" and done["body"]["within"]["known"] >= 1, done["body"]
    left = {p.name for p in house.stack.places.room_for("scratch").iterdir()} - {".lock"}
    assert left == set(), "the restored copy is destroyed"


def test_what_is_seen_to_be_gone_is_certified_and_what_cannot_be_read_is_red(
    house: House, rested: Run
) -> None:
    assert house.one_pass(SCRUB)["rewrite"] == "success"
    with house.desk.book() as conn:
        before = certificates.issued(conn, rested.case_no).serial
    archive = house.stack.archive
    aside = archive.with_name("unmounted")
    archive.rename(aside)
    try:
        states = house.one_pass(PURGE)
    finally:
        aside.rename(archive)
    assert (states["expire"], states["look"], states["nothing_stays_too_long"]) == (
        "success",
        "success",
        "failed",
    )
    assert {r["state"] for r in copies(house, rested.case_no)} == {"backup_pending"}
    house.backups_expire()
    house.passes(PURGE)
    assert {r["state"] for r in copies(house, rested.case_no)} == {"backup_purged"}
    said = certificate(house, rested.case_no)
    assert all(c["gone_on"] and c["evidence"] for c in said["copies"])
    with house.desk.book() as conn:
        assert certificates.issued(conn, rested.case_no).serial > before
        events = [e["what"] for e in book.timeline(conn, rested.case_no)]
    assert "backup purged" in events


def test_a_database_that_was_put_back_is_cleaned_before_it_serves(house: House, rested: Run) -> None:
    """The newest backup is older than a cancellation; the company puts it back, by hand and past our wrapper."""
    made = take(house.stack.company, house.stack.backups)
    account = house.somebody()
    run = house.trigger(account).approved()
    assert run.ended() == "success", run.why()
    assert rows_of(house, account) == 0
    put_back(house, Path(made.location))
    assert rows_of(house, account) > 0, "who was deleted is back"
    house.passes(REPLAY)
    assert rows_of(house, account) == 0
    with house.desk.book() as conn:
        assert "replayed" in [e["what"] for e in book.timeline(conn, run.case_no)]
    house.passes(REPLAY)  # it is the database that we know


def rows_of(house: House, account: str) -> int:
    with house.company() as conn:
        row = conn.execute(
            "SELECT count(*) FROM account.credential WHERE account_id = %s", [account]
        ).fetchone()
    assert row is not None
    return int(row[0])


def put_back(house: House, copy: Path) -> None:
    """The company's database as it was when that copy was made."""
    company = house.stack.company
    company.stop()
    aside = company.data.with_name("data.lost")
    company.data.rename(aside)
    subprocess.run(["cp", "--archive", copy, company.data], check=True, timeout=120)
    (company.data / "recovery.signal").touch()
    give(company.data / "recovery.signal")
    with (company.data / "postgresql.auto.conf").open("a") as file:
        file.write(f"restore_command = 'cp {house.stack.archive}/%f %p'\nrecovery_target = 'immediate'\n"
                   "recovery_target_action = 'promote'\n")  # fmt: skip
    shutil.rmtree(aside)
    company.start()
    company.wait()
    wait(lambda: not in_recovery(house), 60, "recovery")


def in_recovery(house: House) -> bool:
    with house.company() as conn:
        row = conn.execute("SELECT pg_is_in_recovery()").fetchone()
    assert row is not None
    return bool(row[0])
