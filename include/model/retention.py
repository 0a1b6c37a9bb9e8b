"""What the question "what is due" is made of: the limits that bind the items of a dataset, and what a store answers.

A store finds and groups; it never counts a calendar. Each limit comes with the newest starting day whose period is over,
so that working days, fiscal years and 29 February are counted in one place (``include.cases.periods``).
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from include.model.carried import Carried
from include.model.estate import Start
from include.model.flow import Flow


class Limit(Flow):
    """One period of one rule, as it binds the items of one dataset.

    ``start``: None means the owner's account ended (for all owners, of what is shared). ``minutes``: the part of the
    period that is less than a day, added to the start before its day is taken. ``over``: the newest such day whose
    period is over on the day that was asked about. ``gives_way``: rules whose floors it waits for, as declared. ``closed``: of a
    floor of which the purpose ended: the newest such day whose period was over by then. What started later is kept by it alone.
    ``unless``: of a former period, the versions of the policy that say a longer one: of people who accepted one of these its
    clock never starts. ``carried``: it came along with items that were taken over, and their day with it; ``start`` is
    empty then.
    """

    rule: str
    period: str
    kind: Literal["floor", "ceiling", "both"]
    start: Start | None
    minutes: int
    over: date
    restrains: bool  # as a floor: a statute forbids to dispose before its end (PIPL 47 para. 2)
    statutory: (
        bool  # as a ceiling: a statute demands the end itself; only such a one can collide with a floor
    )
    law: str
    company: bool  # a period of the company's own, never called law
    gives_way: tuple[str, ...] = ()
    rest: bool = False  # it binds what is left of rows that were cut, and the others bind those that were not
    closed: date | None = None
    unless: tuple[str, ...] = ()
    carried: Carried | None = None

    @property
    def floor(self) -> bool:
        return self.restrains

    @property
    def ceiling(self) -> bool:
        return self.kind != "floor"

    @property
    def ends(self) -> bool:
        """Whether something may have to go by its end: a ceiling, or a floor past which no purpose is left."""
        return self.ceiling or self.closed is not None


class Question(Flow):
    """Which items of a dataset are due on ``as_of`` (or, if ``everything``, how all of them stand). ``bare``: also rows that were
    cut, unless that was all that was to be done with them: when a service ends these go, too."""

    dataset: str
    as_of: date
    limits: tuple[Limit, ...]
    everything: bool = False
    bare: bool = False


class Clock(Flow):
    """Where one limit stands for a group of items. ``applies``: they are under it; ``day``: when it started, in China and
    with ``minutes`` added; None: its clock has not started."""

    applies: bool
    day: date | None


class Group(Flow):
    """Items of one dataset whose clocks started on the same days. Counts only."""

    clocks: tuple[Clock, ...]
    held: bool
    items: int


class Late(Flow):
    """Items of one dataset past a period of less than a day. ``since``: when the first of them was over."""

    dataset: str
    rule: str  # RS-nn/period
    held: bool
    since: datetime
    items: int
    company: bool
    law: str
