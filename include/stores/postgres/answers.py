"""What the database answers for other stores: whose their items are, and when a rule's clock began.

Objects and record files often belong to a row here, and often outlive it by a moment: a database is disposed of
first. So neither answer depends on rows that the same step deletes. Owners are read from the step's key tables,
and starting points are kept in the step area when the database is weighed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

from psycopg import sql
from psycopg.rows import dict_row

from include.model.carried import Came, unstarted
from include.model.catalogue import Catalogue
from include.model.errors import CatalogueError, Drifted
from include.model.estate import Dataset
from include.model.flow import Step
from include.model.template import Template
from include.model.words import Ownership
from include.stores.postgres.area import Area
from include.stores.postgres.live import Live
from include.stores.postgres.retention.carried import carried
from include.stores.postgres.server import Connection, joined, name
from include.stores.postgres.survey import owned_outside

Key = tuple[int, Mapping[str, str], bool]


def keys_of(
    connection: Connection, area: Area, catalogue: Catalogue, live: Callable[[], Live], dataset: Dataset
) -> Iterator[Key]:
    """(subject_no, {the dataset's own variable: value}, whether somebody outside the cohort owns it too).

    One for each ``via`` link's row that the survey located. Raises CatalogueError for a link that joins a
    column outside the parent's key: once the parent's row is gone, nobody could follow it. ``live``: the schema,
    which only a shared link needs.
    """
    for link in dataset.links:
        if link.via is None:
            continue
        parent = catalogue.dataset(link.via)
        if not set(link.on.values()) <= set(parent.key):
            raise CatalogueError(
                f"its link joins a column that is not in the key of {parent.id}",
                about=dataset.id,
                next_step="link through a dataset whose key holds that column",
            )
        shared: sql.Composable = sql.SQL("p.outsiders")
        if link.ownership is Ownership.SHARED:
            same = sql.SQL(" AND ").join(
                sql.SQL("{} = {}").format(name("o", c), name("p", c)) for c in link.on.values()
            )
            shared = sql.SQL("EXISTS (SELECT FROM {} AS o WHERE {} AND {})").format(
                name(parent.address), same, owned_outside(area, catalogue, live(), parent, "o")
            )
        query = sql.SQL(
            "SELECT s.no, {outside}, {values} FROM {located} AS p CROSS JOIN LATERAL unnest(p.subject_nos) AS s(no)"
        ).format(
            outside=shared,
            values=sql.SQL(", ").join(sql.SQL("{}::text").format(name("p", c)) for c in link.on.values()),
            located=area.table(parent.id),
        )
        for no, outside, *values in connection.execute(query):
            yield no, dict(zip(link.on, values, strict=True)), outside


def wanted_elsewhere(catalogue: Catalogue, store: str) -> tuple[str, ...]:
    """The starting-point queries by which a floor of another store's dataset starts; no ceiling restrains a disposal."""
    return tuple(
        sorted(
            {
                bound.start.query
                for d in catalogue.datasets
                if d.store != store
                for bound in d.binds
                if bound.start is not None and bound.start.query is not None
                if catalogue.rule(bound.rule).floor(bound.period) is not None
            }
        )
    )


def keep_starts(
    connection: Connection, area: Area, catalogue: Catalogue, store: str, step: Step, asked: Collection[str],
    *, begun: bool,
) -> None:  # fmt: skip
    """Keep the starting points that other stores ask for. Run before anything of this database is disposed of.

    The connection's search_path is the step area, where the queries find the cohort. What this transaction's
    weighing ``asked`` already (``run_starting_points``) is taken from there: it is the same query in one snapshot.
    In a step that was begun both find the rest of the cohort (``rest.py``): an answer stands unless there is a new
    one about the same.
    """
    for query in wanted_elsewhere(catalogue, store):
        kept = area.table(_kept(query))
        now = sql.Identifier("pg_temp", f"start {query}")
        if query not in asked:
            now = sql.Identifier("pg_temp", "answered now")
            connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(now))
            connection.execute(
                sql.SQL("CREATE TABLE {} AS {}").format(
                    now, sql.SQL(catalogue.starting_points[query].strip().rstrip(";"))
                ),
                {"as_of": step.as_of, "restricting": step.restricting},
            )
        if begun:
            connection.execute(
                sql.SQL(
                    "DELETE FROM {} AS k USING {} AS n WHERE to_jsonb(k) - 'started_at' = to_jsonb(n) - 'started_at'"
                ).format(kept, now)
            )
            connection.execute(sql.SQL("INSERT INTO {} SELECT * FROM {}").format(kept, now))
        else:
            connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(kept))
            connection.execute(sql.SQL("CREATE TABLE {} AS SELECT * FROM {}").format(kept, now))


def starts_of(connection: Connection, area: Area, step: Step, query: str) -> list[dict[str, object]]:
    """The kept rows of a starting point: its columns as text, and ``started_at``. Drifted before a weighing."""
    there = connection.execute(
        "SELECT FROM pg_tables WHERE schemaname = %s AND tablename = %s", [area.schema, _kept(query)]
    ).fetchone()
    if there is None:
        raise Drifted(
            "the database has not been weighed in this step", about=f"step {step.id} of {step.case_no}",
            next_step="weigh the database first, then the stores that ask it",
        )  # fmt: skip
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(sql.SQL("SELECT * FROM {}").format(area.table(_kept(query)))).fetchall()
    return [{c: v if c == "started_at" or v is None else str(v) for c, v in row.items()} for row in rows]


def came_of(connection: Connection, area: Area, dataset: Dataset) -> dict[tuple[str, ...], Came]:
    """With which clocks and holds the cohort's objects came that were taken over, by the variables of their paths; nothing where
    none was. Raises CatalogueError if a path does not say whose it is."""
    if not (limits := carried(connection).get(dataset.id)):
        return {}
    unstarted(dataset, limits)
    variables = Template(dataset.prefix).variables
    places = [variables.index(link.column) + 1 for link in dataset.links if link.column in variables]
    if not places:
        raise CatalogueError(
            "its objects came with clocks, and no variable of its paths is the account", about=dataset.id,
            next_step="leave it out of the case: its nights take it by its clocks",
        )  # fmt: skip
    found: dict[tuple[str, ...], Came] = {}
    query = sql.SQL(
        "SELECT q.path, q.running, q.holds FROM quietus_handover.clock AS q WHERE q.dataset = {} AND ({})"
    ).format(
        sql.Literal(dataset.id),
        joined(" OR ", [
            sql.SQL("q.path[{}] IN (SELECT subject_id FROM {})").format(sql.Literal(n), area.cohort) for n in places
        ]),
    )  # fmt: skip
    for path, running, holds in connection.execute(query).fetchall():
        found[tuple(path)] = found.get(tuple(path), Came()).with_(running, holds)
    return found


def _kept(query: str) -> str:
    return f"start {query}"
