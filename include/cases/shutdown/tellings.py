"""What the case book knows of telling people: with which letter, who was come to, how that went. Counts and keyed tokens only."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from include.cases.book import Conn
from include.model.errors import Refused

TOLD, SENDING, NO_ADDRESS, REFUSED, IN_DOUBT, LATER = (
    "told",
    "sending",
    "no_address",
    "refused",
    "in_doubt",
    "later",
)
ENDED = (TOLD, REFUSED, IN_DOUBT)
"""States that no later run of the same telling changes."""
UNREACHED = (NO_ADDRESS, REFUSED, IN_DOUBT, LATER, SENDING)


@dataclass(frozen=True)
class Telling:
    """One row of ``casebook.shutdown_telling``, with how many people stand in which state."""

    telling: int
    number: str
    letter: str
    successor: str | None
    t0: date
    began_on: date
    whole_on: date | None
    states: Mapping[str, int]

    @property
    def told(self) -> int:
        return self.states.get(TOLD, 0)

    @property
    def unreached(self) -> int:
        """Who was come to, and of whom nobody can say that they were told."""
        return sum(self.states.get(s, 0) for s in UNREACHED)

    @property
    def heard(self) -> int:
        """Who has this letter, or may have it."""
        return sum(self.states.get(s, 0) for s in (TOLD, IN_DOUBT, SENDING))


def tellings(conn: Conn, number: str) -> list[Telling]:
    """Every telling of an order, the newest first."""
    rows = conn.execute(
        "SELECT telling, number, letter, successor, t0, began_on, whole_on FROM casebook.shutdown_telling"
        " WHERE number = %s ORDER BY telling DESC",
        (number,),
    ).fetchall()
    return [Telling(**r, states=_states(conn, r["telling"])) for r in rows]


def _states(conn: Conn, telling: int) -> Counter[str]:
    rows = conn.execute(
        "SELECT state, count(*) AS n FROM casebook.shutdown_told WHERE telling = %s GROUP BY 1", (telling,)
    ).fetchall()
    return Counter({str(r["state"]): int(r["n"]) for r in rows})


def heard(conn: Conn, number: str, successor: str | None) -> list[Telling]:
    """With this successor, the newest letter that everybody was come to with, and those after it that only some have: the newest
    first. What people heard last is not the same for all of them then."""
    found: list[Telling] = []
    for t in tellings(conn, number):
        if t.successor == successor and (t.whole_on or t.heard):
            found.append(t)
            if t.whole_on:
                break
    return found


def told_day(conn: Conn, number: str, successor: str | None) -> date | None:
    """The latest T0 that anybody heard last, of this successor; None: not everybody was come to with any letter yet."""
    said = heard(conn, number, successor)
    return max(t.t0 for t in said) if said and said[-1].whole_on else None


def version_of(conn: Conn, telling: int) -> int | None:
    """By which version of the key its people are named; None: nobody was come to yet."""
    row = conn.execute(
        "SELECT min(token_version) AS version FROM casebook.shutdown_told WHERE telling = %s", (telling,)
    ).fetchone()
    return row["version"] if row else None


def everybody_was_told(conn: Conn, number: str, successor: str | None, t0: date, on: date) -> dict[str, int]:
    """For the gate: how many were told of this successor, and how many could not be reached, whom the announcement tells.

    ESL 23 wants each party concerned notified, PIPL 22 each person told of the successor: so it is refused while somebody was
    not even come to. Raises Refused then, for a day before everybody was, and if what they were told is a later T0 than it is.
    """
    last = next((t for t in tellings(conn, number) if t.successor == successor), None)
    if last is None or last.whole_on is None:
        so_far = f"{sum(last.states.values()):,} were come to so far" if last else "nobody was come to yet"
        raise Refused(
            f"not everybody was told (ESL 23; PIPL 22): {so_far}", about=number,
            next_step="run `quietus shutdown notify-people` to its end, then record the gate",
        )  # fmt: skip
    if t0 < last.t0:
        raise Refused(
            f"people were told that it stops on {last.t0}, and it stops on {t0}", about=number,
            next_step="run `quietus shutdown notify-people`, which tells everybody anew, then record the gate",
        )  # fmt: skip
    if on < last.whole_on:
        raise Refused(
            f"people were being told until {last.whole_on}", about=number, next_step="give that day, or a later one"
        )  # fmt: skip
    return {"told": last.told, "unreached": last.unreached}


def begin(
    conn: Conn, number: str, letter: str, successor: str | None, t0: date, *, as_of: date, actor: str
) -> int:  # fmt: skip
    """The telling with this letter, begun now or before. What a killed run was handing over is in doubt from now on. After
    another letter the same one (T0 was moved, and moved back) is a telling of its own: what people heard last is the other."""
    known = [t.letter for t in tellings(conn, number)]
    while letter in known[1:] and letter != known[0]:
        letter = hashlib.sha256(f"{letter} again".encode()).hexdigest()
    row = conn.execute(
        "INSERT INTO casebook.shutdown_telling (number, letter, successor, t0, began_on, began_by)"
        " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (number, letter) DO UPDATE SET letter = excluded.letter"
        " RETURNING telling",
        (number, letter, successor, t0, as_of, actor),
    ).fetchone()
    telling = int(row["telling"]) if row else 0
    conn.execute(
        "UPDATE casebook.shutdown_told SET state = %s WHERE telling = %s AND state = %s",
        (IN_DOUBT, telling, SENDING),
    )
    return telling


def states_of(conn: Conn, telling: int, tokens: Collection[bytes]) -> dict[bytes, str]:
    """Of those who were come to, by token."""
    rows = conn.execute(
        "SELECT token, state FROM casebook.shutdown_told WHERE telling = %s AND token = ANY(%s)",
        (telling, list(tokens)),
    ).fetchall()
    return {bytes(r["token"]): str(r["state"]) for r in rows}


def note(conn: Conn, telling: int, version: int, states: Sequence[tuple[bytes, str]]) -> None:
    """How it stands with these people, in one statement."""
    if not states:
        return
    conn.execute(
        "INSERT INTO casebook.shutdown_told (telling, token, token_version, state)"
        " SELECT %s, t, %s, s FROM unnest(%s::bytea[], %s::text[]) AS x(t, s)"
        " ON CONFLICT (telling, token) DO UPDATE SET state = excluded.state, tried_at = clock_timestamp()",
        (telling, version, [t for t, _ in states], [s for _, s in states]),
    )


def whole(conn: Conn, telling: int, as_of: date) -> None:
    """Everybody there was has been come to. The first such day counts: who came later is told before anything is handed over
    (``people.all_know``)."""
    conn.execute(
        "UPDATE casebook.shutdown_telling SET whole_on = coalesce(whole_on, %s) WHERE telling = %s",
        (as_of, telling),
    )
