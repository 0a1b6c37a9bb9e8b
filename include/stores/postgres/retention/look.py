"""What is due in one table: ranges of it, each one bounded statement; rows in, groups of equal clocks out.

A table is gone through by its primary key; where one date of the row alone says what can be due and an index leads by it, by
that date, so that of twenty million rows only those are read that can be due. Nothing leaves the server but the key or moment
that a range ends at, which is what the next one begins after. The rows that are due are the same condition in
:meth:`Look.groups`, which counts them, and in :meth:`Look.due_rows`, which a disposing step puts into its key table page by
page, and asks again of the keys that it is about to dispose of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, Self, TypeVar

from psycopg import sql

from include.model.catalogue import Catalogue
from include.model.estate import Dataset
from include.model.retention import Clock, Group, Limit, Question
from include.model.words import Disposition
from include.stores.postgres.area import same_key
from include.stores.postgres.live import Live
from include.stores.postgres.retention.bare import is_cut, not_yet_disposed
from include.stores.postgres.retention.carried import Beside, beside
from include.stores.postgres.retention.clocks import before, shifted
from include.stores.postgres.retention.needs import Held
from include.stores.postgres.retention.owners import Owners
from include.stores.postgres.retention.starts import starting_point
from include.stores.postgres.server import Connection, Server, joined, name
from include.stores.postgres.survey import column_of, moment_of

ROWS = 50_000  # of a table in one statement; what goes by an account or a query costs more a row than a scan does
_FULL = sql.Identifier("#full")  # no column of a company begins with ``#``
Key = tuple[str, ...]
GOING_WHOLE = (
    Disposition.ERASE.value,
    Disposition.DEIDENTIFY.value,
)  # of these a cut is not the end, when a service ends
L = TypeVar("L", bound="Look")


@dataclass(frozen=True)
class Look:
    """One question about one table, as SQL. ``kinds``: starting-point query -> type of its ``started_at``; ``others``: whom the
    holds name in the datasets whose rows may need one of these; ``released``: holds that came along with items, and hold nothing
    any more."""

    catalogue: Catalogue
    live: Live
    dataset: Dataset
    question: Question
    kinds: Mapping[str, str]
    held: Sequence[str] = field(default=(), repr=False)
    everybody_held: bool = False
    others: Mapping[str, Held] = field(default_factory=dict, repr=False)
    released: Sequence[str] = ()

    def asked(self) -> dict[str, Any]:
        """Of what it was made, for a look of another kind at the same."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    # --- what is asked ---------------------------------------------------------------------------------

    def groups(self, after: Key | None, upto: Key | None) -> sql.Composed:
        """The rows of a range of keys that are due, or that no limit applies to, grouped: per limit whether it applies and its
        day, whether held, and how many."""
        of = self.question.limits
        parts = [
            sql.SQL("w.{}").format(_c(kind, i)) for i in range(len(of)) for kind in ("applies", "day")
        ] + [sql.SQL('w."#held"')]
        return sql.SQL(
            "WITH {ctes} SELECT {parts}, {count} FROM ({rows}) AS w WHERE {due} GROUP BY {parts}"
        ).format(
            count=self._count(), ctes=self._ctes(self._part(self._range(after, upto))), parts=joined(", ", parts),
            rows=self._judged(), due=sql.SQL("true") if self.question.everything else self._told(),
        )  # fmt: skip

    def due_rows(self, within: sql.Composable) -> sql.Composed:
        """Key and clocks of the rows ``t`` within that are due and not held; in order of key, where the table is gone through by
        that, and else as the date's index gives them."""
        in_order: sql.Composable = sql.SQL("")
        if self.paged_by == self.dataset.key:
            in_order = sql.SQL(" ORDER BY {}").format(self._columns("w"))
        return sql.SQL("{} AND {}{}").format(self._not_held(within), self._due(), in_order)

    def may_be_due(self, within: sql.Composable) -> sql.Composed:
        """The same of more rows, in no order: :meth:`is_due` says of which it holds, by the columns ``w`` of ``said`` alone, so
        that it can be asked of many rows at once."""
        return self._not_held(within)

    def is_due(self) -> sql.Composed:
        return self._due()

    def _not_held(self, within: sql.Composable) -> sql.Composed:
        return sql.SQL('WITH {ctes} SELECT {key}, {clocks} FROM ({rows}) AS w WHERE NOT w."#held"').format(
            ctes=self._ctes(self._part(within)), key=self._columns("w"), clocks=joined(", ", self._said()),
            rows=self._judged(),
        )  # fmt: skip

    def again(self, keys: sql.Composable) -> sql.Composed:
        """The same of rows with these keys, due or not: key, clocks, and whether it is due, a floor runs, it is held. Each row is
        fetched by its key, whatever other index promises: of a million rows that are due some thousands are asked about."""
        part = sql.SQL(
            "SELECT t.* FROM ({}) AS k CROSS JOIN LATERAL (SELECT t.* FROM {} AS t WHERE {} OFFSET 0) AS t WHERE {} AND {}"
        ).format(
            keys, name(self.dataset.address), same_key("t", "k", self.dataset), self._early(), self._not_yet_disposed()
        )  # fmt: skip
        return sql.SQL(
            'WITH {ctes} SELECT {key}, {clocks}, {due} AS "#due", {runs} AS "#runs", w."#held" FROM ({rows}) AS w'
        ).format(
            ctes=self._ctes(part), key=self._columns("w"), clocks=joined(", ", self._said()), due=self._due(),
            runs=self._runs(), rows=self._judged(),
        )  # fmt: skip

    def going(self, keys: sql.Composable) -> sql.Composed:
        """Whether row ``t`` has one of these keys and is, by the same question, due now and not held."""
        if not self.plain:
            due = sql.SQL('SELECT {} FROM ({}) AS w WHERE w."#due" AND NOT w."#held"')
            return self._among(keys, due.format(self._columns("w"), self.again(keys)))
        return sql.SQL(
            '{among} AND {early} AND {not_yet} AND (SELECT {due} AND NOT w."#held" FROM (SELECT {clocks}) AS w)'
        ).format(
            among=self._among(keys, keys), early=self._early(), not_yet=self._not_yet_disposed(), due=self._due(),
            clocks=self._clocks()[0],
        )  # fmt: skip

    def still(self, then: str, now: str) -> sql.Composed:
        """Whether what was due ``then`` is to go ``now``. A clock that is gone took its row along, tonight or by somebody's own
        case: that it was over stays true. One that shows another day, or runs again, does not."""
        vanished, moved = [], []
        for i in range(len(self.question.limits)):
            was, is_ = sql.Identifier(then, f"#applies{i}"), sql.Identifier(now, f"#applies{i}")
            vanished.append(sql.SQL("({} AND NOT {})").format(was, is_))
            if f"#day{i}" in self.said:
                days = [sql.Identifier(x, f"#day{i}") for x in (then, now)]
                moved.append(sql.SQL("({} AND {} IS DISTINCT FROM {})").format(is_, *days))
        same: sql.Composable = sql.SQL("true")
        if (
            self.rest is not None
        ):  # cut meanwhile, by somebody's own case or a part: what is left has its own time
            same = sql.SQL("({} = {} OR ({} = 'erase' AND {} AND {}))").format(
                *(sql.Identifier(x, f"#applies{self.rest}") for x in (then, now)),
                sql.Identifier(then, "disposition"), sql.Identifier(now, f"#applies{self.rest}"), sql.Identifier(now, "#due"),
            )  # fmt: skip
        return sql.SQL(
            'NOT {n}."#held" AND {same} AND ({n}."#due" OR (({vanished}) AND NOT {n}."#runs" AND NOT ({moved})))'
        ).format(n=sql.Identifier(now), same=same, vanished=_any(vanished), moved=_any(moved))

    @property
    def rest(self) -> int | None:
        """Which limit is that of what is left of cut rows."""
        return next((i for i, x in enumerate(self.question.limits) if x.rest), None)

    def goes_whole(self) -> sql.Composed:
        """Of a row that is due, by the columns of ``said``: whether it goes as a whole though its kind is cut, for it was cut and
        the time of what was left is over, or would be as soon as it is cut."""
        if self.rest is None:
            return sql.SQL("false").format()
        whole: sql.Composable = sql.Identifier(f"#applies{self.rest}")
        if f"#day{self.rest}" in self.said:
            whole = sql.SQL("({} OR coalesce({} <= {}::date, false))").format(
                whole, sql.Identifier(f"#day{self.rest}"), sql.Literal(self.question.limits[self.rest].over)
            )
        return sql.SQL("({})").format(whole)

    def between(self, after: Key | None, upto: Key | None) -> sql.Composable:
        """Whether row ``t`` lies in a range of keys."""
        return self._range(after, upto)

    def whole(self) -> sql.Composable:
        """Whether row ``t`` was not cut yet."""
        return self._not_yet_disposed()

    @property
    def said(self) -> tuple[str, ...]:
        """The columns by which :meth:`due_rows` says why a row is due, beside its key."""
        return tuple(f"#{kind}{i}" for i in range(len(self.question.limits)) for kind in ("applies", "day"))

    def edge(self, after: Key | None, limit: int) -> sql.Composed:
        """Where the next so many rows end, as text; no row: nothing is left."""
        return sql.SQL("SELECT {} FROM {} LIMIT 1").format(self._edge_texts(), self._edges(after, limit))

    def _edge_or_end(self, after: Key | None, limit: int) -> sql.Composed:
        """The same, and whether so many were there: if not, it is the table's end."""
        return sql.SQL("SELECT {}, e.{} FROM {} LIMIT 1").format(
            self._edge_texts(), _FULL, self._edges(after, limit)
        )

    def _edge_texts(self) -> sql.Composed:
        return joined(", ", (sql.SQL("e.{}::text").format(name(k)) for k in self.paged_by))

    def _edges(self, after: Key | None, limit: int) -> sql.Composed:
        by, rows = joined(", ", (name("t", k) for k in self.paged_by)), self._rest(after)
        return sql.SQL(
            "((SELECT {by}, true AS {full} FROM {rows} ORDER BY {by} OFFSET {n} LIMIT 1) UNION ALL"
            " (SELECT {by}, false FROM {rows} ORDER BY {down} LIMIT 1)) AS e"
        ).format(
            by=by, rows=rows, n=sql.Literal(limit - 1), full=_FULL,
            down=joined(", ", (sql.SQL("{} DESC").format(name("t", k)) for k in self.paged_by)),
        )  # fmt: skip

    def parts(
        self, server: Server, connection: Connection, rows: int
    ) -> Iterator[tuple[Self, Key | None, Key | None]]:  # fmt: skip
        """Ranges of so many rows each: after which it begins, and where it ends. Rows of one and the same moment are in one. Of a
        table that is known to have no more nobody asks where it ends: it is one range without an end."""
        if (table := self.live.tables.get(self.dataset.address)) is not None and table.within(rows):
            yield self, None, None
            return
        after: Key | None = None
        full = True
        while full:  # most tables of most companies are one range, and are not asked for another
            with server.reaching(f"{server.store} {self.dataset.id}"):
                edge = connection.execute(self._edge_or_end(after, rows)).fetchone()
            if edge is None:
                return
            *key, full = edge
            upto = tuple(str(v) for v in key)
            yield self, after, upto
            after = upto

    # --- of what it is made ----------------------------------------------------------------------------

    def _among(self, keys: sql.Composable, those: sql.Composable) -> sql.Composed:
        """Whether row ``t`` has one of ``those`` keys, all of which are among ``keys``. It is found by its key, whatever other
        index promises, and never by going through a table's keys from the first."""
        if len(self.dataset.key) == 1:
            return sql.SQL("{} = ANY(ARRAY({}))").format(self._columns("t"), those)
        first = self.dataset.key[0]
        return sql.SQL("{} = ANY(ARRAY(SELECT {} FROM ({}) AS k)) AND ({}) IN ({})").format(
            name("t", first), name("k", first), keys, self._columns("t"), those
        )

    @cached_property
    def paged_by(self) -> tuple[str, ...]:
        """The columns whose order the table is gone through in."""
        alone, table = self._alone(), self.live.tables.get(self.dataset.address)
        if (
            alone is None
            or self.came is not None
            or self.question.everything
            or table is None
            or not table.led_by(alone)
        ):
            return self.dataset.key
        return (alone,)

    def _alone(self) -> str | None:
        """The row's own column whose date alone says whether it can be due: up to one moment, and not after it."""
        ways = {(x.start.column if x.start else None, x.minutes) for x in self._ceilings()}
        return ways.pop()[0] if len(ways) == 1 else None

    def _ceilings(self) -> list[Limit]:
        """The limits of which one is over, of whatever is due; none, where rows that were not cut go by floors alone."""
        found = [x for x in self.question.limits if x.ends]
        return found if any(not x.rest for x in found) else []

    def _rest(self, after: Key | None) -> sql.Composed:
        """The rows ``t`` that are still to be gone through."""
        able = sql.SQL("true") if self.paged_by == self.dataset.key else self._early()
        return sql.SQL("{table} AS t WHERE {where} AND {able}").format(
            table=name(self.dataset.address), where=self._range(after, None), able=able
        )

    def _columns(self, alias: str) -> sql.Composed:
        return joined(", ", (name(alias, k) for k in self.dataset.key))

    def _said(self) -> list[sql.Composable]:
        return [sql.SQL("w.{}").format(sql.Identifier(c)) for c in self.said]

    def _range(self, after: Key | None, upto: Key | None) -> sql.Composed:
        by = joined(", ", (name("t", k) for k in self.paged_by))
        parts = [
            sql.SQL("({}) {} ({})").format(by, sign, self._values(key))
            for sign, key in ((sql.SQL(">"), after), (sql.SQL("<="), upto))
            if key is not None
        ]
        return joined(" AND ", parts) if parts else sql.SQL("true").format()

    def _values(self, key: Key) -> sql.Composed:
        return joined(
            ", ",
            (
                sql.SQL("{}::{}").format(sql.Literal(v), sql.SQL(column_of(self.live, self.dataset, k).base))
                for k, v in zip(self.paged_by, key, strict=True)
            ),
        )

    def _ctes(self, part: sql.Composable) -> sql.Composed:
        """The rows that can be due; whose they are; and what the starting points say of these people."""
        kept = sql.SQL("NOT MATERIALIZED" if self.plain else "MATERIALIZED")
        ctes = [sql.SQL("part AS {} ({})").format(kept, part)]
        queries = sorted({x.start.query for x in self.question.limits if x.start and x.start.query})
        if queries:
            people = Owners(self.catalogue, self.live).subjects(self.dataset, name("part"))
            ctes.append(
                sql.SQL(
                    "cohort(subject_no, subject_id) AS MATERIALIZED (SELECT (row_number() OVER ())::int, id"
                    " FROM (SELECT DISTINCT id FROM ({}) AS x) AS y)"
                ).format(people)
            )
        ctes += (sql.SQL("{} AS MATERIALIZED ({}\n)").format(_start(q), self._query(q)) for q in queries)
        return joined(", ", ctes)

    def _part(self, within: sql.Composable) -> sql.Composed:
        return sql.SQL("SELECT t.* FROM {} AS t WHERE {} AND {} AND {}").format(
            name(self.dataset.address), within, self._early(), self._not_yet_disposed()
        )

    def _count(self) -> sql.Composable:
        return sql.SQL("count(*)")

    def _query(self, query: str) -> sql.Composable:
        return starting_point(self.catalogue, query, self.question.as_of)

    def _judged(self) -> sql.Composed:
        """Every row of the range with, per limit, whether it applies and the day its clock started."""
        columns, source = self._clocks()
        return sql.SQL("SELECT {}, {} FROM {}").format(self._columns("t"), columns, source)

    @property
    def plain(self) -> bool:
        """Whether a row's own dates are all that it is judged by."""
        return self.came is None and all(
            x.start and x.start.column and not x.unless for x in self.question.limits
        )

    @cached_property
    def came(self) -> Beside | None:
        """What came along with rows; None: none of them was taken over."""
        return beside(self.catalogue, self.live, self.dataset, self.question.limits, self.released)

    def _clocks(self) -> tuple[sql.Composable, sql.Composable]:
        """What row ``t`` is judged by, and what to read that from: the rows, and starting points joined to them."""
        join, ended = self._ended()
        source: sql.Composable = sql.SQL("part AS t{}").format(join)
        columns: list[sql.Composable] = []
        came = self.came
        if came is not None:
            source = sql.SQL("{}{}").format(source, came.join())
        for i, limit in enumerate(self.question.limits):
            applies: sql.Composable = sql.SQL("true")
            if came is not None and limit.carried is not None:
                left = self.question.limits[self.rest] if self.rest is not None else None
                applies, day = came.clock(limit, left)
                columns += (
                    sql.SQL("{} AS {}").format(applies, _c("applies", i)),
                    sql.SQL("{} AS {}").format(day, _c("day", i)),
                )
                continue
            if limit.start is None:
                day = shifted(ended, "date", limit.minutes)
            elif limit.start.column is not None:
                kind = self._kind(limit.start.column)
                day = shifted(name("t", limit.start.column), kind, limit.minutes)
            else:
                source = sql.SQL("{} LEFT JOIN {}").format(source, self._joined(i, limit))
                applies = sql.SQL("{} IS NOT NULL").format(name(f"s{i}", "day"))
                day = sql.SQL("nullif({}, 'infinity'::date)").format(name(f"s{i}", "day"))
            day = self._of_others(limit, day)
            if came is not None and not limit.rest and (limit.floor or self.dataset.part_of is None):
                waits = came.waiting(f"{limit.rule}/{limit.period}")
                applies = sql.SQL("CASE WHEN {} THEN {} ELSE {} END").format(came.came, waits, applies)
            if self.rest is not None:
                applies = sql.SQL("({} AND {})").format(applies, self._of_its_kind(limit, day))
            elif limit.floor and (row := self._row_of_a_part()) is not None:
                applies = sql.SQL("({} AND {})").format(applies, _told(row, day))
            columns += (
                sql.SQL("{} AS {}").format(applies, _c("applies", i)),
                sql.SQL("{} AS {}").format(day, _c("day", i)),
                *self._more(i, limit),
            )
        held = (
            sql.SQL("true") if self.everybody_held
            else Owners(self.catalogue, self.live).among(self.dataset, "t", self.held)
        )  # fmt: skip
        if came is not None:
            held = sql.SQL("({} OR {})").format(held, came.held)
        columns.append(sql.SQL('{} AS "#held"').format(held))
        return joined(", ", columns), source

    def _of_its_kind(self, limit: Limit, day: sql.Composable) -> sql.Composed:
        """Whether a limit is about row ``t``: one of what is left is about cut rows, all others about the rest. But a floor that
        can still be told runs on: a row may look cut that nobody cut."""
        cut = is_cut(self.dataset)
        if limit.rest:
            return sql.SQL("({})").format(cut)
        return _told(self.dataset, day) if limit.floor else sql.SQL("NOT ({})").format(cut)

    def _row_of_a_part(self) -> Dataset | None:
        """What a part is a part of, if its rows are cut: nobody may lead to them then, by whose account a floor counts."""
        if self.dataset.part_of is None:
            return None
        row = self.catalogue.dataset(self.dataset.part_of)
        return row if row.cut is not None else None

    def _of_others(self, limit: Limit, started: sql.Composable) -> sql.Composable:
        """When a clock started; of a former period never, if the row's owners accepted the longer one. A row that nobody owns has
        nobody's consent. That a clock did not start, and not that the limit does not apply: whoever accepts while a night is at
        work moves the date of what was due, and keeps it."""
        if not limit.unless:
            return started
        return sql.SQL("CASE WHEN NOT {} THEN {} END").format(
            Owners(self.catalogue, self.live).accepted(self.dataset, "t", limit.unless), started
        )

    def _ended(self) -> tuple[sql.Composable, sql.Composable]:
        """What to join to the row, and the day on which its owner's account ended in that; nothing, if no limit asks."""
        if all(x.start for x in self.question.limits):
            return sql.SQL(""), sql.SQL("NULL::date")
        stop, catalogue = self.catalogue.stop, self.catalogue
        if stop is not None and not stop.over and not any(x.floor for x in self.question.limits):
            catalogue = catalogue.model_copy(update={"stop": None})
        owners = Owners(catalogue, self.live, None if self.came is None else self.came.without_account)
        return owners.ended_beside(self.dataset, "t") or (sql.SQL(""), owners.ended(self.dataset, "t"))

    def _more(self, i: int, limit: Limit) -> Sequence[sql.Composable]:
        """What else of a limit's clock a row is judged by."""
        return ()

    def _joined(self, i: int, limit: Limit) -> sql.Composed:
        """The starting point's rows by what they are joined on. Of several the latest counts; an open one outweighs all."""
        assert limit.start is not None and limit.start.query is not None  # noqa: S101
        on, query = limit.start.on, limit.start.query
        theirs = joined(", ", (name("q", b) for b in on.values()))
        return sql.SQL(
            "(SELECT {theirs}, {last} FROM {start} AS q GROUP BY {theirs}) AS {s} ON {match}"
        ).format(
            theirs=theirs, last=joined(", ", self._last(limit)), start=_start(query), s=name(f"s{i}"),
            match=joined(" AND ", (self._same(name("t", a), name(f"s{i}", b)) for a, b in on.items())),
        )  # fmt: skip

    def _same(self, mine: sql.Composable, theirs: sql.Composable) -> sql.Composable:
        return sql.SQL("{} = {}").format(mine, theirs)

    def _last(self, limit: Limit) -> list[sql.Composed]:
        """Of several rows of a starting point the latest."""
        assert limit.start is not None and limit.start.query is not None  # noqa: S101
        day = shifted(name("q", "started_at"), self.kinds[limit.start.query], limit.minutes)
        return [sql.SQL("max(coalesce({}, 'infinity'::date)) AS day").format(day)]

    def _runs(self) -> sql.Composable:
        """Whether a floor is not over."""
        return _any([
            sql.SQL("(w.{} AND NOT ({}))").format(_c("applies", i), over(i, x))
            for i, x in enumerate(self.question.limits) if x.floor
        ])  # fmt: skip

    def _due(self) -> sql.Composed:
        """No floor runs, and a ceiling is over; where no ceiling applies, or the purpose ended while it ran, a floor was. Or two
        statutes collide, which the answer must tell, too."""
        of = list(enumerate(self.question.limits))
        ceilings = [sql.SQL("({} AND {})").format(self._ends(x), ended(i, x)) for i, x in of if x.ends]
        no_ceiling = [
            sql.SQL("NOT ({} AND w.{})").format(self._ends(x), _c("applies", i)) for i, x in of if x.ceiling
        ]
        floors = [sql.SQL("w.{}").format(_c("applies", i)) for i, x in of if x.floor]
        due = sql.SQL("NOT ({runs}) AND ({ceilings} OR ({none} AND ({floors})))").format(
            runs=self._runs(), ceilings=_any(ceilings), none=joined(" AND ", no_ceiling or [sql.SQL("true")]),
            floors=_any(floors),
        )  # fmt: skip
        return sql.SQL("(({}) OR ({}))").format(due, self._collides())

    def _told(self) -> sql.Composable:
        return sql.SQL("({} OR {})").format(self._due(), self._unruled())

    def _unruled(self) -> sql.Composable:
        """Whether no limit applies to row ``w``, so that nothing says anything of it. One that starts by a column of the row, or
        by its owner's account, applies always."""
        of = list(enumerate(self.question.limits))
        always = any(x.start is None or x.start.column for _, x in of)
        if self.rest is None and always and self.came is None:
            return sql.SQL("false")
        return sql.SQL("NOT ({})").format(_any([sql.SQL("w.{}").format(_c("applies", i)) for i, _ in of]))

    def _ends(self, limit: Limit) -> sql.Composable:
        """Whether a limit that applies may end a row: what is left of a cut one has an end of its own, and all other limits
        can only keep it."""
        if (
            self.rest is None or limit.rest or limit.carried is not None
        ):  # one that came says by itself of which
            return sql.SQL("true")
        return sql.SQL("NOT w.{}").format(_c("applies", self.rest))

    def _collides(self) -> sql.Composable:
        """Whether a statute's last day is over while another statute that it does not wait for still forbids."""
        of = list(enumerate(self.question.limits))
        return _any([
            sql.SQL("({} AND {} AND w.{} AND NOT ({}))").format(self._ends(c), over(i, c), _c("applies", j), over(j, f))
            for i, c in of if c.ceiling and c.statutory
            for j, f in of if f.floor and f.rule != c.rule and f.rule not in c.gives_way
        ])  # fmt: skip

    def _early(self) -> sql.Composable:
        """A first, cheap condition on the row's own columns, by which indexes and partitions serve: a floor that starts
        by a column must be over."""
        if self.question.everything or self.came is not None:
            return sql.SQL("true")
        floors: list[sql.Composable] = (
            []
            if self.rest is not None
            else [
                before(name("t", x.start.column), self._kind(x.start.column), x)
                for x in self.question.limits
                if x.floor
                and x.start
                and x.start.column
                and not any(y.statutory for y in self.question.limits)
            ]
        )
        ceilings = self._ceilings()
        if ceilings and all(x.start and x.start.column for x in ceilings):
            newest: dict[
                tuple[str, int], Limit
            ] = {}  # of those that differ in nothing else: one range of an index
            for x in ceilings:
                if x.start and x.start.column:
                    way = (x.start.column, x.minutes)
                    newest[way] = max(newest.get(way, x), x, key=lambda limit: limit.over)
            ways = [before(name("t", c), self._kind(c), x) for (c, _), x in newest.items()]
            floors.append(sql.SQL("({})").format(joined(" OR ", ways)))
        return joined(" AND ", floors) if floors else sql.SQL("true")

    def _not_yet_disposed(self) -> sql.Composable:
        return self._whole

    @cached_property
    def _whole(self) -> sql.Composable:
        if self.question.bare and self.dataset.action in GOING_WHOLE:
            return sql.SQL("true")
        return not_yet_disposed(self.catalogue, self.live, self.dataset, self.others)

    def _kind(self, column: str) -> str:
        return moment_of(self.live, self.dataset, column)


def _told(row: Dataset, day: sql.Composable) -> sql.Composed:
    """Whether a floor of row ``t`` counts: its clock can be told, or the row was not cut."""
    return sql.SQL("(NOT ({}) OR {} IS NOT NULL)").format(is_cut(row), day)


def over(i: int, limit: Limit) -> sql.Composed:
    """Whether a limit applies to row ``w`` and is over."""
    return sql.SQL("w.{a} AND coalesce(w.{d} <= {day}::date, false)").format(
        a=_c("applies", i), d=_c("day", i), day=sql.Literal(limit.over)
    )


def ended(i: int, limit: Limit) -> sql.Composed:
    """Whether row ``w`` may have to go, since a limit is over. A floor ends a row that it kept when the purpose ended, and no
    other: what was free to go by then goes by the shutdown itself."""
    if limit.closed is None:
        return over(i, limit)
    return sql.SQL("({} AND w.{} > {}::date)").format(over(i, limit), _c("day", i), sql.Literal(limit.closed))


def look(server: Server, connection: Connection, it: Look, rows: int = ROWS) -> Iterator[Group]:
    """Ask about the whole dataset, part by part."""
    for row in of_parts(server, connection, it, lambda part, after, upto: part.groups(after, upto), rows):
        yield _group(row)


def of_parts(
    server: Server, connection: Connection, it: L, ask: Callable[[L, Key | None, Key | None], sql.Composed], rows: int
) -> Iterator[Sequence[Any]]:  # fmt: skip
    """The answers of every part of so many rows. Each statement has the connection's time-outs."""
    for part, after, upto in it.parts(server, connection, rows):
        with server.reaching(f"{server.store} {it.dataset.id}"):
            found = connection.execute(ask(part, after, upto)).fetchall()
        yield from found


def _group(row: Sequence[Any]) -> Group:
    clocks = tuple(Clock(applies=bool(a), day=d) for a, d in zip(row[:-2:2], row[1:-2:2], strict=True))
    return Group(clocks=clocks, held=bool(row[-2]), items=row[-1])


def _any(parts: Sequence[sql.Composable]) -> sql.Composable:
    return joined(" OR ", parts) if parts else sql.SQL("false")


def _c(what: str, i: int) -> sql.Identifier:
    """A column of ours; no column of a company begins with ``#``."""
    return sql.Identifier(f"#{what}{i}")


def _start(query: str) -> sql.Identifier:
    return sql.Identifier(f"start {query}")
