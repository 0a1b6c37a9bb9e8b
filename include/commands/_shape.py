"""``quietus retention shape``: columns by which nights judge that are not as they were, and a person's word that they may be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from include.commands import _common as common
from include.commands._options import AsJson
from include.commands._retention import as_json as tell
from include.commands._retention import figures

if TYPE_CHECKING:
    from include.cases.retention.shapes import Changed

app = typer.Typer(
    help="Columns by which nights judge that changed since, and stop their datasets.", no_args_is_help=True
)
COLUMNS = ("store", "column", "was", "is", "stops")


@app.command("show")
def show(as_json: AsJson = False) -> None:
    """What is not as nights knew it, and which datasets stand still for it. Exit status 0: nothing; 1: something is."""
    from include.cases.retention import shapes

    found = shapes.changed(common.desk())
    if as_json:
        tell({"changed": [{**_told(x), "stops": list(x.datasets)} for x in found]}, [], {})
    else:
        figures([_told(x) for x in found], COLUMNS)
        common.say(
            "put it back, or: quietus retention shape accept COLUMN DOCUMENT --actor ROLE/NAME"
            if found
            else "all columns are as nights know them"
        )
    raise typer.Exit(1 if found else 0)


@app.command("accept")
def accept(
    place: Annotated[str, typer.Argument(help="The column, as schema.table.column.")],
    document: Annotated[
        str, typer.Argument(help="Which paper says who changed it, and how values were carried over.")
    ],
    actor: Annotated[str, typer.Option(help="Who gives the word, as role/name.")],
) -> None:
    """Let nights judge by a column as it is now: every value of it means what it meant before."""
    from include.cases.retention import shapes

    for it in shapes.accept(common.desk(), place, document, actor=actor):
        common.say(f"{it.store}: {it.change}: accepted by {actor}; it goes on with {', '.join(it.datasets)}")


def _told(x: Changed) -> dict[str, Any]:
    return {
        "store": x.store, "column": x.change.place, "was": x.change.was, "is": x.change.now, "stops": ", ".join(x.datasets)
    }  # fmt: skip
