"""Whether a database is still the one that we knew: compared before anything is written to it, and every night.

A restore or a failover gives a database another past. What it then says of itself is compared with what the case book
remembers: the server's identifier and timeline, our own counter in the store, how far its log was, and whether it has the
receipt of our last deed there. The counter goes forward every night, so that a snapshot of the machine, which keeps
identifier and timeline, is behind it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from psycopg.types.json import Jsonb

from include.cases import book
from include.cases.book import Conn, checked_actor
from include.model.errors import NotReachable, Refused
from include.model.history import Deed, History


class Sign(StrEnum):
    """What tells that a store is not where it was. ``BOOK_BEHIND`` is about the book."""

    OTHER_SYSTEM = "another server: its system identifier is another one"
    OTHER_TIMELINE = "another timeline: it was recovered, or a standby was promoted"
    COUNTER_LOWER = "its counter is lower than it was"
    POSITION_LOWER = "its log is shorter than it was"
    RECEIPT_MISSING = "it has no receipt of what we did there last"
    SAID = "whoever restored it says so"
    BOOK_BEHIND = "its counter is higher than the case book knows"


@dataclass(frozen=True)
class Known:
    """What the book remembers of a store. ``intended``: how far we meant to bring its counter."""

    history: History
    intended: int


def compare(known: Known | None, now: History, *, receipt_there: bool = True) -> tuple[Sign, ...]:
    """Every sign, most telling first; none: it is the database that we knew, or one that we see for the first time.

    ``receipt_there``: whether the store has our last receipt (true if there is none yet).
    """
    signs = []
    if known is not None:
        was = known.history
        same = now.system == was.system and now.timeline == was.timeline
        signs = [
            sign
            for sign, so in (
                (Sign.OTHER_SYSTEM, now.system != was.system),
                (Sign.OTHER_TIMELINE, now.timeline != was.timeline),
                (Sign.COUNTER_LOWER, now.counter < was.counter),
                # Positions of another server's log are of another log.
                (Sign.POSITION_LOWER, same and now.position < was.position),
                (Sign.BOOK_BEHIND, now.counter > known.intended),
            )
            if so
        ]
    if not receipt_there:
        signs.append(Sign.RECEIPT_MISSING)
    return tuple(signs)


def restored(signs: tuple[Sign, ...]) -> bool:
    """Whether the store has another past; the book's own is another matter."""
    return any(s is not Sign.BOOK_BEHIND for s in signs)


# --- what the book remembers --------------------------------------------------------------------


def known(conn: Conn, store: str) -> Known | None:
    row = conn.execute("SELECT * FROM casebook.store_history WHERE store = %s", (store,)).fetchone()
    if row is None:
        return None
    history = History(row["system"], row["timeline"], row["counter"], row["position"], row["looked_at"])
    return Known(history, row["intended"])


def remember(conn: Conn, store: str, now: History, intended: int = 0) -> None:
    """This is where it stands, as far as it goes: of two who looked at once, the one that saw less does not win.

    ``intended``: what its counter is to become.
    """
    conn.execute(
        "INSERT INTO casebook.store_history AS h (store, system, timeline, counter, intended, position, looked_at)"
        " VALUES (%(store)s, %(system)s, %(timeline)s, %(counter)s, %(intended)s, %(position)s, %(moment)s)"
        " ON CONFLICT (store) DO UPDATE SET counter = greatest(h.counter, excluded.counter),"
        " intended = greatest(h.intended, excluded.intended), position = greatest(h.position, excluded.position),"
        " looked_at = greatest(h.looked_at, excluded.looked_at)"
        " WHERE (h.system, h.timeline) = (excluded.system, excluded.timeline)",
        {"store": store, "intended": max(now.counter, intended), **asdict(now)},
    )


def last_deed(conn: Conn, store: str) -> Deed | None:
    """The last thing that we did in a store, by its receipt: a restore loses the last first."""
    row = conn.execute(
        "SELECT step_id, verb, chunk FROM casebook.receipt WHERE store = %(store)s AND body->>'done_at' > coalesce("
        "(SELECT to_char(max(ended_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS') FROM casebook.restoration"
        " WHERE store = %(store)s), '') ORDER BY body->>'done_at' DESC LIMIT 1",
        {"store": store},
    ).fetchone()
    return None if row is None else Deed(row["step_id"], row["verb"], row["chunk"])


# --- a store that was restored ------------------------------------------------------------------


@dataclass(frozen=True)
class Restoration:
    """One row of ``casebook.restoration``: a store that has another past, until it is given back."""

    restoration_id: int
    store: str
    noticed_at: datetime
    because: tuple[str, ...]
    known: dict[str, Any]
    quarantined_at: datetime | None
    replayed_at: datetime | None


def open_restoration(conn: Conn, store: str) -> Restoration | None:
    row = conn.execute(
        "SELECT restoration_id, store, noticed_at, because, known, quarantined_at, replayed_at"
        " FROM casebook.restoration WHERE store = %s AND ended_at IS NULL",
        (store,),
    ).fetchone()
    return None if row is None else Restoration(**{**row, "because": tuple(row["because"])})


def notice(
    conn: Conn, store: str, signs: tuple[Sign, ...], was: Known | None, now: History, actor: str
) -> Restoration:
    """Write down that a store was restored; the one that is open stays. From now on it is left alone."""
    with book.deed(conn, f"store {store}"):
        conn.execute(
            "INSERT INTO casebook.restoration (store, noticed_by, because, known, found) VALUES (%s, %s, %s, %s, %s)"
            " ON CONFLICT (store) WHERE ended_at IS NULL DO NOTHING",
            (store, checked_actor(actor), [s.value for s in signs],
             Jsonb(said(was.history if was else None)), Jsonb(said(now))),
        )  # fmt: skip
    found = open_restoration(conn, store)
    if found is None:
        raise NotReachable(
            "somebody else ended it at this moment", about=f"store {store}", next_step="look again"
        )
    return found


def mark(
    conn: Conn, restoration: Restoration, *, quarantined: bool = False, counts: dict[str, int] | None = None
) -> None:
    """How far it is: quarantined; replayed and proved, with these ``counts``."""
    conn.execute(
        "UPDATE casebook.restoration SET quarantined_at = CASE WHEN %s THEN coalesce(quarantined_at, clock_timestamp())"
        " ELSE quarantined_at END, replayed_at = CASE WHEN %s::jsonb IS NULL THEN replayed_at ELSE clock_timestamp() END,"
        " counts = coalesce(%s::jsonb, counts) WHERE restoration_id = %s",
        (quarantined, *2 * [None if counts is None else Jsonb(counts)], restoration.restoration_id),
    )


def end(conn: Conn, restoration: Restoration, now: History) -> None:
    """It is given back; what it says of itself now is what we know."""
    with book.deed(conn, f"store {restoration.store}"):
        conn.execute("DELETE FROM casebook.store_history WHERE store = %s", (restoration.store,))
        remember(conn, restoration.store, now)
        # Transactions are counted anew: whatever is in it is new to whoever looks for people who came back.
        conn.execute("DELETE FROM casebook.looked_through WHERE store = %s", (restoration.store,))
        conn.execute("DELETE FROM casebook.adopted_look WHERE store = %s", (restoration.store,))
        conn.execute(
            "UPDATE casebook.restoration SET ended_at = clock_timestamp(), counter = %s WHERE restoration_id = %s",
            (now.counter, restoration.restoration_id),
        )


def refuse_if_open(conn: Conn, store: str) -> None:
    """Raises Refused while a store counts as restored."""
    found = open_restoration(conn, store)
    if found is not None:
        raise Refused(
            f"it was restored ({'; '.join(found.because)}), so it may hold what was deleted: nothing is surveyed, "
            "deleted or proved there before that is deleted again",
            about=f"store {store}",
            next_step=f"let `restore_replay` end, or run `quietus replay run {store}` (docs/restore.md)",
        )


def said(history: History | None) -> dict[str, Any]:
    """As the ledger takes it: the identifier is too large for a number there, and in decimals may look like a card's."""
    if history is None:
        return {}
    return asdict(history) | {"system": f"0x{history.system:x}", "moment": history.moment.isoformat()}
