"""Whole objects: all versions, markers and uploads of the cohort go, and nothing else does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from include.model.errors import BooksDoNotBalance, Drifted, Refused
from include.model.estate import Link, Start
from include.model.flow import LAST_OWNER, Held
from include.model.words import CopyKind, Disposition, Ownership
from include.stores.shared import SHARED_LAW
from tests.stores.s3.world import World, count, planned, provide, six_months

pytestmark = pytest.mark.s3


def photos(world: World, people: int = 4) -> tuple[str, Any]:
    """Two versions, a deleted object and an open upload per person."""
    bucket = world.bucket("photos")
    for n in range(people):
        for i in range(2):
            world.s3.put_object(Bucket=bucket, Key=f"id/acct_{n}/app/证件 {i}+&.jpg", Body=b"1")
            world.s3.put_object(Bucket=bucket, Key=f"id/acct_{n}/app/证件 {i}+&.jpg", Body=f"{n}{i}".encode())
        world.s3.delete_object(Bucket=bucket, Key=f"id/acct_{n}/app/证件 1+&.jpg")
        world.s3.create_multipart_upload(Bucket=bucket, Key=f"id/acct_{n}/app/big")
    return bucket, world.objects(bucket, "id/{account_id}/{application_id}/")


def test_every_version_marker_and_open_upload_of_the_cohort_goes_and_nobody_elses(world: World) -> None:
    bucket, dataset = photos(world, people=12)  # acct_1, acct_10 and acct_11 share a beginning
    others = [v for v in world.versions(bucket) if "/acct_1/" not in v[0]]
    store, step = world.store(), world.step("acct_1")
    plan = planned(store, step, provide(dataset))
    assert count(plan.located, copy_kind=CopyKind.LIVE) == 1
    assert count(plan.located, copy_kind=CopyKind.OBJECT_VERSION) == 5  # 3 old versions, marker, upload
    receipt = store.dispose(step, plan)
    assert receipt.counts == {dataset.id: {"erased": 1, "erased@object_version": 5}}
    assert world.versions(bucket) == others
    uploads = world.s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert sorted(u["Key"].split("/")[1] for u in uploads) == sorted(f"acct_{n}" for n in range(12) if n != 1)
    assert store.survey(world.step("acct_1", id="again")).located[0].items == 0


def test_a_second_disposal_finds_nothing_to_do(world: World) -> None:
    _, dataset = photos(world)
    store, step = world.store(), world.step("acct_1", "acct_2")
    plan = planned(store, step, provide(dataset))
    first = store.dispose(step, plan)
    world.requests.clear()
    assert store.dispose(step, plan) == first
    assert not [r for r in world.requests if "delete" in r or r.startswith("DELETE")]


def test_a_disposal_that_died_with_its_intent_says_under_which_plan(
    on_moto: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no receipt yet, and something may be gone: only that plan may finish it."""
    _, dataset = photos(on_moto)
    store, step = on_moto.store(), on_moto.step("acct_1")
    plan = planned(store, step, provide(dataset))
    assert store.begun_under(step) is None

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as struck:
        struck.setattr("include.stores.s3.objects.Objects.carry_out", dies)
        with pytest.raises(KeyboardInterrupt):
            store.dispose(step, plan)
    assert not [r for r in store.receipts(step) if r.verb == "dispose"]
    assert store.begun_under(step) == plan.fingerprint()
    store.dispose(step, plan)
    store.close(step)
    assert store.begun_under(step) == plan.fingerprint()


def test_a_subject_without_objects_is_located_as_zero(world: World) -> None:
    _, dataset = photos(world)
    store, step = world.store(), world.step("acct_nobody")
    plan = planned(store, step, provide(dataset))
    assert [(entry.items, entry.digest) for entry in plan.located] == [(0, "0" * 64)]
    assert store.dispose(step, plan).counts == {}


def test_the_digest_depends_on_the_items_and_not_on_how_they_were_found(world: World) -> None:
    _, _ = photos(world)
    store = world.store()

    def digest(*subjects: str, id: str) -> str:
        step = world.step(*subjects, id=id)
        store.open(step)
        return next(e.digest for e in store.survey(step).located if e.copy_kind is CopyKind.OBJECT_VERSION)

    assert digest("acct_0", "acct_1", "acct_2", id="a") == digest("acct_2", "acct_1", "acct_0", id="b")
    assert digest("acct_0", "acct_1", id="c") != digest("acct_0", "acct_2", id="d")


def test_what_comes_after_the_survey_stops_the_disposal_before_anything_is_touched(world: World) -> None:
    bucket, dataset = photos(world)
    store, step = world.store(), world.step("acct_1")
    plan = planned(store, step, provide(dataset))
    world.s3.put_object(Bucket=bucket, Key="id/acct_1/app/late.jpg", Body=b"late")
    before = world.versions(bucket)
    with pytest.raises(Drifted, match="items are there"):
        store.dispose(step, plan)
    assert world.versions(bucket) == before


def test_an_upload_begun_after_the_survey_does_not_settle(world: World) -> None:
    bucket, dataset = photos(world)
    store, step = world.store(), world.step("acct_1")
    planned(store, step, provide(dataset))
    world.s3.create_multipart_upload(Bucket=bucket, Key="id/acct_1/app/late")
    with pytest.raises(Drifted, match="upload"):
        store.settle(step)


def test_settling_before_restricting_is_refused(on_moto: World) -> None:
    _, dataset = photos(on_moto)
    store, step = on_moto.store(), on_moto.step("acct_1")
    planned(store, step, provide(dataset), restrict=False)
    with pytest.raises(Drifted, match="not restricted"):
        store.settle(step)


def test_a_held_subject_keeps_everything_and_the_others_go(world: World) -> None:
    bucket, dataset = photos(world)
    kept = [v for v in world.versions(bucket) if "/acct_2/" not in v[0]]
    store, step = world.store(), world.step("acct_1", "acct_2")
    hold = Held(hold="HOLD-000007", subject_nos=(0,), law="Arb. Law 58")
    plan = planned(store, step, provide(dataset, holds=(hold,)))
    assert count(plan.lines, disposition=Disposition.HOLD, hold="HOLD-000007") == 6
    assert count(plan.lines, disposition=Disposition.ERASE) == 6
    store.dispose(step, plan)
    assert world.versions(bucket) == kept


def test_an_object_younger_than_its_floor_is_retained_until_the_floor_is_over(world: World) -> None:
    bucket, dataset = photos(world)
    for upload in world.s3.list_multipart_uploads(Bucket=bucket)["Uploads"]:  # moto dates them all to 2010
        world.s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    today = datetime.now(UTC).date()
    store, step = world.store(), world.step("acct_1", as_of=today)
    plan = planned(store, step, provide(dataset, six_months(Start(column="last_modified"))))
    (line,) = {(entry.disposition, entry.law) for entry in plan.lines}
    assert line == (Disposition.RETAIN, "CSL 23(3)")
    assert all(entry.until is not None and entry.until > today for entry in plan.lines)
    before = world.versions(bucket)
    store.dispose(step, plan)
    assert world.versions(bucket) == before
    later = world.step("acct_1", id="later", as_of=today + timedelta(days=200))
    floor = six_months(Start(column="last_modified"))
    assert count(planned(world.store(), later, provide(dataset, floor)).lines,
                 disposition=Disposition.ERASE) == 5  # fmt: skip


def test_a_contract_goes_with_its_last_owner_and_is_otherwise_kept_for_the_others(world: World) -> None:
    bucket = world.bucket("contracts")
    for n in range(3):
        world.s3.put_object(Bucket=bucket, Key=f"contracts/c{n}/signed.pdf", Body=str(n).encode())
    links = (Link(via="esign.party", on={"contract_id": "contract_id"}, ownership=Ownership.SHARED),)
    dataset = world.objects(bucket, "contracts/{contract_id}/", id="esign.contract", links=links)
    keys = [(0, {"contract_id": "c0"}, False), (0, {"contract_id": "c1"}, True)]
    store, step = world.store(keys_of=lambda step, dataset: keys), world.step("acct_1")
    assert store.preflight() == []
    plan = planned(store, step, provide(dataset))
    assert count(plan.lines, disposition=Disposition.ERASE) == 1
    # The file still bears the person's name, so nothing else may be said of it; the words are the database's.
    (kept,) = [line for line in plan.lines if line.disposition is not Disposition.ERASE]
    assert (kept.disposition, kept.items, kept.until) == (Disposition.RETAIN, 1, None)
    assert (kept.law, kept.waits_for) == (SHARED_LAW, LAST_OWNER)
    assert store.dispose(step, plan).counts == {dataset.id: {"erased": 1}}
    assert [v[0] for v in world.versions(bucket)] == ["contracts/c1/signed.pdf", "contracts/c2/signed.pdf"]
    keys[:] = [(0, {"contract_id": "c1"}, False)]  # the other party has left
    last = world.step("acct_9", id="last")
    store.dispose(last, planned(store, last, provide(dataset)))
    assert [v[0] for v in world.versions(bucket)] == ["contracts/c2/signed.pdf"]


def test_what_a_person_may_only_look_at_is_unlinked(on_moto: World) -> None:
    bucket = on_moto.bucket("contracts")
    on_moto.s3.put_object(Bucket=bucket, Key="contracts/c0/signed.pdf", Body=b"x")
    links = (Link(via="esign.viewer", on={"contract_id": "contract_id"}, ownership=Ownership.ACCESS_ONLY),)
    dataset = on_moto.objects(bucket, "contracts/{contract_id}/", id="esign.contract", links=links)
    store = on_moto.store(keys_of=lambda step, dataset: [(0, {"contract_id": "c0"}, True)])
    plan = planned(store, on_moto.step("acct_1"), provide(dataset))
    assert [(line.disposition, line.items) for line in plan.lines] == [(Disposition.UNLINK, 1)]


def test_a_via_link_that_nobody_answers_for_is_found_in_preflight(on_moto: World) -> None:
    bucket = on_moto.bucket("contracts")
    on_moto.objects(bucket, "c/{contract_id}/", links=(Link(via="a.b", on={"contract_id": "id"}),))
    on_moto.objects("no-such-bucket", "c/{account_id}/", id="gone.away")
    assert ["keys_of" in f.what or "bucket" in f.what for f in on_moto.store().preflight()] == [True, True]


@pytest.mark.parametrize(
    ("started", "disposition", "until"),
    [
        (date(2021, 11, 23), Disposition.ERASE, None),
        (date(2021, 11, 24), Disposition.RETAIN, date(2026, 11, 24)),
        (None, Disposition.RETAIN, None),
    ],
)
def test_a_starting_point_from_the_database_decides(
    on_moto: World, started: date | None, disposition: Disposition, until: date | None
) -> None:
    _, dataset = photos(on_moto)
    start = Start(query="certificate_ended", on={"application_id": "application"})
    floor = six_months(start).model_copy(update={"duration": "P5Y", "law": "ESL 24"})
    store = on_moto.store(starts_of=lambda step, query: [{"application": "app", "started_at": started}])
    lines = planned(store, on_moto.step("acct_1"), provide(dataset, floor)).lines
    assert {(entry.disposition, entry.until) for entry in lines} == {(disposition, until)}


def test_a_locked_version_is_retained_until_its_date_and_the_rest_goes(world: World) -> None:
    bucket = world.bucket("locked", locks=True)
    dataset = world.objects(bucket, "seal/{account_id}/")
    end = datetime.now(UTC) + timedelta(days=1)
    world.s3.put_object(Bucket=bucket, Key="seal/a/1", Body=b"x", ObjectLockMode="GOVERNANCE",
                        ObjectLockRetainUntilDate=end)  # fmt: skip
    world.s3.put_object(Bucket=bucket, Key="seal/a/2", Body=b"x", ObjectLockLegalHoldStatus="ON")
    world.s3.put_object(Bucket=bucket, Key="seal/a/3", Body=b"x")
    store, step = world.store(), world.step("a")
    plan = planned(store, step, provide(dataset))
    kept = [entry for entry in plan.lines if entry.disposition is Disposition.RETAIN]
    assert {entry.law for entry in kept} == {"Object Lock"}
    assert sorted((entry.until is not None, entry.waits_for) for entry in kept) == [
        (False, "the end of the legal hold"), (True, None),
    ]  # fmt: skip
    assert store.dispose(step, plan).counts == {dataset.id: {"erased": 1}}
    assert [v[0] for v in world.versions(bucket)] == ["seal/a/1", "seal/a/2"]


def test_a_lock_that_came_after_the_plan_leaves_the_books_unbalanced_and_a_later_run_balances_them(
    world: World,
) -> None:
    bucket = world.bucket("locked", locks=True)
    dataset = world.objects(bucket, "seal/{account_id}/")
    ids = [world.s3.put_object(Bucket=bucket, Key=f"seal/a/{n}", Body=b"x")["VersionId"] for n in range(3)]
    store, step = world.store(), world.step("a")
    plan = planned(store, step, provide(dataset))
    world.s3.put_object_legal_hold(
        Bucket=bucket, Key="seal/a/1", VersionId=ids[1], LegalHold={"Status": "ON"}
    )
    with pytest.raises(BooksDoNotBalance, match="1 in"):
        store.dispose(step, plan)
    assert [v[0] for v in world.versions(bucket)] == ["seal/a/1"]
    assert [r.verb for r in store.receipts(step)] == ["restrict"]
    world.s3.put_object_legal_hold(
        Bucket=bucket, Key="seal/a/1", VersionId=ids[1], LegalHold={"Status": "OFF"}
    )
    assert store.dispose(step, plan).counts == {dataset.id: {"erased": 3}}
    assert world.versions(bucket) == []


def test_a_delete_marker_over_a_locked_version_stays_with_it(world: World) -> None:
    bucket = world.bucket("locked", locks=True)
    dataset = world.objects(bucket, "seal/{account_id}/")
    world.s3.put_object(Bucket=bucket, Key="seal/a/1", Body=b"x", ObjectLockLegalHoldStatus="ON")
    world.s3.delete_object(Bucket=bucket, Key="seal/a/1")
    store, step = world.store(), world.step("a")
    plan = planned(store, step, provide(dataset))
    assert count(plan.lines, disposition=Disposition.RETAIN) == 2
    store.dispose(step, plan)
    with pytest.raises(world.s3.exceptions.ClientError):
        world.s3.head_object(Bucket=bucket, Key="seal/a/1")


def test_an_unversioned_bucket_works_too(world: World) -> None:
    bucket = world.bucket("plain", versions=False)
    dataset = world.objects(bucket, "id/{account_id}.jpg")
    for who in ("a", "ab", "b"):
        world.s3.put_object(Bucket=bucket, Key=f"id/{who}.jpg", Body=b"x")
    store, step = world.store(), world.step("a")
    store.dispose(step, planned(store, step, provide(dataset)))
    assert [v[0] for v in world.versions(bucket)] == ["id/ab.jpg", "id/b.jpg"]


def test_another_cohort_under_the_same_step_is_refused(on_moto: World) -> None:
    photos(on_moto)
    store = on_moto.store()
    store.open(on_moto.step("a"))
    store.open(on_moto.step("a"))
    with pytest.raises(Refused, match="another cohort"):
        store.open(on_moto.step("b"))


def test_closing_leaves_receipts_and_nothing_that_names_a_person(world: World) -> None:
    _, dataset = photos(world)
    store, step = world.store(), world.step("acct_1")
    store.dispose(step, planned(store, step, provide(dataset)))
    store.close(step)
    left = world.versions(f"quietus-work-{world.tag}")
    assert not [key for key, _, _ in left if key.startswith("steps/")]
    assert not [key for key, _, body in left if b"acct_" in (body or b"")]
    assert {r.verb for r in store.receipts(step)} == {"restrict", "dispose"}


@pytest.mark.slow
def test_requests_stay_near_the_least_possible(world: World) -> None:
    bucket = world.bucket("many")
    with ThreadPoolExecutor(8) as pool:
        for _ in range(2):
            keys = [f"id/p{n:04d}/{i}" for n in range(250) for i in range(10)]
            list(pool.map(lambda key: world.s3.put_object(Bucket=bucket, Key=key, Body=b"x"), keys))
    dataset = world.objects(bucket, "id/{account_id}/")
    store, step = world.store(), world.step(*[f"p{n:04d}" for n in range(250)])
    plan = planned(store, step, provide(dataset), restrict=False)
    assert store.dispose(step, plan).counts == {dataset.id: {"erased": 2500, "erased@object_version": 2500}}
    company = [r for r in world.requests if f"/{bucket}" in r]
    assert len([r for r in company if "versions" in r]) <= 2 * 6  # five pages, twice: survey and re-survey
    assert len([r for r in company if "?delete" in r]) == 5
    assert len(company) <= 2 * 6 + 5 + 3  # and the uploads twice, the lock configuration once
    assert world.versions(bucket) == []
