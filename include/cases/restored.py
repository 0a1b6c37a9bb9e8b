"""A store that was restored: noticed, closed to the company's applications, cleaned again, and given back.

Fail closed: from the moment it is noticed no verb works on the store, and no application connects to it, until everything
that was deleted since is deleted again and proved. Whatever is killed in between is taken up where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

import psycopg

from include.cases import histories
from include.cases.book import Conn
from include.cases.histories import Restoration, Sign
from include.cases.replaying import Place, Replayed, place, replay
from include.cases.rooms import Desk
from include.cases.wiring import pasts
from include.model.errors import NotProved, NotReachable, QuietusError, Refused
from include.model.history import History
from include.stores.postgres.past import NIGHTLY, REPLAYED, Past

BOOK_BEHIND = "its counter is higher than the case book knows: the case book, and not this store, seems to have been restored"


def look(conn: Conn, past: Past, *, actor: str) -> Restoration | None:
    """Compare a store with what we knew of it, and remember where it is. The restoration that is open, or was noticed
    just now; None: it is the database that we knew.

    Raises Refused if it is the case book that went back, NotReachable if the store cannot say.
    """
    if (found := histories.open_restoration(conn, past.store)) is not None:
        return found
    was = histories.known(conn, past.store)
    now = past.history()  # after the book: what somebody else writes down meanwhile is no sign
    deed = histories.last_deed(conn, past.store)
    signs = histories.compare(was, now, receipt_there=deed is None or not past.lacks([deed]))
    if histories.restored(signs):
        return histories.notice(conn, past.store, signs, was, now, actor)
    if Sign.BOOK_BEHIND in signs and Sign.BOOK_BEHIND in histories.compare(
        histories.known(conn, past.store), now
    ):
        raise Refused(
            BOOK_BEHIND, about=f"store {past.store}",
            next_step="see 'the case book was restored' in docs/restore.md before anything else is done",
        )  # fmt: skip
    histories.remember(conn, past.store, now)
    return None


def faithful(desk: Desk, pasts: Sequence[Past], actor: str = "system/guard") -> None:
    """Before a verb works on the stores. Raises Refused if one of them was restored, and is not given back yet."""
    with desk.book() as conn:
        for past in pasts:
            look(conn, past, actor=actor)
            histories.refuse_if_open(conn, past.store)


def go_forward(desk: Desk, past: Past, *, actor: str) -> int:
    """The nightly step of a store's counter, by which a snapshot of its machine is known for old. First meant in the book,
    then done in the store, then known in the book: killed in between, it is not taken for a restore. The new number.

    Raises Refused while the store counts as restored.
    """
    with desk.book() as conn:
        look(conn, past, actor=actor)
        histories.refuse_if_open(conn, past.store)
        now = past.history()
        histories.remember(conn, past.store, now, now.counter + 1)
        counter = past.go_forward(NIGHTLY)
        histories.remember(conn, past.store, past.history())
    return counter


def watch(desk: Desk, *, as_of: date, actor: str) -> tuple[Outcome, ...]:
    """Every database: recovered if it was restored, and its counter brought forward once a day.

    One that cannot be cleaned does not keep the others from being looked at; then the first trouble is raised.
    """
    outcomes: list[Outcome] = []
    trouble: QuietusError | None = None
    for past in pasts(desk.catalogue, desk.connections):
        try:
            outcomes.append(
                recover(desk, place(desk.catalogue, past.store, desk.connections), as_of=as_of, actor=actor)
            )
            if past.declared.modifiable and past.counted_on() < as_of:
                go_forward(desk, past, actor=actor)
        except QuietusError as error:
            trouble = trouble or error
    if trouble is not None:
        raise trouble
    return tuple(outcomes)


@dataclass(frozen=True)
class Outcome:
    """What became of one store. ``replayed`` None: it was the database that we knew."""

    store: str
    because: tuple[str, ...] = ()
    replayed: Replayed | None = None
    counter: int | None = None

    def __str__(self) -> str:
        if self.replayed is None:
            return f"{self.store}: as we knew it"
        return f"{self.replayed}; given back at counter {self.counter} ({'; '.join(self.because)})"


def recover(
    desk: Desk, place: Place, *, as_of: date, actor: str, said: bool = False,
    at: Callable[[str], None] = lambda _point: None,
) -> Outcome:  # fmt: skip
    """Look; if the store was restored: close it, delete again, prove, count on, and give it back.

    ``said``: whoever calls knows that it was restored. ``at``: called at each point between two commits, for tests.
    Raises NotProved while something is not proved, and Refused if the store cannot be closed; it stays closed to us then,
    and to the applications as far as that went. NotReachable if somebody else is at it.
    """
    with _alone(desk, place.past.store):
        return _recover(desk, place, as_of=as_of, actor=actor, said=said, at=at)


@contextmanager
def _alone(desk: Desk, store: str) -> Iterator[None]:
    with desk.book() as conn:
        # The server takes a moment to see that a run was killed, and whoever starts it again is not somebody else.
        conn.execute("SELECT set_config('lock_timeout', '5s', false)")
        try:
            conn.execute(
                "SELECT pg_advisory_lock(hashtextextended('casebook.restoration ' || %s, 0))", (store,)
            )
        except psycopg.errors.LockNotAvailable:
            raise NotReachable(
                "somebody else is replaying it", about=f"store {store}", next_step="wait until that has ended"
            ) from None
        yield


def _recover(
    desk: Desk, place: Place, *, as_of: date, actor: str, said: bool, at: Callable[[str], None]
) -> Outcome:
    past = place.past
    with desk.book() as conn:
        found = look(conn, past, actor=actor)
        if found is None and said:
            found = histories.notice(
                conn, past.store, (Sign.SAID,), histories.known(conn, past.store), past.history(), actor
            )
    if found is None:
        return Outcome(past.store)
    at("recover.noticed")
    if said and not past.declared.modifiable:
        return _taken_for_clean(desk, past, found)
    with desk.book() as conn:
        beyond = _beyond(conn, past.store)
    # Counted on and open: it was given back, and whoever did it was killed before the book was told.
    if found.replayed_at is None or past.quarantined() or past.history().counter <= beyond:
        _quarantine(desk, past, found)
        at("recover.quarantined")
        replayed = replay(desk, place, as_of=as_of, actor=actor, since=found.noticed_at)
        at("recover.replayed")
        _say(desk, past, found, replayed)
        if replayed.failed:
            first = replayed.failed[0]
            raise NotProved(
                f"{len(replayed.failed)} of {len(replayed.cases)} cases could not be cleaned out of it again; the first, "
                f"{first.case_no}: {first.why}",
                about=f"store {past.store}", next_step="settle that; the store stays closed, and this is tried again",
            )  # fmt: skip
        with desk.book() as conn:
            histories.mark(conn, found, counts=replayed.counts())
        past.go_forward(REPLAYED, beyond=beyond)
        at("recover.counted")
        past.release()
        at("recover.released")
    else:
        replayed = Replayed(past.store, 0, 0, ())
    now = past.history()
    with desk.book() as conn:
        histories.end(conn, found, now)
    return Outcome(past.store, found.because, replayed, now.counter)


def _taken_for_clean(desk: Desk, past: Past, found: Restoration) -> Outcome:
    """A database that we may not change: whoever answers for it says that it is in order."""
    now = past.history()
    with desk.book() as conn:
        histories.mark(conn, found, counts={})
        histories.end(conn, found, now)
    return Outcome(past.store, found.because, Replayed(past.store, 0, 0, ()), now.counter)


def _beyond(conn: Conn, store: str) -> int:
    was = histories.known(conn, store)
    return was.intended if was else 0


def _quarantine(desk: Desk, past: Past, found: Restoration) -> None:
    if not past.declared.modifiable:
        raise Refused(
            f"it was restored ({'; '.join(found.because)}), and it is declared unmodifiable: we can neither close it nor "
            "clean it", about=f"store {past.store}",
            next_step="keep its applications away, have its owner delete again, then say so: "
            f"`quietus replay run {past.store} --restored`",
        )  # fmt: skip
    closed = past.quarantine()
    with desk.book() as conn:
        histories.mark(conn, found, quarantined=True)
    if closed.open_to:
        raise Refused(
            f"it was restored, and {', '.join(closed.open_to)} can still connect: another role granted that",
            about=f"store {past.store}",
            next_step="revoke CONNECT on the database from them as whoever granted it; then this is tried again",
        )


def _say(desk: Desk, past: Past, found: Restoration, replayed: Replayed) -> None:
    """What was replayed, into the ledger: counts and histories, nobody's data. Once for what it says."""
    now: History = past.history()
    body = {
        "store": past.store, "because": list(found.because), "noticed_at": found.noticed_at.isoformat(),
        "known": found.known, "found": histories.said(now),
        "counts": replayed.counts(), "cases": [c.case_no for c in replayed.cases][:1000],
    }  # fmt: skip
    key = f"replay/{past.store}/{found.restoration_id}/{len(replayed.cases)}-{len(replayed.failed)}-{now.position}"
    desk.record("replay", None, body, key)
