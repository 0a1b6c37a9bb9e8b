"""Days of a case on the sandbox's real servers, without Airflow: copies come, and really go."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from include.backups.opening import open_tool
from include.cases import book, certificates, drilling, epochs, handing_out, verbs
from include.cases.rooms import Desk
from include.cases.shelf import Shelf
from include.catalogue import load
from include.model.errors import NotProved, Refused
from include.model.times import observed_now, prc_date
from include.model.words import CaseState
from include.sandbox.company import environment, make_ready
from include.sandbox.days import ending, playing
from include.sandbox.days.calendar import NAME, Calendar
from include.sandbox.stack.stack import COMPANY, Stack
from tests.cases.resting import on, opened, rests
from tests.room import ROOM

pytestmark = [pytest.mark.postgres, pytest.mark.s3, pytest.mark.slow, pytest.mark.timeout(1500)]

DAY = timedelta(days=1)
PLAY = """
import sys
from pathlib import Path
from include.sandbox.days import playing
from include.sandbox.stack.stack import Stack
playing.run(sys.argv[2], int(sys.argv[3]), stack=Stack(Path(sys.argv[1]), durable=False))
"""

BASE = "company_base"


@dataclass
class House:
    stack: Stack
    case_no: str

    @property
    def desk(self) -> Desk:
        return verbs.desk(environment(self.stack), load())

    @property
    def calendar(self) -> Calendar:
        return Calendar.of(self.stack.places.home, prc_date(observed_now()))

    def copies(self) -> list[str]:
        (declared,) = (b for b in load().backups if b.id == BASE)
        return [c.name for c in open_tool(declared, environment(self.stack)).look().copies]

    def state(self) -> CaseState:
        with self.desk.book() as conn:
            return book.case(conn, self.case_no).state

    def waits(self) -> dict[str, Any]:
        with self.desk.book() as conn:
            (row,) = (r for r in epochs.of_case(conn, self.case_no) if r["backup_set"] == BASE)
        return row

    def first_night_gone(self) -> date | None:
        """When nothing reached back any more to the night of the cancellation; a date of its own may wake the case later."""
        with self.desk.book() as conn:
            (row, *_) = conn.execute(
                "SELECT t.purged_on FROM casebook.epoch_step s JOIN casebook.epoch e USING (epoch_id)"
                " JOIN casebook.epoch_set t USING (epoch_id) WHERE s.case_no = %s AND t.backup_set = %s"
                " ORDER BY e.opened_on, e.no",
                (self.case_no, BASE),
            ).fetchall()
        gone: date | None = row["purged_on"]
        return gone


def somebody(stack: Stack) -> str:
    with psycopg.connect(stack.company.superuser_conninfo(COMPANY)) as conn:
        row = conn.execute(
            "SELECT a.account_id FROM account.account a JOIN account.person p USING (account_id)"
            " WHERE a.cancelled_at IS NULL AND a.kind = 'person'"
            " AND EXISTS (SELECT FROM ra.biometric b WHERE b.account_id = a.account_id)"
            " AND NOT EXISTS (SELECT FROM sign.contract_party s WHERE s.account_id = a.account_id)"
            " AND NOT EXISTS (SELECT FROM ent.representative r WHERE r.account_id = a.account_id"
            "  OR r.document_no = p.document_no OR r.mobile = p.mobile)"
            # Few transfers are few dates: each wakes the case once.
            " ORDER BY (SELECT count(*) FROM partner.transfer t WHERE t.account_id = a.account_id), 1 LIMIT 1"
        ).fetchone()
    assert row is not None
    return str(row[0])


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    home = Path(tempfile.mkdtemp(prefix="quietus-days-", dir=ROOM))
    stack = Stack(home, durable=False)
    try:
        stack.up(lambda _: None, airflow=False)
        make_ready(stack, lambda _: None, people=80)
        desk = verbs.desk(environment(stack), load())
        case_no = rests(desk, somebody(stack))
        handing_out.hand_out(desk, case_no, Shelf(stack.certificates), **on())
        yield House(stack, case_no)
    finally:
        stack.down(lambda _: None, purge=True)
        shutil.rmtree(home, ignore_errors=True)


def killed_on_day(house: House, number: int) -> None:
    """Play as the command does, and kill that while it plays the day after ``number``."""
    last = prc_date(observed_now()) + number * DAY
    child = subprocess.Popen(
        [sys.executable, "-c", PLAY, str(house.stack.places.home), house.case_no, "60"],
        stdout=subprocess.DEVNULL,
    )
    try:
        while house.calendar.day < last:
            assert child.poll() is None, "it ended by itself"
            time.sleep(0.05)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()


def test_what_cannot_be_played_is_refused_and_nothing_is_done(house: House, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="does not run"):
        playing.run(house.case_no, 1, stack=Stack(tmp_path / "nothing"))
    with pytest.raises(Refused, match="no such case"):
        playing.run("CASE-999999", 1, stack=house.stack)
    begun = opened(house.desk, somebody(house.stack))
    with pytest.raises(Refused, match="waits for nothing"):
        playing.run(begun, 1, stack=house.stack)
    assert not (house.stack.places.home / NAME).exists()


def test_sixty_days_end_with_the_copies_gone_and_a_drill_that_finds_nothing(
    house: House, capfd: pytest.CaptureFixture[str]
) -> None:
    (first,) = house.copies()
    assert first in house.waits()["holding"]
    for number in (1, 7, 12):
        killed_on_day(house, number)
    capfd.readouterr()
    playing.run(house.case_no, 60, stack=house.stack)
    said = capfd.readouterr().out
    begun = house.calendar.cases[house.case_no].begun
    assert house.calendar.day == begun + 60 * DAY
    assert first not in house.copies() and not (house.stack.backups / first).exists()
    assert house.first_night_gone() == begun + 34 * DAY, (
        "an increment of the third day leans on the copy from before"
    )
    (went,) = [line for line in said.splitlines() if first in line and " went, " in line]
    assert went.startswith("day    34")
    assert "no copy and no log reaches back" in said and "cases that should be gone 0 come up" in said
    assert sorted(house.calendar.taken["company_base"]) == sorted(house.copies())
    days = list(house.calendar.taken["company_base"].values())
    assert len(set(days)) == len(days) == 10, "no day that was cut off took a second copy"
    assert house.state() is CaseState.WAITING and "not over" in said


def test_played_again_nothing_more_happens_and_the_end_is_told_again(
    house: House, capfd: pytest.CaptureFixture[str]
) -> None:
    day, copies = house.calendar.day, house.copies()
    playing.run(house.case_no, 60, stack=house.stack)
    assert (house.calendar.day, house.copies()) == (day, copies)
    assert "The horizon through time" in capfd.readouterr().out


def test_somebody_who_comes_up_in_the_drill_is_an_error(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lied(desk: Desk, backup: Any, **more: Any) -> drilling.Drilled:
        return drilling.Drilled(backup.id, backup.store, why=["it was not whole"])

    monkeypatch.setattr(drilling, "drill", lied)
    with pytest.raises(NotProved, match="it was not whole"):
        list(ending.drills(house.desk, house.case_no, house.calendar.day))


def test_along_its_own_dates_it_comes_to_its_final_certificate(
    house: House, capfd: pytest.CaptureFixture[str]
) -> None:
    playing.run(house.case_no, 60, until_closed=True, stack=house.stack)
    said = capfd.readouterr().out
    assert house.state() is CaseState.CLOSED
    with house.desk.book() as conn:
        assert certificates.issued(conn, house.case_no).kind == "final"
        assert {row["purged_on"] is not None for row in epochs.of_case(conn, house.case_no)} == {True}
    assert (
        "days are skipped" in said and "final, both editions verified offline" in said and "0 come up" in said
    )
    assert house.calendar.cases[house.case_no].horizons[-1].until is None
    public = house.stack.ledger_home / "pub.pem"
    files = [
        Path(w)
        for line in said.splitlines()
        if "quietus verify" in line
        for w in line.split()
        if w.endswith(".json")
    ]
    assert len(files) == 2
    for file in files:
        done = subprocess.run(
            [sys.executable, "-m", "include.commands", "verify", str(file), "--key", str(public)],
            capture_output=True, text=True, timeout=60, check=False, env=os.environ,
        )  # fmt: skip
        assert done.returncode == 0 and done.stdout.startswith("VALID"), done.stdout
