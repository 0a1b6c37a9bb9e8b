"""``quietus backups expire``: let go what is due in a set, through its own tool."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console

from include.backups.expiring.carrying_out import Expired
from include.commands import _common as common
from include.commands._options import AsJson
from include.model.backups import written


def command(
    set_: Annotated[str, typer.Argument(metavar="SET")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Also if more than the set's share would go at once.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Let go every copy whose last day is over. Exit status 1: something due is still there; 3: nothing may go.

    Before anything goes the case book is asked whether disposing is stopped.
    """
    from include.backups.opening import expire_set
    from include.cases.periods import last_day
    from include.cases.retention import stopping
    from include.commands._connections import connections

    (backup,) = common.backup_sets([set_])
    done = expire_set(
        backup, connections(), last=lambda made: last_day(made, backup.keep), today=common.today(), dry_run=dry_run,
        yes=yes, may_go_on=lambda: stopping.asked(common.reader),
    )  # fmt: skip
    if as_json:
        Console(highlight=False).print_json(json.dumps(asdict(done), default=str))
    else:
        for line in lines(done):
            common.say(line)
    if done.plan.stopped:
        raise typer.Exit(3)
    if not done.as_planned:
        raise typer.Exit(1)


def lines(done: Expired) -> Iterator[str]:
    """What is to be told of it."""
    for why in done.plan.stopped:
        yield f"nothing goes: {why}"
    for name in done.plan.go:
        yield f"{name}: " + (
            "would go" if done.dry_run else "is still there" if name in done.still else "gone"
        )
    for name, why in done.plan.stay.items():
        yield f"{name}: stays" + (" past its last day" if name in done.plan.late else "") + f", {why}"
    for name in done.unplanned:
        yield f"{name}: gone, and not by us"
    for why in done.not_restorable:
        yield f"cannot be restored: {why}"
    if done.checked:
        yield f"what stays can be restored, as far as is known without doing it: {done.checked}"
    if done.breaker:
        yield done.breaker + (": it needs --yes" if done.dry_run else "")
    for cut in done.cuts:
        yield f"archived WAL in {cut.place} until {written(cut.until)}: {'would go' if done.dry_run else 'let go'}"
    archive = done.archive[1]
    if archive:
        yield f"archived WAL from {written(archive.oldest)} on is there"
