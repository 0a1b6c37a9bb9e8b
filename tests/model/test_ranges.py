"""Names by ranges: nothing is lost, and thousands of bags have room in an event."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from include.ledger.screen import screened
from include.ledger.verify_service_said import every
from include.model.ranges import grouped, long, short

STEMS = st.sampled_from(["ra.image-", "u.visit-", "a-b-", "plain", "x..y-", "-"])
NAMES = st.sets(
    st.builds(lambda stem, n, width: f"{stem}{n:0{width}d}", STEMS, st.integers(0, 120), st.integers(1, 9))
    | st.sampled_from(["book.tombstones", "a-", "0001", ""])
)


@given(NAMES)
def test_every_name_comes_back_once_and_the_verifier_reads_the_same(names: set[str]) -> None:
    said = short(names)
    assert len(said) <= len(names)
    assert sorted(long(said)) == sorted(names)
    assert sorted(every(said)) == sorted(names)


def test_a_row_of_bags_is_one_word() -> None:
    assert short(["v-0003", "v-0001", "v-0002", "v-0005", "w"]) == ["v-0001..0003", "v-0005", "w"]
    assert short(["v-9", "v-10"]) == ["v-10", "v-9"], "of another width: another name"
    assert grouped({"v-1": "locked", "v-2": "locked", "w-1": "held"}) == {
        "held": ["w-1"],
        "locked": ["v-1..2"],
    }


def test_fifty_thousand_bags_have_room_in_the_ledger() -> None:
    bags = [f"ra.image-{n:06d}" for n in range(1, 50_001) if n % 1000]
    body = {"bags": short(bags), "left": grouped(dict.fromkeys(bags, "a lock keeps it"))}
    screened(body)
    assert sorted(every(body["bags"])) == bags
