"""``quietus retention night | nights | starts | latency | approve | stop | resume``: the nights that dispose of what is due."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from include.commands import _common as common
from include.commands._options import AsJson
from include.commands._retention import as_json as tell
from include.commands._retention import figures
from include.model.errors import Refused
from include.model.times import PRC, observed_now, prc_date

if TYPE_CHECKING:
    from include.cases.retention.nights import Night
    from include.cases.rooms import Desk

COLUMNS = (
    "night",
    "case",
    "schedule",
    "due",
    "held",
    "forecast",
    "gone",
    "left",
    "overdue",
    "by plan",
    "unverified",
    "late",
    "ended",
    "approved by",
)


def register(app: typer.Typer) -> None:
    """Add these commands to ``quietus retention``."""
    app.command("night")(night)
    app.command("nights")(listing)
    app.command("starts")(starts)
    app.command("latency")(latency)
    app.command("approve")(approve)
    app.command("stop")(stop)
    app.command("resume")(resume)


def night(
    hours: Annotated[bool, typer.Option("--hours", help="Only periods under a day, to the minute.")] = False,
    actor: Annotated[str, typer.Option(help="Who runs it, as role/name.")] = "ops/command-line",
) -> None:
    """Dispose of everything that is due now, prove it, and certify it. Without Airflow; else the DAG does it every night.

    Exit status 0: nothing is left; 1: something is, and is named; 4: it waits for a person's word.
    """
    from include.cases.retention import whole
    from include.cases.retention.ended import nothing_is_left

    desk = common.desk()
    now = observed_now()
    done = whole.run(desk, as_of=prc_date(now), at=now if hours else None, actor=actor)
    if done.waits_for_a_person:
        common.say(f"{done.case_no} waits for a person's word: {done.needs_word}")
        common.say(
            f"look at `quietus retention due`, then: quietus retention approve {done.case_no} --actor ROLE/NAME"
        )
        raise typer.Exit(4)
    unasked = _unverified(desk, [done])
    _table([done], unasked)
    if n := unasked[done.night_id]:
        common.say(
            f"UNVERIFIED {n}: of so many datasets nobody could say, or not wholly, what is due; they are no zero"
        )
    left = nothing_is_left(desk, done.night_id)
    for what in left:
        common.say(what)
    raise typer.Exit(1 if left else 0)


def listing(
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 30, as_json: AsJson = False
) -> None:
    """The last nights: what each found, what was forecast, what went, and what was left."""
    from include.cases.retention import nights

    desk = common.desk()
    with desk.book() as conn:
        found = nights.latest(conn, limit=limit)
    unasked = _unverified(desk, found)
    if as_json:
        tell({"nights": [_told(n, unasked) for n in found]}, [], {})
        return
    _table(found, unasked)


STARTS = ("dataset", "start", "rules", "not started", "starts ahead", "can never start")


def starts(as_json: AsJson = False) -> None:
    """Clocks that had not begun when the last night by days began: rows without a date in the column that starts their period, or
    with one ahead. What can never start has nobody left who would write it, or a far year: it is never due until that is mended.

    Exit status 0: all of it may begin yet; 1: some can never.
    """
    from include.cases.retention import nights
    from include.cases.retention import starts as of

    with common.desk().book() as conn:
        last = nights.latest(conn, "days", 1)
        found = of.of_night(conn, last[0]) if last else []
    rows = [
        {"dataset": x.dataset, "start": x.start, "rules": ", ".join(x.rules), "not started": x.not_started,
         "starts ahead": x.ahead, "can never start": x.never}
        for x in found
    ]  # fmt: skip
    if as_json:
        tell({"night": last[0].as_of if last else None, "starts": rows}, [], {})
    else:
        figures(rows, STARTS)
        common.say(f"as the night of {last[0].as_of} began" if last else "no night has begun yet")
    raise typer.Exit(1 if any(x.never for x in found) else 0)


SPANS = ("rule", "gone", "R2 known", "R2 median", "R2 worst", "rung known", "rung median", "rung worst")


def latency(
    days: Annotated[int, typer.Option(min=1, max=3660, help="Nights of how many days.")] = 30,
    as_json: AsJson = False,
) -> None:
    """How long it took from due until it was gone from live stores, proved (R2), and until the certificate was final (required
    rung). Only what is really known is counted; a span that is not known is left empty."""
    from include.cases.retention import latency as spans

    since = prc_date(observed_now()) - timedelta(days=days)
    with common.desk().book() as conn:
        went = spans.went(conn, since)
    rows = spans.latencies(went) + ([whole] if (whole := spans.over_all(went)) else [])
    if as_json:
        tell({"since": since, "unit": "seconds", "rules": [_seconds(asdict(r)) for r in rows]}, [], {})
        return
    figures(
        [
            {"rule": r.rule, "gone": r.went, "R2 known": r.live.known, "R2 median": _long(r.live.median),
             "R2 worst": _long(r.live.worst), "rung known": r.required.known, "rung median": _long(r.required.median),
             "rung worst": _long(r.required.worst)}
            for r in rows
        ],
        SPANS,
    )  # fmt: skip


def _long(span: timedelta | None) -> str | None:
    """A span as a person reads it: in minutes below two hours, in hours below two days."""
    if span is None:
        return None
    minutes = span / timedelta(minutes=1)
    if minutes < 120:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.1f} h" if minutes < 2880 else f"{minutes / 1440:.1f} d"


def _seconds(told: dict[str, Any]) -> dict[str, Any]:
    return {
        k: _seconds(v) if isinstance(v, dict) else v.total_seconds() if isinstance(v, timedelta) else v
        for k, v in told.items()
    }


def approve(
    case: Annotated[str, typer.Argument(help="The night's case number.")],
    actor: Annotated[str, typer.Option(help="Who gives the word, as role/name.")],
    at_most: Annotated[
        int | None,
        typer.Option(min=1, help="At most so many items tonight; the next night asks about the rest."),
    ] = None,
) -> None:
    """Let a night go on whose size is out of line. The next `quietus retention night`, or the run in Airflow, carries it out."""
    from include.cases.retention import night as nightly

    approved = nightly.approve(
        common.desk(), case, budget=at_most, as_of=prc_date(observed_now()), actor=actor
    )
    common.say(
        f"{approved.case_no} may go on, by {approved.approved_by}"
        + (f", {at_most:,} items at most" if at_most else "")
    )


def stop(
    why: Annotated[str, typer.Argument(help="Why, without naming anybody.")],
    actor: Annotated[str, typer.Option(help="Who stops it, as role/name.")],
) -> None:
    """Stop everything that disposes between two pieces, until somebody lifts it. What is restricted stays so."""
    from include.cases import book
    from include.cases.retention import stopping

    with common.desk().book() as conn, book.deed(conn, "nights"):
        stopping.stop(conn, why, actor=actor)
    common.say("disposing is stopped")


def resume(actor: Annotated[str, typer.Option(help="Who lifts it, as role/name.")]) -> None:
    """Lift the stop: the next run of each goes on where the stopped one stood."""
    from include.cases import book
    from include.cases.retention import stopping

    with common.desk().book() as conn, book.deed(conn, "nights"):
        if not stopping.lift(conn, actor=actor):
            raise Refused("disposing is not stopped", about=stopping.ABOUT, next_step="nothing is to be done")
    common.say("disposing may go on")


def _unverified(desk: Desk, found: list[Night]) -> Counter[int]:
    from include.cases.retention import figures as of

    with desk.book() as conn:
        return of.unverified(conn, [n.night_id for n in found])


def _table(found: list[Night], unverified: Counter[int]) -> None:
    figures([_told(n, unverified) for n in found], COLUMNS)


def _told(n: Night, unverified: Counter[int]) -> dict[str, object]:
    moment: datetime | None = n.at.astimezone(PRC) if n.at else None
    return {
        "night": f"{moment:%Y-%m-%d %H:%M}" if moment else n.as_of, "case": n.case_no, "schedule": n.schedule, "due": n.due,
        "held": n.held, "forecast": n.expected, "gone": n.gone, "left": n.remaining, "overdue": n.overdue, "by plan": n.planned,
        "unverified": None if n.ended_at is None else unverified[n.night_id], "late": n.late,
        "ended": None if n.ended_at is None else f"{n.ended_at.astimezone(PRC):%m-%d %H:%M}", "approved by": n.approved_by,
    }  # fmt: skip
