"""Which channel is opened, for every recipient of the policy."""

from __future__ import annotations

import pytest

from include.model.doors import Connections, Endpoint
from include.model.errors import Refused
from include.recipients.mail import Mail
from include.recipients.opendsr import OpenDSR
from include.recipients.opening import open_channel
from include.recipients.person import Person
from tests.recipients.conftest import Declared
from tests.recipients.making import BODY, POLICY, notice

SERVER = Endpoint("smtp://127.0.0.1", login="privacy@itrus.example")


def declared(**endpoints: Endpoint) -> Connections:
    return Declared({"mail": SERVER} | endpoints)  # type: ignore[return-value]


@pytest.mark.parametrize("recipient", BODY)
def test_every_recipient_has_its_channel(recipient: str) -> None:
    body = BODY[recipient]
    url = (
        "https://127.0.0.1/v2"
        if body.channel == "opendsr"
        else f"mailto:dpo@{recipient.replace('_', '-')}.example"
    )
    channel = open_channel(body, declared(**{f"recipient_{recipient}": Endpoint(url)}))
    expected = {"opendsr": OpenDSR, "email": Mail, "information": Mail, "ledger": Mail, "manual": Person}
    assert type(channel) is expected[body.channel]
    channel.close()


def test_all_four_ways_are_in_use() -> None:
    assert {r.channel for r in POLICY.recipients} == {"opendsr", "email", "manual", "information", "ledger"}


@pytest.mark.parametrize("recipient", ["arb_wuhan", "webank_chain"])
def test_who_has_no_address_is_told_by_a_person_who_knows_why(recipient: str) -> None:
    delivery = open_channel(BODY[recipient], declared()).send(notice(recipient))
    assert delivery.outcome == "errand" and "not declared" in delivery.why


@pytest.mark.parametrize("recipient", ["emay", "baiwang"])
def test_a_connection_that_is_missing_is_named(recipient: str) -> None:
    with pytest.raises(Refused, match=f"recipient_{recipient}"):
        open_channel(BODY[recipient], declared())


@pytest.mark.parametrize("recipient", ["baiwang", "arb_wuhan"])
def test_a_letter_needs_an_address_for_letters(recipient: str) -> None:
    with pytest.raises(Refused, match="mailto"):
        open_channel(
            BODY[recipient], declared(**{f"recipient_{recipient}": Endpoint("https://127.0.0.1/v2")})
        )


def test_our_own_mail_server_is_needed() -> None:
    with pytest.raises(Refused, match="mail"):
        open_channel(BODY["baiwang"], Declared({"recipient_baiwang": Endpoint("mailto:a@b.example")}))  # type: ignore[arg-type]
