"""What a letter says, and what it does not."""

from __future__ import annotations

import re

import pytest

from include.model.notices import AnswerCode, Instruction
from include.model.words import Ground
from include.recipients.letters import ANSWERS, GROUNDS, SUBJECTS, answers_of, letter, subject
from tests.recipients.making import BODY, POLICY, notice

NAMES = {c.id: c.zh for c in POLICY.categories}


@pytest.mark.parametrize("recipient", BODY)
def test_it_says_everything_that_a_notice_must(recipient: str) -> None:
    """law.md section C: case, recipient, its own numbers, fields, ground, law, deadline, answer form, cascade duty."""
    said = notice(recipient)
    text = letter(BODY[recipient], said, names=NAMES)
    for what in (
        said.case_no, str(said.request_id), BODY[recipient].name, recipient, *said.references,
        *(i.value for i in said.identities), *said.erase, *(NAMES[c] for c in said.erase),
        GROUNDS[said.ground], "《隐私政策》1.4；《个人信息保护法》47", "2026-12-16", "转达", BODY[recipient].says,
        *(code.value for code in answers_of(BODY[recipient])),
    ):  # fmt: skip
        assert what in text, what


@pytest.mark.parametrize("ground", Ground)
def test_every_ground_has_words(ground: Ground) -> None:
    assert GROUNDS[ground] in letter(BODY["emay"], notice("emay", ground=ground))


def test_each_instruction_is_another_letter() -> None:
    opening = {
        i: letter(BODY["fazhenglian"], notice("fazhenglian", instruction=i)).split("案件编号")[0]
        for i in Instruction
    }
    assert len(set(opening.values())) == len(Instruction) == len(set(SUBJECTS.values()))
    assert "请勿删除" in opening[Instruction.PRESERVE] and "及时删除" not in opening[Instruction.PRESERVE]
    assert "依自身职责" in opening[Instruction.INFORM] and "委托" not in opening[Instruction.INFORM]
    assert "停止继续上链" in opening[Instruction.STOP_ANCHORING]


def test_a_reminder_says_so() -> None:
    said = notice("emay", reminder=True)
    assert "催办" in letter(BODY["emay"], said) and "催办" in subject(said)
    assert "催办" not in letter(BODY["emay"], notice("emay"))


def test_what_is_to_be_kept_stands_apart_from_what_is_to_go() -> None:
    text = letter(BODY["emay"], notice("emay", erase=("PI-005",), preserve=("PI-001",)))
    gone, kept = text.split("请继续保存、不得删除的信息")
    assert "PI-005" in gone.split("请删除的信息")[1] and "PI-001" in kept and "PI-005" not in kept


def test_it_has_nothing_personal_that_the_notice_has_not() -> None:
    """Only the numbers of the notice itself: no long figure comes from anywhere else."""
    said = notice("emay", references=("R1",), identities=())
    text = letter(BODY["emay"], said).replace(str(said.request_id), "")
    assert re.findall(r"\d{7,}", text) == []
    assert "11010119900101123X" not in text


def test_who_has_no_mandate_is_not_offered_to_have_one() -> None:
    assert AnswerCode.RETAINED_INDEPENDENT not in answers_of(BODY["emay"])
    assert AnswerCode.RETAINED_INDEPENDENT in answers_of(BODY["arb_wuhan"])
    assert AnswerCode.CANNOT_ERASE_IMMUTABLE in answers_of(BODY["webank_chain"])
    assert AnswerCode.CANNOT_ERASE_IMMUTABLE not in answers_of(BODY["arb_wuhan"])
    assert set(ANSWERS) == {c for c in AnswerCode if c.from_outside}


def test_no_value_begins_a_line_of_its_own() -> None:
    text = letter(BODY["emay"], notice("emay", references=("one\n案件编号：CASE-999999",), text="a\r\nb"))
    assert "\n案件编号：CASE-999999" not in text and "a b" in text
