"""Units: where each subject x category x dataset x copy stands. Moved in bulk, each by the machine.

A unit's *part* is one fate of a dataset's items (three rows erased, two kept until 2031): the lines of a
plan for one dataset and copy become its parts. Units that came to their end are never touched again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from include.cases import machine
from include.cases.book import Case, Conn, checked_actor
from include.cases.guards import BEYOND_RECALL, Facts
from include.model.catalogue import Catalogue
from include.model.estate import Dataset
from include.model.flow import Line, Plan
from include.model.words import CopyKind, Disposition, UnitState

NO_CATEGORY = "-"  # a dataset that is bound by a rule but holds no category of its own (hosted keys)
COHORT = -1


@dataclass(frozen=True)
class Unit:
    """One row of ``casebook.unit``."""

    unit_id: int
    case_no: str
    subject_no: int
    category: str
    dataset: str
    copy_kind: CopyKind
    part: int
    state: UnitState
    disposition: Disposition | None
    items: int
    rule: str | None
    law: str | None
    until: date | None
    waits_for: str | None
    hold: str | None
    rung_required: int
    rung_reached: int | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "copy_kind", CopyKind(self.copy_kind))
        object.__setattr__(self, "state", UnitState(self.state))
        if self.disposition is not None:
            object.__setattr__(self, "disposition", Disposition(self.disposition))

    @property
    def ended(self) -> bool:
        return self.state in BEYOND_RECALL

    def facts(self, base: Facts) -> Facts:
        """The case's facts with what is known of this unit."""
        kept = self.disposition is Disposition.RETAIN
        return replace(
            base,
            period_checked=True,
            until=self.until if kept else None,
            clock_not_started=kept and self.until is None,
            hold_checked=True,
            hold=self.hold,
            hold_covers=self.hold is not None,
        )

    def due(self, as_of: date) -> bool:
        """Whether it could be dealt with today: restricted, not held, and nothing forbids it."""
        if self.state in (UnitState.ACTIVE, UnitState.DELETE_FAILED, UnitState.DELETING_LIVE):
            return True
        if self.state is not UnitState.RESTRICTED or self.hold is not None:
            return False
        if self.disposition is not Disposition.RETAIN:
            return True
        return self.until is not None and self.until < as_of


def of_case(conn: Conn, case_no: str) -> tuple[Unit, ...]:
    with conn.cursor(row_factory=class_row(Unit)) as cursor:
        cursor.execute(
            "SELECT * FROM casebook.unit WHERE case_no = %s ORDER BY dataset, copy_kind, part, category",
            (case_no,),
        )
        return tuple(cursor.fetchall())


def next_date(conn: Conn, case_no: str) -> date | None:
    """The last day of the statutory period that is over next; None if no item waits for a date."""
    row = conn.execute(
        "SELECT min(until) AS until FROM casebook.unit"
        " WHERE case_no = %s AND state = 'restricted' AND hold IS NULL",
        (case_no,),
    ).fetchone()
    return row["until"] if row else None


def cases_due(conn: Conn, as_of: date) -> tuple[str, ...]:
    """The cases at rest of which an item could be dealt with today (:meth:`Unit.due`, over the whole book)."""
    rows = conn.execute(
        "SELECT DISTINCT u.case_no FROM casebook.unit u JOIN casebook.case_ c USING (case_no)"
        " WHERE c.state IN ('waiting', 'held') AND u.state = 'restricted' AND u.hold IS NULL"
        " AND (u.disposition IS DISTINCT FROM 'retain' OR u.until < %s) ORDER BY u.case_no",
        (as_of,),
    ).fetchall()
    return tuple(str(r["case_no"]) for r in rows)


def sync(conn: Conn, case: Case, catalogue: Catalogue, plan: Plan, subjects: int) -> None:
    """Make the open units say what the plan says. New ones are ACTIVE; ended ones stay as they ended."""
    subject_no = 0 if subjects == 1 else COHORT
    existing: dict[tuple[str, CopyKind, int], list[Unit]] = {}
    for unit in of_case(conn, case.case_no):
        existing.setdefault((unit.dataset, unit.copy_kind, unit.part), []).append(unit)
    for place in plan.located:
        there = [x for x in plan.lines_of(place.dataset) if x.copy_kind is place.copy_kind]
        lines = [
            x for x in there if not x.not_reached
        ]  # the rest is accounted for, and has no track of its own
        parts = {p: us for (d, c, p), us in existing.items() if (d, c) == (place.dataset, place.copy_kind)}
        free = sorted(p for p, us in parts.items() if not us[0].ended)
        following = max(parts, default=-1) + 1
        for line in lines:
            part = _best(line, free, parts)
            if part is None:
                part, following = following, following + 1
                _insert(
                    conn,
                    case,
                    catalogue.dataset(place.dataset),
                    line,
                    (subject_no, part),
                    catalogue=catalogue,
                )
            else:
                free.remove(part)
                _update(conn, parts[part], line)
        for part in free:  # a fate that no item has any more
            _empty(conn, parts[part])


def _best(line: Line, free: Sequence[int], parts: dict[int, list[Unit]]) -> int | None:
    """The open part that had this fate before, else any open part."""

    def same(part: int) -> bool:
        unit = parts[part][0]
        return (unit.disposition, unit.until, unit.hold) == (line.disposition, line.until, line.hold)

    return next((p for p in free if same(p)), free[0] if free else None)


def _insert(
    conn: Conn, case: Case, dataset: Dataset, line: Line, place: tuple[int, int], *, catalogue: Catalogue
) -> None:  # fmt: skip
    subject_no, part = place
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO casebook.unit (case_no, subject_no, category, dataset, copy_kind, part, state,"
            " disposition, items, rule, law, until, waits_for, hold, rung_required)"
            " VALUES (%s, %s, %s, %s, %s, %s, 'active', %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                (
                    case.case_no, subject_no, category, dataset.id, line.copy_kind.value, part,
                    line.disposition.value, line.items, line.rule, line.law, line.until, line.waits_for,
                    line.hold, 2 if category == NO_CATEGORY else int(catalogue.category(category).rung),
                )
                for category in dataset.all_categories or (NO_CATEGORY,)
            ],
        )  # fmt: skip


def _update(conn: Conn, units: Iterable[Unit], line: Line) -> None:
    conn.execute(
        "UPDATE casebook.unit SET disposition = %s, items = %s, rule = %s, law = %s, until ="
        " %s, waits_for = %s,"
        " hold = %s WHERE unit_id = ANY(%s)",
        (line.disposition.value, line.items, line.rule, line.law, line.until, line.waits_for, line.hold,
         [u.unit_id for u in units]),
    )  # fmt: skip


def _empty(conn: Conn, units: Iterable[Unit]) -> None:
    conn.execute(
        "UPDATE casebook.unit SET disposition = 'erase', items = 0, until = NULL, waits_for ="
        " NULL, hold = NULL"
        " WHERE unit_id = ANY(%s)",
        ([u.unit_id for u in units],),
    )


def move(conn: Conn, units: Iterable[Unit], to: UnitState, facts: Callable[[Unit], Facts], actor: str) -> int:
    """Move units, each if the machine lets it, with an event each; how many. Raises Refused, moving none.

    Units that are there already are passed over, unless the table has an edge from a state to itself.
    """
    moved: list[Unit] = []
    row = 0
    as_of = None
    for unit in units:
        if unit.state is to and to is not UnitState.RESTRICTED:
            continue
        known = facts(unit)
        row, as_of = (
            machine.move(unit.state, to, known, about=f"{unit.case_no} {unit.dataset}").row,
            known.as_of,
        )
        moved.append(unit)
    if not moved:
        return 0
    conn.execute(
        "UPDATE casebook.unit SET state = %s WHERE unit_id = ANY(%s)", (to.value, [u.unit_id for u in moved])
    )
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO casebook.event (case_no, unit_id, as_of, actor, what, from_state,"
            " to_state, law_row, detail)"
            " VALUES (%s, %s, %s, %s, 'unit', %s, %s, %s, %s)",
            [
                (u.case_no, u.unit_id, as_of, checked_actor(actor), u.state.value, to.value, row,
                 Jsonb({"until": u.until.isoformat()} if u.until else {}))
                for u in moved
            ],
        )  # fmt: skip
    return len(moved)


def told_dates(conn: Conn, case_no: str) -> set[tuple[int, date | None]]:
    """(unit, date until which it is kept) of what the timeline says of units that stay."""
    rows = conn.execute(
        "SELECT DISTINCT unit_id, (detail ->> 'until')::date AS until FROM casebook.event"
        " WHERE case_no = %s AND unit_id IS NOT NULL AND from_state = 'restricted' AND to_state = 'restricted'",
        (case_no,),
    ).fetchall()
    return {(int(r["unit_id"]), r["until"]) for r in rows}


def reached(conn: Conn, units: Iterable[Unit], rung: int) -> None:
    """Record the highest rung proved for these units."""
    conn.execute(
        "UPDATE casebook.unit SET rung_reached = greatest(coalesce(rung_reached, -1), %s) WHERE"
        " unit_id = ANY(%s)",
        (rung, [u.unit_id for u in units]),
    )
