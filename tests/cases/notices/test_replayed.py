"""A signed message that was heard once, sent again by whoever kept it: it undoes nothing, at whichever server it arrives."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from include.cases.keys import FileKeyStore
from include.cases.notices import answering, telling
from include.model.notices import Pending
from include.model.words import UnitState
from tests.cases.notices.making import ACTOR, Body, answer, desk, noticed, row, rows
from tests.cases.small import TODAY

pytestmark = pytest.mark.postgres


@pytest.fixture
def keys(tmp_path: Path) -> FileKeyStore:
    return FileKeyStore(tmp_path / "keys", b"k" * 32)


def on(more: int = 0) -> dict:
    return {"as_of": TODAY + timedelta(days=more), "actor": ACTOR}


def test_an_old_day_that_is_named_again_puts_nothing_off(writer: str, keys: FileKeyStore) -> None:
    at, other = (desk(writer, keys, [Body()]) for _ in range(2))
    case_no = noticed(at)
    telling.tell(at, "sms", as_of=TODAY, actor=ACTOR)
    id_ = row(at, case_no)["request_id"]
    early, late = (
        Pending(
            request_id=id_,
            recipient="sms",
            status="in_progress",
            expected_on=TODAY + timedelta(days=n),
            digest=d,
        )
        for n, d in ((5, "a" * 64), (9, "b" * 64))
    )
    answering.pending(at, late, **on())
    answering.pending(at, early, **on())
    assert row(at, case_no)["expected_on"] == TODAY + timedelta(days=5)
    answering.pending(other, late, **on())
    assert row(at, case_no)["expected_on"] == TODAY + timedelta(days=5), "the second one is the last word"


def test_a_status_that_only_said_the_same_again_is_no_new_word_later(writer: str, keys: FileKeyStore) -> None:
    """It is heard and not recorded, for it says nothing new; sent again after the recipient took its word back, it would."""
    at, other = (desk(writer, keys, [Body()]) for _ in range(2))
    case_no = noticed(at)
    telling.tell(at, "sms", as_of=TODAY, actor=ACTOR)
    id_ = row(at, case_no)["request_id"]
    for message in ("first", "the same with another time on it"):
        answering.take(at, answer(id_, "PARTIAL", message=message), **on())
    answering.take(at, answer(id_, "NOTHING_HELD", message="done"), **on(1))
    assert row(at, case_no)["state"] == UnitState.TP_ACKED.value
    for message in ("first", "the same with another time on it"):
        answering.take(other, answer(id_, "PARTIAL", message=message), **on(2))
    assert [(r["round"], r["state"]) for r in rows(at, case_no)] == [(1, UnitState.TP_ACKED.value)], (
        "no round for an old message"
    )


def test_what_is_asked_for_is_never_taken_for_an_old_message(writer: str, keys: FileKeyStore) -> None:
    at = desk(writer, keys, [Body()])
    case_no = noticed(at)
    telling.tell(at, "sms", as_of=TODAY, actor=ACTOR)
    id_ = row(at, case_no)["request_id"]
    for days in (5, 9, 5):
        said = Pending(
            request_id=id_, recipient="sms", status="pending", expected_on=TODAY + timedelta(days=days)
        )
        answering.pending(at, said, **on())
        assert row(at, case_no)["expected_on"] == TODAY + timedelta(days=days)
