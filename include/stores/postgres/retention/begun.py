"""Clocks that have not begun: rows whose own start is null or lies ahead, and of these those that nothing can begin any more.

Most that has no start is as it must be: an account that has not ended, a session that nobody revoked. But where nothing but the
row's own dates ends it, and whoever it belongs to left long ago or is nobody, no one will write that date; and a start in a far
year is an error of whoever wrote it. Such rows are never due, and would stay for ever; so they are counted, and told.

Asked together with the dates that are none (:mod:`.unreadable`), in the same statements.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from psycopg import sql

from include.stores.postgres.periods import LATEST
from include.stores.postgres.retention.bare import is_cut
from include.stores.postgres.retention.look import ROWS, Key, Look, of_parts
from include.stores.postgres.retention.owners import Owners
from include.stores.postgres.retention.unreadable import odd, started_by
from include.stores.postgres.server import Connection, Server, joined, name, one
from include.stores.postgres.survey import moment_of

FAR = timedelta(days=3653)
"""A start further ahead than this is no agreed one: certificates and contracts of ten years begin or end within it."""
LONG_AGO = timedelta(days=90)
"""After the end of an account nobody writes a date of its rows any more: to cancel one takes fifteen working days."""


@dataclass(frozen=True)
class Begun:
    """Of one column that starts clocks of a dataset: rows with a date in it that is none (``odd``), without any (``none``), with
    one that lies ``ahead``; those whose clock can ``never`` begin, each at one column only. ``rules``: which start by it."""

    dataset: str
    column: str
    rules: tuple[str, ...]
    odd: int
    none: int
    ahead: int
    never: int


def begun(server: Server, connection: Connection, it: Look, rows: int = ROWS) -> list[Begun]:
    """Each column that starts a clock of a table, by its index, where one leads by it, and else part by part. Of a table of one
    part all columns are asked about at once."""
    columns = started_by(it)
    table = it.live.tables.get(it.dataset.address)
    found = []
    if table is not None and table.within(rows) and columns:
        every_column = [_Asked(it, columns[:n], column) for n, column in enumerate(columns)]
        with server.reaching(f"{server.store} {it.dataset.id}"):
            row = one(connection.execute(
                sql.SQL("SELECT {} FROM {} AS t WHERE {}").format(
                    joined(", ", (x.counts(it) for x in every_column)), name(it.dataset.address), it.whole()
                )
            ))  # fmt: skip
        return [
            Begun(it.dataset.id, c, _rules(it, c), *(int(x) for x in row[4 * n : 4 * n + 4]))
            for n, c in enumerate(columns)
        ]
    for n, column in enumerate(columns):
        ask = _Asked(it, columns[:n], column)
        if table is not None and table.led_by(column):
            with server.reaching(f"{server.store} {it.dataset.id}"):
                counts: Iterable[Sequence[Any]] = connection.execute(ask(it, None, None)).fetchall()
        else:
            every = replace(it, question=it.question.model_copy(update={"everything": True}))
            counts = of_parts(server, connection, every, ask, rows)
        sums = [sum(int(x) for x in of) for of in zip(*counts, strict=True)] or [0, 0, 0, 0]
        found.append(Begun(it.dataset.id, column, _rules(it, column), *sums))
    return found


@dataclass(frozen=True)
class _Asked:
    """The question about one column. ``before``: those that were asked before it, at which a row with several is counted."""

    it: Look
    before: Sequence[str]
    column: str

    def __call__(self, part: Look, after: Key | None, upto: Key | None) -> sql.Composed:
        wrong, none, ahead = self._kinds(part)
        return sql.SQL("SELECT {} FROM {} AS t WHERE ({} OR {} OR {}) AND {} AND {}").format(
            self.counts(part),
            name(part.dataset.address),
            none,
            ahead,
            wrong,
            part.between(after, upto),
            part.whole(),
        )

    def counts(self, part: Look) -> sql.Composed:
        """How many rows ``t`` are of each kind."""
        wrong, none, ahead = self._kinds(part)
        before = [sql.SQL("NOT {}").format(_bad(self.it, c)) for c in self.before]
        uncut = _uncut(part)
        never = joined(" AND ", (_bad(self.it, self.column), *before, uncut, _never(self.it)))
        return joined(
            ", ", (sql.SQL("count(*) FILTER (WHERE {})").format(x) for x in (wrong, none, ahead, never))
        )

    def _kinds(self, part: Look) -> tuple[sql.Composed, sql.Composed, sql.Composed]:
        wrong, uncut = odd(self.it, self.column), _uncut(part)
        none = sql.SQL("({} IS NULL AND {})").format(name("t", self.column), uncut)
        later = _later(self.it, self.column, self.it.question.as_of)
        return wrong, none, sql.SQL("({} AND NOT {} AND {})").format(later, wrong, uncut)


def _never(it: Look) -> sql.Composable:
    """Whether the clock of row ``t`` can never begin: no ceiling has a date to begin by, or a floor has none, which forbids for
    ever; and nobody is left who would write it, or it is of a far year. Where the end of an account ends the row, too, only if
    there is no account. What a query says of when a clock began is its own affair, and so are clocks that came along."""
    limits = [x for x in it.question.limits if not x.rest]
    if it.came is not None:
        return sql.SQL("false")
    owners = Owners(it.catalogue, it.live)
    # A row that names nobody (a guest's ticket) may be open, and somebody works on it: nothing says since when.
    unknown = sql.SQL("({} AND NOT ({}))").format(
        owners.named(it.dataset, "t"), owners.known(it.dataset, "t", owning=True)
    )
    left = sql.SQL("({} OR coalesce({} <= {}::date, false))").format(
        unknown, owners.ended(it.dataset, "t"), sql.Literal(it.question.as_of - LONG_AGO)
    )
    ways: list[sql.Composable] = []
    starts = [(x.start, _own_end(it)) for x in limits if x.ceiling]
    columns = sorted({c for start, own in starts if (c := own if start is None else start.column)})
    if columns and all(start is None or start.column for start, _ in starts):
        bad = joined(" AND ", (_bad(it, c) for c in columns))
        if any(start is None and own is None for start, own in starts):
            ways.append(sql.SQL("({} AND {})").format(bad, unknown))
        else:
            far = joined(" OR ", (_far(it, c) for c in columns))
            ways.append(sql.SQL("({} AND ({} OR {}))").format(bad, left, far))
    for c in sorted({x.start.column for x in limits if x.floor and x.start and x.start.column}):
        ways.append(sql.SQL("({} AND ({} OR {}))").format(_bad(it, c), left, _far(it, c)))
    return sql.SQL("({})").format(joined(" OR ", ways)) if ways else sql.SQL("false")


def _bad(it: Look, column: str) -> sql.Composed:
    return sql.SQL("({} IS NULL OR {})").format(name("t", column), _far(it, column))


def _far(it: Look, column: str) -> sql.Composed:
    """Ahead by more than anything is agreed; a date that no calendar counts on is told as one that is none."""
    return sql.SQL("({} AND {} < {}::date)").format(
        _later(it, column, it.question.as_of + FAR), name("t", column), sql.Literal(LATEST)
    )


def _later(it: Look, column: str, day: date) -> sql.Composed:
    """Whether a start lies after a day in China."""
    kind = moment_of(it.live, it.dataset, column)
    next_ = day + timedelta(days=1)
    value = f"{next_.isoformat()} 00:00:00+08" if kind == "timestamptz" else next_.isoformat()
    return sql.SQL("coalesce({} >= {}::{}, false)").format(
        name("t", column), sql.Literal(value), sql.SQL(kind)
    )


def _uncut(it: Look) -> sql.Composable:
    """What is left of a cut row has an end of its own."""
    return sql.SQL("true") if it.rest is None else sql.SQL("NOT ({})").format(is_cut(it.dataset))


def _own_end(it: Look) -> str | None:
    """The column that says when it ended itself, of the accounts."""
    return it.dataset.accounts.ended if it.dataset.accounts is not None else None


def _rules(it: Look, column: str) -> tuple[str, ...]:
    """The rules whose periods begin by a column."""
    own = _own_end(it) == column
    return tuple(dict.fromkeys(
        f"{x.rule}/{x.period}" for x in it.question.limits
        if (x.start.column == column if x.start is not None else own)
    ))  # fmt: skip
