"""How a night ended: what went and what is left, told to the case book and the ledger, and what of it is no fault."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from include.cases import book
from include.cases.book import Conn
from include.cases.retention import backlog, counted, due, figures, forecast, nights, starts, undecided
from include.cases.retention.held import HeldPeople, held_people
from include.cases.retention.nights import Night
from include.cases.retention.seen import Seen, look
from include.cases.retention.stayed import STAYED
from include.cases.retention.stopped import stopped
from include.cases.retention.unproved import unproved
from include.cases.rooms import Desk
from include.model.catalogue import Catalogue
from include.model.flow import Step
from include.stores.s3.once import Once
from include.stores.shared import is_staged

DAY = timedelta(days=1)

KIND = "night"
"""Of the ledger's entries: what a night found and how it ended."""
SYSTEM = "system/nights"
"""Who ends a plan of stages that is burnt down."""


def end(desk: Desk, step: Step, once: Once) -> tuple[Night, Seen, dict[str, int]]:
    """How the estate stands after a night's step: what is still due by dataset, and how much of it the night says it left.
    ``once``: what the prover lists and reads for it."""
    with desk.book() as conn:
        night = nights.night_of(conn, step.case_no)
        counts = counted.words(conn, step.id)
    held, by = held_people(desk), stopped(desk)
    seen = look(desk, night.as_of, night.at, held, once, by=by)
    return keep(desk, night, counts, seen, held, once, by), seen, stayed_of(counts)


def stayed_of(counts: counted.Words) -> dict[str, int]:
    """How much of each dataset was passed over that is due still, by the receipts."""
    return {d: sum(w[x] for x in STAYED) for d, w in counts.items()}


def keep(
    desk: Desk,
    night: Night,
    counts: dict[str, Counter[str]],
    seen: Seen,
    held: HeldPeople,
    once: Once | None = None,
    by: Catalogue | None = None,
) -> Night:
    """Keep it in the case book and the ledger. ``once`` and ``by``: what the look at what is due was made of, and the catalogue
    that it asked by; the forecast is of the same moment."""
    gone = counted.gone(counts)
    tomorrow, until, unverified = None, None, seen.unverified
    coming: Mapping[date, Counter[str]] = {}
    expects: Counter[str] | None = None
    if night.at is None:
        until = night.as_of + figures.AHEAD * DAY
        # Of the same moment: what is counted of rows on any day was counted by the look at what is due.
        ahead = due.see(
            by or stopped(desk), desk.connections, until, held=held, once=once, strays=False, schemas=seen.schemas
        )  # fmt: skip
        coming = forecast.nights(ahead, night.as_of + DAY)
        expects = forecast.by_dataset(ahead, night.as_of + DAY)
        unverified = ahead.unverified | unverified  # a forecast without a dataset is no whole one either
        tomorrow = sum(coming.get(night.as_of + DAY, Counter()).values())
    with desk.book() as conn, book.deed(conn, night.about):
        never = sum(x.never for x in starts.of_night(conn, night))
        figures.keep_end(conn, night, seen.rows, unverified, coming, until)
        stages = _stages(conn, night, counts, seen)
        if expects is not None:
            for dataset in _staged(conn, night, counted.gone(counts)):
                expects[dataset] -= seen.of(dataset)
        ended = nights.end(
            conn, night, gone=gone, remaining=sum(r.due for r in seen.rows),
            overdue=sum(r.overdue for r in seen.rows), tomorrow=tomorrow, expects=None if expects is None else +expects,
            staged=stages.went if stages else None, planned=stages.planned if stages else None,
        )  # fmt: skip
        body = {
            "schedule": ended.schedule, "as_of": ended.as_of.isoformat(), "case": ended.case_no, "due": ended.due,
            "held": ended.held, "gone": ended.gone, "remaining": ended.remaining, "overdue": ended.overdue,
            "late_minutes": ended.late, "forecast": ended.expected, "approved_by": ended.approved_by,
            "undecided": sum(x.items or 0 for x in seen.undecided), "never_started": never,
            "backlog": ended.backlog, "planned": ended.planned, "unverified": len(unverified),
        }  # fmt: skip
        # Before the night counts as ended: who is killed in between ends it once more, and says it. Said again it is the same
        # entry; if it stands otherwise by then, another one.
        said = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]
        desk.record(KIND, ended.case_no, body, f"{KIND}:{ended.night_id}:{said}")
    return ended


@dataclass(frozen=True)
class _Stages:
    """Of a plan of stages: what ``went`` in a night, by dataset, and how much of what is overdue by now it covers."""

    went: Counter[str]
    planned: int


def _stages(conn: Conn, night: Night, counts: counted.Words, seen: Seen) -> _Stages | None:
    """What became of the plan that a night obeys: what it took of that leaves it, and what is not there any more."""
    if night.backlog is None:
        return None
    plan = backlog.of_number(conn, night.backlog)
    free, under = nights.besides(conn, night), night.under or {}
    went = Counter({d: max(0, counted.gone({d: counts[d]}) - free[d]) for d in under if d in counts})
    if plan.ended is None:
        unfinished = _unfinished(conn, night)
        left = {}
        for d, n in plan.remaining.items():
            if d in seen.unverified:
                left[d] = n
            elif d in unfinished:
                left[d] = min(n, max(0, under.get(d, n) - went[d]))
            else:  # all of it was come to: what is there still waits for no stage
                left[d] = 0
        backlog.burnt(conn, plan.number, left, SYSTEM)
    planned = {} if plan.ended == "withdrawn" else backlog.of_number(conn, night.backlog).under(seen.rows)
    return _Stages(+went, sum(planned.values()))


def _unfinished(conn: Conn, night: Night) -> dict[str, str]:
    """Datasets that a night could not finish, or of which it took a stage, and why."""
    rows = conn.execute(
        "SELECT dataset, why_left FROM casebook.night_line WHERE night_id = %s AND rule = %s AND why_left IS NOT NULL",
        (night.night_id, nights.UNFINISHED),
    ).fetchall()
    return {r["dataset"]: r["why_left"] for r in rows}


def _staged(conn: Conn, night: Night, gone: int) -> list[str]:
    """Datasets of which a night took a stage, and left the rest."""
    return [d for d, why in _unfinished(conn, night).items() if is_staged(why, gone=gone)]


def nothing_is_left(desk: Desk, night_id: int) -> list[str]:
    """What of a night is not as it must be, in words, what it was the first to find undecided, and which nights before it are not
    proved; nothing, if all is well. What a person left for the nights after is no fault."""
    with desk.book() as conn:
        night = nights.of_id(conn, night_id)
        rows = conn.execute(
            "SELECT dataset, why_left FROM casebook.night_line WHERE night_id = %s AND why_left IS NOT NULL ORDER BY 1, rule",
            (night_id,),
        ).fetchall()
        before = [str(x) for x in unproved(conn, night.schedule, night_id) if x.night_id != night_id]
        new = [str(x) for x in undecided.new_of(conn, night_id)]
    staged = [row for row in rows if is_staged(row["why_left"], gone=night.gone or 0)]
    said = [f"{row['dataset']}: {row['why_left']}" for row in rows if row not in staged]
    if night.backlog and night.unplanned and staged:
        said.insert(0, f"{night.unplanned} items are overdue, and {night.backlog} does not cover them")
    if night.remaining and not staged:
        said.insert(0, f"{night.remaining} items are still due, {night.overdue} of them overdue")
    return said + new + before
