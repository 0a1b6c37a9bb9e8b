"""What it costs that whole partitions are due: against dropping them by hand, and against their rows.

    python -m bench.partitions [--rows 5000000] [--due 1000000] [--parts 4] [--rounds 3] [--scale 4]

The visits of ``bench.night``, divided by date: what is due fills so many partitions to the last row, and nothing is due of the
others. Three ways in turns, each on a fresh copy: ours; the same with every row deleted by itself, as of a table that is not
divided; and by hand, as the owner, ``DETACH`` and ``DROP`` of each partition in a transaction, with no look at anything.
``--scale`` divides all sizes. Prints Markdown.
"""

from __future__ import annotations

import argparse
import statistics
import time
from unittest.mock import patch

import psycopg

from bench import night
from bench.clusters import running
from include.model.catalogue import Catalogue
from include.sandbox.stack.postgres import Cluster, ensure_our_roles
from include.stores.postgres import install
from include.stores.postgres.clearing import partitions

SCHEMA = (
    night.SCHEMA[: night.SCHEMA.index("CREATE TABLE usage.visit")]
    + """
CREATE TABLE usage.visit (
  visit_id bigint, account_id text NOT NULL, ip inet NOT NULL, agent text NOT NULL, visited_at timestamptz NOT NULL,
  PRIMARY KEY (visit_id, visited_at)) PARTITION BY RANGE (visited_at);
"""
)
INDEXES = """
CREATE INDEX ON usage.visit (visited_at); CREATE INDEX ON usage.visit (account_id);
GRANT USAGE ON SCHEMA account, usage TO eraser, prover;
GRANT SELECT ON ALL TABLES IN SCHEMA account, usage TO prover;
"""


def policy() -> Catalogue:
    whole = night.policy()
    visit = whole.dataset("usage.visit").model_copy(update={"key": ("visit_id", "visited_at")})
    return whole.model_copy(
        update={"datasets": (*(d for d in whole.datasets if not d.id.startswith("usage.")), visit)}
    )


def fill(cluster: Cluster, catalogue: Catalogue, database: str, rows: int, due: int, parts: int) -> None:
    """As ``night.fill`` does, the due rows in partitions of as many each."""
    cluster.ensure_database(database)
    edge, year = night.edge(catalogue), night.timedelta(days=360)
    with psycopg.connect(cluster.superuser_conninfo(database), cursor_factory=psycopg.ClientCursor) as conn:
        conn.execute(SCHEMA.encode())
        ends = [edge - year * n / parts for n in range(parts + 1)]
        for n in range(parts):
            conn.execute(
                f"CREATE TABLE usage.visit_{n} PARTITION OF usage.visit FOR VALUES FROM (%s) TO (%s)".encode(),
                [ends[n + 1], ends[n]],
            )
        conn.execute("CREATE TABLE usage.visit_now PARTITION OF usage.visit DEFAULT")
        people = max(100, rows // 1000)
        conn.execute(
            "INSERT INTO account.account SELECT 'A' || i, 'person', 'user', 'CN', '1', '2020-01-01', '2026-11-01'"
            " FROM generate_series(0, %s - 1) AS i", [people],
        )  # fmt: skip
        conn.execute(
            night.VISITS.encode(),
            {"people": people, "due": due, "visits": rows, "edge": edge, "due_step": year / due,
             "step": year / max(1, rows - due)},
        )  # fmt: skip
        conn.execute(INDEXES.encode())
    install(cluster.superuser_conninfo(database), catalogue, "company")
    with psycopg.connect(cluster.superuser_conninfo(database), autocommit=True) as conn:
        conn.execute("VACUUM (ANALYZE, FREEZE)")


def by_hand(company: night.Company, parts: int) -> float:
    with psycopg.connect(company.cluster.superuser_conninfo(company.database), autocommit=True) as conn:
        began = time.perf_counter()
        for n in range(parts):
            with conn.transaction():
                conn.execute(f"ALTER TABLE usage.visit DETACH PARTITION usage.visit_{n}".encode())
                conn.execute(f"DROP TABLE usage.visit_{n}".encode())
        return time.perf_counter() - began


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rows", type=int, default=5_000_000)
    options.add_argument("--due", type=int, default=1_000_000)
    options.add_argument("--parts", type=int, default=4)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--scale", type=int, default=4)
    given = options.parse_args()
    rows, due = given.rows // given.scale, given.due // given.scale
    whole: list[night.Ours] = []
    single: list[night.Ours] = []
    hand: list[float] = []
    with running(night.SETTINGS) as cluster:
        ensure_our_roles(cluster)
        catalogue = policy()
        fill(cluster, catalogue, "company", rows, due, given.parts)
        for n in range(given.rounds + 1):  # the first is not counted: plans, pages, Great Expectations
            with night.copied(cluster, "company") as company:
                mine = night.ours(catalogue, company)
            with (
                night.copied(cluster, "company") as company,
                patch.object(partitions, "parted", lambda _, look: ([(look, False)], None)),
            ):
                rows_ = night.ours(catalogue, company)
            with night.copied(cluster, "company") as company:
                bare = by_hand(company, given.parts)
            if (mine.rows, mine.pieces, rows_.rows) != (due, given.parts, due):
                raise SystemExit(f"{mine} {rows_}")
            if n:
                whole.append(mine)
                single.append(rows_)
                hand.append(bare)

    def line(of: list[night.Ours]) -> str:
        figures = ("locate", "dispose", "deed", "proofs")
        return " | ".join(f"{statistics.median(getattr(x, f) for x in of):.2f}" for f in figures)

    print(
        f"PostgreSQL 18, {due:,} rows of {rows:,} are due, in {given.parts} whole partitions; median of {given.rounds} rounds.\n"
    )
    print(
        "| | locate, s | dispose, s | of it the deed, s | keyed proofs, s | the deed ÷ by hand | the night ÷ by rows |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|")
    deeds = statistics.median(x.deed / b for x, b in zip(whole, hand, strict=True))
    nights = statistics.median(x.night / y.night for x, y in zip(whole, single, strict=True))
    print(f"| whole partitions | {line(whole)} | **{deeds:.2f}** | **{nights:.2f}** |")
    deeds = statistics.median(x.deed / b for x, b in zip(single, hand, strict=True))
    print(f"| row by row | {line(single)} | {deeds:.2f} | 1 |")
    print(f"| by hand: `DETACH`, `DROP` | | | {statistics.median(hand):.2f} | | 1 | |")
    print(
        "\nBy hand nobody looks whether each row is due and located; ours counts them twice with the partition closed to"
        " writers, and has found, kept and proved every key."
    )


if __name__ == "__main__":
    main()
