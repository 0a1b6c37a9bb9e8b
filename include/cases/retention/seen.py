"""What is due and not held, as the prover sees it: how a night begins, and how it ends."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from include.cases.retention import due, figures, late
from include.cases.retention.due import Row
from include.cases.retention.held import HeldPeople, held_people
from include.cases.retention.readings import remembering
from include.cases.retention.stopped import stopped
from include.cases.rooms import Desk
from include.model.catalogue import Catalogue
from include.model.flow import Finding
from include.stores.postgres.retention.begun import Begun
from include.stores.s3.once import Once


@dataclass
class Seen:
    """What the prover sees to be due. ``unverified``: datasets that could not be asked, and why. ``late``: in minutes. ``ages``:
    since when it has been due. ``undecided``: what two laws collide over, or no rule speaks of. ``shapes``: by
    which columns it was judged, with their types. ``starts``: clocks that have not begun, if it was asked. ``schemas``: by which
    it was asked, for another question of the same moment."""

    rows: list[Row] = field(default_factory=list)
    unverified: dict[str, str] = field(default_factory=dict)
    late: int | None = None
    ages: figures.Ages = field(default_factory=dict)
    undecided: list[Finding] = field(default_factory=list)
    shapes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    starts: Sequence[Begun] = ()
    schemas: due.Schemas | None = None

    def of(self, dataset: str) -> int:
        """Items of a dataset that are due and not held."""
        return sum(r.due for r in self.rows if r.dataset == dataset)


def look(
    desk: Desk, as_of: date, at: datetime | None = None, held: HeldPeople | None = None, once: Once | None = None, *,
    only: Collection[str] | None = None, by: Catalogue | None = None, starts: bool = False,
    strays: bool = True,
) -> Seen:  # fmt: skip
    """What is due on a day, or past its hours at a moment, read by the prover. Nothing is changed. ``once``: what was listed and
    read before, of the same moment. ``only``: of these datasets; None: of all.
    ``by``: the catalogue as it stands by now (``stopped``), where it was asked for already. ``starts``: also which
    clocks have not begun; by days. ``strays``: whether rows are counted that no clock can be told of, as ``due.see`` says."""
    held = held if held is not None else held_people(desk)
    if at is None:
        once = once or remembering(desk)
        seen = due.see(
            by or stopped(desk), desk.connections, as_of, held=held, once=once, only=only, starts=starts,
            strays=strays,
        )  # fmt: skip
        return Seen(
            due.table(seen), seen.unverified, ages=figures.ages(seen.judged, as_of), undecided=seen.findings(),
            shapes=seen.shapes, starts=seen.starts, schemas=seen.schemas,
        )  # fmt: skip
    minutes = late.late(by or stopped(desk), desk.connections, at, held=held, only=only)
    lines = late.table(minutes)
    rows = [
        Row(
            rule=x.rule, dataset=x.dataset, due=x.due, overdue=0, oldest=None, held=x.held, basis=x.basis, late=x.late
        )
        for x in lines
    ]  # fmt: skip
    late_by = {(x.rule, x.dataset): x.late for x in lines if x.late is not None}
    since = {(*of, at - timedelta(minutes=n)): None for of, n in late_by.items()}
    return Seen(rows, minutes.unverified, max(late_by.values(), default=None), since, shapes=minutes.shapes)
