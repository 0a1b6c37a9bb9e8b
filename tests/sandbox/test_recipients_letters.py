"""Our letters as the bodies' people read them, and what our side makes of what they write back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from include.model.doors import Endpoint
from include.model.notices import Answer, AnswerCode, Judgement, Notice, Part
from include.model.times import observed_now, prc_date
from include.recipients.answers import judge
from include.recipients.letters import letter
from include.recipients.mail import Mail
from include.sandbox.recipients.bodies import Door, bodies
from tests.recipients.making import BODY, POLICY, notice
from tests.sandbox.outside import LOGIN, TOKENS, Company

BY_LETTER = [b.id for b in bodies().values() if b.door is Door.MAIL]
BY_PERSON = [b.id for b in bodies().values() if b.door is Door.PERSON]


def told(company: Company, body: str, **more: Any) -> Notice:
    """A notice about somebody of whom the body was given everything that the catalogue lists, lately."""
    ref = f"reference-of-{body}"
    company.hand_over(ref, body=body, categories=BODY[body].categories, account=ref)
    return notice(
        body,
        references=(ref,),
        identities=(),
        erase=BODY[body].categories,
        submitted_at=observed_now(),
        **more,
    )


def judged(said: Notice, parts: Any) -> tuple[Judgement, ...]:
    """As one of ours enters what is written on the paper."""
    answer = Answer(
        request_id=said.request_id, recipient=said.recipient, via="person", digest="0" * 64,
        parts=tuple(Part.model_validate(p) for p in parts),
    )  # fmt: skip
    now = observed_now()
    return judge(
        BODY[said.recipient], said.erase, answer, as_of=prc_date(now), laws=POLICY.laws, preserve=said.preserve,
        told_at=now - timedelta(minutes=1),
    )  # fmt: skip


@pytest.mark.parametrize("body", BY_LETTER)
def test_what_is_written_back_to_a_letter_is_believed(company: Company, body: str) -> None:
    said = told(company, body)
    outside = company.outside
    ours = Endpoint(
        f"smtps://127.0.0.1:{outside.mail_port}", LOGIN, TOKENS["mail"], str(outside.authority.certificate)
    )
    channel = Mail(BODY[body], bodies()[body].address, ours)
    assert channel.send(said).outcome == "delivered"
    channel.close()
    (found,) = outside.post.letters(body)
    reply = outside.post.answer(found)
    assert reply.request_id == str(said.request_id)
    verdicts = judged(said, reply.parts)
    assert verdicts and all(v.accepted for v in verdicts), [v.why for v in verdicts]
    assert {c for v in verdicts for c in v.part.categories} == set(said.erase)


@pytest.mark.parametrize("body", BY_PERSON)
def test_who_is_told_by_a_person_understands_what_it_is_told(company: Company, body: str) -> None:
    said = told(company, body)
    reply = company.outside.post.told(body, letter(BODY[body], said))
    assert reply.request_id == str(said.request_id)
    expected = {
        "fazhenglian": (AnswerCode.INCOMPLETE, False),  # stays open until it knows to whom it passed data on
        "zhixinlian": (AnswerCode.CANNOT_ERASE_IMMUTABLE, True),
    }.get(body, (AnswerCode.DELETED, True))
    assert [(v.part.code, v.accepted) for v in judged(said, reply.parts)] == [expected]


def test_a_letter_that_keeps_something_is_understood(company: Company) -> None:
    said = told(company, "yuansu")
    kept, rest = said.erase[:1], said.erase[1:]
    said = said.model_copy(update={"erase": rest, "preserve": kept})
    reply = company.outside.post.told("yuansu", letter(BODY["yuansu"], said))
    verdicts = judged(said, reply.parts)
    assert all(v.accepted for v in verdicts), [v.why for v in verdicts]
    assert {v.part.code for v in verdicts if set(kept) & set(v.part.categories)} == {AnswerCode.HELD_DISPUTE}
