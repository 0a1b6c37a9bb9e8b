"""``quietus suppression``: an import is looked through for people who were deleted, before it serves."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from include.commands import _common as common
from include.commands._options import AsJson
from include.model.errors import Refused
from include.model.times import PRC

if TYPE_CHECKING:
    from include.cases.suppressing import Brought

app = typer.Typer(help="Nobody who was deleted comes back by an import.", no_args_is_help=True)
HELD_BACK = 3


@app.callback()
def _top() -> None:
    pass


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="CSV with a heading, UTF-8.", exists=True, dir_okay=False)],
    account: Annotated[str, typer.Option(help="Column with the account id.")] = "",
    document: Annotated[str, typer.Option(help="Column with the document number.")] = "",
    credit_code: Annotated[str, typer.Option(help="Column with the credit code.")] = "",
    phone: Annotated[str, typer.Option(help="Column with the phone: alone it holds nobody back.")] = "",
    consented: Annotated[str, typer.Option(help="Column with when its holder consented to us, ISO 8601.")] = "",
    let_in: Annotated[Path | None, typer.Option(help="Write the rows that may be imported here; it must be new.")] = None,
) -> None:  # fmt: skip
    """Which rows of an import to hold back: their numbers (1 is the first after the heading), and the cases; no values.

    Exit status 3: some are. What is to be reviewed may be imported meanwhile.
    """
    from include.cases import suppressing
    from include.cases.suppressing import Verdict

    columns = {"account": account, "document": document, "credit_code": credit_code, "phone": phone,
               "consented": consented}  # fmt: skip
    desk = common.desk()
    counts = dict.fromkeys(Verdict, 0)
    with ExitStack() as open_:
        heading = _heading(file, columns)
        kept = open_.enter_context(let_in.open("x", newline="", encoding="utf-8")) if let_in else None
        writer = csv.DictWriter(kept, heading) if kept else None
        if writer:
            writer.writeheader()
        again = _rows(file)
        with desk.book() as conn:
            for judged in suppressing.check(
                conn, desk.keys, _brought(_rows(file), columns), adopted_too=True
            ):
                row = next(again)
                counts[judged.verdict] += 1
                if judged.verdict is not Verdict.LET_IN:
                    common.say(f"row {judged.no}: {judged.verdict.value}, by {judged.by}, {judged.case_no}")
                if writer and judged.verdict is not Verdict.HOLD_BACK:
                    writer.writerow(row)
    common.say(", ".join(f"{n} {verdict.value}" for verdict, n in counts.items()))
    if counts[Verdict.HOLD_BACK]:
        raise typer.Exit(HELD_BACK)


@app.command()
def found(as_json: AsJson = False) -> None:
    """As a successor: people whom an authority had deleted, whose tombstones came along, and who are here all the same. Findings
    of our own cases are with these. Exit status 3: there are some."""
    from include.cases import adopted_back

    with common.reader() as conn:
        rows = adopted_back.findings(conn)
    common.table(
        rows, ("finding", "of_case", "code", "dataset", "items", "found_at", "what", "next_step"), as_json
    )
    if rows:
        raise typer.Exit(HELD_BACK)


@app.command()
def answer(
    finding: Annotated[int, typer.Argument(help="Its number, as `found` lists it.")],
    document: Annotated[str, typer.Option(help="The document by which it is right that somebody is here.")],
    role: Annotated[str, typer.Option(help="Your role: legal, …")] = "legal",
) -> None:
    """Answer for a finding: its holder is a customer of our own. It is not found again."""
    from include.cases import adopted_back

    adopted_back.answer(common.desk(), finding, document=document, actor=common.me(role))
    common.say(f"finding {finding} is answered for")


def _heading(file: Path, columns: dict[str, str]) -> list[str]:
    with file.open(newline="", encoding="utf-8-sig") as lines:
        heading = list(csv.DictReader(lines).fieldnames or ())
    if missing := sorted(option for option, column in columns.items() if column and column not in heading):
        raise Refused(
            f"there is no such column: {', '.join(f'--{m}' for m in missing)}", about=file.name,
            next_step="name the columns as the heading does",
        )  # fmt: skip
    if not any(columns[x] for x in ("account", "document", "credit_code", "phone")):
        raise Refused(
            "no column is named by which anybody could be found",
            about=file.name,
            next_step="give --account or --document",
        )
    return heading


def _rows(file: Path) -> Iterator[dict[str, str]]:
    with file.open(newline="", encoding="utf-8-sig") as lines:
        yield from csv.DictReader(lines)


def _brought(rows: Iterator[dict[str, str]], columns: dict[str, str]) -> Iterator[Brought]:
    from include.cases.suppressing import KINDS, Brought

    for no, row in enumerate(rows, 1):
        yield Brought(
            no,
            (row.get(columns["account"]) or None) if columns["account"] else None,
            {k: v for k in KINDS if columns[k] and (v := row.get(columns[k]))},
            _moment(no, row.get(columns["consented"])) if columns["consented"] else None,
        )


def _moment(no: int, text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(
            "this is no moment in ISO 8601",
            about=f"row {no}, --consented",
            next_step="write 2026-11-28T09:00:00+08:00",
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=PRC)
