"""What every channel keeps to, whatever is at its other end. The book relies on this and on nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import uuid4

import pytest

from include.model.doors import Channel, Endpoint
from include.recipients.mail import Mail
from include.recipients.person import Person
from tests.recipients.conftest import WHO, World
from tests.recipients.letterbox import Letterbox
from tests.recipients.making import BODY, notice


@dataclass
class Subject:
    """A channel under test: opened anew at each call, its other side broken, and what arrived there."""

    open: Callable[[], Channel]
    breaks: tuple[str, ...]
    set: Callable[[str], None]
    arrived: Callable[[], int]
    recipient: str = WHO


@pytest.fixture(params=["opendsr", "mail", "person"])
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    if request.param == "opendsr":
        world: World = request.getfixturevalue("world")
        modes = (
            "cut",
            "hang up",
            "500",
            "429",
            "redirect",
            "html",
            "huge",
            "unsigned",
            "changed",
            "400",
            "silent",
        )
        yield Subject(
            world.channel, modes, lambda m: setattr(world.body, "mode", m), lambda: len(world.body.requests)
        )
    elif request.param == "mail":
        box: Letterbox = request.getfixturevalue("letterbox")
        yield Subject(
            lambda: Mail(BODY["baiwang"], "dpo@baiwang.example",
                         Endpoint(box.url, login="privacy@itrus.example"), silence=2),
            ("MAIL", "RCPT", "before DATA", "DATA", "MAIL 451", "RCPT 550", "DATA 554"),
            lambda m: setattr(box, "mode", m), lambda: len(box.letters), "baiwang",
        )  # fmt: skip
    else:
        yield Subject(lambda: Person(BODY["kinggrid"]), (), lambda m: None, lambda: 0, "kinggrid")


def test_what_is_delivered_has_a_receipt_and_arrived(subject: Subject) -> None:
    channel = subject.open()
    delivery = channel.send(notice(subject.recipient))
    assert delivery.outcome in ("delivered", "errand")
    assert (delivery.outcome == "delivered") == (delivery.receipt is not None) == (subject.arrived() == 1)
    assert delivery.outcome == "delivered" or delivery.why
    channel.close()


def test_sent_twice_it_is_one_where_the_channel_says_so(subject: Subject) -> None:
    said = notice(subject.recipient)
    for channel in (subject.open(), subject.open()):
        channel.send(said)
        channel.close()
    assert subject.arrived() <= (1 if subject.open().repeatable else 2)


def test_every_break_is_a_delivery_with_a_reason_and_no_value(subject: Subject) -> None:
    for mode in subject.breaks:
        subject.set(mode)
        channel, said, before = subject.open(), notice(subject.recipient), subject.arrived()
        delivery = channel.send(said)
        channel.close()
        assert delivery.outcome in ("later", "refused", "in_doubt"), mode
        assert delivery.why and delivery.receipt is None, mode
        assert (delivery.again_in is not None) == (delivery.outcome == "later"), mode
        if not channel.repeatable and subject.arrived() > before:
            assert delivery.outcome == "in_doubt", mode  # it arrived, so it must not go out again by itself
        for personal in (*said.references, *(i.value for i in said.identities)):
            assert personal not in delivery.why + repr(delivery), mode


def test_a_break_is_over_with_the_next_channel(subject: Subject) -> None:
    for mode in subject.breaks:
        subject.set(mode)
        subject.open().send(notice(subject.recipient))
        subject.set("")
        channel = subject.open()
        assert channel.send(notice(subject.recipient)).outcome == "delivered", mode
        channel.close()


def test_whom_it_cannot_ask_it_says_nothing_of(subject: Subject) -> None:
    channel = subject.open()
    assert channel.ask(uuid4()) is None
    assert channel.cancel(uuid4()) is False
    assert channel.knows("nobody") in (None, False)
    channel.close()
    channel.close()


def test_nothing_personal_is_in_what_a_channel_prints_of_itself(subject: Subject) -> None:
    channel, said = subject.open(), notice(subject.recipient)
    channel.send(said)
    printed = repr(channel) + repr(said)
    assert not any(p in printed for p in (*said.references, *(i.value for i in said.identities)))
