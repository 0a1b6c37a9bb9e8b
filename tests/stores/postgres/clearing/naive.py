"""What a night must do to each row, worked out one row at a time in plain Python from the words of docs/retention.md.
It shares no code with what it judges."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from include.model.estate import Bound, Link, Part
from include.model.words import LegalRank
from tests.stores.postgres.clearing.generated import PALETTE, Limited, is_cut
from tests.stores.postgres.generated import ACCESS_ONLY, ACCOUNT, SHARED, SOLE, Row, Table
from tests.stores.postgres.oracle import Fate, Key, ends

After = Callable[[Table, Row], Row | None]

RULES = {r[0]: r for r in PALETTE}
GOES, NOT_DUE = "erase", "not due"


@dataclass
class Night:
    """What a night must do. ``rows``: the fate of every row that is due and not held (``retain``: a row that stays needs it;
    ``not due``: it was, until a part of it went). ``parts``: of each part of a row, by the part's name, the keys of those that
    go. ``becomes``: what each row that is written must look like; None: gone."""

    rows: dict[str, dict[Key, Fate]]
    parts: dict[str, set[Key]]
    becomes: dict[str, dict[Key, Fate]]


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

    def limits(
        self, table: Table, row: Row, binds: Sequence[Bound]
    ) -> Iterator[tuple[Bound, str, bool, date | None]]:
        """Bind, kind, whether it is a statute's, and its last day."""
        for bound in binds:
            _, duration, kind, rank = RULES[bound.rule]
            if bound.start is None:
                start = self.ended(table, row)
            elif bound.start.query is not None and row["owner"] is None:
                continue
            else:
                start = row["at"]
            yield bound, kind, rank is LegalRank.LAW, None if start is None else ends(start, duration)

    def due(self, table: Table, row: Row) -> bool:
        """What was cut is judged by the end of what is left alone; and by floors, as far as they can still be told."""
        of = list(self.limits(table, row, self.limited.binds[table.id]))
        if table.id in self.limited.ends and is_cut(table, row):
            told = [(b, "floor", law, end) for b, _, law, end in of if self.is_floor(b) and end is not None]
            rest = self.limits(table, row, [self.limited.ends[table.id]])
            return self.over([*told, *rest])
        return self.over(of)

    def part_due(self, table: Table, row: Row, part: Part) -> bool:
        """Columns have limits of their own, and the floors of their row: of one that was cut, those that can still be told."""
        laws = [b for b in self.limited.binds[table.id] if b not in part.binds and self.is_floor(b)]
        of = list(self.limits(table, row, (*part.binds, *laws)))
        if is_cut(table, row):
            of = [x for x in of if not (self.is_floor(x[0]) and x[3] is None)]
        return self.over(of)

    def is_floor(self, bound: Bound) -> bool:
        _, _, kind, rank = RULES[bound.rule]
        return kind != "ceiling" and rank is LegalRank.LAW

    def rest_over(self, table: Table, row: Row) -> bool:
        """Whether the time of what is left of a row, once cut, is over."""
        _, duration, _, _ = RULES[self.limited.ends[table.id].rule]
        return row["at"] is not None and ends(row["at"], duration) < self.as_of

    def over(self, limits: Sequence[tuple[Bound, str, bool, date | None]]) -> bool:
        """No floor runs, and its last day is over; two statutes that leave no day are a person's to decide."""
        never = date.max
        of = [(b, kind, law, end or never) for b, kind, law, end in limits]
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
        """Cut already, and no more is to come of it; where rows are to be erased, bare and needed."""
        if not is_cut(table, row) or table.id in self.limited.ends:
            return False
        return (
            table.action != "erase"
            or any(
                not (self.owns(child, table) and is_cut(child, r)) for child, r in self.referring(table, row)
            )
            or self.leading(table, row)
        )

    def owns(self, table: Table, shared: Table) -> bool:
        """Whether rows of a table say whose those of another are, which several own: once both are bare they go together."""
        return any(link.via == table.id and link.ownership is SHARED for link in shared.links)

    def leading(self, table: Table, row: Row) -> bool:
        """Whether it must be known of another row whose it is, and is by this one."""
        as_they_are: After = lambda _, r: r  # noqa: E731
        return any(
            above is row
            for child in self.tables.values()
            for link in child.links
            if link.via == table.id
            or (table.id == ACCOUNT != child.id and link.column and link.ownership is not ACCESS_ONLY)
            for r in self.rows[child.id]
            if self.known_by(child, r, link, as_they_are)
            for above in self.above(r, link)
        )

    # --- of whom it must stay known whose they are ------------------------------------------------------

    def known_by(self, table: Table, row: Row, link: Link, after: After) -> bool:
        """Whether a row needs what this link of it leads to, once each row is as ``after`` says; None: it is gone."""
        if link.column is not None or link.ownership is SOLE:
            goes_by_it = table.action == "erase" and self.by_owners(table)
            return (
                goes_by_it or not self.bare(table, row, after) or self.led(table, row, after, self.known_by)
            )
        if link.ownership is SHARED:
            return self.waits_for_all(table, row, after)
        return not self.bare(table, row, after) and self.held(table, row)

    def by_owners(self, table: Table) -> bool:
        return any(b.start is None or b.start.query for b in self.limited.binds[table.id])

    def waits_for_all(self, table: Table, row: Row, after: After) -> bool:
        """Whether a row, or one that is known by it, goes when the last of its owners has left, or is held."""
        if not self.bare(table, row, after) and (self.by_owners(table) or self.held(table, row)):
            return True
        for part in self.limited.parts.get(table.id, ()):
            floors = [b for b in self.limited.binds[table.id] if self.is_floor(b)]
            its = any(b.start is None or b.start.query for b in (*part.binds, *floors))
            if its and not part_done(part, after(table, row) or row):
                return True

        def below(child: Table, r: Row, link: Link, after: After) -> bool:
            if link.ownership is ACCESS_ONLY:
                return self.known_by(child, r, link, after)
            return self.waits_for_all(child, r, after)

        return self.led(table, row, after, below)

    def led(
        self, table: Table, row: Row, after: After, asks: Callable[[Table, Row, Link, After], bool]
    ) -> bool:
        """Whether a row that stays leads through this one, and ``asks`` for it."""
        return any(
            above is row and asks(child, r, link, after)
            for child in self.tables.values()
            for link in child.links
            if link.via == table.id
            for r in self.rows[child.id]
            if after(child, r) is not None
            for above in self.above(r, link)
        )

    def severs(self, parent: Table, link: Link) -> bool:
        """Whether the parent's cut takes out what this link joins, or what leads on to its own owners."""
        owning = (x for x in parent.links if x.ownership is not ACCESS_ONLY)
        on = {c for x in owning for c in ((x.column,) if x.column else x.on)} | set(link.on.values())
        return not on.isdisjoint(parent.cut)

    def bare(self, table: Table, row: Row, after: After) -> bool:
        """Whether nobody needs to know any more whose it is. One that goes bare, by its owner's clock, still needs that."""
        return is_cut(table, after(table, row) or row)

    # --- what becomes of it ---------------------------------------------------------------------------

    def all_due(self) -> dict[str, set[Key]]:
        """What is due, holds apart: rows by their table, and columns of rows by their part's name."""
        found = {
            t.id: {t.key_of(r) for r in self.rows[t.id] if self.due(t, r) and not self.done(t, r)}
            for t in self.tables.values()
        }
        for t, part in self.parts():
            found[part_id(t, part)] = {
                t.key_of(r) for r in self.rows[t.id]
                if self.part_due(t, r, part) and not part_done(part, r)
            }  # fmt: skip
        return found

    def parts(self) -> Iterator[tuple[Table, Part]]:
        return ((self.tables[t], p) for t, of in self.limited.parts.items() for p in of)

    def night(self) -> Night:
        """What is due is asked of all rows at first. Parts go before any row, then the rows; each row is looked at once more."""
        due = self.all_due()
        parts = {
            part_id(t, part): {
                t.key_of(r) for r in self.rows[t.id] if t.key_of(r) in due[part_id(t, part)] and not self.held(t, r)
            }
            for t, part in self.parts()
        }  # fmt: skip
        rows: dict[str, list[Row]] = {}
        for t in self.tables.values():
            rows[t.id] = []
            for row in self.rows[t.id]:
                sets = [
                    p.set for p in self.limited.parts.get(t.id, ()) if t.key_of(row) in parts[part_id(t, p)]
                ]
                rows[t.id].append({**row, **{c: v for of in sets for c, v in of.items()}} if sets else row)
        meanwhile = Naive(self.limited, rows, self.as_of, held=self.with_holds)
        fates = meanwhile.fates(due)
        becomes = {
            t.id: {
                t.key_of(r): fates[t.id].get(t.key_of(r)) or Fate("retain", None, r) for r in rows[t.id]
            }
            for t in self.tables.values()
        }  # fmt: skip
        return Night(fates, parts, becomes)

    def fates(self, due: Mapping[str, set[Key]]) -> dict[str, dict[Key, Fate]]:
        """Of every row that was found to be ``due`` and is not held."""
        fates: dict[str, dict[Key, Fate]] = {t: {} for t in self.tables}
        for t in self.tables.values():
            for row in self.rows[t.id]:
                if t.key_of(row) in due[t.id] and not self.held(t, row):
                    fates[t.id][t.key_of(row)] = self._fate(t, row)
        while self._keep(fates):
            pass
        return fates

    def _fate(self, t: Table, row: Row) -> Fate:
        if t.id in self.limited.ends and self.rest_over(t, row):
            return Fate(GOES, None, None)
        if self.done(t, row) or (t.id in self.limited.ends and is_cut(t, row)):
            return Fate(NOT_DUE, None, row)
        return Fate(t.action, None, None if t.action == "erase" else {**row, **t.cut})

    def _keep(self, fates: dict[str, dict[Key, Fate]]) -> bool:
        changed = False
        for child in self.tables.values():
            for row in self.rows[child.id]:
                mine = fates[child.id].get(child.key_of(row))
                after = row if mine is None else mine.after
                if after is None:
                    continue
                for parent, above, link in self._needed_by(child, row, after, fates):
                    theirs = fates[parent.id].get(parent.key_of(above))
                    if above is row or theirs is None or theirs.disposition in ("retain", NOT_DUE):
                        continue
                    joins = link is None or not set(link.on.values()) & parent.cut.keys()
                    severs = (
                        link is not None
                        and self.severs(parent, link)
                        and self.waits_for_all(child, row, self._after(fates))
                    )
                    if theirs.disposition != "erase" and (theirs.after is None or not severs):
                        continue
                    bare = bool(parent.cut) and parent.id not in self.limited.ends and joins and not severs
                    theirs.disposition = "deidentify" if bare else "retain"
                    theirs.after = {**above, **parent.cut} if bare else above
                    changed = True
        return changed

    def _after(self, fates: Mapping[str, Mapping[Key, Fate]]) -> After:
        def after(table: Table, row: Row) -> Row | None:
            mine = fates[table.id].get(table.key_of(row))
            return row if mine is None else mine.after

        return after

    def _needed_by(
        self, child: Table, row: Row, after: Row, fates: Mapping[str, Mapping[Key, Fate]]
    ) -> Iterator[tuple[Table, Row, Link | None]]:
        """Rows that a row which stays refers to by a foreign key, and those by which its owner is known."""
        for ref in child.references:
            if ref.declared:
                for p in self.rows[ref.parent]:
                    if all(after[c] is not None and after[c] == p[x]
                           for c, x in zip(ref.columns, ref.parent_columns, strict=True)):  # fmt: skip
                        yield self.tables[ref.parent], p, None
        for link in child.links:
            if link.column is not None and (link.ownership is ACCESS_ONLY or child.id == ACCOUNT):
                continue
            if not self.known_by(child, row, link, self._after(fates)):
                continue
            for p in self.above(after, link):
                yield self.tables[link.via or ACCOUNT], p, link


def part_id(table: Table, part: Part) -> str:
    return f"{table.id}.{part.id}"


def part_done(part: Part, row: Row) -> bool:
    return all(row[c] == v for c, v in part.set.items())
