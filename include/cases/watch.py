"""What the clocks say: cases past a date of ours, and the small deeds that a date alone brings about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from include.cases import book, closing, holds, opening
from include.cases.rooms import Desk
from include.model.words import CaseState

SOON_DAYS = 3


@dataclass(frozen=True)
class Clocks:
    """Case numbers by what their clocks say on a day, and holds past their review."""

    late: tuple[str, ...]
    soon: tuple[str, ...]
    expired: tuple[str, ...]  # identity checks that nobody answered within 15 days
    silent: int  # recipients that were escalated
    reviews: tuple[str, ...]

    def __str__(self) -> str:
        parts = [
            f"{len(self.late)} late" + (f" ({', '.join(self.late)})" if self.late else ""),
            f"{len(self.soon)} due within {SOON_DAYS} days"
            + (f" ({', '.join(self.soon)})" if self.soon else ""),
            f"{len(self.expired)} identity checks expired",
            f"{self.silent} silent recipients escalated",
            f"{len(self.reviews)} holds past their review",
        ]
        return "; ".join(parts)


def look(desk: Desk, *, as_of: date, actor: str) -> Clocks:
    """Do what dates bring about (law.md E, rows 4 and 19), and say what is late. Again changes nothing more.

    Late is a case past its reply (30 days) or, for a cancellation, its finish (15 working days, policy 11.3).
    """
    expired = opening.expire_identity(desk, as_of, actor)
    silent = 0
    with desk.book() as conn:
        late = tuple(c.case_no for c in book.late(conn, as_of))
        soon = tuple(
            c.case_no for c in book.late(conn, as_of + timedelta(days=SOON_DAYS)) if c.case_no not in late
        )
        working = [c.case_no for c in book.cases(conn, (CaseState.ACTING, CaseState.WAITING), limit=100_000)]
        reviews = holds.overdue_reviews(conn, as_of)
    for case_no in working:
        silent += len(closing.escalate_silent(desk, case_no, as_of=as_of, actor=actor))
    return Clocks(late, soon, expired, silent, reviews)
