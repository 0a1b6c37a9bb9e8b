"""By which cases something went since T0: the order's own, and the nights and people's cases that went on beside it.

From the stores' receipts, of each dataset since it was located: so these are the items that the books call deleted or anonymised,
and those of bags whose source is gone.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from include.cases.book import Conn
from include.cases.shutdown import located
from include.handover.conservation import GONE_BY
from include.ledger.verify import said_in
from include.model.words import Disposition


@dataclass(frozen=True)
class Took:
    """What a case took. ``gone``: items that are not here any more, or are nobody's; ``cut``: those that lost a part."""

    gone: int
    cut: int


def took(conn: Conn, number: str) -> dict[str, Took]:
    """Of an order's datasets, case by case; a case that took nothing is not there."""
    since: dict[datetime, list[str]] = {}
    for dataset, opening in located.openings(conn, number).items():
        since.setdefault(opening.since, []).append(dataset)
    gone, cut = Counter[str](), Counter[str]()
    for moment, datasets in since.items():
        rows = conn.execute(
            "SELECT r.case_no, coalesce(sum(w.value::bigint) FILTER (WHERE split_part(w.key, '@', 1) = ANY(%(gone)s)), 0)::bigint"
            " AS gone, coalesce(sum(w.value::bigint) FILTER (WHERE split_part(w.key, '@', 1) = ANY(%(cut)s)), 0)::bigint AS cut"
            " FROM casebook.receipt AS r, jsonb_each(r.body -> 'counts') AS d, jsonb_each_text(d.value) AS w"
            " WHERE r.verb = 'dispose' AND (r.body ->> 'done_at')::timestamptz >= %(since)s AND d.key = ANY(%(datasets)s)"
            " GROUP BY 1",
            {"since": moment, "datasets": datasets, "gone": _words(GONE_BY), "cut": _words([Disposition.DEIDENTIFY])},
        ).fetchall()  # fmt: skip
        for row in rows:
            gone[row["case_no"]] += int(row["gone"])
            cut[row["case_no"]] += int(row["cut"])
    return {no: Took(gone[no], cut[no]) for no in sorted(gone) if gone[no] or cut[no]}


def _words(of: Collection[Disposition]) -> list[str]:
    return [word for d in of for word in (d.value, d.past)]


def other(conn: Conn, case_no: str, what: Took) -> dict[str, Any]:
    """A case that is none of the order's, as the certificate of the service names it: with what its own last certificate says,
    which for a case that is under way there is not."""
    row = conn.execute(
        "SELECT serial, entry, auditor FROM casebook.certificate WHERE case_no = %s AND issued_at IS NOT NULL"
        " ORDER BY serial DESC LIMIT 1",
        (case_no,),
    ).fetchone()
    found: dict[str, Any] = {"case": case_no, "items": what.gone, "cut": what.cut}
    if row is None:
        return found | {"certificate": None, "serial": None, "entry": None, "final": False, "waits": []}
    said = said_in(row["auditor"])
    waits = {w["name"]: w["due"] for w in said["pending"] if w["track"] == "backups"}
    return found | {
        "certificate": hashlib.sha256(row["auditor"].encode()).hexdigest(), "serial": row["serial"], "entry": row["entry"],
        "final": said["kind"] == "final", "waits": [{"backup_set": s, "due": due} for s, due in sorted(waits.items())],
    }  # fmt: skip
