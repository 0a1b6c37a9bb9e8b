"""The command line on cases, over the reader role where it only reads."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from include.cases import book, verbs
from include.cases.keys import FileKeyStore
from include.commands import case as command
from tests.cases.small import LI, TODAY, World, catalogue, world
from tests.cases.test_verbs import approved, carried_out, hold, on, proved, verified

pytestmark = pytest.mark.postgres


@pytest.fixture
def w(writer: str, reader: str, tmp_path, monkeypatch) -> World:
    made = world(writer, FileKeyStore(tmp_path / "keys", b"k" * 32))
    monkeypatch.setattr(command, "_desk", lambda: made.desk)
    monkeypatch.setattr(command, "_catalogue", catalogue)
    monkeypatch.setattr(command, "_reader", lambda: book.connect(reader))
    monkeypatch.setattr(command, "_today", lambda: TODAY)
    return made


def run(*arguments: str, input: str | None = None) -> str:
    result = CliRunner().invoke(command.app, list(arguments), input=input, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


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
    shown = run("show", case_no, "--units")
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
