"""The role that keeps Airflow's metadata in its limits: it may read a few columns, and delete; nothing else.

Run as the owner of the tables (or a superuser), once and again after each upgrade of Airflow, like the stores' install. Two
things a role without the tables cannot do are functions of the owner's: dropping an archive, and telling the case of a run,
or to what tasks and states an entry of the audit log speaks, without reading what else was typed into it.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import scalar_row

from include.hygiene import tables
from include.model.errors import NotReachable, Refused

ROLE = "janitor"
SCHEMA = "quietus_hygiene"
_FUNCTIONS = """
CREATE SCHEMA IF NOT EXISTS {schema};
CREATE OR REPLACE FUNCTION {schema}.drop_archives() RETURNS SETOF text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE found text;
BEGIN
    FOR found IN SELECT c.relname FROM pg_class c WHERE c.relnamespace = {public}::regnamespace AND c.relkind = 'r'
        AND ({archive}) ORDER BY c.relname
    LOOP
        EXECUTE format('DROP TABLE {public_ident}.%I', found);
        RETURN NEXT found;
    END LOOP;
END $$;
CREATE OR REPLACE FUNCTION {schema}.cases_of(runs bigint[]) RETURNS TABLE (run bigint, case_no text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT r.id::bigint, to_jsonb(r.conf) ->> 'case' FROM {public_ident}.dag_run r
        WHERE r.id = ANY(runs) AND to_jsonb(r.conf) ->> 'case' ~ '^CASE-[0-9]{{6,}}$';
END $$;
CREATE OR REPLACE FUNCTION {schema}.said_of(entries bigint[])
    RETURNS TABLE (entry bigint, states text[], tasks text[])
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE one record; body jsonb;
BEGIN
    FOR one IN SELECT l.id, l.extra FROM {public_ident}.log l WHERE l.id = ANY(entries) ORDER BY l.id LOOP
        BEGIN
            body := one.extra::jsonb;
        EXCEPTION WHEN data_exception THEN
            body := NULL;
        END;
        RETURN QUERY SELECT one.id::bigint,
            ARRAY(SELECT DISTINCT s #>> '{{}}' FROM (SELECT jsonb_path_query(body, 'strict $.**.new_state')
                UNION ALL SELECT jsonb_path_query(body, 'lax $.state')) AS f(s)
                WHERE jsonb_typeof(s) = 'string' AND s #>> '{{}}' ~ '^[a-z_]{{1,30}}$' ORDER BY 1),
            ARRAY(SELECT DISTINCT s #>> '{{}}' FROM (SELECT jsonb_path_query(body, 'strict $.**.task_ids.**')
                UNION ALL SELECT jsonb_path_query(body, 'strict $.**.task_id')) AS f(s)
                WHERE jsonb_typeof(s) = 'string' AND s #>> '{{}}' ~ '^[A-Za-z_][A-Za-z0-9_.-]{{0,99}}$' ORDER BY 1);
    END LOOP;
END $$;
REVOKE ALL ON SCHEMA {schema} FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA {schema} FROM PUBLIC;
GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {schema} TO {role};
"""


def install(conninfo: str, role: str = ROLE, schema: str = "public") -> None:
    """Grant the role what it needs in Airflow's database, and take from it what it does not. Again changes nothing.

    ``schema``: where Airflow's tables are. Raises NotReachable, and Refused if Airflow's tables are not there or not ours.
    """
    try:
        with psycopg.connect(conninfo, connect_timeout=10, options="-c lock_timeout=20s") as conn:
            there = tables_of(conn, schema)
            if "dag_run" not in there:
                raise Refused(
                    "these are no tables of Airflow's", about="airflow_metadata",
                    next_step="run `airflow db migrate` first, and name its schema",
                )  # fmt: skip
            conn.execute(_functions(role, schema))
            conn.execute(_none(role, schema))
            for table, columns in readable().items():
                if table in there:
                    conn.execute(_read(role, schema, table, columns))
            for table in {"dag_run", *(s.table for s in tables.SWEPT)} & there:
                conn.execute(_delete(role, schema, table))
    except psycopg.OperationalError:
        raise NotReachable("the database does not answer", about="airflow_metadata") from None
    except psycopg.errors.InsufficientPrivilege:
        raise Refused(
            "only the owner of Airflow's tables may grant on them", about="airflow_metadata",
            next_step="connect as the role that Airflow itself uses, or as a superuser",
        ) from None  # fmt: skip


def readable() -> dict[str, tuple[str, ...]]:
    """Of each table the columns that the role may read."""
    found: dict[str, set[str]] = {}
    for table, columns in (
        ("dag_run", tables.RUN), *((s.table, s.reads) for s in tables.SWEPT), *tables.OF_RUNS.items(), *tables.ALSO_READ.items(),
    ):  # fmt: skip
        found.setdefault(table, set()).update(columns)
    return {table: tuple(sorted(columns)) for table, columns in found.items()}


def tables_of(conn: psycopg.Connection[Any], schema: str = "public") -> set[str]:
    """The tables that are there."""
    with conn.cursor(row_factory=scalar_row) as cursor:
        rows = cursor.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind IN ('r', 'p')",
            (schema,),
        ).fetchall()
    return {str(name) for name in rows}


def _functions(role: str, schema: str) -> sql.Composed:
    archive = sql.SQL(" OR ").join(
        sql.SQL("c.relname LIKE {}").format(pattern) for pattern in tables.ARCHIVES
    )
    return sql.SQL(_FUNCTIONS).format(
        schema=sql.Identifier(SCHEMA), role=sql.Identifier(role), archive=archive, public=sql.Literal(schema),
        public_ident=sql.Identifier(schema),
    )  # fmt: skip


def _none(role: str, schema: str) -> sql.Composed:
    names = (sql.Identifier(schema), sql.Identifier(role))
    return sql.SQL(
        "REVOKE ALL ON ALL TABLES IN SCHEMA {0} FROM {1}; GRANT USAGE ON SCHEMA {0} TO {1};"
    ).format(*names)


def _read(role: str, schema: str, table: str, columns: tuple[str, ...]) -> sql.Composed:
    return sql.SQL("GRANT SELECT ({}) ON {} TO {}").format(
        sql.SQL(", ").join(map(sql.Identifier, columns)), sql.Identifier(schema, table), sql.Identifier(role)
    )


def _delete(role: str, schema: str, table: str) -> sql.Composed:
    return sql.SQL("GRANT DELETE ON {} TO {}").format(sql.Identifier(schema, table), sql.Identifier(role))
