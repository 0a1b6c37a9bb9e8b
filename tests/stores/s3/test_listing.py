"""Listing finds everything of a cohort, in about as few requests as possible."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.model.errors import CatalogueError
from include.model.template import Template
from include.stores.s3.listing import Walk, _before, _outermost, never
from tests.stores.s3.world import World


@pytest.mark.s3
@pytest.mark.parametrize("people", [0, 1, 3, 40, 400])
@pytest.mark.parametrize("spread", ["dense", "sparse", "random"])
def test_the_walk_finds_what_a_full_listing_finds(
    estate: tuple[World, str], people: int, spread: str
) -> None:
    world, bucket = estate
    everyone = range(400)
    chosen = {
        "dense": list(everyone[:people]),
        "sparse": list(everyone[:: 400 // people][:people] if people else []),
        "random": random.Random(people).sample(everyone, people),
    }[spread]
    prefixes = [f"p/{n}/" for n in chosen]
    store = world.store()
    store.install()
    leaps = store._area.leaps
    assert leaps is (world.server.name == "ceph")
    world.requests.clear()
    walk = Walk(world.eraser, bucket, may_leap=lambda: leaps, about="test")
    found = [item for group in walk.versions("p/", prefixes) for item in group]
    keys = [item.key for item in found if any(item.key.startswith(p) for p in prefixes)]
    assert len(keys) == len({(i.key, i.version) for i in found if any(i.key.startswith(p) for p in prefixes)})
    assert len(keys) == 6 * people
    assert len(world.requests) <= max(1, min(people, 3)) + 1  # 2400 entries are three pages
    # Of each key the newest comes last, so that a disposal cut short brings nothing old to light.
    assert all((a.key != b.key) == a.newest for a, b in pairwise(found))


@pytest.fixture(scope="module", params=["moto", "ceph"])
def estate(request: pytest.FixtureRequest) -> tuple[World, str]:
    """400 people with two keys each, of which one has two versions and a marker: 2400 entries."""
    world = World(request.getfixturevalue(f"{request.param}_here"))
    bucket = world.bucket("many")
    for n in range(400):
        for _ in range(3):
            world.s3.put_object(Bucket=bucket, Key=f"p/{n}/x", Body=b"")
        world.s3.put_object(Bucket=bucket, Key=f"p/{n}/y", Body=b"")
        world.s3.put_object(Bucket=bucket, Key=f"p/{n}/y", Body=b"")
        world.s3.delete_object(Bucket=bucket, Key=f"p/{n}/x")
    return world, bucket


@pytest.mark.parametrize("server", ["moto", "ceph"])
def test_versions_of_one_second_come_in_the_order_in_which_they_were_written(
    server: str, request: pytest.FixtureRequest
) -> None:
    world = World(request.getfixturevalue(server))
    bucket = world.bucket("quick")
    written = [world.s3.put_object(Bucket=bucket, Key="k", Body=b"")["VersionId"] for _ in range(8)]
    (group,) = Walk(world.eraser, bucket, may_leap=never, about="test").versions("", [""])
    assert [item.version for item in group] == written


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_a_leap_lands_before_its_prefix_and_after_all_smaller_ones(prefix: str) -> None:
    marker = _before(prefix).get("KeyMarker", "")
    assert marker.encode() < prefix.encode()


def test_a_prefix_under_another_is_not_listed_twice() -> None:
    assert _outermost(["a/b/", "a/", "b/", "a/", "ab/"]) == ["a/", "ab/", "b/"]


def test_a_template_leads_from_subject_to_prefix_and_back() -> None:
    template = Template("calls/{year}/{account_id}/{call_id}.wav")
    assert template.prefix({"account_id": "a"}) == "calls/"
    assert template.prefix({"year": "2026", "account_id": "a"}) == "calls/2026/a/"
    assert template.match("calls/2026/a/7.wav") == {"year": "2026", "account_id": "a", "call_id": "7"}
    assert template.match("calls/2026/a/b/7.wav") is None


@pytest.mark.parametrize(("key", "who"), [("s/a", "a"), ("s/a/1", "a"), ("s/ab", "ab"), ("t/a", None)])
def test_a_template_that_ends_in_a_variable_ends_at_a_slash(key: str, who: str | None) -> None:
    found = Template("s/{account_id}").match(key)
    assert (found or {}).get("account_id") == who


@pytest.mark.parametrize("text", ["a/{x", "a/{x}/{x}", "a/{}/"])
def test_a_malformed_template_is_told(text: str) -> None:
    with pytest.raises(CatalogueError):
        _ = Template(text).parts
