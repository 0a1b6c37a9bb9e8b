"""What the clocks say: cases past a date of ours, and the small deeds that a date alone brings about.

Every question and every deed is one statement over the whole book, however many cases it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from include.cases import book, holds, opening, units
from include.cases.notices import again, answering, beyond, keeping, outbox, stopping
from include.cases.retention import stopping as emergency
from include.cases.rooms import Desk
from include.catalogue import regions

SOON_DAYS = 3
SHOWN = 20  # case numbers that a message names


@dataclass(frozen=True)
class Clocks:
    """Case numbers by what their clocks say on a day, and holds past their review."""

    why: Mapping[str, str]  # what each late case is late with, the oldest first
    soon: tuple[str, ...]
    due: tuple[str, ...]  # waiting cases of which an item's date has come: their run is to be started again
    expired: tuple[str, ...]  # identity checks that nobody answered within 15 days
    silent: int  # recipients that were escalated
    handed_over: int  # notices that no machine could deliver: a person carries them
    again: tuple[str, ...]  # cases in which a recipient was asked again for what it retained
    unlinked: int  # tracks on chains that waited for our own side
    stopped: tuple[str, ...]  # recipients that are given nothing more
    destroyed: int  # notices whose years are over
    unsent: int  # notices that have not left the house
    reviews: tuple[str, ...]
    abroad: tuple[str, ...]  # stores, backups and recipients outside the country
    beyond: tuple[str, ...]  # what was given though the policy does not list it, and nobody has answered for

    @property
    def late(self) -> tuple[str, ...]:
        return tuple(self.why)

    @property
    def alarms(self) -> tuple[str, ...]:
        """What somebody has to see to, late or not."""
        return (*self.late, *self.abroad, *self.beyond)

    def __str__(self) -> str:
        parts = [
            _named(f"{len(self.why)} late", [f"{case}: {why}" for case, why in self.why.items()]),
            _named(f"{len(self.abroad)} places abroad", self.abroad),
            _named(f"{len(self.beyond)} times given beyond the policy", self.beyond),
            _named(f"{len(self.soon)} due within {SOON_DAYS} days", self.soon),
            _named(f"{len(self.due)} waiting cases to go on with", self.due),
            f"{len(self.expired)} identity checks expired",
            f"{self.silent} silent recipients escalated",
            f"{self.handed_over} notices that could not be delivered given to a person",
            _named(f"{len(self.again)} cases with a retained answer to ask about again", self.again),
            f"{self.unlinked} tracks on chains unlinked",
            _named(f"{len(self.stopped)} recipients are given nothing more", self.stopped),
            f"{self.destroyed} notices destroyed",
            f"{self.unsent} notices not sent yet",
            f"{len(self.reviews)} holds past their review",
        ]
        return "; ".join(parts)


def _named(what: str, names: tuple[str, ...] | list[str]) -> str:
    more = f", and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{what} ({'; '.join(names[:SHOWN])}{more})" if names else what


def look(desk: Desk, *, as_of: date, actor: str) -> Clocks:
    """Do what dates bring about (law.md E, rows 4, 16 and 17; RS-22), and say what is late. Again changes nothing more.

    Late is a case past its reply (30 days), a cancellation past its finish (15 working days), or one with an item
    past its statutory date that no hold keeps.
    """
    expired = opening.expire_identity(desk, as_of, actor)
    with desk.book() as conn:
        asked_again = again.ask(desk, conn, as_of=as_of, actor=actor)
        unlinked = answering.unlink(desk, conn, as_of=as_of, actor=actor)
        with book.deed(conn, "recipients"):
            silent = outbox.escalate_silent(conn, as_of, actor)
            handed_over = outbox.hand_over(conn, as_of, actor)
            destroyed = 0 if emergency.stopped(conn) else keeping.destroy(conn, as_of, actor)
        why = book.why_late(conn, as_of)
        soon = book.why_late(conn, as_of + timedelta(days=SOON_DAYS))
        return Clocks(
            why=why,
            soon=tuple(c for c in soon if c not in why),
            due=units.cases_due(conn, as_of),
            expired=expired,
            silent=len(silent),
            handed_over=handed_over,
            again=asked_again,
            unlinked=unlinked,
            stopped=tuple(str(r["recipient"]) for r in stopping.listing(conn)),
            destroyed=destroyed,
            unsent=outbox.unsent(conn),
            reviews=holds.overdue_reviews(conn, as_of),
            abroad=tuple(str(place) for place in regions.abroad(desk.catalogue)),
            beyond=tuple(f"{f['case_no']}: {f['place']}" for f in beyond.listing(conn)),
        )
