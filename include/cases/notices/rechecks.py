"""What came of asking a recipient again, as an entry of the ledger: for synthetic people, and for whoever was caught.

What a recipient said is in the book first, with its time, so that a retry says the same word for word.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from include.cases import book
from include.cases.rooms import Desk

KIND = "recheck"
CHUNK = 200


def to_ledger(desk: Desk, case_no: str | None = None) -> int:
    """Say what is not in the ledger yet, of one case or of all; how many."""
    said = 0
    with desk.book() as conn:
        while True:
            rows = conn.execute(
                "SELECT * FROM casebook.word_kept WHERE to_say AND ledger_key IS NULL"
                " AND (%(no)s::text IS NULL OR case_no = %(no)s) ORDER BY probe_id LIMIT %(n)s",
                {"no": case_no, "n": CHUNK},
            ).fetchall()
            for row in rows:
                key = f"{KIND}:{row['case_no']}:{row['recipient']}:{row['round']}"
                desk.record(KIND, row["case_no"], _body(row), key)
                with book.deed(conn, row["case_no"]):
                    conn.execute(
                        "UPDATE casebook.probe SET ledger_key = %s WHERE probe_id = %s AND ledger_key IS NULL",
                        (key, row["probe_id"]),
                    )
                said += 1
            if len(rows) < CHUNK:
                return said


def _body(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "recipient": row["recipient"], "round": row["round"], "synthetic": row["synthetic"], "found": row["found"],
        "before": row["before"], "before_at": _moment(row["before_at"]), "after": row["after"],
        "observed_at": _moment(row["after_at"]), "as_of": row["asked_on"].isoformat(),
    }  # fmt: skip


def _moment(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat()
