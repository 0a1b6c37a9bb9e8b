"""The bodies' doors for machines: what an erasure gets from them, and what a bad one gets."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.verification import PolicyBuilder, Store

from include.catalogue import load
from include.sandbox.recipients.bodies import Door, Manner, bodies
from include.sandbox.recipients.book import Seen
from include.sandbox.recipients.server import MAX_BODY
from tests.sandbox.outside import BODY, FACE, NAME, PHONE, Company, Ear, asked, verify

BY_MACHINE = [b.id for b in bodies().values() if b.door is Door.OPENDSR]


@pytest.fixture(autouse=True)
def as_ever(company: Company) -> Iterator[None]:
    yield
    company.outside.world.behave(BODY)


def test_they_are_those_of_the_catalogue_and_are_told_as_it_says(company: Company) -> None:
    declared = {r.id: r for r in load().recipients}
    assert {b.id: (b.name, b.role) for b in bodies().values()} == {
        r.id: (r.name, r.role.value) for r in declared.values()
    }
    assert len(declared) == 26
    doors = {
        "opendsr": {Door.OPENDSR}, "email": {Door.MAIL}, "manual": {Door.PERSON},
        "information": {Door.MAIL, Door.PERSON}, "ledger": {Door.MAIL, Door.PERSON},
    }  # fmt: skip
    for body in bodies().values():
        assert body.door in doors[declared[body.id].channel], body.id
        if body.door is Door.OPENDSR:
            assert declared[body.id].domain == body.domain


@pytest.mark.parametrize("body", BY_MACHINE)
def test_each_says_what_it_supports_and_signs_with_a_certificate_of_its_domain(
    company: Company, body: str
) -> None:
    answer = company.call("GET", "discovery", body=body, token=None)
    said = answer.json()
    assert said["supported_subject_request_types"] == ["erasure"]
    assert {"identity_type": "controller_customer_id", "identity_format": "raw"} in said[
        "supported_identities"
    ]
    assert said["processor_certificate"] == company.url("certificate.pem", body)
    certificate = company.certificate(body)
    verify(certificate, answer.headers, answer.content)
    assert answer.headers["X-OpenDSR-Processor-Domain"] == bodies()[body].domain
    authority = x509.load_pem_x509_certificate(company.outside.authority.certificate.read_bytes())
    verifier = (
        PolicyBuilder().store(Store([authority])).build_server_verifier(x509.DNSName(bodies()[body].domain))
    )
    assert verifier.verify(certificate, [])[0] == certificate


@pytest.mark.parametrize("body", [b.id for b in bodies().values() if b.door is not Door.OPENDSR])
def test_nothing_listens_where_a_person_is_told_or_a_letter_goes(company: Company, body: str) -> None:
    assert company.call("GET", "discovery", body=body).status_code == 404
    assert company.ask("txn", body=body).status_code == 404


def test_an_erasure_is_received_then_completed_and_the_person_is_gone(company: Company) -> None:
    company.hand_over("txn-1", "txn-2", "other")
    company.hand_over("txn-1", body="juhe")
    request = asked("txn-1", "txn-2", "never-had", erase=(NAME, FACE, PHONE))
    raw = json.dumps(request).encode()
    received = company.call("POST", "requests", raw=raw)
    assert received.status_code == 201
    assert received.json()["subject_request_id"] == request["subject_request_id"]
    assert base64.b64decode(received.json()["encoded_request"]) == raw
    status = company.status(request["subject_request_id"])
    assert (status["request_status"], status["results_count"]) == ("completed", 2)
    deleted, nothing = sorted(
        status["extensions"]["sensetime.example"]["answers"], key=lambda part: part["code"]
    )
    assert (deleted["code"], deleted["categories"], deleted["count"]) == ("DELETED", [NAME, FACE], 2)
    assert deleted["transactions"] == ["txn-1", "txn-2"] and deleted["method"] and deleted["at"]
    assert (nothing["code"], nothing["categories"]) == ("NOTHING_HELD", [PHONE])
    for ref, code in (("txn-1", 404), ("txn-2", 404), ("other", 200)):
        assert company.call("GET", f"people/{ref}").status_code == code
    assert company.knows("txn-1", "juhe"), "no other body's"


def test_it_deletes_what_was_asked_for_and_keeps_what_was_not(company: Company) -> None:
    company.hand_over("part-1", categories=(NAME, FACE, PHONE))
    assert company.parts("part-1", erase=(FACE,)).keys() == {"DELETED"}
    assert company.knows("part-1")
    assert company.parts("part-1", erase=(NAME, PHONE))["DELETED"]["count"] == 1
    assert not company.knows("part-1")


def test_what_is_to_be_preserved_is_preserved_and_said_to_be(company: Company) -> None:
    company.hand_over("hold-1")
    parts = company.parts("hold-1", erase=(NAME,), preserve=[FACE])
    assert (parts["DELETED"]["categories"], parts["HELD_DISPUTE"]["categories"]) == ([NAME], [FACE])
    parts = company.parts("hold-1", erase=(), preserve=[FACE], instruction="preserve")
    assert parts.keys() == {"HELD_DISPUTE"} and company.knows("hold-1")


def test_who_knew_nobody_says_so(company: Company) -> None:
    assert company.parts("nobody") == {"NOTHING_HELD": {"code": "NOTHING_HELD", "categories": [NAME, FACE]}}


def test_a_number_finds_whoever_it_was_handed_over_with(company: Company) -> None:
    company.hand_over("sms-1", body="emay", categories=(PHONE,), value="13900000001", days_ago=300)
    company.hand_over("sms-2", body="emay", categories=(PHONE,), value="13900000002", days_ago=300)
    request = asked(body="emay", erase=(PHONE,), identities=[{"category": PHONE, "value": "13900000001"}])
    del request["subject_identities"]
    assert company.call("POST", "requests", request, body="emay").status_code == 201
    company.status(request["subject_request_id"], "emay")
    assert not company.knows("sms-1", "emay") and company.knows("sms-2", "emay")


@pytest.mark.parametrize("body", ["sensetime", "juhe"])  # RSA and ECDSA
def test_every_answer_is_signed_and_a_changed_one_is_not(company: Company, body: str) -> None:
    certificate = company.certificate(body)
    rid = str(uuid.uuid4())
    for answer in (
        company.ask("x", rid=rid, body=body), company.call("GET", f"requests/{rid}", body=body),
        company.call("POST", "requests", {}, body=body), company.call("GET", "people/x", body=body),
        company.call("GET", "people/x", body=body, token="wrong"),
    ):  # fmt: skip
        verify(certificate, answer.headers, answer.content)
        with pytest.raises(InvalidSignature):
            verify(certificate, answer.headers, answer.content + b" ")


def test_without_its_own_token_nobody_is_heard(company: Company) -> None:
    company.hand_over("secret-1")
    rid = str(uuid.uuid4())
    for token in (None, "wrong", "token-of-juhe"):
        refused = [
            company.call("POST", "requests", asked("secret-1", rid=rid), token=token),
            company.call("GET", f"requests/{rid}", token=token),
            company.call("DELETE", f"requests/{rid}", token=token),
            company.call("GET", "people/secret-1", token=token),
            company.call("POST", "register", {"ref": "r", "categories": [NAME]}, token=token),
        ]
        assert {r.status_code for r in refused} == {401}
        assert refused[0].headers["WWW-Authenticate"] == "Bearer"
    assert company.knows("secret-1")


def test_the_same_request_again_is_the_same_request_and_acted_on_once(company: Company) -> None:
    company.hand_over("once-1")
    rid = str(uuid.uuid4())
    first = company.ask("once-1", rid=rid).json()
    assert company.status(rid)["results_count"] == 1
    company.hand_over("once-1")  # a customer again, under the same number
    again = company.ask("once-1", rid=rid, reminder=True).json()
    assert company.status(rid)["results_count"] == 1
    same = ("received_time", "expected_completion_time", "controller_id")
    assert {k: first[k] for k in same} == {k: again[k] for k in same}
    assert company.outside.book.seen(BODY, rid) == Seen("completed", arrivals=2, acts=1)
    assert company.knows("once-1"), "what was asked before does not reach what came after"


def test_what_is_pending_can_be_cancelled_and_then_nothing_is_done(company: Company) -> None:
    company.behave(Manner.SLOW, seconds=3600)
    company.hand_over("txn-9")
    with Ear() as ear:
        rid = company.ask("txn-9", callbacks=(ear.url,)).json()["subject_request_id"]
        assert company.status(rid)["request_status"] == "pending"
        cancelled = company.call("DELETE", f"requests/{rid}")
        assert cancelled.status_code == 202
        assert cancelled.json().keys() >= {"controller_id", "subject_request_id", "received_time"}
        assert company.status(rid)["request_status"] == "cancelled"
        assert company.call("DELETE", f"requests/{rid}").status_code == 202, "again is once"
        assert ear.hears(1)[0].said["request_status"] == "cancelled"
    assert company.knows("txn-9")
    assert company.outside.book.seen(BODY, rid) == Seen("cancelled", arrivals=1, acts=0)


def test_what_is_completed_cannot_be_cancelled(company: Company) -> None:
    rid = company.ask("txn-1").json()["subject_request_id"]
    answer = company.call("DELETE", f"requests/{rid}")
    assert answer.status_code == 400 and answer.json()["error"]["code"] == 400


def test_each_address_is_called_at_each_change_and_every_call_is_signed(company: Company) -> None:
    company.behave(Manner.SLOW, seconds=0.4)
    company.hand_over("txn-5")
    with Ear() as one, Ear() as other:
        urls = (f"{one.url}/a", f"{other.url}/b")
        rid = company.ask("txn-5", callbacks=urls).json()["subject_request_id"]
        for ear, url in zip((one, other), urls, strict=True):
            calls = ear.hears(2)
            assert [c.said["request_status"] for c in calls] == ["in_progress", "completed"]
            for call in calls:
                assert call.said["subject_request_id"] == rid
                assert call.said["status_callback_url"] == url and call.path == url[-2:]
                verify(company.certificate(), call.headers, call.raw)
            assert calls[-1].said["extensions"]["sensetime.example"]["answers"][0]["code"] == "DELETED"


def test_a_call_is_tried_again_until_it_is_heard_and_no_longer(company: Company) -> None:
    with Ear(503, 429) as ear, Ear(422) as refusing:
        company.ask("txn-6", callbacks=(ear.url, refusing.url))
        calls = ear.hears(3)
        assert len({c.raw for c in calls}) == 1, "the same call, signed again"
        company.outside.messenger.send()
        assert (len(ear.heard), len(refusing.heard)) == (3, 1)


def test_the_names_of_the_first_version_are_honoured(company: Company) -> None:
    request = asked("txn-7")
    answer = company.call("POST", "opengdpr_requests", request)
    assert answer.status_code == 201
    verify(company.certificate(), answer.headers, answer.content, "OpenGDPR")
    for name in ("opengdpr_requests", "status"):
        rid = request["subject_request_id"]
        assert company.call("GET", f"{name}/{rid}").json()["request_status"] == "completed"


@pytest.mark.parametrize(
    "wrong",
    [
        {"subject_request_id": "7"}, {"subject_request_id": "A7551968-D5D6-44B2-9831-815AC9017798"}, {"subject_request_id": None},
        {"subject_request_id": str(uuid.uuid1())}, {"subject_request_type": "access"}, {"submitted_time": None},
        {"submitted_time": "2026-11-24"}, {"submitted_time": "2026-11-24T02:00:00"}, {"subject_identities": []},
        {"subject_identities": [{"identity_type": "android_id", "identity_format": "raw", "identity_value": "canary"}]},
        {"subject_identities": [{"identity_type": "email", "identity_format": "md5", "identity_value": "canary"}]},
        {"subject_identities": ["canary"]}, {"subject_identities": "canary"}, {"regulation": "canary"},
        {"api_version": "3.0"}, {"status_callback_urls": ["http://canary.example/"]},
        {"status_callback_urls": "https://canary.example/"}, {"status_callback_urls": ["file:///canary"]},
        {"extensions": ["canary"]}, {"extensions": {"sensetime.example": {"erase": "canary"}}},
    ],
)  # fmt: skip
def test_a_bad_request_is_refused_in_words_that_quote_nothing_of_it(
    company: Company, wrong: dict[str, Any]
) -> None:
    company.hand_over("txn-8")
    answer = company.call("POST", "requests", asked("txn-8") | wrong)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] == 400 and error["message"] and error["errors"][0].keys() == {
        "domain", "reason", "message",
    }  # fmt: skip
    assert "canary" not in answer.text
    assert company.knows("txn-8")


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff", b"x" * (MAX_BODY + 1), b"[" * 20_000])
def test_a_body_that_is_no_json_object_is_refused(company: Company, raw: bytes) -> None:
    assert company.call("POST", "requests", raw=raw).status_code == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "nothing"), ("GET", "requests/a7551968-d5d6-44b2-9831-815ac9017798"), ("DELETE", "requests/x"),
     ("GET", "people/unknown"), ("POST", "discovery"), ("GET", "requests"), ("GET", "people/a/b"), ("PUT", "requests")],
)  # fmt: skip
def test_what_is_not_there_is_404(company: Company, method: str, path: str) -> None:
    assert company.call(method, path, {}).status_code == 404
    assert requests.get(
        f"{company.outside.url}/nobody/v2/discovery", timeout=5,
        verify=str(company.outside.authority.certificate),
    ).status_code == 404  # fmt: skip


def test_people_are_registered_over_https_too(company: Company) -> None:
    assert company.call("POST", "register", {"ref": "new-1", "categories": [NAME]}).status_code == 201
    assert company.call("GET", "people/new-1").json() == {"known": True}
    for wrong in (
        {"ref": "a b"},
        {"ref": "x" * 129},
        {"ref": 7},
        {},
        {"ref": "ok-1"},
        {"ref": "ok-1", "categories": []},
    ):
        assert company.call("POST", "register", wrong).status_code == 400


def test_who_does_not_trust_the_authority_gets_no_connection(company: Company) -> None:
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(company.url("discovery"), timeout=5)


def test_a_client_that_says_nothing_keeps_nobody_else_waiting(company: Company) -> None:
    port = int(company.outside.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)):
        assert company.call("GET", "discovery").status_code == 200


def test_the_server_is_who_it_says_by_each_of_its_names(company: Company) -> None:
    port = int(company.outside.url.rpartition(":")[2])
    context = ssl.create_default_context(cafile=company.outside.authority.certificate)
    for name in ("localhost", "127.0.0.1"):
        with (
            socket.create_connection(("127.0.0.1", port)) as plain,
            context.wrap_socket(plain, server_hostname=name) as secured,
        ):
            assert secured.version() == "TLSv1.3"
