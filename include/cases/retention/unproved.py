"""Nights that ended and are not proved, or have no certificate yet. Each later one looks at them again, and is red while one is
left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from include.cases import papers
from include.cases.book import Conn
from include.cases.retention.nights import Schedule
from include.model.words import CaseState

NO_FINDING = "it is not proved, and no finding says why: run its proofs again"
NO_CERTIFICATE = "it is proved, and has no certificate: see whether ledger and signer answer"


@dataclass(frozen=True)
class Unproved:
    """One such night, and what stands in its way, in words."""

    night_id: int
    case_no: str
    as_of: date
    schedule: Schedule
    why: str

    def __str__(self) -> str:
        return f"{self.case_no}, the night of {self.as_of}: {self.why}"


def unproved(conn: Conn, schedule: Schedule | None = None, up_to: int | None = None) -> Sequence[Unproved]:
    """The oldest first. ``up_to``: nights to that one, itself included."""
    rows = conn.execute(
        "SELECT n.night_id, n.case_no, n.as_of, n.schedule, c.state FROM casebook.night n JOIN casebook.case_ c USING (case_no)"
        " WHERE n.ended_at IS NOT NULL AND (%(schedule)s::text IS NULL OR n.schedule = %(schedule)s)"
        " AND (%(up_to)s::bigint IS NULL OR n.night_id <= %(up_to)s) AND (c.state = 'acting' OR (c.state = 'waiting'"
        "  AND NOT EXISTS (SELECT FROM casebook.certificate f WHERE f.case_no = n.case_no))) ORDER BY n.night_id",
        {"schedule": schedule, "up_to": up_to},
    ).fetchall()
    return [Unproved(why=_why(conn, row["case_no"], row.pop("state")), **row) for row in rows]


def _why(conn: Conn, case_no: str, state: str) -> str:
    if CaseState(state) is CaseState.WAITING:
        return NO_CERTIFICATE
    found = papers.open_findings(conn, case_no)
    if not found:
        return NO_FINDING
    more = f" (and {len(found) - 1} more findings)" if len(found) > 1 else ""
    return f"{found[0]['what']}{more}"
