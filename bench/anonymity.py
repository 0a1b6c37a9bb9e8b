"""What releasing costs: rows a second against a bare UPDATE of the same rows; and k, l and t against pycanon's.

    PYCANON=/path/to/venv/bin/python python -m bench.anonymity [--rows 100000]

pycanon is an oracle in an environment of its own, for it pins pandas and numpy; without PYCANON its values are not compared.
Prints Markdown.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import tempfile
import time
from typing import Any

import psycopg
from psycopg import sql

from bench.clusters import running
from include.model.releases import Quasi, Sensitive
from include.proofs import anonymity
from include.proofs.server import Reader
from include.sandbox.stack.postgres import Cluster, ensure_our_roles
from include.stores.postgres.anonymise import Anonymiser
from include.stores.postgres.server import Server
from tests.stores.postgres import making, releasing
from tests.stores.postgres.making import Fixed

COMPARED = 5_000  # rows; pycanon takes long
ASK = """
import csv, json, sys
import pandas as pd
from pycanon import anonymity
said = json.load(sys.stdin)
rows = list(csv.DictReader(open(said["file"], encoding="utf-8")))
frame = pd.DataFrame(rows)
known, secret = said["known"], said["secret"]
texts = {"k": anonymity.k_anonymity(frame, known), "l": anonymity.l_diversity(frame, known, [secret]),
         "t": anonymity.t_closeness(frame, known, [secret])}
frame[secret] = pd.Categorical(frame[secret]).codes.astype(int)
print(json.dumps(texts | {"ordered": anonymity.t_closeness(frame, known, [secret])}, default=float))
"""


def fill(there: psycopg.Connection[Any], rows: int) -> None:
    there.execute("INSERT INTO stat.account SELECT 'A' || i FROM generate_series(1, %s) i", [rows])
    there.execute("INSERT INTO stat.pseudonym SELECT i, 'A' || i FROM generate_series(1, %s) i", [rows])
    there.execute(
        "INSERT INTO stat.extract SELECT i, i, date '1950-01-01' + (i * 7919 %% 20000),"
        " (ARRAY['Futian', 'Nanshan', 'Tianhe', 'Haidian', 'Pudong'])[1 + i %% 5], i * 31 %% 200,"
        " (ARRAY['a', 'b', 'c', 'd'])[1 + (i * 17 / 3) %% 4], now() FROM generate_series(1, %s) i", [rows],
    )  # fmt: skip
    there.execute("CREATE TABLE stat.bare AS TABLE stat.extract; ALTER TABLE stat.bare ADD PRIMARY KEY (id)")
    there.execute("VACUUM ANALYZE")


def seconds(what: Any) -> float:
    begun = time.perf_counter()
    what()
    return time.perf_counter() - begun


def compared(there: psycopg.Connection[Any], found: anonymity.Measured, by_rank: float) -> str:
    python = os.environ.get("PYCANON")
    if not python:
        return "Not compared with pycanon: PYCANON names no interpreter that has it."
    with tempfile.NamedTemporaryFile("w", suffix=".csv", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("born", "town", "spent", "ill"))
        writer.writerows(there.execute("SELECT born, town, spent, ill FROM stat.released"))
        file.flush()
        asked = json.dumps({"file": file.name, "known": ["born", "town", "spent"], "secret": "ill"})
        done = subprocess.run(
            [python, "-c", ASK], input=asked, capture_output=True, text=True, check=True, timeout=600
        )
    theirs = json.loads(done.stdout)
    ours = {"k": found.k, "l": found.l["ill"], "t": found.t["ill"], "ordered": by_rank}
    lines = []
    for n, mine in ours.items():
        same = "equal" if abs(mine - theirs[n]) < 1e-9 else "**NOT EQUAL**"
        lines.append(f"| {n} | {mine:.6g} | {theirs[n]:.6g} | {same} |")
    return "\n".join(["| | ours | pycanon | |", "|---|---:|---:|---|", *lines])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=100_000)
    rows = parser.parse_args().rows
    for size, whole in ((rows, True), (min(rows, COMPARED), False)):
        with running() as cluster:
            ensure_our_roles(cluster)
            measured(cluster, size, whole=whole)


def measured(cluster: Cluster, rows: int, *, whole: bool) -> None:
    release = releasing.MOVED.model_copy(
        update={
            "k": 20,
            "quasi": {**releasing.QUASI, "born": Quasi(date=("month", "year"))},
            "suppress_at_most": 0.05,
        }
    )
    base = making.catalogue(
        releasing.ACCOUNT, releasing.PSEUDONYM, releasing.EXTRACT, releasing.VISIT, business_roles=()
    )
    catalogue = base.model_copy(update={"releases": (release,)})
    with psycopg.connect(cluster.superuser_conninfo(), autocommit=True) as there:
        there.execute("CREATE DATABASE shop")
    with psycopg.connect(cluster.superuser_conninfo("shop"), autocommit=True) as there:
        there.execute(releasing.SCHEMA.encode())
        making.install(cluster.superuser_conninfo("shop"), catalogue, "company")
        fill(there, rows)
        bare = seconds(
            lambda: there.execute("UPDATE stat.bare SET pseudonym = 0, town = 'x', born = NULL, spent = 0")
        )
        server = Server(lambda: cluster.conninfo("eraser", "shop"), "company")
        anonymiser = Anonymiser(server, catalogue, release)
        every = sql.SQL("SELECT id FROM stat.extract")
        taken = seconds(lambda: anonymiser.run(making.step("A1", restricting=False), 0, every))
        reader = Reader.of(Fixed(lambda role: cluster.conninfo(role, "shop")), "company", "company")
        dataset = catalogue.dataset("stat.extract")
        looked = seconds(lambda: anonymity.measure(reader, dataset, release))
        found = anonymity.measure(reader, dataset, release)
        if whole:
            print(
                f"{rows:,} rows to k = 20 in {taken:.1f} s, {rows / taken:,.0f} rows/s; a bare UPDATE of them {bare:.1f} s, so"
                f" {taken / bare:.2f} times as long. Measured in {looked:.2f} s: {found.classes} classes, k {found.k}.\n"
            )
            return
        ordered = release.model_copy(update={"sensitive": {"ill": Sensitive(ordered=True)}})
        print(f"{found.rows:,} released rows, measured twice:\n")
        print(compared(there, found, anonymity.measure(reader, dataset, ordered).t["ill"]))


if __name__ == "__main__":
    main()
