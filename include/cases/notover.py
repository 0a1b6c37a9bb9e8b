"""What is not over when a certificate is made: rungs to come, dates, holds, backups, recipients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

from include.cases import epochs
from include.cases.book import Case, Conn
from include.cases.guards import BEYOND_RECALL
from include.cases.notices import outbox
from include.cases.planner import GIVEN_AGAIN
from include.ledger.certificate import ItemGroup, Pending
from include.model.catalogue import Catalogue
from include.model.flow import Line
from include.model.words import Disposition, UnitState

WHAT_NEEDS_IT = "the rows that need it"
"""What the rest of a row waits for that is cut only since others refer to it: it goes with the last of them."""


def not_over(
    catalogue: Catalogue,
    conn: Conn,
    case: Case,
    groups: Sequence[ItemGroup],
    lines: Sequence[Line],
    *,
    as_of: date,
) -> Iterator[Pending]:
    """Everything that a case still waits for. While there is anything, its certificate is interim."""
    yield from _rungs(catalogue, groups)
    yield from _dates(lines)
    yield from _rests(groups)
    yield from _holds(groups)
    for row in epochs.of_case(conn, case.case_no):
        if UnitState(row["state"]) not in BEYOND_RECALL:
            yield Pending(
                track="backups", name=row["backup_set"], due=row["horizon"],
                what=f"copies in this backup set reach back to before it: {row['because']}",
            )  # fmt: skip
    for row in outbox.listing(conn, case.case_no):
        if UnitState(row["state"]) not in BEYOND_RECALL:
            yield Pending(
                track="recipients", name=row["recipient"], due=_answer_due(row, as_of), what=_recipient(row)
            )


def _answer_due(row: dict[str, Any], as_of: date) -> date | None:
    """The day by which a recipient is to answer; when that is over, the day on which it is escalated. None if both are: who
    waits for our own side is not escalated."""
    return next((d for d in (row["target_on"], row["escalate_on"]) if d is not None and d >= as_of), None)


def _recipient(row: dict[str, Any]) -> str:
    """Where an open notice stands, in the words that the person reads."""
    again = f" (notice {row['round']})" if row["round"] > 1 else ""
    if row["sent_at"] is None:
        return f"is to be told{again}"
    if row["answer_code"] == outbox.OURS:
        return f"has stopped; what stands on a chain is unlinked when our own dates are over{again}"
    if row["answer_code"] is not None:
        return f"was told and answered {row['answer_code']}, which does not end it{again}"
    return f"was told and has not answered{again}"


def _rungs(catalogue: Catalogue, groups: Sequence[ItemGroup]) -> Iterator[Pending]:
    """One line per dataset, category, copy and rung. What only a confidential hold keeps is told apart."""
    told: set[tuple[object, ...]] = set()
    for group in groups:
        secret = group.confidential and group.only_for_a_hold
        place = (group.dataset, group.category, group.copy_kind, group.rung_required, secret)
        if not group.pending or place in told:
            continue
        told.add(place)
        why = "".join(f" ({u.why})" for u in group.unverified if u.rung is group.rung_required)
        yield Pending(
            track="rung", dataset=group.dataset, category=group.category, copy_kind=group.copy_kind,
            rung=group.rung_required, name=catalogue.dataset(group.dataset).title, due=None,
            what=f"R{group.rung_required.value} is to be reached; so far "
            + (f"R{group.rung_reached.value}" if group.rung_reached is not None else "nothing was proved") + why,
            confidential=secret,
        )  # fmt: skip


def _dates(lines: Sequence[Line]) -> Iterator[Pending]:
    """One line per rule and date. What only a hold keeps is told with the hold. What the request does not reach is told
    once: it stays, and a certificate that says so is not the last that can be said of the person."""
    told: set[tuple[str, str, date | None, str | None]] = set()
    for line in lines:
        key = ("" if line.not_reached else line.rule, line.law, line.until, line.waits_for)
        if line.disposition is not Disposition.RETAIN or line.only_for_a_hold or key in told:
            continue
        told.add(key)
        waits = f"; the clock waits for {line.waits_for}" if line.waits_for else ""
        what = f"kept by law ({line.law}){waits}"
        if line.not_reached and line.law == GIVEN_AGAIN:
            what = f"its consent was given again; it stays ({line.law})"
        elif line.not_reached:
            what = f"the request does not reach it; it stays ({line.law})"
        yield Pending(track="dates", name=line.rule, due=line.until, what=what)


def _rests(groups: Sequence[ItemGroup]) -> Iterator[Pending]:
    """One line per dataset of which cut rows are left that have no end: no last day, and no row that they go with. Any other is
    over for the case: the nights take what is left, for nobody leads to it any more."""
    told: set[tuple[str, str | None, bool]] = set()
    for group in groups:
        key = (group.dataset, group.waits_for, group.confidential)
        ends = group.until is not None or group.waits_for == WHAT_NEEDS_IT
        if group.disposition is not Disposition.DEIDENTIFY or ends or key in told:
            continue
        told.add(key)
        waits = group.waits_for or "a rule that ends it"
        yield Pending(
            track="dates", dataset=group.dataset, name=group.dataset, due=None,
            what=f"de-identified, so personal still (PIPL 73(3)); what is left waits for {waits}",
            confidential=group.confidential,
        )  # fmt: skip


def _holds(groups: Sequence[ItemGroup]) -> Iterator[Pending]:
    """One line per hold: what it holds, and what is kept for that, goes on when it is released."""
    told: set[str] = set()
    for group in groups:
        hold = group.hold or (group.kept_for if group.only_for_a_hold else None)
        if hold is not None and hold not in told:
            told.add(hold)
            yield Pending(
                track="holds", name=hold, due=None, what="held until the order is released",
                confidential=group.confidential,
            )  # fmt: skip
