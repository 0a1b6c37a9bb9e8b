"""``quietus sandbox recipients``: the outside world, seen and told how to behave."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from include.model.errors import Refused

if TYPE_CHECKING:
    from include.sandbox.recipients.world import World

app = typer.Typer(
    help="The bodies that the company gave data to: how they behave, what they know.", no_args_is_help=True
)


@contextmanager
def _world() -> Iterator[World]:
    from include.sandbox.recipients.world import World
    from include.sandbox.stack.stack import Stack

    stack = Stack()
    if not stack.exists:
        raise Refused("it was never started", about="sandbox", next_step="quietus sandbox up")
    world = World(stack.outside)
    try:
        yield world
    finally:
        world.close()


@app.command("list")
def list_() -> None:
    """Every body: how it is told, how it behaves now, and how many records of the company's people it has."""
    from include.sandbox.recipients.bodies import bodies

    table = Table("body", "name", "told by", "talks", "does", "has", box=None, pad_edge=False)
    with _world() as world:
        known = world.known()
        for body in bodies():
            how = world.behaviour(body)
            table.add_row(
                body,
                how.body.name,
                how.door.value,
                how.manner.value,
                how.stance.value,
                f"{known.get(body, 0):,}",
            )
    Console(highlight=False).print(table)


@app.command()
def behave(
    body: Annotated[str, typer.Argument(help="Its id, or `all`.")],
    ways: Annotated[
        list[str] | None, typer.Argument(help="How it talks and what it does; none: as ever.")
    ] = None,
    seconds: Annotated[float | None, typer.Option(min=0, help="How long it takes, if it is slow.")] = None,
) -> None:
    """Make a body behave in some ways from now on: slow, flaky, silent, lying, ... Whatever is not named is as ever."""
    from include.sandbox.recipients.bodies import bodies, way

    with _world() as world:
        for one in bodies() if body == "all" else (body,):
            how = world.behave(one, *(way(w) for w in ways or ()), seconds=seconds)
            typer.echo(f"{one}: told by {how.door}, talks {how.manner}, does {how.stance}")


@app.command()
def letters(
    body: Annotated[str | None, typer.Argument(help="Its id; none: everybody's.")] = None,
    text: Annotated[bool, typer.Option(help="The letters themselves, which name a person.")] = False,
) -> None:
    """The letters that arrived."""
    from include.sandbox.recipients.post import Post

    with _world() as world:
        for letter in Post(world).letters(body):
            said = "answered" if letter.answered else "not answered"
            typer.echo(f"{letter.number} {letter.body} {', '.join(letter.requests) or 'no request'} ({said})")
            if text:
                typer.echo(letter.text)


@app.command()
def answer(number: Annotated[int, typer.Argument(help="The letter's number.")]) -> None:
    """Let a body's people read a letter, act on it and write back: what one of ours would then record."""
    from include.sandbox.recipients.post import Post

    with _world() as world:
        post = Post(world)
        letter = next((x for x in post.letters() if x.number == number), None)
        if letter is None:
            raise Refused(
                "there is no such letter", about=str(number), next_step="quietus sandbox recipients letters"
            )
        typer.echo(post.answer(letter).text)


@app.command()
def told(
    body: Annotated[str, typer.Argument(help="Its id.")],
    letter: Annotated[typer.FileText, typer.Argument(help="What it is told; - for standard input.")],
) -> None:
    """A person tells a body, as an errand says, and it answers."""
    from include.sandbox.recipients.post import Post

    with _world() as world:
        typer.echo(Post(world).told(body, letter.read()).text)


@app.command()
def truth(
    account: Annotated[str, typer.Argument(help="The account id of a customer, or of who was one.")],
) -> None:
    """What the outside world really still knows of somebody. No body says this: the sandbox looks into their memory."""
    from include.sandbox.recipients import truth as looking

    with _world() as world:
        known = looking.truth(world, account)
    if not known:
        raise Refused("nobody was ever given anything of this account", about="recipients")
    Console(highlight=False).print(looking.table(known))


@app.command()
def today(
    day: Annotated[datetime, typer.Argument(formats=["%Y-%m-%d"], help="Not before the real one.")],
) -> None:
    """The day by which the bodies count what a law lets them keep, for a simulation."""
    with _world() as world:
        world.set_today(day.date())
        typer.echo(json.dumps({"today": world.today.isoformat()}))
