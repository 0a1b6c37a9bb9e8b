"""``quietus retention why``: why something of a person, or one row, is still here, or by what it went."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Annotated

import typer

from include.commands import _common as common
from include.commands._options import AsJson, Auditor
from include.commands._retention import as_json as tell
from include.commands._retention import figures, leave
from include.model.errors import Refused

if TYPE_CHECKING:
    from include.cases.retention.why import Why

STANDS = ("dataset", "items", "stands", "earliest", "earliest by", "last day", "last day by", "holds")
CASES = ("case", "state", "ground", "opened")
TOOK = ("case", "ground", "dataset", "what", "items", "on")


def command(
    account: Annotated[str | None, typer.Option(help=common.ACCOUNT)] = None,
    dataset: Annotated[str | None, typer.Option(help="Ask about one row of this table, and of nobody.")] = None,
    key: Annotated[
        list[str] | None, typer.Option(help="Of a row: each column of its key, in order; asked for if left out.")
    ] = None,
    tables_only: Annotated[
        bool, typer.Option("--tables-only", help="List no bucket and read no log file: they are UNVERIFIED then.")
    ] = False,
    as_json: AsJson = False,
    auditor: Auditor = False,
) -> None:  # fmt: skip
    """Why is this still here, or why did it go? Per dataset: how many, the first lawful day and the last, by which rule and law,
    which holds keep it, and what cases did. Reads only; what you typed is in no line of the answer.

    Exit status 3: something could not be looked at.
    """
    from include.cases.retention import why

    desk, day = common.desk(), common.today()
    if dataset is None and key:
        raise Refused("a key is of a table", about="why", next_step="name its --dataset")
    if dataset is not None and account is not None:
        raise Refused("it is about a person, or about a row", about="why", next_step="give one of the two")
    with desk.book() as conn:
        told = common.discretion(conn, auditor)
    if dataset is None:
        who = account or typer.prompt("Opaque account id", hide_input=True)
        found = why.of_person(desk, who, told, day, files=not tables_only)
    else:
        columns = next((d.key for d in desk.catalogue.in_parts.datasets if d.id == dataset), ())
        typed = tuple(key or (typer.prompt(f"{dataset} {column}", hide_input=True) for column in columns))
        found = why.of_row(desk, dataset, typed, told, day)
    _tell(found, day, row=dataset is not None, as_json=as_json)
    leave(found.unverified)


def _tell(found: Why, day: date, *, row: bool, as_json: bool) -> None:
    stands = [s.told() for s in found.stands]
    took = [
        {"case": t.case_no, "ground": t.ground, "dataset": t.dataset, "what": t.what, "items": t.items, "on": t.on}
        for t in found.took
    ]  # fmt: skip
    if as_json:
        said = {"as_of": day, "stands": stands, "cases": found.cases, "took": took, "sure": found.sure}
        tell(said, (), found.unverified)
        return
    if stands:
        figures(stands, STANDS)
        common.say(
            "the last day still counts: what is due goes the day after; earliest empty: any day, or not known yet"
        )
    elif not found.unverified:
        common.say("it is not here any more" if row and took else "nothing of it is here")
    if found.cases:
        common.say("cases about this person:")
        figures(found.cases, CASES)
    if took:
        if row:
            common.say(
                "it went by:" if found.sure
                else "no book keeps keys; these took rows of this table, and may have taken it:"
            )  # fmt: skip
        figures(took, TOOK)
    for dataset, why in found.unverified.items():
        common.say(f"UNVERIFIED {dataset}: {why}")
