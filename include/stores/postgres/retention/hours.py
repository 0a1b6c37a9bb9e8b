"""What is late in one table by periods of less than a day, to the minute: the moment of the row, not its day.

A floor is judged by its day, as at night. Where only the day of a start is known, the period is over when its last day is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import sql

from include.model.retention import Late, Limit
from include.stores.postgres.retention.clocks import moment, started_by
from include.stores.postgres.retention.look import ROWS, Key, Look, of_parts
from include.stores.postgres.server import Connection, Server, joined, name

FOREVER = sql.SQL("'infinity'::timestamptz")


@dataclass(frozen=True, kw_only=True)
class Hours(Look):
    """The same look at a table, at a moment. Only limits of less than a day (``minutes``) make anything late."""

    at: datetime

    def late(self, after: Key | None, upto: Key | None) -> sql.Composed:
        """Per limit that was over first and whether held: how many rows, and when the first of them was over."""
        return sql.SQL(
            "WITH {ctes} SELECT CASE {which} END AS n, w.\"#held\", min(w.since), {count}"
            " FROM (SELECT w.*, {first} AS since FROM ({rows}) AS w) AS w"
            " WHERE w.since <= {at}::timestamptz AND NOT ({runs}) GROUP BY 1, 2"
        ).format(
            count=self._count(), ctes=self._ctes(self._part(self._range(after, upto))), which=self._which(sql.SQL("w.since")),
            first=self._first(), rows=self._judged(), at=sql.Literal(self.at.isoformat()), runs=self._runs(),
        )  # fmt: skip

    @property
    def said(self) -> tuple[str, ...]:
        return ("#n", *(f"#applies{i}" for i in range(len(self.question.limits))))

    def _said(self) -> list[sql.Composable]:
        which = sql.SQL('CASE {} END AS "#n"').format(self._which(self._first()))
        return [which, *(sql.SQL("w.{}").format(sql.Identifier(c)) for c in self.said[1:])]

    def may_be_due(self, within: sql.Composable) -> sql.Composed:
        """Those that are: which moment it was over is not said."""
        return self.due_rows(within)

    def is_due(self) -> sql.Composed:
        return sql.SQL("true").format()

    def _due(self) -> sql.Composed:
        return sql.SQL("({} <= {}::timestamptz AND NOT ({}))").format(
            self._first(), sql.Literal(self.at.isoformat()), self._runs()
        )

    def _ours(self) -> list[int]:
        return [i for i, x in enumerate(self.question.limits) if short(x)]

    def _first(self) -> sql.Composed:
        """When the first limit of less than a day was over."""
        return sql.SQL("least({})").format(joined(", ", (_past(i) for i in self._ours())))

    def _which(self, since: sql.Composable) -> sql.Composed:
        """Which limit that was."""
        return joined(" ", (sql.SQL("WHEN {} = {} THEN {}").format(_past(i), since, sql.Literal(i))
                            for i in self._ours()))  # fmt: skip

    def _more(self, i: int, limit: Limit) -> Sequence[sql.Composable]:
        if not short(limit):
            return ()
        over: sql.Composable
        if limit.start is None:
            over = moment(self._ended()[1], "date", limit.minutes)
        elif limit.start.column is not None:
            over = moment(name("t", limit.start.column), self._kind(limit.start.column), limit.minutes)
        else:
            over = sql.SQL("nullif({}, {})").format(name(f"s{i}", "past"), FOREVER)
        over = self._of_others(limit, over)
        if (
            beside := self.came
        ) is not None and self.dataset.part_of is None:  # what came is judged by what came with it
            waits = beside.waiting(f"{limit.rule}/{limit.period}")
            over = sql.SQL("CASE WHEN NOT {} OR {} THEN {} END").format(beside.came, waits, over)
        return (sql.SQL("{} AS {}").format(over, sql.Identifier(f"#past{i}")),)

    def _last(self, limit: Limit) -> list[sql.Composed]:
        found = super()._last(limit)
        if short(limit) and limit.start is not None and limit.start.query is not None:
            over = moment(name("q", "started_at"), self.kinds[limit.start.query], limit.minutes)
            found.append(sql.SQL("max(coalesce({}, {})) AS past").format(over, FOREVER))
        return found

    def _alone(self) -> str | None:
        ways = {(x.start.column if x.start else None, x.minutes) for x in self.question.limits if short(x)}
        return ways.pop()[0] if len(ways) == 1 else None

    def _early(self) -> sql.Composable:
        """By a row's own columns, where all that can make it late starts by them."""
        ours = [x for x in self.question.limits if short(x)]
        columns = [x.start.column for x in ours if x.start and x.start.column]
        if len(columns) < len(ours):
            return sql.SQL("true")
        return sql.SQL("({})").format(joined(" OR ", (
            started_by(name("t", c), self._kind(c), self.at, x.minutes) for c, x in zip(columns, ours, strict=True)
        )))  # fmt: skip


def short(limit: Limit) -> bool:
    """Whether a limit is one of less than a day by whose end something must go."""
    return limit.ceiling and limit.minutes > 0


def hours(server: Server, connection: Connection, it: Hours, rows: int = ROWS) -> Iterator[Late]:
    """Ask about the whole table, range by range."""
    for row in of_parts(server, connection, it, lambda part, after, upto: part.late(after, upto), rows):
        yield _late(it, row)


def _late(it: Hours, row: Sequence[Any]) -> Late:
    limit = it.question.limits[row[0]]
    return Late(
        dataset=it.dataset.id, rule=f"{limit.rule}/{limit.period}", held=row[1], since=row[2], items=row[3],
        company=limit.company, law=limit.law,
    )  # fmt: skip


def _past(i: int) -> sql.Composed:
    return sql.SQL("w.{}").format(sql.Identifier(f"#past{i}"))
