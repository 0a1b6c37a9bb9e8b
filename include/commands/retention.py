"""``quietus retention``: what is due, what will be, what a rule change would do, and the nights that dispose of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from include.commands import _backlog, _nights, _shape, _unasked, _why
from include.commands import _common as common
from include.commands._options import AsJson
from include.commands._retention import also, figures, leave
from include.commands._retention import as_json as tell
from include.model.errors import Refused
from include.model.times import PRC, observed_now

if TYPE_CHECKING:
    from include.cases.retention.due import Seen
    from include.cases.rooms import Desk
    from include.model.catalogue import Catalogue

app = typer.Typer(
    help="What is due by the retention rules, and the nights that dispose of it.", no_args_is_help=True
)
_nights.register(app)
_unasked.register(app)
app.command("why")(_why.command)
app.add_typer(_backlog.app, name="backlog")
app.add_typer(_shape.app, name="shape")
AsOf = Annotated[
    datetime | None, typer.Option("--as-of", formats=["%Y-%m-%d"], help="A day in China; today if left out.")
]
Holds = Annotated[bool, typer.Option(help="Ask the case book whom open holds name.")]
DAY = timedelta(days=1)
RULES = ("rule", "dataset", "due", "overdue", "oldest", "held", "basis")
STANDS = ("due", "held", "kept by law", "allowed", "not started", "starts ahead", "conflict", "no rule")


@app.command("due")
def due(as_of: AsOf = None, holds: Holds = True, as_json: AsJson = False) -> None:
    """What is due, per rule and dataset. Overdue is what an earlier night should have taken, without a hold: zero. What an
    approved plan of stages covers is told apart.

    Exit status 0: nothing else is overdue; 1: something is, or two laws collide; 3: a dataset could not be asked.
    """
    from include.cases.retention import backlog
    from include.cases.retention.due import table

    day = _day(as_of)
    desk = common.desk()
    seen = _see(desk, desk.catalogue, day, holds)
    rows, findings = table(seen), seen.findings()
    late, planned, plan = sum(r.overdue for r in rows), 0, None
    if holds:
        with desk.book() as conn:
            plan = backlog.in_force(conn, day)
        planned = sum(plan.under(rows).values()) if plan else 0
    if as_json:
        tell(
            {"as_of": day, "overdue": late, "under_plan": planned, "rules": [r.told() for r in rows]},
            findings,
            seen.unverified,
        )
    else:
        figures([r.told() for r in rows], RULES)
        common.say(
            f"{day}: {sum(r.due for r in rows):,} due, {late:,} of them overdue, {sum(r.held for r in rows):,} held"
        )
        if plan is not None:
            common.say(
                f"of what is overdue {plan.number} covers {planned:,}, at {plan.rate:,} a night until {plan.until}:"
                f" {late - planned:,} are overdue without a plan"
            )
        also(findings, seen.unverified)
    leave(seen.unverified, wrong=bool(findings or late > planned))


@app.command("late")
def late(
    at: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%dT%H:%M"], help="A moment in China; now if left out."),
    ] = None,
    holds: Holds = True,
    as_json: AsJson = False,
) -> None:
    """What is past a period of less than a day, and by how many minutes: codes, sessions, faces, locations, keys.

    Exit status 0: nothing is; 1: something is; 3: a dataset could not be asked.
    """
    from include.cases.retention.held import held_people
    from include.cases.retention.late import late as look
    from include.cases.retention.late import table

    desk = common.desk()
    moment = at.replace(tzinfo=PRC) if at is not None else observed_now()
    _come(desk, moment > observed_now(), moment.isoformat())
    minutes = look(desk.catalogue, desk.connections, moment, held=held_people(desk) if holds else None)
    rows = table(minutes)
    if as_json:
        tell({"at": moment.isoformat(), "rules": [asdict(r) for r in rows]}, (), minutes.unverified)
    else:
        figures([asdict(r) for r in rows], ("rule", "dataset", "due", "late", "held", "basis"))
        common.say(f"{sum(r.due for r in rows):,} past their hours; late: minutes of the first of them")
        also((), minutes.unverified)
    leave(minutes.unverified, wrong=any(r.due for r in rows))


@app.command("forecast")
def forecast(
    days: Annotated[int, typer.Option(min=1, max=3660, help="How many nights.")] = 90,
    as_of: AsOf = None,
    holds: Holds = True,
    as_json: AsJson = False,
) -> None:
    """What falls due in each of the next nights, by rule, of what is there today. The first night has the backlog."""
    from include.cases.retention.forecast import bars, nights

    first = _day(as_of)
    last = first + (days - 1) * DAY
    desk = common.desk()
    seen = _see(desk, desk.catalogue, last, holds, ahead=True)
    of = nights(seen, first)
    if as_json:
        tell({"nights": {d.isoformat(): dict(n) for d, n in of.items()}}, seen.findings(), seen.unverified)
    else:
        total: Counter[str] = sum(of.values(), Counter())
        figures(
            [
                {"rule": r, "first night": of.get(first, Counter())[r], "all nights": n}
                for r, n in sorted(total.items())
            ],
            ("rule", "first night", "all nights"),
        )
        for line in bars(of, first, last):
            common.say(line)
        also(seen.findings(), seen.unverified)
    leave(seen.unverified)


@app.command("assess")
def assess(
    rate: Annotated[int, typer.Option(min=1, help="Items that a night may dispose of.")] = 100_000,
    as_of: AsOf = None,
    holds: Holds = True,
    as_json: AsJson = False,
) -> None:
    """A first look at a real estate: how everything stands, the backlog by rule, conflicts, and in how many nights it is gone.

    Company periods without an owner are judged, and named: they must be owned before anything goes by them.
    """
    from include.cases.retention.due import table
    from include.cases.retention.forecast import burn_down, standings
    from include.cases.retention.proposals import unowned

    day = _day(as_of)
    desk = common.desk()
    seen = _see(desk, desk.catalogue, day, holds, everything=True, in_earnest=False)
    rows, stands, missing = table(seen), standings(seen), unowned(desk.catalogue)
    backlog = sum(r.due for r in rows)
    nights = burn_down(backlog, rate)
    if as_json:
        tell(
            {"as_of": day, "backlog": backlog, "nights": nights, "rules": [r.told() for r in rows],
             "standings": stands, "unowned": missing},
            seen.findings(), seen.unverified,
        )  # fmt: skip
    else:
        figures([{"dataset": d, **of} for d, of in sorted(stands.items())], ("dataset", *STANDS))
        common.say("")
        figures([r.told() for r in rows], tuple(c for c in RULES if c != "overdue"))
        common.say(
            f"{backlog:,} items would go: {nights} night{'' if nights == 1 else 's'} at {rate:,} a night"
        )
        if backlog and nights:
            last, end = backlog - (nights - 1) * rate, day + nights * DAY
            common.say(
                f"as a plan: from the night of {day + DAY} to that of {end}, which takes the last {last:,};"
                " what falls due since goes besides"
            )
            common.say(f"propose it: quietus retention backlog propose --rate {rate} --actor ROLE/NAME")
        if missing:
            common.say(f"company periods that nobody owns: {', '.join(missing)}")
        also(seen.findings(), seen.unverified)
    leave(seen.unverified)


@app.command("simulate")
def simulate(
    first: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="The first night.")],
    last: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="The last night.")],
    where: Annotated[
        Path | None, typer.Option("--catalogue", help="The changed catalogue.", file_okay=False)
    ] = None,
    holds: Holds = True,
    as_json: AsJson = False,
) -> None:
    """What would go in these nights; with --catalogue, what would go earlier or later under the changed periods, and what
    would not, since its owner has not accepted a longer one. What cannot be compared is named as UNVERIFIED."""
    from include.cases.retention.forecast import nights
    from include.cases.retention.simulate import apart, moved, telling_apart
    from include.cases.retention.stopped import stopped
    from include.catalogue import load

    begin, end = first.date(), last.date()
    if end < begin:
        raise Refused(
            "the last night is before the first", about="simulate", next_step="turn --from and --to"
        )
    desk = common.desk()
    other = load(where) if where is not None else None
    now = desk.catalogue if other is None else telling_apart(desk.catalogue, other)
    seen = _see(desk, now, end, holds, ahead=True, everything=other is not None)
    if other is None:
        columns: tuple[str, ...] = ("night", "rule", "due")
        rows: list[dict[str, Any]] = [
            {"night": d, "rule": r, "due": n}
            for d, rules in nights(seen, begin).items()
            for r, n in sorted(rules.items())
        ]
    else:
        columns = ("dataset", "rule", "change", "items", "before", "after")
        then = other
        if holds:
            now, then = stopped(desk, now), stopped(desk, then)
        rows = [asdict(m) for m in moved(now, then, seen, begin, end)]
        seen.unverified = {**apart(now, then), **seen.unverified}
    if as_json:
        tell({"from": begin, "to": end, "rows": rows}, seen.findings(), seen.unverified)
    else:
        figures(rows, columns)
        if not rows:
            common.say("nothing moves" if where else "nothing falls due")
        also(seen.findings(), seen.unverified)
    leave(seen.unverified)


def _day(as_of: datetime | None) -> date:
    return as_of.date() if as_of is not None else common.today()


def _come(desk: Desk, ahead: bool, when: str) -> None:
    from include.cases.retention.proposals import in_sandbox

    if ahead and not in_sandbox(desk.connections):
        raise Refused("that day has not come", about=when, next_step="ask `quietus retention forecast`")


def _see(
    desk: Desk, catalogue: Catalogue, day: date, holds: bool, *,
    everything: bool = False, ahead: bool = False, in_earnest: bool = True,
) -> Seen:  # fmt: skip
    from include.cases.retention import proposals
    from include.cases.retention.due import see
    from include.cases.retention.held import held_people
    from include.cases.retention.readings import remembering
    from include.cases.retention.stopped import stopped

    if in_earnest:
        proposals.in_earnest(catalogue, desk.connections)
    _come(desk, not ahead and day > common.today(), f"{day}")
    held = held_people(desk) if holds else None
    catalogue = stopped(desk, catalogue) if holds else catalogue
    once = remembering(desk) if holds else None
    return see(catalogue, desk.connections, day, held=held, everything=everything, once=once)
