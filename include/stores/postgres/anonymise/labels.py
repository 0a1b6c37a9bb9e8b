"""What a value becomes at a level of its hierarchy, as SQL over a column. Level 0 is the value, the top ``*``."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg import sql

from include.model.errors import CatalogueError
from include.model.releases import Quasi, Release

TOP = "*"
BEIJING = "Asia/Shanghai"
_PARTS = {"day": "YYYY-MM-DD", "month": "YYYY-MM", "quarter": 'YYYY-"Q"Q', "year": "YYYY"}
_MOMENTS = {"timestamp with time zone", "timestamp without time zone", "date"}
_NUMBERS = {"smallint", "integer", "bigint", "numeric", "real", "double precision"}


@dataclass(frozen=True)
class Labels:
    """The labels of one release. ``types``: of the columns of its dataset, as ``format_type`` calls them.

    Rows that move get texts, which say themselves how coarse they are (``2026-03``, ``[20, 40)``). In place a column keeps its
    type, so there a label is the beginning of its span, and the top is null.
    """

    release: Release
    types: dict[str, str]

    @property
    def texts(self) -> bool:
        return self.release.into is not None

    def bounds(self) -> tuple[tuple[int, int], ...]:
        """Of each known column, the finest and the coarsest level that may be used."""
        found = [(min(q.at_least, q.top), q.top) for q in self.release.quasi.values()]
        return (*found, *((0, 0) for _ in self.release.plain))

    def at(self, node: tuple[int, ...], alias: str) -> list[sql.Composable]:
        """The label of each known column at a node's levels, over the raw columns of ``alias``."""
        return [
            self._one(column, level, sql.Identifier(alias, column))
            for column, level in zip(self.release.known, node, strict=True)
        ]

    def top(self) -> list[sql.Composable]:
        """What every quasi-identifier of a row becomes that is generalised to the top; plain columns stay."""
        return [self._top(c) for c in self.release.quasi]

    def _top(self, column: str) -> sql.Composable:
        return sql.Literal(TOP) if self.texts else sql.SQL("NULL::{}").format(self._type(column))

    def _type(self, column: str) -> sql.SQL:
        return sql.SQL(self.types[column])  # the server's own word

    def _one(self, column: str, level: int, value: sql.Composable) -> sql.Composable:
        quasi = self.release.quasi.get(column)
        if quasi is None:
            return value
        if level >= quasi.top:
            return self._top(column)
        if level == 0:
            return sql.SQL("{}::text").format(value) if self.texts else value
        kind = self.types[column]
        wrong = CatalogueError(
            f"'{column}' is of type {kind}, which no {quasi.kinds[0]} is made of",
            about=f"release {self.release.id}", next_step="correct the column's hierarchy",
        )  # fmt: skip
        if (quasi.date and kind not in _MOMENTS) or (quasi.band and kind not in _NUMBERS):
            raise wrong
        if quasi.date:
            made = self._date(quasi.date[level - 1], value, kind)
        elif quasi.band:
            made = self._band(quasi.band[level - 1], value, kind)
        elif quasi.prefix:
            made = self._prefix(quasi.prefix[level - 1], value, kind)
        else:
            made = self._map(quasi, level, value, column)
        return made

    def _date(self, part: str, value: sql.Composable, kind: str) -> sql.Composable:
        zoned = kind == "timestamp with time zone"
        local = sql.SQL("({} AT TIME ZONE {})" if zoned else "{}::timestamp").format(
            *((value, sql.Literal(BEIJING)) if zoned else (value,))
        )
        if self.texts:
            return sql.SQL("to_char({}, {})").format(local, sql.Literal(_PARTS[part]))
        began = sql.SQL("date_trunc({}, {})").format(sql.Literal(part), local)
        if zoned:
            return sql.SQL("({} AT TIME ZONE {})").format(began, sql.Literal(BEIJING))
        return sql.SQL("{}::{}").format(began, sql.SQL(kind))  # one of _MOMENTS

    def _band(self, width: int, value: sql.Composable, kind: str) -> sql.Composable:
        low = sql.SQL("(floor({v}::numeric / {w}) * {w})").format(v=value, w=sql.Literal(width))
        if not self.texts:
            return sql.SQL("{}::{}").format(low, sql.SQL(kind))  # one of _NUMBERS
        return sql.SQL("'[' || {low} || ', ' || {low} + {w} || ')'").format(low=low, w=sql.Literal(width))

    def _prefix(self, length: int, value: sql.Composable, kind: str) -> sql.Composable:
        cut = sql.SQL("left({}::text, {})").format(value, sql.Literal(length))
        if self.texts:
            return sql.SQL("{} || {}").format(cut, sql.Literal(TOP))
        return sql.SQL("{}::{}").format(cut, sql.SQL(kind))  # the server's own word

    def _map(self, quasi: Quasi, level: int, value: sql.Composable, column: str) -> sql.Composable:
        cases = [
            sql.SQL("WHEN {} THEN {}").format(sql.Literal(of), sql.Literal(up[level - 1]))
            for of, up in quasi.map.items()
            if len(up) >= level
        ]
        other = sql.Literal(TOP) if self.texts else sql.SQL("NULL")
        # A null is a value like others: nobody may be told from it.
        made = sql.SQL(
            "CASE WHEN {v} IS NULL THEN NULL ELSE CASE {v}::text {cases} ELSE {other} END END"
        ).format(v=value, cases=sql.SQL(" ").join(cases), other=other)
        return made if self.texts else sql.SQL("({})::{}").format(made, self._type(column))
