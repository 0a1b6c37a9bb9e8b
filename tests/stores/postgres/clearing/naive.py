"""What a night must do to each row, worked out one row at a time in plain Python from the words of docs/retention.md.
It shares no code with what it judges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from include.model.catalogue import Bound, Link
from include.model.words import LegalRank
from tests.stores.postgres.clearing.generated import PALETTE, Limited
from tests.stores.postgres.generated import ACCESS_ONLY, ACCOUNT, SHARED, SOLE, Row, Table
from tests.stores.postgres.oracle import Fate, Key, ends

RULES = {r[0]: r for r in PALETTE}


class Naive:
    """A night over rows read beforehand."""

    def __init__(
        self, limited: Limited, rows: Mapping[str, Sequence[Row]], as_of: date, *, held: bool = True
    ) -> None:
        self.limited, self.rows, self.as_of, self.with_holds = limited, rows, as_of, held
        self.tables = limited.company.tables

    # --- whose, and until when ------------------------------------------------------------------------

    def above(self, row: Row, link: Link) -> list[Row]:
        if link.column is not None:
            return [
                a for a in self.rows[ACCOUNT] if row[link.column] is not None and a["id"] == row[link.column]
            ]
        return [
            p for p in self.rows[link.via or ""]
            if all(row[mine] is not None and row[mine] == p[theirs] for mine, theirs in link.on.items())
        ]  # fmt: skip

    def ended(self, table: Table, row: Row) -> date | None:
        """Of several sole owners the first, of shared ones the last, when all did."""
        days: list[date | None] = []
        owning = [link for link in table.links if link.ownership is not ACCESS_ONLY]
        for link in owning:
            if link.column is not None:
                if row[link.column] is not None:
                    days += [a["at"] for a in self.above(row, link)] or [None]
            else:
                of = [self.ended(self.tables[link.via or ""], p) for p in self.above(row, link)]
                days += of
        if any(link.ownership is SHARED for link in owning):
            return max((d for d in days if d is not None), default=None) if None not in days else None
        return min((d for d in days if d is not None), default=None)

    def limits(self, table: Table, row: Row) -> Iterator[tuple[Bound, str, bool, date | None]]:
        """Bind, kind, whether it is a statute's, and its last day."""
        for bound in self.limited.binds[table.id]:
            _, duration, kind, rank = RULES[bound.rule]
            if bound.start is None:
                start = self.ended(table, row)
            elif bound.start.query is not None and row["owner"] is None:
                continue
            else:
                start = row["at"]
            yield bound, kind, rank is LegalRank.LAW, None if start is None else ends(start, duration)

    def due(self, table: Table, row: Row) -> bool:
        """No floor runs, and its last day is over; two statutes that leave no day are a person's to decide."""
        never = date.max
        of = [(b, kind, law, end or never) for b, kind, law, end in self.limits(table, row)]
        floors = [(b, end) for b, kind, law, end in of if kind != "ceiling" and law]
        if any(end >= self.as_of for _, end in floors):
            return False
        ceilings = [(b, law and kind == "ceiling", end) for b, kind, law, end in of if kind != "floor"]
        for b, statute, end in ceilings:
            for f, until in floors:
                if statute and f.rule not in (b.rule, *b.gives_way) and end < until:
                    return False
        if not ceilings:
            return bool(floors)
        return any(end < self.as_of for _, _, end in ceilings)

    def held(self, table: Table, row: Row) -> bool:
        if not self.with_holds:
            return False
        covering = [o for o in self.limited.holds if o.covers(table.id)]
        return any(o.people is None or self.leads_to(table, row, o.people) for o in covering)

    def leads_to(self, table: Table, row: Row, people: Sequence[str]) -> bool:
        return any(
            str(row[link.column]) in people
            if link.column is not None
            else any(self.leads_to(self.tables[link.via or ""], p, people) for p in self.above(row, link))
            for link in table.links
        )

    def referring(self, table: Table, row: Row) -> Iterator[tuple[Table, Row]]:
        """Rows that refer to it by a foreign key."""
        for child in self.tables.values():
            for ref in child.references:
                if ref.declared and ref.parent == table.id:
                    for r in self.rows[child.id]:
                        if all(r[c] is not None and r[c] == row[p]
                               for c, p in zip(ref.columns, ref.parent_columns, strict=True)):  # fmt: skip
                            yield child, r

    def done(self, table: Table, row: Row) -> bool:
        """Cut already; where rows are to be erased, bare and referred to."""
        if not table.cut or any(row[c] != v for c, v in table.cut.items()):
            return False
        return table.action != "erase" or any(True for _ in self.referring(table, row))

    # --- what becomes of it ---------------------------------------------------------------------------

    def all_due(self) -> dict[str, set[Key]]:
        """What is due, holds apart."""
        return {
            t.id: {t.key_of(r) for r in self.rows[t.id] if self.due(t, r) and not self.done(t, r)}
            for t in self.tables.values()
        }

    def fates(self) -> dict[str, dict[Key, Fate]]:
        """Of every row that is due and not held. ``retain``: a row that stays needs it."""
        fates: dict[str, dict[Key, Fate]] = {t: {} for t in self.tables}
        for t in self.tables.values():
            for row in self.rows[t.id]:
                if self.due(t, row) and not self.held(t, row) and not self.done(t, row):
                    after = None if t.action == "erase" else {**row, **t.cut}
                    fates[t.id][t.key_of(row)] = Fate(t.action, None, after)
        while self._keep(fates):
            pass
        return fates

    def _keep(self, fates: dict[str, dict[Key, Fate]]) -> bool:
        changed = False
        for child in self.tables.values():
            for row in self.rows[child.id]:
                mine = fates[child.id].get(child.key_of(row))
                after = row if mine is None else mine.after
                if after is None:
                    continue
                for parent, above in self._needed_by(child, row, after):
                    theirs = fates[parent.id].get(parent.key_of(above))
                    if above is row or theirs is None or theirs.disposition != "erase":
                        continue
                    theirs.disposition = "deidentify" if parent.cut else "retain"
                    theirs.after = {**above, **parent.cut} if parent.cut else above
                    changed = True
        return changed

    def _needed_by(self, child: Table, row: Row, after: Row) -> Iterator[tuple[Table, Row]]:
        """Rows that a row which stays refers to by a foreign key, and those by which alone its owner is known."""
        for ref in child.references:
            if ref.declared:
                for p in self.rows[ref.parent]:
                    if all(after[c] is not None and after[c] == p[x]
                           for c, x in zip(ref.columns, ref.parent_columns, strict=True)):  # fmt: skip
                        yield self.tables[ref.parent], p
        if child.cut and all(after[c] == v for c, v in child.cut.items()):
            return  # nobody's any more
        for link in child.links:
            if link.column is not None and (link.ownership is ACCESS_ONLY or child.id == ACCOUNT):
                continue
            if link.via is not None and link.ownership is not SOLE and not self.held(child, row):
                continue
            for p in self.above(after, link):
                yield self.tables[link.via or ACCOUNT], p
