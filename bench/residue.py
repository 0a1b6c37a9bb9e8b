"""What the residue scan costs: against Hyperscan over the same bytes in memory, and against reading them.

    python -m bench.residue [--mib 512] [--subjects 10000]

A cluster of made-up rows (plain columns, compressed values, chunks, indexes) with its WAL, from the page cache. The
pass without decoding is what the target is about; decoding is told apart. Prints Markdown.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from bench.clusters import running
from include.proofs.residue import scan as scanning
from include.proofs.residue.files import Kind, Part, Source, sources
from include.proofs.residue.needles import needles
from include.proofs.residue.search import Search
from include.proofs.values import Net, Values
from include.sandbox.stack.postgres import Cluster

ROUNDS = 3
WINDOW = scanning.WINDOW


def people(subjects: int) -> dict[int, Values]:
    """Two identifiers each, none of whom is there."""
    return {n: Values(frozenset({f"139{n:08}", f"acct_{n * 2654435761:016x}"})) for n in range(subjects)}


def fill(cluster: Cluster, mib: int) -> None:
    """About so many MiB: half rows with indexes, a quarter compressed within rows, a quarter in chunks."""
    rows = mib * 2**20 // 2 // 180
    with psycopg.connect(cluster.superuser_conninfo(), autocommit=True) as conn:
        conn.execute("CREATE TABLE plain (id text PRIMARY KEY, phone text, said text)")
        conn.execute(
            "INSERT INTO plain SELECT 'acct_' || substr(md5(n::text), 1, 16) || n,"
            " '138' || lpad((mod(n::bigint * 7919, 100000000))::text, 8, '0'), md5((n + 1)::text)"
            " FROM generate_series(1, %s) n", [rows],
        )  # fmt: skip
        for name, words in (("inline", 150), ("chunks", 4000)):
            conn.execute(f"CREATE TABLE {name} (id int, said text)".encode())
            conn.execute(
                f"INSERT INTO {name} SELECT n, (SELECT string_agg(md5(mod(n * 31 + w, 997)::text), ' ')"
                f" FROM generate_series(1, {words}) w) FROM generate_series(1, %s) n".encode(),
                [mib * 2**20 // 4 // (words * 8)],
            )
        conn.execute("CHECKPOINT")


def timed(what: Callable[[], object]) -> float:
    """Seconds, the median of some rounds."""
    taken = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        what()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def in_memory(search: Search, buffers: list[bytes]) -> None:
    for buffer in buffers:
        for _ in search.hits(buffer):
            pass


def read(paths: list[Path]) -> None:
    buffer = bytearray(WINDOW)
    for path in paths:
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def measured(data: Path, subjects: int) -> None:
    paths = [p for p in data.rglob("*") if p.is_file() and p.stat().st_size]
    size = sum(p.stat().st_size for p in paths) / 2**20
    buffers = [b for p in paths for b in _windows(p)]
    things = list(sources(data))
    plain = [
        Source(p.name, Kind.OTHER, (Part(p.name, p.open),))
        for x in things
        if isinstance(x, Source)
        for p in x.parts
    ]
    print(f"{size:,.0f} MiB in {len(paths):,} files.\n")
    print(
        "| subjects | needles | prepare s | read MiB/s | Hyperscan, in memory | raw pass | ÷ Hyperscan | whole pass |"
    )
    print("|---|---|---|---|---|---|---|---|")
    rates = {}
    for n in (1, subjects):
        sought = people(n)
        begun = time.perf_counter()
        found = needles(sought, digests=n <= scanning.FEW)
        search = Search(found, Net([v for values in sought.values() for v in values.found]))
        prepare = time.perf_counter() - begun
        floor = size / timed(lambda s=search: in_memory(s, buffers))  # type: ignore[misc]
        reading = size / timed(lambda: read(paths))
        raw = size / timed(lambda s=search: scanning.look_through(s, plain))  # type: ignore[misc]
        begun = time.perf_counter()
        scanning.look_through(search, things)
        whole = size / (time.perf_counter() - begun)
        rates[n] = raw
        print(
            f"| {n:,} | {len(found):,} | {prepare:.1f} | {reading:,.0f} | {floor:,.0f} | {raw:,.0f} |"
            f" {raw / floor:.2f} (target ≥ 0.7) | {whole:,.1f} |"
        )
    print(f"\n{subjects:,} subjects ÷ one, raw pass: {rates[1] / rates[subjects]:.1f} (target ≤ 8).")
    print(
        "The whole pass also decompresses every value in pages and chunks and every page in WAL, in Python for PostgreSQL's"
        " own compression: what it costs depends on how much of that there is."
    )


def _windows(path: Path) -> list[bytes]:
    with path.open("rb") as file:
        return list(iter(lambda: file.read(WINDOW), b""))


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--mib", type=int, default=512)
    arguments.add_argument("--subjects", type=int, default=10_000)
    given = arguments.parse_args()
    with running({"fsync": "off", "max_wal_size": "256MB", "wal_compression": "on"}) as cluster:
        fill(cluster, given.mib)
        cluster.stop()
        measured(cluster.data, given.subjects)


if __name__ == "__main__":
    main()
