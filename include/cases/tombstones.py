"""Tombstones: what finds a person again in a restored database, and names nobody."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from include.cases import sealing, subjects
from include.cases.book import Case, Conn
from include.cases.keys import KeyStore, Purpose

PART = "part"
"""Kind of the tombstone of somebody of whom only a part went: the person goes on, and is not held back anywhere."""


def bury(
    conn: Conn, keys: KeyStore, case: Case, account_ids: Sequence[str], as_of: date, kind: str = subjects.KIND
) -> int:
    """A tombstone per subject, before anything is deleted, so that no restore can miss it; how many new.

    Keyed under the newest tombstone key. A tombstone is personal until that key is destroyed.
    """
    return bury_values(conn, keys, case.case_no, account_ids, as_of, kind)


def bury_values(
    conn: Conn, keys: KeyStore, case_no: str, values: Sequence[str], as_of: date, kind: str
) -> int:
    """A tombstone per value of a kind; how many new."""
    ref = sealing.current(keys, Purpose.TOMBSTONE)
    tokens = sealing.digest_each(keys, ref, kind, values)
    return conn.execute(
        "INSERT INTO casebook.tombstone (kind, token, token_version, case_no, made_on)"
        " SELECT %s, token, %s, %s, %s FROM unnest(%s::bytea[]) AS token ON CONFLICT DO NOTHING",
        (kind, ref.version, case_no, as_of, tokens),
    ).rowcount


def versions_needed(conn: Conn) -> frozenset[int]:
    """Versions of the tombstone key that a tombstone still needs: none of these may be destroyed."""
    rows = conn.execute("SELECT DISTINCT token_version FROM casebook.tombstone").fetchall()
    return frozenset(int(r["token_version"]) for r in rows)


def expire(conn: Conn, as_of: date) -> int:
    """Drop tombstones past their date; afterwards their key version may be destroyed."""
    return conn.execute("DELETE FROM casebook.tombstone WHERE expires_on < %s", (as_of,)).rowcount


def buried_among(
    conn: Conn, keys: KeyStore, values: Sequence[str], kind: str = subjects.KIND
) -> dict[str, frozenset[str]]:
    """Case numbers by which of these values has a tombstone of a kind, under any living version of the key."""
    found = buried_since(conn, keys, values, kind)
    return {value: frozenset(case_no for case_no, _ in of) for value, of in found.items()}


def buried_since(
    conn: Conn, keys: KeyStore, values: Sequence[str], kind: str
) -> dict[str, list[tuple[str, date]]]:
    """The same with the day of each, the oldest first."""
    wanted = sealing.by_digest(keys, Purpose.TOMBSTONE, kind, values)
    rows = conn.execute(
        "SELECT t.token, t.case_no, t.made_on FROM casebook.tombstone t"
        " JOIN unnest(%s::bytea[]) AS w(token) USING (token) WHERE t.kind = %s ORDER BY t.made_on, t.case_no",
        (list(wanted), kind),
    ).fetchall()
    found: dict[str, list[tuple[str, date]]] = {}
    for row in rows:
        found.setdefault(wanted[bytes(row["token"])], []).append((str(row["case_no"]), row["made_on"]))
    return found
