"""How ``quietus retention`` tells what it saw: names whole, figures in columns, and what was not seen with its reason."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from include.commands import _common as common
from include.model.flow import Finding

UNVERIFIED = 3  # the exit status when a dataset could not be asked


def figures(rows: Sequence[Mapping[str, Any]], columns: tuple[str, ...]) -> None:
    """A table of which nothing is cut or folded, however narrow the place; numbers to the right, no number as nothing."""
    table = Table(box=None, pad_edge=False)
    for column in columns:
        right = all(isinstance(r.get(column), int | None) for r in rows)
        table.add_column(column, no_wrap=True, justify="right" if right else "left")
    for row in rows:
        table.add_row(*(f"{v:,}" if isinstance(v := row.get(c), int) else common.cell(v) for c in columns))
    whole = Console(width=1000).measure(table).maximum
    Console(highlight=False, width=max(Console().width, whole)).print(table)


def also(findings: Sequence[Finding], unverified: Mapping[str, str]) -> None:
    """What a person has to decide, and what could not be asked, by reason."""
    for f in findings:
        common.say(f"{f.code} {f.dataset}: {f.items} items: {f.what}. Next: {f.next_step}")
    reasons: dict[str, list[str]] = {}
    for dataset, why in unverified.items():
        reasons.setdefault(why, []).append(dataset)
    for why, datasets in reasons.items():
        common.say(f"UNVERIFIED {len(datasets)}: {why}: {', '.join(datasets)}")


def as_json(said: Mapping[str, Any], findings: Sequence[Finding], unverified: Mapping[str, str]) -> None:
    """The same for a machine."""
    whole = {**said, "findings": [f.model_dump(mode="json") for f in findings], "unverified": unverified}
    Console(highlight=False).print_json(json.dumps(whole, default=str, ensure_ascii=False))


def leave(unverified: Mapping[str, str], *, wrong: bool = False) -> None:
    """End with 1 if something is wrong, else with 3 if a dataset could not be asked."""
    if wrong or unverified:
        raise typer.Exit(1 if wrong else UNVERIFIED)
