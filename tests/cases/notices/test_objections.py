"""Why an answer does not count: the recipient is told in Chinese, with the code; the operator reads it in English."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from include.cases.keys import FileKeyStore
from include.cases.notices import answering, telling
from include.cases.rooms import judged
from include.model.errors import Refused
from include.model.notices import AnswerCode, Part
from include.model.times import observed_now, prc_date
from tests.cases.notices.making import ACTOR, Body, answer, desk, noticed, row
from tests.cases.small import TODAY

pytestmark = pytest.mark.postgres
HAN = re.compile("[\u4e00-\u9fff]{4}")


@pytest.fixture
def keys(tmp_path: Path) -> FileKeyStore:
    return FileKeyStore(tmp_path / "keys", b"k" * 32)


def test_a_reminder_says_in_chinese_what_was_missing_and_the_book_says_it_in_english(
    writer: str, keys: FileKeyStore
) -> None:
    body = Body()
    at = desk(writer, keys, [body], judge=judged)
    case_no = noticed(at)
    telling.tell(at, "sms", as_of=TODAY, actor=ACTOR)
    sent = answer(row(at, case_no)["request_id"], Part(code=AnswerCode.DELETED, method="wiped"))
    (said, *_) = answering.take(at, sent, as_of=TODAY, actor=ACTOR)
    assert said.told == "请补充说明记录条数、完成时间：已删除的答复须载明条数、时间和方式"
    kept = row(at, case_no)
    assert kept["objection"].startswith("say how many records, when")
    assert kept["objection_told"].startswith(f"DELETED：{said.told}")
    telling.tell(at, "sms", as_of=TODAY + timedelta(days=1), actor=ACTOR)
    reminder = body.seen[-1]
    assert reminder.reminder and said.told in reminder.text and "DELETED" in reminder.text
    assert "how many records" not in reminder.text and HAN.search(reminder.text)
    (again, *_) = answering.take(at, sent, as_of=TODAY, actor=ACTOR)
    assert again.told == said.told, "the same message again is told the same"


def test_what_is_no_answer_at_all_is_told_in_chinese_too(writer: str, keys: FileKeyStore) -> None:
    body = Body()
    at = desk(writer, keys, [body])
    case_no = noticed(at)
    telling.tell(at, "sms", as_of=TODAY, actor=ACTOR)
    body.says[row(at, case_no)["request_id"]] = Refused("the signature on its answer is wrong", about="sms")
    body.plan = ["busy"]  # what is to be told stays to be told
    tomorrow = prc_date(observed_now()) + timedelta(days=1)
    telling.tell(at, "sms", as_of=tomorrow, actor=ACTOR)
    assert row(at, case_no)["objection"] == "the signature on its answer is wrong"
    telling.tell(at, "sms", as_of=tomorrow + timedelta(days=1), actor=ACTOR)
    text = body.seen[-1].text
    assert answering.NOT_AS_AGREED in text and "signature" not in text
