"""What was read of a version is remembered by what names its bytes and by the question, and by nothing else."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.cases.retention import records
from include.cases.retention.held import HeldPeople
from include.cases.scopes import HoldBasis, HoldOrder, Scope
from include.stores.s3.aged import Logs
from include.stores.s3.once import Name, Once, Reading, name_of
from tests.stores.s3.clearing.test_logs import AS_OF, OLD, YOUNG, entry
from tests.stores.s3.clearing.test_logs import Logs as Estate
from tests.stores.s3.world import World

DAYS = st.none() | st.dates()
TOTALS = st.integers(0, 2**256 - 1)


@given(
    groups=st.dictionaries(
        st.tuples(st.lists(DAYS, max_size=3).map(tuple), st.booleans()), st.tuples(st.integers(0), TOTALS)
    ),
    summed=st.none() | st.tuples(st.integers(0), TOTALS),
)
def test_a_reading_comes_back_as_it_was(
    groups: dict[tuple[tuple[date | None, ...], bool], tuple[int, int]], summed: tuple[int, int] | None
) -> None:
    reading = Reading(groups, summed)
    assert Reading.from_text(reading.to_text()) == reading


@dataclass
class Kept:
    """A memory that is a table of its own."""

    rows: dict[tuple[str, Name], tuple[str, str]] = field(default_factory=dict)

    def load(self, dataset: str) -> Iterable[tuple[Name, str, str]]:
        return [(name, *said) for (of, name), said in self.rows.items() if of == dataset]

    def keep(self, dataset: str, question: str, read: Mapping[Name, str]) -> None:
        self.rows |= {(dataset, name): (question, text) for name, text in read.items()}

    def forget(self, dataset: str, versions: Collection[Name]) -> None:
        for name in versions:
            self.rows.pop((dataset, name), None)


def counted(estate: Estate, kept: Kept, held: HeldPeople | None = None) -> tuple[int, int]:
    """By somebody who remembers: how many records are due, and how many files were fetched for that."""
    fetched: list[Any] = []
    client = estate.world.server.client()
    client.meta.events.register("before-call.s3.GetObject", lambda **_: fetched.append(1))
    asked = records.aging(estate.catalogue, estate.dataset, AS_OF, held or HeldPeople())
    logs = Logs(client, asked, Once(kept))
    return sum(key.due for key in logs.listed()), len(fetched)


@pytest.fixture
def estate(on_moto: World) -> Estate:
    return Estate(on_moto, on_moto.bucket("logs"))


@pytest.mark.s3
@pytest.mark.parametrize("versions", [True, False])
def test_what_is_written_over_a_file_is_another_version(on_moto: World, versions: bool) -> None:
    estate, kept = Estate(on_moto, on_moto.bucket("logs", versions=versions)), Kept()
    estate.put("access/1", [entry("a"), entry("b", YOUNG)])
    # The law's six months begin with the youngest record of a file, so nothing of this one is due.
    assert [counted(estate, kept) for _ in range(2)] == [(0, 1), (0, 0)]
    estate.put("access/1", [entry("a"), entry("b")])
    assert [counted(estate, kept) for _ in range(2)] == [(2, 1), (2, 0)]
    assert len(kept.rows) == 1 + versions, "an old version is there, or is not"
    on_moto.s3.delete_object(Bucket=estate.bucket, Key="access/1")
    counted(estate, kept)
    assert len(kept.rows) == 2 * versions


def holding(*people: str, marks: bool = True) -> HeldPeople:
    order = HoldOrder("HOLD-000001", HoldBasis.COURT, "law", Scope(subjects=frozenset({"t"})))
    named = {order.number: frozenset(people)}
    return HeldPeople((order,), named, {order.number: ",".join(people)} if marks else {})


@pytest.mark.s3
def test_whom_a_hold_names_is_part_of_the_question(estate: Estate) -> None:
    kept = Kept()
    estate.put("access/1", [entry("a"), entry("b"), entry("b", n=1)])
    assert counted(estate, kept) == (3, 1)
    assert [counted(estate, kept, holding("a")) for _ in range(2)] == [(2, 1), (2, 0)]
    assert counted(estate, kept, holding("b")) == (1, 1)
    assert counted(estate, kept) == (3, 1), "one question is remembered, not all of them"


@pytest.mark.s3
def test_where_nobody_can_say_whom_a_hold_names_nothing_is_remembered(estate: Estate) -> None:
    kept, once = Kept(), Once()
    estate.put("access/1", [entry("a"), entry("b")])
    assert [counted(estate, kept, holding("a", marks=False)) for _ in range(2)] == [(1, 1), (1, 1)]
    assert kept.rows == {}
    for people, due in (("a", 1), ("c", 2)):  # nor is it taken for the same in one process
        asked = records.aging(estate.catalogue, estate.dataset, AS_OF, holding(people, marks=False))
        assert sum(key.due for key in Logs(estate.world.s3, asked, once).listed()) == due


@pytest.mark.s3
def test_a_file_that_cannot_be_read_is_tried_each_time_and_keeps_nobody_waiting(estate: Estate) -> None:
    kept = Kept()
    estate.world.s3.put_object(Bucket=estate.bucket, Key="access/0", Body=b"no gzip")
    estate.put("access/1", [entry("a", OLD)])
    assert [counted(estate, kept) for _ in range(2)] == [(1, 2), (1, 1)]


def test_another_start_another_link_and_another_format_are_other_questions(estate: Estate) -> None:
    asked = records.aging(estate.catalogue, estate.dataset, AS_OF, HeldPeople())
    others = [
        replace(asked, starts=tuple(replace(s, field="logged_at") for s in asked.starts)),
        replace(asked, starts=asked.starts[:1]), replace(asked, link="user_id"), replace(asked, everybody=True),
        replace(asked, mark="somebody"), replace(asked, dataset=estate.dataset.model_copy(update={"format": "parquet"})),
    ]  # fmt: skip
    assert len({a.question for a in (asked, *others)}) == len(others) + 1
    assert replace(asked, held=frozenset({"a"})).question == asked.question, "by its mark, which names nobody"


def test_a_version_id_names_the_bytes_and_without_one_etag_and_size_do() -> None:
    same = [name_of("b", "k", "v1", etag, size) for etag, size in (("e", 1), ("f", 2))]
    assert len(set(same)) == 1
    other = {name_of("b", "k", "null", etag, size) for etag, size in (("e", 1), ("f", 1), ("e", 2))}
    assert len(other | {name_of("c", "k", "null", "e", 1), name_of("b", "l", "null", "e", 1)}) == 5
