"""Whoever answers for what could not be seen answers for what he was shown: every night looks again, and may see less."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from include.cases.shutdown import accepting, closing
from include.commands import shutdown as command
from include.model.errors import Refused
from include.model.shutdown import Looked
from tests.cases.shutdown.test_books import Stopped, stopped
from tests.cases.shutdown.test_closing import PAPER, T0, gatekeeper
from tests.cases.shutdown.test_command import today

pytestmark = pytest.mark.postgres
__all__ = ["gatekeeper", "stopped", "today"]  # fixtures


def looks(shop: Stopped, monkeypatch: pytest.MonkeyPatch, **unasked: str) -> int:
    """A look that cannot see these; its number."""
    monkeypatch.setattr(closing, "_look", lambda desk, of, store, picture: Looked(store.id, unasked=unasked))
    closing.prove(shop.house.desk, shop.number, as_of=T0, actor="system/airflow")
    with shop.house.desk.book() as conn:
        return accepting.shown(conn, shop.number).look


def accept(shop: Stopped, look: int) -> list[str]:
    return accepting.accept(
        shop.house.desk, shop.number, look=look, paper=PAPER, as_of=T0, actor="legal/zhao"
    )


def test_nobody_answers_for_a_place_that_he_was_not_shown(
    stopped: Stopped, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = looks(stopped, monkeypatch, papers="down")
    night = looks(stopped, monkeypatch, papers="down", photos="down")
    with pytest.raises(
        Refused, match=rf"look {shown} did not leave unseen.*: photos: down\. Next: .*look {night} "
    ):
        accept(stopped, shown)
    other = looks(stopped, monkeypatch, papers="no answer")
    with pytest.raises(Refused, match=r"did not leave unseen.*papers: no answer"):
        accept(stopped, shown)  # the same place, for another reason
    with stopped.house.desk.book() as conn:
        assert accepting.open_places(conn, stopped.number) == ["papers"]
    with pytest.raises(Refused, match="is no look at this order's collection"):
        accept(stopped, 10**6)
    assert accept(stopped, other) == ["papers"]
    assert looks(stopped, monkeypatch) > other
    with pytest.raises(Refused, match="nothing unseen that nobody answers for"):
        accept(stopped, other)
    # A place that was seen since is answered for by nobody: what is left was shown.
    both = looks(stopped, monkeypatch, papers="down", photos="down")
    looks(stopped, monkeypatch, photos="down")
    assert accept(stopped, both) == ["photos"]


def test_the_command_shows_it_first_and_answers_for_that_look(
    stopped: Stopped, monkeypatch: pytest.MonkeyPatch, today: list[Any], tmp_path: Path
) -> None:
    today[0] = T0
    paper = tmp_path / "scan.pdf"
    paper.write_bytes(b"signed")

    def run(*words: str) -> Any:
        return CliRunner().invoke(command.app, ["accept-unverified", stopped.number, *words])

    look = looks(stopped, monkeypatch, papers="down")
    signed = ("--document", "BR-9", "--file", str(paper))
    for words in ((), signed):
        shown = run(*words)
        assert shown.exit_code == 1 and "not seen papers: down" in shown.output
        assert f"--look {look}" in shown.output
    looks(stopped, monkeypatch, papers="down", photos="down")
    assert isinstance(run(*signed, "--look", str(look)).exception, Refused)
    done = run(*signed, "--look", str(look + 1))
    assert (
        done.exit_code == 0 and "answered for papers" in done.output and "answered for photos" in done.output
    )
    assert run().exit_code == 0
