"""``quietus retention backlog``: plans by which a backlog goes in stages, proposed by one person and approved by another."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from include.commands import _common as common
from include.commands._options import AsJson
from include.commands._retention import as_json as tell
from include.commands._retention import figures

if TYPE_CHECKING:
    from include.cases.retention.backlog import Backlog

app = typer.Typer(
    help="Plans by which a backlog goes in stages: one proposes, another approves.", no_args_is_help=True
)
Number = Annotated[str, typer.Argument(help="The plan's number, as BP-000001.")]
Actor = Annotated[str, typer.Option(help="Who does it, as role/name.")]
COLUMNS = ("plan", "rate", "counted on", "until", "items", "left", "proposed by", "approved by", "state")


@app.command("propose")
def propose(
    rate: Annotated[int, typer.Option(min=1, help="Items of the backlog that a night may dispose of.")],
    actor: Actor,
    until: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="The last night; when it is burnt down, if left out."),
    ] = None,
) -> None:
    """Count what is due now, and propose to let it go at so many items a night. Nothing goes by it before another approved it."""
    from include.cases.retention import backlog

    last = until.date() if until else None
    made = backlog.propose(common.desk(), rate=rate, until=last, as_of=common.today(), actor=actor)
    _table([made])
    common.say(
        f"another person reads it and approves: quietus retention backlog approve {made.number} --actor ROLE/NAME"
    )


@app.command("approve")
def approve(number: Number, actor: Actor) -> None:
    """Approve a plan that somebody else proposed: the nights obey it from now on, and ask nobody about what it covers."""
    from include.cases.retention import backlog

    _table([backlog.approve(common.desk(), number, as_of=common.today(), actor=actor)])


@app.command("withdraw")
def withdraw(
    number: Number, why: Annotated[str, typer.Argument(help="Why, without naming anybody.")], actor: Actor
) -> None:
    """End a plan: what it left is overdue, and the next night asks a person again."""
    from include.cases.retention import backlog

    _table([backlog.withdraw(common.desk(), number, why, actor=actor)])


@app.command("show")
def show(as_json: AsJson = False) -> None:
    """All plans, the newest first: what each lets go a night, who proposed and approved it, and what it left."""
    from include.cases.retention import backlog

    with common.desk().book() as conn:
        found = backlog.plans(conn)
    if as_json:
        rows = [_told(p) | {"counted": dict(p.counted), "remaining": dict(p.remaining)} for p in found]
        tell({"plans": rows}, [], {})
    else:
        _table(found)
        for plan in found[:1]:
            rows = [
                {"dataset": d, "items": n, "left": plan.remaining.get(d, 0)}
                for d, n in sorted(plan.counted.items())
            ]
            figures(rows, ("dataset", "items", "left"))


def _table(found: list[Backlog]) -> None:
    figures([_told(p) for p in found], COLUMNS)


def _told(plan: Backlog) -> dict[str, object]:
    return {
        "plan": plan.number, "rate": plan.rate, "counted on": plan.counted_on, "until": plan.until,
        "items": sum(plan.counted.values()), "left": sum(plan.remaining.values()), "proposed by": plan.proposed_by,
        "approved by": plan.approved_by, "state": plan.state(common.today()),
    }  # fmt: skip
