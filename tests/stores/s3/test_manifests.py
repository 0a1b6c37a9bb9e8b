"""A step's manifest: one object for all datasets, replaced whole or not at all."""

from __future__ import annotations

import pytest

from include.model.errors import CatalogueError, Drifted
from include.stores.s3.items import Item
from include.stores.s3.manifests import packing, spooled, unpacking
from tests.stores.s3.world import World, planned, provide


def test_datasets_are_read_side_by_side_and_one_that_is_not_there_is_told() -> None:
    with spooled() as file:
        with packing(file) as manifest:
            manifest.add("a", [Item("version", "k1", "1", True), Item("version", "k2", "2", False)])
            manifest.add("b", [Item("marker", "k3", "3", False)])
        with unpacking(file) as found:
            both = zip(found.items("a"), found.items("b"), strict=False)
            assert [(x.key, y.key) for x, y in both] == [("k1", "k3")]
            assert [i.key for i in found.items("a")] == ["k1", "k2"]
            assert found.findings() == ()
            with pytest.raises(Drifted, match="does not know the dataset"):
                next(found.items("c"))


@pytest.mark.s3
def test_a_survey_that_fails_half_way_leaves_the_earlier_one_whole(world: World) -> None:
    first, second = world.bucket("one"), world.bucket("two")
    world.objects(first, "p/{account_id}/", id="kyc.one")
    world.objects(second, "p/{account_id}/", id="kyc.two")
    for bucket in (first, second):
        world.s3.put_object(Bucket=bucket, Key="p/a/1", Body=b"x")
    store, step = world.store(), world.step("a")
    store.open(step)
    store.survey(step)
    world.s3.put_object(Bucket=first, Key="p/a/2", Body=b"x")
    (key, version, _) = world.versions(second)[0]
    world.s3.delete_object(Bucket=second, Key=key, VersionId=version)
    world.s3.delete_bucket(Bucket=second)
    with pytest.raises(CatalogueError, match="bucket does not exist"):
        store.survey(step)
    with store._area.reading(step.id, "located") as located:
        assert [i.key for i in located.items("kyc.one")] == ["p/a/1"]
        assert [i.key for i in located.items("kyc.two")] == ["p/a/1"]


@pytest.mark.s3
def test_the_step_area_costs_the_same_requests_whatever_the_number_of_datasets(world: World) -> None:
    spent = []
    for many in (1, 6):
        bucket = world.bucket(f"many{many}")
        world.datasets.clear()
        for n in range(many):
            world.objects(bucket, f"{n}/{{account_id}}/", id=f"kyc.of{many}x{n}")
            world.s3.put_object(Bucket=bucket, Key=f"{n}/a/x", Body=b"x")
        store, step = world.store(), world.step("a", id=f"s{many}")
        store.open(step)
        world.requests.clear()
        planned(store, step, *(provide(d) for d in world.datasets), restrict=False)
        spent.append(sum(f"quietus-work-{world.tag}" in r for r in world.requests))
    assert spent[0] == spent[1] > 0
