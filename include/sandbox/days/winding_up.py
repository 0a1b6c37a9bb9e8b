"""The days after T0 of a company that stopped, played until nothing is waited for: recipients answer, backups expire.

Each day is what Quietus and the company's own people do on it, as for a case that waits (:mod:`include.sandbox.days.play`). What
the law keeps with the custodian, and whose last day comes meanwhile, goes by the night of the last of these days.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

from include.cases import certifying, epochs
from include.cases.retention import night, nights, whole
from include.cases.shutdown import told_recipients
from include.handover import said
from include.model.errors import NotProved
from include.model.words import UnitState
from include.sandbox.days import company as companys
from include.sandbox.days import quietus
from include.sandbox.days.calendar import Calendar
from include.sandbox.days.company import OPS, Company
from include.sandbox.days.quietus import ROBOT, Alarms

DAY = timedelta(days=1)
LONGEST = 200
"""Days: then something keeps it that no day ends."""
Say = Callable[[date, str], None]


@dataclass
class WindingUp:
    """An order after T0, the calendar and the company. ``company.desk`` reads backups as the calendar dates them; ``over``:
    cases that no backup reaches back to any more."""

    company: Company
    calendar: Calendar
    number: str
    say: Say
    alarms: Alarms = field(default_factory=Alarms)
    over: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.company = replace(self.company, hand_out=self._certified)

    def run(self) -> date:
        """Play day after day until nothing is waited for; the last of them. Raises NotProved if days do not end it."""
        for backup in self.company.desk.catalogue.backups:
            self.company.desk.backup_tool(
                backup
            ).look()  # what is there before the first day is of its own day
        day = self.calendar.day
        for _ in range(LONGEST):
            waits = self.waits()
            if not waits:
                break
            day += DAY
            self.day(day)
        else:
            raise NotProved(
                f"after {LONGEST} days it waits for {', '.join(waits)}", about=self.number,
                next_step="see `quietus shutdown certificate`, which names all that is open",
            )  # fmt: skip
        for line in self._night(day):
            self.say(day, line)
        return day

    def waits(self) -> list[str]:
        """What only a later day brings about."""
        desk = self.company.desk
        told_recipients.close(desk, self.number, as_of=self.calendar.day, actor=ROBOT)
        there = told_recipients.standing(desk, self.number)
        with desk.book() as conn:
            cases = [
                no for no in sorted(said.begun(conn, self.number)) if _reaches_back(epochs.states(conn, no))
            ]
        return [*there.untold, *there.open, *cases]

    def day(self, day: date) -> None:
        """Play one day to its end."""
        company, calendar, case_no = self.company, self.calendar, self._notices()
        calendar.now = day
        said = [
            *quietus.scrub(company, self.alarms, case_no, day),
            *quietus.purge(company, calendar, self.alarms, case_no, day),
            *quietus.clocks(company, self.alarms, case_no, day),
            *companys.run_errands(company, case_no, day),
        ]
        said += self._purged()
        for backup in companys.taken_here(company.desk.catalogue):
            said += companys.back_up(company, calendar, backup, day)
        calendar.day = day
        calendar.keep()
        for line in dict.fromkeys(said):
            self.say(day, line)

    def _purged(self) -> Iterator[str]:
        desk = self.company.desk
        with desk.book() as conn:
            cases = [
                no
                for no in sorted(said.begun(conn, self.number))
                if not _reaches_back(epochs.states(conn, no))
            ]
        if new := sorted(set(cases) - self.over):
            self.over |= set(new)
            yield f"{', '.join(new)}: no copy and no log reaches back to before any more, as seen"

    def _night(self, day: date) -> Iterator[str]:
        """The night of the last day: what a law kept until now, and keeps no longer."""
        desk = self.company.desk
        begun = night.begin(desk, as_of=day, actor=ROBOT)
        if begun.case_no is not None and night.needs_nobody(desk, begun.case_no) is None:
            night.approve(desk, begun.case_no, as_of=day, actor=OPS)
        whole.run(desk, as_of=day, actor=ROBOT)
        with desk.book() as conn:
            done = nights.of_id(conn, begun.night_id)
        yield f"the night: {done.due:,} items whose last day came since T0 go by {done.case_no or 'no case'}"

    def _notices(self) -> str:
        return told_recipients.standing(self.company.desk, self.number).case_no or ""

    def _certified(self, case_no: str, day: date) -> str:
        """Nobody is waiting for the file: a service's cases are about no person."""
        certifying.certify(self.company.desk, case_no, as_of=day, actor=ROBOT)
        return case_no


def _reaches_back(states: object) -> bool:
    return bool(set(states) - {UnitState.BACKUP_PURGED})  # type: ignore[call-overload]
