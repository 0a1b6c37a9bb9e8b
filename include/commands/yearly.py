"""``quietus yearly``: the duties of the year, whenever somebody wants to know. The DAG `yearly_duties` does them by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from include.commands import _common as common
from include.commands import _media
from include.commands._options import AsJson
from include.model.errors import Refused

app = typer.Typer(help="What is done once a year.", no_args_is_help=True)
_media.register(app)
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
         "tries": s.tries or None, "grade": s.grade, "graded": s.graded or None,
         "why": s.why or "; ".join(f"{c.name}: {c.why}" for c in s.wrong)}
        for s in found.sets
    ]  # fmt: skip
    common.table(
        rows, ("set", "verdict", "rows", "k", "tries", "graded" if not as_json else "grade", "why"), as_json
    )
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


@app.command()
def destroyed(
    year: Annotated[int | None, typer.Argument(help="Without: the last one that is over and proved.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write it to this file; it must not be there yet.")] = None,
    as_json: AsJson = False,
) -> None:
    """The permanent list of what was destroyed in a year, as CSV; the file whose digest the ledger has."""
    from rich.console import Console

    from include.cases.yearly import destruction_list
    from include.cases.yearly.destroyed import Year
    from include.commands._connections import connections

    found = destruction_list.of_year(connections(), Year.last(common.today()) if year is None else Year(year))
    if out is not None:
        try:
            with out.open("x", encoding="utf-8", newline="") as file:
                file.write(found.text)
        except OSError:
            raise Refused(
                "the file is there already, or cannot be written", about=str(out), next_step="name another"
            ) from None
        common.say(str(found))
    elif as_json:
        Console(highlight=False).print_json(
            data={**found.body(), "list": destruction_list.as_rows(found.lines)}
        )
    else:
        typer.echo(found.text, nl=False)


@app.command()
def compare(
    year: Annotated[int, typer.Argument(help="The year that the file is about.")],
    file: Annotated[Path, typer.Argument(help="As `quietus yearly destroyed` wrote it.")],
) -> None:
    """Hold a file against what the ledger says of that year. It fails if the file is another one."""
    from include.cases.yearly import destruction_list
    from include.commands._connections import connections

    try:
        content = file.read_bytes()
    except OSError:
        raise Refused("the file cannot be read", about=str(file), next_step="check its name") from None
    common.say(
        f"this is the list of {year} that entry {destruction_list.compare(connections(), year, content)} of the ledger names"
    )
