"""``quietus backups``: what each backup set has, as its own tool says, and how far back that reaches."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

import typer
from rich.console import Console

from include.commands import _common as common
from include.commands import _expire
from include.commands._options import AsJson
from include.model.backups import BackupCopy, Copies, written
from include.model.words import Verdict

app = typer.Typer(help="Copies of the stores, as the backup tools say.", no_args_is_help=True)
app.command("expire")(_expire.command)
COLUMNS = ("copy", "kind", "reaches back to", "made", "leans on", "pinned", "broken", "last day")


@app.command("list")
def list_(
    set_: Annotated[list[str] | None, typer.Argument(metavar="[SET]...", help="All, if left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Every copy of each set: what it holds, what it needs, and what keeps it. Exit status 3: something cannot be read."""
    from include.backups.horizon import ends
    from include.cases.assembling import open_backup_tool
    from include.cases.periods import last_day
    from include.commands._connections import connections

    declared = {b.id: b for b in common.backup_sets(set_)}
    known = connections()
    seen = {id: open_backup_tool(backup, known).look() for id, backup in declared.items()}
    if as_json:
        Console(highlight=False).print_json(json.dumps({i: asdict(s) for i, s in seen.items()}, default=str))
    else:
        for id, copies in seen.items():
            last = ends(copies.copies, partial(last_day, duration=declared[id].keep))
            _told(id, copies, [_row(c) | {"last day": last.get(c.name)} for c in copies.copies])
    if any(s.problems for s in seen.values()):
        raise typer.Exit(3)


@app.command("drill")
def drill(
    set_: Annotated[str, typer.Argument(metavar="SET", help="The backup set.")],
    as_json: AsJson = False,
) -> None:
    """Restore the oldest copy in quarantine, look for everybody who was deleted, and destroy it again.

    Exit status 0: who should be gone is; 1: somebody comes up; 3: the look was not whole. It is recorded in the ledger.
    """
    from include.cases import drilling

    desk = common.desk()
    done = drilling.drill(
        desk, drilling.declared(desk.catalogue, set_), as_of=common.today(), actor=common.me("ops")
    )
    if as_json:
        Console(highlight=False).print_json(json.dumps(done.body(common.today())))
    else:
        common.say(str(done))
        if done.replayed is not None:
            common.say(f"  replayed: {done.left_after_replay} of {done.within.cases} cases are left after it")
    raise typer.Exit({Verdict.PASSED: 0, Verdict.FAILED: 1}.get(done.verdict, 3))


@app.command("drills")
def drills(as_json: AsJson = False) -> None:
    """The last drill of each set, and the sets that never had one."""
    from include.cases import drilling, drills

    with common.reader() as conn:
        last = drills.last(conn)
    rows = [
        {
            "set": backup.id, "drilled": f"{row['drilled_at']:%Y-%m-%d %H:%M}" if row else "never",
            "copy": row["copy"] if row else None, "verdict": row["verdict"] if row else None,
            "why": row["body"]["why"] if row else [],
        }
        for backup in drilling.sets(common.catalogue())
        for row in (last.get(backup.id),)
    ]  # fmt: skip
    common.table(rows, ("set", "drilled", "copy", "verdict", "why"), as_json)


@app.command("sweep")
def sweep() -> None:
    """Destroy scratches that killed drills left behind: they hold what was restored. Each drill does so first."""
    from include.backups.restoring.opening import open_place
    from include.commands._connections import connections

    common.say(f"{open_place(connections()).sweep()} scratches destroyed")


def _told(id: str, copies: Copies, rows: list[dict[str, Any]]) -> None:
    common.say(f"{id}" + (f", of cluster {copies.system}" if copies.system else ""))
    if rows:
        common.table(rows, COLUMNS, False)
    else:
        common.say("  no copy")
    if archive := copies.archive:
        common.say(
            f"  archived WAL from {written(archive.oldest)} to {written(archive.newest)}, {archive.segments} segments"
        )
    for problem in copies.problems:
        common.say(f"  not known: {problem}")


def _row(copy: BackupCopy) -> dict[str, Any]:
    made = copy.stopped_at or copy.started_at
    return {
        "copy": copy.name, "kind": copy.kind.value,
        "reaches back to": written(copy.start) if copy.start is not None else copy.started_at,
        "made": f"{made:%Y-%m-%d %H:%M}" if made else None, "leans on": list(copy.leans_on), "pinned": copy.pinned,
        "broken": copy.broken,
    }  # fmt: skip
