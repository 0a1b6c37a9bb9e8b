"""The days of a case, played on the sandbox of this checkout and told line by line."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from include.cases import assembling
from include.cases.handing_out import hand_out
from include.cases.shelf import Shelf
from include.catalogue import load
from include.model.errors import Refused
from include.model.sessions import kept
from include.model.times import observed_now, prc_date
from include.model.words import Role
from include.sandbox import story
from include.sandbox.backups import take
from include.sandbox.company import environment
from include.sandbox.days import calendar as calendars
from include.sandbox.days import ending, locks
from include.sandbox.days.calendar import Calendar
from include.sandbox.days.company import Company
from include.sandbox.days.play import Play
from include.sandbox.days.quietus import ROBOT
from include.sandbox.recipients.world import World
from include.sandbox.stack.stack import Stack

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@kept()
def run(case_no: str, days: int, *, until_closed: bool = False, stack: Stack | None = None) -> None:
    """Play the days of a case, drill, verify, and show where it stands. Raises Refused if the sandbox does not run, or the case
    does not wait; NotProved if the drill finds somebody, or the certificate does not verify."""
    console, begun = Console(highlight=False), time.monotonic()
    if not console.is_terminal:
        console.width = story.WIDTH
    stack = stack or Stack()
    runs(stack)

    def say(number: int, day: date, lines: Sequence[str]) -> None:
        for n, line in enumerate(lines):
            head = f"day {number:>5}  {day}" if n == 0 else " " * 21
            console.print(f"[dim]{head}[/dim]  {line}", soft_wrap=True)

    with calendars.alone(stack.places.home):
        calendar = Calendar.of(stack.places.home, prc_date(observed_now()))
        played = Play(company(stack, calendar), calendar, case_no, say)
        played.run(days, until_closed=until_closed)
        ending.show(
            console, played.desk, case_no, played.of, calendar.day, Shelf(stack.certificates),
            Path(stack.ledger_home) / "pub.pem",
        )  # fmt: skip
        if not (until_closed or played.closed):
            console.print(f"  on to its end     quietus sandbox play {case_no} --until-closed")
    console.print(f"\n[dim]{time.monotonic() - begun:.0f} s in all.[/dim]")


def runs(stack: Stack) -> None:
    """Raises Refused unless every server but Airflow's runs."""
    status = stack.status()
    without = {process.spec.name for process in stack.airflow.processes.values()} if status else set()
    away = [line.name for line in status if not line.running and line.name not in without]
    if away or not status:
        raise Refused(
            f"{', '.join(away)} does not run" if away else "it does not run", about="sandbox",
            next_step="quietus sandbox up; if nobody's case waits yet: make demo",
        )  # fmt: skip


def eraser(stack: Stack) -> S3Client:
    """The company's S3 server, as the owner of its locks."""
    return environment(stack).s3("objects", Role.ERASER)


def company(stack: Stack, calendar: Calendar) -> Company:
    """The company of the sandbox, with a desk that reads its backups as the calendar dates them."""
    connections = environment(stack)
    made = assembling.desk(connections, load())
    desk = replace(made, backup_tool=lambda one: calendar.tool(one, made.backup_tool(one)))
    s3 = eraser(stack)
    shelf = Shelf(stack.certificates)

    def turn(day: date) -> None:
        with closing(World(stack.outside)) as world:
            world.set_today(day)

    return Company(
        desk=desk,
        take=lambda more: take(stack.company, stack.backups, incremental=more),
        shorten=lambda day: locks.shorten(s3, day),
        turn=turn,
        hand_out=lambda case_no, day: hand_out(desk, case_no, shelf, as_of=day, actor=ROBOT),
    )
