"""Years of what recipients retain: asked again until there is an end, and then destroyed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from include.cases import watch
from include.cases.keys import FileKeyStore
from include.cases.notices import again, answering, telling
from include.cases.notices.standing import Said, standing
from include.cases.periods import add_months
from include.cases.rooms import Desk
from include.model.notices import AnswerCode, Part
from include.model.policy import RecipientRole
from include.model.words import UnitState
from tests.cases.notices.making import ACTOR, Body, answer, desk, noticed, recipient, rows
from tests.cases.small import TODAY

pytestmark = pytest.mark.postgres
DAY = timedelta(days=1)
CODES = {
    "RETAINED_BY_LAW": {"article": "x"}, "RETAINED_INDEPENDENT": {"authorisation": "x"}, "HELD_DISPUTE": {"dispute": "x"},
}  # fmt: skip


@pytest.fixture
def at(writer: str, tmp_path: Path) -> Desk:
    keys = FileKeyStore(tmp_path / "keys", b"k" * 32)
    commission = recipient(
        "sms", role=RecipientRole.INDEPENDENT, channel="information", ask_again="P6M",
        categories=("PI-001", "PI-005"),
    )  # fmt: skip
    return desk(writer, keys, [Body()], [commission])


def say(at: Desk, request: dict, code: str, on: date, *, categories: tuple[str, ...] = (), **more) -> None:
    part = Part(code=AnswerCode(code), categories=categories, **(CODES.get(code, {}) | more))
    message = f"{request['request_id']} {on} {part.canonical()!r}"
    answering.take(at, answer(request, part, message=message), as_of=on, actor=ACTOR)


def look(at: Desk, on: date) -> watch.Clocks:
    return watch.look(at, as_of=on, actor="system/clocks")


def quarters(first: date, years: int) -> Iterator[date]:
    """The days on which the clocks are looked at: it may be more seldom than every night."""
    for n in range(1, 4 * years):
        yield add_months(first, 3 * n) + DAY


@pytest.mark.parametrize("code", ["RETAINED_INDEPENDENT", "HELD_DISPUTE"])
def test_what_is_retained_without_a_last_day_is_asked_about_every_six_months_until_it_ends(
    at: Desk, code: str
) -> None:
    case_no = noticed(at)
    say(at, rows(at, case_no)[0], code, TODAY)
    half = add_months(TODAY, 6)
    assert look(at, half - DAY).again == ()
    for n in range(1, 5):
        asked = add_months(TODAY, 6 * n)
        assert look(at, asked).again == (case_no,)
        assert look(at, asked).again == (), "once"
        found = rows(at, case_no)
        assert [r["because"] for r in found] == ["decision", *["still_retained"] * n]
        assert set(found[-1]["erase"]) == {"PI-001", "PI-005"}
        if n < 4:
            say(at, found[-1], code, asked)
    ended = add_months(TODAY, 24)
    say(at, rows(at, case_no)[-1], "DELETED", ended)
    assert {r["ask_again_on"] for r in rows(at, case_no)} == {None}
    over = add_months(ended, 36)
    for day in quarters(ended, 3):
        assert look(at, day).again == () and rows(at, case_no)[0]["destroyed_on"] is None
    assert look(at, over).destroyed == 0
    assert look(at, over + DAY).destroyed == 5
    assert all(r["sealed_payload"] is None for r in rows(at, case_no))


def test_a_notice_about_it_says_what_is_asked(at: Desk) -> None:
    case_no = noticed(at)
    telling.tell(at, "sms", as_of=TODAY, actor=ACTOR)
    say(at, rows(at, case_no)[0], "HELD_DISPUTE", TODAY)
    half = add_months(TODAY, 6)
    look(at, half)
    telling.tell(at, "sms", as_of=half, actor=ACTOR)
    body: Any = at.channel(at.catalogue.recipients[0])
    assert "请说明是否仍须保存及其依据" in body.seen[1].text and body.seen[1].references == ("txn-1", "txn-2")


def test_how_often_is_the_catalogues(writer: str, tmp_path: Path) -> None:
    keys = FileKeyStore(tmp_path / "keys", b"k" * 32)
    at = desk(writer, keys, [Body()], [recipient("sms", ask_again="P1Y")])
    case_no = noticed(at)
    say(at, rows(at, case_no)[0], "HELD_DISPUTE", TODAY)
    assert rows(at, case_no)[0]["ask_again_on"] == add_months(TODAY, 12)


def test_each_kind_has_its_own_end(at: Desk) -> None:
    """One is kept by law until a day, the other for a dispute; neither waits for the other."""
    case_no = noticed(at)
    until = date(2028, 3, 1)
    parts = (
        Part(code=AnswerCode.RETAINED_BY_LAW, categories=("PI-001",), article="x", until=until),
        Part(code=AnswerCode.HELD_DISPUTE, categories=("PI-005",), dispute="x"),
    )
    answering.take(at, answer(rows(at, case_no)[0], *parts), as_of=TODAY, actor=ACTOR)
    half = add_months(TODAY, 6)
    look(at, half)
    first, second = rows(at, case_no)
    assert (second["because"], second["erase"]) == ("still_retained", ["PI-005"])
    assert first["ask_again_on"] == until + DAY
    say(at, second, "DELETED", half)
    look(at, until)
    assert len(rows(at, case_no)) == 2
    look(at, until + DAY)
    third = rows(at, case_no)[2]
    assert (third["because"], third["erase"]) == ("retention_ended", ["PI-001"])
    say(at, third, "NOTHING_HELD", until + DAY)
    assert look(at, add_months(until, 36)).destroyed == 0
    assert look(at, add_months(until, 36) + 2 * DAY).destroyed == 3


def test_what_a_law_keeps_for_thirty_years_is_kept_sealed_as_long_and_destroyed_three_years_after(
    at: Desk,
) -> None:
    case_no = noticed(at)
    until = date(2056, 12, 31)
    say(at, rows(at, case_no)[0], "RETAINED_BY_LAW", TODAY, until=until)
    for year in range(2027, 2057):
        found = look(at, date(year, 12, 31))
        assert (found.again, found.destroyed) == ((), 0)
    assert look(at, until + DAY).again == (case_no,)
    say(at, rows(at, case_no)[1], "DELETED", date(2057, 1, 15))
    assert look(at, date(2060, 1, 15)).destroyed == 0
    assert look(at, date(2060, 1, 16)).destroyed == 2


def test_who_says_nothing_when_asked_again_is_escalated_and_its_records_end_as_well(at: Desk) -> None:
    case_no = noticed(at)
    say(at, rows(at, case_no)[0], "HELD_DISPUTE", TODAY)
    half = add_months(TODAY, 6)
    look(at, half)
    telling.tell(at, "sms", as_of=half, actor=ACTOR)
    found = look(at, half + 30 * DAY)
    assert (found.silent, found.stopped) == (1, ("sms",))
    for day in quarters(half, 3):
        assert look(at, day).again == ()
    assert look(at, add_months(half + 30 * DAY, 36) + DAY).destroyed == 2


def test_a_later_word_before_the_end_puts_off_being_asked(at: Desk) -> None:
    case_no = noticed(at)
    first = rows(at, case_no)[0]
    say(at, first, "HELD_DISPUTE", TODAY)
    say(at, first, "RETAINED_BY_LAW", TODAY + 30 * DAY, until=date(2030, 1, 1))
    assert rows(at, case_no)[0]["ask_again_on"] == date(2030, 1, 2)
    assert look(at, add_months(TODAY, 6)).again == ()


@pytest.mark.parametrize("order", [1, -1], ids=["gone_first", "kept_first"])
def test_of_one_message_what_stays_says_more_than_what_went(order: int) -> None:
    said = [
        Said(AnswerCode.DELETED, (), None, True, "m", TODAY),
        Said(AnswerCode.RETAINED_BY_LAW, ("PI-001",), date(2030, 1, 1), True, "m", TODAY),
    ][::order]
    found = standing(("PI-001", "PI-005"), (), said, unlinked=False)
    assert (found.state, found.until, set(found.kept), found.back) == (
        UnitState.TP_RETAINED, date(2030, 1, 1), {"PI-001"}, frozenset(),
    )  # fmt: skip
    later = [*said, Said(AnswerCode.DELETED, (), None, True, "n", TODAY)]
    assert standing(("PI-001", "PI-005"), (), later, unlinked=False).state is UnitState.TP_ACKED
    back = [*later, Said(AnswerCode.HELD_DISPUTE, ("PI-005",), None, True, "o", TODAY)]
    assert standing(("PI-001", "PI-005"), (), back, unlinked=False).back == {"PI-005"}


def test_when_it_is_asked_again_is_the_first_of_all_dates() -> None:
    one = recipient(ask_again="P6M")
    kept = {
        "PI-001": Said(AnswerCode.RETAINED_BY_LAW, (), date(2026, 12, 31), True, "m", TODAY),
        "PI-005": Said(AnswerCode.HELD_DISPUTE, (), None, True, "m", TODAY),
    }
    assert again.asked_on(one, kept) == date(2027, 1, 1)
    assert again.asked_on(one, {"PI-005": kept["PI-005"]}) == date(2027, 5, 24)
    assert again.asked_on(one, {}) is None
