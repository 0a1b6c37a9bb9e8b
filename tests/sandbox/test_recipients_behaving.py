"""Every way in which a body can behave: how it talks, and what it does and answers."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import date, timedelta

import pytest
import requests
from cryptography.exceptions import InvalidSignature

from include.model.errors import Refused
from include.sandbox.recipients.bodies import Door, Manner, Stance, bodies, way
from include.sandbox.recipients.book import Seen
from include.sandbox.recipients.deeds import months_after
from include.sandbox.recipients.truth import truth
from tests.sandbox.outside import BODY, FACE, NAME, PHONE, Company, Ear, asked, verify


@pytest.fixture(autouse=True)
def as_ever(company: Company) -> Iterator[None]:
    yield
    for body in bodies():
        company.outside.world.behave(body)


# --- how it talks -------------------------------------------------------------------------------


def test_a_slow_one_is_pending_then_at_work_then_done(company: Company) -> None:
    company.behave(Manner.SLOW, seconds=2)
    company.hand_over("slow-1")
    rid = company.ask("slow-1").json()["subject_request_id"]
    seen = [company.status(rid)["request_status"]]
    while seen[-1] != "completed":
        known = company.knows("slow-1")  # first: it may come to its end between the two questions
        if (said := company.status(rid)["request_status"]) != seen[-1]:
            seen.append(said)
        assert known or said == "completed"
    assert seen == ["pending", "in_progress", "completed"]


def test_a_silent_one_takes_it_and_never_ends(company: Company) -> None:
    company.behave(Manner.SILENT)
    company.hand_over("silent-1")
    rid = company.ask("silent-1").json()["subject_request_id"]
    company.outside.book.carry_on()
    assert company.status(rid)["request_status"] == "pending" and company.knows("silent-1")
    company.behave(Manner.PROMPT)
    assert company.status(rid)["request_status"] == "completed", "what it put off is done once it talks again"


def test_a_flaky_one_fails_every_other_time_in_three_ways_and_has_acted_once(company: Company) -> None:
    company.behave(Manner.FLAKY)
    company.hand_over("flaky-1")
    rid, seen = str(uuid.uuid4()), list[object]()
    for _ in range(6):
        try:
            answer = company.ask("flaky-1", rid=rid)
        except requests.ConnectionError:
            seen.append("reset")
        else:
            seen.append(answer.status_code)
            if answer.status_code == 429:
                assert answer.headers["Retry-After"] == "1"
    assert seen == [503, 201, 429, 201, "reset", 201]
    company.outside.book.carry_on()
    assert company.outside.book.seen(BODY, rid) == Seen("completed", arrivals=4, acts=1), (
        "it had understood before it hung up"
    )


def test_a_flaky_one_fails_by_kind_of_call_so_that_two_steps_come_through(company: Company) -> None:
    company.behave(Manner.FLAKY, body="jinshi")
    tried = [
        company.call(method, path, body="jinshi").status_code
        for method, path in (
            ("GET", "discovery"),
            ("GET", "discovery"),
            ("GET", "people/x"),
            ("GET", "people/x"),
        )
    ]
    assert tried == [503, 200, 503, 404]


@pytest.mark.parametrize("manner", [Manner.WRONGLY_SIGNED, Manner.UNSIGNED])
def test_a_signature_that_is_wrong_or_missing_is_so_on_answers_and_on_calls(
    company: Company, manner: Manner
) -> None:
    company.behave(manner)
    with Ear() as ear:
        answer = company.ask("txn", callbacks=(ear.url,))
        call = ear.hears(1)[0]
    for headers, said in ((answer.headers, answer.content), (call.headers, call.raw)):
        with pytest.raises(KeyError if manner is Manner.UNSIGNED else InvalidSignature):
            verify(company.certificate(), headers, said)


def test_one_that_hangs_up_in_the_middle_has_understood_and_still_calls_back(company: Company) -> None:
    company.behave(Manner.CLOSING)
    company.hand_over("closing-1")
    rid = str(uuid.uuid4())
    with Ear() as ear:
        with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.ConnectionError)):
            company.ask("closing-1", rid=rid, callbacks=(ear.url,))
        assert ear.hears(1)[0].said["request_status"] == "completed"
    assert company.outside.book.seen(BODY, rid) == Seen("completed", arrivals=1, acts=1)


def test_one_that_redirects_sees_whether_it_is_followed(company: Company) -> None:
    company.behave(Manner.REDIRECTING)
    company.hand_over("redirect-1")
    answer = company.ask("redirect-1")
    assert answer.status_code == 307 and company.knows("redirect-1")
    assert company.outside.world.calls(BODY, "POST elsewhere") == 0
    company.call("POST", answer.headers["Location"].rpartition("/")[2], {})
    assert company.outside.world.calls(BODY, "POST elsewhere") == 1


def test_one_that_shows_a_page_for_people_has_understood_nothing(company: Company) -> None:
    company.behave(Manner.HTML)
    company.hand_over("html-1")
    answer = company.ask("html-1")
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/html")
    company.outside.book.carry_on()
    assert company.knows("html-1")


# --- what it does and answers -------------------------------------------------------------------


def test_one_that_erases_answers_for_what_it_was_really_given(company: Company) -> None:
    company.hand_over("a-1", categories=(NAME,))
    part = company.parts("a-1", erase=(NAME,))["DELETED"]
    assert (part["count"], part["categories"], part["transactions"]) == (1, [NAME], ["a-1"])
    assert not company.knows("a-1")


def test_one_that_keeps_by_law_says_which_and_until_when_and_deletes_the_rest(company: Company) -> None:
    company.behave(body="chinaums")
    company.hand_over("r-1", body="chinaums", categories=(NAME, PHONE), days_ago=30)
    parts = company.parts("r-1", body="chinaums", erase=(NAME, PHONE))
    assert parts["DELETED"]["categories"] == [PHONE]
    sent = company.outside.world.today - timedelta(days=30)
    assert parts["RETAINED_BY_LAW"] == {
        "code": "RETAINED_BY_LAW", "categories": [NAME], "article": "反洗钱法 34",
        "until": months_after(sent, 120).isoformat(),
    }  # fmt: skip
    assert company.knows("r-1", "chinaums")


def test_what_a_law_kept_goes_when_its_date_has_come(company: Company) -> None:
    company.hand_over("log-old", body="emay", categories=(PHONE,), days_ago=200)
    assert company.parts("log-old", body="emay", erase=(PHONE,)).keys() == {"DELETED"}
    company.hand_over("log-new", body="emay", categories=(PHONE,), days_ago=10)
    kept = company.parts("log-new", body="emay", erase=(PHONE,))["RETAINED_BY_LAW"]
    until = date.fromisoformat(kept["until"])
    company.outside.world.set_today(until - timedelta(days=1))
    assert company.parts("log-new", body="emay", erase=(PHONE,)).keys() == {"RETAINED_BY_LAW"}
    company.outside.world.set_today(until)
    assert company.parts("log-new", body="emay", erase=(PHONE,)).keys() == {"DELETED"}
    company.outside.world.set_today(date(2026, 1, 1))


@pytest.mark.parametrize(
    ("stance", "code", "evidence", "still_knows"),
    [
        (Stance.INDEPENDENT, "RETAINED_INDEPENDENT", {"authorisation"}, True),
        (Stance.CHAIN, "CANNOT_ERASE_IMMUTABLE", set(), True),
        (Stance.DISPUTING, "HELD_DISPUTE", {"dispute"}, True),
        (Stance.STRANGER, "REJECTED_IDENTITY", set(), True),
        (Stance.LYING, "DELETED", {"count", "at", "method", "transactions"}, True),
        (Stance.BARE, "DELETED", set(), False),
        (Stance.LAWLESS, "RETAINED_BY_LAW", set(), True),
    ],
)
def test_one_code_with_its_evidence_and_what_is_true(
    company: Company, stance: Stance, code: str, evidence: set[str], still_knows: bool
) -> None:
    company.behave(stance)
    ref = f"one-{stance}"
    company.hand_over(ref)
    parts = company.parts(ref)
    assert parts.keys() == {code}
    assert parts[code].keys() == {"code", "categories"} | evidence
    assert parts[code]["categories"] == [NAME, FACE]
    assert company.knows(ref) is still_knows
    assert company.call("GET", f"people/{ref}").status_code == (200 if still_knows else 404)


def test_a_partial_one_names_what_remains_and_has_it(company: Company) -> None:
    company.behave(Stance.PARTIAL)
    company.hand_over("p-1")
    parts = company.parts("p-1")
    assert (parts["DELETED"]["categories"], parts["PARTIAL"]["categories"]) == ([FACE], [NAME])
    assert parts["PARTIAL"]["remains"] and company.knows("p-1")


def test_one_that_passed_it_on_names_to_whom_and_whether_these_are_all(company: Company) -> None:
    for stance, code, complete in (
        (Stance.INCOMPLETE, "INCOMPLETE", False),
        (Stance.ERASING, "DELETED", True),
    ):
        company.behave(stance, body="fazhenglian")
        company.hand_over(f"f-{code}", body="fazhenglian")
        part = company.parts(f"f-{code}", body="fazhenglian")[code]
        assert (part["complete"], part["sub_recipients"]) == (complete, ["合作机构甲"])


def test_a_wordless_one_completes_and_answers_nothing(company: Company) -> None:
    company.behave(Stance.WORDLESS)
    company.hand_over("w-1")
    rid = company.ask("w-1").json()["subject_request_id"]
    status = company.status(rid)
    assert status["request_status"] == "completed" and "extensions" not in status


def test_the_truth_is_what_they_have_and_not_what_they_say(company: Company) -> None:
    somebody = "acc-truth"
    company.hand_over("t-1", "t-2", account=somebody)
    company.hand_over("t-1", body="juhe", account=somebody)
    company.hand_over("t-1", body="yuansu", account=somebody)
    company.behave(Stance.LYING, body="juhe")
    company.parts("t-1", "t-2")
    company.parts("t-1", body="juhe")
    found = {k.body: (k.given, k.still, k.categories, k.gone) for k in truth(company.outside.world, somebody)}
    assert found == {
        "sensetime": (2, 0, (), True), "juhe": (1, 1, (NAME, FACE), False), "yuansu": (1, 1, (NAME, FACE), False),
    }  # fmt: skip
    assert truth(company.outside.world, "acc-nobody") == ()


# --- choosing -----------------------------------------------------------------------------------


def test_what_is_not_named_is_as_ever(company: Company) -> None:
    world = company.outside.world
    how = world.behave("emay", Manner.SLOW, seconds=5)
    assert (how.door, how.manner, how.stance, how.seconds) == (Door.OPENDSR, Manner.SLOW, Stance.RETAINING, 5)
    how = world.behave("emay", Stance.LYING)
    assert (how.manner, how.stance) == (Manner.PROMPT, Stance.LYING)
    assert world.behave("emay").stance is Stance.RETAINING


def test_every_way_has_a_name_and_no_two_have_the_same() -> None:
    names = [*Manner, *Stance, *Door]
    assert len(names) == len(set(names))
    assert [way(name) for name in names] == names
    with pytest.raises(Refused, match="no such way"):
        way("friendly")


def test_nobody_else_can_be_made_to_behave(company: Company) -> None:
    with pytest.raises(Refused, match="no such body"):
        company.outside.world.behave("nobody", Manner.SLOW)


def test_by_default_each_answers_with_what_the_catalogue_expects_of_it(company: Company) -> None:
    from include.catalogue import load

    for recipient in load().recipients:
        body = recipient.id
        company.behave(body=body)
        company.hand_over(f"d-{body}", body=body, categories=recipient.categories)
        request = asked(f"d-{body}", body=body, erase=recipient.categories)
        assert company.call("POST", "requests", request, body=body).status_code == 201
        said = company.status(request["subject_request_id"], body)
        codes = {p["code"] for p in said["extensions"][bodies()[body].domain]["answers"]}
        assert codes <= set(recipient.expected), (body, codes)
        assert json.dumps(said)
