"""Rows of bags that a successor has signed for: the same rows that were packed, found for their disposal here.

The question of packing (``include.handover.clocks.stays``) as SQL: in the range of a bag, the rule by which the dataset goes
reaches a row, and it is not over, nor do two statutes collide. A row that is over is a night's. A held row stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from psycopg import sql

from include.stores.postgres.retention.look import Key, Look
from include.stores.postgres.server import joined


@dataclass(frozen=True, kw_only=True)
class Bagged(Look):
    """``mine``: which of the limits is the one by which the dataset goes; ``ranges``: of the bags, each after one key and up to
    another."""

    mine: int
    ranges: Sequence[tuple[Key | None, Key | None]]

    @cached_property
    def paged_by(self) -> tuple[str, ...]:
        """By key: bags are ranges of that."""
        return self.dataset.key

    def _early(self) -> sql.Composable:
        if not self.ranges:
            return sql.SQL("false")
        each = [sql.SQL("({})").format(self._range(after, upto)) for after, upto in self.ranges]
        return sql.SQL("({})").format(joined(" OR ", each))

    def _due(self) -> sql.Composed:
        return sql.SQL("(w.{} AND NOT {})").format(sql.Identifier(f"#applies{self.mine}"), super()._due())

    def still(self, then: str, now: str) -> sql.Composed:
        """Its clock may be gone, since the row that started it went with the same case; it is one of the bag's all the same. What
        runs to another day now is not what was packed."""
        mine = sql.Identifier(now, f"#applies{self.mine}")
        return sql.SQL('NOT {n}."#held" AND ({n}."#due" OR NOT {mine})').format(
            n=sql.Identifier(now), mine=mine
        )
