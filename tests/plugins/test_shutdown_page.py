"""The console's page of a shutdown order: what the book has, in both languages, and no hold for who may not know of one."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.api_fastapi.core_api.security import get_user
from psycopg.types.json import Jsonb
from quietus_console import shutdown_pages
from quietus_console.console import console
from quietus_console.words import SHUTDOWNS
from starlette.testclient import TestClient

from include.cases.keys import FileKeyStore
from include.cases.shutdown import orders
from include.cases.shutdown import preview as previews
from include.cases.shutdown.dates import Gate
from include.cases.shutdown.preview import Line, Preview
from include.model.words import Role
from tests.cases.shutdown.test_orders import NEXT, PAPER, TODAY, TOLD
from tests.cases.small import World, world

pytestmark = pytest.mark.postgres
DAY = timedelta(days=1)
Browser = Callable[..., Any]


class Places:
    def __init__(self, conninfo: str) -> None:
        self.conninfo = conninfo

    def postgres(self, connection: str, role: Role) -> str:
        assert (connection, role) == ("records", Role.READER)
        return self.conninfo


@pytest.fixture
def browser(reader: str, monkeypatch: pytest.MonkeyPatch) -> Browser:
    monkeypatch.setattr(shutdown_pages, "AirflowConnections", lambda: Places(reader))
    monkeypatch.setattr(shutdown_pages, "prc_date", lambda _: TODAY + 20 * DAY)
    (allowed,) = (d.dependency for d in console.router.dependencies)
    assert allowed is not None

    def see(path: str, role: str = "VIEWER", lang: str = "en") -> Any:
        overrides = {allowed: lambda: None, get_user: lambda: SimpleNamespace(role=role)}
        monkeypatch.setattr(console, "dependency_overrides", overrides)
        return TestClient(console, raise_server_exceptions=False).get(path, params={"lang": lang})

    return see


@pytest.fixture
def w(writer: str, tmp_path: Path) -> World:
    return world(writer, FileKeyStore(tmp_path / "keys", b"k" * 32))


LINES = (
    Line(
        "ra.application", "transfer", "RS-03/main", "ESL 24", 4711, 3, "Example CA Co", TODAY, TODAY + DAY, 12
    ),
    Line("account.person", "erase", "RS-01/main", "policy 5.6(3)", 5, 0, None, None, None, 0),
    Line("account.person", "hold", "RS-01/main", "policy 5.2", 2, 2, previews.NOBODY, None, None, 0),
)


def filled(w: World, owner: str) -> str:
    number = orders.open_order(w.desk, replace(TOLD, custodian=None), as_of=TODAY, actor="legal/zhao")
    late = TODAY + 15 * DAY
    orders.pass_gate(w.desk, number, Gate.NOTIFIED, on=late, paper=PAPER, as_of=late, actor="legal/zhao")
    with w.desk.book() as conn:
        of = orders.order(conn, number)
        found = Preview(
            number, TODAY, of.t0, LINES, ({"id": "sms", "name": "Short Messages"},), (), {"usage.log": "down"}
        )
        with conn.transaction():
            conn.execute(
                "INSERT INTO casebook.shutdown_preview (number, as_of, body) VALUES (%s, %s, %s)",
                (number, TODAY, Jsonb(found.body())),
            )
    return number


def test_the_page_has_what_the_book_has(browser: Browser, w: World, database: str) -> None:
    number = filled(w, database)
    answer = browser(f"/shutdown/{number}")
    assert answer.status_code == 200 and answer.headers["Cache-Control"] == "no-store"
    text = unescape(answer.text)
    for told in (
        number, "Example CA Co", NEXT.contact, "2027-03-09", "(announced 2027-03-04)", "4,711", "12 not started",
        "5 erased", "2 held", "Short Messages", "usage.log: down", "BR-2026-009", "nobody is named yet",
        "T0 moved: 2027-03-04 → 2027-03-09", "not before 2027-03-09",
    ):  # fmt: skip
        assert told in text, told
    chinese = browser(f"/shutdown/{number}", lang="zh").text
    assert "通知有关各方" in chinese and "移交承接方" in chinese
    assert number in browser("/shutdown").text


def test_who_is_no_auditor_reads_of_no_hold(browser: Browser, w: World, database: str) -> None:
    number = filled(w, database)
    text = browser(f"/shutdown/{number}", role="USER").text
    assert "all datasets" in text and "account.person" in text  # what is erased is told as it is
    assert "held" not in text and "policy 5.2" not in text and "2 retained" in unescape(text)


RETAINED = Line("billing.invoice", "retain", "RS-17/tax", "tax", 2, 0, "Archive Co", TODAY, TODAY + DAY, 0)
ON_T0 = replace(LINES[0], held=0, first=TODAY + 5 * DAY)
"""Of a preview for T0 in five days: one transferred item's last day is T0."""


@pytest.mark.parametrize(
    ("held", "free"),
    [
        (
            (replace(LINES[2], custodian="Archive Co"), RETAINED),
            (replace(RETAINED, items=4),),
        ),  # a line of its own, without a law
        ((replace(RETAINED, items=4, held=4),), (replace(RETAINED, items=4),)),
        (
            (replace(LINES[0], last=TODAY + 9 * DAY),),
            (replace(ON_T0, last=TODAY + 9 * DAY),),
        ),  # only a hold keeps it
    ],
)
def test_held_or_not_the_same_is_read(held: tuple[Line, ...], free: tuple[Line, ...]) -> None:
    told = [
        previews.without_holds(Preview("SO-000001", TODAY, TODAY + 5 * DAY, lines, (), (), {}).body())
        for lines in (held, free)
    ]
    assert told[0] == told[1] and "hold" not in str(told)


def test_an_overdue_gate_is_red_and_no_order_is_said(
    browser: Browser, w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "none" in browser("/shutdown").text
    number = orders.open_order(w.desk, TOLD, as_of=TODAY, actor="legal/zhao")
    assert f"{number}: notified was due on 2026-12-04" in browser("/shutdown").text
    assert "overdue" in browser(f"/shutdown/{number}").text
    assert browser("/shutdown/SO-000099").status_code == 404
    assert browser("/shutdown/x13812345678").status_code == 422


def test_every_event_has_a_word() -> None:
    source = "".join(
        (Path(orders.__file__).parent / f"{m}.py").read_text("utf-8")
        for m in ("orders", "closing", "consigning")
    )
    said = set(re.findall(r"""say\(\s*desk, conn, number, "([^"]+)\"""", source))
    assert len(said) >= 9 and said <= SHUTDOWNS.keys()
