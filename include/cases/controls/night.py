"""One night: remove what an earlier one left, plant, have the proofs look, remove, and say in the ledger what was found.

Each thing is written down before it is planted. Killed at any point, the next start removes what is left before it plants
anything; a night that did not come to its end proved nothing, and says so by having no verdict.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from include.cases import book
from include.cases.book import Conn
from include.cases.controls import doubt, looking, nights
from include.cases.controls.judging import judge
from include.cases.controls.nights import Night
from include.cases.controls.results import Judged, Outcome
from include.cases.rooms import Desk
from include.model.errors import QuietusError
from include.model.times import observed_now, prc_date
from include.model.words import Role, StoreKind
from include.planting import postgres, s3
from include.planting.note import Note, draw

KIND = "controls"
"""The kind of the night's entry in the ledger."""


def _nowhere(_point: str) -> None:
    """Tests kill at these points."""


@dataclass(frozen=True)
class Audited:
    """A night that came to its end. ``cases``: how many open cases have evidence that does not count now."""

    night_id: int
    day: date
    judged: Judged
    cases: int

    @property
    def passed(self) -> bool:
        return self.judged.passed

    def __str__(self) -> str:
        found = self.judged
        said = [f"{found.found} of {found.planted} controls found in the night of {self.day}"]
        said += [f"{r.kind} in {r.store} was missed by {r.proof!r}: {r.why}" for r in found.missed]
        said += [f"named, and nothing was planted there: {place}" for place in found.strangers]
        if found.missed:
            said.append(
                f"evidence of that day by these proofs does not count ({self.cases} open cases have some)"
            )
        return "; ".join(said)


def audit(desk: Desk, *, as_of: date, lock: int = s3.LOCK, at: Callable[[str], None] = _nowhere) -> Audited:
    """Plant, prove, remove, record. ``lock``: seconds that the locked object is locked. Raises NotReachable, or Refused if
    another audit is under way or a role may not; then what was planted is removed all the same."""
    with desk.book() as conn, nights.alone(conn):
        sweep_left(desk, conn, as_of)
        day = prc_date(observed_now())
        night = nights.begin(conn, desk.keys, day, draw(secrets.token_hex(16), desk.catalogue))
        at("noted")
        try:
            judged = _prove(desk, night.note, as_of, lock, at)
            at("proved")
        finally:
            _remove(desk, conn, night, as_of)
        at("removed")
        return _say(desk, conn, night, judged, as_of)


def sweep(desk: Desk, *, as_of: date) -> int:
    """Remove what an earlier night left; of how many nights. Raises as :func:`audit` does."""
    with desk.book() as conn, nights.alone(conn):
        return sweep_left(desk, conn, as_of)


def sweep_left(desk: Desk, conn: Conn, as_of: date) -> int:
    """:func:`sweep`, by whoever holds the lock."""
    found = nights.left(conn, desk.keys)
    for night in found:
        _remove(desk, conn, night, as_of)
    return len(found)


# --- planting and removing, store by store ------------------------------------------------------------


def _prove(desk: Desk, note: Note, as_of: date, lock: int, at: Callable[[str], None]) -> Judged:
    step, plan = looking.open_step(desk, note.step, note.subject, as_of)
    absent: dict[tuple[str, str], str] = {}
    for store in desk.catalogue.stores:
        if note.of(store.id):
            for kind, why in _plant(desk, note, store.id, lock).items():
                absent[store.id, kind] = why
            at(f"planted {store.id}")
    at("planted")
    looked = looking.look(desk, step, plan, [p.value for p in note.plants])
    return judge(note, absent, looked)


def _plant(desk: Desk, note: Note, store: str, lock: int) -> dict[str, str]:
    declared = desk.catalogue.store(store)
    if declared.kind is StoreKind.S3:
        return s3.plant(desk.connections.s3(declared.connection, Role.PLANTER), note, store, lock=lock)
    with postgres.connected(
        desk.connections.postgres(declared.connection, Role.PLANTER), store
    ) as connection:
        return postgres.plant(connection, note, store)


def _remove(desk: Desk, conn: Conn, night: Night, as_of: date) -> None:
    """Everything of a night, in every store, then the word that it is gone. A store that is away keeps the others from
    nothing, and the night stays on the list of those to be removed."""
    trouble: QuietusError | None = None
    note = night.note
    for store in {*note.schemas, *note.buckets, *(of for of, _, _ in note.uploads)}:
        try:
            _remove_from(desk, note, store)
        except QuietusError as error:
            trouble = trouble or error
    try:
        looking.close_step(desk, note.step, note.subject, as_of)
    except QuietusError as error:
        trouble = trouble or error
    if trouble is not None:
        raise trouble
    nights.removed(conn, night)


def _remove_from(desk: Desk, note: Note, store: str) -> None:
    declared = desk.catalogue.store(store)
    if declared.kind is StoreKind.S3:
        s3.remove(desk.connections.s3(declared.connection, Role.PLANTER), note, store)
        return
    with postgres.connected(
        desk.connections.postgres(declared.connection, Role.PLANTER), store
    ) as connection:
        postgres.remove(connection, note, store)


# --- what is said of it -------------------------------------------------------------------------------


def _say(desk: Desk, conn: Conn, night: Night, judged: Judged, as_of: date) -> Audited:
    """In the ledger first: a night that is in the book and not in the ledger could be denied."""
    key = f"{KIND}:{night.note.seed}"
    desk.record(KIND, None, said(night, judged, as_of), key)
    with book.deed(conn, nights.ABOUT):
        nights.end(conn, night, judged, key)
        cases = doubt.tell_cases(conn, night.day, judged)
    return Audited(night.night_id, night.day, judged, cases)


def said(night: Night, judged: Judged, as_of: date) -> dict[str, Any]:
    """The night's entry in the ledger. Recall and precision in thousandths; null: there was nothing to divide by. With the
    seed, which is of no use any more, anybody with the code can say what was planted."""
    return {
        "day": night.day.isoformat(),
        "as_of": as_of.isoformat(),
        "observed_at": observed_now().isoformat(),
        "seed": night.note.seed,
        "verdict": "passed" if judged.passed else "failed",
        "planted": judged.planted,
        "found": judged.found,
        "recall_thousandths": _thousandths(judged.found, judged.planted),
        "named": judged.named,
        "precision_thousandths": _thousandths(judged.found, judged.named),
        "strangers": list(judged.strangers),
        "not_counted": sorted({f"{r.proof} {r.store}" for r in judged.missed}),
        "kinds": [
            {
                "store": r.store, "kind": r.kind, "proof": r.proof, "planted": r.planted, "found": r.found,
                "missed": r.planted - r.found if r.outcome is Outcome.MISSED else 0, "outcome": r.outcome.value,
                "why": r.why,
            }
            for r in judged.results
        ],
    }  # fmt: skip


def _thousandths(part: int, of: int) -> int | None:
    return part * 1000 // of if of else None
