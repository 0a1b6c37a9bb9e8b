"""Keys whose time has come are destroyed (RS-24), and with them what leads from a closed case to its people.

Of each case its key goes, then its people's tokens and tombstones, then the timeline says so. A version of the tombstone key
goes once no tombstone needs it; each year buries under a version of its own, which grows old with its tombstones. So go the
tokens of orders of which nothing is passed on any more. What stays is counts. Killed anywhere, the next run does the rest; each
key is in the ledger once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from include.cases import adopted, book, closing, tombstones
from include.cases.book import Conn
from include.cases.keys import Destroyed, KeyRef, KeyStore, Purpose
from include.cases.retention import stopping
from include.cases.rooms import Desk
from include.cases.shutdown import who_asked
from include.cases.yearly.ended import ENDED, Over, Periods, ended, held_among
from include.model.errors import NotProved, QuietusError
from include.model.times import observed_now

KIND, ONE = "ledger_keys", "key_destroyed"
"""Of ledger entries: a run, and one key."""


def _nowhere(_point: str) -> None:
    """Tests kill at these points."""


@dataclass(frozen=True)
class Done:
    """What a run did. ``trouble``: cases whose key could not be destroyed, and why; ``left``: what should be gone and is not."""

    cases: int
    tokens: int
    tombstones: int
    versions: tuple[str, ...]
    made: str | None
    trouble: tuple[str, ...]
    left: tuple[str, ...]

    def __str__(self) -> str:
        said = (
            f"{self.cases} cases lead to nobody any more: their keys, {self.tokens} tokens and {self.tombstones} tombstones"
            f" are destroyed, and {len(self.versions)} versions of the tombstone key"
        )
        return "; ".join([said, *self.trouble, *self.left])


def destroy_due(
    desk: Desk, *, as_of: date, actor: str, at: Callable[[str], None] = _nowhere
) -> Done:  # fmt: skip
    """Destroy what is due, and look whether anything is left. Again changes nothing more.

    Raises Refused if the periods are nobody's outside a sandbox, CatalogueError, NotReachable; Stopped before the next key while
    disposing is stopped.
    """
    periods = Periods.of(desk.catalogue, desk.connections)
    tokens = stones = cases = 0
    trouble = []
    with desk.book() as conn:
        over = ended(conn, desk.keys, periods, as_of)
    for case in over:
        desk.may_go_on()
        with desk.book() as conn:
            if held_among(conn, desk.keys, [case.case_no]):  # since the look
                continue
        try:
            gone = _destroy_key(desk, case, as_of, actor)
        except QuietusError as error:
            trouble.append(f"the key of {case.case_no} is not destroyed: {error}")
            continue
        at("yearly.key_destroyed")
        _record(desk, gone, case.case_no)
        at("yearly.key_recorded")
        with desk.book() as conn, book.deed(conn, case.case_no):
            tokens, stones = tokens + _forget_tokens(conn, case), stones + _forget_tombstones(conn, case)
            book.note(conn, case.case_no, as_of, actor, ENDED)
        cases += 1
        at("yearly.case_ended")
    with desk.book() as conn:
        stopping.may_go_on(conn)
        with book.deed(conn, "tombstones"):
            stones += tombstones.expire(conn, as_of) + adopted.expire(conn, as_of)
        with book.deed(conn, "who asked, of orders that are over"):
            tokens += who_asked.forget_over(conn)
        versions = tuple(r.id for r in _unneeded(conn, desk.keys))
    for key_id in versions:
        desk.may_go_on()
        desk.keys.destroy(key_id)
        at("yearly.version_destroyed")
    for gone in desk.keys.destroyed(Purpose.TOMBSTONE.value):
        _record(desk, gone, None)
    with desk.book() as conn, book.deed(conn, "adopted keys"):
        stopping.may_go_on(conn)
        versions += adopted.end_keys(conn, desk.keys, as_of, lambda gone: _record(desk, gone, None))
    with desk.book() as conn:
        made = _of_this_year(conn, desk.keys, as_of)
        done = Done(
            cases,
            tokens,
            stones,
            versions,
            made,
            tuple(trouble),
            tuple(left(conn, desk.keys, periods, as_of)),
        )
    _say(desk, done, periods, as_of)
    return done


def nothing_is_left(done: Done) -> str:
    """Raises NotProved while a key, a token or a tombstone is there whose time has come."""
    if done.trouble or done.left:
        raise NotProved(
            "; ".join([*done.trouble, *done.left]), about="ledger keys",
            next_step="mend what is named, then start yearly_duties again; nothing is done twice (docs/yearly.md)",
        )  # fmt: skip
    return str(done)


def left(conn: Conn, keys: KeyStore, periods: Periods, as_of: date) -> list[str]:
    """What should be gone and is there: by the book's own rows and the key store's own files, not by what a run says it did."""
    found = [f"{c.case_no} still leads to its people" for c in ended(conn, keys, periods, as_of)]
    rows = conn.execute(
        "SELECT e.case_no, c.key_id,"
        " EXISTS (SELECT FROM casebook.tombstone t WHERE t.case_no = e.case_no)"
        " OR EXISTS (SELECT FROM casebook.case_subject s WHERE s.case_no = e.case_no AND s.token <> '') AS leads"
        " FROM casebook.event e JOIN casebook.case_ c USING (case_no) WHERE e.what = %s ORDER BY e.case_no",
        (ENDED,),
    ).fetchall()
    for row in rows:
        if row["leads"]:
            found.append(f"{row['case_no']} has ended, and tokens or tombstones of it are there")
        if keys.versions(str(row["key_id"]).rpartition(".")[0]):
            found.append(f"{row['case_no']} has ended, and its key lives")
    unneeded = (*_unneeded(conn, keys), *adopted.unneeded(conn, keys))
    found += [f"{ref.id} lives, and no tombstone needs it" for ref in unneeded]
    if still := adopted.places(conn):
        found.append(f"{len(still)} findings lead to people whose adopted tombstones ended")
    return found + who_asked.left(conn)


def _destroy_key(desk: Desk, case: Over, as_of: date, actor: str) -> Destroyed:
    if desk.keys.versions(case.key_id.rpartition(".")[0]):
        closing.destroy_key(desk, case.case_no, as_of=as_of, actor=actor)
    return desk.keys.destroy(case.key_id)  # the record of it


def _forget_tokens(conn: Conn, case: Over) -> int:
    """A token that is empty is nobody's: it joins no other, and no hold finds it."""
    return conn.execute(
        "UPDATE casebook.case_subject SET token = '', token_version = 0 WHERE case_no = %s AND token <> ''",
        (case.case_no,),
    ).rowcount


def _forget_tombstones(conn: Conn, case: Over) -> int:
    return conn.execute("DELETE FROM casebook.tombstone WHERE case_no = %s", (case.case_no,)).rowcount


def _unneeded(conn: Conn, keys: KeyStore) -> tuple[KeyRef, ...]:
    """Versions that nobody buries with any more, and that no tombstone needs."""
    needed = tombstones.versions_needed(conn)
    return tuple(r for r in keys.versions(Purpose.TOMBSTONE.value)[:-1] if r.version not in needed)


def _of_this_year(conn: Conn, keys: KeyStore, as_of: date) -> str | None:
    """A new version of the tombstone key if somebody was buried under the newest one before this year."""
    living = keys.versions(Purpose.TOMBSTONE.value)
    row = (
        living
        and conn.execute(
            "SELECT min(made_on) AS first FROM casebook.tombstone WHERE token_version = %s",
            (living[-1].version,),
        ).fetchone()
    )
    if not row or row["first"] is None or row["first"].year >= as_of.year:
        return None
    return keys.make(Purpose.TOMBSTONE.value, "case book", Purpose.TOMBSTONE).id


def _record(desk: Desk, gone: Destroyed, case_no: str | None) -> None:
    body = {"key": gone.id, "method": gone.method, "destroyed_at": gone.destroyed_at.isoformat()}
    desk.record(ONE, case_no, body, f"{ONE}:{gone.id}")


def _say(desk: Desk, done: Done, periods: Periods, as_of: date) -> None:
    observed = observed_now().isoformat()
    body: dict[str, Any] = {
        "as_of": as_of.isoformat(),
        "observed_at": observed,
        "rule": periods.rule,
        "cases": done.cases,
        "tokens": done.tokens,
        "tombstones": done.tombstones,
        "versions": list(done.versions),
        "made": done.made,
        "left": len(done.trouble) + len(done.left),
    }
    desk.record(KIND, None, body, f"{KIND}:{observed}")
