"""Records of one person leave shared files; the other people's bytes, and the file's own traits, stay."""

from __future__ import annotations

import gzip
import io
import json
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.model.errors import Drifted, QuietusError
from include.model.estate import Bound, Cut, Start
from include.model.flow import Held
from include.model.words import CopyKind, Disposition
from include.stores.s3.files import WRITTEN
from tests.stores.s3.world import World, count, jsonl, planned, provide, six_months

pytestmark = pytest.mark.s3

OLD, YOUNG = "2026-01-05T10:00:00+08:00", "2026-11-01T10:00:00+08:00"


def entry(who: str, n: int = 0, at: str = OLD) -> dict[str, Any]:
    return {"account_id": who, "n": n, "at": at, "页": "/首页"}


def test_only_the_persons_lines_go_and_the_file_keeps_its_traits(world: World) -> None:
    bucket, key = world.bucket("logs"), "access/2026-01-05.jsonl.gz"
    dataset = world.records(bucket)
    traits = {
        "ContentType": "application/x-ndjson",
        "Metadata": {"origin": "web-3"},
        "Tagging": "team=web&k=v%20%2Bw",
    }
    rows: list[Any] = [entry("a", 1), entry("b", 2), b"", entry("a", 3), b"{odd", entry("ab", 4)]
    world.put_log(bucket, key, rows, **traits)
    world.put_log(bucket, "access/2026-01-06.jsonl.gz", [entry("b", 5)])
    other = [v for v in world.versions(bucket) if "01-06" in v[0]]
    store, step = world.store(), world.step("a")
    plan = planned(store, step, provide(dataset))
    assert [(e.copy_kind, e.items) for e in plan.located] == [(CopyKind.LIVE, 2)]
    assert store.dispose(step, plan).counts == {dataset.id: {"erased": 2}}
    assert world.log(bucket, key) == jsonl([rows[1], b"", rows[4], rows[5]])
    assert len(world.versions(bucket)) == 2  # the old version is gone
    assert [v for v in world.versions(bucket) if "01-06" in v[0]] == other
    head = world.s3.head_object(Bucket=bucket, Key=key)
    said = head["Metadata"].pop(WRITTEN)  # and what it says of itself
    assert said.endswith(sha256(world.s3.get_object(Bucket=bucket, Key=key)["Body"].read()).hexdigest())
    assert (head["ContentType"], head["Metadata"]) == ("application/x-ndjson", {"origin": "web-3"})
    tags = {t["Key"]: t["Value"] for t in world.s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]}
    assert {"team": "web", "k": "v +w"}.items() <= tags.items()
    assert store.dispose(step, plan).counts == {dataset.id: {"erased": 2}}
    assert count(store.survey(world.step("a", id="again")).located) == 0


def test_old_versions_that_hold_the_persons_records_go_too_and_clean_ones_stay(world: World) -> None:
    bucket, key = world.bucket("logs"), "access/x.jsonl.gz"
    dataset = world.records(bucket)
    world.put_log(bucket, key, [entry("b", 0)])  # before the person: not touched
    world.put_log(bucket, key, [entry("b", 0), entry("a", 1)])
    world.put_log(bucket, key, [entry("b", 0), entry("a", 1), entry("c", 2), entry("a", 3)])
    clean = min(world.s3.list_object_versions(Bucket=bucket)["Versions"], key=lambda v: v["Size"])[
        "VersionId"
    ]
    store, step = world.store(), world.step("a")
    plan = planned(store, step, provide(dataset))
    assert [(e.copy_kind, e.items) for e in plan.located] == [
        (CopyKind.LIVE, 2),
        (CopyKind.OBJECT_VERSION, 1),
    ]
    store.dispose(step, plan)
    left = {v: gzip.decompress(body or b"") for _, v, body in world.versions(bucket)}
    assert left.pop(clean) == jsonl([entry("b", 0)])
    assert list(left.values()) == [jsonl([entry("b", 0), entry("c", 2)])]


def test_an_old_version_that_alone_holds_anothers_record_is_a_finding_and_not_a_deletion(
    world: World,
) -> None:
    bucket, key = world.bucket("logs"), "access/x.jsonl.gz"
    dataset = world.records(bucket)
    world.put_log(bucket, key, [entry("a", 1), entry("b", 2), entry("b", 2)])
    world.put_log(bucket, key, [entry("a", 1), entry("b", 2)])  # one of b's two equal records is lost
    before = min(world.versions(bucket), key=lambda v: -len(v[2] or b""))
    store, step = world.store(), world.step("a")
    plan = planned(store, step, provide(dataset))
    assert [(f.code, f.items) for f in store.findings(step)] == [("bystanders_only_in_old_version", 1)]
    old = [line for line in plan.lines if line.copy_kind is CopyKind.OBJECT_VERSION]
    assert [(line.disposition, line.until is None) for line in old] == [(Disposition.RETAIN, True)]
    assert store.dispose(step, plan).counts == {dataset.id: {"erased": 1}}
    bodies = [gzip.decompress(body or b"") for _, _, body in world.versions(bucket)]
    assert sorted(bodies) == sorted([jsonl([entry("b", 2)]), gzip.decompress(before[2] or b"")])


def test_network_logs_younger_than_six_months_are_never_rewritten(world: World) -> None:
    """Cybersecurity Law 23(3): the log is kept as it is, not the line, so its youngest line counts, whoever's."""
    bucket = world.bucket("logs")
    dataset = world.records(bucket)
    world.put_log(bucket, "access/old.jsonl.gz", [entry("a", 0), entry("b", 1)])
    world.put_log(bucket, "access/young.jsonl.gz", [entry("a", 1, YOUNG), entry("b", 2, YOUNG)])
    world.put_log(bucket, "access/theirs.jsonl.gz", [entry("a", 3), entry("b", 4, YOUNG)])
    world.put_log(bucket, "access/theirs.jsonl.gz", [entry("a", 3), entry("b", 4, YOUNG), entry("b", 5)])
    world.put_log(bucket, "access/mixed.jsonl.gz", [entry("a", 6, YOUNG), entry("a", 7)])
    world.put_log(bucket, "access/none.jsonl.gz", [{"account_id": "a"}])
    before = [v for v in world.versions(bucket) if "old" not in v[0]]
    floor = six_months(Start(column="at"))
    store, step = world.store(), world.step("a")
    plan = planned(store, step, provide(dataset, floor))
    assert count(plan.lines, disposition=Disposition.ERASE) == 1
    assert count(plan.lines, disposition=Disposition.RETAIN) == 6
    assert {(e.until, e.law) for e in plan.lines if e.until} == {(date(2027, 5, 1), "CSL 23(3)")}
    assert count(plan.lines, until=date(2027, 5, 1)) == 5
    assert [e.waits_for for e in plan.lines if e.waits_for] == ["the start of RS-12 (main)"]
    store.dispose(step, plan)
    assert [v for v in world.versions(bucket) if "old" not in v[0]] == before
    assert world.log(bucket, "access/old.jsonl.gz") == jsonl([entry("b", 1)])

    on_the_day = world.step("a", id="s2", as_of=date(2027, 5, 1))
    assert (
        count(planned(store, on_the_day, provide(dataset, floor)).lines, disposition=Disposition.ERASE) == 0
    )
    after = world.step("a", id="s3", as_of=date(2027, 5, 2))
    store.dispose(after, planned(store, after, provide(dataset, floor)))
    assert world.log(bucket, "access/theirs.jsonl.gz") == jsonl([entry("b", 4, YOUNG), entry("b", 5)])
    assert len([v for v in world.versions(bucket) if "theirs" in v[0]]) == 1


def test_a_line_of_others_without_a_time_is_as_young_as_the_file(world: World) -> None:
    bucket = world.bucket("logs")
    dataset = world.records(bucket)
    today = datetime.now(UTC).date()
    world.put_log(bucket, "access/x.jsonl.gz", [entry("a", 1), {"account_id": "b"}])
    store, step = world.store(), world.step("a", as_of=today)
    (line,) = planned(store, step, provide(dataset, six_months(Start(column="at")))).lines
    assert line.disposition is Disposition.RETAIN
    assert line.until is not None and line.until > today + timedelta(days=180)


def test_a_log_that_got_a_young_line_since_the_plan_is_not_rewritten(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket, key = world.bucket("logs"), "access/x.jsonl.gz"
    dataset = world.records(bucket)
    world.put_log(bucket, key, [entry("a", 1), entry("b", 2)])
    store, step = world.store(), world.step("a")
    plan = planned(store, step, provide(dataset, six_months(Start(column="at"))))
    put, late = world.eraser.put_object, []

    def racing(**how: Any) -> Any:
        if how["Bucket"] == bucket and not late:
            late.append(world.put_log(bucket, key, [entry("a", 1), entry("b", 2), entry("b", 3, YOUNG)]))
        return put(**how)

    monkeypatch.setattr(world.eraser, "put_object", racing)
    with pytest.raises(Drifted, match="younger"):
        store.dispose(step, plan)
    assert late[0] in [gzip.decompress(body or b"") for _, _, body in world.versions(bucket)]


def test_a_retained_record_in_an_old_version_stays_in_the_current_file(world: World) -> None:
    bucket, key = world.bucket("logs"), "access/x.jsonl.gz"
    dataset = world.records(bucket)
    for n in range(2):
        world.put_log(bucket, key, [entry("a", 1), entry("a", 2), entry("b", n)][: 2 + n])
    floor = six_months(Start(query="disputes", on={"n": "entry"}))  # binds this record and no other
    world.datasets[0] = dataset = dataset.model_copy(
        update={"binds": (*dataset.binds, Bound(rule="RS-19", start=floor.start))}
    )
    store = world.store(starts_of=lambda step, query: [{"entry": 2, "started_at": date(2026, 11, 1)}])
    step = world.step("a")
    plan = planned(store, step, provide(dataset, floor))
    assert count(plan.lines, copy_kind=CopyKind.OBJECT_VERSION, disposition=Disposition.ERASE) == 2
    assert count(plan.lines, copy_kind=CopyKind.LIVE, disposition=Disposition.RETAIN) == 1
    store.dispose(step, plan)
    (only,) = world.versions(bucket)
    assert gzip.decompress(only[2] or b"") == jsonl([entry("a", 2), entry("b", 1)])


def test_a_held_record_keeps_the_old_version_it_is_in(world: World) -> None:
    bucket, key = world.bucket("logs"), "access/x.jsonl.gz"
    dataset = world.records(bucket)
    world.put_log(bucket, key, [entry("a", 1), entry("b", 2)])
    world.put_log(bucket, key, [entry("a", 1), entry("b", 2), entry("c", 3)])
    store, step = world.store(), world.step("a", "b")
    hold = Held(hold="HOLD-000001", subject_nos=(1,), law="Arb. Law 58")
    plan = planned(store, step, provide(dataset, holds=(hold,)))
    assert count(plan.lines, copy_kind=CopyKind.OBJECT_VERSION, disposition=Disposition.RETAIN) == 1
    store.dispose(step, plan)
    bodies = [gzip.decompress(b or b"") for _, _, b in world.versions(bucket)]
    assert sorted(bodies) == sorted(
        [jsonl([entry("a", 1), entry("b", 2)]), jsonl([entry("b", 2), entry("c", 3)])]
    )


def test_a_locked_record_file_waits_for_its_lock(world: World) -> None:
    bucket = world.bucket("logs", locks=True)
    dataset = world.records(bucket)
    end = datetime.now(UTC) + timedelta(days=3)
    world.put_log(bucket, "access/x.jsonl.gz", [entry("a"), entry("b")], ObjectLockMode="COMPLIANCE",
                  ObjectLockRetainUntilDate=end)  # fmt: skip
    before = world.versions(bucket)
    store, step = world.store(), world.step("a")
    plan = planned(store, step, provide(dataset))
    assert [(e.disposition, e.law) for e in plan.lines] == [(Disposition.RETAIN, "Object Lock")]
    store.dispose(step, plan)
    assert world.versions(bucket) == before


def test_parquet_files_are_rewritten_with_their_schema(world: World) -> None:
    bucket = world.bucket("lake")
    dataset = world.records(bucket, "events/", format="parquet", id="log.events")
    table = pa.table({
        "account_id": ["a", "b", "a", "c"],
        "at": pa.array([datetime(2026, 1, 1, tzinfo=UTC)] * 3 + [None], pa.timestamp("ms", "UTC")),
    })  # fmt: skip
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", row_group_size=2)
    world.s3.put_object(Bucket=bucket, Key="events/p.parquet", Body=sink.getvalue())
    later = datetime.now(UTC).date() + timedelta(days=200)  # the file is of today; c's record says no time
    store, step = world.store(), world.step("a", "c", as_of=later)
    plan = planned(store, step, provide(dataset, six_months(Start(column="at"))))
    assert count(plan.lines, disposition=Disposition.ERASE) == 2
    assert count(plan.lines, disposition=Disposition.RETAIN, until=None) == 1
    store.dispose(step, plan)
    ((_, _, body),) = world.versions(bucket)
    assert pq.read_table(io.BytesIO(body or b"")).equals(table.filter(pa.array([False, True, False, True])))


def test_cutting_fields_leaves_the_record_and_unlinks_the_person(world: World) -> None:
    bucket, key = world.bucket("logs"), "access/x.jsonl.gz"
    dataset = world.records(bucket, cut=Cut(set={"account_id": None}))
    world.put_log(bucket, key, [entry("a", 1), entry("b", 2)])
    store, step = world.store(), world.step("a")
    assert store.preflight() == []
    assert store.dispose(step, planned(store, step, provide(dataset))).counts == {
        dataset.id: {"deidentified": 1}
    }
    assert [json.loads(x)["account_id"] for x in world.log(bucket, key).splitlines()] == [None, "b"]
    assert len(world.versions(bucket)) == 1


@pytest.mark.parametrize("versions", [True, False])
def test_a_writer_who_appends_while_we_rewrite_loses_nothing(
    world: World, versions: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket, key = world.bucket("logs", versions=versions), "access/x.jsonl.gz"
    dataset = world.records(bucket)
    world.put_log(bucket, key, [entry("a", 1), entry("b", 2)])
    store, step = world.store(), world.step("a")
    plan = planned(store, step, provide(dataset))
    put, appended = world.eraser.put_object, []

    def racing(**how: Any) -> Any:
        if how["Bucket"] == bucket and len(appended) < 2:
            appended.append(entry("b", 10 + len(appended)))
            world.put_log(bucket, key, [entry("a", 1), entry("b", 2), *appended])
        return put(**how)

    monkeypatch.setattr(world.eraser, "put_object", racing)
    store.dispose(step, plan)
    assert world.log(bucket, key) == jsonl([entry("b", 2), *appended])
    assert len(world.versions(bucket)) == 1


def test_a_writer_who_adds_a_record_of_the_person_is_caught(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket, key = world.bucket("logs"), "access/x.jsonl.gz"
    dataset = world.records(bucket)
    world.put_log(bucket, key, [entry("a", 1), entry("b", 2)])
    store, step = world.store(), world.step("a")
    plan = planned(store, step, provide(dataset))
    put, late = world.eraser.put_object, []

    def racing(**how: Any) -> Any:
        if how["Bucket"] == bucket and not late:
            late.append(world.put_log(bucket, key, [entry("a", 1), entry("b", 2), entry("a", 9)]))
        return put(**how)

    monkeypatch.setattr(world.eraser, "put_object", racing)
    with pytest.raises(Drifted, match="no longer holds"):
        store.dispose(step, plan)


def test_a_log_that_others_keep_writing_does_not_stop_a_plan_that_only_retains_there(world: World) -> None:
    bucket = world.bucket("logs")
    dataset = world.records(bucket)
    world.put_log(bucket, "access/old.jsonl.gz", [entry("a", 1)])
    world.put_log(bucket, "access/today.jsonl.gz", [entry("a", 2, YOUNG)])
    store, step = world.store(), world.step("a")
    plan = planned(store, step, provide(dataset, six_months(Start(column="at"))))
    world.put_log(bucket, "access/today.jsonl.gz", [entry("a", 2, YOUNG), entry("b", 3, YOUNG)])
    assert store.dispose(step, plan).counts == {dataset.id: {"erased": 1}}


@pytest.mark.parametrize("where", ["access/old.jsonl.gz", "access/new.jsonl.gz"])
def test_a_late_record_of_the_person_stops_the_disposal(world: World, where: str) -> None:
    bucket = world.bucket("logs")
    dataset = world.records(bucket)
    world.put_log(bucket, "access/old.jsonl.gz", [entry("a", 1)])
    store, step = world.store(), world.step("a")
    plan = planned(store, step, provide(dataset))
    world.put_log(bucket, where, [entry("a", 1), entry("a", 2)])
    before = world.versions(bucket)
    with pytest.raises(Drifted):
        store.dispose(step, plan)
    assert world.versions(bucket) == before


def test_what_cannot_be_read_is_found_and_not_passed_over(world: World) -> None:
    bucket = world.bucket("logs")
    world.records(bucket)
    world.s3.put_object(Bucket=bucket, Key="access/broken.jsonl.gz", Body=gzip.compress(b"x" * 999)[:-9])
    world.put_log(bucket, "access/x.jsonl.gz", [b'{"account_id": "a", broken'])
    world.s3.create_multipart_upload(Bucket=bucket, Key="access/coming.jsonl.gz")
    store, step = world.store(), world.step("a")
    store.open(step)
    store.survey(step)
    assert sorted(f.code for f in store.findings(step)) == [
        "open_upload_of_records", "unreadable_record", "unreadable_record",
    ]  # fmt: skip


def test_a_copy_that_fails_its_own_check_is_not_written(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = world.bucket("logs")
    dataset = world.records(bucket)
    world.put_log(bucket, "access/x.jsonl.gz", [entry("a", 1), entry("b", 2)])
    store, step = world.store(), world.step("a")
    plan = planned(store, step, provide(dataset))
    before = world.versions(bucket)
    monkeypatch.setattr("include.stores.s3.jsonl.JsonLines.verify", lambda *_: False)
    with pytest.raises(QuietusError, match="not written"):
        store.dispose(step, plan)
    assert world.versions(bucket) == before
