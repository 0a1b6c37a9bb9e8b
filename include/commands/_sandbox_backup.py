"""``quietus sandbox backup``: what the company's own backup job would do at night."""

from __future__ import annotations

from typing import Annotated

import typer

from include.commands import _common as common
from include.model.backups import written

app = typer.Typer(help="The company's own base backups.", no_args_is_help=True)


@app.callback()
def backups() -> None:
    """Quietus takes no backups: this stands for a job of the company's own."""


@app.command()
def take(
    incremental: Annotated[
        bool, typer.Option("--incremental", help="Only what changed since the newest; else a full one.")
    ] = False,
) -> None:
    """Take a base backup into the sandbox's home, and verify it by its manifest."""
    from include.sandbox.backups import take as taken
    from include.sandbox.stack.stack import Stack

    stack = Stack()
    made = taken(stack.company, stack.backups, incremental=incremental)
    leans = f", and leans on {', '.join(made.leans_on)}" if made.leans_on else ""
    common.say(f"{made.name}: reaches back to {written(made.start or 0)}{leans}")
    common.say("every copy, and its last day:   quietus backups list company_base")
