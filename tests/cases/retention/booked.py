"""A case book with nights in it, as the nights would have written them; nothing of any store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import psycopg

from include.cases import book, papers
from include.cases.retention import figures, nights
from include.cases.retention.due import Row
from include.cases.retention.nights import Night, Schedule
from include.model.flow import Check, Evidence
from include.model.words import Rung, Verdict

DAY = timedelta(days=1)
CASE = """
INSERT INTO casebook.case_ (case_no, kind, ground, channel, requester, opened_by, received_at, opened_on, state, key_id)
VALUES (%s, 'nightly', 'limit_reached', 'schedule', 'us', 'system/test', now(), %s, 'waiting', 'k.v1')"""


def row(
    rule: str, dataset: str, due: int = 0, overdue: int = 0, held: int = 0, late: int | None = None
) -> Row:
    return Row(
        rule, dataset, due, overdue, date(2026, 1, 2) if overdue else None, held, f"law of {rule}", late
    )


@dataclass
class Booked:
    """Writes nights. ``owner``: of the case book, for what a night does not write itself."""

    owner: str
    cases: int = 0
    made: list[Night] = field(default_factory=list)

    def night(
        self, as_of: date, found: list[Row], *, ages: figures.Ages | None = None, at: datetime | None = None,
        gone: Mapping[tuple[str, str], int] | None = None, left: list[Row] | None = None,
        unverified: Mapping[str, str] | None = None, coming: Mapping[date, Mapping[str, int]] | None = None,
        ended: bool = True, began_at: datetime | None = None, word: str | None = None,
    ) -> Night:  # fmt: skip
        """One night; ``began_at``: by the wall clock, the middle of its own day if left out. ``gone``: by (rule without its
        period, dataset). ``word``: who lets it go, if it stops."""
        schedule: Schedule = "days" if at is None else "hours"
        began = began_at or at or figures.midnight(as_of) + timedelta(hours=1)
        with book.connect(self.owner) as conn, book.deed(conn, "test"):
            case_no = None
            if any(r.due for r in found):
                self.cases += 1
                case_no = f"CASE-9{self.cases:05d}"
                conn.execute(CASE, (case_no, as_of))
            late = max((r.late for r in found if r.late is not None), default=None)
            night = nights.begin(conn, case_no, schedule, as_of, at, found, late)
            conn.execute(
                "UPDATE casebook.night SET began_at = %s WHERE night_id = %s", (began, night.night_id)
            )
            figures.keep_found(conn, night, ages or {})
            if word and night.waits_for_a_person:
                nights.approve(conn, night, word, None)
            for (rule, dataset), n in (gone or {}).items():
                nights.tell(conn, night, rule, dataset, gone=n)
            if ended:
                rows = left or []
                until = as_of + figures.AHEAD * DAY if at is None else None
                figures.keep_end(conn, night, rows, unverified or {}, coming or {}, until)
                nights.end(
                    conn, night, gone=sum((gone or {}).values()), remaining=sum(r.due for r in rows),
                    overdue=sum(r.overdue for r in rows),
                    tomorrow=sum((coming or {}).get(as_of + DAY, {}).values()) if at is None else None,
                )  # fmt: skip
            self.made.append(nights.of_id(conn, night.night_id))
        return self.made[-1]

    def proved(self, night: Night, at: datetime, *verdicts: tuple[str, Rung, Verdict]) -> None:
        """What the prover said of a night's datasets at a moment."""
        assert night.case_no is not None
        checks = tuple(
            Check(name=f"gone.{d}", dataset=d, rung=rung, verdict=verdict) for d, rung, verdict in verdicts
        )
        with book.connect(self.owner) as conn, book.deed(conn, "test"):
            step = f"{night.case_no.lower().replace('-', '_')}_s1"
            conn.execute(
                "INSERT INTO casebook.step VALUES (%s, %s, 'live', 1, %s, false) ON CONFLICT DO NOTHING",
                (step, night.case_no, night.as_of),
            )
            evidence = Evidence(kind="gone", step=step, case_no=night.case_no, store="company", as_of=night.as_of,
                                observed_at=at, plan=None, checks=checks)  # fmt: skip
            papers.keep_evidence(conn, evidence, [f"{evidence.fingerprint()}:{n}" for n in range(2)])

    def certified(self, night: Night, serial: int, kind: str, at: datetime) -> None:
        with psycopg.connect(self.owner) as conn:
            conn.execute(
                "INSERT INTO casebook.certificate (case_no, serial, kind, content, draft, person, auditor, issued_at)"
                " VALUES (%s, %s, %s, 'c', '{}', 'p', 'a', %s)",
                (night.case_no, serial, kind, at),
            )
