"""``quietus sandbox recipients``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from include.commands import _outside as command
from include.model.errors import Refused
from include.sandbox.recipients.bodies import Manner, Stance, bodies
from include.sandbox.recipients.post import Post
from include.sandbox.recipients.world import Record, World
from include.sandbox.stack import stack

RID = "a7551968-d5d6-44b2-9831-815ac9017798"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    home = tmp_path / "outside"
    monkeypatch.setattr(stack, "Stack", lambda: SimpleNamespace(exists=True, outside=home))
    made = World(home)
    made.register([Record("juhe", "ref-000001", "acc-1", ("PI-001",), made.today)])
    yield made
    made.close()


def run(*arguments: str, input: str | None = None) -> str:
    result = CliRunner().invoke(command.app, list(arguments), input=input, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_body_is_made_to_behave_and_to_behave_as_ever(world: World) -> None:
    assert "juhe: told by opendsr, talks slow, does lying" in run(
        "behave", "juhe", "slow", "lying", "--seconds", "5"
    )
    how = world.behaviour("juhe")
    assert (how.manner, how.stance, how.seconds) == (Manner.SLOW, Stance.LYING, 5)
    listed = run("list")
    assert all(body in listed for body in bodies())
    run("behave", "all", "silent")
    assert {world.behaviour(b).manner for b in bodies()} == {Manner.SILENT}
    run("behave", "all")
    assert world.behaviour("juhe").manner is Manner.PROMPT


def test_what_is_not_there_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments in (
        ("behave", "juhe", "friendly"), ("behave", "nobody"), ("answer", "7"), ("truth", "acc-nobody"),
        ("told", "nobody", "-"),
    ):  # fmt: skip
        with pytest.raises(Refused):
            CliRunner().invoke(command.app, list(arguments), input="x", catch_exceptions=False)
    monkeypatch.setattr(stack, "Stack", lambda: SimpleNamespace(exists=False))
    with pytest.raises(Refused, match="never started"):
        CliRunner().invoke(command.app, ["list"], catch_exceptions=False)


def test_a_letter_is_listed_without_its_text_answered_and_the_truth_shown(world: World) -> None:
    Post(world).keep(
        "chinaums", "us@company.example", f"Subject: x\n\nNo. {RID}, reference card-000001\n".encode()
    )
    assert RID in run("letters") and "card-000001" not in run("letters")
    assert "card-000001" in run("letters", "chinaums", "--text")
    assert "NOTHING_HELD" in run("answer", "1") and "(answered)" in run("letters")
    assert " 1 " in run("truth", "acc-1")
    assert "DELETED" in run("told", "juhe", "-", input=f"No. {RID}, reference ref-000001")
    assert "nothing" in run("truth", "acc-1")


def test_the_bodies_day_can_be_set_ahead_and_never_back(world: World) -> None:
    assert "2031-01-01" in run("today", "2031-01-01")
    today = world.today
    assert "2001" not in run("today", "2001-01-01") and world.today < today
