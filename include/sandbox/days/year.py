"""Nights of retention limits, one after the other by their logical dates, and what they came to, month by month.

Each is the night that the DAG would go through on that day, looks, proofs and certificate included; nothing of it is shortened. A
person's word is given where one is asked for, as ops would after reading what is due, and told with its reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta

from include.cases import balance, book, papers
from include.cases.retention import counted, figures, whole
from include.cases.retention import night as nightly
from include.cases.retention.nights import Night
from include.cases.retention.unproved import unproved
from include.cases.rooms import Desk
from include.model.words import Disposition
from include.sandbox.days.company import OPS
from include.sandbox.days.quietus import ROBOT

DAY = timedelta(days=1)
WORDS = 3  # of a person that one night may need: when it was looked at, when it was located, and once more


@dataclass
class Month:
    """What its nights came to. ``located`` and ``done``: the sums of their books; ``passed``: what was come to and stays, by the
    words of receipts; ``words``: the breaker's, each with its day; ``held``, ``overdue``, ``left``: how its last night ended."""

    first: date
    nights: int = 0
    cases: int = 0
    located: int = 0
    done: Counter[Disposition] = field(default_factory=Counter)
    passed: Counter[str] = field(default_factory=Counter)
    words: list[tuple[date, str]] = field(default_factory=list)
    held: int = 0
    left: int = 0
    overdue: int = 0

    @property
    def accounted(self) -> int:
        return self.done.total()


@dataclass
class Year:
    """``before``: what the company does on a day before its night, such as ending the locks that are over. ``through``: goes
    through a night of a day, or on with the one that waited, as ``actor``."""

    desk: Desk
    before: Callable[[date], object] = lambda _: None
    through: Callable[..., Night] = whole.run
    months: list[Month] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    last: Night | None = field(default=None, init=False)
    unasked: dict[str, str] = field(
        default_factory=dict, init=False
    )  # when the last night had ended, and why

    def play(self, days: Iterable[date]) -> Iterator[Month]:
        """Go through these nights, in order; each month once it is over. What the last one set free (bare rows) is the next
        night's, so there is one more on its day."""
        for day in days:
            if self.months and _month(day) != self.months[-1].first:
                yield self.months[-1]
            self.night(day)
        if self.last is not None and self.last.remaining:
            self.night(self.last.as_of)
        if self.months:
            yield self.months[-1]

    def night(self, day: date) -> Night:
        """One night, until it has ended; kept in its month."""
        month = self._month_of(day)
        self.before(day)
        done = self.through(self.desk, as_of=day, actor=ROBOT)
        for _ in range(WORDS):
            if not done.waits_for_a_person or done.case_no is None:
                break
            month.words.append((day, str(done.needs_word)))
            nightly.approve(self.desk, done.case_no, as_of=day, actor=OPS)
            done = self.through(self.desk, as_of=day, actor=ROBOT)
        month.nights += 1
        month.left, month.overdue = done.remaining or 0, done.unplanned or 0
        with self.desk.book() as conn:
            end = figures.last_end(conn, "days")
        if end is not None:
            month.held, self.unasked = sum(r.held for r in end.rows), dict(end.unverified)
        if done.case_no is not None:
            self._keep(month, done.case_no)
        if done.ended_at is None:
            self.faults.append(f"the night of {day} did not end")
        self.last = done
        return done

    def _keep(self, month: Month, case_no: str) -> None:
        """The books of a night's case."""
        with self.desk.book() as conn:
            case = book.case(conn, case_no)
            steps = papers.carried_out(conn, case)
            for step in steps:
                month.passed += _passed(counted.words(conn, step.row.step_id))
        month.cases += 1
        for step in steps:
            for account in balance.accounts(step.plan, step.receipts, earlier=step.earlier):
                month.located += account.located
                month.done += Counter({d: n for d, n in account.done.items() if n})
                if not account.balances:
                    self.faults.append(
                        f"{case_no}: the book of {account.dataset} does not balance: {account}"
                    )

    def ended(self) -> list[str]:
        """What is not as it must be at the end, in words; nothing, if all is well."""
        said = list(self.faults)
        if self.last is None:
            return said
        if self.last.unplanned:
            said.append(f"{self.last.unplanned} items are overdue on {self.last.as_of}")
        with self.desk.book() as conn:
            said += [str(x) for x in unproved(conn, "days", self.last.night_id)]
        return said + [f"{dataset} could not be asked: {why}" for dataset, why in self.unasked.items()]

    def _month_of(self, day: date) -> Month:
        if not self.months or self.months[-1].first != _month(day):
            self.months.append(Month(_month(day)))
        return self.months[-1]


def _month(day: date) -> date:
    return day.replace(day=1)


def _passed(words: counted.Words) -> Counter[str]:
    return Counter(
        {w: n for w, n in counted.total(words).items() if w.partition("@")[0] not in counted.PAST and n}
    )
