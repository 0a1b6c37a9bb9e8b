"""Locating: one statement per dataset follows its links from the cohort to the keys of its rows.

Parents come first, so that a link through another dataset joins that dataset's key table. An item is a row
with a distinct key; several of its owners may be in the cohort, so its row carries all their numbers.

Ownership of an item is the strongest over the paths that reach it; along a path it is the weakest: a sole
child of a shared parent is shared, since erasing it would harm the parent's other owners. ``outsiders`` says
whether such an owner, outside the cohort and not yet departed, remains.
"""

from __future__ import annotations

from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter

from psycopg import sql

from include.model.catalogue import Catalogue
from include.model.errors import CatalogueError
from include.model.estate import Dataset, Link
from include.model.words import Ownership
from include.stores.postgres.area import Area, key_columns, key_text, same_key
from include.stores.postgres.live import Live, LiveColumn
from include.stores.postgres.periods import MOMENTS
from include.stores.postgres.server import Connection, name

RANKS = (Ownership.SOLE, Ownership.SHARED, Ownership.ACCESS_ONLY)
_TEXT = ("text", "varchar")
_INTEGERS = ("int2", "int4", "int8")


def parents_first(datasets: Sequence[Dataset]) -> tuple[Dataset, ...]:
    """Datasets in an order in which every link leads to an earlier one. CatalogueError for a circle or a gap."""
    by_id = {d.id: d for d in datasets}
    graph: dict[str, set[str]] = {}
    for d in datasets:
        graph[d.id] = {link.via for link in d.links if link.via}
        for via in graph[d.id] - by_id.keys():
            raise CatalogueError(
                f"a link leads through {via}, which is no table of this store",
                about=d.id,
                next_step="correct the link",
            )
    try:
        return tuple(by_id[id] for id in TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise CatalogueError(
            f"links lead in a circle: {' -> '.join(error.args[1])}",
            about=error.args[1][0],
            next_step="leave out the link that does not lead towards the subject",
        ) from None


def column_of(live: Live, dataset: Dataset, column: str) -> LiveColumn:
    """The live column. CatalogueError if the table or the column is not there."""
    table = live.tables.get(dataset.address)
    if table is None:
        raise CatalogueError(
            f"the table {dataset.address} is not in the database",
            about=dataset.id,
            next_step="was it renamed? correct the dataset's address, then run preflight",
        )
    if column not in table.columns:
        raise CatalogueError(
            f"{dataset.address} has no column {column}",
            about=dataset.id,
            next_step="was it renamed? correct the dataset's YAML, then run preflight",
        )
    return table.columns[column]


def moment_of(live: Live, dataset: Dataset, column: str) -> str:
    """The type of a column that starts a clock. CatalogueError if it is not there, or no date or time."""
    kind = column_of(live, dataset, column).kind
    if kind not in MOMENTS:
        raise CatalogueError(
            f"its starting point {column} is of type {kind}, which is no date or time", about=dataset.id,
            next_step="name a date or timestamp column, or write a starting-point query",
        )  # fmt: skip
    return kind


def is_subject(column: LiveColumn, mine: sql.Composable, subject: sql.Composable) -> sql.Composed:
    """``mine = subject`` such that an index on ``mine`` serves, a cast never fails and never cuts a value."""
    if column.kind in _TEXT:
        return sql.SQL("{} = {}").format(mine, subject)
    exact = sql.SQL("{}::text = {}").format(mine, subject)
    if column.kind == "bpchar":
        return sql.SQL("{} = {}::bpchar AND {}").format(mine, subject, exact)
    if column.kind in _INTEGERS:
        return sql.SQL("{} = CASE WHEN {} ~ '^-?[0-9]{{1,18}}$' THEN {}::int8 END AND {}").format(
            mine, subject, subject, exact
        )
    if column.kind == "numeric":
        return sql.SQL("{} = CASE WHEN {} ~ '^-?[0-9]{{1,200}}$' THEN {}::numeric END AND {}").format(
            mine, subject, subject, exact
        )
    if column.kind == "uuid":
        shape = "'^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'"
        return sql.SQL("{} = CASE WHEN {} ~ {} THEN {}::uuid END AND {}").format(
            mine,
            subject,
            sql.SQL(shape),
            subject,
            exact,
        )
    return exact


def survey_dataset(
    connection: Connection, area: Area, catalogue: Catalogue, live: Live, dataset: Dataset
) -> int:
    """Make the dataset's key table. Returns how many items it has."""
    return connection.execute(
        sql.SQL("CREATE TABLE {} AS {}").format(
            area.table(dataset.id), located(area, catalogue, live, dataset)
        )
    ).rowcount


def finish(connection: Connection, area: Area, dataset: Dataset) -> None:
    """Key and statistics. The primary key is the proof that no item has two rows, hence two fates."""
    table = area.table(dataset.id)
    connection.execute(
        sql.SQL("ALTER TABLE {} ADD PRIMARY KEY ({})").format(
            table, sql.SQL(", ").join(name(k) for k in dataset.key)
        )
    )
    connection.execute(sql.SQL("ANALYZE {}").format(table))


def located(area: Area, catalogue: Catalogue, live: Live, dataset: Dataset) -> sql.Composed:
    """SELECT of the dataset's items: one row per item."""
    for key in dataset.key:
        column_of(live, dataset, key)
    for_reading = [_path(area, catalogue, live, dataset, i) for i in range(len(dataset.links))]
    if len(for_reading) == 1 and _unrepeated(catalogue, dataset, dataset.links[0]):
        return for_reading[0]
    keys = key_columns("x", dataset)
    return sql.SQL(
        "SELECT min(s.no) AS subject_no, array_agg(DISTINCT s.no ORDER BY s.no) AS subject_nos, {keys},"
        " (ARRAY[{ranks}])[min(array_position(ARRAY[{ranks}], x.ownership))] AS ownership,"
        " (min(array_position(ARRAY[{ranks}], x.ownership) * 1000 + x.link) % 1000)::int AS link,"
        " bool_or(x.outsiders) AS outsiders"
        " FROM ({paths}) AS x CROSS JOIN LATERAL unnest(x.subject_nos) AS s(no) GROUP BY {keys}"
    ).format(
        keys=keys,
        ranks=sql.SQL(", ").join(sql.Literal(r.value) for r in RANKS),
        paths=sql.SQL(" UNION ALL ").join(for_reading),
    )


def _unrepeated(catalogue: Catalogue, dataset: Dataset, link: Link) -> bool:
    """Whether this single link reaches a row at most once."""
    return link.column is not None or set(catalogue.dataset(link.via or "").key) <= set(link.on.values())


def _path(area: Area, catalogue: Catalogue, live: Live, dataset: Dataset, i: int) -> sql.Composed:
    link = dataset.links[i]
    if link.ownership is Ownership.SHARED:
        outside: sql.Composable = owned_outside(area, catalogue, live, dataset, "t")
    elif link.via and link.ownership is Ownership.SOLE:
        outside = sql.SQL("p.outsiders")
    else:
        outside = sql.SQL("false")
    if link.column is not None:
        column = column_of(live, dataset, link.column)
        return sql.SQL(
            "SELECT c.subject_no, ARRAY[c.subject_no] AS subject_nos, {keys}, {own} AS ownership,"
            " {i} AS link, {outside} AS outsiders FROM {cohort} AS c JOIN {table} AS t ON {match}"
        ).format(
            keys=key_columns("t", dataset),
            own=sql.SQL("{}::text").format(sql.Literal(link.ownership.value)),
            i=sql.Literal(i),
            outside=outside,
            cohort=area.cohort,
            table=name(dataset.address),
            match=is_subject(column, name("t", link.column), name("c", "subject_id")),
        )
    parent = catalogue.dataset(link.via or "")
    if link.ownership is Ownership.SOLE:
        own: sql.Composable = sql.SQL("p.ownership")
    elif link.ownership is Ownership.SHARED:
        own = sql.SQL("CASE p.ownership WHEN 'access_only' THEN 'access_only' ELSE 'shared' END")
    else:
        own = sql.SQL("'access_only'::text")
    source = sql.SQL("{} AS p").format(area.table(parent.id))
    side = "p"
    if not set(link.on.values()) <= set(parent.key):
        side = "pt"
        source = sql.SQL("{} JOIN {} AS pt ON {}").format(
            source, name(parent.address), same_key("pt", "p", parent)
        )
    return sql.SQL(
        "SELECT p.subject_no, p.subject_nos, {keys}, {own} AS ownership, {i} AS link, {outside} AS outsiders"
        " FROM {source} JOIN {table} AS t ON {match}"
    ).format(
        keys=key_columns("t", dataset),
        own=own,
        i=sql.Literal(i),
        outside=outside,
        source=source,
        table=name(dataset.address),
        match=on(live, dataset, parent, link, "t", side),
    )


def on(live: Live, dataset: Dataset, parent: Dataset, link: Link, mine: str, theirs: str) -> sql.Composed:
    """The join condition of a ``via`` link."""
    for my_column, their_column in link.on.items():
        column_of(live, dataset, my_column)
        column_of(live, parent, their_column)
    return sql.SQL(" AND ").join(
        sql.SQL("{} = {}").format(name(mine, a), name(theirs, b)) for a, b in link.on.items()
    )


def owned_outside(
    area: Area, catalogue: Catalogue, live: Live, dataset: Dataset, alias: str, depth: int = 0
) -> sql.Composed:
    """Whether somebody owns this row who is neither in the cohort nor departed, over every owning link.

    A departed owner's own case has disposed of all that was his alone; the last owner takes the row along.
    """
    found: list[sql.Composable] = []
    for link in dataset.links:
        if link.ownership is Ownership.ACCESS_ONLY:
            continue
        if link.column is not None:
            column_of(live, dataset, link.column)
            mine = sql.SQL("{}::text").format(name(alias, link.column))
            found.append(
                sql.SQL(
                    "({c} IS NOT NULL AND NOT EXISTS (SELECT FROM {cohort} AS oc WHERE oc.subject_id = {c})"
                    " AND NOT EXISTS (SELECT FROM quietus.restriction AS od WHERE od.subject_id = {c}"
                    " AND od.departed_at IS NOT NULL AND od.lifted_at IS NULL))"
                ).format(c=mine, cohort=area.cohort)
            )
        else:
            parent = catalogue.dataset(link.via or "")
            up = f"o{depth}"
            found.append(
                sql.SQL("EXISTS (SELECT FROM {table} AS {up} WHERE {match} AND {owned})").format(
                    table=name(parent.address),
                    up=name(up),
                    match=on(live, dataset, parent, link, alias, up),
                    owned=owned_outside(area, catalogue, live, parent, up, depth + 1),
                )
            )
    return sql.SQL("({})").format(sql.SQL(" OR ").join(found)) if found else sql.SQL("false").format()


def digests(
    connection: Connection,
    area: Area,
    datasets: Sequence[Dataset],
    *,
    fates: bool = False,
    chunk: int | None = None,
) -> dict[str, tuple[int, str]]:
    """Per dataset: how many items, and an order-independent digest over their keys (and fates).

    XOR and sum of two 64-bit hashes: items are distinct, so equal digests mean the same items but for
    odds of 2**-128. One statement for all datasets, each text made once (``OFFSET 0``). ``chunk``: only the items of
    that chunk's subjects.
    """
    if not datasets:
        return {}
    fate = sql.SQL(" || '|' || concat_ws('|', k.disposition, k.rule, k.law, k.until, k.waits_for, k.hold)")
    within: sql.Composable = sql.SQL("")
    if chunk is not None:
        within = sql.SQL(" JOIN {} AS c ON c.subject_no = k.subject_no AND c.chunk = {}").format(
            area.cohort, sql.Literal(chunk)
        )
    parts = [
        sql.SQL(
            "SELECT {id}, count(*), coalesce(bit_xor(hashtextextended(x.item, 0)), 0),"
            " coalesce(sum(hashtextextended(x.item, 1)), 0)"
            " FROM (SELECT {text}{fate} AS item FROM {table} AS k{within} OFFSET 0) AS x"
        ).format(
            id=sql.Literal(d.id),
            text=key_text("k", d),
            fate=fate if fates else sql.SQL(""),
            table=area.table(d.id),
            within=within,
        )
        for d in datasets
    ]
    return {
        id: (count, f"{xor % 2**64:016x}{int(total) % 2**64:016x}")
        for id, count, xor, total in connection.execute(sql.SQL(" UNION ALL ").join(parts))
    }
