"""A year of nights on the sandbox of this checkout, told month by month."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta

from rich.console import Console
from rich.table import Table

from include.model.sessions import kept
from include.model.times import observed_now, prc_date
from include.model.words import Disposition
from include.sandbox import story
from include.sandbox.company import make_ready
from include.sandbox.days import calendar as calendars
from include.sandbox.days import locks, playing
from include.sandbox.days.calendar import Calendar
from include.sandbox.days.year import Month, Year
from include.sandbox.stack.stack import Stack

DAY = timedelta(days=1)
GONE = {
    Disposition.ERASE: "erased", Disposition.DEIDENTIFY: "cut", Disposition.ANONYMISE: "anonymised",
    Disposition.UNLINK: "unlinked",
}  # fmt: skip
COLUMNS = ("month", "nights", "cases", "located", *GONE.values(), "passed over", "held", "left", "overdue")


def run(
    people: int, days: int, until: date | None = None, every: int = 1, *, stack: Stack | None = None
) -> list[str]:  # fmt: skip
    """Go through the nights of so many days from the calendar's last one on, or up to ``until``; only ``every`` so manieth, the
    others are missed, and made up for by the next. What is not as it must be at the end, in words. Raises Refused if the sandbox
    does not run."""
    console, begun = Console(highlight=False), time.monotonic()
    if not console.is_terminal:
        console.width = story.WIDTH
    stack = stack or Stack()
    playing.runs(stack)
    with calendars.alone(stack.places.home):
        make_ready(stack, lambda line: console.print(f"[dim]{line}[/dim]", soft_wrap=True), people=people)
        calendar = Calendar.of(stack.places.home, prc_date(observed_now()))
        company = playing.company(stack, calendar)
        last = until or calendar.day + days * DAY
        year = Year(company.desk, _ending_locks(stack, company.shorten))
        console.print(
            f"nights from {min(calendar.day + every * DAY, last)} to {last}; interrupted: quietus sandbox year --until {last}"
            + (f" --every {every}" if every > 1 else ""),
            soft_wrap=True,
        )
        with kept():
            for month in year.play(_kept(calendar, last, every)):
                show(console, month)
        whole = total(year.months)
        faults = year.ended()
    console.print(_table([*year.months, whole]))
    _say_end(console, whole, faults)
    console.print(f"[dim]{whole.nights} nights in {time.monotonic() - begun:.0f} s.[/dim]")
    return faults


def show(console: Console, month: Month) -> None:
    """A month, once it is over; and whose word it needed."""
    console.print(
        f"{month.first:%Y-%m}  {month.located:,} located = {_done(month)}; {month.held:,} held, {month.overdue:,} overdue"
        " at its end",
        soft_wrap=True,
    )
    for day, why in month.words:
        console.print(f"         {day}: ops let it go on: {why}", soft_wrap=True)


def total(months: list[Month]) -> Month:
    """All of them as one, which ends as the last did."""
    found = Month(months[0].first if months else date.min)
    for month in months:
        found.nights += month.nights
        found.cases += month.cases
        found.located += month.located
        found.done += month.done
        found.passed += month.passed
        found.words += month.words
        found.held, found.left, found.overdue = month.held, month.left, month.overdue
    return found


def _kept(calendar: Calendar, last: date, every: int) -> Iterator[date]:
    """The days, each kept by the calendar once its night was gone through."""
    while calendar.day < last:
        calendar.now = min(calendar.day + every * DAY, last)
        yield calendar.now
        calendar.day = calendar.now
        calendar.keep()


def _ending_locks(stack: Stack, shorten: Callable[[date], int]) -> Callable[[date], object]:
    """Locks that are over on a day are really ended; the bucket is looked through as long as one runs."""
    s3 = playing.eraser(stack)
    running = [locks.last(s3) is not None]

    def end(day: date) -> None:
        if running[0]:
            shorten(day)
            running[0] = locks.last(s3) is not None

    return end


def _done(month: Month) -> str:
    return " + ".join(f"{n:,} {d.past}" for d, n in sorted(month.done.items()) if n) or "0"


def _table(months: list[Month]) -> Table:
    table = Table(box=None, pad_edge=False)
    for n, column in enumerate(COLUMNS):
        table.add_column(column, justify="left" if n == 0 else "right")
    for n, month in enumerate(months):
        gone = (month.done[d] for d in GONE)
        ended = (month.passed.total(), month.held, month.left, month.overdue)
        table.add_row(
            "in all" if n == len(months) - 1 else f"{month.first:%Y-%m}",
            *(f"{x:,}" for x in (month.nights, month.cases, month.located, *gone, *ended)),
        )
    return table


def _say_end(console: Console, whole: Month, faults: list[str]) -> None:
    balances = whole.located == whole.accounted
    console.print(
        f"the book: {whole.located:,} located = {_done(whole)}"
        + ("" if balances else f": {whole.accounted:,}, it does not balance"),
        soft_wrap=True,
    )
    console.print(f"overdue without a hold: {whole.overdue:,}")
    for fault in faults:
        console.print(fault, soft_wrap=True)
