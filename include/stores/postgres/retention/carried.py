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

from include.model.carried import Carried, Side, unstarted
from include.model.catalogue import Catalogue
from include.model.errors import CatalogueError
from include.model.estate import Dataset
from include.model.flow import Provision
from include.model.retention import Limit
from include.model.template import Template
from include.model.words import DatasetKind
from include.stores.postgres.live import Live
from include.stores.postgres.retention.bare import is_cut
from include.stores.postgres.server import Connection, joined, name
from include.stores.postgres.survey import column_of

_THERE = "SELECT to_regclass('quietus_handover.carried') IS NOT NULL"
_CARRIED = (
    "SELECT dataset, side, rule, period, law, company FROM quietus_handover.carried ORDER BY 1, 2, 3, 4, 5"
)
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


def carried(connection: Connection) -> dict[str, tuple[Carried, ...]]:
    """By dataset, each limit that some item came with; nothing in a database into which nothing was taken over."""
    row = connection.execute(_THERE).fetchone()
    found: dict[str, list[Carried]] = {}
    for dataset, side, rule, period, law, company in (
        connection.execute(_CARRIED).fetchall() if row and row[0] else ()
    ):
        found.setdefault(str(dataset), []).append(
            Carried(rule=rule, period=period, law=law, side=Side(side), company=company)
        )
    return {dataset: tuple(of) for dataset, of in found.items()}


@dataclass(frozen=True)
class Beside:
    """What came with row ``alias`` of a dataset, to put beside it. ``waits``: names of binds (rule/period) that may wait for a
    clock that came; ``released``: holds, each with its order, that came along and hold nothing any more; ``named``: of holds
    whose own word is wanted, the numbers under which each came."""

    live: Live
    dataset: Dataset
    limits: tuple[Carried, ...]
    waits: tuple[str, ...]
    released: Sequence[str]
    alias: str = "t"
    named: Sequence[Sequence[str]] = ()

    def join(self) -> sql.Composed:
        """At most one row beside each; always one."""
        columns: list[sql.Composable] = [
            sql.SQL("count(*) > 0 AS came"),
            sql.SQL("coalesce(bool_or(NOT (q.holds <@ {}::text[])), false) AS held").format(
                sql.Literal(list(self.released))
            ),
        ]
        if self.waits_for_accounts:
            columns.append(sql.SQL("max(q.since) AS since"))
        columns += (sql.SQL("{} AS {}").format(self._last(x), _limit(i)) for i, x in enumerate(self.limits))
        columns += (sql.SQL("{} AS {}").format(_waits(x), _waiting(i)) for i, x in enumerate(self.waits))
        columns += (
            sql.SQL("coalesce(bool_or(q.holds && {}::text[]), false) AS {}").format(
                sql.Literal(list(x)), _named(i)
            )
            for i, x in enumerate(self.named)
        )
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

    @property
    def waits_for_accounts(self) -> bool:
        """Whether a clock came that waits for the end of an account."""
        return any(b.start is None and f"{b.rule}/{b.period}" in self.waits for b in self.dataset.all_binds)

    @property
    def without_account(self) -> sql.Composable | None:
        """From when such a clock counts if the account is not here; null: the row did not come. None: none came."""
        return sql.SQL("{}.since").format(CAME) if self.waits_for_accounts else None

    def held_by(self, i: int) -> sql.Composed:
        """Whether this one of the ``named`` does."""
        return sql.SQL("{}.{}").format(CAME, _named(i))

    def day(self, limit: Carried) -> sql.Composed:
        """The last day that came; null: the row has no such limit."""
        return sql.SQL("{}.{}").format(CAME, _limit(self.limits.index(limit)))

    def clock(self, limit: Limit, left: Limit | None) -> tuple[sql.Composable, sql.Composable]:
        """Whether a limit that came applies, and its last day; null: not known. ``left``: the limit of what is left of cut rows.
        What is left of a row that was cut here ends by its own time: that the whole row was due is done with. One that came as
        what is left is due by what came."""
        assert limit.carried is not None  # noqa: S101
        day = self.day(limit.carried)
        applies = sql.SQL("({} IS NOT NULL)").format(day)
        if left is not None and limit.ceiling:
            of_cut = sql.SQL("" if (limit.rule, limit.period) == (left.rule, left.period) else "NOT ")
            applies = sql.SQL("({} AND {}({}))").format(applies, of_cut, is_cut(self.dataset))
        return applies, sql.SQL("nullif({}, 'infinity'::date)").format(day)

    def end(self, bind: str, own: sql.Composable) -> sql.Composed:
        """The last day of a floor of the catalogue's own (rule/period), given ``own`` by its own start: of a row that came what
        came; where its clock had not started, its own, and no last day while that has not started either."""
        came = [self.day(x) for x in self.limits if x.side is Side.FLOOR and x.name == bind]
        return sql.SQL(
            "CASE WHEN NOT {} THEN {} WHEN {} THEN coalesce({}, 'infinity'::date) ELSE {} END"
        ).format(self.came, own, self.waiting(bind), own, _greatest(came))

    def others(self, provision: Provision) -> tuple[Carried, ...]:
        """The floors that came and that the catalogue does not have."""
        ours = {f"{f.rule}/{f.period}" for f in provision.floors}
        return tuple(x for x in self.limits if x.side is Side.FLOOR and x.name not in ours)

    def waiting(self, bind: str) -> sql.Composable:
        """Whether a clock of this name came, and had not started."""
        if bind not in self.waits:
            return sql.SQL("false")
        return sql.SQL("coalesce({}.{}, false)").format(CAME, _waiting(self.waits.index(bind)))

    def _mine(self) -> sql.Composable:
        if self.dataset.kind is DatasetKind.OBJECTS:
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


def beside(
    catalogue: Catalogue, live: Live, dataset: Dataset, asked: Sequence[Limit], released: Sequence[str]
) -> Beside | None:
    """What came along with rows of a dataset, for a question about these limits; None: none of them was taken over."""
    taken = catalogue.taken.of(dataset.whole)
    if not taken:
        return None
    limits = tuple(x.carried for x in asked if x.carried is not None)
    return Beside(live, dataset, limits, unstarted(catalogue.dataset(dataset.whole), taken), released)


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


def _greatest(days: Sequence[sql.Composable]) -> sql.Composable:
    return sql.SQL("greatest({})").format(joined(", ", list(days))) if days else sql.SQL("NULL::date")


def _named(i: int) -> sql.Identifier:
    return sql.Identifier(f"by{i}")


def _waiting(i: int) -> sql.Identifier:
    return sql.Identifier(f"waits{i}")
