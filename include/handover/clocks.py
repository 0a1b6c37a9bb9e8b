"""The running clocks of a group of items, as the retention look judges them, and whether such items go to the successor."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from enum import StrEnum

from include.cases.retention.limits import Bind, bounded, ends
from include.model.handover import Clocks, Consigned, Running
from include.model.interval import Interval, Standing, interval
from include.model.retention import Clock, Group

DAY = timedelta(days=1)


class Stays(StrEnum):
    """Why an item does not go."""

    NOT_BOUND = "not bound"  # the rule by which the dataset goes does not reach it
    DUE = "due"  # its last day is over, and nothing holds it: it is to be deleted
    CONFLICT = "conflict"  # two statutes leave no day: a person decides first


def clocks(binds: tuple[Bind, ...], started: Sequence[Clock]) -> tuple[Clocks, Interval]:
    """What runs, and the interval that it leaves."""
    running = tuple(
        Running(
            rule=b.bound.rule, period=b.period.name, started=clock.day, ends=ends(b.period, clock),
            floor=b.period.restrains_deletion, ceiling=b.period.kind != "floor",
            law="; ".join(x.cite for x in b.period.basis), company=b.period.proposal is not None,
        )
        for b, clock in zip(binds, started, strict=True)
        if clock.applies
    )  # fmt: skip
    it = interval(bounded(binds, Group(clocks=tuple(started), held=False, items=0)))
    by = it.ended_by
    return Clocks(
        running=running, earliest=it.earliest, due=it.latest + DAY if it.latest else None,
        by=by.name if by else "", law=by.law if by else "",
    ), it  # fmt: skip


def stays(
    binds: tuple[Bind, ...], of: Consigned, started: Sequence[Clock], it: Interval, as_of: date, *, held: bool
) -> Stays | None:
    """Why such items stay; None: they go."""
    mine = any(
        clock.applies and (b.bound.rule, b.period.name) == (of.rule, of.period)
        for b, clock in zip(binds, started, strict=True)
    )
    if not mine:
        return Stays.NOT_BOUND
    match it.stands(as_of):
        case Standing.DUE if not held:
            return Stays.DUE
        case Standing.CONFLICT:
            return Stays.CONFLICT
    return None
