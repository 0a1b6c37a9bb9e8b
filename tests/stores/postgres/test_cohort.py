"""A night's cohort: in chunks of a bounded size, each at a cost that does not grow with its size."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from include.stores.postgres.chunks import CHUNK_SUBJECTS
from tests.stores.postgres import making
from tests.stores.postgres.making import Company, shop_provisions, step

PEOPLE = CHUNK_SUBJECTS + 100


def test_a_large_cohort_goes_in_chunks_at_a_constant_number_of_statements_and_flat_memory(
    new_company: Callable[..., Company], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = new_company(making.SHOP, making.SCHEMA + making.PEOPLE.format(n=PEOPLE))
    shop.sql("DELETE FROM sign.folder")  # each owner's next is the viewer: they would tie everybody together
    leaving = [f"A{i}" for i in range(1, PEOPLE - 49)]  # pairs who share a contract, and never half of a pair
    it = step(*leaving)
    sent: list[str] = []
    per_chunk: list[int] = []
    execute = psycopg.ClientCursor.execute

    def counted(cursor: Any, query: Any, *args: Any, **more: Any) -> Any:
        text = query if isinstance(query, str) else query.as_string(cursor)
        if not text.startswith("ANALYZE"):  # of what has grown big only
            sent.append(text)
        return execute(cursor, query, *args, **more)

    def at(point: str) -> None:
        if point == "dispose.before_commit":
            per_chunk.append(len(sent))
        if point == "dispose.after_commit":
            sent.clear()

    store = shop.store(at=at)
    store.open(it)
    store.restrict(it)
    plan, _ = shop.prepare(it, shop_provisions(), store)
    monkeypatch.setattr(psycopg.ClientCursor, "execute", counted)
    per_chunk.clear()
    tracemalloc.start()
    try:
        store.dispose(it, plan)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    chunks = [r for r in store.receipts(it) if r.verb == "dispose"]
    assert [r.counts["account.session"]["erased"] for r in chunks] == [
        3 * CHUNK_SUBJECTS,
        3 * (len(leaving) - CHUNK_SUBJECTS),
    ]
    assert len(per_chunk) == 2
    # The first also counts what comes before any chunk; the second, of a twentieth of the people, costs no less.
    assert 0 <= per_chunk[0] - per_chunk[1] <= 20
    assert peak < 4 << 20  # some ten thousand rows went; none of them came here
    assert shop.value("SELECT count(*) FROM account.session WHERE account_id = ANY(%s)", leaving) == 0
    assert shop.value("SELECT count(*) FROM account.session") == 3 * (PEOPLE - len(leaving))


def test_a_cohort_that_fits_is_one_chunk_without_asking_who_belongs_together(shop: Company) -> None:
    it = step("A1", "A2", "A5")
    _, receipt = shop.cancel(it, shop_provisions())
    assert [(r.verb, r.chunk) for r in shop.store().receipts(it)] == [("restrict", 0), ("dispose", 0)]
    assert "chunks" not in receipt.position


def test_people_who_own_something_together_are_in_one_chunk_however_small(shop: Company) -> None:
    it = step("A1", "A2", "A5")
    shop.cancel(it, shop_provisions(), shop.store(chunk_subjects=1))
    receipts = [r for r in shop.store().receipts(it) if r.verb == "dispose"]
    assert [r.counts["account.session"] for r in receipts] == [{"erased": 6}, {"erased": 3}]


def test_a_cohort_of_nobody_has_nothing_done_to_it_and_says_so(shop: Company) -> None:
    it = step()
    _, receipt = shop.cancel(it, shop_provisions())
    assert (receipt.step, receipt.verb, receipt.counts, receipt.position) == (
        it.id, "dispose", {}, {"chunks": "0"},
    )  # fmt: skip
    assert [r.verb for r in shop.store().receipts(it)] == ["restrict"]


def test_a_new_plan_of_a_cohort_that_is_done_finds_nothing_to_do(shop: Company) -> None:
    it = step("A1")
    before, _ = shop.cancel(it, shop_provisions())
    again = before.model_copy(update={"code": "another"})
    assert shop.store().dispose(it, again).counts == {}
    assert shop.store().begun_under(it) == before.fingerprint()
