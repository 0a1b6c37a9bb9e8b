"""``quietus proofs``: whether the proofs could see what was planted for them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from include.commands import _common as common
from include.commands._options import AsJson

app = typer.Typer(help="Planted controls: can the proofs see?", no_args_is_help=True)
COLUMNS = ("kind", "store", "proof", "planted", "found", "outcome", "why")
NIGHTS = ("day", "verdict", "found", "planted", "named in vain", "missed", "removed")


@app.command()
def audit(
    now: Annotated[bool, typer.Option("--now", help="Hold a night at once, and print that.")] = False,
    as_json: AsJson = False,
) -> None:
    """The last night kind by kind. Exit status 1: something was missed or named in vain; 3: no night came to its end."""
    from include.cases.controls import night, nights

    if now:
        night.audit(common.desk(), as_of=common.today())
    with common.reader() as conn:
        ended = next((n for n in nights.listing(conn) if n["verdict"]), None)
        kinds = nights.results(conn, ended["night_id"]) if ended else []
    if ended is None:
        common.say("no night came to its end yet: hold one with `quietus proofs audit --now`")
        raise typer.Exit(3)
    common.table(kinds, COLUMNS, as_json)
    if not as_json:
        common.say(f"{ended['day']}: {ended['verdict']}, {ended['found']} of {ended['planted']} found")
        for place in ended["strangers"]:
            common.say(f"named, and nothing was planted there: {place}")
    if ended["verdict"] != "passed":
        raise typer.Exit(1)


@app.command("nights")
def listing(as_json: AsJson = False) -> None:
    """The last nights, newest first."""
    from include.cases.controls import nights

    with common.reader() as conn:
        found = nights.listing(conn)
    common.table([_row(n) for n in found], NIGHTS, as_json)


@app.command()
def again() -> None:
    """Look again at every case at rest that was looked at while a proof was blind. Exit status 1: somebody was there, or a
    look could not be made."""
    from include.cases.controls.again import prove_again

    done = prove_again(common.desk(), as_of=common.today(), actor=common.me("ops"))
    common.say(str(done))
    if done.failed or done.blind:
        raise typer.Exit(1)


@app.command()
def sweep() -> None:
    """Remove what a night that was killed may have left. The next audit does so by itself."""
    from include.cases.controls import night

    common.say(f"of {night.sweep(common.desk(), as_of=common.today())} nights something was removed")


def _row(night: dict[str, Any]) -> dict[str, Any]:
    done = night["verdict"] is not None
    return {
        "day": night["day"], "verdict": night["verdict"] or "not finished",
        "found": night["found"] if done else None, "planted": night["planted"] if done else None,
        "named in vain": len(night["strangers"]) if done else None, "missed": night["missed"],
        "removed": "yes" if night["removed_at"] else "not yet",
    }  # fmt: skip
