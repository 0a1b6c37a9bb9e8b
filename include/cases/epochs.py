"""Disposal epochs: everything that was disposed of in one store in one night waits for backups together.

A case points to the epochs of its steps, so that a million waiting cases are a few hundred rows to look at. An epoch knows where
its store's log stood after the last commit in it; read late that is further on, which is safe.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from include.backups.horizon import NOT_SHOWN, Deed, Shown
from include.cases import machine
from include.cases.book import Case, Conn, Rows, note
from include.cases.guards import Facts
from include.cases.periods import last_day
from include.model.estate import BackupSet
from include.model.history import History
from include.model.words import UnitState

NOT_LOOKED_AT = "the set's own period; nobody has looked yet"
_HISTORY = ("system", "timeline", "counter", "position")


@dataclass(frozen=True)
class Epoch:
    """One night's disposals in one store. ``history``: None if the store has no log. Asked for one set: where a drill showed
    that the set holds somebody of it (``shown``), and which looks had said that nothing does (``superseded``, ledger keys)."""

    epoch_id: int
    store: str
    opened_on: date
    history: History | None
    moment: datetime
    rewrite_wanted: bool
    rewritten_position: int | None
    shown: Shown = NOT_SHOWN
    superseded: tuple[str, ...] = ()

    @property
    def awaits_rewrite(self) -> bool:
        """Whether copies that are made now still hold the bytes: the rows are gone, their pages are not rewritten."""
        return self.rewrite_wanted and self.history is not None and self.rewritten_position is None

    @property
    def deed(self) -> Deed:
        """After it, a copy holds nothing of this night: not the rows, and where that is asked for not their bytes."""
        if self.history is None:
            return Deed(None, self.moment, shown=self.shown)
        position = self.rewritten_position if self.rewritten_position is not None else self.history.position
        return Deed(position, self.moment, self.history.timeline, self.shown)


def enter(
    conn: Conn, case: Case, step_id: str, store: str, history: History | None, *, last_deed: datetime,
    sets: Sequence[BackupSet], rewrite: bool, as_of: date, actor: str,
) -> int:  # fmt: skip
    """Put what a step disposed of in a store into the night's epoch; how many sets this case did not wait for before.

    ``history``: the store's, read after the commit. ``last_deed``: when the step's last disposal was done there, by the
    store's clock. ``rewrite``: whether something of it asks for more than gone rows. Entering again changes nothing.
    """
    machine.move(UnitState.LIVE_DELETED, UnitState.BACKUP_PENDING, Facts(as_of=as_of), about=case.case_no)
    lock(conn, store)
    known = conn.execute(
        "SELECT 1 FROM casebook.epoch_step JOIN casebook.epoch USING (epoch_id)"
        " WHERE step_id = %s AND store = %s AND moment >= %s",
        (step_id, store, last_deed),
    ).fetchone()
    if known is not None:
        return 0
    before = {row["backup_set"] for row in of_case(conn, case.case_no) if row["purged_on"] is None}
    epoch_id = _tonights(conn, store, history, max(last_deed, history.moment) if history else last_deed,
                         as_of, rewrite)  # fmt: skip
    conn.execute(
        "INSERT INTO casebook.epoch_step (epoch_id, step_id, case_no) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
        (epoch_id, step_id, case.case_no),
    )
    for one in sets:
        await_set(conn, epoch_id, one, as_of)
    new = len({s.id for s in sets} - before)
    if new:
        note(conn, case.case_no, as_of, actor, "backup tracks opened", law_row=14, detail={"sets": new})
    return new


def lock(conn: Conn, store: str) -> None:
    """Until the end of the transaction nobody else adds to a store's nights, or ends one."""
    conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('epoch ' || %s, 0))", (store,))


def _tonights(
    conn: Conn, store: str, history: History | None, moment: datetime, as_of: date, rewrite: bool
) -> int:
    """The epoch of this store and night that may still take something in, moved on to here; else a new one.

    None of it may be settled: neither may a copy be known to be beyond it, nor its tables be rewritten."""
    row = conn.execute(
        "SELECT e.* FROM casebook.epoch e WHERE store = %s AND opened_on = %s AND rewritten_at IS NULL AND NOT EXISTS"
        " (SELECT FROM casebook.epoch_set t WHERE t.epoch_id = e.epoch_id AND t.purged_on IS NOT NULL)"
        " ORDER BY no DESC LIMIT 1 FOR UPDATE",
        (store, as_of),
    ).fetchone()
    if row is not None and _goes_on(row, history):
        conn.execute(
            "UPDATE casebook.epoch SET moment = greatest(moment, %s), counter = %s, position = %s,"
            " rewrite_wanted = rewrite_wanted OR %s WHERE epoch_id = %s",
            (moment, history and history.counter, history and history.position, rewrite, row["epoch_id"]),
        )
        return int(row["epoch_id"])
    made = conn.execute(
        "INSERT INTO casebook.epoch (store, opened_on, no, system, timeline, counter, position, moment, rewrite_wanted)"
        " SELECT %(store)s, %(on)s, coalesce(max(no), 0) + 1, %(system)s, %(timeline)s, %(counter)s, %(position)s,"
        " %(moment)s, %(rewrite)s FROM casebook.epoch WHERE store = %(store)s AND opened_on = %(on)s RETURNING epoch_id",
        {"store": store, "on": as_of, "moment": moment, "rewrite": rewrite}
        | {name: getattr(history, name, None) for name in _HISTORY},
    ).fetchone()
    assert made is not None  # noqa: S101  an aggregate without GROUP BY returns one row
    return int(made["epoch_id"])


def _goes_on(row: dict[str, object], history: History | None) -> bool:
    before = _history(row)
    return history is None if before is None else history is not None and history.goes_on_from(before)


def _history(row: dict[str, object]) -> History | None:
    if row["position"] is None:
        return None
    return History(*(row[name] for name in (*_HISTORY, "moment")))  # type: ignore[arg-type]


def await_set(conn: Conn, epoch_id: int, one: BackupSet, opened_on: date) -> None:
    """Let an epoch wait for a set, until somebody has looked for as long as the set keeps its copies. Already: nothing."""
    conn.execute(
        "INSERT INTO casebook.epoch_set (epoch_id, backup_set, state, horizon, because) VALUES (%s, %s, %s, %s, %s)"
        " ON CONFLICT DO NOTHING",
        (epoch_id, one.id, UnitState.BACKUP_PENDING.value, last_day(opened_on, one.keep), NOT_LOOKED_AT),
    )


def not_awaited(conn: Conn, store: str, sets: Sequence[str]) -> list[tuple[int, date, str]]:
    """Epochs of a store that wait for something, with a set that they do not know of."""
    rows = conn.execute(
        "SELECT e.epoch_id, e.opened_on, s.name FROM casebook.epoch e CROSS JOIN unnest(%s::text[]) AS s(name)"
        " WHERE e.store = %s AND EXISTS (SELECT FROM casebook.epoch_set t WHERE t.epoch_id = e.epoch_id AND t.purged_on IS NULL)"
        " AND NOT EXISTS (SELECT FROM casebook.epoch_set t WHERE t.epoch_id = e.epoch_id AND t.backup_set = s.name)",
        (list(sets), store),
    ).fetchall()
    return [(row["epoch_id"], row["opened_on"], row["name"]) for row in rows]


def waiting(conn: Conn, store: str, backup_set: str | None = None) -> list[Epoch]:
    """The epochs of a store that wait for a set (None: for any), the oldest first."""
    rows = conn.execute(
        "SELECT e.*, s.found_in, s.found_log, s.superseded FROM casebook.epoch e"
        " LEFT JOIN casebook.epoch_set s ON s.epoch_id = e.epoch_id AND s.backup_set = %(set)s"
        " WHERE e.store = %(store)s AND EXISTS (SELECT FROM casebook.epoch_set t"
        " WHERE t.epoch_id = e.epoch_id AND t.purged_on IS NULL AND (%(set)s::text IS NULL OR t.backup_set = %(set)s))"
        " ORDER BY e.opened_on, e.no",
        {"store": store, "set": backup_set},
    ).fetchall()
    return [_epoch(row) for row in rows]


def to_rewrite(conn: Conn, store: str) -> list[Epoch]:
    """The epochs of a store of which the bytes are to go too, and are not known to be gone from its live files."""
    rows = conn.execute(
        "SELECT * FROM casebook.epoch WHERE store = %s AND rewrite_wanted AND position IS NOT NULL"
        " AND rewritten_at IS NULL ORDER BY opened_on, no",
        (store,),
    ).fetchall()
    return [_epoch(row) for row in rows]


def rewritten(conn: Conn, epoch: Epoch, position: int, at: datetime) -> bool:
    """Every table of an epoch was written anew by that position, read after the last commit; whether it was still the
    epoch that was begun with: what was added meanwhile waits for the next time."""
    lock(conn, epoch.store)
    return bool(
        conn.execute(
            "UPDATE casebook.epoch SET rewritten_position = %s, rewritten_at = %s"
            " WHERE epoch_id = %s AND moment = %s AND rewritten_at IS NULL",
            (position, at, epoch.epoch_id, epoch.moment),
        ).rowcount
    )


def _epoch(row: dict[str, Any]) -> Epoch:
    return Epoch(
        epoch_id=row["epoch_id"],
        store=row["store"],
        opened_on=row["opened_on"],
        history=_history(row),
        moment=row["moment"],
        rewrite_wanted=row["rewrite_wanted"],
        rewritten_position=row["rewritten_position"],
        shown=Shown(frozenset(row.get("found_in") or ()), row.get("found_log")),
        superseded=tuple(row.get("superseded") or ()),
    )


def steps(conn: Conn, epoch_id: int) -> tuple[str, ...]:
    """The steps whose disposals are in an epoch; of a case that was replayed after a restore, the replay, which did the
    same again."""
    rows = conn.execute(
        "SELECT DISTINCT coalesce((SELECT r.step_id FROM casebook.step r WHERE r.case_no = d.case_no AND r.kind = 'replay'"
        "  AND r.store = e.store AND r.opened_at > s.opened_at"
        "  AND EXISTS (SELECT FROM casebook.receipt c WHERE c.step_id = r.step_id AND c.verb = 'dispose')"
        "  ORDER BY r.step_no DESC LIMIT 1), d.step_id) AS step_id"
        " FROM casebook.epoch_step d JOIN casebook.epoch e USING (epoch_id) JOIN casebook.step s ON s.step_id = d.step_id"
        " WHERE d.epoch_id = %s ORDER BY 1",
        (epoch_id,),
    ).fetchall()
    return tuple(str(row["step_id"]) for row in rows)


def stores_of(conn: Conn, step_id: str) -> frozenset[str]:
    """The stores whose nights a step is in."""
    rows = conn.execute(
        "SELECT DISTINCT store FROM casebook.epoch_step JOIN casebook.epoch USING (epoch_id) WHERE step_id = %s",
        (step_id,),
    )
    return frozenset(str(row["store"]) for row in rows)


def cases(conn: Conn, epoch_id: int) -> tuple[str, ...]:
    """The cases that wait with an epoch."""
    rows = conn.execute(
        "SELECT DISTINCT case_no FROM casebook.epoch_step WHERE epoch_id = %s ORDER BY 1", (epoch_id,)
    )
    return tuple(str(row["case_no"]) for row in rows)


def read_again(conn: Conn, epoch: Epoch, history: History) -> None:
    """Its store has another history by now, and all that was done is done in that one too: its position is here, late.

    What was rewritten may not be rewritten there, so that is done again."""
    conn.execute(
        "UPDATE casebook.epoch SET system = %s, timeline = %s, counter = %s, position = %s, moment = greatest(moment, %s),"
        " rewritten_position = NULL, rewritten_at = NULL WHERE epoch_id = %s",
        (history.system, history.timeline, history.counter, history.position, history.moment, epoch.epoch_id),
    )


def log_again(conn: Conn, epoch: Epoch, logs: Sequence[str], because: str) -> tuple[str, ...]:
    """Its store has another log by now: which of these sets, servers' own logs that were said to be gone, it waits for again."""
    rows = conn.execute(
        "UPDATE casebook.epoch_set SET state = %s, purged_on = NULL, horizon = NULL, because = %s, holding = '{}',"
        " superseded = superseded || ledger_key, ledger_key = NULL"
        " WHERE epoch_id = %s AND backup_set = ANY(%s) AND purged_on IS NOT NULL RETURNING backup_set",
        (UnitState.BACKUP_PENDING.value, because, epoch.epoch_id, list(logs)),
    ).fetchall()
    return tuple(sorted(row["backup_set"] for row in rows))


def of_case(conn: Conn, case_no: str) -> Rows:
    """Where each backup set stands for a case, over all its epochs: the last that still reaches back decides.

    ``horizon``: None while open or, with ``purged_on``, when nothing reaches back any more."""
    return conn.execute(_OF_CASE, (case_no,)).fetchall()


_OF_CASE = """
SELECT t.backup_set, e.store,
       CASE WHEN bool_and(t.purged_on IS NOT NULL) THEN 'backup_purged' ELSE 'backup_pending' END AS state,
       max(e.opened_on) AS opened_on,
       CASE WHEN NOT coalesce(bool_or(t.horizon IS NULL) FILTER (WHERE t.purged_on IS NULL), false)
            THEN max(t.horizon) FILTER (WHERE t.purged_on IS NULL) END AS horizon,
       (array_agg(t.because ORDER BY t.purged_on IS NULL DESC, t.horizon DESC NULLS FIRST))[1] AS because,
       array(SELECT DISTINCT held FROM casebook.epoch_step y JOIN casebook.epoch_set z USING (epoch_id), unnest(z.holding) AS held
              WHERE y.case_no = s.case_no AND z.backup_set = t.backup_set AND z.purged_on IS NULL ORDER BY 1) AS holding,
       max(t.looked_at) AS looked_at,
       CASE WHEN bool_and(t.purged_on IS NOT NULL) THEN max(t.purged_on) END AS purged_on,
       array_agg(DISTINCT t.ledger_key) FILTER (WHERE t.ledger_key IS NOT NULL) AS ledger_keys,
       max(coalesce(e.rewritten_position, e.position)) AS position
  FROM (SELECT DISTINCT case_no, epoch_id FROM casebook.epoch_step WHERE case_no = %s) AS s
  JOIN casebook.epoch e USING (epoch_id) JOIN casebook.epoch_set t USING (epoch_id)
 GROUP BY s.case_no, t.backup_set, e.store ORDER BY t.backup_set"""


def bring_back(
    conn: Conn, store: str, backup_set: str, case_nos: Sequence[str], shown: Shown, where: str
) -> tuple[int, ...]:
    """Somebody of these cases came up in a set: their nights that were said to be gone from it wait for it again, until nothing
    is left of what was ``shown``; which these are. A night that a drill brought back before waits for this, too."""
    lock(conn, store)
    rows = conn.execute(
        "WITH was AS (SELECT t.epoch_id, t.purged_on, t.ledger_key FROM casebook.epoch_set t WHERE t.backup_set = %(set)s"
        "  AND (t.purged_on IS NOT NULL OR t.superseded <> '{}')"
        "  AND t.epoch_id IN (SELECT epoch_id FROM casebook.epoch_step WHERE case_no = ANY(%(cases)s)) FOR UPDATE)"
        " UPDATE casebook.epoch_set t SET state = %(state)s, purged_on = NULL, ledger_key = NULL, horizon = NULL,"
        " because = %(because)s, holding = %(copies)s,"
        " found_in = array(SELECT DISTINCT f FROM unnest(t.found_in || %(copies)s::text[]) AS f ORDER BY 1),"
        " found_log = greatest(t.found_log, %(log)s), superseded = array_remove(t.superseded || was.ledger_key, NULL)"
        " FROM was WHERE t.epoch_id = was.epoch_id AND t.backup_set = %(set)s"
        " RETURNING t.epoch_id, was.purged_on IS NOT NULL AS said_gone",
        {
            "set": backup_set, "cases": list(case_nos), "state": UnitState.BACKUP_PENDING.value,
            "because": f"the restore drill found somebody in {where}", "copies": sorted(shown.copies), "log": shown.log,
        },
    ).fetchall()  # fmt: skip
    back = sorted(row["epoch_id"] for row in rows if row["said_gone"])
    conn.execute("UPDATE casebook.epoch SET settled_at = NULL WHERE epoch_id = ANY(%s)", (back,))
    return tuple(back)


def states(conn: Conn, case_no: str) -> tuple[UnitState, ...]:
    return tuple(UnitState(row["state"]) for row in of_case(conn, case_no))
