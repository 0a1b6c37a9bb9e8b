"""What the scrub costs: tables written anew through it against plain ``VACUUM (FULL, ANALYZE)``, and keys against their data.

    python -m bench.scrub [--rows 20000] [--rounds 3]

A hundred small tables and one with a kilobyte of incompressible text a row; each round something was disposed of in all. The last
line is what per-subject keys would spare: one row of 60 bytes a subject is written anew instead of the subject's data.
Prints Markdown.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from bench.clusters import running
from include.catalogue import load
from include.model.catalogue import Catalogue
from include.model.estate import Dataset, Link, Maintenance
from include.model.words import DatasetKind, Role, StoreKind
from include.sandbox.stack.postgres import Cluster, ensure_our_roles
from include.stores.postgres import install
from include.stores.postgres.physical.rewriting import Fate, Rewriting

SMALL = 100
FILL: LiteralString = (
    "CREATE SCHEMA IF NOT EXISTS b; CREATE TABLE {t} (id bigint PRIMARY KEY, account_id text, body text);"
    " INSERT INTO {t} SELECT i, 'acct_' || i, (SELECT string_agg(md5(i::text || j), '') FROM generate_series(1, {width}) j)"
    " FROM generate_series(1, {rows}) i; CREATE INDEX ON {t} (account_id)"
)


class Company:
    """One database on a server of its own, with a store of these tables."""

    def __init__(self, cluster: Cluster, tables: list[str]) -> None:
        self.cluster = cluster
        of = load()
        store = next(s for s in of.stores if s.kind is StoreKind.POSTGRES).model_copy(
            update={
                "id": "company", "business_roles": (),
                "maintenance": Maintenance(window="00:00-24:00", rewrite_limit="9 GB", head_room="9 GB"),
            }
        )  # fmt: skip
        self.catalogue = Catalogue(
            name="bench", digest="0" * 64, clauses=(), categories=(), rules=(), recipients=(), stores=(store,),
            datasets=tuple(
                Dataset(id=t, store="company", kind=DatasetKind.TABLE, title=t, address=t, key=("id",),
                        links=(Link(column="account_id"),), binds=of.datasets[0].binds)
                for t in tables
            ),
            not_personal=(), backups=(), measures=(), measure_sql={}, controls=(), starting_points={},
        )  # fmt: skip

    def postgres(self, connection: str, role: Role) -> str:
        return self.cluster.conninfo(role.value, "postgres")

    def s3(self, connection: str, role: Role) -> Any:
        raise NotImplementedError

    def s3_as(self, connection: str, business_role: str) -> Any:
        raise NotImplementedError

    def endpoint(self, name: str) -> Any:
        raise NotImplementedError

    def text(self, name: str) -> str:
        raise NotImplementedError

    def disposed(self, conn: psycopg.Connection[Any], step: str) -> None:
        """What a disposal leaves: dead rows, and a receipt that names every table."""
        with conn.transaction():
            for d in self.catalogue.datasets:
                conn.execute(
                    sql.SQL("DELETE FROM {t} WHERE id = (SELECT max(id) FROM {t})").format(
                        t=sql.Identifier(*d.address.split("."))
                    )
                )
            conn.execute(
                "INSERT INTO quietus.receipt (step, verb, chunk, plan, counts, epoch)"
                " SELECT %s, 'dispose', 0, '-', jsonb_object_agg(t, '{\"erased\": 1}'::jsonb), 1 FROM unnest(%s::text[]) t",
                [step, [d.id for d in self.catalogue.datasets]],
            )


def timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def fill(conn: psycopg.Connection[Any], table: str, rows: int, width: int) -> None:
    conn.execute(
        sql.SQL(FILL).format(
            t=sql.Identifier(*table.split(".")), rows=sql.Literal(rows), width=sql.Literal(width)
        )
    )


def plain(conn: psycopg.Connection[Any], tables: list[str]) -> None:
    for table in tables:
        conn.execute(sql.SQL("VACUUM (FULL, ANALYZE) {}").format(sql.Identifier(*table.split("."))))


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=20_000)
    options.add_argument("--rounds", type=int, default=3)
    given = options.parse_args()
    big, small = ["b.big"], [f"b.small_{n}" for n in range(SMALL)]
    with running() as cluster:
        ensure_our_roles(cluster)
        rows = measured(cluster, big, small, given.rows, given.rounds)
    print(
        f"PostgreSQL 18, {given.rows} rows of 1 KB and {SMALL} tables of 100 rows, median of {given.rounds} rounds.\n"
    )
    print("| | scrub, s | floor, s | x floor |\n|---|---:|---:|---:|")
    for name, ours, floor in rows:
        print(f"| {name} | {ours:.2f} | {floor:.2f} | {ours / floor:.2f} |")
    return 0


def measured(
    cluster: Cluster, big: list[str], small: list[str], rows: int, rounds: int
) -> list[tuple[str, float, float]]:
    owner = cluster.superuser_conninfo()
    found: dict[str, list[tuple[float, float]]] = {}
    with psycopg.connect(owner, autocommit=True) as conn:
        fill(conn, "b.big", rows, 32)
        fill(conn, "b.keys", rows, 1)
        for table in small:
            fill(conn, table, 100, 2)
        for name, tables in (("one table", big), (f"{SMALL} small tables", small)):
            company = Company(cluster, tables)
            install(owner, company.catalogue, "company")
            for n in range(rounds):
                company.disposed(conn, f"{tables[0].replace('.', '_')}_{n}")
                done: list[Any] = []
                scrubbing = Rewriting(company.catalogue, "company", company)
                # In turns: what comes first warms the cache for what follows.
                order = [
                    lambda tables=tables: plain(conn, tables),
                    lambda run=scrubbing.run, done=done: done.append(run()),
                ]
                spent = [0.0, 0.0]
                for i in (0, 1) if n % 2 else (1, 0):
                    spent[i] = timed(order[i])
                assert len(done[0].of(Fate.REWRITTEN)) >= len(tables), str(done[0])
                found.setdefault(f"{name}, against plain `VACUUM (FULL, ANALYZE)`", []).append(
                    (spent[1], spent[0])
                )
        for _ in range(rounds):
            found.setdefault("a table of keys, against its data", []).append(
                (timed(lambda: plain(conn, ["b.keys"])), timed(lambda: plain(conn, big)))
            )
    return [
        (name, statistics.median(o for o, _ in spent), statistics.median(f for _, f in spent))
        for name, spent in found.items()
    ]


if __name__ == "__main__":
    raise SystemExit(main())
