"""Killed at any instant, a run resumes to the same end: nothing lost, nothing done twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from include.stores.s3 import objects, records
from tests.stores.s3.test_records import entry
from tests.stores.s3.world import World, jsonl, planned, provide

pytestmark = pytest.mark.s3

CHILD = """
import itertools, sys
sys.path.insert(0, ".")
from tests.stores.s3.world import *
from include.stores.s3 import objects, server
from include.model.flow import Plan
name, endpoint, tag, bucket, plan = sys.argv[1:]
world = World(Server(name, endpoint), tag=tag)
world.objects(bucket, "id/{account_id}/")
objects.CHUNK, server.BATCH = 40, 10
batches = itertools.count(1)
def before_a_batch(**_):
    if next(batches) == 6:  # in the second chunk
        print("here", flush=True)
        sys.stdin.read()  # for ever: whoever started this kills it
world.eraser.meta.events.register("before-send.s3.DeleteObjects", before_a_batch)
world.store().dispose(world.step("a", "b"), Plan.model_validate_json(open(plan).read()))
"""


class Died(BaseException):
    """Stands for a kill: nothing in the product may catch it."""


def test_killed_between_batches_a_run_resumes_to_the_same_end(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = world.bucket("photos")
    dataset = world.objects(bucket, "id/{account_id}/")
    for who in "abc":
        for n in range(45):
            world.s3.put_object(Bucket=bucket, Key=f"id/{who}/{n:03d}", Body=b"x")
    others = [v for v in world.versions(bucket) if v[0].startswith("id/c/")]
    monkeypatch.setattr(objects, "CHUNK", 40)
    store, step = world.store(), world.step("a", "b")
    plan = planned(store, step, provide(dataset))
    file = tmp_path / "plan.json"
    file.write_text(plan.model_dump_json())
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, world.server.name, world.server.endpoint, world.tag, bucket, str(file)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == "here\n"
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    left = [key for key, _, _ in world.versions(bucket) if not key.startswith("id/c/")]
    assert len(left) == 90 - 5 * 10
    deleted: Counter[str] = Counter()

    def watch(params: dict[str, Any], **_: Any) -> None:
        deleted.update(o["Key"] for o in params["Delete"]["Objects"])

    world.eraser.meta.events.register("before-parameter-build.s3.DeleteObjects", watch)
    assert world.store().dispose(step, plan).counts == {dataset.id: {"erased": 90}}
    assert world.versions(bucket) == others
    done_before = 90 - len(left)
    assert sum(deleted.values()) <= 90 - done_before + 40  # at most the one begun chunk is asked for again
    assert [r.chunk for r in store.receipts(step) if r.verb == "dispose"] == [0, 1, 2]


@pytest.mark.parametrize("verb", ["put_object", "delete_objects"])
@pytest.mark.parametrize("after", [True, False])
@pytest.mark.parametrize("at", range(4))
def test_record_files_survive_a_kill_before_and_after_every_write(
    on_moto: World, monkeypatch: pytest.MonkeyPatch, verb: str, after: bool, at: int
) -> None:
    world = on_moto
    monkeypatch.setattr(records, "CHUNK", 2)
    bucket = world.bucket("logs")
    dataset = world.records(bucket)
    for n in range(4):
        for more in range(2):
            world.put_log(
                bucket, f"access/{n}.jsonl.gz", [entry("a", n), entry("b", n), entry("c", 9)][: 2 + more]
            )
    store, step = world.store(), world.step("a")
    plan = planned(store, step, provide(dataset))
    original, calls = getattr(world.eraser, verb), []

    def dying(**how: Any) -> Any:
        calls.append(how)
        if len(calls) == at + 1 and not after:
            raise Died
        answer = original(**how)
        if len(calls) == at + 1:
            raise Died
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(world.eraser, verb, dying)
        try:
            store.dispose(step, plan)
        except Died:
            pass
        else:
            assert verb == "delete_objects" and at >= 2
    assert world.store().dispose(step, plan).counts == {dataset.id: {"erased": 4, "erased@object_version": 4}}
    left = world.versions(bucket)
    assert [key for key, _, _ in left] == [f"access/{n}.jsonl.gz" for n in range(4)]
    for n in range(4):
        assert world.log(bucket, f"access/{n}.jsonl.gz") == jsonl([entry("b", n), entry("c", 9)])
