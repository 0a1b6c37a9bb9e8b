"""What must become of each row, worked out one row at a time in plain Python from the words of the catalogue's
documentation. It shares no code with the store: slow, naive, and easy to check by eye.
"""

from __future__ import annotations

import calendar
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from tests.stores.postgres.generated import ACCESS_ONLY, SHARED, SOLE, Company, Row, Table

Key = tuple[Any, ...]
RANKS: list[str] = [SOLE, SHARED, ACCESS_ONLY]  # strongest first


@dataclass
class Found:
    """A located row: which of the cohort lead to it, the strongest way, and whether another owner remains."""

    subjects: set[str]
    ownership: str
    outsiders: bool


@dataclass
class Fate:
    disposition: str
    until: date | None
    after: Row | None  # what the row must look like when all is done; None: gone
    only_held: bool = False  # nothing but a hold keeps it


def ends(started: date, duration: str) -> date:
    """The last day of a period: calendar months end on the corresponding day or the month's last."""
    years, months, days = (
        int(m.group(1)) if (m := re.search(rf"(\d+){unit}", duration)) else 0 for unit in "YMD"
    )
    month = started.month - 1 + months
    year = started.year + years + month // 12
    month = month % 12 + 1
    day = min(started.day, calendar.monthrange(year, month)[1])
    return date(year, month, day) + timedelta(days=days)


class Oracle:
    """One step over rows read beforehand. ``departed``: who left in an earlier step."""

    def __init__(
        self,
        company: Company,
        rows: Mapping[str, Sequence[Row]],
        cohort: Sequence[str],
        departed: Sequence[str],
        as_of: date,
    ) -> None:
        self.company, self.rows, self.as_of = company, rows, as_of
        self.numbers = {s: n for n, s in enumerate(cohort)}
        self.departed = set(departed)
        self._found: dict[tuple[str, Key], Found | None] = {}

    # --- whose a row is ------------------------------------------------------------------------------

    def _parents(self, row: Row, via: str, on: Mapping[str, str]) -> list[Row]:
        return [
            p
            for p in self.rows[via]
            if all(row[mine] is not None and row[mine] == p[theirs] for mine, theirs in on.items())
        ]

    def owners(self, table: Table, row: Row) -> set[str]:
        """Everybody the row belongs to; who may only see it is none of them."""
        found: set[str] = set()
        for link in table.links:
            if link.ownership is ACCESS_ONLY:
                continue
            if link.column is not None:
                found |= {str(row[link.column])} if row[link.column] is not None else set()
            else:
                assert link.via is not None
                for parent in self._parents(row, link.via, link.on):
                    found |= self.owners(self.company.tables[link.via], parent)
        return found

    def _another_owner(self, table: Table, row: Row) -> bool:
        return bool(self.owners(table, row) - self.numbers.keys() - self.departed)

    def found(self, table: Table, row: Row) -> Found | None:
        """How the cohort leads to the row; None if it does not."""
        place = table.id, table.key_of(row)
        if place not in self._found:
            self._found[place] = self._find(table, row)
        return self._found[place]

    def _find(self, table: Table, row: Row) -> Found | None:
        subjects: set[str] = set()
        ways: set[str] = set()
        outsiders = False
        for link in table.links:
            if link.column is not None:
                who = {str(row[link.column])} & self.numbers.keys()
                above = [Found(who, SOLE, False)] if who else []
            else:
                assert link.via is not None
                parent = self.company.tables[link.via]
                above = [f for p in self._parents(row, link.via, link.on) if (f := self.found(parent, p))]
            for up in above:
                subjects |= up.subjects
                # The weakest along a way …
                way = max((up.ownership, link.ownership), key=RANKS.index)
                ways.add(way)
                if link.ownership is SHARED:
                    outsiders |= self._another_owner(table, row)
                elif link.ownership is SOLE:
                    outsiders |= up.outsiders
        if not subjects:
            return None
        # … and the strongest of the ways.
        return Found(subjects, min(ways, key=RANKS.index), outsiders)

    # --- what becomes of it -----------------------------------------------------------------------------

    def fates(self) -> dict[str, dict[Key, Fate]]:
        """Every located row's fate. What is not in it must not change."""
        fates: dict[str, dict[Key, Fate]] = {}
        for table in self.company.tables.values():
            of = fates[table.id] = {}
            for row in self.rows[table.id]:
                found = self.found(table, row)
                if found is not None:
                    of[table.key_of(row)] = self._judge(table, row, found)
        while self._keep_what_is_referred_to(fates):
            pass
        return fates

    def _judge(self, table: Table, row: Row, found: Found) -> Fate:
        if table.id not in self.company.provided:
            return Fate("retain", None, row)
        if any(self.numbers[s] in table.held for s in found.subjects):
            return Fate("hold", None, row, only_held=True)
        floors = self._floors(table, row)
        if floors:
            latest = max(floors)
            return Fate("retain", None if latest == date.max else latest, row)
        if found.ownership == SHARED and found.outsiders:
            return Fate("retain", None, row)
        if found.ownership == ACCESS_ONLY:
            return Fate("unlink", None, self._unlinked(table, row))
        if table.action == "erase":
            return Fate("erase", None, None)
        return Fate(table.action, None, {**row, **table.cut})

    def _floors(self, table: Table, row: Row) -> list[date]:
        """The ends of the statutory periods the row is in; ``date.max`` where the clock has not started."""
        found = []
        for floor in table.floors:
            if floor.start is None:
                end = ends(self.as_of, floor.duration)
            elif floor.start.query is not None and str(row["owner"]) not in self.numbers:
                continue  # the query returns the rows of the cohort's owners, and no other
            else:
                end = ends(row["at"], floor.duration) if row["at"] is not None else date.max
            if end >= self.as_of:
                found.append(end)
        return found

    def _unlinked(self, table: Table, row: Row) -> Row:
        """Somebody else's row: only what names the cohort goes. Without such a column, the cut, if nobody owns it."""
        columns = [x.column for x in table.links if x.ownership is ACCESS_ONLY and x.column]
        if columns:
            return {**row, **{c: None for c in columns if str(row[c]) in self.numbers}}
        if all(x.ownership is ACCESS_ONLY for x in table.links):
            return {**row, **table.cut}
        return row

    def _keep_what_is_referred_to(self, fates: dict[str, dict[Key, Fate]]) -> bool:
        """A row that stays keeps each row it still refers to. Says whether a fate changed."""
        changed = False
        for table in self.company.tables.values():
            for ref in table.references:
                if not ref.declared:
                    continue
                parent = self.company.tables[ref.parent]
                for row in self.rows[table.id]:
                    mine = fates[table.id].get(table.key_of(row))
                    after = row if mine is None else mine.after
                    if after is None:
                        continue
                    held = tuple(after[c] for c in ref.columns)
                    for target in self.rows[ref.parent]:
                        if None in held or held != tuple(target[c] for c in ref.parent_columns):
                            continue
                        theirs = fates[parent.id].get(parent.key_of(target))
                        if theirs is None or target is row:
                            continue
                        need = mine.until if mine is not None and mine.disposition == "retain" else None
                        changed |= _keep(parent, target, theirs, need, mine is not None and mine.only_held)
        return changed


def _keep(table: Table, row: Row, fate: Fate, until: date | None, only_held: bool) -> bool:
    """Keep the row, as a key only where that is declared, else whole and at least until then.

    What only a hold needs is kept, but its own fate is neither later nor another for it.
    """
    if fate.disposition == "erase":
        fate.only_held = only_held
        if table.cut:
            fate.disposition, fate.until, fate.after = "deidentify", None, {**row, **table.cut}
        else:
            fate.disposition, fate.until, fate.after = "retain", until, row
        return True
    if only_held or fate.disposition == "hold":
        return False
    if fate.only_held:
        fate.only_held = False
        fate.until = until if fate.disposition == "retain" else None
        return True
    if fate.disposition == "retain" and fate.until is not None and (until is None or until > fate.until):
        fate.until = until
        return True
    return False


PAST = {"erase": "erased", "deidentify": "deidentified", "unlink": "unlinked"}


def tally(company: Company, fates: Mapping[str, Mapping[Key, Fate]]) -> Counter[tuple[str, str, date | None]]:
    """What a plan must say: dataset, disposition, until -> items, for the datasets of the step."""
    return Counter(
        (dataset, fate.disposition, fate.until)
        for dataset in company.provided
        for fate in fates[dataset].values()
    )


def done(company: Company, fates: Mapping[str, Mapping[Key, Fate]]) -> dict[str, dict[str, int]]:
    """What a receipt must say: dataset -> past participle -> items."""
    found: dict[str, Counter[str]] = {}
    for dataset in company.provided:
        for fate in fates[dataset].values():
            if fate.disposition in PAST:
                found.setdefault(dataset, Counter())[PAST[fate.disposition]] += 1
    return {dataset: dict(words) for dataset, words in found.items()}
