"""The bodies' letter boxes, and their people who read and answer."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator
from email.message import EmailMessage

import pytest

from include.model.errors import Refused
from include.sandbox.recipients.bodies import Door, Manner, Stance, bodies
from tests.sandbox.outside import LOGIN, NAME, PHONE, TOKENS, Company

BODY = "chinaums"
RID = "a7551968-d5d6-44b2-9831-815ac9017798"
LETTER = """通知编号：{rid}
贵方的流水号：
  {ref}

请删除的信息（信息种类）：
  PI-005 手机号

请继续保存、不得删除的信息（信息种类）：
  PI-001 姓名
"""


@pytest.fixture(autouse=True)
def as_ever(company: Company) -> Iterator[None]:
    yield
    company.outside.world.behave(BODY)
    with company.outside.world.state.change() as db:
        db.execute("DELETE FROM letter")


def post(company: Company, text: str, to: str = bodies()[BODY].address, secret: str | None = None) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = LOGIN, to, "关于删除个人信息的通知"
    message.set_content(text)
    context = ssl.create_default_context(cafile=company.outside.authority.certificate)
    with smtplib.SMTP_SSL("127.0.0.1", company.outside.mail_port, timeout=10, context=context) as smtp:
        smtp.login(LOGIN, secret or TOKENS["mail"])
        smtp.send_message(message)


def test_a_letter_lies_in_the_box_of_whom_it_is_for(company: Company) -> None:
    post(company, f"通知编号：{RID}")
    assert company.outside.post.letters("yuansu") == []
    (letter,) = company.outside.post.letters(BODY)
    assert (letter.body, letter.sender, letter.requests, letter.answered) == (BODY, LOGIN, (RID,), False)
    assert letter.message["Subject"] == "关于删除个人信息的通知"


def test_nobody_gets_a_letter_who_is_told_otherwise_or_is_nobody(company: Company) -> None:
    for to in (bodies()["kinggrid"].address, "privacy@nobody.example"):
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            post(company, "", to)
    company.outside.world.behave("kinggrid", Door.MAIL)
    post(company, "", bodies()["kinggrid"].address)
    company.outside.world.behave("kinggrid")
    assert [x.body for x in company.outside.post.letters()] == ["kinggrid"]


def test_our_mail_server_takes_letters_of_ours_only(company: Company) -> None:
    with pytest.raises(smtplib.SMTPAuthenticationError):
        post(company, "", secret="guess")
    context = ssl.create_default_context(cafile=company.outside.authority.certificate)
    with (
        smtplib.SMTP_SSL("127.0.0.1", company.outside.mail_port, timeout=10, context=context) as smtp,
        pytest.raises(smtplib.SMTPException),
    ):
        smtp.sendmail(LOGIN, [bodies()[BODY].address], b"without a log-in")
    assert company.outside.post.letters() == []


def test_its_people_find_who_is_meant_act_and_answer_once(company: Company) -> None:
    company.hand_over("card-77aa", "card-88bb", body=BODY, categories=(NAME, PHONE))
    post(company, LETTER.format(rid=RID, ref="card-77aa"))
    (letter,) = company.outside.post.letters(BODY)
    reply = company.outside.post.answer(letter)
    assert reply.request_id == RID
    assert {p["code"]: p["categories"] for p in reply.parts} == {"DELETED": [PHONE], "HELD_DISPUTE": [NAME]}
    assert RID in reply.text and bodies()[BODY].name in reply.text
    assert company.outside.post.answer(letter) == reply, "the same letter again is the same answer"
    assert company.outside.post.letters(BODY)[0].answered
    assert company.outside.world.state.row(
        "SELECT categories FROM record WHERE body = ? AND ref = 'card-88bb'", (BODY,)
    ) == ('["PI-001", "PI-005"]',), "who is not in the letter is left alone"


def test_a_person_tells_a_body_that_has_no_door(company: Company) -> None:
    company.hand_over("seal-0001", body="kinggrid", categories=(NAME,))
    reply = company.outside.post.told("kinggrid", f"通知编号：{RID}，流水号 seal-0001，请删除。")
    assert (reply.request_id, reply.parts[0]["code"], reply.parts[0]["count"]) == (RID, "DELETED", 1)
    assert not company.knows("seal-0001", "kinggrid")


def test_a_silent_one_has_the_letter_and_answers_nobody(company: Company) -> None:
    company.outside.world.behave(BODY, Manner.SILENT)
    post(company, f"通知编号：{RID}")
    with pytest.raises(Refused, match="does not answer"):
        company.outside.post.answer(company.outside.post.letters(BODY)[0])


def test_a_lying_one_lies_on_paper_too(company: Company) -> None:
    company.outside.world.behave(BODY, Stance.LYING)
    company.hand_over("card-99cc", body=BODY, categories=(NAME,))
    reply = company.outside.post.told(BODY, "流水号 card-99cc")
    assert reply.parts[0]["code"] == "DELETED" and company.knows("card-99cc", BODY)


def test_a_flaky_server_puts_off_every_other_letter(company: Company) -> None:
    company.outside.world.behave(BODY, Manner.FLAKY)
    with pytest.raises(smtplib.SMTPDataError) as put_off:
        post(company, f"通知编号：{RID}")
    assert put_off.value.smtp_code == 451 and company.outside.post.letters() == []
    post(company, f"通知编号：{RID}")
    assert len(company.outside.post.letters()) == 1


def test_one_that_hangs_up_has_the_letter_and_never_said_so(company: Company) -> None:
    company.outside.world.behave(BODY, Manner.CLOSING)
    with pytest.raises(smtplib.SMTPServerDisconnected):
        post(company, f"通知编号：{RID}")
    assert len(company.outside.post.letters()) == 1
