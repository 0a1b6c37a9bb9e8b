"""The nightly look at every backup set: what still reaches back to before a night's disposals, until when, and what is gone.

One look at a set and one comparison per epoch serve all waiting cases. Only what is observed ends a wait: a date that has come
is an alarm, not an end. What the look says is in the ledger before the book believes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import partial
from typing import Any

from include.backups import horizon as reckoning
from include.backups.horizon import Deed, Reach
from include.cases import book, epochs, machine
from include.cases.book import Conn
from include.cases.epochs import Epoch
from include.cases.guards import Facts
from include.cases.periods import last_day
from include.cases.rooms import Desk
from include.ledger.log import KeyTaken
from include.model.backups import Copies, written
from include.model.errors import NotReachable, QuietusError
from include.model.estate import BackupSet
from include.model.history import Historied
from include.model.times import observed_now, prc_date
from include.model.words import UnitState

KIND = "copies"
"""Of ledger entries: a set in which nothing reaches back to before an epoch any more."""

OWN_LOG = "own_log"
"""The tool of sets that are a server's own log."""

ANOTHER_LOG = (
    "its store has another history since, and the log of the server that it is now was not looked at"
)


@dataclass
class Looked:
    """What one night's look came to: epochs by set. ``awaited``: that waited when it began; ``overdue``: what should be gone by
    its date and is not."""

    awaited: dict[str, int] = field(default_factory=dict)
    gone: dict[str, int] = field(default_factory=dict)
    moved: dict[str, int] = field(default_factory=dict)
    overdue: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    @property
    def waiting(self) -> dict[str, int]:
        """That go on waiting."""
        return {name: n - self.gone.get(name, 0) for name, n in self.awaited.items()}

    @property
    def alarms(self) -> tuple[str, ...]:
        return (*self.unread, *self.overdue)

    def __str__(self) -> str:
        parts = [
            f"{name}: {self.gone.get(name, 0)} nights seen to be gone, {n} wait"
            + (f", {self.moved[name]} moved out" if name in self.moved else "")
            for name, n in sorted(self.waiting.items())
        ]
        return "; ".join([*parts, *self.alarms]) or "nothing waits for a backup"


def look(desk: Desk, *, as_of: date, actor: str, stores: frozenset[str] | None = None) -> Looked:
    """Look at the backup sets of these stores (None: all) for every epoch that waits for one. Again changes nothing more.

    A set or store that cannot be read is said, and its epochs go on waiting.
    """
    looked = Looked()
    with desk.book() as conn:
        for store in sorted({b.store for b in desk.catalogue.backups}):
            if stores is None or store in stores:
                lost = _same_history(desk, conn, store, looked, as_of, actor)
                sets = [b for b in desk.catalogue.backups if b.store == store]
                _await_all(conn, store, sets)
                for one in sets:
                    _look_at(desk, conn, one, lost, looked, as_of, actor)
        looked.unread += _undeclared(conn, {b.id for b in desk.catalogue.backups})
    return looked


# --- before copies are compared with a night ---------------------------------------------------------


def _same_history(
    desk: Desk, conn: Conn, store: str, looked: Looked, as_of: date, actor: str
) -> frozenset[int]:
    """Bring the epochs of a store whose history is another now up to it; those of which that cannot be said."""
    waiting = [e for e in epochs.waiting(conn, store) if e.history is not None]
    at = next((s for s in desk.stores() if s.id == store), None)
    if not waiting or not isinstance(at, Historied):
        return frozenset()
    try:
        now = at.history()
        lost = set()
        for epoch in waiting:
            if epoch.history is None or now.goes_on_from(epoch.history):
                continue
            if at.has_receipts(epochs.steps(conn, epoch.epoch_id)):
                with book.deed(conn, f"store {store}"):
                    epochs.read_again(conn, epoch, now)
                    _another_log(desk, conn, epoch, as_of, actor)
            else:
                lost.add(epoch.epoch_id)
    except NotReachable as silent:
        looked.unread.append(str(silent))
        return frozenset(e.epoch_id for e in waiting)
    if lost:
        looked.unread.append(
            f"store {store} was restored to before {len(lost)} nights of disposals: replay them (docs/backups.md)"
        )
    return frozenset(lost)


def _another_log(desk: Desk, conn: Conn, epoch: Epoch, as_of: date, actor: str) -> None:
    """Its store is another server, or was put back: what was seen of the log that it had says nothing of the one that it has."""
    logs = [b.id for b in desk.catalogue.backups if b.store == epoch.store and b.tool == OWN_LOG]
    moved = machine.move(
        UnitState.BACKUP_PURGED, UnitState.BACKUP_PENDING, Facts(as_of=as_of, resurfaced=True), about=f"store {epoch.store}"
    )  # fmt: skip
    for name in epochs.log_again(conn, epoch, logs, ANOTHER_LOG):
        book.note_all(
            conn, epochs.cases(conn, epoch.epoch_id), as_of, actor, "log waited for again",
            from_state=UnitState.BACKUP_PURGED.value, to_state=UnitState.BACKUP_PENDING.value, law_row=moved.row,
            detail={"set": name, "because": ANOTHER_LOG},
        )  # fmt: skip


def _await_all(conn: Conn, store: str, sets: Sequence[BackupSet]) -> None:
    """A set that was declared since may hold what an epoch disposed of before: whatever waits, waits for it too."""
    missing = epochs.not_awaited(conn, store, [one.id for one in sets])
    with book.deed(conn, f"store {store}"):
        for epoch_id, opened_on, backup_set in missing:
            epochs.await_set(conn, epoch_id, next(s for s in sets if s.id == backup_set), opened_on)


def _undeclared(conn: Conn, declared: set[str]) -> Iterator[str]:
    rows = conn.execute(
        "SELECT backup_set, count(*) AS n FROM casebook.epoch_set WHERE purged_on IS NULL AND NOT backup_set = ANY(%s)"
        " GROUP BY 1 ORDER BY 1",
        (sorted(declared),),
    ).fetchall()
    for row in rows:
        yield (
            f"backup set {row['backup_set']}: {row['n']} nights wait for it, and it is no longer declared; declare it"
            " again until it is seen to be empty"
        )


# --- one set -------------------------------------------------------------------------------------------


def _look_at(
    desk: Desk, conn: Conn, one: BackupSet, lost: frozenset[int], looked: Looked, as_of: date, actor: str
) -> None:
    waiting = epochs.waiting(conn, one.store, one.id)
    if not waiting:
        return
    looked.awaited[one.id] = len(waiting)
    try:
        copies = desk.backup_tool(one).look()
    except QuietusError as unread:
        looked.unread.append(f"backup set {one.id} is not read: {unread}")
        with book.deed(conn, f"backup set {one.id}"):
            conn.execute(
                "UPDATE casebook.epoch_set SET because = %s WHERE backup_set = %s AND purged_on IS NULL AND looked_at IS NULL",
                (f"{epochs.NOT_LOOKED_AT}: {unread.what}", one.id),
            )
        return
    looked.unread += [f"backup set {one.id}: {problem}" for problem in copies.problems]
    judge = _judge(one, copies, as_of)
    still: dict[int, Reach] = {}
    for epoch in waiting:
        if epoch.epoch_id in lost:
            reach = Reach(("?",), None, "its store's history is another", ("replay what was restored",))
        else:
            reach = judge(epoch)
        if reach.beyond:
            _say_gone(desk, one, epoch, copies, as_of)
            looked.gone[one.id] = looked.gone.get(one.id, 0) + _gone(conn, one, epoch, reach, as_of, actor)
            continue
        still[epoch.epoch_id] = reach
        if reach.until is not None and reach.until < as_of:
            looked.overdue.append(
                f"backup set {one.id}: {reach.because}, and still holds the night of {epoch.opened_on};"
                f" see `quietus backups list {one.id}`"
            )
    if moved := _keep(conn, one, still, as_of, actor):
        looked.moved[one.id] = moved


def _judge(one: BackupSet, copies: Copies, as_of: date) -> Callable[[Epoch], Reach]:
    """What a set still holds of an epoch, by one look at it. Days to come are counted from ``as_of`` where a simulation is ahead
    of the clock."""
    ends = reckoning.ends(copies.copies, partial(last_day, duration=one.keep))

    def judged(epoch: Epoch) -> Reach:
        deed = epoch.deed
        seen = copies
        if epoch.history is not None and copies.system not in (None, epoch.history.system):
            seen = replace(
                copies,
                problems=(*copies.problems, f"{one.id} is of another cluster than store {one.store}"),
            )
        if epoch.awaits_rewrite:
            # Every copy that is made until then holds the bytes; the first that can be free of them is made after it.
            rewritten = max(prc_date(observed_now()), as_of) + timedelta(days=1)
            reach = reckoning.reach(Deed(None, observed_now()), seen, ends, last_day(rewritten, one.keep))
            until = max(last_day(rewritten, one.keep), reach.until or rewritten)
            because = f"the pages are to be rewritten first, the next night; then {one.id}'s own period"
            return Reach(reach.holding, None if reach.open else until, because, reach.open, not_yet=True)
        return reckoning.reach(
            deed, seen, ends, last_day(max(prc_date(epoch.moment), epoch.opened_on), one.keep)
        )

    return judged


def _keep(conn: Conn, one: BackupSet, still: Mapping[int, Reach], as_of: date, actor: str) -> int:
    """Keep what is known of the epochs for which a set still reaches back; of how many the date moved out since the last look."""
    moved = 0
    with book.deed(conn, f"backup set {one.id}"):
        rows = conn.execute(
            "SELECT epoch_id, horizon, because, holding, looked_at FROM casebook.epoch_set"
            " WHERE backup_set = %s AND epoch_id = ANY(%s) AND purged_on IS NULL FOR UPDATE",
            (one.id, list(still)),
        ).fetchall()
        for was in rows:
            reach = still[was["epoch_id"]]
            because = "; ".join((*reach.open, reach.because)) if reach.open else reach.because
            known = (was["horizon"], was["because"], tuple(was["holding"]))
            if known != (reach.until, because, reach.holding):
                conn.execute(
                    "UPDATE casebook.epoch_set SET horizon = %s, because = %s, holding = %s"
                    " WHERE epoch_id = %s AND backup_set = %s",
                    (reach.until, because, list(reach.holding), was["epoch_id"], one.id),
                )
            if was["looked_at"] is not None and _later(was["horizon"], reach.until):
                moved += 1
                book.note_all(
                    conn, epochs.cases(conn, was["epoch_id"]), as_of, actor, "horizon moved", detail={
                        "set": one.id, "from": str(was["horizon"]), "to": str(reach.until or "open"), "because": because,
                    },
                )  # fmt: skip
        conn.execute(
            "UPDATE casebook.epoch_set SET looked_at = clock_timestamp()"
            " WHERE backup_set = %s AND epoch_id = ANY(%s) AND purged_on IS NULL",
            (one.id, list(still)),
        )
    return moved


def _later(before: date | None, now: date | None) -> bool:
    """Whether a date moved out. One that is open is later than any."""
    return before is not None and (now is None or now > before)


def _say_gone(desk: Desk, one: BackupSet, epoch: Epoch, copies: Copies, as_of: date) -> None:
    """What was seen, for whoever verifies: where the night's log stood, and where everything that is left begins."""
    starts = [c.start for c in copies.copies if c.start is not None]
    deed = epoch.deed
    by_time = [c for c in copies.copies if c.start is None or deed.position is None]
    times = [c.started_at for c in by_time if c.started_at is not None]
    body: dict[str, Any] = {
        "set": one.id,
        "store": one.store,
        "night": epoch.opened_on.isoformat(),
        "position": None if deed.position is None else written(deed.position),
        "moment": deed.at.isoformat(),
        "copies": len(copies.copies),
        "oldest_start": written(min(starts)) if starts else None,
        "oldest_made": min(times).isoformat() if times else None,
        "archive_from": None if copies.archive is None else written(copies.archive.oldest),
        "timeline": None if epoch.history is None else epoch.history.timeline,
        "as_of": as_of.isoformat(),
        "observed_at": observed_now().isoformat(),
    }
    if epoch.superseded:
        log = epoch.shown.log
        body |= {
            "supersedes": list(epoch.superseded), "found_in": sorted(epoch.shown.copies),
            "found_log": None if log is None else written(log), "names": sorted(c.name for c in copies.copies),
        }  # fmt: skip
    try:
        desk.record(KIND, None, body, ledger_key(one, epoch))
    except KeyTaken:
        # A look before this one saw the same, and was cut off before the book took it.
        return


def ledger_key(one: BackupSet, epoch: Epoch) -> str:
    """Of a night that is said to be gone from a set: another when that is said anew, after a drill showed that it was not."""
    position = epoch.deed.position
    again = f":{len(epoch.superseded)}" if epoch.superseded else ""
    return f"{KIND}:{epoch.epoch_id}:{one.id}:{'-' if position is None else written(position)}{again}"


def _gone(conn: Conn, one: BackupSet, epoch: Epoch, reach: Reach, as_of: date, actor: str) -> bool:
    """End an epoch's wait for a set; whether it was still the night that was compared."""
    moved = machine.move(
        UnitState.BACKUP_PENDING, UnitState.BACKUP_PURGED, Facts(as_of=as_of, backup_gone=True),
        about=f"backup set {one.id}, night of {epoch.opened_on}",
    )  # fmt: skip
    with book.deed(conn, f"backup set {one.id}"):
        epochs.lock(conn, one.store)
        ended = conn.execute(
            "UPDATE casebook.epoch_set t SET state = %(state)s, purged_on = %(on)s, horizon = NULL, because = %(because)s,"
            " holding = '{}', looked_at = clock_timestamp(), ledger_key = %(key)s FROM casebook.epoch e"
            " WHERE t.epoch_id = %(epoch)s AND t.backup_set = %(set)s AND t.purged_on IS NULL"
            # Something may have been added to this night since it was compared: then the next look compares it again.
            " AND e.epoch_id = t.epoch_id AND e.moment = %(moment)s AND t.found_in <@ %(shown)s::text[]"
            " AND t.found_log IS NOT DISTINCT FROM %(log)s AND t.superseded = %(superseded)s::text[]",
            {
                "state": UnitState.BACKUP_PURGED.value, "on": as_of, "because": reach.because, "key": ledger_key(one, epoch),
                "epoch": epoch.epoch_id, "set": one.id, "moment": epoch.moment, "shown": list(epoch.shown.copies),
                "log": epoch.shown.log,
                "superseded": list(epoch.superseded),
            },
        ).rowcount  # fmt: skip
        if ended:
            book.note_all(
                conn, epochs.cases(conn, epoch.epoch_id), as_of, actor, "backup purged",
                from_state=UnitState.BACKUP_PENDING.value, to_state=UnitState.BACKUP_PURGED.value, law_row=moved.row,
                detail={"set": one.id},
            )  # fmt: skip
    return bool(ended)
