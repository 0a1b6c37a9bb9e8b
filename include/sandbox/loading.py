"""Loading made-up rows: COPY by batches, with the triggers off; then what the triggers would have made."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import date

import psycopg
from psycopg import sql

from include.model.errors import Refused
from include.sandbox.people.everybody import SCHEMAS
from include.sandbox.people.making import Row

BATCH = 20_000  # rows held in memory
LOG_MONTHS = 14  # monthly partitions of the network log, the current month included
LEAST = 20  # a smaller count of accounts is not written into statistics
Connection = psycopg.Connection[tuple[object, ...]]


def load(connection: Connection, rows: Iterable[Row]) -> Counter[str]:
    """Copy rows into their tables, without triggers and checks of references. How many, by table."""
    connection.execute("SET LOCAL session_replication_role = replica")
    counts: Counter[str] = Counter()
    for batch in _batches(rows):
        for table, of in batch.items():
            _copy(connection, table, of)
            counts[table] += len(of)
    connection.execute("SET LOCAL session_replication_role = origin")
    return counts


def _batches(rows: Iterable[Row]) -> Iterator[dict[str, list[dict[str, object]]]]:
    held: defaultdict[str, list[dict[str, object]]] = defaultdict(list)
    for number, (table, row) in enumerate(rows, 1):
        held[table].append(row)
        if number % BATCH == 0:
            yield held
            held = defaultdict(list)
    yield held


def _copy(connection: Connection, table: str, rows: list[dict[str, object]]) -> None:
    columns = list(rows[0])
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(*table.split(".")), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    try:
        with connection.cursor().copy(statement) as copy:
            for row in rows:
                copy.write_row([row[c] for c in columns])
    except psycopg.Error as error:
        raise Refused(
            f"the made-up rows do not fit: {error.diag.message_primary or type(error).__name__}",
            about=table,
            next_step="change include/sandbox/people where it makes this table's rows",
        ) from None


def make_partitions(connection: Connection, today: date) -> None:
    """A partition of the network log for each of the last months. What is older goes to the default one."""
    first = today.replace(day=1)
    for _ in range(LOG_MONTHS):
        after = date(first.year + first.month // 12, first.month % 12 + 1, 1)
        name = sql.Identifier("usage", f"access_log_{first:%Y_%m}")
        row = connection.execute(
            "SELECT to_regclass(%s) IS NOT NULL", (f"usage.access_log_{first:%Y_%m}",)
        ).fetchone()
        if row is None or not row[0]:
            connection.execute(
                sql.SQL("CREATE TABLE {} PARTITION OF usage.access_log FOR VALUES FROM ({}) TO ({})").format(
                    name, sql.Literal(f"{first} 00:00:00+08"), sql.Literal(f"{after} 00:00:00+08")
                )
            )
            # As the schema's own tables: see schema/99_grants.sql.
            connection.execute(sql.SQL("ALTER TABLE {} OWNER TO company_owner").format(name))
            connection.execute(sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO eraser").format(name))
            connection.execute(sql.SQL("GRANT SELECT ON {} TO prover").format(name))
        first = date(first.year - (first.month == 1), (first.month - 2) % 12 + 1, 1)


def derive(connection: Connection, today: date) -> Counter[str]:
    """What triggers and nightly jobs would have made: totals, monthly counts, the materialised view, the sequences."""
    totals = connection.execute(
        "INSERT INTO usage.service_total SELECT service, count(*) FROM usage.service_use GROUP BY service"
    ).rowcount
    months = connection.execute(_MONTHLY, {"today": today, "least": LEAST}).rowcount
    connection.execute("REFRESH MATERIALIZED VIEW usage.use_by_account")
    for table, column, sequence in connection.execute(_SEQUENCES, [list(SCHEMAS)]).fetchall():
        connection.execute(
            sql.SQL("SELECT setval({}, greatest(max({}), 1)) FROM {}").format(
                sql.Literal(sequence), sql.Identifier(str(column)), sql.Identifier(*str(table).split("."))
            )
        )
    return Counter({"usage.service_total": totals, "stat.monthly": months})


# Accounts there were at the end of each month of the last year, by city and in the whole country.
_MONTHLY = """
WITH month AS (
  SELECT generate_series(date_trunc('month', %(today)s::date) - interval '12 months',
                         date_trunc('month', %(today)s::date) - interval '1 month', interval '1 month')::date AS month
), somewhere AS (
  SELECT a.account_id, a.registered_at, coalesce(min(split_part(c.address, '市', 1)), '-') AS city
    FROM account.account AS a
    LEFT JOIN ra.application AS p USING (account_id) LEFT JOIN ra.id_card AS c USING (application_id)
   GROUP BY a.account_id, a.registered_at
), counted AS (
  SELECT month, city, count(*)::int AS accounts
    FROM month JOIN somewhere ON registered_at < month + interval '1 month'
   GROUP BY GROUPING SETS ((month, city), (month))
)
INSERT INTO stat.monthly
SELECT month, coalesce(city || '市', '全国'), accounts FROM counted
 WHERE accounts >= %(least)s AND city IS DISTINCT FROM '-'
"""

_SEQUENCES = """
SELECT n.nspname || '.' || c.relname, a.attname,
       pg_get_serial_sequence(format('%%I.%%I', n.nspname, c.relname), a.attname)
  FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE a.attidentity <> '' AND n.nspname = ANY (%s)
 ORDER BY 1
"""
