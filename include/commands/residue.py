"""``quietus residue``: look for a case's people in the bytes of files, whatever a server says of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from include.commands import _common as common
from include.commands._options import AsJson
from include.model.words import Verdict

if TYPE_CHECKING:
    from include.cases.residue import Found

UNVERIFIED = 3  # the exit status if something could not be read, or is not certain


def _lines(found: Iterable[Found]) -> Iterator[str]:
    """By case, by what is to be thought of it, by table or file."""
    order = sorted(found, key=lambda f: (f.case_no, f.kept, not f.sure, f.place))
    for (case_no, kept, sure), of in groupby(order, lambda f: (f.case_no, f.kept, f.sure)):
        yield f"{case_no}: " + (
            "kept by the plan" if kept else "left behind" if sure else "perhaps longer numbers"
        )
        for table, parts in groupby(of, lambda f: f.place.partition(" (")[0]):
            yield f"  {table}: " + "; ".join(_part(part, table) for part in parts)


def _part(found: Found, table: str) -> str:
    where = found.place.removeprefix(table).strip(" ()")
    pages = f"{found.pages} page" + ("s" if found.pages > 1 else "")
    return f"{where + ', ' if where else ''}{pages} ({', '.join(found.how)})"


def command(
    paths: Annotated[
        list[Path], typer.Argument(help="A data directory, backup, archive, log; or files.", exists=True)
    ],
    case: Annotated[list[str], typer.Option(help="CASE-000001; several are looked for in one pass.")],
    store: Annotated[
        str | None, typer.Option(help="The store whose files these are: its tables are then named.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say where in these files something of the cases' people is: in rows, holes, indexes, chunks or WAL.

    Exit status 0: nothing is left, and everything was read; 1: something is; 3: it is not certain. Nothing is recorded.
    """
    from include.cases import residue

    looked = residue.look(common.desk(), case, paths, store)
    if as_json:
        said = asdict(looked) | {"verdict": looked.verdict.value}
        Console(highlight=False).print_json(json.dumps(said))
    else:
        for line in _lines(looked.found):
            common.say(line)
        for unread in looked.unread:
            common.say(f"not read: {unread.name}: {unread.why}")
        common.say(
            f"{looked.verdict.value}: {looked.files} files, {looked.size / 2**20:,.0f} MiB"
            + ("" if looked.digests else "; digests of values were not looked for, the cases are too many")
        )
    raise typer.Exit({Verdict.PASSED: 0, Verdict.FAILED: 1}.get(looked.verdict, UNVERIFIED))
