"""The book of releases: which case made each, when the next is called for, and what the last look at its set came to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from psycopg.rows import class_row

from include.cases import papers
from include.cases.book import Conn
from include.cases.periods import last_day
from include.cases.proving import ANONYMITY
from include.cases.rooms import Desk
from include.model.errors import Refused
from include.model.releases import Release
from include.model.times import Counting
from include.model.words import Verdict


@dataclass(frozen=True)
class Run:
    """One row of ``casebook.release_run``."""

    case_no: str
    release: str
    as_of: date
    began_at: datetime
    located: int
    released: int | None
    erased: int | None
    unhidden: str | None
    ended_at: datetime | None

    def __str__(self) -> str:
        if self.unhidden:
            return f"{self.release}: nothing was released: {self.unhidden}"
        return f"{self.release}: {self.released or 0} of {self.located} rows released, {self.erased or 0} erased ({self.case_no})"


def called_for(desk: Desk, as_of: date) -> tuple[Release, ...]:
    """The releases whose day has come: never made, or tried so long ago as they declare; and those that are under way."""
    with desk.book() as conn:
        rows = conn.execute(
            "SELECT release, max(as_of) AS last, bool_or(ended_at IS NULL) AS open FROM casebook.release_run GROUP BY 1"
        ).fetchall()
    last = {row["release"]: row for row in rows}
    return tuple(
        r
        for r in desk.catalogue.releases
        if r.every is not None
        and (
            (before := last.get(r.id)) is None
            or before["open"]
            or last_day(before["last"], r.every, Counting.CALENDAR) <= as_of
        )
    )


def latest(conn: Conn, release: str | None = None) -> list[Run]:
    """Every release that was begun, newest first."""
    with conn.cursor(row_factory=class_row(Run)) as cursor:
        return cursor.execute(
            "SELECT * FROM casebook.release_run WHERE %(r)s::text IS NULL OR release = %(r)s ORDER BY began_at DESC",
            {"r": release},
        ).fetchall()


def shown(conn: Conn, case_no: str) -> Verdict | None:
    """What the last look at the set of a release came to."""
    tried = [e.verdict for _, e in papers.evidence(conn, case_no) if e.kind == ANONYMITY]
    return tried[-1] if tried else None


def run_of(conn: Conn, case_no: str) -> Run:
    """The release of a case. Raises Refused if it is another kind of case."""
    with conn.cursor(row_factory=class_row(Run)) as cursor:
        found = cursor.execute("SELECT * FROM casebook.release_run WHERE case_no = %s", (case_no,)).fetchone()
    if found is None:
        raise Refused("it is no release's case", about=case_no, next_step="see `quietus case show`")
    return found


def under_way(conn: Conn, release: str) -> Run | None:
    """The one that was begun and has not ended."""
    return next((r for r in latest(conn, release) if r.ended_at is None), None)
