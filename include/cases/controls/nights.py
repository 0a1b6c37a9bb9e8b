"""What the case book keeps of a night: the sealed note, whether everything was removed, and what was found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

from include.cases.book import Conn, Rows, deed
from include.cases.controls.results import Judged
from include.cases.keys import KeyStore, Purpose
from include.cases.sealing import Seal
from include.model.errors import Refused
from include.planting.note import Note

ABOUT = "proof_audit"
_KEY = "controls"
_FIELD = "control_night.sealed_note"
_LOCK = 0x5175_6965_7441  # any constant of ours


@dataclass(frozen=True)
class Night:
    """A night that was begun. ``day``: the PRC day whose evidence it stands for."""

    night_id: int
    day: date
    note: Note


@contextmanager
def alone(conn: Conn) -> Iterator[None]:
    """One audit at a time; the lock goes with whoever is killed. Raises Refused."""
    row = conn.execute("SELECT pg_try_advisory_lock(%s) AS mine", (_LOCK,)).fetchone()
    if not row or not row["mine"]:
        raise Refused("another audit of the proofs is under way", about=ABOUT, next_step="wait for it to end")
    try:
        yield
    finally:
        conn.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))


def begin(conn: Conn, keys: KeyStore, day: date, note: Note) -> Night:
    """Write down what is going to be planted. Committed when this returns."""
    key = next(iter(reversed(keys.versions(_KEY))), None) or keys.make(_KEY, ABOUT, Purpose.SEALING)
    sealed = Seal(keys, key.id, ABOUT).seal(_FIELD, note.to_text())
    with deed(conn, ABOUT):
        row = conn.execute(
            "INSERT INTO casebook.control_night (day, key_id, sealed_note) VALUES (%s, %s, %s) RETURNING night_id",
            (day, key.id, sealed),
        ).fetchone()
    return Night(row["night_id"] if row else 0, day, note)


def left(conn: Conn, keys: KeyStore) -> list[Night]:
    """Nights of which something may still be planted."""
    rows = conn.execute(
        "SELECT night_id, day, key_id, sealed_note FROM casebook.control_night WHERE removed_at IS NULL ORDER BY night_id"
    ).fetchall()
    return [
        Night(r["night_id"], r["day"],
              Note.from_text(Seal(keys, r["key_id"], ABOUT).open(_FIELD, bytes(r["sealed_note"]))))
        for r in rows
    ]  # fmt: skip


def removed(conn: Conn, night: Night) -> None:
    """Nothing of it is planted any more."""
    with deed(conn, ABOUT):
        conn.execute(
            "UPDATE casebook.control_night SET removed_at = clock_timestamp() WHERE night_id = %s AND removed_at IS NULL",
            (night.night_id,),
        )


def end(conn: Conn, night: Night, judged: Judged, ledger_key: str) -> None:
    """The night's results, once. In the caller's transaction."""
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO casebook.control_result (night_id, store, kind, proof, planted, found, outcome, why)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            [
                (night.night_id, r.store, r.kind, r.proof, r.planted, r.found, r.outcome.value, r.why)
                for r in judged.results
            ],
        )
    conn.execute(
        "UPDATE casebook.control_night SET ended_at = clock_timestamp(), verdict = %s, named = %s, strangers = %s,"
        " ledger_key = %s WHERE night_id = %s",
        (
            "passed" if judged.passed else "failed",
            judged.named,
            list(judged.strangers),
            ledger_key,
            night.night_id,
        ),
    )


def listing(conn: Conn, nights: int = 14) -> Rows:
    """The last nights, newest first: day, verdict (null: it did not come to its end), planted, found, missed kinds,
    places named in vain."""
    return conn.execute(
        "SELECT n.night_id, n.day, n.begun_at, n.ended_at, n.removed_at, n.verdict, n.named, n.strangers,"
        " count(*) FILTER (WHERE r.outcome <> 'not_applicable') AS planted,"
        " count(*) FILTER (WHERE r.outcome = 'found') AS found,"
        " coalesce(array_agg(r.store || ' ' || r.kind ORDER BY r.store, r.kind)"
        "  FILTER (WHERE r.outcome = 'missed'), '{}') AS missed"
        " FROM casebook.control_night n LEFT JOIN casebook.control_result r USING (night_id)"
        " GROUP BY n.night_id ORDER BY n.night_id DESC LIMIT %s",
        (nights,),
    ).fetchall()


def blind(conn: Conn) -> dict[str, Any] | None:
    """The last night that came to its end, if it was red."""
    ended = next((n for n in listing(conn) if n["verdict"]), None)
    return ended if ended and ended["verdict"] != "passed" else None


def results(conn: Conn, night_id: int) -> list[dict[str, Any]]:
    """Everything that a night looked for, kind by kind."""
    return conn.execute(
        "SELECT store, kind, proof, planted, found, outcome, why FROM casebook.control_result"
        " WHERE night_id = %s ORDER BY outcome = 'not_applicable', store, kind",
        (night_id,),
    ).fetchall()
