"""The sandbox's bodies at the other end, which share no code with us: every manner, every stance, every channel."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from include.model.doors import Endpoint
from include.model.errors import NotReachable, Refused
from include.model.notices import Answer, Identity, Judgement, Notice, Pending
from include.model.times import observed_now, prc_date
from include.recipients.answers import judge
from include.recipients.calling import Patience
from include.recipients.citing import read
from include.recipients.mail import Mail
from include.recipients.opendsr import OpenDSR, read_callback
from include.recipients.opening import open_channel
from include.sandbox.recipients.bodies import Door, Manner, Stance, bodies
from tests.recipients.conftest import Declared
from tests.recipients.making import BODY, POLICY, notice
from tests.sandbox.outside import LOGIN, TOKENS, Company, Ear, running

pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH")  # it is required behind TLS

QUICK = Patience(connect=5, silence=5, whole=10)


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    with running(tmp_path_factory.mktemp("outside")) as found:
        yield found


@pytest.fixture(autouse=True)
def as_they_are(company: Company) -> None:
    for body in bodies().values():
        company.outside.world.behave(body.id, body.door, body.manner, body.stance)


def endpoint(company: Company, who: str) -> Endpoint:
    return Endpoint(
        f"{company.outside.url}/{who}/v2",
        secret=TOKENS[who],
        authority=str(company.outside.authority.certificate),
    )


def channel(company: Company, who: str) -> OpenDSR:
    return OpenDSR(BODY[who], endpoint(company, who), patience=QUICK)


_refs = iter(range(10_000))


def handed_over(company: Company, who: str, **said: Any) -> Notice:
    """A notice about somebody whose data the body was given."""
    ref = f"ref-{next(_refs)}"
    company.hand_over(ref, body=who, categories=BODY[who].categories, value=f"value-of-{ref}", account=ref)
    return notice(
        who, references=(ref,), identities=(), erase=BODY[who].categories, submitted_at=observed_now(), **said
    )


def judged(who: str, said: Notice, answer: Answer) -> tuple[Judgement, ...]:
    now = observed_now()
    return judge(
        BODY[who], said.erase, answer, as_of=prc_date(now), laws=POLICY.laws, preserve=said.preserve,
        told_at=now - timedelta(minutes=1),
    )  # fmt: skip


def answered(company: Company, who: str, said: Notice) -> Answer:
    opened = channel(company, who)
    try:
        delivery = opened.send(said)
        assert delivery.outcome == "delivered", delivery
        answer = opened.ask(said.request_id)
        assert isinstance(answer, Answer), answer
        return answer
    finally:
        opened.close()


BY_MACHINE = [b.id for b in bodies().values() if b.door is Door.OPENDSR]


@pytest.mark.parametrize("who", BY_MACHINE)
def test_whoever_has_an_interface_answers_acceptably_as_it_is(who: str, company: Company) -> None:
    said = handed_over(company, who)
    verdicts = judged(who, said, answered(company, who, said))
    assert all(j.accepted for j in verdicts), [(j.part.code, j.why) for j in verdicts]


STANCES = {
    Stance.ERASING: True, Stance.RETAINING: True, Stance.PARTIAL: False, Stance.INCOMPLETE: False,
    Stance.LYING: True, Stance.STRANGER: False, Stance.BARE: False, Stance.LAWLESS: False,
    Stance.WORDLESS: False, Stance.DISPUTING: True, Stance.INDEPENDENT: False, Stance.CHAIN: False,
}  # fmt: skip


@pytest.mark.parametrize("stance", Stance)
def test_what_an_sms_vendor_can_say(stance: Stance, company: Company) -> None:
    said = handed_over(company, "emay")
    company.behave(stance, body="emay")
    verdicts = judged("emay", said, answered(company, "emay", said))
    assert all(j.accepted for j in verdicts) is STANCES[stance], [(j.part.code, j.why) for j in verdicts]
    assert all(j.accepted or j.why for j in verdicts)


MANNERS = {
    Manner.PROMPT: {"delivered"}, Manner.SLOW: {"delivered"}, Manner.SILENT: {"delivered"},
    Manner.FLAKY: {"delivered", "later"}, Manner.WRONGLY_SIGNED: {"later"}, Manner.UNSIGNED: {"later"},
    Manner.CLOSING: {"later"}, Manner.HTML: {"later"}, Manner.REDIRECTING: {"refused"},
}  # fmt: skip


@pytest.mark.parametrize("manner", Manner)
def test_how_a_body_can_talk(manner: Manner, company: Company) -> None:
    said = handed_over(company, "juhe")
    company.behave(manner, body="juhe")
    outcomes = set()
    for _ in range(4):
        opened = channel(company, "juhe")
        delivery = opened.send(said)
        outcomes.add(delivery.outcome)
        assert delivery.outcome == "delivered" or delivery.why
        try:
            heard = opened.ask(said.request_id)
        except (NotReachable, Refused):
            heard = None
        assert heard is None or manner in (Manner.PROMPT, Manner.SLOW, Manner.SILENT, Manner.FLAKY)
        assert manner is not Manner.SILENT or isinstance(heard, Pending)
        opened.close()
    assert outcomes <= MANNERS[manner], outcomes


def test_however_often_it_is_sent_it_is_acted_on_once(company: Company) -> None:
    said = handed_over(company, "jinshi")
    company.behave(Manner.CLOSING, body="jinshi")
    for _ in range(3):
        assert channel(company, "jinshi").send(said).outcome == "later"
    company.behave(Manner.PROMPT, body="jinshi")
    answer = answered(company, "jinshi", said)
    assert [p.count for p in answer.parts if p.code == "DELETED"] == [1]
    assert channel(company, "jinshi").knows(said.references[0]) is False


def test_who_lies_is_caught_by_asking(company: Company) -> None:
    said = handed_over(company, "yizhengtong")
    opened = channel(company, "yizhengtong")
    assert opened.knows(said.references[0]) is True
    company.behave(Stance.LYING, body="yizhengtong")
    verdicts = judged("yizhengtong", said, answered(company, "yizhengtong", said))
    assert all(j.accepted for j in verdicts)
    assert opened.knows(said.references[0]) is True


def test_a_callback_is_theirs(company: Company) -> None:
    said = handed_over(company, "jinshi")
    with Ear() as ear:
        opened = OpenDSR(
            BODY["jinshi"], endpoint(company, "jinshi"), callback_url=f"{ear.url}/cb", patience=QUICK
        )
        assert opened.send(said).outcome == "delivered"
        company.status(str(said.request_id), "jinshi")
        heard = [
            read_callback(BODY["jinshi"], call.headers, call.raw, opened.certificate(), callback_url=f"{ear.url}/cb")
            for call in ear.hears(1)
        ]  # fmt: skip
    assert all(h.request_id == said.request_id for h in heard)


def test_who_is_known_by_what_they_are_alone_is_found(company: Company) -> None:
    company.hand_over("ref-alone", body="emay", categories=("PI-005",), value="13800138000", account="alone")
    said = notice("emay", references=(), identities=(Identity(category="PI-005", value="13800138000"),),
                  submitted_at=observed_now())  # fmt: skip
    company.behave(Stance.ERASING, body="emay")
    assert all(j.accepted for j in judged("emay", said, answered(company, "emay", said)))
    assert not company.knows("ref-alone", "emay")


def test_a_notice_is_taken_back_before_it_is_acted_on(company: Company) -> None:
    said = handed_over(company, "jinshi")
    company.behave(Manner.SILENT, body="jinshi")
    opened = channel(company, "jinshi")
    assert opened.send(said).outcome == "delivered"
    assert opened.cancel(said.request_id)
    assert company.knows(said.references[0], "jinshi")


@pytest.mark.parametrize("who", bodies())
def test_every_recipient_is_told_by_its_channel(who: str, company: Company) -> None:
    body, authority = bodies()[who], str(company.outside.authority.certificate)
    url = {Door.MAIL: f"mailto:{body.address}", Door.OPENDSR: endpoint(company, who).url}.get(body.door)
    known = {
        "mail": Endpoint(f"smtps://127.0.0.1:{company.outside.mail_port}", LOGIN, TOKENS["mail"], authority)
    }
    if url is not None:
        known[f"recipient_{who}"] = Endpoint(url, secret=TOKENS[who], authority=authority)
    opened = open_channel(BODY[who], Declared(known))  # type: ignore[arg-type]
    delivery = opened.send(handed_over(company, who))
    opened.close()
    assert delivery.outcome == ("errand" if body.door is Door.PERSON else "delivered"), delivery
    assert isinstance(opened, Mail) == (body.door is Door.MAIL)


def test_laws_that_the_bodies_cite_are_known() -> None:
    for body in bodies().values():
        if body.stance is Stance.RETAINING:
            found = read(body.keeps.article, POLICY.laws, body.id, prc_date(observed_now()))
            assert found.verdict == "counts", (body.id, found)
