"""What looking for what is due costs: every table of a company, against a bare count with the same predicates.

    python -m bench.due [--people 20000] [--rounds 3]

Ours asks range by range, in a session that cannot write, and groups by starting days, of which Python then counts each interval
again. The floor is one hand-written ``SELECT count(*)`` of the whole table, by somebody who has looked the dates up. Both by the
same role, in turns; and both must come to the same number. Prints Markdown.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from bench.clusters import running
from include.cases.retention.due import see, table
from include.catalogue import load
from include.model.catalogue import Catalogue
from include.model.errors import NotReachable
from include.model.words import DatasetKind, Role
from include.sandbox.loading import derive, make_partitions
from include.sandbox.loading import load as load_rows
from include.sandbox.people.everybody import all_rows
from include.sandbox.stack.postgres import Cluster, ensure_our_roles

AS_OF = date(2026, 11, 24)
SCHEMA = Path(__file__).parent.parent / "include/sandbox/schema"
# When the chain of an application's certificates ended, of everybody at once.
ENDED: LiteralString = """
WITH RECURSIVE chain (root, serial) AS (
  SELECT serial, serial FROM cert.certificate WHERE renews_serial IS NULL
  UNION ALL
  SELECT c.root, x.serial FROM chain AS c JOIN cert.certificate AS x ON x.renews_serial = c.serial
), ended AS (
  SELECT root, max(least(x.not_after, x.revoked_at)) AS at FROM chain JOIN cert.certificate AS x USING (serial) GROUP BY root
), led AS (
  SELECT x.application_id, max(e.at) AS at FROM chain AS c JOIN ended AS e USING (root) JOIN cert.certificate AS x USING (serial)
   WHERE x.application_id IS NOT NULL GROUP BY 1
  UNION ALL
  SELECT a.application_id, max(e.at) FROM ra.application AS a JOIN cert.certificate AS x USING (account_id)
    JOIN chain AS c USING (serial) JOIN ended AS e USING (root) WHERE a.kind = 'revoke' GROUP BY 1
)
"""
FLOORS: dict[str, LiteralString] = {
    "usage.access_log": "SELECT count(*) FROM usage.access_log WHERE occurred_at < '2025-11-24 00:00+08'",
    "account.login_code": """
        SELECT count(*) FROM account.login_code AS t JOIN account.account AS a USING (account_id)
         WHERE t.sent_at < '2026-11-23 23:50+08' OR a.cancelled_at < '2026-11-23 00:00+08'""",
    "usage.service_use": """
        SELECT count(*) FROM usage.service_use AS t JOIN account.account AS a USING (account_id)
         WHERE t.used_at < '2026-05-24 00:00+08' OR a.cancelled_at < '2026-11-03 00:00+08'""",
    "support.ticket_note": """
        SELECT count(*) FROM support.ticket_note AS n JOIN support.ticket AS t USING (ticket_id)
          JOIN account.account AS a USING (account_id)
         WHERE t.closed_at < '2025-11-24 00:00+08' OR a.cancelled_at < '2025-11-24 00:00+08'""",
    "ra.match_result": ENDED + """
        SELECT count(*) FROM ra.match_result AS m JOIN ra.application AS a USING (application_id)
          LEFT JOIN led USING (application_id)
         WHERE led.at < '2021-11-24 00:00+08' OR (led.at IS NULL AND a.decided_at < '2026-10-25 00:00+08'
           AND NOT EXISTS (SELECT FROM cert.certificate AS x WHERE x.application_id = a.application_id))""",
}  # fmt: skip


class Company:
    """One database on a server of its own."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def postgres(self, connection: str, role: Role) -> str:
        return self.cluster.conninfo(role.value, "postgres")

    def s3(self, connection: str, role: Role) -> Any:
        raise NotReachable("a bench without buckets", about=connection)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    found = work()
    return time.perf_counter() - began, found


def only(catalogue: Catalogue, dataset: str) -> Catalogue:
    """The policy with binds for one dataset only, so that no other is asked; the others lead to its people."""
    datasets = tuple(d if d.id == dataset else d.model_copy(update={"binds": ()}) for d in catalogue.datasets)
    return catalogue.model_copy(update={"datasets": datasets})


def fill(cluster: Cluster, people: int) -> int:
    with psycopg.connect(cluster.superuser_conninfo()) as conn:
        for file in sorted(SCHEMA.glob("*.sql")):
            conn.execute(file.read_text("utf-8").encode())
        make_partitions(conn, AS_OF)
        counts = load_rows(conn, all_rows(people, 5, AS_OF))
        derive(conn, AS_OF)
    with psycopg.connect(cluster.superuser_conninfo(), autocommit=True) as conn:
        conn.execute("VACUUM (ANALYZE)")
    return counts.total()


def measured(cluster: Cluster, rounds: int) -> list[tuple[str, int, int, float, float]]:
    policy, company, rows = load(), Company(cluster), []
    with psycopg.connect(company.postgres("company", Role.PROVER), autocommit=True) as conn:
        for dataset, floor in FLOORS.items():
            every = conn.execute(f"SELECT count(*) FROM {dataset}".encode()).fetchone()
            one = only(policy, dataset)
            work = [
                lambda floor=floor: conn.execute(floor).fetchone(),
                lambda one=one: sum(r.due for r in table(see(one, company, AS_OF))),  # type: ignore[arg-type]
            ]
            spent: list[list[float]] = [[], []]
            for n in range(rounds):
                found: list[Any] = [None, None]
                for i in (0, 1) if n % 2 else (1, 0):
                    seconds, found[i] = timed(work[i])
                    spent[i].append(seconds)
                if found[0] != (found[1],):
                    raise SystemExit(f"{dataset}: the floor counts {found[0]}, ours {found[1]}")
            ours, bare = statistics.median(spent[1]), statistics.median(spent[0])
            rows.append((dataset, every[0] if every else 0, found[1], ours, bare))
    return rows


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--people", type=int, default=20_000)
    options.add_argument("--rounds", type=int, default=3)
    given = options.parse_args()
    with running() as cluster:
        ensure_our_roles(cluster)
        every = fill(cluster, given.people)
        rows = measured(cluster, given.rounds)
        whole = [timed(lambda: see(load(), Company(cluster), AS_OF)) for _ in range(given.rounds)]  # type: ignore[arg-type]
    found = table(whole[0][1])
    tables = len(load().of_store("company", DatasetKind.TABLE))
    print(f"PostgreSQL 18, {given.people:,} people, {every:,} rows, median of {given.rounds} rounds.\n")
    print("| table | rows | due | ours, s | bare count, s | x floor |\n|---|---:|---:|---:|---:|---:|")
    for name, n, due, ours, bare in rows:
        print(f"| {name} | {n:,} | {due:,} | {ours:.3f} | {bare:.3f} | {ours / bare:.1f} |")
    seconds = statistics.median(s for s, _ in whole)
    print(f"\nAll {tables} tables, every rule: {seconds:.1f} s, {sum(r.due for r in found):,} due"
          f" ({every / seconds:,.0f} rows/s).")  # fmt: skip
    print(
        "\nThe floor knows the dates and the tables' shape, and answers with one number; ours pages the key in order, so that no"
        " statement is larger than its range, and groups by starting days. Chains of renewals are the dearest: each table of the"
        " vetting file asks for them, range by range."
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
