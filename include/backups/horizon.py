"""How long what was deleted can still be brought back from a backup set, by what is there now.

A copy holds what was there at the position from which it is recovered. It goes when its time is over, and not before the
last copy that leans on it; a pin keeps it, and all that it leans on, until somebody lifts that. Archived WAL from before
the deed brings back nothing by itself, but with any older copy it does, and it holds the rows in its own bytes.

Pure: no clock and no tool; ``law.md`` section E, row 17.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from include.backups.aside import ASIDE
from include.model.backups import BackupCopy, Copies, WalArchive, written
from include.model.times import prc_date


@dataclass(frozen=True)
class Shown:
    """Where somebody looked into the set itself and found what should not be there: whatever positions say, it is. ``copies``: by
    name; ``log``: archived WAL up to that position (bytes)."""

    copies: frozenset[str] = frozenset()
    log: int | None = None

    def names(self, copy: BackupCopy) -> bool:
        return copy.name.removeprefix(ASIDE) in self.copies


NOT_SHOWN = Shown()


@dataclass(frozen=True)
class Deed:
    """A disposal: the position in its store's log after its commit, and the moment (reading either late is safe).

    ``timeline``: the last one on which it was seen to be done. A copy of a later one may be of a past before it. ``shown``: where
    it was found not to be done."""

    position: int | None
    at: datetime
    timeline: int | None = None
    shown: Shown = NOT_SHOWN


@dataclass(frozen=True)
class Reach:
    """What still reaches back to before a deed. ``until``: the last day on which something does, by what is known; None if
    nothing does, or if that has no date yet: ``open`` says why. ``because``: what sets the date. ``not_yet``: something else has
    to be done before anything can be free of it."""

    holding: tuple[str, ...]
    until: date | None
    because: str
    open: tuple[str, ...] = ()
    not_yet: bool = False

    @property
    def beyond(self) -> bool:
        """Whether nothing reaches back any more, as observed."""
        return not (self.holding or self.open or self.not_yet)


ARCHIVE = "archived WAL"


def reach(deed: Deed, copies: Copies, ends: Mapping[str, date], archive_ends: date | None = None) -> Reach:
    """What of a backup set holds what the deed disposed of.

    ``ends``: the last day of each copy by its own period; ``archive_ends``: of the WAL from before the deed. Both are
    what is expected: whether they are gone is for the next look to observe.
    """
    holding = {copy.name: copy for copy in copies.copies if _holds(deed, copy)}
    # Who leans on a copy that holds it keeps that copy alive, whenever it was made itself.
    leaning = {c.name: c for c in copies.copies if holding.keys() & set(c.leans_on)}
    involved = holding | leaning
    why = list(copies.problems)
    why += [f"{c.name} is pinned ({c.pinned})" for c in involved.values() if c.pinned]
    why += [
        f"{c.name} is of timeline {c.timeline}, on which the deed was not seen yet"
        for c in holding.values()
        if _of_another_past(deed, c)
    ]
    why += [f"{name} has no last day" for name in involved if name not in ends]
    dates = {name: ends[name] for name in involved if name in ends}
    archived = copies.archive is not None and _archive_holds(deed, copies.archive)
    if copies.archive is not None and _later(deed, copies.archive.timeline):
        why.append(f"{ARCHIVE} is of timeline {copies.archive.timeline}, on which the deed was not seen yet")
    if archived:
        if archive_ends is None:
            why.append(f"{ARCHIVE} from before it has no last day")
        else:
            dates[ARCHIVE] = archive_ends
    names = (*sorted(involved), *((ARCHIVE,) if archived else ()))
    if not names:
        return Reach((), None, "nothing reaches back", tuple(why))
    last = max(dates, key=lambda name: (dates[name], name), default=None)
    until = None if last is None or why else dates[last]
    found = [name for name, copy in sorted(holding.items()) if deed.shown.names(copy)]
    because = _because(last, dates, involved, copies) + (
        f"; somebody may come up in {', '.join(found)}, as a drill showed" if found else ""
    )
    return Reach(names, until, because, tuple(why))


def _holds(deed: Deed, copy: BackupCopy) -> bool:
    """Whether a copy may hold it. One that names neither position nor moment may hold anything."""
    if _of_another_past(deed, copy) or deed.shown.names(copy):
        return True
    if copy.start is not None and deed.position is not None:
        return copy.start <= deed.position
    return copy.started_at is None or copy.started_at <= deed.at


def _archive_holds(deed: Deed, archive: WalArchive) -> bool:
    if deed.position is None or _later(deed, archive.timeline):
        return True
    return archive.oldest < max(deed.position, deed.shown.log or 0)


def _of_another_past(deed: Deed, copy: BackupCopy) -> bool:
    """A restore to before the deed begins a timeline whose positions go past the deed's without it."""
    return _later(deed, copy.timeline)


def _later(deed: Deed, timeline: int | None) -> bool:
    return deed.timeline is not None and timeline is not None and timeline > deed.timeline


def _because(
    last: str | None, dates: Mapping[str, date], involved: Mapping[str, BackupCopy], copies: Copies
) -> str:
    if last is None:
        return "no copy has a date"
    if last == ARCHIVE:
        begins = "" if copies.archive is None else f" from {written(copies.archive.oldest)} on"
        return f"{ARCHIVE}{begins} until {dates[last]}"
    leans = [name for name in involved[last].leans_on if name in involved]
    return f"{last} until {dates[last]}" + (f", and {', '.join(leans)} with it" if leans else "")


def ends(copies: Collection[BackupCopy], last: Callable[[date], date]) -> dict[str, date]:
    """The last day of each copy: by its tool's own rule, else by the day on which it was made (``last``); of one without a
    time none."""
    found = {copy.name: copy.until for copy in copies if copy.until is not None}
    for copy in copies:
        made = copy.stopped_at or copy.started_at
        if made is not None:
            found.setdefault(copy.name, last(prc_date(made)))
    return found
