"""Which disposition a located item gets: a hold first, then the latest floor that is not over, then
shared ownership, else what the provision says (:class:`include.model.flow.Provision`)."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from include.model.carried import Came
from include.model.errors import CatalogueError, Refused
from include.model.estate import Start
from include.model.flow import LAST_OWNER, NOT_REACHED, Floor, Held, Provision, Reach
from include.model.times import PRC, Counting, prc_date
from include.model.words import Disposition
from include.stores.s3.items import Item
from include.stores.s3.wiring import UntilOf
from include.stores.shared import SHARED_LAW

LAST_MODIFIED = "last_modified"  # pseudo-column of objects and uploads
_PERIOD = re.compile(r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?)?")
NOT_STARTED = "not started"
NOTHING: Mapping[str, str] = {}


def until(floor: Floor, start: date, other: UntilOf | None = None) -> date:
    """The last day an item must stay. Months clamp to the month's end (Civil Code 202); hours round up
    to the day they end on. Fiscal years run from 31 December of the year in which they start.

    Raises CatalogueError for a period this store cannot count.
    """
    found = _PERIOD.fullmatch(floor.duration)
    if found is None:
        raise CatalogueError(f"{floor.rule} has an unreadable period {floor.duration!r}", about=floor.rule)
    years, months, weeks, days, hours, minutes = (int(n or 0) for n in found.groups())
    if floor.counting is Counting.PRC_WORKING_DAYS:
        if other is None:
            raise CatalogueError(
                "a floor in working days needs a calendar, and this store was given none",
                about=f"{floor.rule}/{floor.period}",
                next_step="count it in calendar days or give the store a calendar",
            )
        return other(floor, start)
    if floor.counting is Counting.FISCAL_YEARS:
        start = date(start.year, 12, 31)
    month = start.year * 12 + start.month - 1 + years * 12 + months
    year, month = divmod(month, 12)
    end = date(year, month + 1, min(start.day, monthrange(year, month + 1)[1]))
    part_days = -(-(hours * 60 + minutes) // (24 * 60))
    return end + timedelta(days=weeks * 7 + days + part_days)


def day_of(value: object) -> date | None:
    """The PRC date of a date, moment, ISO 8601 text or epoch seconds (or milliseconds); else None."""
    if isinstance(value, datetime):
        return prc_date(value if value.tzinfo else value.replace(tzinfo=PRC))
    if isinstance(value, date):
        return value
    if not isinstance(value, str) or not value:
        return None
    try:
        if re.fullmatch(r"-?\d{9,11}(\.\d+)?|-?\d{12,14}", value):
            seconds = float(value) / (1000 if "." not in value and len(value.lstrip("-")) >= 12 else 1)
            return datetime.fromtimestamp(seconds, PRC).date()
        return day_of(datetime.fromisoformat(value)) if len(value) > 10 else date.fromisoformat(value)
    except (ValueError, OverflowError):
        return None


# What a floor's start is for an item: a day, NOT_STARTED, or None (not under the rule).
Started = date | str | None


def joined(start: Start, rows: Iterable[Mapping[str, object]]) -> Mapping[tuple[str, ...], date | str]:
    """A starting-point query's rows by its join columns. Of several rows the latest counts, and one
    whose clock has not started outweighs all."""
    columns = [start.on[mine] for mine in sorted(start.on)]
    found: dict[tuple[str, ...], date | str] = {}
    for row in rows:
        key = tuple(str(row[c]) for c in columns)
        day: date | str = day_of(row["started_at"]) or NOT_STARTED
        before = found.get(key)
        if before is None or (before != NOT_STARTED and (day == NOT_STARTED or day > before)):  # type: ignore[operator]
            found[key] = day
    return found


@dataclass
class Judge:
    """Applies one provision to the items of one dataset."""

    provision: Provision
    as_of: date
    began: date  # from which a period runs that starts with the case
    starts_of: Callable[[Start], Mapping[tuple[str, ...], date | str]]
    other: UntilOf | None = None
    shared_law: str = SHARED_LAW
    came: Mapping[tuple[str, ...], Came] = field(
        default_factory=dict
    )  # by the variables of a path, if it was taken over
    variables: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._joined = {
            i: self.starts_of(floor.start)
            for i, floor in enumerate(self.provision.floors)
            if floor.start is not None and floor.start.query is not None
        }

    def _started(self, i: int, start: Start | None, item: Item, youngest: Mapping[str, str]) -> Started:
        if start is None:
            return self.began
        if start.query is not None:
            values = [item.values.get(mine) for mine in sorted(start.on)]
            if any(v is None for v in values):
                return NOT_STARTED  # cannot be joined: do not take the item for free
            return self._joined[i].get(tuple(str(v) for v in values))
        if start.column == LAST_MODIFIED and LAST_MODIFIED not in item.values:
            return day_of(item.modified) or NOT_STARTED
        # A missing or unreadable time is not a licence to delete inside a statutory period.
        own = day_of(item.values.get(start.column or ""))
        if own is None:
            return NOT_STARTED
        return max(own, day_of(youngest.get(start.column or "")) or own)

    def weigh(self, item: Item, youngest: Mapping[str, str] = NOTHING) -> Item:
        """Give the item its disposition, in place. ``youngest``: of the file that a record is in, as in
        :attr:`Item.youngest`; a floor that starts by a record's own time forbids to rewrite its whole file."""
        reaches = self.provision.reaches
        if reaches is not None and not _reached(item, reaches):
            return settle(item, Disposition.RETAIN, self.provision.rule, reaches.law, waits_for=NOT_REACHED)
        return self._fate(item, youngest)

    def _hold_of(self, item: Item, came: Came | None) -> Held | None:
        """The hold that holds an item: one that names an owner of it, or under which it came. Raises Refused if that is not in
        our book."""
        held = {no: h for h in self.provision.holds for no in h.subject_nos}
        for no in item.subjects:
            if no in held:
                return held[no]
        if came is None or not (open_ := came.holds.difference(self.provision.released)):
            return None
        for hold in self.provision.holds:
            if not open_.isdisjoint(hold.came):
                return hold
        raise Refused(
            "items came along under a hold that is not in our case book", about=self.provision.dataset,
            next_step="quietus handover adopt ORDER, then go on",
        )  # fmt: skip

    def _fate(self, item: Item, youngest: Mapping[str, str]) -> Item:
        came = self.came.get(tuple(str(item.values.get(v)) for v in self.variables)) if self.came else None
        if (hold := self._hold_of(item, came)) is not None:
            return settle(item, Disposition.HOLD, self.provision.rule, hold.law, hold=hold.hold)
        latest: tuple[date, str, str] | None = _latest(came, self.as_of)
        for i, floor in enumerate(self.provision.floors):
            began: Started = None
            if came is None:
                began = self._started(i, floor.start, item, youngest)
            elif came.floors.get(f"{floor.rule}/{floor.period}", ("", date.min))[1] is None:
                began = self._started(i, floor.start, item, youngest) or NOT_STARTED
            if began is None:
                continue
            if not isinstance(began, date):
                return settle(
                    item, Disposition.RETAIN, floor.rule, floor.law,
                    waits_for=f"the start of {floor.rule} ({floor.period})",
                )  # fmt: skip
            end = until(floor, began, self.other)
            if end >= self.as_of and (latest is None or end > latest[0]):
                latest = end, floor.rule, floor.law
        if latest is not None:
            return settle(item, Disposition.RETAIN, latest[1], latest[2], until=latest[0])
        if item.shared:
            return settle(
                item, Disposition.RETAIN, self.provision.rule, self.shared_law, waits_for=LAST_OWNER
            )
        if item.link_only:
            return settle(item, Disposition.UNLINK, self.provision.rule, self.provision.law)
        return settle(item, self.provision.disposition, self.provision.rule, self.provision.law)


def _latest(came: Came | None, as_of: date) -> tuple[date, str, str] | None:
    """Of what an object came with the floor that is over last, if that is not over: its last day, rule and law."""
    floors = came.floors.items() if came is not None else ()
    runs = [
        (ends, name.partition("/")[0], law)
        for name, (law, ends) in floors
        if ends is not None and ends >= as_of
    ]
    return max(runs, default=None)


def _reached(item: Item, reaches: Reach) -> bool:
    return reaches.only is not None and str(item.values.get(reaches.only[0])) == reaches.only[1]


def settle(
    item: Item,
    disposition: Disposition,
    rule: str,
    law: str,
    *,
    until: date | None = None,
    waits_for: str | None = None,
    hold: str | None = None,
) -> Item:
    """Write a fate onto an item."""
    item.disposition, item.rule, item.law = disposition, rule, law
    item.until, item.waits_for, item.hold = until, waits_for, hold
    return item
