"""The running clocks of a group of items, as the retention look judges them, and whether such items go to the successor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from enum import StrEnum

from include.cases.retention.due import Judged
from include.cases.retention.limits import Bind, bounded, ends
from include.cases.shutdown.fates import fate
from include.model.catalogue import Catalogue
from include.model.estate import Dataset
from include.model.handover import HANDED_OVER, Clocks, Running
from include.model.interval import Interval, interval
from include.model.retention import Clock, Group
from include.model.words import Disposition

DAY = timedelta(days=1)


class Stays(StrEnum):
    """Why an item does not go."""

    NOT_BOUND = "not bound"  # no rule by which items are handed over reaches it
    DUE = "due"  # its last day is over, and nothing holds it: it is to be deleted
    KEPT = (
        "kept here"  # its last day for the successor is over, and another statute keeps it with the custodian
    )
    OBJECTED = (
        "objected"  # its owner objects, and no statute that is handed over keeps it: only a hold does, here
    )


def clocks(binds: tuple[Bind, ...], started: Sequence[Clock]) -> tuple[Clocks, Interval]:
    """What runs, and the interval that it leaves."""
    running = tuple(
        Running(
            rule=b.bound.rule, period=b.period.name, started=clock.day, ends=ends(b.period, clock),
            floor=b.period.restrains_deletion, ceiling=b.period.kind != "floor",
            law="; ".join(x.cite for x in b.period.basis), company=b.period.proposal is not None,
        )
        for b, clock in zip(binds, started, strict=True)
        if clock.applies and not (b.unless and clock.day is None)
    )  # fmt: skip
    it = interval(bounded(binds, Group(clocks=tuple(started), held=False, items=0)))
    by = it.ended_by
    return Clocks(
        running=running, earliest=it.earliest, due=it.latest + DAY if it.latest else None,
        by=by.name if by else "", law=by.law if by else "",
    ), it  # fmt: skip


def stays(
    catalogue: Catalogue, dataset: Dataset, binds: tuple[Bind, ...], started: Sequence[Clock], it: Interval, as_of: date, *,
    held: bool, objected: bool = False,
) -> Stays | None:  # fmt: skip
    """Why such items stay, by the fate that the preview gives them; None: they go. An objection lifts no statutory floor (ESL 23,
    24), and lets nothing else go: what a hold alone keeps stays with the custodian."""
    judged = Judged(dataset.id, it, held, 1, tuple(started), objected=objected)
    # Whether the relation ends that day moves a last day, and decides of no item whether it goes.
    what = fate(catalogue, dataset, judged, as_of, ends=False)
    if what.disposition is Disposition.TRANSFER:
        return None
    if objected:
        without = fate(catalogue, dataset, replace(judged, objected=False), as_of, ends=False)
        if without.disposition is Disposition.TRANSFER:
            return Stays.OBJECTED
    if what.disposition in (Disposition.RETAIN, Disposition.HOLD):
        return Stays.KEPT
    group = Group(clocks=tuple(started), held=held, items=1)
    reached = any(x.floor and x.rule in HANDED_OVER for x in bounded(binds, group))
    return Stays.DUE if reached else Stays.NOT_BOUND
