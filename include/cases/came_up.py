"""What follows when a drill finds somebody who should be gone: their nights wait for the set again, and their cases go on.

The drill's entry in the ledger is the reason. What was said before stays in the ledger; the next look may say gone anew, once
nothing is left of what the drill showed. Who came up is in the book before the ledger says that somebody did: whatever is
killed in between, the next look at the sets or the next drill goes on with it (:func:`take_left`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

from psycopg.types.json import Jsonb

from include.backups.horizon import Shown
from include.cases import backups, book, closing, drills, epochs, machine, papers, turns
from include.cases.book import Conn
from include.cases.guards import Facts
from include.cases.rooms import Desk
from include.model.flow import Finding
from include.model.words import CaseState, UnitState

CODE = "drill_found"
REOPENED_BY = "restore_drill"
NOTED = "came up in a drill"


@dataclass(frozen=True)
class CameUp:
    """``of``: how much of each case came up. ``where``: as a person is told. ``drill``: its entry in the ledger, by key, and
    ``body``, what that says."""

    backup_set: str
    store: str
    of: Mapping[str, int]
    where: str
    shown: Shown
    drill: str
    body: Mapping[str, Any]


def keep(conn: Conn, up: CameUp) -> None:
    """Into the book, to be taken."""
    conn.execute(
        "INSERT INTO casebook.came_up (ledger_key, backup_set, store, body, found, place, copies, log)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        (
            up.drill, up.backup_set, up.store, Jsonb(dict(up.body)), Jsonb(dict(up.of)), up.where,
            sorted(up.shown.copies), up.shown.log,
        ),
    )  # fmt: skip


def take_left(desk: Desk, *, as_of: date, actor: str, at: Callable[[str], None] = lambda _point: None) -> int:
    """Take what drills found and nobody took yet; how many drills that were. What somebody else is at is left to them.

    ``at``: called between two commits, for tests. Raises what a look at the sets raises.
    """
    taken = 0
    with desk.book() as conn:
        left = [row["ledger_key"] for row in conn.execute(f"{_LEFT} ORDER BY ledger_key").fetchall()]
        for key in left:
            with _mine(conn, key) as row:
                if row is not None:
                    _take(desk, _kept(row), as_of, actor, at)
                    conn.execute(
                        "UPDATE casebook.came_up SET taken_at = clock_timestamp() WHERE ledger_key = %s",
                        (key,),
                    )
                    taken += 1
    return taken


_LEFT = "SELECT * FROM casebook.came_up WHERE taken_at IS NULL"


@contextmanager
def _mine(conn: Conn, key: str) -> Iterator[dict[str, Any] | None]:
    """What a drill left, for as long as nobody else takes it. None: somebody does, or did."""
    with turns.mine(conn, f"casebook.came_up {key}") as ours:
        yield conn.execute(f"{_LEFT} AND ledger_key = %s", (key,)).fetchone() if ours else None


def _kept(row: dict[str, Any]) -> CameUp:
    shown = Shown(frozenset(row["copies"]), row["log"])
    return CameUp(
        row["backup_set"], row["store"], row["found"], row["place"], shown, row["ledger_key"], row["body"]
    )  # fmt: skip


def _take(desk: Desk, up: CameUp, as_of: date, actor: str, at: Callable[[str], None]) -> None:
    """Say it, bring back the nights of these cases, open a finding of each, and reopen what was closed. Again changes nothing
    more. The set is looked at once more, so that each case has its date."""
    drills.say(desk, dict(up.body), up.drill)
    at("came_up.said")
    with desk.book() as conn, book.deed(conn, f"backup set {up.backup_set}"):
        _bring_back(conn, up, as_of, actor)
    at("came_up.brought_back")
    for case_no, items in sorted(up.of.items()):
        with desk.book() as conn:
            state = book.case(conn, case_no).state
        if state is CaseState.CLOSED:
            closing.reopen(desk, case_no, because=REOPENED_BY, as_of=as_of, actor=actor)
        with desk.book() as conn, book.deed(conn, case_no):
            if _noted(conn, case_no, up.drill):
                continue
            papers.keep_findings(conn, case_no, [_finding(up, items)])
            book.note(
                conn, case_no, as_of, actor, NOTED, detail={"set": up.backup_set, "drill": up.drill}
            )  # fmt: skip
    at("came_up.noted")
    backups.look(desk, as_of=as_of, actor=actor, stores=frozenset({up.store}))


def _noted(conn: Conn, case_no: str, drill: str) -> bool:
    row = conn.execute(
        "SELECT FROM casebook.event WHERE case_no = %s AND what = %s AND detail->>'drill' = %s",
        (case_no, NOTED, drill),
    ).fetchone()
    return row is not None


def _bring_back(conn: Conn, up: CameUp, as_of: date, actor: str) -> None:
    moved = machine.move(
        UnitState.BACKUP_PURGED, UnitState.BACKUP_PENDING, Facts(as_of=as_of, resurfaced=True),
        about=f"backup set {up.backup_set}",
    )  # fmt: skip
    for epoch_id in epochs.bring_back(conn, up.store, up.backup_set, tuple(up.of), up.shown, up.where):
        book.note_all(
            conn, epochs.cases(conn, epoch_id), as_of, actor, "backup holds again",
            from_state=UnitState.BACKUP_PURGED.value, to_state=UnitState.BACKUP_PENDING.value, law_row=moved.row,
            detail={"set": up.backup_set, "in": up.where, "drill": up.drill},
        )  # fmt: skip


def _finding(up: CameUp, items: int) -> Finding:
    return Finding(
        code=CODE, dataset=None, place=f"backup set {up.backup_set}", items=items,
        what=f"the restore drill found what was seen to be gone, in {up.where}",
        next_step="see how it came into the copy; expire the copy, then drill again",
    )  # fmt: skip
