"""Identifiers of everybody, gathered right after T0 and kept as digests under a key of the order, until its certificate.

The key never reaches SQL; the digests and their owners' tokens are cut, so that a look-up is small. Gathered once, whole: a run
that was cut off begins anew, and so does one whose key was lost, while nothing went. With the certificate the rows go and the key
is destroyed.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from include.cases import book, papers, turns
from include.cases.book import Conn
from include.cases.keys import KeyStore, Purpose
from include.cases.rooms import Desk
from include.cases.shutdown import located, orders, way
from include.model.errors import NotReachable, Refused

GATHERED, DROPPED = "identifiers gathered", "identifiers dropped"
"""Of the events."""


def gather(desk: Desk, number: str, *, as_of: date, actor: str) -> int | None:
    """Gather them, once; how many; None if they were before, and their key is there or it is too late to do so anew. Best before
    the books are opened: what a person's own case took since is said in the event. Raises Refused before collection is closed,
    and once the order itself disposed of something, for then it is too late to say whose it was; NotReachable, also while another
    gathers."""
    from include.proofs import needles

    late = 0
    with desk.book() as alone, desk.book() as conn:
        alone.autocommit = True
        # What two gather at once, the second would empty under the first.
        if not turns.got(alone, f"casebook.shutdown needles {number}"):
            raise NotReachable(
                "identifiers are being gathered by somebody else", about=number, next_step="wait for that run"
            )
        of = orders.order(conn, number)
        before = gathered(conn, number)
        ever = any(e["what"] == GATHERED for e in orders.history(conn, number))
        if ever and not of.in_force:  # dropped with its end
            return None
        if before is not None and (too_late(conn, number) or not lost(desk, number)):
            return None
        if of.closed_on is None:
            raise Refused(
                "collection is not closed", about=number, next_step="use `quietus shutdown close-collection` on T0"
            )  # fmt: skip
        since = _opened(conn, number)
        if too_late(conn, number):
            raise Refused(
                "something was disposed of already, so whose identifiers those were can be gathered no more", about=number,
                next_step="what is left is looked through without them, which the look says as UNVERIFIED",
            )  # fmt: skip
        if since is not None:
            late = sum(words.total() for words in located.disposed(conn, since).values())
        if before is not None:
            # Said first: what a killed run leaves under the new key must not pass for all of them.
            with orders.deed(desk, number) as (mine, _):
                detail: dict[str, Any] = {"keys": [], "lost": lost(desk, number)}
                orders.say(desk, mine, number, DROPPED, as_of, actor, detail)
        secret = _secret(desk.keys, number, make=True)
        with book.deed(conn, number):
            conn.execute("DELETE FROM casebook.shutdown_needle WHERE number = %s", (number,))

        def keep(_dataset: str, found: Sequence[tuple[str, str]]) -> None:
            rows = {(number, _cut(secret, "value", v, 16), _cut(secret, "owner", a, 8)) for v, a in found}
            with book.deed(conn, number), conn.cursor() as cursor:
                cursor.executemany(
                    "INSERT INTO casebook.shutdown_needle (number, digest, owner) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
                    list(rows),
                )

        needles.gather(desk.catalogue, desk.connections, keep)
    with orders.deed(desk, number) as (conn, _):
        if gathered(conn, number) is None:
            row = conn.execute(
                "SELECT count(*) AS n FROM casebook.shutdown_needle WHERE number = %s", (number,)
            ).fetchone()
            kept = int(row["n"]) if row else 0
            detail = {
                "identifiers": kept,
                **({"disposed_of_before": late} if late else {}),
                **({"anew": True} if ever else {}),
            }
            orders.say(desk, conn, number, GATHERED, as_of, actor, detail)
            return kept
    return None


def owners(desk: Desk, conn: Conn, number: str) -> Known | None:
    """What was gathered, to ask; None: nothing was, it was dropped, or its key is lost. Raises NotReachable if the key store is
    away."""
    if gathered(conn, number) is None or lost(desk, number):
        return None
    return Known(conn, number, _secret(desk.keys, number))


def drop(desk: Desk, conn: Conn, number: str, *, as_of: date, actor: str) -> None:
    """Empty it and destroy the key, in the caller's deed. Again changes nothing."""
    gone = [desk.keys.destroy(ref.id) for ref in desk.keys.versions(_name(number))]
    conn.execute("DELETE FROM casebook.shutdown_needle WHERE number = %s", (number,))
    if gone or gathered(conn, number) is not None:
        # A run that was killed in between destroyed the key, and said nothing of it.
        detail = {"keys": [g.id for g in gone], "method": gone[0].method} if gone else {"keys": []}
        orders.say(desk, conn, number, DROPPED, as_of, actor, detail)


@dataclass(frozen=True)
class Known:
    """Satisfies ``include.proofs.needles.Owners``."""

    conn: Conn
    number: str
    secret: bytes

    def of(self, values: Collection[str]) -> Mapping[str, frozenset[str]]:
        digests = {_cut(self.secret, "value", v, 16): v for v in values}
        rows = self.conn.execute(
            "SELECT digest, array_agg(owner) AS owners FROM casebook.shutdown_needle"
            " WHERE number = %s AND digest = ANY(%s) GROUP BY digest",
            (self.number, list(digests)),
        ).fetchall()
        return {digests[bytes(r["digest"])]: frozenset(bytes(o).hex() for o in r["owners"]) for r in rows}

    def tokens(self, accounts: Collection[str]) -> Mapping[str, str]:
        return {a: _cut(self.secret, "owner", a, 8).hex() for a in accounts}


def were_gathered(desk: Desk, conn: Conn, number: str) -> None:
    """Raises Refused if they were not, or their key was lost before anything went: once something goes by the order nobody can
    say whose identifiers those were, so the look through the estate would be UNVERIFIED for ever."""
    if gathered(conn, number) is not None and lost(desk, number) and not too_late(conn, number):
        raise Refused(
            "the key of the gathered identifiers is lost, and after the deed they never can be gathered anew", about=number,
            next_step="run `quietus shutdown close-collection` again (in Airflow: clear `t0.prove`), which gathers them",
        )  # fmt: skip
    if gathered(conn, number) is None:
        raise Refused(
            "identifiers were not gathered yet, and after the deed they never can be", about=number,
            next_step="run `quietus shutdown close-collection` again (in Airflow: clear `t0.prove`), which gathers them",
        )  # fmt: skip


def gathered(conn: Conn, number: str) -> Mapping[str, Any] | None:
    """The event of the last time, if they were not dropped since."""
    row = conn.execute(
        "SELECT event_id, what, detail FROM casebook.shutdown_event WHERE number = %s AND what = ANY(%s)"
        " ORDER BY event_id DESC LIMIT 1",
        (number, [GATHERED, DROPPED]),
    ).fetchone()
    return row if row is not None and row["what"] == GATHERED else None


def too_late(conn: Conn, number: str) -> bool:
    """Whether something was disposed of by the order's own cases, or may have been: of that nobody can say any more whose it was.
    A case that has a plan and is under way may have been killed before its receipts came into the book."""
    since = _opened(conn, number)
    ours = sorted({str(e["detail"]["case"]) for e in orders.history(conn, number) if "case" in e["detail"]})
    if since is not None and any(located.disposed(conn, since, only=ours).values()):
        return True
    return any(way.under_way(conn, no) and papers.plans(conn, book.case(conn, no), "live") for no in ours)


def lost(desk: Desk, number: str) -> str:
    """Why the key of what was gathered cannot be read, though the key store is there; or nothing. Raises NotReachable if it is
    away."""
    try:
        _secret(desk.keys, number)
    except Refused as error:
        return error.what
    return ""


def _opened(conn: Conn, number: str) -> datetime | None:
    """When its books were opened."""
    return min((o.since for o in located.openings(conn, number).values()), default=None)


def _name(number: str) -> str:
    return f"needle-{number.lower()}"


def _secret(keys: KeyStore, number: str, *, make: bool = False) -> bytes:
    """The newest version. ``make``: another, if there is none that can be read."""
    try:
        found = keys.versions(_name(number))
        if not found:
            raise Refused(
                "the key of what was gathered is gone", about=number, next_step="restore the key store"
            )
        return keys.secret(found[-1].id, Purpose.NEEDLE)
    except Refused:
        if not make:
            raise
    return keys.secret(keys.make(_name(number), number, Purpose.NEEDLE).id, Purpose.NEEDLE)


def _cut(secret: bytes, kind: str, value: str, octets: int) -> bytes:
    return hmac.digest(secret, f"quietus needle|{kind}|{value}".encode(), hashlib.sha256)[:octets]
