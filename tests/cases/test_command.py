"""The command line on cases, over the reader role where it only reads."""

from __future__ import annotations

import json
import os
import pwd
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from include.cases import book, verbs
from include.cases.discretion import EVERYTHING, discretion
from include.cases.keys import FileKeyStore
from include.cases.notices import outbox
from include.commands import _common as common
from include.commands import case as command
from include.model.errors import Drifted, Refused
from include.model.times import observed_now, prc_date
from include.model.words import CaseState
from tests.cases.small import LI, TODAY, Row, World, catalogue, world
from tests.cases.test_verbs import BOSS, approved, carried_out, hold, issued, on, proved, rested, verified

pytestmark = pytest.mark.postgres


@pytest.fixture
def w(writer: str, reader: str, tmp_path, monkeypatch) -> World:
    made = world(writer, FileKeyStore(tmp_path / "keys", b"k" * 32))
    monkeypatch.setattr(common, "desk", lambda: made.desk)
    monkeypatch.setattr(common, "catalogue", catalogue)
    monkeypatch.setattr(common, "reader", lambda: book.connect(reader))
    monkeypatch.setattr(common, "today", lambda: TODAY)
    return made


def run(*arguments: str, input: str | None = None) -> str:
    result = CliRunner().invoke(command.app, list(arguments), input=input, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def refused(*arguments: str) -> str:
    with pytest.raises(Refused) as said:
        CliRunner().invoke(command.app, list(arguments), catch_exceptions=False)
    return str(said.value)


def test_a_case_is_opened_by_a_hidden_prompt_and_joined_the_second_time(w: World) -> None:
    first, second = run("open", input=f"{LI}\n"), run("open", "--channel", "phone", input=f"{LI}\n")
    assert "CASE-000001" in first and "joined" in second
    assert LI not in first + second


def test_a_case_is_shown_planned_and_explained_by_the_reader_without_a_personal_value(w: World) -> None:
    case_no = approved(w)
    carried_out(w, case_no)
    proved(w, case_no)
    verbs.open_backup_track(w.desk, case_no, **on())
    verbs.rest(w.desk, case_no, **on())
    shown = run("show", case_no, "--units", "--auditor")
    for word in (
        "waiting",
        "reply due 2026-12-24",
        "sms",
        "nightly",
        "approve by approver/wang",
        "restricted",
    ):
        assert word in shown
    assert "依法保存至 2029-06-30" in run("plan", case_no)
    assert "until 2029-06-30" in run("explain", case_no, "ra.application", "--lang", "en")
    gone = run("explain", case_no, "account.session", "--lang", "en")
    assert f"2 items were erased, on {prc_date(observed_now())}" in gone and "will be" not in gone
    assert (
        f"earliest lawful day: {TODAY} (no law keeps it); latest: {TODAY} is the last day (RS-02/main: PIPL 19)"
        in gone
    )
    kept = run("explain", case_no, "ra.application", "--lang", "en")
    assert "earliest lawful day: 2029-07-01 (RS-03: ESL 24); latest: 2029-06-30 is the last day" in kept
    assert json.loads(run("plan", case_no, "--json"))["case_no"] == case_no
    assert json.loads(run("list", "--json"))[0]["state"] == "waiting"
    assert "acct_" not in shown + run("plan", case_no) + run("list")


def test_holds_are_opened_listed_and_released(w: World) -> None:
    case_no = verified(w)
    number = run("hold", "open", "--basis", "court", "--document", "1", "--issuer", "b", "--law", "l",
                 "--case", case_no, "--dataset", "web.log").strip()  # fmt: skip
    assert number in run("hold", "list")
    assert "dataset web.log" in run("hold", "list", "--json")
    assert "no case was waiting" in run("hold", "release", number, "--document", "2")
    assert number not in run("hold", "list")
    assert number in run("hold", "list", "--released")
    hold(w, case_no)


def test_a_confidential_hold_is_told_to_an_auditor_only(w: World) -> None:
    """`explain` is what support reads to the person."""
    case_no = verified(w)
    number = hold(w, case_no, confidential=True)
    verbs.rehearse(w.desk, case_no, as_of=TODAY, actor="system/dag")
    for asked in ("plan", "explain"):
        assert number in run(asked, case_no, "--auditor")
        told = run(asked, case_no)
        assert number not in told and "policy 5.2(2)" not in told and "复核" in told


def test_what_comes_after_the_certificate_is_done_from_the_command_line(w: World, tmp_path) -> None:
    case_no = approved(w)
    assert rested(w, case_no) is CaseState.WAITING
    assert "nothing to hand over yet" in refused("told", case_no)
    issued(w, case_no)
    assert f"{case_no}: told; waiting" in run("told", case_no)
    run("sent", case_no, "sms")
    proof = tmp_path / "answer.pdf"
    proof.write_bytes(b"we deleted it")
    assert "tp_acked" in run("answer", case_no, "sms", "--code", "DELETED", "--proof", str(proof))
    assert "without its proof" in refused("answer", case_no, "vetting", "--code", "DELETED")
    kept = ("--code", "RETAINED_BY_LAW", "--article", "x", "--until", "2030-01-01", "--proof", str(proof))
    assert "tp_retained" in run("answer", case_no, "vetting", *kept)
    assert run("resume", case_no).strip() == f"{case_no}: waiting"
    assert "not every item, backup and recipient" in refused("close", case_no)
    assert "no way from waiting to reopened" in refused("reopen", case_no, "--because", "probe_hit")
    with w.desk.book() as conn:
        answered = {n["recipient"]: n["answer_code"] for n in outbox.listing(conn, case_no)}
    assert answered == {"sms": "DELETED", "vetting": "RETAINED_BY_LAW"}


def test_who_accepts_a_plan_is_whom_the_machine_knows_and_never_the_requester(w: World, monkeypatch) -> None:
    case_no = approved(w)
    w.main.rows["account.session"] |= {100 + n: Row(LI) for n in range(40)}
    with pytest.raises(Refused, match="goes beyond"):
        carried_out(w, case_no)
    plan = w.main_plan(case_no).fingerprint()
    monkeypatch.setenv("LOGNAME", "somebody-else")
    assert common.me("approver") == f"approver/{pwd.getpwuid(os.getuid()).pw_name}"
    monkeypatch.setattr(common, "me", lambda role: f"{role}/li")
    assert "the approver must be another person" in refused("accept", case_no, "--plan", plan, "--yes")
    monkeypatch.setattr(common, "me", lambda role: f"{role}/zhao")
    said = run("accept", case_no, "--plan", plan, input="y\n")
    assert "the word of zhao" in said and "li asked for the case" in said and "accepted" in said


def test_whoever_opens_a_hold_is_told_what_it_came_too_late_for(w: World) -> None:
    case_no = approved(w)
    said: list[str] = []
    order = ("hold", "open", "--basis", "court", "--document", "1", "--issuer", "b", "--law", "l", "--case")
    w.main.meanwhile["dispose"] = lambda: said.append(run(*order, case_no))
    with pytest.raises(Drifted):
        carried_out(w, case_no)
    assert f"{case_no}: something of it was being disposed of" in said[0]
    assert "disposed of" not in run(*order, case_no)


def test_a_confidential_hold_is_shown_to_auditors_alone(w: World) -> None:
    case_no = verified(w)
    number = hold(w, case_no, confidential=True)
    known = hold(w, case_no, datasets=frozenset({"web.log"}))
    verbs.rehearse(w.desk, case_no, **on())
    verbs.approve(w.desk, case_no, approver=BOSS, as_of=TODAY)
    carried_out(w, case_no)
    proved(w, case_no)
    assert rested(w, case_no) is CaseState.HELD
    verbs.release_hold(w.desk, known, document="2", **on())
    looks = (
        ("show", case_no), ("list",), ("list", "--json"), ("list", "--state", "waiting"), ("list", "--state", "held"),
        ("hold", "list", "--json"), ("plan", case_no), ("explain", case_no), ("resume", case_no),
    )  # fmt: skip
    for look in looks:
        said = run(*look)
        assert [word for word in (number, "held", "保全") if word in said] == [], look
    assert case_no in run("list", "--state", "waiting") and case_no not in run("list", "--state", "held")
    for look in (
        ("show", case_no),
        ("hold", "list"),
        ("plan", case_no),
        ("list", "--state", "held", "--json"),
    ):
        assert number in run(*look, "--auditor"), look
    assert "for auditors" in refused("show", case_no, "--units")


def test_the_list_says_what_a_late_case_is_late_with(w: World, monkeypatch) -> None:
    case_no = verified(w)
    assert json.loads(run("list", "--late", "--json")) == []
    monkeypatch.setattr(common, "today", lambda: TODAY + timedelta(days=40))
    (late,) = json.loads(run("list", "--late", "--json"))
    assert late["case"] == case_no and "has not been told" in late["late"]


def test_what_a_hold_comes_to_with_the_recipients_is_shown_and_of_a_confidential_one_to_auditors(
    w: World,
) -> None:
    case_no = approved(w)
    verbs.sent(w.desk, case_no, "sms", **on())
    verbs.record_answer(w.desk, case_no, "sms", code="DELETED", proof_digest="p", **on())
    number = hold(w, case_no, confidential=True)
    known = hold(w, case_no, categories=frozenset({"PI-001"}))
    gone = f"{case_no} sms: says that PI-001 is gone there already"
    assert gone in run("hold", "show", known)
    assert "told to preserve PI-028" in run("hold", "show", number, "--auditor")
    assert json.loads(run("hold", "show", known, "--json"))[0]["gone"] == ["PI-001"]
    assert "no such open hold" in refused("hold", "show", number) and "no such" in refused(
        "hold", "show", "HOLD-9"
    )
    explained = run("explain", case_no, "--lang", "en")
    assert f"sms: has no PI-001 any more: nothing of that is left there for {known}" in explained
    assert number not in explained and number in run("explain", case_no, "--auditor")
    verbs.release_hold(w.desk, known, document="2", **on())
    assert "any more" not in run("explain", case_no, "--lang", "en")
    with w.desk.book() as conn:
        rows = outbox.listing(conn, case_no)
        told = discretion(conn).notices(rows)
    assert {r["because"] for r in rows} == {"decision", "hold_opened"}
    assert {r["because"] for r in told} == {"decision", "changed"}
    assert {r["instruction"] for r in told} == {"erase", "told"} and not any(r["preserve"] for r in told)
    assert EVERYTHING.notices(rows) == rows
