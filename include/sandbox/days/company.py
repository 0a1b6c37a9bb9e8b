"""What the company's own people do on a day: Quietus takes no backups, carries no letters and owns no locks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from include.cases import book, verbs
from include.cases.notices import errands
from include.cases.rooms import Desk
from include.model.backups import BackupCopy, CopyOf
from include.model.catalogue import Catalogue
from include.model.estate import BackupSet
from include.sandbox.days.calendar import Calendar

FULL_EVERY = timedelta(days=7)
MORE_AFTER = timedelta(days=3)
"""After a full one: then an increment keeps what changed since."""
OPS, SUPPORT = "ops/sandbox", "support/sandbox"


@dataclass(frozen=True)
class Company:
    """What a day is played on. ``take``: the company's job, of an increment or a full one. ``shorten``: ends the locks whose day
    is over; how many. ``turn``: tells the outside world which day it is. ``hand_out``: certifies a case; the file's name."""

    desk: Desk
    take: Callable[[bool], BackupCopy]
    shorten: Callable[[date], int]
    turn: Callable[[date], None]
    hand_out: Callable[[str, date], str]


def taken_here(catalogue: Catalogue) -> tuple[BackupSet, ...]:
    """The sets of which the company's job here takes copies."""
    return tuple(b for b in catalogue.backups if b.tool == "basebackup")


def back_up(company: Company, calendar: Calendar, backup: BackupSet, day: date) -> Iterator[str]:
    """The evening's backup: a full one each week, an increment between. A day that has its own gets no other."""
    what = due(company.desk.backup_tool(backup).look().copies, calendar.taken.get(backup.id, {}), day)
    if what is None:
        return
    made = company.take(what is CopyOf.INCREMENTAL)
    calendar.taken[backup.id][made.name] = day
    leans = f", which leans on {made.leans_on[0]}" if made.leans_on else ""
    yield f"the company takes backup {made.name}{leans}"


def due(copies: tuple[BackupCopy, ...], taken: dict[str, date], day: date) -> CopyOf | None:
    """What is to be taken on this day, by what is there and the day on which each was taken."""
    whole = [c for c in copies if not c.broken and c.name in taken]
    full = max((taken[c.name] for c in whole if not c.leans_on), default=None)
    if full is None or day - full >= FULL_EVERY:
        return CopyOf.FULL
    more = any(c.leans_on and taken[c.name] >= full for c in whole)
    return CopyOf.INCREMENTAL if day - full >= MORE_AFTER and not more else None


def run_errands(company: Company, case_no: str, day: date) -> Iterator[str]:
    """Ops tells by hand whom no machine tells. None of these answers by itself."""
    with company.desk.book() as conn:
        open_ = [e for e in errands.listing(conn) if e["case_no"] == case_no and e["why"] != "judge"]
    for errand in open_:
        errands.carried(company.desk, errand["request_id"], proof=None, as_of=day, actor=OPS)
    if open_:
        yield f"ops tells {', '.join(sorted(e['recipient'] for e in open_))} by hand"


def hand_over(company: Company, case_no: str, day: date) -> Iterator[str]:
    """Support gives the person the certificate that there is, and the letter with it."""
    with company.desk.book() as conn:
        if book.case(conn, case_no).told_at is not None:
            return
    verbs.told(company.desk, case_no, as_of=day, actor=SUPPORT)
    yield "support hands the person the letter with the interim certificate"
