"""The step area: a schema ``q_<step>`` with the cohort and one table of item keys per dataset.

    cohort(subject_no, subject_id, chunk)   who; ``chunk`` is set when a plan is carried out
    step                                    one row: what the step is, its provisions, the plan under way
    "<dataset>"                             which items, and after weighing what becomes of each

The tables name people, so the area is itself a dataset: it is dropped when the step closes. The same table
layout is made again in ``pg_temp`` inside the disposing transaction.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass

from psycopg import sql

from include.model.errors import Drifted, Refused
from include.model.estate import Dataset
from include.model.flow import Provision, Step
from include.stores.postgres.server import Connection, name

COMMENT = "Quietus step area of "
# Names our own columns have in a key table; a dataset's key columns keep their own names beside them.
SURVEYED = ("subject_no", "subject_nos", "ownership", "link", "outsiders")
WEIGHED = ("disposition", "rule", "law", "until", "waits_for", "hold")
RESERVED = frozenset(SURVEYED + WEIGHED)


@dataclass(frozen=True)
class Area:
    """A schema that holds key tables: a step's own, or ``pg_temp``."""

    schema: str

    @classmethod
    def of(cls, step: str) -> Area:
        return cls(f"q_{step}")

    def table(self, dataset: str) -> sql.Identifier:
        """The key table of a dataset. Dataset ids may be longer than the 63 bytes of an identifier."""
        if len(dataset) > 60:
            raise Refused(
                "its id is longer than the 60 characters a key table's name may have",
                about=dataset,
                next_step="shorten the dataset's id",
            )
        return sql.Identifier(self.schema, dataset)

    def packs(self, dataset: str) -> sql.Identifier:
        """Where a night keeps keys by the thousand; the key table is a view of it then (``clearing.packs``)."""
        return sql.Identifier(self.schema, f"{dataset}#")

    @property
    def cohort(self) -> sql.Identifier:
        return sql.Identifier(self.schema, "cohort")

    @property
    def step(self) -> sql.Identifier:
        return sql.Identifier(self.schema, "step")


TEMP = Area("pg_temp")


def same_key(left: str, right: str, dataset: Dataset) -> sql.Composed:
    """``left.k = right.k AND …`` over the dataset's key."""
    return sql.SQL(" AND ").join(
        sql.SQL("{} = {}").format(name(left, k), name(right, k)) for k in dataset.key
    )


def key_columns(alias: str, dataset: Dataset) -> sql.Composed:
    return sql.SQL(", ").join(name(alias, k) for k in dataset.key)


def key_text(alias: str, dataset: Dataset) -> sql.Composed:
    """The key as one text, unambiguously: a row's text form quotes its parts."""
    if len(dataset.key) == 1:
        return sql.SQL("{}::text").format(name(alias, dataset.key[0]))
    return sql.SQL("ROW({})::text").format(key_columns(alias, dataset))


def open_area(connection: Connection, step: Step, prover: str | None) -> None:
    """Make the area and load the cohort by COPY, in one transaction. The same step again is a no-op.

    Raises Refused if the step is open with another cohort, or names a subject twice.
    """
    area = Area.of(step.id)
    about = f"step {step.id} of {step.case_no}"
    if len(set(step.subjects)) != len(step.subjects):
        raise Refused(
            "the cohort names a subject twice", about=about, next_step="make each subject a member once"
        )
    with connection.transaction():
        # Two starts of one step at once: the second waits, then finds the area.
        connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"quietus {area.schema}"]
        )
        if connection.execute("SELECT to_regnamespace(%s)", [f'"{area.schema}"']).fetchone() != (None,):
            _check_same(connection, area, step, about)
            return
        schema = name(area.schema)
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(schema))
        connection.execute(
            sql.SQL("COMMENT ON SCHEMA {} IS {}").format(schema, sql.Literal(COMMENT + step.case_no))
        )
        if prover:
            connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schema, name(prover)))
            connection.execute(
                sql.SQL("ALTER DEFAULT PRIVILEGES IN SCHEMA {} GRANT SELECT ON TABLES TO {}").format(
                    schema, name(prover)
                )
            )
        connection.execute(
            sql.SQL(
                "CREATE TABLE {} (subject_no int PRIMARY KEY, subject_id text NOT NULL UNIQUE, chunk int)"
            ).format(area.cohort)
        )
        connection.execute(
            sql.SQL(
                "CREATE TABLE {} (id text PRIMARY KEY, case_no text NOT NULL, as_of date NOT NULL,"
                " restricting boolean NOT NULL, provisions jsonb, plan text)"
            ).format(area.step)
        )
        connection.execute(
            sql.SQL("INSERT INTO {} VALUES (%s, %s, %s, %s)").format(area.step),
            [step.id, step.case_no, step.as_of, step.restricting],
        )
        with connection.cursor().copy(
            sql.SQL("COPY {} (subject_no, subject_id) FROM STDIN").format(area.cohort)
        ) as copy:
            for row in enumerate(step.subjects):
                copy.write_row(row)
        connection.execute(sql.SQL("ANALYZE {}").format(area.cohort))


def _check_same(connection: Connection, area: Area, step: Step, about: str) -> None:
    row = connection.execute(
        sql.SQL("SELECT id, case_no, as_of, restricting FROM {}").format(area.step)
    ).fetchone()
    n = 0
    same = row == (step.id, step.case_no, step.as_of, step.restricting)
    for no, subject in connection.execute(
        sql.SQL("SELECT subject_no, subject_id FROM {} ORDER BY subject_no").format(area.cohort)
    ):
        same = same and no < len(step.subjects) and step.subjects[no] == subject
        n += 1
    if not same or n != len(step.subjects):
        raise Refused(
            "the step is already open with another cohort, date or case",
            about=about,
            next_step="open a new step",
        )


def keep_provisions(connection: Connection, area: Area, provisions: Collection[Provision]) -> None:
    """Remember what was weighed by, so that the disposing transaction weighs by the same."""
    connection.execute(
        sql.SQL("UPDATE {} SET provisions = %s, plan = NULL").format(area.step),
        [json.dumps([p.model_dump(mode="json") for p in provisions])],
    )


def kept_provisions(connection: Connection, area: Area, about: str) -> tuple[Provision, ...]:
    """What the step was weighed by. Raises Drifted if it never was."""
    row = connection.execute(sql.SQL("SELECT provisions FROM {}").format(area.step)).fetchone()
    if row is None or row[0] is None:
        raise Drifted("the step was not weighed", about=about, next_step="survey, weigh and plan first")
    return tuple(Provision.model_validate(p) for p in row[0])


def close_area(connection: Connection, step: str) -> None:
    """Drop the area. A schema that is not ours is never dropped."""
    _drop(connection, Area.of(step).schema)


def sweep_areas(connection: Connection, keep: Collection[str]) -> tuple[str, ...]:
    """Drop every area of ours whose step is not among ``keep``; returns the steps dropped."""
    rows = connection.execute(
        "SELECT nspname FROM pg_namespace WHERE starts_with(nspname, 'q_')"
        " AND starts_with(obj_description(oid, 'pg_namespace'), %s) AND nspname <> ALL(%s) ORDER BY 1",
        [COMMENT, [f"q_{step}" for step in keep]],
    ).fetchall()
    for (schema,) in rows:
        _drop(connection, schema)
    return tuple(schema.removeprefix("q_") for (schema,) in rows)


def _drop(connection: Connection, schema: str) -> None:
    """Drop one schema, if its comment says that it is ours."""
    row = connection.execute(
        "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = %s", [schema]
    ).fetchone()
    if row is None:
        return
    if not str(row[0] or "").startswith(COMMENT):
        raise Refused(
            "the schema is not a step area of ours", about=schema, next_step="rename it; q_ is our prefix"
        )
    connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(name(schema)))
