"""What outlives the live deletion: backup tracks with their expected horizon, and tombstones."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from include.cases import machine, sealing, subjects
from include.cases.book import Case, Conn, Rows, note
from include.cases.guards import Facts
from include.cases.keys import KeyStore, Purpose
from include.cases.periods import last_day
from include.model.catalogue import BackupSet
from include.model.words import UnitState


def open_backups(conn: Conn, case: Case, sets: Sequence[BackupSet], disposed_on: date, actor: str) -> int:
    """A track per backup set that may hold the person; how many were new. Opening again changes nothing.

    The expected horizon is the disposal day and the set's keep; the backups' own room replaces it by what
    the sets really are. A later disposal of the same case moves a track that is still open.
    """
    machine.move(
        UnitState.LIVE_DELETED, UnitState.BACKUP_PENDING, Facts(as_of=disposed_on), about=case.case_no
    )
    new = 0
    for backup in sets:
        new += conn.execute(
            "INSERT INTO casebook.backup_track AS t (case_no, backup_set, store, state,"
            " opened_on, expected_horizon)"
            " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (case_no, backup_set) DO UPDATE"
            " SET state = excluded.state, opened_on = excluded.opened_on, purged_on = NULL,"
            " expected_horizon = excluded.expected_horizon WHERE t.opened_on < excluded.opened_on",
            (case.case_no, backup.id, backup.store, UnitState.BACKUP_PENDING.value, disposed_on,
             last_day(disposed_on, backup.keep)),
        ).rowcount  # fmt: skip
    if new:
        note(conn, case.case_no, disposed_on, actor, "backup tracks opened", law_row=14, detail={"sets": new})
    return new


def purge(conn: Conn, case: Case, backup_set: str, facts: Facts, actor: str) -> None:
    """The last copy of the person in a set is gone. Raises Refused unless that is established."""
    row = conn.execute(
        "SELECT state FROM casebook.backup_track WHERE case_no = %s AND backup_set = %s FOR UPDATE",
        (case.case_no, backup_set),
    ).fetchone()
    state = UnitState(row["state"]) if row else UnitState.ACTIVE
    if state is UnitState.BACKUP_PURGED:
        return
    about = f"{case.case_no} {backup_set}"
    transition = machine.move(state, UnitState.BACKUP_PURGED, facts, about=about)
    conn.execute(
        "UPDATE casebook.backup_track SET state = %s, purged_on = %s WHERE case_no = %s AND backup_set = %s",
        (UnitState.BACKUP_PURGED.value, facts.as_of, case.case_no, backup_set),
    )
    note(conn, case.case_no, facts.as_of, actor, "backup purged", from_state=state.value,
         to_state=UnitState.BACKUP_PURGED.value, law_row=transition.row,
         detail={"set": backup_set})  # fmt: skip


def listing(conn: Conn, case_no: str) -> Rows:
    return conn.execute(
        "SELECT backup_set, store, state, opened_on, expected_horizon, purged_on FROM casebook.backup_track"
        " WHERE case_no = %s ORDER BY backup_set",
        (case_no,),
    ).fetchall()


def states(conn: Conn, case_no: str) -> tuple[UnitState, ...]:
    return tuple(UnitState(r["state"]) for r in listing(conn, case_no))


def bury(conn: Conn, keys: KeyStore, case: Case, account_ids: Sequence[str], as_of: date) -> int:
    """A tombstone per subject, before anything is deleted, so that no restore can miss it; how many new.

    Keyed under the newest tombstone key. A tombstone is personal until that key is destroyed.
    """
    ref = sealing.current(keys, Purpose.TOMBSTONE)
    new = 0
    for account_id in account_ids:
        new += conn.execute(
            "INSERT INTO casebook.tombstone (kind, token, token_version, case_no, made_on)"
            " VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            (
                subjects.KIND,
                sealing.digest(keys, ref, subjects.KIND, account_id),
                ref.version,
                case.case_no,
                as_of,
            ),
        ).rowcount
    return new


def versions_needed(conn: Conn) -> frozenset[int]:
    """Versions of the tombstone key that a tombstone still needs: none of these may be destroyed."""
    rows = conn.execute("SELECT DISTINCT token_version FROM casebook.tombstone").fetchall()
    return frozenset(int(r["token_version"]) for r in rows)


def expire(conn: Conn, as_of: date) -> int:
    """Drop tombstones past their date; afterwards their key version may be destroyed."""
    return conn.execute("DELETE FROM casebook.tombstone WHERE expires_on < %s", (as_of,)).rowcount


def buried_among(conn: Conn, keys: KeyStore, account_ids: Sequence[str]) -> frozenset[int]:
    """Which positions of a list of accounts have a tombstone: what a restored database must lose again."""
    wanted: dict[bytes, int] = {}
    for ref in keys.versions(Purpose.TOMBSTONE.value):
        for no, account_id in enumerate(account_ids):
            wanted[sealing.digest(keys, ref, subjects.KIND, account_id)] = no
    rows = conn.execute(
        "SELECT token FROM casebook.tombstone WHERE kind = %s AND token = ANY(%s)",
        (subjects.KIND, list(wanted)),
    ).fetchall()
    return frozenset(wanted[bytes(r["token"])] for r in rows)
