"""Whom a drill looks for: everybody who was disposed of in the set's store, by whether the restored copy may still know them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from include.backups import horizon
from include.backups.horizon import NOT_SHOWN
from include.cases import book, epochs, papers, provers, sealing, subjects
from include.cases.book import Conn
from include.cases.keys import KeyStore, Purpose
from include.cases.rooms import Desk
from include.model.backups import BackupCopy, Copies
from include.model.errors import NotProved, Refused
from include.model.estate import BackupSet
from include.model.flow import Plan, Step

_BATCH = 10_000  # accounts at once


@dataclass(frozen=True)
class Member:
    """One case. ``bytes_too``: its night asked that the bytes go, so that a dead row left in a page is a failure. ``forgotten``:
    its key is destroyed, so that nobody knows whom it was about; but a tombstone tells whether an account is one of them."""

    case_no: str
    step: Step
    plan: Plan
    bytes_too: bool
    forgotten: bool = False


@dataclass(frozen=True)
class Cohort:
    """``beyond``: seen to be gone from the set, or brought back by a drill and not to be in this copy; ``within``: it
    begins before their disposal. ``unsearchable``: of so many cases nothing was kept that could be looked for."""

    beyond: tuple[Member, ...]
    within: tuple[Member, ...]
    unsearchable: int

    @property
    def forgotten(self) -> int:
        return sum(m.forgotten for m in (*self.beyond, *self.within))


_CASES = """
SELECT s.case_no, s.epoch_id, t.purged_on IS NOT NULL AS gone, t.superseded <> '{}' AS came_up,
       e.rewritten_position IS NOT NULL AS rewritten
  FROM (SELECT DISTINCT case_no, epoch_id FROM casebook.epoch_step) AS s
  JOIN casebook.epoch e USING (epoch_id) JOIN casebook.epoch_set t USING (epoch_id)
 WHERE t.backup_set = %s ORDER BY s.case_no, s.epoch_id
"""


def of(desk: Desk, backup: BackupSet, copy: BackupCopy | None) -> Cohort:
    """``copy``: None if only archived log is left: then who is not beyond it is within it."""
    nights: dict[str, list[dict[str, Any]]] = defaultdict(list)
    with desk.book() as conn:
        held = _held(conn, backup, copy)
        for row in conn.execute(_CASES, (backup.id,)).fetchall():
            nights[str(row["case_no"])].append(row)
    beyond: list[Member] = []
    within: list[Member] = []
    unsearchable = 0
    for case_no, rows in nights.items():
        gone = all(row["gone"] or (row["came_up"] and row["epoch_id"] not in held) for row in rows)
        if not gone and not any(row["epoch_id"] in held for row in rows):
            continue  # not in this copy, and not yet seen to be gone from the set: nothing is expected of either
        member = _member(desk, case_no, all(row["rewritten"] for row in rows))
        if member is None:
            unsearchable += 1
        else:
            (beyond if gone else within).append(member)
    return Cohort(tuple(beyond), tuple(within), unsearchable)


def _held(conn: Conn, backup: BackupSet, copy: BackupCopy | None) -> frozenset[int]:
    """The nights that this copy begins before, by its own word: not those of which somebody came up in it all the same."""
    alone = Copies((copy,)) if copy else None
    return frozenset(
        epoch.epoch_id
        for epoch in epochs.waiting(conn, backup.store, backup.id)
        if (alone is None and not epoch.superseded)
        or (alone is not None and horizon.reach(replace(epoch.deed, shown=NOT_SHOWN), alone, {}).holding)
    )


def _member(desk: Desk, case_no: str, bytes_too: bool) -> Member | None:
    """The case with whom it is about, as far as that is known; None if nothing was sealed to look for."""
    with desk.book() as conn:
        case = book.case(conn, case_no)
        row = papers.current_step(conn, case, "live")
        plans = papers.plans(conn, case, "live")
        if row is None or not plans:
            return None
        try:
            step = row.step(case, subjects.ids(conn, desk.keys, case))
        except Refused:
            return Member(case_no, row.step(case, ()), plans[-1], False, forgotten=True)
    try:
        provers.sought(desk, case_no)
    except NotProved:
        return None
    return Member(case_no, step, plans[-1], bytes_too)


def buried(conn: Conn, keys: KeyStore, accounts: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Of these accounts those that have a tombstone, by case."""
    found: dict[str, list[str]] = defaultdict(list)
    rest = iter(accounts)
    while batch := list(islice(rest, _BATCH)):
        tokens = {
            sealing.digest(keys, ref, subjects.KIND, account): account
            for ref in keys.versions(Purpose.TOMBSTONE.value)
            for account in batch
        }
        rows = conn.execute(
            "SELECT case_no, token FROM casebook.tombstone WHERE kind = %s AND token = ANY(%s)",
            (subjects.KIND, list(tokens)),
        ).fetchall()
        for row in rows:
            found[str(row["case_no"])].append(tokens[bytes(row["token"])])
    return {case_no: tuple(sorted(set(ids))) for case_no, ids in found.items()}
