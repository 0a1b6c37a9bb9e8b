"""One day after the other, for one case that waits: until so many are over, or until it is closed.

A day is kept when it is over, and each thing on it may be done twice; so whoever is interrupted, or killed, goes on with the same
day.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from textwrap import shorten

from include.cases import book
from include.cases.rooms import Desk
from include.model.errors import NotProved, Refused
from include.model.words import CaseState
from include.sandbox.days import company as companys
from include.sandbox.days import quietus, waking
from include.sandbox.days.calendar import Calendar, Horizon, Played
from include.sandbox.days.company import Company
from include.sandbox.days.quietus import Alarms

DAY = timedelta(days=1)
WIDTH = 150  # characters of a reason; the whole of it is what `quietus case show` says
LONGEST = 120
"""Days that a case may wait for backups and recipients without a date of its own coming: then something keeps them."""

Say = Callable[[int, date, Sequence[str]], None]  # number of the day, its date, what happened


@dataclass
class Play:
    """A case, the calendar and the company. ``company.desk`` reads backups as the calendar dates them."""

    company: Company
    calendar: Calendar
    case_no: str
    say: Say
    alarms: Alarms = field(default_factory=Alarms)

    @property
    def desk(self) -> Desk:
        return self.company.desk

    @property
    def of(self) -> Played:
        return self.calendar.cases[self.case_no]

    @property
    def closed(self) -> bool:
        with self.desk.book() as conn:
            return book.case(conn, self.case_no).state is CaseState.CLOSED

    def run(self, days: int, *, until_closed: bool) -> None:
        """Play on to the end of ``days``, counted from the case's first; ``until_closed``: and on along its own dates. A case
        that is closed by then, or has nothing left with a date, ends it earlier."""
        self.begin()
        walked = 0
        while not self.closed:
            following: date | None = self.calendar.day + DAY
            if self.calendar.day >= self.of.begun + days * DAY:
                following = (
                    waking.next_day(self.desk, self.case_no, self.calendar.day) if until_closed else None
                )
            if following is None:
                return
            jumped = following > self.calendar.day + DAY
            if jumped:
                self.skip_to(following - DAY)
            woke = self.day(following)
            walked = 0 if woke or jumped else walked + 1
            if until_closed and walked > max(days, LONGEST):
                raise NotProved(
                    f"nothing of it has come to its end for {walked} days", about=self.case_no,
                    next_step="see what it waits for: quietus case show",
                )  # fmt: skip

    def begin(self) -> None:
        """Take the case into the calendar. Raises Refused for one that does not wait."""
        may_be_played(self.desk, self.calendar, self.case_no)
        self.calendar.cases.setdefault(self.case_no, Played(self.calendar.day))
        for backup in self.desk.catalogue.backups:
            self.desk.backup_tool(backup).look()  # what is there before its first day is of its own day
        self.over(self.calendar.day, [])

    def skip_to(self, eve: date) -> None:
        """Days on which only others' backups come and go are not played: of all of them there is the last one's backup."""
        self.calendar.now = eve
        said = [f"to here it waits for nothing but a date: {(eve - self.calendar.day).days} days are skipped"]
        for backup in companys.taken_here(self.desk.catalogue):
            said += companys.back_up(self.company, self.calendar, backup, eve)
        self.over(eve, said)

    def day(self, day: date) -> bool:
        """Play one day to its end; whether the case woke on it."""
        company, calendar, case_no = self.company, self.calendar, self.case_no
        calendar.now = day
        said = [
            *quietus.scrub(company, self.alarms, case_no, day),
            *quietus.purge(company, calendar, self.alarms, case_no, day),
            *quietus.clocks(company, self.alarms, case_no, day),
            *companys.run_errands(company, case_no, day),
            *companys.hand_over(company, case_no, day),
        ]
        woke = list(waking.wake(company, case_no, day))
        said += [*woke, *waking.end(company, case_no, day)]
        said = list(dict.fromkeys(said))  # the same certificate is told once
        for backup in companys.taken_here(self.desk.catalogue):
            said += companys.back_up(company, calendar, backup, day)
        self.over(day, said)
        return bool(woke)

    def over(self, day: date, said: list[str]) -> None:
        """Keep a day that is over, and tell it if something happened on it."""
        lines = [*said, *self.moved(day)]
        self.calendar.day = day
        self.calendar.keep()
        if lines:
            self.say((day - self.of.begun).days, day, lines)

    def moved(self, day: date) -> Iterator[str]:
        """Horizons that are others than on the day before."""
        with self.desk.book() as conn:
            seen = list(quietus.horizons(conn, self.desk, self.case_no, day))
        for now in seen:
            before = self.of.last(now.of)
            if self.of.saw(now) and not now.repeats:
                yield told(before, now)


def told(before: Horizon | None, now: Horizon) -> str:
    """A horizon that moved, in a line."""
    name = "horizon of all" if now.of == quietus.ALL else f"horizon in {now.of}"
    moved = now.where if before is None or before.where == now.where else f"{before.where} → {now.where}"
    return f"{name}: {moved}: {shorten(now.because, WIDTH, placeholder=' …')}"


def may_be_played(desk: Desk, calendar: Calendar, case_no: str) -> None:
    """Raises Refused for a case that is not there, or that does not wait. One that an earlier play left at work goes on."""
    with desk.book() as conn:
        state = book.case(conn, case_no).state
    waits = {CaseState.WAITING, CaseState.HELD}
    begun = {CaseState.ACTING, CaseState.CLOSED} if case_no in calendar.cases else set()
    if state not in waits | begun:
        raise Refused(
            f"a case that is {state.value} waits for nothing, so that no day brings anything about", about=case_no,
            next_step="play one whose live work is done: quietus case list",
        )  # fmt: skip
