"""``quietus sandbox partner``: the companies that gave ours data tell it to delete, and hear from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from include.model.errors import Refused

if TYPE_CHECKING:
    from include.sandbox.recipients.partners import Partners
    from include.sandbox.stack.stack import Stack

app = typer.Typer(
    help="The partners that gave the company data: they tell it to delete, and hear from it.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(help="Its id in upstream.yaml: bank, insurer.")]


@contextmanager
def _partners() -> Iterator[tuple[Stack, Partners]]:
    from include.sandbox.recipients.partners import Partners
    from include.sandbox.recipients.world import World
    from include.sandbox.stack.stack import Stack

    stack = Stack()
    if not stack.exists:
        raise Refused("it was never started", about="sandbox", next_step="quietus sandbox up")
    world = World(stack.outside)
    try:
        yield stack, Partners(world.state)
    finally:
        world.close()


@app.command()
def ask(
    partner: Name,
    reference: Annotated[
        str | None, typer.Argument(help="Its own number for a person; none: somebody's that it supplied.")
    ] = None,
) -> None:
    """Let a partner tell the company to delete a person: *upstream_requests* goes on with it."""
    from include.sandbox.recipients.populace import number_of
    from include.sandbox.stack.stack import COMPANY

    with _partners() as (stack, partners):
        company = stack.for_partner(partner)
        number = reference or number_of(stack.company.superuser_conninfo(COMPANY), partner)
        typer.echo(f"{partner}: asked as request {partners.ask(partner, company, number)}; it was signed for")


@app.command()
def status(
    partner: Name, request: Annotated[str, typer.Argument(help="The request's id, as ask or heard said it.")]
) -> None:
    """How a request stands, as the company signs it when the partner asks."""
    with _partners() as (stack, partners):
        typer.echo(
            json.dumps(
                partners.status(partner, stack.for_partner(partner), request), ensure_ascii=False, indent=1
            )
        )


@app.command()
def heard(
    partner: Annotated[str | None, typer.Argument(help="Its id; none: all of them.")] = None,
) -> None:
    """What came to the partners' addresses, whether its signature was the company's, and what it answers."""
    table = Table("partner", "request", "status", "signature", "answers", box=None, pad_edge=False)
    with _partners() as (_, partners):
        for one in partners.heard(partner):
            answers = "; ".join(_answer(part) for part in one.answers)
            signed = "[green]the company's[/green]" if not one.why else f"[red]{one.why}[/red]"
            table.add_row(one.partner, one.request, one.status, signed, answers)
    Console(highlight=False).print(table)


def _answer(part: dict[str, object]) -> str:
    about = ", ".join(
        str(part[name]) for name in ("count", "article", "authorisation", "until") if name in part
    )
    return f"{part.get('code')}" + (f" ({about})" if about else "")
