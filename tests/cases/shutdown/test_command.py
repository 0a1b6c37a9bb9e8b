"""``quietus shutdown`` on the command line: what it says, and with which status it ends."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner, Result

from include.cases import book
from include.commands import _common as common
from include.commands import shutdown as command
from include.model.errors import NotProved, Refused
from tests.cases.retention.house import DAY as NOW
from tests.cases.retention.house import House
from tests.cases.shutdown.test_closing import INSERT, company, gatekeeper

pytestmark = pytest.mark.postgres
__all__ = ["gatekeeper"]  # a fixture


@pytest.fixture
def today(house: House, reader: str, monkeypatch: pytest.MonkeyPatch) -> list[date]:
    days = [NOW]
    monkeypatch.setattr(common, "desk", lambda: house.desk)
    monkeypatch.setattr(common, "reader", lambda: book.connect(reader))
    monkeypatch.setattr(common, "today", lambda: days[0])
    return days


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command.app, list(arguments), catch_exceptions=False)


@pytest.fixture
def paper(tmp_path: Path) -> tuple[str, ...]:
    (tmp_path / "paper.pdf").write_bytes(b"paper")
    return ("--document", "BR-1", "--file", str(tmp_path / "paper.pdf"))


def approved(house: House) -> None:
    """By both, each logged in as himself."""
    for user, said in (("zhao", "waits for the approval of board"), ("qian", "approved by both")):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(common, "me", lambda role, user=user: f"{role}/{user}")
            assert said in run("approve", "SO-000001").output
    with pytest.raises(Refused, match="not one of the two"):
        run("approve", "SO-000001")


def test_an_order_from_its_opening_to_its_withdrawal(
    house: House, today: list[date], paper: tuple[str, ...]
) -> None:
    opening = (
        "open", "--t0", "2027-03-04", "--reason", "given up", "--approver", "legal/zhao", "--approver", "board/qian",
        "--ministry-asked", "2026-11-24", *paper,
    )  # fmt: skip
    assert run(*opening).output.splitlines()[0] == "SO-000001"
    approved(house)
    with pytest.raises(Refused, match="SO-000001: an order is in force already"):
        run(*opening)
    for gate in ("notified", "reported", "announced"):
        assert f"{gate} is recorded; T0 is 2027-03-04" in run("gate", "SO-000001", gate, *paper).output
    previewed = run("preview", "SO-000001")
    assert previewed.exit_code == 1
    for line in ("u.visit", "transfer", "106", "no_custodian", "raw biometrics"):
        assert line in previewed.output
    assert json.loads(run("preview", "SO-000001", "--json").output)["totals"]["transferred"] == 60
    shown = run("show", "SO-000001")
    assert shown.exit_code == 0 and "takes over: whom the ministry arranges" in shown.output
    with pytest.raises(Refused, match="has not come"):
        run("close-collection", "SO-000001", *paper)
    today[0] = NOW + timedelta(days=101)
    late = run("show", "SO-000001")
    assert late.exit_code == 1 and "ALARM SO-000001: closed was due on 2027-03-04" in late.output
    assert "SO-000001: passed" in run("close-collection", "SO-000001", *paper).output
    company(house, INSERT)
    with pytest.raises(NotProved, match=r"u\.visit grew by 1"):
        run("close-collection", "SO-000001", *paper)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        company(house, INSERT.replace("99", "98"), "shop_app")
    run("withdraw", "SO-000001", *paper)
    company(house, INSERT.replace("99", "98"), "shop_app")
    assert "withdrawn" in run("list").output


def test_t0_moves_and_a_successor_is_named(
    house: House, today: list[date], paper: tuple[str, ...], tmp_path: Path
) -> None:
    run(
        "open", "--t0", "2027-03-04", "--reason", "given up", "--approver", "legal/zhao", "--approver", "board/qian",
        "--ministry-asked", "2026-11-24", *paper,
    )  # fmt: skip
    approved(house)
    assert "T0 is 2027-06-01" in run("move", "SO-000001", "--t0", "2027-06-01", *paper).output
    (tmp_path / "no.pem").write_bytes(b"none")
    who = (
        "--name",
        "Example CA",
        "--contact",
        "office@example.com",
        "--certificate",
        str(tmp_path / "no.pem"),
    )
    with pytest.raises(Refused, match="no certificate that can be read"):
        run("successor", "SO-000001", *who, *paper)
    with pytest.raises(Refused, match="a name, a contact"):
        run("successor", "SO-000001", "--name", "Example CA", *paper)
    assert "kept by Archive" in run(
        "custodian", "SO-000001", "--name", "Archive", "--contact", "office", *paper
    ).output  # fmt: skip
