"""The console's pages of data rooms: how each stands, in both languages, and no deal's name for who may not know of one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from html import unescape
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from airflow.api_fastapi.core_api.security import get_user
from quietus_console import dataroom_pages
from quietus_console.console import console
from starlette.testclient import TestClient

from tests.cases.shutdown.test_orders import TODAY
from tests.plugins.test_shutdown_page import Places

pytestmark = pytest.mark.postgres
DAY = timedelta(days=1)
Browser = Callable[..., Any]
ROOM = (
    "INSERT INTO casebook.data_room (number, deal, counterparty, purpose, document, digest, basis, approvers, certificate,"
    " statement_key, columns, opened_on, opened_by) VALUES (%s, 'Project Heron', 'Heron Capital', 'due diligence', %s,"
    " repeat('ab', 32), NULL, ARRAY['legal/wang', 'ceo/zhao'], 'c', 'k', '{\"u.visit\": [\"at\"]}', %s, 'legal/wang')"
)
BAG = (
    "INSERT INTO casebook.data_room_bag (number, dataset, items, left_out, sha256, bytes)"
    " VALUES (%s, 'u.visit', 4711, 3, repeat('cd', 32), 99)"
)
PUT = "INSERT INTO casebook.data_room_put (number, dataset, put) VALUES (%s, 'u.visit', %s)"
ENDED = "UPDATE casebook.data_room SET ended = 'dropped', ended_on = %s, ended_document = 'MIN-9', due_on = %s WHERE number = %s"
OVER = (
    "UPDATE casebook.data_room SET ours_gone_on = %s, said = 'destroyed', said_on = %s, said_envelope = 'signed'"
    " WHERE number = %s"
)
OPEN, BACK, LATE, DONE = (f"DR-00000{n}" for n in range(1, 5))
SECRETS = ("Project Heron", "Heron Capital", "due diligence", "NDA-", "legal/wang")


@pytest.fixture
def browser(reader: str, writer: str, monkeypatch: pytest.MonkeyPatch) -> Browser:
    with psycopg.connect(writer, autocommit=True) as conn:
        for n, number in enumerate((OPEN, BACK, LATE, DONE)):
            conn.execute(ROOM, (number, f"NDA-{n}", TODAY - 90 * DAY))
            conn.execute(BAG, (number,))
            if number != OPEN:
                conn.execute(PUT, (number, number != BACK))
        for number, days in ((BACK, 5), (LATE, 60), (DONE, 60)):
            conn.execute(ENDED, (TODAY - days * DAY, TODAY + (30 - days) * DAY, number))
        conn.execute(OVER, (TODAY - 50 * DAY, TODAY - 49 * DAY, DONE))
    monkeypatch.setattr(dataroom_pages, "AirflowConnections", lambda: Places(reader))
    monkeypatch.setattr(dataroom_pages, "prc_date", lambda _: TODAY)
    (allowed,) = (d.dependency for d in console.router.dependencies)
    assert allowed is not None

    def see(path: str, role: str = "VIEWER", lang: str = "en") -> Any:
        overrides = {allowed: lambda: None, get_user: lambda: SimpleNamespace(role=role)}
        monkeypatch.setattr(console, "dependency_overrides", overrides)
        return TestClient(console, raise_server_exceptions=False).get(path, params={"lang": lang})

    return see


def test_the_list_says_how_each_stands(browser: Browser) -> None:
    text = unescape(browser("/datarooms").text)
    for number, state in ((OPEN, "open"), (BACK, "to come back"), (LATE, "overdue"), (DONE, "over")):
        row = text.partition(f">{number}<")[2].partition("<tr>")[0]
        assert f">{state}</span>" in row, (number, row)
    assert "交易资料室" in browser("/datarooms", lang="zh").text


def test_a_room_says_what_was_in_it_and_what_became_of_both_sides_copies(browser: Browser) -> None:
    text = unescape(browser(f"/datarooms/{DONE}").text)
    for told in (
        "4,711", "u.visit", "at", "NDA-3", "nothing personal is shown", f"the deal was dropped on {TODAY - 60 * DAY}",
        "no version is left", str(TODAY - 50 * DAY), "it is its word, and nobody here saw it", "may be issued",
    ):  # fmt: skip
        assert told in text, told
        assert "may have been shown" not in text and "not known to be in the room" not in text
    assert "may have been shown" in browser(f"/datarooms/{BACK}").text
    assert "not known to be in the room yet" in browser(f"/datarooms/{OPEN}").text
    late = unescape(browser(f"/datarooms/{LATE}").text)
    assert "not shown to be gone" in late and "the counterparty has not said" in late
    assert "已销毁" in browser(f"/datarooms/{DONE}", lang="zh").text
    assert "the deal is not over" in browser(f"/datarooms/{OPEN}").text


def test_which_deal_it_is_only_those_read_whose_work_is_to_look(browser: Browser) -> None:
    for path in ("/datarooms", f"/datarooms/{DONE}"):
        seen, hidden = browser(path).text, browser(path, role="USER").text
        assert any(x in seen for x in SECRETS) and not any(x in hidden for x in SECRETS)
        assert DONE in hidden


def test_the_certificate_is_given_out_once_it_is_there_to_who_may_have_it(
    browser: Browser, writer: str
) -> None:
    path = f"/datarooms/{DONE}/certificate.json"
    assert browser(path).status_code == 404
    with psycopg.connect(writer, autocommit=True) as conn:
        conn.execute(
            "UPDATE casebook.data_room SET certificate_envelope = '{\"signed\": 1}' WHERE number = %s",
            (DONE,),
        )
    answer = browser(path)
    assert answer.status_code == 200 and answer.json() == {"signed": 1}
    assert f'filename="{DONE}.json"' in answer.headers["Content-Disposition"]
    assert browser(path, role="USER").status_code == 404
    assert f'/datarooms/{DONE}/certificate.json"' in browser(f"/datarooms/{DONE}").text
    assert "certificate.json" not in browser(f"/datarooms/{DONE}", role="USER").text


def test_what_is_no_room_is_said(browser: Browser) -> None:
    assert browser("/datarooms/DR-000009").status_code == 404
    assert browser("/datarooms/13912345678").status_code == 422
