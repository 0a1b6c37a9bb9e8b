"""Giving every located item exactly one disposition, set-based.

In order: a hold; the latest floor that is not over on ``as_of``; another owner's interest in a shared row;
access only; else what the provision says. Then referential closure (``closure.py``). The order and its words
are those of :class:`include.model.flow.Provision`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from psycopg import sql

from include.model.carried import Carried, Side, unstarted
from include.model.catalogue import Catalogue
from include.model.errors import BooksDoNotBalance, CatalogueError, Refused
from include.model.estate import Dataset, Start
from include.model.flow import LAST_OWNER, NOT_REACHED, Floor, Line, Provision, Reach
from include.model.words import Disposition, Ownership
from include.stores.postgres import periods
from include.stores.postgres.area import Area, same_key
from include.stores.postgres.live import Live
from include.stores.postgres.retention.carried import Beside
from include.stores.postgres.server import Connection, name
from include.stores.postgres.survey import column_of
from include.stores.shared import SHARED_LAW


@dataclass(frozen=True)
class Judging:
    """What a weighing is done by: the business date, and what the catalogue provides per dataset."""

    case_no: str
    as_of: object  # a date, bound as a literal
    began: object  # the day from which a period runs that starts with the case
    restricting: bool
    provisions: Mapping[str, Provision]
    shared_law: str = SHARED_LAW
    idle: frozenset[str] = frozenset()  # datasets that are only looked through
    partial: bool = False  # some dataset of the store is not provided for
    taken: Mapping[str, tuple[Carried, ...]] = field(
        default_factory=dict
    )  # what items came with that were taken over


def run_starting_points(
    connection: Connection, catalogue: Catalogue, judging: Judging
) -> dict[str, dict[str, str]]:
    """Run each starting-point query that a floor needs, once, into ``pg_temp."start <query>"``.

    The queries see the cohort and the key tables unqualified, through the connection's search_path.
    Returns query -> column -> type name. Raises CatalogueError for a query that does not exist.
    """
    wanted = sorted(
        {f.start.query for p in judging.provisions.values() for f in p.floors if f.start and f.start.query}
    )
    types: dict[str, dict[str, str]] = {}
    for query in wanted:
        if query not in catalogue.starting_points:
            raise CatalogueError(
                f"the starting point {query} has no SQL",
                about="starting points",
                next_step=f"write starting_points/{query}.sql",
            )
        table = sql.Identifier("pg_temp", f"start {query}")
        body = catalogue.starting_points[query].strip().rstrip(";")
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table))
        connection.execute(
            # The text is the catalogue's own, pinned by the plan's digest; values are bound.
            sql.SQL("CREATE TABLE {} AS {}").format(table, sql.SQL(body)),
            {"as_of": judging.as_of, "restricting": judging.restricting},
        )
        connection.execute(sql.SQL("ANALYZE {}").format(table))
        types[query] = dict(
            connection.execute(
                "SELECT a.attname, t.typname FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid"
                " WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0",
                [f'pg_temp."start {query}"'],
            ).fetchall()
        )
        if "started_at" not in types[query]:
            raise CatalogueError(
                "it returns no column started_at",
                about=f"starting_points/{query}.sql",
                next_step="name the starting point started_at",
            )
    return types


def weigh_dataset(
    connection: Connection,
    area: Area,
    live: Live,
    dataset: Dataset,
    judging: Judging,
    starts: Mapping[str, Mapping[str, str]],
) -> int | None:
    """Give the rows of the dataset's key table their fates. Returns how many rows it wrote into a table that
    replaces the surveyed one, or None if it could leave that in place."""
    provision = judging.provisions[dataset.id]
    table = area.table(dataset.id)
    beside = _beside(live, dataset, provision, judging)
    if beside is None and _simple(dataset, provision, live):
        # Every row has one and the same fate: constant defaults add it without rewriting the table.
        values = [provision.disposition.value, provision.rule, provision.law, None, _waits(provision), None]
        if provision.reaches is not None:
            values = [
                Disposition.RETAIN.value,
                provision.rule,
                provision.reaches.law,
                None,
                NOT_REACHED,
                None,
            ]
        connection.execute(
            sql.SQL("ALTER TABLE {} {}, {}").format(
                table,
                sql.SQL(", ").join(sql.SQL("DROP COLUMN IF EXISTS {}").format(name(c)) for c in FATE),
                sql.SQL(", ").join(
                    sql.SQL("ADD COLUMN {} {} DEFAULT {}").format(
                        name(column), sql.SQL("date" if column == "until" else "text"), sql.Literal(value)
                    )
                    for column, value in zip(FATE, values, strict=True)
                ),
            )
        )
        return None
    weighed = f"{dataset.id} *"  # nothing outside this transaction bears such a name
    rows = connection.execute(
        sql.SQL("CREATE TABLE {} AS {}").format(
            sql.Identifier(area.schema, weighed),
            _fates(area, live, dataset, provision, judging, starts, beside),
        )
    ).rowcount
    if beside is not None:
        _adopted(connection, sql.Identifier(area.schema, weighed), dataset)
    connection.execute(sql.SQL("DROP TABLE {}").format(table))
    connection.execute(
        sql.SQL("ALTER TABLE {} RENAME TO {}").format(
            sql.Identifier(area.schema, weighed), sql.Identifier(dataset.id)
        )
    )
    return rows


MAY_STAY = ("retain", "deidentify")
"""Fates of which the row, or what is left of it, stays until a day or for something."""
FATE = ("disposition", "rule", "law", "until", "waits_for", "hold")


def can_be_outside(dataset: Dataset) -> bool:
    """Whether a row can be shared or somebody else's: any link that is not a sole column of its own."""
    return any(link.via is not None or link.ownership is not Ownership.SOLE for link in dataset.links)


def _waits(provision: Provision) -> str | None:
    return "another step" if provision.disposition is Disposition.RETAIN else None


def _simple(dataset: Dataset, provision: Provision, live: Live) -> bool:
    if provision.reaches is not None:
        return provision.reaches.only is None
    return not (provision.floors or provision.holds or provision.ends or can_be_outside(dataset))


def _fates(
    area: Area,
    live: Live,
    dataset: Dataset,
    provision: Provision,
    judging: Judging,
    starts: Mapping[str, Mapping[str, str]],
    beside: Beside | None,
) -> sql.Composed:
    columns: list[sql.Composable] = []
    source: sql.Composable = sql.SQL("{} AS k").format(area.table(dataset.id))
    reaches = provision.reaches
    if (
        reaches is not None
        or provision.ends
        or beside is not None
        or any(f.start is not None for f in provision.floors)
    ):
        source = sql.SQL("{} LEFT JOIN {} AS t ON {}").format(
            source, name(dataset.address), same_key("t", "k", dataset)
        )
    if beside is not None:
        source = sql.SQL("{}{}").format(source, beside.join())
    ends, rules, laws, waits = [], [], [], []
    for i, floor in enumerate(provision.floors):
        if floor.start is None:
            start = sql.SQL("{}::date").format(sql.Literal(judging.began))
            end: sql.Composable = periods.until(floor, start, "date")
            wait = "the case"
        elif floor.start.column is not None:
            column = column_of(live, dataset, floor.start.column)
            # A row without its date is under the rule and its clock has not started: no licence to delete.
            end = sql.SQL("coalesce({}, 'infinity'::date)").format(
                periods.until(floor, name("t", floor.start.column), column.kind)
            )
            wait = f"{dataset.id}.{floor.start.column}"
        else:
            source = sql.SQL("{} LEFT JOIN {}").format(
                source, _started(live, dataset, i, floor.start, floor, starts)
            )
            end = name(f"s{i}", "ends")
            wait = str(floor.start.query)
        if beside is not None:
            end = beside.end(f"{floor.rule}/{floor.period}", end)
        columns.append(sql.SQL("{} AS {}").format(end, _u(i)))
        ends.append(_runs(i, judging))
        rules.append(sql.Literal(floor.rule))
        laws.append(sql.Literal(floor.law))
        waits.append(sql.Literal(wait))
    for ending, runs, *said in _others(beside, provision, judging, len(ends)):
        columns.append(ending)
        ends.append(runs)
        for words, value in zip((rules, laws, waits), said, strict=True):
            words.append(value)
    latest: sql.Composable = (
        sql.SQL("greatest({})").format(sql.SQL(", ").join(ends)) if ends else sql.SQL("NULL::date")
    )
    rest, rest_until, rest_waits = _rest(live, dataset, provision, judging)
    columns.append(sql.SQL('{} AS "#rest"').format(rest))
    columns.append(sql.SQL('{} AS "#beyond"').format(_beyond(live, dataset, reaches)))
    columns.append(sql.SQL('{} AS "#by"').format(_by(provision, beside)))
    inner = sql.SQL("SELECT k.*{} FROM {}").format(
        sql.SQL("").join(sql.SQL(", ") + c for c in columns), source
    )
    held = _held(provision)
    outside = sql.SQL("f.ownership = 'shared' AND f.outsiders")
    p = provision

    def pick(of: Sequence[sql.Composable]) -> sql.Composable:
        """The value of the floor that ends latest; the first declared of equals."""
        if not of:
            return sql.SQL("NULL")
        whens = [
            sql.SQL("WHEN f.{} = f.{} THEN {}").format(LATEST, _u(i), value) for i, value in enumerate(of)
        ]
        return sql.SQL("CASE {} END").format(sql.SQL(" ").join(whens))

    def choose(
        hold: sql.Composable,
        floor: sql.Composable,
        shared: object,
        access: object,
        else_: sql.Composable,
        beyond: object,
    ) -> sql.Composed:
        return sql.SQL(
            'CASE WHEN f."#beyond" THEN {} WHEN f."#held" IS NOT NULL THEN {} WHEN f."#latest" IS NOT NULL THEN {}'
            " WHEN {} THEN {} WHEN f.ownership = 'access_only' THEN {} ELSE {} END"
        ).format(
            sql.Literal(beyond),
            hold,
            floor,
            outside,
            sql.Literal(shared),
            sql.Literal(access),
            else_,
        )

    keep = sql.Literal(Disposition.RETAIN.value)
    goes: sql.Composable = sql.Literal(p.disposition.value)
    if p.ends is not None:  # past the end of what would be left nothing is left
        goes = sql.SQL("CASE WHEN f.\"#rest\" < {}::date THEN 'erase' ELSE {} END").format(
            sql.Literal(judging.as_of), goes
        )
    fates = [
        choose(sql.Literal(Disposition.HOLD.value), keep, "retain", "unlink", goes, "retain"),
        choose(sql.Literal(p.rule), pick(rules), p.rule, p.rule, sql.Literal(p.rule), p.rule),
        choose(
            _of_hold(provision, "law"),
            pick(laws),
            judging.shared_law,
            p.law,
            sql.Literal(p.law),
            reaches and reaches.law,
        ),
        choose(
            sql.SQL("NULL"),
            sql.SQL('CASE WHEN f."#latest" < \'infinity\' THEN f."#latest" END'),
            None,
            None,
            rest_until,
            None,
        ),
        choose(
            sql.SQL("NULL"),
            sql.SQL("CASE WHEN f.\"#latest\" = 'infinity' THEN {} END").format(pick(waits)),
            LAST_OWNER,
            None,
            rest_waits,
            NOT_REACHED,
        ),
        choose(_of_hold(provision, "hold"), sql.SQL("NULL"), None, None, sql.SQL("NULL"), None),
    ]
    kept = [*_SURVEYED_BEFORE, *dataset.key, *_SURVEYED_AFTER]
    return sql.SQL(
        'SELECT {kept}, {fates} FROM (SELECT w.*, {latest} AS "#latest", {held} AS "#held" FROM ({inner}) AS w) AS f'
    ).format(
        kept=sql.SQL(", ").join(name("f", c) for c in kept),
        fates=sql.SQL(", ").join(
            sql.SQL("({})::{} AS {}").format(value, sql.SQL("date" if c == "until" else "text"), name(c))
            for c, value in zip(FATE, fates, strict=True)
        ),
        latest=latest,
        held=held,
        inner=inner,
    )


def _rest(
    live: Live, dataset: Dataset, provision: Provision, judging: Judging
) -> tuple[sql.Composable, sql.Composable, sql.Composable]:
    """Of what is left of a row ``t`` once it is cut: its last day; and of a row ``f`` with that as "#rest", what its line says:
    until when it stays, or what that waits for."""
    ends = provision.ends
    if ends is None or ends.start is None or ends.start.column is None:
        return sql.SQL("NULL::date"), sql.SQL("NULL"), sql.Literal(_waits(provision))
    column = column_of(live, dataset, ends.start.column)
    return (
        periods.until(ends, name("t", column.name), column.kind),
        sql.SQL('CASE WHEN f."#rest" >= {}::date THEN f."#rest" END').format(sql.Literal(judging.as_of)),
        sql.SQL('CASE WHEN f."#rest" IS NULL THEN {} END').format(sql.Literal(f"{dataset.id}.{column.name}")),
    )


_SURVEYED_BEFORE = ("subject_no", "subject_nos")
_SURVEYED_AFTER = ("ownership", "link", "outsiders")


def _beyond(live: Live, dataset: Dataset, reaches: Reach | None) -> sql.Composable:
    """Whether a row ``t`` is none that the step reaches."""
    if reaches is None or reaches.only is None:
        return sql.SQL("false")
    column, value = reaches.only
    column_of(live, dataset, column)
    return sql.SQL("t.{}::text IS DISTINCT FROM {}").format(name(column), sql.Literal(value))


LATEST = sql.Identifier("#latest")


def _u(i: int) -> sql.Identifier:
    """Where floor ``i`` ends; no column of a company begins with ``#``."""
    return sql.Identifier(f"#u{i}")


def _beside(live: Live, dataset: Dataset, provision: Provision, judging: Judging) -> Beside | None:
    """What came along with rows of a dataset; None: none of them was taken over, or it is only looked through."""
    taken = judging.taken.get(dataset.id, ())
    if not taken or dataset.id in judging.idle:
        return None
    floors = tuple(x for x in taken if x.side is Side.FLOOR)
    named = [h.came for h in provision.holds if h.came]
    return Beside(live, dataset, floors, unstarted(dataset, taken), provision.released, named=named)


def _others(
    beside: Beside | None, provision: Provision, judging: Judging, first: int
) -> list[tuple[sql.Composed, sql.Composed, sql.Literal, sql.Literal, sql.Literal]]:  # fmt: skip
    """The floors that came and that the catalogue does not have: where each ends, until when it keeps, rule, law and name."""
    if beside is None:
        return []
    return [
        (sql.SQL("{} AS {}").format(beside.day(x), _u(i)), _runs(i, judging),
         sql.Literal(x.rule), sql.Literal(x.law), sql.Literal(x.name))
        for i, x in enumerate(beside.others(provision), first)
    ]  # fmt: skip


def _by(provision: Provision, beside: Beside | None) -> sql.Composable:
    """Of a row ``t`` that came the hold, by its position, that it came under; -1: one that is not in our book."""
    if beside is None:
        return sql.SQL("NULL::int")
    came = [i for i, h in enumerate(provision.holds) if h.came]
    whens = [sql.SQL("WHEN {} THEN {}").format(beside.held_by(n), sql.Literal(i)) for n, i in enumerate(came)]
    return sql.SQL("CASE {} WHEN {} THEN -1 END").format(sql.SQL(" ").join(whens), beside.held)


def _adopted(connection: Connection, weighed: sql.Identifier, dataset: Dataset) -> None:
    """Raises Refused if a hold that came along is not in our book: nobody could say which, or release it."""
    row = connection.execute(
        sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE disposition = 'hold' AND hold IS NULL)").format(weighed)
    ).fetchone()
    if row is not None and row[0]:
        raise Refused(
            "items came along under a hold that is not in our case book", about=dataset.id,
            next_step="quietus handover adopt ORDER, then go on",
        )  # fmt: skip


def _runs(i: int, judging: Judging) -> sql.Composed:
    """Until when floor ``i`` keeps row ``w``; null: it is over, or there is none."""
    return sql.SQL("CASE WHEN w.{u} >= {as_of}::date THEN w.{u} END").format(
        u=_u(i), as_of=sql.Literal(judging.as_of)
    )


def _held(provision: Provision) -> sql.Composable:
    """Which hold, by its position, holds the item: the first that names one of its owners in the cohort; else the one under which
    it came."""
    whens = [
        sql.SQL("WHEN w.subject_nos && {}::int[] THEN {}").format(
            sql.Literal(list(h.subject_nos)), sql.Literal(i)
        )
        for i, h in enumerate(provision.holds) if not h.came
    ]  # fmt: skip
    if not whens:
        return sql.SQL('w."#by"')
    return sql.SQL('CASE {} ELSE w."#by" END').format(sql.SQL(" ").join(whens))


def _of_hold(provision: Provision, what: str) -> sql.Composable:
    if not provision.holds:
        return sql.SQL("NULL")
    whens = [
        sql.SQL("WHEN {} THEN {}").format(sql.Literal(i), sql.Literal(getattr(h, what)))
        for i, h in enumerate(provision.holds)
    ]
    return sql.SQL('CASE f."#held" {} END').format(sql.SQL(" ").join(whens))


def _started(
    live: Live,
    dataset: Dataset,
    i: int,
    start: Start,
    floor: Floor,
    starts: Mapping[str, Mapping[str, str]],
) -> sql.Composed:
    """The starting-point rows by their join columns. Of several the latest counts; an open one outweighs all."""
    kinds = starts[start.query or ""]
    for mine, theirs in start.on.items():
        column_of(live, dataset, mine)
        if theirs not in kinds:
            raise CatalogueError(
                f"it returns no column {theirs}, which {dataset.id} joins on",
                about=f"starting_points/{start.query}.sql",
                next_step="correct the query or the bind",
            )
    if not start.on:
        raise CatalogueError(
            f"the bind to {floor.rule} names a query but not what it is joined on",
            about=dataset.id,
            next_step="add `on`",
        )
    theirs_ = sql.SQL(", ").join(name("q", b) for b in start.on.values())
    return sql.SQL(
        "(SELECT {theirs}, max(coalesce({ends}, 'infinity'::date)) AS ends FROM {table} AS q GROUP BY {theirs}) AS {s}"
        " ON {match}"
    ).format(
        theirs=theirs_,
        ends=periods.until(floor, name("q", "started_at"), kinds["started_at"]),
        table=sql.Identifier("pg_temp", f"start {start.query}"),
        s=name(f"s{i}"),
        match=sql.SQL(" AND ").join(
            sql.SQL("{} = {}").format(name("t", a), name(f"s{i}", b)) for a, b in start.on.items()
        ),
    )


def lines(
    connection: Connection, area: Area, datasets: Sequence[Dataset], about: str, packed: Collection[str] = ()
) -> tuple[Line, ...]:  # fmt: skip
    """The groups of equal fate. Raises BooksDoNotBalance if an item has no disposition or not a whole one. ``packed``: datasets
    whose items are counted in packs (``clearing.packs``)."""
    if not datasets:
        return ()
    parts = [
        sql.SQL(
            "SELECT {id}, k.disposition, k.rule, k.law, k.until, k.waits_for, k.hold, {items} FROM {table} AS k"
            " GROUP BY 2, 3, 4, 5, 6, 7"
        ).format(
            id=sql.Literal(d.id),
            items=sql.SQL('sum(k."#items")::bigint' if d.id in packed else "count(*)"),
            table=area.packs(d.id) if d.id in packed else area.table(d.id),
        )
        for d in datasets
    ]
    found = []
    for dataset, disposition, rule, law, until, waits_for, hold, items in connection.execute(
        sql.SQL(" UNION ALL ").join(parts)
    ):
        if (
            disposition is None
            or rule is None
            or law is None
            or (disposition == "hold" and hold is None)
            or (disposition == "retain" and until is None and waits_for is None)
            or (disposition not in MAY_STAY and (until is not None or waits_for is not None))
        ):
            raise BooksDoNotBalance(
                f"{items} items were weighed without a whole disposition",
                about=f"{about} {dataset}",
                next_step="this is a fault of the weighing; keep the step area and report it",
            )
        found.append(
            Line(
                dataset=dataset,
                disposition=Disposition(disposition),
                items=items,
                rule=rule,
                law=law,
                until=until,
                waits_for=waits_for,
                hold=hold if disposition == "hold" else None,
                kept_for=None if disposition == "hold" else hold,
            )
        )
    return tuple(sorted(found, key=lambda line: line.canonical()))
