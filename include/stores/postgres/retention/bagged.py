"""Items of bags that a successor has signed for: the same that were packed, found for their disposal here.

The question of packing (``include.handover.clocks.stays``) as SQL: in the range of a bag, a floor by which items are handed over
reaches an item and is not over, or it is what is left of a cut row. What is over is not the successor's. A held one stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from psycopg import sql

from include.model.handover import HANDED_OVER
from include.stores.postgres.retention.look import Key, Look, over
from include.stores.postgres.retention.paths import Paths
from include.stores.postgres.server import joined


@dataclass(frozen=True, kw_only=True)
class _Packed(Look):
    """The limits by which items are handed over: floors, and what is left of a cut row."""

    def _due(self) -> sql.Composed:
        runs = (
            sql.SQL("({} AND NOT ({}))").format(self._applies("w", i), over(i, self.question.limits[i]))
            for i in self._handed
        )
        return self._any(runs)

    def _reached(self, row: str) -> sql.Composed:
        return self._any(self._applies(row, i) for i in self._handed)

    @property
    def _handed(self) -> list[int]:
        return [
            i for i, x in enumerate(self.question.limits) if (x.floor or x.rest) and x.rule in HANDED_OVER
        ]

    @staticmethod
    def _applies(row: str, i: int) -> sql.Identifier:
        return sql.Identifier(row, f"#applies{i}")

    @staticmethod
    def _any(parts: Iterable[sql.Composable]) -> sql.Composed:
        return sql.SQL("({})").format(joined(" OR ", list(parts) or [sql.SQL("false")]))


@dataclass(frozen=True, kw_only=True)
class Bagged(_Packed):
    """Rows. ``ranges``: of the bags, each after one key and up to another. ``clocks_go``: rows by which their clocks start go
    with the same case."""

    ranges: Sequence[tuple[Key | None, Key | None]]
    clocks_go: bool = False

    @cached_property
    def paged_by(self) -> tuple[str, ...]:
        """By key: bags are ranges of that."""
        return self.dataset.key

    def _early(self) -> sql.Composable:
        if not self.ranges:
            return sql.SQL("false")
        each = [sql.SQL("({})").format(self._range(after, upto)) for after, upto in self.ranges]
        return sql.SQL("({})").format(joined(" OR ", each))

    def still(self, then: str, now: str) -> sql.Composed:
        """Its clock may be gone, or show the day of another row (one of two signatures of a contract), since the row that started
        it went with the same case; it is one of the bag's all the same. Else what runs to another day is not what was packed."""
        if self.clocks_go:
            return sql.SQL('NOT {}."#held"').format(sql.Identifier(now))
        return sql.SQL('NOT {n}."#held" AND ({n}."#due" OR NOT {mine})').format(
            n=sql.Identifier(now), mine=self._reached(now)
        )


@dataclass(frozen=True, kw_only=True)
class BaggedPaths(_Packed, Paths):
    """Paths of objects. Which keys below them are a bag's, whoever lists the bucket knows."""
