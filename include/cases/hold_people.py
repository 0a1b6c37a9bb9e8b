"""The people of a hold, sealed under a key of its own until it is released.

A token alone finds an id only among those that pass by. Rows may bear one of which no account has a row any more, or never
had: by what they are held must be known all the same.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from include.cases import sealing
from include.cases.book import Conn
from include.cases.keys import KeyStore, Purpose
from include.model.errors import Refused


def keep(conn: Conn, keys: KeyStore, number: str, of: Mapping[str, str]) -> None:
    """Seal the ids of a hold's people, in the transaction that opens it. ``of``: token in hex -> account id."""
    if not of:
        return
    key = keys.make(number.lower(), number, Purpose.SEALING)
    seal = sealing.Seal(keys, key.id, number)
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO casebook.hold_subject (hold, token, sealed_id, key_id) VALUES (%s, %s, %s, %s)",
            [(number, bytes.fromhex(t), seal.seal(_field(t), id_), key.id) for t, id_ in sorted(of.items())],
        )


def known(conn: Conn, keys: KeyStore, numbers: Collection[str]) -> dict[str, str]:
    """Token in hex -> account id, of everybody whom these holds name and whose id was sealed; in memory only."""
    rows = conn.execute(
        "SELECT hold, token, sealed_id, key_id FROM casebook.hold_subject WHERE hold = ANY(%s)",
        (list(numbers),),
    ).fetchall()
    found: dict[str, str] = {}
    for row in rows:
        token = bytes(row["token"]).hex()
        seal = sealing.Seal(keys, row["key_id"], row["hold"])
        found[token] = seal.open(_field(token), bytes(row["sealed_id"]))
    return found


def forget(conn: Conn, keys: KeyStore, number: str) -> None:
    """Destroy what a released hold knew of its people. Again finds nothing."""
    row = conn.execute(
        "SELECT h.released_on IS NULL AS open, s.key_id FROM casebook.hold h JOIN casebook.hold_subject s USING (hold)"
        " WHERE h.hold = %s LIMIT 1",
        (number,),
    ).fetchone()
    if row is None:
        return
    if row["open"]:
        raise Refused("the hold is open: it must know its people", about=number, next_step="release it first")
    keys.destroy(row["key_id"])
    conn.execute("DELETE FROM casebook.hold_subject WHERE hold = %s", (number,))


def of_released(conn: Conn) -> tuple[str, ...]:
    """Released holds whose people are still known: the release was killed half-way."""
    rows = conn.execute(
        "SELECT DISTINCT hold FROM casebook.hold_subject JOIN casebook.hold h USING (hold)"
        " WHERE h.released_on IS NOT NULL ORDER BY hold"
    ).fetchall()
    return tuple(str(row["hold"]) for row in rows)


def _field(token: str) -> str:
    return f"hold_subject.sealed_id.{token}"
