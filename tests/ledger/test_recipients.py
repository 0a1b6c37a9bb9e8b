"""What a certificate says of those who were told: what each edition may tell, and what the verifier holds it to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.ledger import verify
from include.ledger.certificate import Draft, Edition, Told
from include.ledger.editions import person_content, recipients_for_person
from tests.ledger.making import KEY, Log, draft, payload, pem, sign

DAY = date(2026, 11, 1)
SENT = {"before_at": None, "observed_at": "2026-11-20T02:00:00+00:00", "as_of": "2026-11-20"}


def problems(made: dict[str, Any]) -> list[str]:
    return verify.verify(sign(made), pem(KEY)).problems


def asked_again(found: str, recipient: str = "vetting", notice: int = 1) -> tuple[Draft, Log]:
    """The case with one recheck and the figures of the day in the log."""
    book = Log.of()
    body = {"recipient": recipient, "round": notice, "found": found, "after": found == "caught", **SENT}
    recheck = book.add("recheck", body)
    figures = book.add("recipients", {"as_of": "2026-11-24", "recipients": []}, None)
    return draft(rechecks=(recheck,), figures=figures), book


def test_the_auditor_reads_where_everybody_stands_and_the_person_who_keeps_something_or_is_silent() -> None:
    auditor, person = payload(Edition.AUDITOR), payload(Edition.PERSON)
    assert [r["recipient"] for r in auditor["recipients"]] == [
        "vetting", "matcher", "agency", "court", "silent", "sms-gateway",
    ]  # fmt: skip
    told = {r["recipient"]: r for r in person["recipients"]}
    assert list(told) == ["matcher", "agency", "silent"]
    assert (told["matcher"]["law"], told["matcher"]["until"]) == ("CSL 23(3)", "2027-04-01")
    assert (told["agency"]["law"], told["agency"]["code"]) == ("a duty of its own", None)
    silent = told["silent"]
    assert (silent["outcome"], silent["stopped_on"], silent["code"]) == ("escalated", "2026-11-01", None)
    assert silent["told_on"] is None, "of further notices no day is told: one follows from a hold's release"
    for made in (auditor, person):
        report = verify.verify(sign(made), pem(KEY))
        assert report.ok, report.problems
        assert report.said["silent"] == "silent"
    assert "court" in verify.verify(sign(auditor), pem(KEY)).said["kept by recipients"]


def of_one(outcome: str, **more: Any) -> Told:
    law = "a duty of its own" if outcome == "retained" else ""
    return Told(**{"recipient": "r", "name": "R", "outcome": outcome, "round": 1, "law": law, **more})


told = st.builds(
    of_one,
    st.sampled_from(["gone", "caught", "retained", "unlinked", "escalated", "open"]),
    code=st.sampled_from([None, "DELETED", "RETAINED_BY_LAW", "HELD_DISPUTE", "RETAINED_INDEPENDENT", "NO_REPLY"]),
    round=st.integers(1, 3), recipient=st.sampled_from("abc"), told_on=st.sampled_from([DAY, DAY + timedelta(days=9)]),
)  # fmt: skip


@given(st.lists(told), st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 3))))
def test_a_confidential_hold_at_a_recipient_changes_nothing_that_the_person_reads(
    others: list[Told], held: list[tuple[str, int]]
) -> None:
    """Whoever preserves something for it, and whoever, without it, would have deleted, are told alike: not at all."""
    preserving = [
        of_one("retained", recipient=r, round=n, code="HELD_DISPUTE", preserved=True, told_on=DAY) for r, n in held
    ]  # fmt: skip
    deleted = [of_one("gone", recipient=r, round=n, code="DELETED", told_on=DAY) for r, n in held]
    one = draft(recipients=tuple(others + preserving))
    other = draft(recipients=tuple(others + deleted))
    assert recipients_for_person(one.recipients) == recipients_for_person(other.recipients)
    assert person_content(one) == person_content(other)
    for line in recipients_for_person(one.recipients):
        assert not line.preserved and line.round is None and line.code in (None, "RETAINED_BY_LAW")


def lie(change: Callable[[dict[str, Any]], Any], edition: Edition = Edition.AUDITOR) -> list[str]:
    """What the verifier says of an insider's forgery that is complete and in the log."""
    return problems(payload(edition, lie=change))


def nth(n: int, **said: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda p: p["recipients"][n].update(said)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (nth(1, law=" "), "matcher: keeps something, and names neither a law nor a duty"),
        (nth(1, until=None), "matcher: keeps something by law without a last day"),
        (nth(0, preserved=True), "vetting: preserves something, and does not keep it"),
        (nth(0, round=None), "vetting: does not say which notice it is about"),
        (nth(4, told_on=None), "silent: is escalated, and was never told"),
        (nth(0, outcome="forgiven"), "recipient 0 has an unknown outcome"),
        (nth(1, until="soon"), "until of recipient 1 is not a date"),
        (lambda p: p["recipients"].pop(5), "the recipients that are open are not those that the pending tracks name"),
        (nth(0, outcome="open"), "the recipients that are open are not those that the pending tracks name"),
        (lambda p: p.update(rechecks=[1]), "the rechecks given are not those of this case"),
        (lambda p: p.update(figures=1), "the ledger entry with the recipients' figures is not among the entries given"),
    ],
    ids=["no law", "no date", "gone and preserved", "no notice", "silent untold", "outcome", "no day", "open dropped",
         "open added", "rechecks", "figures"],
)  # fmt: skip
def test_what_the_auditor_cannot_be_told(change: Callable[[dict[str, Any]], Any], why: str) -> None:
    assert why in lie(change)


@pytest.mark.parametrize(
    "change",
    [nth(0, outcome="gone"), nth(0, preserved=True), nth(0, round=2)],
    ids=["gone", "preserved", "round"],
)
def test_what_the_person_may_not_be_told(change: Callable[[dict[str, Any]], Any]) -> None:
    assert "matcher: is in an edition that may not tell of it" in lie(change, Edition.PERSON)


def test_the_person_has_no_figures() -> None:
    said = lie(lambda p: p.update(figures=0), Edition.PERSON)
    assert "the person's edition holds figures that are the auditor's" in said


def test_a_recheck_and_the_days_figures_are_in_the_auditors_edition() -> None:
    of, book = asked_again("verified")
    made = payload(of=of, book=book)
    assert problems(made) == []
    assert {"recheck", "recipients"} <= {
        e["kind"] for e in verify.check_log(made, KEY.public_key(), []).values()
    }
    of, book = asked_again("verified")
    person = payload(Edition.PERSON, of=of, book=book)
    assert (problems(person), person["rechecks"], person["figures"]) == ([], [], None)


def test_whoever_was_caught_is_not_said_to_have_deleted() -> None:
    of, book = asked_again("caught")
    assert problems(payload(of=of, book=book)) == [
        "vetting: is said to have deleted, and was found to know the person still"
    ]
    of, book = asked_again("caught")
    lines = tuple(
        r.model_copy(update={"outcome": "caught"}) if r.recipient == "vetting" else r for r in of.recipients
    )
    report = verify.verify(sign(payload(of=of.model_copy(update={"recipients": lines}), book=book)), pem(KEY))
    assert (report.problems, report.said["CAUGHT"]) == ([], "vetting")
    of, book = asked_again("caught", notice=2)
    assert problems(payload(of=of, book=book)) == [], "the first notice is another word"


def test_a_recheck_cannot_be_left_out() -> None:
    of, book = asked_again("caught")
    made = payload(of=of, book=book)
    made["rechecks"] = []
    made["entries"] = [e for e in made["entries"] if e["index"] not in of.rechecks]
    assert "the rechecks given are not the rechecks of this case that the ledger recorded" in problems(made)
