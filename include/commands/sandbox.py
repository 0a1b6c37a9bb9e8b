"""``quietus sandbox``: a whole small certification authority on this machine, on loopback."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from include.commands import _outside, _partner, _sandbox_backup
from include.model.errors import Refused
from include.sandbox.stack.workers import Executor

app = typer.Typer(help="A whole small certification authority to run against.", no_args_is_help=True)
app.add_typer(_outside.app, name="recipients")
app.add_typer(_partner.app, name="partner")
app.add_typer(_sandbox_backup.app, name="backup")


def _progress() -> Callable[[str], None]:
    """A progress line with the seconds since the start."""
    console, begun = Console(stderr=True, highlight=False), time.monotonic()
    return lambda line: console.print(f"[dim]{time.monotonic() - begun:6.1f} s[/dim]  {line}", soft_wrap=True)


@app.command()
def up(
    airflow: Annotated[bool, typer.Option(help="Start Airflow too.")] = True,
    executor: Annotated[
        Executor | None,
        typer.Option(
            help="Who runs Airflow's tasks: children of the scheduler, or two Celery workers behind Redis. Kept until changed.",
            show_default="local",
        ),
    ] = None,
    successor: Annotated[
        bool, typer.Option("--successor", help="Also who takes over at a shutdown, with servers of its own.")
    ] = False,
) -> None:
    """Start the servers that do not run yet. Twice is once."""
    from include.sandbox.stack.stack import Stack

    stack = Stack()
    stack.up(_progress(), airflow=airflow, executor=executor, successor=successor)
    if airflow:
        console = Console(highlight=False)
        console.print(f"\nAirflow is at [bold]{stack.airflow.url}[/bold]; log in as")
        for user, role in stack.airflow.users.items():
            console.print(f"  {user:9} {stack.airflow.password(user)}   ({role})")
        console.print('\nShell variables for psql and the command line:  eval "$(quietus sandbox env)"')
    if successor:
        Console(highlight=False).print(
            f"As the successor, in a shell of its own:  . {stack.successor.environment_file}", soft_wrap=True
        )


@app.command()
def down(
    purge: Annotated[bool, typer.Option(help="Remove databases, secrets, keys and logs too.")] = False,
) -> None:
    """Stop what was started here, and nothing else."""
    from include.sandbox.stack.stack import Stack

    Stack().down(_progress(), purge=purge)


@app.command()
def status() -> None:
    """What runs, where, and with how much memory. Exit code 1 if anything does not run."""
    from include.sandbox.stack.stack import Stack

    lines = Stack().status()
    table = Table("server", "state", "process", "where", "MiB", box=None, pad_edge=False)
    for line in lines:
        state = "[green]running[/green]" if line.running else "[red]stopped[/red]"
        table.add_row(line.name, state, str(line.pid or ""), line.where, str(line.rss or ""))
    if lines:
        Console().print(table)
    else:
        Console().print("Nothing was started here yet: quietus sandbox up")
    if not lines or not all(line.running for line in lines):
        raise typer.Exit(1)


@app.command()
def env(
    airflow: Annotated[bool, typer.Option(help="Airflow's variables too, for its command line.")] = False,
    successor: Annotated[
        bool, typer.Option("--successor", help="Those of who takes over, and none of the company's.")
    ] = False,
) -> None:
    """Shell exports by which psql (psql service=company_prover) and quietus reach the sandbox."""
    from include.sandbox.stack.stack import Stack

    stack = Stack()
    if not any(line.running for line in stack.status()):
        raise Refused("it does not run", about="sandbox", next_step="quietus sandbox up")
    if successor and not stack.successor.exists:
        raise Refused("it has no successor", about="sandbox", next_step="quietus sandbox up --successor")
    said = stack.successor.shell() if successor else stack.shell(airflow=airflow)
    for name, value in said.items():
        typer.echo(f"export {name}={shlex.quote(value)}")


@app.command()
def demo(
    people: Annotated[int, typer.Option(min=50, help="How many customers, if none are there yet.")] = 2000,
    days: Annotated[int, typer.Option(min=0, help="Then play so many of its days, as `play` does.")] = 0,
    until_closed: Annotated[
        bool,
        typer.Option(
            "--until-closed", help="Then on, as `play` does; of somebody of whom everything has a date."
        ),
    ] = False,
) -> None:
    """Cancel one person's account through the real scheduler, and show what went and what stayed."""
    from include.sandbox import demo as demonstration
    from include.sandbox.days import playing

    case_no = demonstration.run(people, ends=until_closed)
    if days or until_closed:
        playing.run(case_no, days, until_closed=until_closed)


@app.command("demo-shutdown")
def demo_shutdown(
    people: Annotated[int, typer.Option(min=50, help="How many customers, if none are there yet.")] = 200,
) -> None:
    """Stop the whole company by logical dates, from 90 days before T0 on, with a successor that takes over. Needs
    `quietus sandbox up --successor`. Interrupted, it goes on where it stopped; the company is gone afterwards."""
    from include.sandbox import shutting_down

    shutting_down.run(people)


@app.command()
def play(
    case_no: Annotated[
        str, typer.Argument(metavar="CASE", help="A case that waits, such as make demo leaves.")
    ],
    days: Annotated[int, typer.Option(min=1, help="How many, counted from the day before its first.")] = 60,
    until_closed: Annotated[
        bool, typer.Option("--until-closed", help="Then on along its own dates, to the final certificate.")
    ] = False,
) -> None:
    """Play the days of a case that waits: backups come and go, recipients are chased, horizons move. What is seen is real; only
    the dates are to come. Interrupted, it goes on where it stopped."""
    from include.sandbox.days import playing

    playing.run(case_no, days, until_closed=until_closed)


@app.command()
def year(
    people: Annotated[int, typer.Option(min=50, help="How many customers, if none are there yet.")] = 200,
    nights: Annotated[int, typer.Option(min=1, help="How many, each of its own date.")] = 365,
    until: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"], help="Up to this day, instead: to go on with one that was interrupted."
        ),
    ] = None,
    every: Annotated[
        int, typer.Option(min=1, max=28, help="Only each so manieth night: those between are missed.")
    ] = 1,
) -> None:
    """Go through a year of nights of retention limits by their dates, and show month by month what went, what was cut or
    anonymised and what was held, and whose word was needed. With a night a week it takes minutes: each makes up for the six that
    were missed.

    Exit status 0: nothing is overdue, and the book balances; 1: something is not so, and is named.
    """
    from include.sandbox.days import a_year

    if a_year.run(people, nights, None if until is None else until.date(), every):
        raise typer.Exit(1)


@app.command()
def seed(
    people: Annotated[int, typer.Option(min=50, help="How many customers.")] = 2000,
    seed: Annotated[
        int, typer.Option(min=0, help="What all chance follows from: same seed and day, same data.")
    ] = 1,
    objects: Annotated[float, typer.Option(min=0, max=1, help="Share of them who have objects too.")] = 0.01,
) -> None:
    """Fill the company with made-up people, the hard cases first. They must be the first there."""
    from include.model.times import observed_now, prc_date
    from include.model.words import Role
    from include.sandbox import seed as seeding
    from include.sandbox.company import (
        SYNTHETIC,
        back_up,
        environment,
        hold_disputes,
        put_in_place,
        register_synthetic,
    )
    from include.sandbox.stack.stack import COMPANY, Stack

    stack, say = Stack(), _progress()
    if not any(line.running for line in stack.status()):
        raise Refused("it does not run", about="sandbox", next_step="quietus sandbox up")
    owner = stack.company.superuser_conninfo(COMPANY)
    s3 = environment(stack).s3("objects", Role.ERASER)
    seeding.apply_schema(owner)
    seeding.make_buckets(s3)
    made = seeding.seed(
        owner,
        s3,
        people=people,
        seed=seed,
        today=prc_date(observed_now()),
        objects_share=objects,
        synthetic_people=SYNTHETIC,
        progress=say,
    )
    put_in_place(stack)
    stack.settle_people(say)
    hold_disputes(stack, say)
    register_synthetic(stack, say)
    back_up(stack, say)
    table = Table("hard case", "account id", box=None, pad_edge=False)
    for name, account_id in made.cases.items():
        table.add_row(name, account_id)
    Console(highlight=False).print(table)
