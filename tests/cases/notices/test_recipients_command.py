"""``quietus recipients``: what each recipient's word was worth, and the people by whom it is tested."""

# ruff: noqa: F811  fixtures of another file
from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from include.cases import book
from include.cases.notices import truth
from include.commands import _common as common
from include.commands import recipients
from include.model.errors import Refused
from tests.cases.notices.test_synthetic import Knowing, body, keys, said_deleted, told_and_gone, w  # noqa: F401
from tests.cases.small import LI, TODAY, WANG, World
from tests.cases.test_verbs import on

pytestmark = pytest.mark.postgres


@pytest.fixture(autouse=True)
def wired(w: World, reader: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common, "desk", lambda: w.desk)
    monkeypatch.setattr(common, "reader", lambda: book.connect(reader))
    monkeypatch.setattr(common, "today", lambda: TODAY)


def run(*arguments: str, input: str | None = None) -> str:
    result = CliRunner().invoke(recipients.app, list(arguments), input=input, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def refused(*arguments: str, input: str | None = None) -> str:
    with pytest.raises(Refused) as said:
        CliRunner().invoke(recipients.app, list(arguments), input=input, catch_exceptions=False)
    return str(said.value)


def test_one_is_added_by_a_hidden_prompt_listed_and_opened_like_anybodys(w: World) -> None:
    said = run("synthetic", "add", "--at", "sms=seed-1", "--at", "post=p-1", input=f"{LI}\n")
    assert "SYN-000001: 2 new numbers" in said and "cannot be asked" in said and "post" in said
    assert LI not in said and "seed-1" not in said
    (one,) = json.loads(run("synthetic", "list", "--json"))
    assert (one["name"], one["recipients"], one["case_no"]) == ("SYN-000001", ["post", "sms"], None)
    opened = run("synthetic", "open", "SYN-000001")
    assert "CASE-000001" in opened and LI not in opened
    with w.desk.book() as conn:
        case = book.case(conn, "CASE-000001")
    assert (case.state.value, case.requester.value, case.kind) == ("received", "self", book.REQUEST)
    assert "was open already" in run("synthetic", "open", "SYN-000001")
    assert "CASE-000001" in run("synthetic", "list") and "is evidence" in refused(
        "synthetic", "remove", "SYN-000001"
    )


def test_one_that_was_a_mistake_is_removed() -> None:
    run("synthetic", "add", "--at", "sms=seed-1", input=f"{LI}\n")
    assert "SYN-000001 is forgotten" in run("synthetic", "remove", "SYN-000001")
    assert json.loads(run("synthetic", "list", "--json")) == []


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["add"], "registered with nobody"),
        (["add", "--at", "sms"], "does not say which number"),
        (["add", "--at", "sms="], "no number of a recipient"),
        (["open", "SYN-000009"], "no such synthetic person"),
        (["remove", "CASE-000001"], "no such synthetic person"),
    ],
    ids=["nobody", "no number", "empty", "open", "remove"],
)
def test_nonsense_is_refused_plainly(arguments: list[str], why: str) -> None:
    assert why in refused("synthetic", *arguments, input=f"{WANG}\n")


def test_each_recipient_is_listed_with_how_true_its_word_was(w: World, body: Knowing) -> None:
    run("synthetic", "add", "--at", "sms=seed-1", input=f"{LI}\n")
    told_and_gone(w)
    body.people = set()
    truth.look_again(w.desk, "sms", **on())
    shown = " ".join(run("list").split())
    assert "recipient told rate median p95 open silent truthfulness codes" in shown
    assert "sms 1 100% 0.0 d 0.0 d 0 0 verified 1 of 1 DELETED 1" in shown
    (sms,) = json.loads(run("list", "--json"))
    assert (sms["recipient"], sms["words"], sms["verified"], sms["caught"]) == ("sms", 1, 1, 0)
    assert sms["answer_rate"] == "1.000" and float(sms["median_days"]) == float(sms["p95_days"])
