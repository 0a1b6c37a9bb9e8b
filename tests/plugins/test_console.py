"""The evidence console over a real case book, as each of Airflow's roles sees it. Log-in itself is in tests/e2e."""

from __future__ import annotations

import re
from datetime import timedelta
from types import SimpleNamespace

import psycopg
import pytest
from airflow.api_fastapi.core_api.security import get_user
from quietus_console import console as pages
from quietus_console.console import AUDITS, console
from starlette.testclient import TestClient

from include.cases import verbs
from include.cases.keys import FileKeyStore
from include.ledger import log
from include.model.words import Role
from tests.cases.small import GHOST, GONE, LI, TODAY, WANG, World, world
from tests.cases.test_verbs import approved, carried_out, hold, opened, proved, verified

pytestmark = pytest.mark.postgres

ROLES = ("VIEWER", "USER", "OP", "ADMIN")


class Places:
    """The console may read the records, and nothing else."""

    conninfo = ""

    def postgres(self, connection: str, role: Role) -> str:
        assert (connection, role) == ("records", Role.READER)
        return self.conninfo


@pytest.fixture
def w(writer: str, database: str, tmp_path) -> World:
    log.install(database)
    return world(writer, FileKeyStore(tmp_path / "keys", b"k" * 32))


@pytest.fixture
def browser(w: World, reader: str, monkeypatch: pytest.MonkeyPatch):
    """Somebody who is logged in with a role."""
    (allowed,) = (d.dependency for d in console.router.dependencies)
    assert allowed is not None
    monkeypatch.setattr(Places, "conninfo", reader)
    monkeypatch.setattr(pages, "AirflowConnections", Places)
    monkeypatch.setattr(pages, "load", lambda: w.desk.catalogue)

    def logged_in(role: str = "USER") -> TestClient:
        user = SimpleNamespace(role=role)
        monkeypatch.setattr(console, "dependency_overrides", {allowed: lambda: None, get_user: lambda: user})
        return TestClient(console, raise_server_exceptions=False)

    return logged_in


def test_without_airflows_log_in_there_is_no_page(browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every route asks Airflow; none answers when it is not asked or says no."""
    from fastapi import HTTPException

    (allowed,) = (d.dependency for d in console.router.dependencies)

    def refused() -> None:
        raise HTTPException(403)

    client = browser()
    monkeypatch.setattr(console, "dependency_overrides", {allowed: refused})
    paths = [r.path for r in console.routes if hasattr(r, "dependant")]  # type: ignore[attr-defined]
    assert len(paths) >= 5
    for path in paths:
        asked = path.format(case_no="CASE-000001", serial="1", edition="person")
        assert client.get(asked).status_code == 403, path


def test_an_empty_book_says_so(browser) -> None:
    page = browser().get("/cases")
    assert page.status_code == 200 and "尚无案件" in page.text and "无逾期" in page.text


def test_cases_are_listed_the_late_ones_first_with_their_clocks(browser, w: World, database: str) -> None:
    late, fresh = verified(w), opened(w, WANG)
    assert (late, fresh) == ("CASE-000001", "CASE-000002")
    with psycopg.connect(database) as conn:
        conn.execute(
            "UPDATE casebook.case_ SET reply_due = %s, finish_due = %s WHERE case_no = %s",
            [TODAY - timedelta(days=900), TODAY - timedelta(days=901), late],
        )
    page = browser().get("/cases", params={"lang": "en"}).text
    assert page.index(late) < page.index(fresh)
    assert "1 late" in page and str(TODAY - timedelta(days=900)) in page
    assert "无逾期" not in page and "received" in page


def test_the_list_can_be_narrowed_to_a_state(browser, w: World) -> None:
    mine, other = verified(w), opened(w, WANG)
    with w.desk.book() as conn:
        state = pages.book.case(conn, mine).state
    page = browser().get("/cases", params={"state": state.value}).text
    assert mine in page and other not in page
    assert f'value="{state.value}" selected' in page
    everything = browser().get("/cases?state=&lang=zh").text  # what the form sends for "all"
    assert mine in everything and other in everything


def test_a_case_tells_what_went_what_stayed_and_who_decided(browser, w: World) -> None:
    case_no = approved(w)
    carried_out(w, case_no)
    proved(w, case_no)
    verbs.rest(w.desk, case_no, as_of=TODAY, actor="system/dag")
    page = browser().get(f"/cases/{case_no}", params={"lang": "en"}).text
    for shown in (case_no, "waiting", "approver/wang", "PI-001", "ESL", "What goes and what stays", "Recipients",
                  "Timeline"):  # fmt: skip
        assert shown in page, shown
    chinese = browser().get(f"/cases/{case_no}").text
    assert "处理与保留" in chinese and "第三方" in chinese and "What goes" not in chinese


def test_a_held_case_says_why(browser, w: World) -> None:
    case_no = verified(w)
    number = hold(w, case_no)
    verbs.rehearse(w.desk, case_no, as_of=TODAY, actor="system/dag")
    verbs.approve(w.desk, case_no, approver="approver/wang", as_of=TODAY)
    carried_out(w, case_no)
    proved(w, case_no)
    verbs.rest(w.desk, case_no, as_of=TODAY, actor="system/dag")
    for page in (browser().get("/cases").text, browser().get(f"/cases/{case_no}").text):
        assert f"everything that is left is under a hold: {number}" in page


def test_no_page_names_a_person_or_loads_anything_from_elsewhere(browser, w: World) -> None:
    case_no = approved(w)
    carried_out(w, case_no)
    proved(w, case_no)
    for path in ("/cases", f"/cases/{case_no}", f"/cases/{case_no}/proofs"):
        page = browser("ADMIN").get(path)
        assert page.status_code == 200, path
        assert not any(person in page.text for person in (LI, WANG, GONE, GHOST))
        assert not re.search(r"(?:src|href)\s*=\s*[\"']?(?:https?:)?//|<script|@import|url\(", page.text), (
            path
        )
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src" not in policy
        assert page.headers["cache-control"] == "no-store"


def test_what_a_finding_quotes_is_text_and_never_markup(browser, w: World, database: str) -> None:
    case_no = opened(w)
    with psycopg.connect(database) as conn:
        conn.execute(
            "INSERT INTO casebook.finding (case_no, code, place, what, next_step, found_at)"
            " VALUES (%s, 'drift', 'x', '<img src=x onerror=alert(1)>', 'look', now())",
            [case_no],
        )
    page = browser().get(f"/cases/{case_no}").text
    assert "<img" not in page and "&lt;img" in page


@pytest.mark.parametrize("path", ["/cases/CASE-000404", "/cases/CASE-000404/proofs",
                                  "/cases/CASE-000404/certificate/1/person.json"])  # fmt: skip
def test_an_unknown_case_is_said_in_one_sentence(browser, path: str) -> None:
    page = browser().get(path)
    assert page.status_code == 404 and "CASE-000404" in page.text and "Next" in page.text
    assert "Traceback" not in page.text


@pytest.mark.parametrize("typed", ["13800138000", "acct_0123456789ab", "CASE-1 OR 1=1", "..%2f..%2fetc"])
def test_what_is_no_case_number_is_refused_and_not_repeated(browser, typed: str) -> None:
    page = browser().get(f"/cases/{typed}")
    assert page.status_code in (404, 422)
    assert typed not in page.text and "Traceback" not in page.text


def test_before_a_plan_there_are_no_proofs_and_the_page_says_so(browser, w: World) -> None:
    page = browser().get(f"/cases/{opened(w)}/proofs")
    assert page.status_code == 404 and "nothing was planned yet" in page.text


def test_records_that_are_down_are_said_plainly(browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Places, "conninfo", "host=127.0.0.1 port=1 user=reader dbname=records connect_timeout=2"
    )
    page = browser().get("/cases")
    assert page.status_code == 503
    assert "Next" in page.text and "Traceback" not in page.text and "127.0.0.1" not in page.text


@pytest.mark.parametrize("role", ROLES)
def test_the_auditors_edition_is_for_auditors(browser, w: World, role: str, monkeypatch) -> None:
    case_no = opened(w)
    monkeypatch.setattr(
        pages.certificates, "issued",
        lambda conn, case_no, serial: SimpleNamespace(person=b'{"of": "person"}', auditor=b'{"of": "auditor"}'),
    )  # fmt: skip
    client = browser(role)
    mine = client.get(f"/cases/{case_no}/certificate/1/person.json")
    assert mine.status_code == 200 and mine.json() == {"of": "person"}
    assert f"{case_no}.1.person.json" in mine.headers["content-disposition"]
    theirs = client.get(f"/cases/{case_no}/certificate/1/auditor.json")
    assert theirs.status_code == (200 if role in AUDITS else 404)
    if role not in AUDITS:
        assert "auditor" in theirs.text and '"of"' not in theirs.text
    assert client.get(f"/cases/{case_no}/certificate/1/everything.json").status_code == 404
