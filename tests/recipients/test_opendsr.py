"""OpenDSR over HTTPS, against a body that does everything wrong."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.model.doors import Endpoint
from include.model.errors import NotReachable, Refused
from include.model.notices import Answer, AnswerCode, Delivery, Pending
from include.recipients import authorities, signing
from include.recipients.calling import Patience
from include.recipients.opendsr import OpenDSR, read_callback
from include.sandbox.stack.ports import free_port
from tests.recipients.authority import Authority
from tests.recipients.body import EXPECTED, SECRET, Body, serving
from tests.recipients.conftest import DOMAIN, OURS, WHO, World
from tests.recipients.making import BODY, notice


def sent(world: World, **changed: Any) -> Delivery:
    channel = world.channel(**changed)
    try:
        return channel.send(notice())
    finally:
        channel.close()


# --- sending --------------------------------------------------------------------------------


def test_a_notice_is_delivered_against_a_signed_receipt(world: World) -> None:
    channel, said = world.channel(), notice()
    delivery = channel.send(said)
    assert delivery.outcome == "delivered", delivery.why
    assert delivery.expected_on == date(2026, 12, 1)
    assert len(delivery.receipt or "") == 64
    got = world.body.requests[str(said.request_id)]
    assert got["regulation"] == "pipl" and got["subject_request_type"] == "erasure"
    assert got["status_callback_urls"] == [OURS]
    assert got["subject_identities"] == [
        {"identity_type": "controller_customer_id", "identity_value": r, "identity_format": "raw"}
        for r in said.references
    ]
    own = got["extensions"][DOMAIN]
    assert own["identities"] == [{"category": i.category, "value": i.value} for i in said.identities]
    assert own["erase"] == list(said.erase) and own["preserve"] == [] and own["instruction"] == "erase"
    assert datetime.fromisoformat(got["submitted_time"]) == said.submitted_at
    assert SECRET not in json.dumps(got)


def test_who_is_known_only_by_what_they_are_is_named_in_the_extension_alone(world: World) -> None:
    said = notice(references=())
    assert world.channel().send(said).outcome == "delivered"
    assert "subject_identities" not in world.body.requests[str(said.request_id)]


def test_a_batch_goes_over_one_connection_and_discovers_once(world: World) -> None:
    channel = world.channel()
    assert {channel.send(notice()).outcome for _ in range(20)} == {"delivered"}
    assert world.body.connections == 1
    assert [path for _, path in world.body.asked].count("/v2/discovery") == 1


def test_a_notice_sent_twice_is_one_request(world: World) -> None:
    channel, said = world.channel(), notice()
    assert channel.repeatable
    assert [channel.send(said).outcome for _ in range(2)] == ["delivered", "delivered"]
    assert len(world.body.requests) == 1


def test_rsa_signs_as_well(world: World) -> None:
    world.body.signer = world.authority.issue(DOMAIN, rsa_key=True)
    assert sent(world).outcome == "delivered"


LATER = {
    "silent": "did not answer in time",
    "cut": "broke off",
    "hang up": "broke off",
    "500": "failed (500)",
    "502": "failed (502)",
    "503": "out of service",
    "429": "slow down",
    "401": "turned us away (401)",
    "403": "turned us away (403)",
    "404": "no receipt (404)",
    "408": "failed (408)",
    "200": "no receipt (200)",
    "html": "not a JSON object",
    "list": "not a JSON object",
    "deep": "not a JSON object",
    "huge": "larger than",
    "unsigned": "not signed",
    "not base64": "signature on its answer is wrong",
    "changed": "signature on its answer is wrong",
    "other domain": "another domain",
    "another id": "another request",
    "another request": "something else",
    "lacks a field": "expected_completion_time",
    "no zone": "expected_completion_time",
}


@pytest.mark.parametrize("mode", LATER)
def test_what_goes_wrong_is_sent_again_later(mode: str, world: World) -> None:
    world.body.mode = mode
    delivery = sent(world)
    assert delivery.outcome == "later", delivery
    assert LATER[mode] in delivery.why
    assert delivery.again_in and delivery.again_in > 0
    assert "secret of theirs" not in delivery.why and "txn" not in delivery.why


@pytest.mark.parametrize("mode", ["400", "409", "413", "422"])
def test_what_is_refused_is_not_sent_again(mode: str, world: World) -> None:
    world.body.mode = mode
    delivery = sent(world)
    assert (delivery.outcome, delivery.again_in) == ("refused", None)
    assert f"({mode})" in delivery.why and "secret of theirs" not in delivery.why


def test_a_redirect_is_named_and_not_followed(world: World) -> None:
    world.body.mode = "redirect"
    delivery = sent(world)
    assert delivery.outcome == "refused" and "redirects (307)" in delivery.why
    assert "elsewhere" not in delivery.why
    assert not any("elsewhere" in path for _, path in world.body.asked)


@pytest.mark.parametrize("mode", ["drip", "drip of the head"])
def test_what_drips_is_not_waited_for(mode: str, world: World) -> None:
    world.body.mode = mode
    began = time.monotonic()
    delivery = sent(world, patience=Patience(connect=2, silence=1, whole=0.6))
    assert delivery.outcome == "later" and "in time" in delivery.why
    assert 0.5 < time.monotonic() - began < 3


@pytest.mark.parametrize("code", ["429", "503"])
def test_retry_after_is_honoured_in_seconds_and_as_a_date(code: str, world: World) -> None:
    world.body.mode, world.body.retry_after = code, "1234"
    assert sent(world).again_in == 1234
    world.body.retry_after = format_datetime(datetime.now(UTC) + timedelta(seconds=500), usegmt=True)
    assert 480 <= (sent(world).again_in or 0) <= 500
    for slip in ("-5", "soon", "99999999999999999999", "Mon, 99 Foo 2026"):
        world.body.retry_after = slip
        assert 0 < (sent(world).again_in or 0) <= 86_400


def test_who_asks_to_be_left_alone_is(world: World) -> None:
    world.body.mode, world.body.retry_after = "429", "60"
    channel = world.channel()
    first = channel.send(notice())
    asked = len(world.body.asked)
    rest = [channel.send(notice()) for _ in range(5)]
    assert first.again_in == 60 and {d.outcome for d in rest} == {"later"}
    assert all(50 <= (d.again_in or 0) <= 60 for d in rest)
    assert len(world.body.asked) == asked


def test_who_does_not_answer_is_not_tried_for_the_whole_batch(world: World) -> None:
    world.body.mode = "hang up"
    channel = world.channel()
    assert {channel.send(notice()).outcome for _ in range(10)} == {"later"}
    assert [m for m, _ in world.body.asked].count("POST") == 3


def test_one_that_fails_does_not_hold_up_the_others(world: World) -> None:
    channel = world.channel()
    world.body.mode = "500"
    assert [channel.send(notice()).outcome for _ in range(5)] == ["later"] * 5
    world.body.mode = ""
    assert channel.send(notice()).outcome == "delivered"


def test_nobody_at_the_address(world: World) -> None:
    delivery = sent(world, url=f"https://127.0.0.1:{free_port()}/v2")
    assert delivery.outcome == "later" and "nobody answers" in delivery.why


def test_the_wrong_secret_is_a_matter_of_the_connection(world: World) -> None:
    delivery = sent(world, secret="another")
    assert delivery.outcome == "later" and "turned us away (401)" in delivery.why


@pytest.mark.parametrize("mode", ["huge", "cut", "drip"])
def test_what_was_not_read_to_its_end_is_not_the_start_of_the_next_answer(mode: str, world: World) -> None:
    channel = world.channel(Patience(connect=2, silence=1, whole=0.6))
    assert channel.send(notice()).outcome == "delivered"
    world.body.mode = mode
    assert channel.send(notice()).outcome == "later"
    world.body.mode = ""
    assert channel.send(notice()).outcome == "delivered"


@pytest.mark.parametrize(
    "url", ["smtps://127.0.0.1/v2", "https:///v2", "https://127.0.0.1:99999/v2", "https://[", "nothing", "",
            "https://" + "a" * 64 + ".example/v2", "https://a..example/v2"],
)  # fmt: skip
def test_an_address_that_is_none(url: str, world: World) -> None:
    delivery = sent(world, url=url)
    assert (delivery.outcome, delivery.why) == ("refused", "its address is none")


# --- TLS ------------------------------------------------------------------------------------


TLS: dict[str, tuple[dict[str, Any], str]] = {
    "expired": ({"days": (-20, -2)}, "has expired"),
    "of another host": ({"name": "somebody.example"}, "another host's"),
    "signed by itself": ({"by_itself": True}, "signed by itself"),
}


@pytest.mark.parametrize("name", TLS)
def test_without_tls_nothing_is_sent(name: str, world: World) -> None:
    how, why = TLS[name]
    how = dict(how)
    tls = world.authority.issue(how.pop("name", "127.0.0.1"), **how)
    with serving(Body(DOMAIN, world.signer), tls, world.directory) as body:
        delivery = sent(world, url=body.url)
        assert delivery.outcome == "later"
        assert delivery.why.startswith("TLS:") and why in delivery.why
        assert body.asked == []


def test_an_authority_counts_only_where_it_is_named(world: World) -> None:
    delivery = sent(world, authority=None)
    assert delivery.outcome == "later" and "TLS:" in delivery.why and "no authority" in delivery.why


def test_a_file_of_authorities_that_was_renewed_is_read_again(world: World, tmp_path: Path) -> None:
    file = Path(Authority().file(tmp_path))
    assert "TLS:" in sent(world, authority=str(file)).why
    file.write_text(Path(world.authority_file).read_text())
    os.utime(file, (1, 1))
    assert sent(world, authority=str(file)).outcome == "delivered"


@pytest.mark.parametrize("text", [None, "", "no certificate"])
def test_a_file_of_authorities_that_is_none(text: str | None, world: World, tmp_path: Path) -> None:
    file = tmp_path / "authority.pem"
    if text is not None:
        file.write_text(text)
    for reading in (authorities.context, authorities.store):
        with pytest.raises(Refused, match="authorities to trust"):
            reading(str(file))


def test_no_tls_at_all(world: World) -> None:
    assert sent(world, url=world.body.url.replace("https", "http")).outcome == "later"


# --- who signs ------------------------------------------------------------------------------


SIGNERS: dict[str, tuple[dict[str, Any], str]] = {
    "expired": ({"days": (-20, -2)}, "expired"),
    "not yet valid": ({"days": (2, 9)}, "not valid yet"),
    "of another domain": ({"name": "somebody.example"}, "another domain"),
    "signed by itself": ({"by_itself": True}, "no authority"),
}


@pytest.mark.parametrize("name", SIGNERS)
def test_a_certificate_that_signs_for_nobody_gets_nothing(name: str, world: World) -> None:
    how, why = SIGNERS[name]
    how = dict(how)
    world.body.signer = world.authority.issue(how.pop("name", DOMAIN), **how)
    delivery = sent(world)
    assert delivery.outcome == "later" and why in delivery.why
    assert world.body.requests == {}
    with pytest.raises(Refused, match=why):
        world.channel().certificate()


def test_a_certificate_from_elsewhere_is_not_fetched(world: World) -> None:
    for elsewhere in ("https://somebody.example/cert.pem", f"http://127.0.0.1:{world.body.port}/v2/cert.pem",
                      f"https://me@127.0.0.1:{world.body.port}/v2/cert.pem", "https://[", "/v2/cert.pem"):  # fmt: skip
        world.body.certificate_at = elsewhere
        delivery = sent(world)
        assert delivery.outcome == "later" and "elsewhere" in delivery.why
        assert [path for _, path in world.body.asked if "cert" in path] == []


@pytest.mark.parametrize("mode", ["html", "500", "404", "redirect", "cut", "huge"])
def test_a_discovery_that_fails_sends_nothing_and_is_asked_once_a_batch(mode: str, world: World) -> None:
    world.body.mode, world.body.on = mode, "discovery"
    channel = world.channel()
    found = [channel.send(notice()).outcome for _ in range(3)]
    assert found == (["refused"] * 3 if mode == "redirect" else ["later"] * 3)
    assert world.body.requests == {} and len(world.body.asked) == 1


def test_a_recipient_without_a_domain_has_no_such_channel() -> None:
    with pytest.raises(Refused, match="whose certificate"):
        OpenDSR(BODY["baiwang"], Endpoint("https://127.0.0.1/v2"))


# --- asking ---------------------------------------------------------------------------------


def told(world: World) -> tuple[OpenDSR, UUID]:
    channel, said = world.channel(), notice()
    assert channel.send(said).outcome == "delivered"
    world.body.on = "GET"
    return channel, said.request_id


@pytest.mark.parametrize("status", ["pending", "in_progress"])
def test_who_is_not_done_says_until_when(status: str, world: World) -> None:
    channel, request_id = told(world)
    world.body.status = status
    assert channel.ask(request_id) == Pending(
        request_id=request_id,
        recipient=WHO,
        status=status,
        expected_on=date(2026, 12, 1),  # type: ignore[arg-type]
    )


def test_an_answer_comes_in_parts_with_its_evidence(world: World) -> None:
    channel, request_id = told(world)
    world.body.answers = [
        {"code": "DELETED", "categories": ["PI-001"], "count": 2, "at": "2026-11-24T10:00:00Z", "method": "overwritten",
         "transactions": ["txn-7f3a"], "added by them": 1, "article": None},
        {"code": "RETAINED_BY_LAW", "categories": ["PI-005"], "article": "CSL 23(3)", "until": "2027-01-01"},
    ]  # fmt: skip
    answer = channel.ask(request_id)
    assert isinstance(answer, Answer) and (answer.request_id, answer.via) == (request_id, "poll")
    one, two = answer.parts
    assert (one.code, one.count, one.at) == (AnswerCode.DELETED, 2, datetime(2026, 11, 24, 10, tzinfo=UTC))
    assert (two.article, two.until) == ("CSL 23(3)", date(2027, 1, 1))
    again = channel.ask(request_id)
    assert isinstance(again, Answer) and again.digest == answer.digest


@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_completed_alone_says_nothing_of_anything(status: str, world: World) -> None:
    channel, request_id = told(world)
    world.body.status = status
    answer = channel.ask(request_id)
    assert isinstance(answer, Answer) and answer.parts == ()


MALFORMED: dict[str, Any] = {
    "no code": [{"categories": ["PI-001"]}],
    "a code of nobody": [{"code": "GONE"}],
    "what only we say": [{"code": "NO_REPLY"}],
    "a category of nobody": [{"code": "DELETED", "categories": ["name"]}],
    "a count in words": [{"code": "DELETED", "count": "2"}],
    "a truth as a count": [{"code": "DELETED", "count": True}],
    "a time of nothing": [{"code": "DELETED", "at": "yesterday"}],
    "half a surrogate": [{"code": "DELETED", "method": "\ud800"}],
    "no object": ["DELETED"],
    "no list": {"code": "DELETED"},
    "more than anybody means": [{"code": "DELETED"}] * 201,
}


@pytest.mark.parametrize("name", MALFORMED)
def test_an_answer_of_another_form_is_refused(name: str, world: World) -> None:
    channel, request_id = told(world)
    world.body.answers = MALFORMED[name]
    with pytest.raises(Refused, match="answers"):
        channel.ask(request_id)


@pytest.mark.parametrize(
    "mode", ["unsigned", "changed", "other domain", "another id", "html", "lacks a field", "no zone"]
)
def test_an_answer_that_is_not_theirs_is_refused(mode: str, world: World) -> None:
    channel, request_id = told(world)
    world.body.mode = mode
    with pytest.raises(Refused):
        channel.ask(request_id)


@pytest.mark.parametrize("mode", ["500", "404", "418"])
def test_an_answer_that_fails_is_none(mode: str, world: World) -> None:
    channel, request_id = told(world)
    world.body.mode = mode
    assert channel.ask(request_id) is None


@pytest.mark.parametrize("mode", ["silent", "429", "redirect", "hang up", "401"])
def test_who_cannot_be_asked_at_all_is_not_reachable(mode: str, world: World) -> None:
    channel, request_id = told(world)
    world.body.mode = mode
    with pytest.raises(NotReachable):
        channel.ask(request_id)


def test_nobody_is_asked_about_a_request_that_they_do_not_have(world: World) -> None:
    assert world.channel().ask(uuid4()) is None


# --- taking back, and looking whether somebody is still known -------------------------------


def test_a_notice_is_taken_back_against_a_signed_word(world: World) -> None:
    channel, request_id = told(world)
    assert channel.cancel(request_id)
    assert world.body.cancelled == {str(request_id)}
    assert not channel.cancel(uuid4())
    world.body.on, world.body.mode = "DELETE", "400"
    assert not channel.cancel(request_id)
    for mode in ("unsigned", "another id"):
        world.body.mode = mode
        with pytest.raises(Refused):
            channel.cancel(request_id)


def test_who_is_still_known(world: World) -> None:
    channel = world.channel()
    world.body.people = {"txn-7f3a"}
    world.body.on = "GET"
    assert channel.knows("txn-7f3a") is True
    assert channel.knows("txn/other?x#y") is False
    assert world.body.asked[-1][1] == "/v2/people/txn%2Fother%3Fx%23y"
    for mode in ("html", "500", "418"):
        world.body.mode = mode
        assert channel.knows("txn-7f3a") is None


# --- being called ---------------------------------------------------------------------------


def callback(world: World, **said: Any) -> tuple[dict[str, str], bytes]:
    body = json.dumps(
        {"controller_id": "us", "expected_completion_time": EXPECTED, "status_callback_url": OURS,
         "subject_request_id": str(uuid4()), "request_status": "completed",
         "extensions": {DOMAIN: {"answers": [{"code": "NOTHING_HELD"}]}}} | said
    ).encode()  # fmt: skip
    signature = base64.b64encode(world.signer.sign(body)).decode()
    return {"x-opendsr-processor-domain": DOMAIN, "X-OpenDSR-Signature": signature}, body


def test_a_callback_is_read(world: World) -> None:
    headers, body = callback(world)
    certificate = world.channel().certificate()
    answer = read_callback(BODY[WHO], headers, body, certificate, callback_url=OURS)
    assert isinstance(answer, Answer) and answer.via == "callback"
    assert answer.digest == hashlib.sha256(body).hexdigest()
    assert [p.code for p in answer.parts] == [AnswerCode.NOTHING_HELD]
    headers, body = callback(world, request_status="in_progress")
    assert isinstance(read_callback(BODY[WHO], headers, body, certificate), Pending)


def test_nothing_is_looked_into_before_the_signature(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    headers, body = callback(world)
    certificate = world.channel().certificate()

    def parsed(*_: Any) -> Any:
        raise AssertionError("the body was parsed")

    monkeypatch.setattr("include.recipients.forms.object_of", parsed)
    for wrong, garbled in (({}, body), (headers, body + b" "), ({**headers, "X-OpenDSR-Signature": ""}, body),
                           ({**headers, "x-opendsr-processor-domain": "somebody.example"}, body)):  # fmt: skip
        with pytest.raises(Refused):
            read_callback(BODY[WHO], wrong, garbled, certificate)


def test_a_callback_of_another_signer_an_expired_one_or_for_another_is_refused(world: World) -> None:
    headers, body = callback(world)
    for other in (world.authority.issue(DOMAIN), world.authority.issue("somebody.example"),
                  world.authority.issue(DOMAIN, days=(-9, -2))):  # fmt: skip
        with pytest.raises(Refused):
            read_callback(BODY[WHO], headers, body, other.certificate)
    with pytest.raises(Refused, match="somebody else"):
        read_callback(
            BODY[WHO], headers, body, world.signer.certificate, callback_url="https://other.example"
        )
    for key, value in (("subject_request_id", "A7551968-D5D6-44B2-9831-815AC9017798"), ("request_status", "done"),
                       ("subject_request_id", None), ("request_status", ["pending"]), ("controller_id", 1)):  # fmt: skip
        headers, body = callback(world, **{key: value})
        with pytest.raises(Refused):
            read_callback(BODY[WHO], headers, body, world.signer.certificate)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PARTS = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("code", "categories", "count", "at", "until", "method"), JSON)
)
STATUSES = st.fixed_dictionaries(
    {"controller_id": st.just("us") | JSON, "subject_request_id": st.uuids(version=4).map(str) | JSON},
    optional={
        "request_status": st.sampled_from(["pending", "in_progress", "completed", "cancelled"]) | JSON,
        "expected_completion_time": st.just(EXPECTED) | st.just("9999-12-31T23:59:59Z") | JSON,
        "extensions": JSON
        | st.fixed_dictionaries(
            {DOMAIN: st.fixed_dictionaries({"answers": JSON | st.lists(PARTS, max_size=3)})}
        ),
    },
)
_signer = Authority().issue(DOMAIN)


@given(st.binary(max_size=64) | STATUSES.map(lambda said: json.dumps(said).encode()))
def test_whatever_is_signed_is_read_or_refused(body: bytes) -> None:
    headers = {signing.DOMAIN: DOMAIN, signing.SIGNATURE: base64.b64encode(_signer.sign(body)).decode()}
    try:
        said = read_callback(BODY[WHO], headers, body, _signer.certificate)
    except Refused as refused:
        assert refused.next_step
    else:
        assert said.recipient == WHO


@given(
    st.dictionaries(st.sampled_from([signing.DOMAIN, signing.SIGNATURE, "host"]), st.text(max_size=40)),
    st.binary(max_size=40),
)
def test_whatever_is_not_signed_is_refused(headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(Refused):
        read_callback(BODY[WHO], {signing.DOMAIN: DOMAIN} | headers, body, _signer.certificate)


def test_a_certificate_between_is_followed_and_too_many_are_not(world: World) -> None:
    pem = world.signer.pem
    assert signing.trusted(pem * 2, DOMAIN, world.authority_file, WHO) == world.signer.certificate
    for wrong in (b"", b"not PEM", pem * 20):
        with pytest.raises(Refused):
            signing.trusted(wrong, DOMAIN, world.authority_file, WHO)
