"""``quietus yearly``: the duties of the year, whenever somebody wants to know. The DAG `yearly_duties` does them by itself."""

from __future__ import annotations

from typing import Annotated

import typer

from include.commands import _common as common
from include.commands._options import AsJson

app = typer.Typer(help="What is done once a year.", no_args_is_help=True)
WRONG = 3  # the exit status if somebody is found, or something is left


@app.command()
def retest(as_json: AsJson = False) -> None:
    """Measure and attack every set that is called anonymous, as it is today, and say it in the ledger.

    Exit status 0: nobody is found; 3: somebody is, or a set could not be tried.
    """
    from include.cases.yearly.retesting import WHAT_TO_DO, retest_all

    found = retest_all(common.desk(), as_of=common.today())
    rows = [
        {"set": s.id, "verdict": s.verdict.value, "rows": s.rows or None, "k": s.measured and s.measured.k,
         "tries": s.tries or None, "why": s.why or "; ".join(f"{c.name}: {c.why}" for c in s.wrong)}
        for s in found.sets
    ]  # fmt: skip
    common.table(rows, ("set", "verdict", "rows", "k", "tries", "why"), as_json)
    if found.wrong:
        if not as_json:
            common.say(WHAT_TO_DO)
        raise typer.Exit(WRONG)


@app.command()
def keys(
    destroy: Annotated[
        bool, typer.Option("--destroy", help="Destroy them, for ever. Without it: only look.")
    ] = False,
) -> None:
    """Closed cases past both periods of RS-24 that still lead to their people. Exit status 3: something is left that should
    be gone."""
    from include.cases.yearly.ended import Periods
    from include.cases.yearly.ledger_keys import destroy_due, left

    desk, as_of = common.desk(), common.today()
    if destroy:
        done = destroy_due(desk, as_of=as_of, actor=common.me("ops"))
        common.say(str(done))
        raise typer.Exit(WRONG if done.trouble or done.left else 0)
    with desk.book() as conn:
        found = left(conn, desk.keys, Periods.of(desk.catalogue, desk.connections), as_of)
    for line in found:
        common.say(line)
    if found:
        raise typer.Exit(WRONG)
    common.say("nothing is left whose time has come")
