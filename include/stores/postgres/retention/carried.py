"""The clocks that came with what was taken over, as SQL beside one row: its own word on when each limit's last day is.

An item that came is judged by what came with it (``quietus_handover.clock``), and by a bind of its own only where that waits for
its clock to start. One that did not come is judged by the catalogue alone. Of an object's path the latest of all that lies under
it counts, as of a starting point that returns several rows; one that is not over outweighs all.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from include.model.carried import Carried, Side
from include.model.errors import CatalogueError
from include.model.estate import Dataset
from include.model.words import DatasetKind
from include.stores.postgres.live import Live
from include.stores.postgres.server import joined, name
from include.stores.postgres.survey import column_of

CAME = sql.Identifier("#came")
PLAIN = (
    "text",
    "varchar",
    "character varying",
    "bpchar",
    "smallint",
    "integer",
    "bigint",
    "int2",
    "int4",
    "int8",
    "uuid",
    "date",
)
"""Types of which a session cannot change how a value is written."""


@dataclass(frozen=True)
class Beside:
    """What came with row ``alias`` of a dataset, to put beside it. ``waits``: names of binds (rule/period) that may wait for a
    clock that came; ``released``: holds, each with its order, that came along and hold nothing any more."""

    live: Live
    dataset: Dataset
    limits: tuple[Carried, ...]
    waits: tuple[str, ...]
    released: Sequence[str]
    alias: str = "t"

    def join(self) -> sql.Composed:
        """At most one row beside each; always one."""
        columns: list[sql.Composable] = [
            sql.SQL("count(*) > 0 AS came"),
            sql.SQL("coalesce(bool_or(NOT (q.holds <@ {}::text[])), false) AS held").format(
                sql.Literal(list(self.released))
            ),
        ]
        columns += (sql.SQL("{} AS {}").format(self._last(x), _limit(i)) for i, x in enumerate(self.limits))
        columns += (sql.SQL("{} AS {}").format(_waits(x), _waiting(i)) for i, x in enumerate(self.waits))
        return sql.SQL(
            " LEFT JOIN LATERAL (SELECT {} FROM quietus_handover.clock AS q WHERE q.dataset = {} AND {}) AS {} ON true"
        ).format(joined(", ", columns), sql.Literal(self.dataset.whole), self._mine(), CAME)

    def any_came(self) -> sql.Composed:
        """The same as a condition by itself, for a question that does not join."""
        return sql.SQL("EXISTS (SELECT FROM quietus_handover.clock AS q WHERE q.dataset = {} AND {})").format(
            sql.Literal(self.dataset.whole), self._mine()
        )

    @property
    def came(self) -> sql.Composed:
        """Whether the row came."""
        return sql.SQL("{}.came").format(CAME)

    @property
    def held(self) -> sql.Composed:
        """Whether a hold that came along holds it still."""
        return sql.SQL("{}.held").format(CAME)

    def day(self, limit: Carried) -> sql.Composed:
        """The last day that came; null: the row has no such limit."""
        return sql.SQL("{}.{}").format(CAME, _limit(self.limits.index(limit)))

    def waiting(self, bind: str) -> sql.Composable:
        """Whether a clock of this name came, and had not started."""
        if bind not in self.waits:
            return sql.SQL("false")
        return sql.SQL("coalesce({}.{}, false)").format(CAME, _waiting(self.waits.index(bind)))

    def _mine(self) -> sql.Composable:
        if self.dataset.kind is DatasetKind.OBJECTS:
            from include.model.template import Template

            values = (name(self.alias, v) for v in Template(self.dataset.prefix).variables)
            return sql.SQL("q.path = ARRAY[{}]::text[]").format(joined(", ", values))
        return sql.SQL("q.key = {}").format(key_as_handed_over(self.live, self.dataset, self.alias))

    def _last(self, limit: Carried) -> sql.Composed:
        if limit.side is Side.DUE:
            return sql.SQL(
                "CASE WHEN bool_or(q.by = {} AND q.law = {}) THEN max(coalesce(q.due - 1, 'infinity')) END"
            ).format(sql.Literal(limit.name), sql.Literal(limit.law))
        what = {"rule": limit.rule, "period": limit.period, "floor": True, "law": limit.law}
        return sql.SQL(
            "max((SELECT max((r ->> 'ends')::date) FROM jsonb_array_elements(q.running) AS r WHERE r @> {}::jsonb))"
        ).format(sql.Literal(json.dumps(what)))


def key_as_handed_over(live: Live, dataset: Dataset, alias: str) -> sql.Composed:
    """The key of row ``alias`` as ``quietus_handover.item`` has it: COPY text, in UTC. Raises CatalogueError for a type of which
    a session may write a value in more than one way."""
    return sql.SQL("ARRAY[{}]").format(joined(", ", (_text(live, dataset, k, alias) for k in dataset.key)))


def _text(live: Live, dataset: Dataset, key: str, alias: str) -> sql.Composed:
    kind = column_of(live, dataset, key).base.partition("(")[0]
    if kind in ("timestamp with time zone", "timestamptz"):
        return sql.SQL("(({} AT TIME ZONE INTERVAL '0')::text || '+00')").format(name(alias, key))
    if kind not in PLAIN:
        raise CatalogueError(
            f"its items may come with clocks, and its key {key} is of type {kind}, by which none is found", about=dataset.id,
            next_step="nothing of it goes; have the key's type added to those that are known",
        )  # fmt: skip
    return sql.SQL("{}::text").format(name(alias, key))


def _waits(bind: str) -> sql.Composed:
    rule, _, period = bind.partition("/")
    what = [{"rule": rule, "period": period, "ends": None}]
    return sql.SQL("bool_or(q.running @> {}::jsonb)").format(sql.Literal(json.dumps(what)))


def _limit(i: int) -> sql.Identifier:
    return sql.Identifier(f"limit{i}")


def _waiting(i: int) -> sql.Identifier:
    return sql.Identifier(f"waits{i}")
