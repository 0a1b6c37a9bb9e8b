"""A database is told from what it was by the least of five signs, and never by growing older."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from include.cases.histories import Known, Sign, compare, restored
from include.model.history import History

NOW = datetime(2026, 11, 28, tzinfo=UTC)
numbers = st.integers(0, 2**40)
systems, timelines = st.sampled_from([1, 2]), st.sampled_from([1, 2])
histories = st.builds(History, systems, timelines, numbers, numbers, st.just(NOW))
known = st.builds(lambda h, more: Known(h, h.counter + more), histories, st.integers(0, 1))


@given(known, numbers, st.data())
def test_a_database_that_went_on_is_the_one_that_we_knew(was: Known, on: int, data: st.DataObject) -> None:
    counter = data.draw(st.integers(was.history.counter, was.intended))
    now = replace(was.history, position=was.history.position + on, counter=counter)
    assert compare(was, now) == ()


@given(known, histories, st.booleans())
def test_what_is_less_or_other_is_always_noticed(was: Known, now: History, receipt_there: bool) -> None:
    signs = compare(was, now, receipt_there=receipt_there)
    h = was.history
    other = (now.system, now.timeline) != (h.system, h.timeline)
    assert restored(signs) == (
        other or now.counter < h.counter or now.position < h.position or not receipt_there
    )
    assert (Sign.BOOK_BEHIND in signs) == (now.counter > was.intended)


@given(known, st.integers(1, 2**40), numbers)
def test_a_snapshot_of_the_machine_is_noticed_by_the_counter_however_far_its_log_grew(
    was: Known, behind: int, position: int
) -> None:
    now = replace(was.history, counter=was.history.counter - behind, position=was.history.position + position)
    assert compare(was, now) == (Sign.COUNTER_LOWER,)


@given(histories)
def test_what_is_seen_for_the_first_time_is_believed_unless_it_forgot_a_deed_of_ours(now: History) -> None:
    assert compare(None, now) == ()
    assert compare(None, now, receipt_there=False) == (Sign.RECEIPT_MISSING,)
