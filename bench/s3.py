"""What the S3 store costs: against the fewest possible requests, a bare boto3 loop, and a plain rewrite.

    python -m bench.s3 [--objects 5000] [--rounds 5] [--mib 64]

Objects on moto, where requests and our own processor time count (its own slowness hides our wall time), and on
Ceph's Object Gateway where that is installed, where wall time counts too. Prints Markdown.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from math import ceil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.sandbox.stack import objects
from include.sandbox.stack.places import Places
from include.sandbox.stack.ports import free_port, is_free
from include.stores.s3.jsonl import JsonLines
from include.stores.s3.parquet import Parquet
from tests.stores.s3.world import Server, World, planned, provide

CEPH_RGW = Path(__file__).parents[1] / "tests" / "ceph-rgw"
PER_PERSON = 10


@contextmanager
def moto() -> Iterator[Server]:
    home = Path(tempfile.mkdtemp(prefix="quietus-bench-", dir="/tmp"))
    places = Places.of(home)
    places.make()
    port = free_port()
    process = objects.process(places, port)
    try:
        process.start()
        process.wait(lambda: objects.answers(port), 60)
        yield Server("moto", objects.endpoint(port))
    finally:
        process.stop()
        places.purge()
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def ceph() -> Iterator[Server]:
    home = Path(tempfile.mkdtemp(prefix="quietus-bench-", dir="/tmp")) / "ceph"
    port = next(port for port in iter(free_port, None) if is_free(port - 690))  # the monitor's
    try:
        subprocess.run([CEPH_RGW, "up", home, str(port)], capture_output=True, timeout=180, check=True)
        yield Server("Ceph", f"http://127.0.0.1:{port}")
    finally:
        subprocess.run([CEPH_RGW, "down", home], capture_output=True, timeout=60, check=False)
        shutil.rmtree(home.parent, ignore_errors=True)


def servers() -> list[Callable[[], AbstractContextManager[Server]]]:
    there = all(shutil.which(p) for p in ("radosgw", "ceph-mon", "ceph-osd"))
    return [moto, *([ceph] if there else [])]


def clocked(work: Callable[[], Any]) -> tuple[float, float]:
    """(wall seconds, CPU seconds of this process, all threads)."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def fill(world: World, bucket: str, objects: int) -> list[str]:
    """Two versions per object, and a fifth as many people again whom nobody deletes."""
    people = [f"p{n:05d}" for n in range(6 * objects // 5 // PER_PERSON)]
    keys = [f"id/{who}/{n}" for who in people for n in range(PER_PERSON)]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(2):
            list(pool.map(lambda key: world.s3.put_object(Bucket=bucket, Key=key, Body=b"x"), keys))
    return people[: objects // PER_PERSON]


def bare(world: World, bucket: str, last: str) -> None:
    """The loop anybody would write who knows that the cohort stands in front."""
    doomed: list[dict[str, str]] = []
    for page in world.eraser.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix="id/"):
        versions = [v for v in page.get("Versions", []) if v["Key"].split("/")[1] <= last]
        doomed += [{"Key": v["Key"], "VersionId": v["VersionId"]} for v in versions]
        if not versions:
            break
    for at in range(0, len(doomed), 1000):
        world.eraser.delete_objects(Bucket=bucket, Delete={"Objects": doomed[at : at + 1000], "Quiet": True})


def objects_round(where: Server, many: int) -> dict[str, float]:
    world = World(where)
    bucket = world.bucket("bench")
    people = fill(world, bucket, many)
    dataset = world.objects(bucket, "id/{account_id}/")
    store, step = world.store(), world.step(*people)
    plans: list[Any] = []
    world.requests.clear()
    once = clocked(lambda: plans.append(planned(store, step, provide(dataset), restrict=False)))
    surveyed = len(world.requests)
    then = clocked(lambda: store.dispose(step, plans[0]))
    requests = len(world.requests)
    left = sum(
        1 for _ in world.s3.get_paginator("list_object_versions").paginate(Bucket=bucket).search("Versions[]")
    )
    assert left == 2 * many // 5, (left, many)
    other = World(where)
    bucket = other.bucket("bare")
    fill(other, bucket, many)
    wall, cpu = clocked(lambda: bare(other, bucket, people[-1]))
    pages = ceil(2 * many / 1000)
    return {
        "requests": requests, "survey requests": surveyed, "least": 2 * pages,
        "requests ratio": requests / (2 * pages), "cpu ratio": (once[1] + then[1]) / cpu,
        "wall ratio": (once[0] + then[0]) / wall, "dispose wall ratio": then[0] / wall,
        "dispose cpu ratio": then[1] / cpu, "bare wall s": wall, "bare cpu s": cpu,
    }  # fmt: skip


def rows(mib: float) -> list[dict[str, Any]]:
    n = int(mib * 2**20 / 160)
    return [
        {"account_id": f"acct_{i * 7919 % 5000:012d}",
         "at": f"2026-01-05T10:{i // 60 % 60:02d}:{i % 60:02d}+08:00",
         "ip": f"10.{i % 251}.{i % 241}.{i % 239}", "path": f"/page/{i * 31 % 9973}", "ms": i * 17 % 997}
        for i in range(n)
    ]  # fmt: skip


def records_round(mib: float) -> dict[str, float]:
    data = rows(mib)
    body = b"".join(json.dumps(r).encode() + b"\n" for r in data)
    packed, wanted, out = (
        gzip.compress(body, 6, mtime=0),
        frozenset({"acct_000000000042", "acct_000000004711"}),
        {},
    )
    ours, form = io.BytesIO(), JsonLines()
    found: list[Any] = []
    scan = clocked(lambda: found.extend(form.scan(io.BytesIO(packed), "account_id", wanted, ["at"])))[1]
    changes = {f.row: None for f in found}
    write = clocked(lambda: form.rewrite(io.BytesIO(packed), ours, changes))[1]
    check = clocked(lambda: form.verify(io.BytesIO(packed), ours, changes))[1]

    def plain_gzip() -> None:
        with gzip.open(io.BytesIO(packed)) as source, gzip.open(io.BytesIO(), "wb", 6) as sink:
            for line in source:
                if json.loads(line)["account_id"] not in wanted:
                    sink.write(line)

    plain = clocked(plain_gzip)[1]
    size = len(body) / 2**20
    out |= {"jsonl scan MB/CPU s": size / scan, "jsonl rewrite MB/CPU s": size / (write + check),
            "jsonl plain MB/CPU s": size / plain, "jsonl ratio": (scan + write + check) / plain}  # fmt: skip
    source = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(data), source, compression="zstd", row_group_size=100_000)
    pform, sink = Parquet(), io.BytesIO()
    pfound: list[Any] = []
    pscan = clocked(lambda: pfound.extend(pform.scan(source, "account_id", wanted, ["at"])))[1]
    pchanges = {f.row: None for f in pfound}
    pwrite = clocked(lambda: pform.rewrite(source, sink, pchanges))[1]
    pcheck = clocked(lambda: pform.verify(source, sink, pchanges))[1]

    def plain_parquet() -> None:
        file = pq.ParquetFile(source)
        with pq.ParquetWriter(io.BytesIO(), file.schema_arrow, compression="zstd") as writer:
            for g in range(file.num_row_groups):
                table = file.read_row_group(g)
                hit = pc.is_in(table["account_id"], value_set=pa.array(sorted(wanted)))
                writer.write_table(table.filter(pc.invert(hit)))

    pplain = clocked(plain_parquet)[1]
    assert len(pfound) == len(found) > 0
    out |= {"parquet scan MB/CPU s": size / pscan, "parquet rewrite MB/CPU s": size / (pwrite + pcheck),
            "parquet plain MB/CPU s": size / pplain,
            "parquet ratio": (pscan + pwrite + pcheck) / pplain}  # fmt: skip
    return out


def table(title: str, rounds: list[dict[str, float]]) -> str:
    lines = [f"### {title}", "", "| | median | least | most |", "|---|---|---|---|"]
    for name in rounds[0]:
        values = [r[name] for r in rounds]
        lines.append(f"| {name} | {statistics.median(values):.2f} | {min(values):.2f} | {max(values):.2f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mib", type=float, default=64)
    args = parser.parse_args()
    for starting in servers():
        with starting() as where:
            found = [objects_round(where, args.objects) for _ in range(args.rounds)]
            title = f"{args.objects} objects, {2 * args.objects} versions, on {where.name}"
            if where.name == "moto":  # its own work is in the wall time, and hides ours
                found = [{k: v for k, v in r.items() if "wall" not in k} for r in found]
            print(table(title, found))
            print()
    records_round(1)  # warm
    print(table(f"Record files of {args.mib:g} MiB", [records_round(args.mib) for _ in range(args.rounds)]))
    print(f"\nPeak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB")


if __name__ == "__main__":
    main()
