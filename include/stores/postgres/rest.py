"""What is left of a step that was begun: the people whose chunk has no receipt yet.

Once a chunk is committed, its rows of the step area are a record: proofs join them, and the plan in force counts
them. Should the next chunk then find other items than were planned, only the rest is surveyed and weighed again: in
``pg_temp``, as a chunk is, from where it takes the place of the rest's rows. So a plan that is made half-way is of
the whole cohort all the same, and the receipts of both plans together balance it.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from include.model.errors import Refused
from include.model.estate import Dataset
from include.stores.postgres.area import SURVEYED, TEMP, WEIGHED, Area
from include.stores.postgres.server import Connection, name, one


def done(step: str, alias: str) -> sql.Composed:
    """Whether the chunk of this row of the cohort has its receipt."""
    return sql.SQL(
        "EXISTS (SELECT FROM quietus.receipt AS r WHERE r.step = {} AND r.verb = 'dispose' AND r.chunk = {})"
    ).format(sql.Literal(step), name(alias, "chunk"))


def begun(connection: Connection, area: Area, step: str, about: str) -> bool:
    """Whether a chunk of the step is done. Raises Refused if the step area knows nothing of it."""
    (chunks, unknown) = one(
        connection.execute(
            sql.SQL(
                "SELECT count(*), count(*) FILTER (WHERE NOT EXISTS (SELECT FROM {} AS c WHERE c.chunk = r.chunk))"
                " FROM quietus.receipt AS r WHERE r.step = %s AND r.verb = 'dispose'"
            ).format(area.cohort),
            [step],
        )
    )
    if unknown:
        raise Refused(
            f"{unknown} chunks were disposed of from another step area than this one",
            about=about,
            next_step="the area was lost and made again: restore it, or settle by hand what the receipts say was done",
        )
    return bool(chunks)


def left(connection: Connection, area: Area, step: str) -> bool:
    """Whether somebody's chunk has no receipt yet."""
    (any_,) = one(
        connection.execute(
            sql.SQL("SELECT EXISTS (SELECT FROM {} AS c WHERE NOT {})").format(area.cohort, done(step, "c"))
        )
    )
    return bool(any_)


def take(connection: Connection, area: Area, step: str) -> None:
    """Make the rest the cohort of ``pg_temp``."""
    make_cohort(connection, area, sql.SQL("NOT {}").format(done(step, "c")))


def make_cohort(connection: Connection, area: Area, which: sql.Composable) -> None:
    """The cohort of ``pg_temp``: those rows ``c`` of the step's cohort of which this holds."""
    connection.execute(
        sql.SQL("CREATE TABLE {} AS SELECT subject_no, subject_id, chunk FROM {} AS c WHERE {}").format(
            TEMP.cohort, area.cohort, which
        )
    )
    connection.execute(sql.SQL("ALTER TABLE {} ADD UNIQUE (subject_id)").format(TEMP.cohort))
    connection.execute(sql.SQL("ANALYZE {}").format(TEMP.cohort))


def copy_surveyed(connection: Connection, area: Area, datasets: Sequence[Dataset]) -> None:
    """The rest's surveyed rows into ``pg_temp``, to be weighed there."""
    for dataset in datasets:
        connection.execute(
            sql.SQL(
                "CREATE TABLE {} AS SELECT {} FROM {} AS k JOIN {} AS c ON c.subject_no = k.subject_no"
            ).format(
                TEMP.table(dataset.id),
                sql.SQL(", ").join(name("k", column) for column in _surveyed(dataset)),
                area.table(dataset.id),
                TEMP.cohort,
            )
        )
        connection.execute(sql.SQL("ANALYZE {}").format(TEMP.table(dataset.id)))


def replace(
    connection: Connection, area: Area, dataset: Dataset, about: str, *, weighed: bool = False
) -> None:
    """Put the rest's rows of ``pg_temp`` in the place of those that the step area has."""
    connection.execute(
        sql.SQL("DELETE FROM {} AS k USING {} AS c WHERE c.subject_no = k.subject_no").format(
            area.table(dataset.id), TEMP.cohort
        )
    )
    columns = _surveyed(dataset)
    # Until it is weighed, a row has no fate: also where a constant default gave one to every row.
    fates = [name("k", c) if weighed else sql.SQL("NULL") for c in WEIGHED]
    found = connection.execute(
        sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} AS k ON CONFLICT DO NOTHING RETURNING 1").format(
            area.table(dataset.id),
            sql.SQL(", ").join(name(c) for c in (*columns, *WEIGHED)),
            sql.SQL(", ").join([*(name("k", c) for c in columns), *fates]),
            TEMP.table(dataset.id),
        )
    ).rowcount
    (there,) = one(connection.execute(sql.SQL("SELECT count(*) FROM {}").format(TEMP.table(dataset.id))))
    if found != there:
        raise Refused(
            f"{there - found} items that are accounted for already belong to people who are still to come, too",
            about=f"{about}, {dataset.id}",
            next_step="find out who linked or wrote them since; nothing more of this store goes until then",
        )
    connection.execute(sql.SQL("ANALYZE {}").format(area.table(dataset.id)))


def _surveyed(dataset: Dataset) -> tuple[str, ...]:
    return (*SURVEYED, *dataset.key)
