"""What a look costs at a successor: rows judged by the clocks that came with them, against the same rows if none had come.

    python -m bench.came [--items 200000] [--clocks 6000] [--bag 25000]

Every bag has so many clocks, as where many people's periods end on days of their own. The look is the one before a night: of
each row when it must have gone, by what came; the floor looks at the same rows by the catalogue's own rules.
Prints Markdown, seconds and the pages that the server touched. No bag is opened here (``bench.takeover``).
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import psycopg

from bench.clusters import running
from bench.handover import AS_OF, SCHEMA
from include.cases.retention import due
from include.cases.retention.taken import with_taken
from include.catalogue import load
from include.handover.custody import prepare
from include.model.catalogue import Catalogue
from include.model.interval import Standing
from include.model.words import Role
from include.sandbox.loading import make_partitions
from include.sandbox.stack.postgres import Cluster, ensure_our_roles

DATASET, LAW = "sign.signature", "E-commerce Law 31"
ROWS = """
SET session_replication_role = replica;
INSERT INTO sign.signature (signature_id, contract_id, account_id, serial, digest, signature_value, signed_at)
SELECT i, i, 'acct_' || lpad(i::text, 12, '0'), i::text, md5(i::text), '\\x00', '2026-01-01' FROM generate_series(1, %s) AS i"""
ITEMS = """
INSERT INTO quietus_handover.item (order_no, bag, no, dataset, key, clock, holds, leaf)
SELECT 'bench/SO-1', %(bag)s, i, %(dataset)s, ARRAY[(%(first)s + i)::text], i %% %(clocks)s, '', '\\x00'
  FROM generate_series(0, %(items)s - 1) AS i"""


class House:
    """A successor's server alone."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def postgres(self, connection: str, role: Role) -> str:
        return self.cluster.conninfo(role.value, "postgres")


def clock(n: int) -> str:
    """The text of one, as it travels: it ends on a day of its own, the next twenty thousand days round."""
    ends = AS_OF + timedelta(days=n % 20_000)
    floor = {"rule": "RS-10", "period": "main", "started": "2026-01-01", "ends": ends.isoformat(), "floor": True,
             "ceiling": True, "law": LAW, "company": False}  # fmt: skip
    due_on = (ends + timedelta(days=1)).isoformat()
    said: dict[str, Any] = {"running": [floor, {**floor, "rule": "RS-01", "floor": False, "law": "PIPL 19"}],
                            "earliest": due_on, "due": due_on, "by": "RS-10/main", "law": LAW}  # fmt: skip
    return json.dumps(said, sort_keys=True, separators=(",", ":"))


def fill(cluster: Cluster, catalogue: Catalogue, items: int, clocks: int, bag: int) -> None:
    superuser = cluster.superuser_conninfo()
    with psycopg.connect(superuser) as conn:
        for file in sorted(SCHEMA.glob("*.sql")):
            conn.execute(file.read_text("utf-8").encode())
        make_partitions(conn, AS_OF)
    for role in (Role.CUSTODIAN, Role.PROVER):
        cluster.ensure_role(role.value)
    prepare(superuser, catalogue, "company")
    with psycopg.connect(superuser) as conn:
        conn.execute("GRANT USAGE ON SCHEMA account, cert, ra, sign TO prover")
        conn.execute("GRANT SELECT ON ALL TABLES IN SCHEMA account, cert, ra, sign TO prover")
        conn.execute(ROWS % items)
        for number, first in enumerate(range(1, items + 1, bag)):
            came = [clock(number * clocks + n) for n in range(clocks)]
            name = f"{DATASET}-{number:05d}"
            conn.execute(
                "INSERT INTO quietus_handover.bag (order_no, bag, kind, dataset, sender, statement, salt, clocks, described,"
                " stored_at) VALUES ('bench/SO-1', %s, 'rows', %s, 'bench', 's', '\\x00', %s, '{}', now())",
                (name, DATASET, came),
            )
            conn.execute(ITEMS, {"bag": name, "dataset": DATASET, "first": first, "clocks": clocks,
                                 "items": min(bag, items + 1 - first)})  # fmt: skip
    with psycopg.connect(superuser, autocommit=True) as conn:
        conn.execute("VACUUM (ANALYZE)")


def touched(cluster: Cluster) -> int:
    """Pages of the database that were touched since its statistics began."""
    with psycopg.connect(cluster.superuser_conninfo(), autocommit=True) as conn:
        conn.execute("SELECT pg_stat_force_next_flush()")
        row = conn.execute(
            "SELECT blks_hit + blks_read FROM pg_stat_database WHERE datname = current_database()"
        ).fetchone()
    assert row is not None
    return int(row[0])


def looks(cluster: Cluster, catalogue: Catalogue, day: date) -> Iterator[tuple[float, int, int]]:
    """By what came, and by the catalogue alone: seconds, pages, and how many were found due."""
    house = House(cluster)
    ours = tuple(d for d in catalogue.datasets if d.id == DATASET or d.accounts)
    for taken in (True, False):
        before, began = touched(cluster), time.monotonic()
        asked = with_taken(catalogue, house) if taken else catalogue  # type: ignore[arg-type]
        seen = due.see(asked.model_copy(update={"datasets": ours}), house, day)  # type: ignore[arg-type]
        took = time.monotonic() - began
        if DATASET in seen.unverified:
            raise SystemExit(seen.unverified[DATASET])
        found = sum(
            x.items for x in seen.judged if x.dataset == DATASET and x.interval.stands(day) is Standing.DUE
        )
        yield took, touched(cluster) - before, found


def main() -> int:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--items", type=int, default=200_000)
    options.add_argument("--clocks", type=int, default=6_000)
    options.add_argument("--bag", type=int, default=25_000)
    given = options.parse_args()
    catalogue = load()
    print(
        "| items | bags | clocks a bag | look, s | pages an item | none came, s | pages an item |\n|"
        + "---:|" * 7
    )
    for part in (4, 1):
        items = given.items // part
        with running() as cluster:
            ensure_our_roles(cluster)
            fill(cluster, catalogue, items, given.clocks, min(given.bag, items))
            (mine, pages, found), (floor, bare, _) = looks(cluster, catalogue, AS_OF + timedelta(days=10_000))
        assert found, "nothing was due, so nothing was judged"
        print(f"| {items:,} | {-(-items // given.bag)} | {given.clocks:,} | **{mine:.1f}** | {pages / items:.1f} |"
              f" {floor:.1f} | {bare / items:.1f} |", flush=True)  # fmt: skip
    print(f"\nLoad of the machine meanwhile: {os.getloadavg()[1]:.0f}.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
