"""The evidence console over a real case book, as each of Airflow's roles sees it. Log-in itself is in tests/e2e."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from airflow.api_fastapi.core_api.security import get_user
from quietus_console import console as pages
from quietus_console import words
from quietus_console.console import AUDITS, console
from starlette.testclient import TestClient

from include.cases import book, verbs
from include.cases.briefing import briefing
from include.cases.controls import nights
from include.cases.controls.results import Judged, Outcome, Result
from include.cases.discretion import EVERYTHING, discretion
from include.cases.keys import FileKeyStore
from include.cases.notices import beyond
from include.cases.notices.composing import Given
from include.cases.notices.whom import ToTell
from include.ledger import log
from include.model.words import Role
from include.planting.note import draw
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

    def logged_in(role: str = "USER", **user_of_another_kind: Any) -> TestClient:
        user = SimpleNamespace(**user_of_another_kind or {"role": role})
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
    routes = [(r.path, m) for r in console.routes if hasattr(r, "dependant") for m in r.methods]  # type: ignore[attr-defined]
    assert len(routes) >= 8
    for path, method in routes:
        asked = path.format(case_no="CASE-000001", serial="1", edition="person", number="0" * 32)
        assert client.request(method, asked).status_code == 403, path


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


def test_what_is_abroad_or_was_given_beyond_the_policy_stands_above_all_cases(
    browser, w: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    case_no = verified(w)
    one = ToTell(w.desk.catalogue.recipients[0], Given("sms", 1, (), ("PI-001", "PI-060")))
    with w.desk.book() as conn, book.deed(conn, case_no):
        beyond.keep(conn, book.case(conn, case_no), one, TODAY, "system/test")
    quiet = browser().get("/cases", params={"lang": "en"}).text
    assert "given beyond the policy" in quiet and "PI-060" in quiet and "abroad" not in quiet
    store = w.desk.catalogue.stores[0].model_copy(update={"region": "SG"})
    moved = w.desk.catalogue.model_copy(update={"stores": (store, *w.desk.catalogue.stores[1:])})
    monkeypatch.setattr(pages, "load", lambda: moved)
    page = browser().get("/cases").text
    assert "境外存储" in page and f"{store.id}: SG" in page and "超出政策所列提供" in page
    beyond.explained(w.desk, case_no, "sms", reason="stopped", as_of=TODAY, actor="ops/li")
    assert "超出政策所列提供" not in browser().get("/cases").text


def test_a_red_night_stands_above_all_cases(browser, w: World) -> None:
    assert "failed their audit" not in browser().get("/cases?lang=en").text
    judged = Judged(
        (Result("main", "page_hole", "residue", 1, 0, Outcome.MISSED, "its bytes were not seen"),)
    )
    with w.desk.book() as conn, book.deed(conn, "test"):
        night = nights.begin(conn, w.desk.keys, TODAY, draw("a" * 32, w.desk.catalogue))
        nights.end(conn, night, judged, "key")
    page = browser().get("/cases?lang=en").text
    assert "the proofs failed their audit" in page and "main page_hole" in page


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


@pytest.fixture
def parked(w: World) -> tuple[str, str]:
    """A case that is parked for a confidential hold over everything, and the hold's number."""
    case_no = verified(w)
    number = hold(w, case_no, confidential=True)
    verbs.rehearse(w.desk, case_no, as_of=TODAY, actor="system/dag")
    verbs.approve(w.desk, case_no, approver="approver/wang", as_of=TODAY)
    carried_out(w, case_no)
    proved(w, case_no)
    verbs.rest(w.desk, case_no, as_of=TODAY, actor="system/dag")
    return case_no, number


OF_THE_HOLD = (
    "HOLD-",
    "policy 5.2(2)",
    "court",
    "2026)京",
    "保全令",
    "parked",
    "→ held",
    "held</span>",
    "→ 保全中",
    "保全中</span>",
    "搁置",
)


def test_a_confidential_hold_is_kept_from_who_may_not_know(browser, w: World, parked) -> None:
    """Nowhere its number, law, issuer, or that there is one; the case waits like any other, and adds up."""
    case_no, _number = parked
    client = browser("USER")
    for path in (
        "/cases",
        "/cases?lang=en",
        "/cases?state=waiting",
        f"/cases/{case_no}",
        f"/cases/{case_no}?lang=en",
    ):
        page = client.get(path).text
        assert case_no in page
        assert [said for said in OF_THE_HOLD if said in page] == [], path
        assert "waiting</span>" in page or "等待备份、第三方或期限</span>" in page
    assert "0 open holds" in client.get("/cases?lang=en").text
    assert case_no not in client.get("/cases?state=held").text
    kept = client.get(f"/cases/{case_no}?lang=en").text
    assert "waits for 复核 a review" in kept and "PIPL 47" in kept
    refused = client.get(f"/cases/{case_no}/proofs")
    assert refused.status_code == 404 and "for auditors" in refused.text


def test_an_auditor_is_told_of_it(browser, w: World, parked) -> None:
    case_no, number = parked
    client = browser("VIEWER")
    for path in ("/cases?state=held", f"/cases/{case_no}", f"/cases/{case_no}/proofs"):
        page = client.get(path).text
        assert number in page and "policy 5.2(2)" in page, path
    assert "1 open hold" in client.get("/cases?lang=en").text


def test_a_released_hold_stays_confidential(browser, w: World, parked) -> None:
    case_no, number = parked
    verbs.release_hold(w.desk, number, document="(2026)京0108解1号", as_of=TODAY, actor="legal/sun")
    page = browser().get(f"/cases/{case_no}?lang=en").text
    assert [said for said in OF_THE_HOLD if said in page] == []
    assert number in browser("VIEWER").get(f"/cases/{case_no}?lang=en").text


def test_a_hold_that_may_be_named_is_named_beside_one_that_may_not(browser, w: World) -> None:
    case_no = verified(w)
    secret = hold(w, case_no, confidential=True, datasets=frozenset({"account.session"}))
    known = hold(w, case_no)
    verbs.rehearse(w.desk, case_no, as_of=TODAY, actor="system/dag")
    page = browser().get(f"/cases/{case_no}?lang=en").text
    assert known in page and secret not in page


def test_what_airflow_stores_of_a_plan_names_no_confidential_hold(w: World) -> None:
    case_no = verified(w)
    number = hold(w, case_no, confidential=True)
    plan = verbs.rehearse(w.desk, case_no, as_of=TODAY, actor="system/dag")
    with w.desk.book() as conn:
        told = briefing(plan, w.desk.catalogue, discretion(conn))
    assert [said for said in (number, "hold", "保全", "policy 5.2(2)") if said in told] == []
    assert "PIPL 47" in told and plan.fingerprint()[:16] in told
    assert number in briefing(plan, w.desk.catalogue, EVERYTHING)


ADMIN_AND_USER = [SimpleNamespace(name="Admin"), SimpleNamespace(name="User")]


@pytest.mark.parametrize(
    ("user", "audits"),
    [
        ({"role": "viewer"}, True), ({"role": "user"}, False), ({"role": None}, False),
        # The FAB auth manager's users have several roles, with names.
        ({"roles": [SimpleNamespace(name="Viewer")]}, True), ({"roles": ADMIN_AND_USER}, True),
        ({"roles": [SimpleNamespace(name="Auditor")]}, True), ({"roles": [SimpleNamespace(name="Op")]}, False),
        ({"roles": []}, False), ({"roles": None}, False),
        ({"name": "who says nothing of roles"}, False), ({"role": SimpleNamespace(name="ADMIN")}, True),
    ],
)  # fmt: skip
def test_who_audits_is_told_by_role_whatever_the_auth_manager(user: dict[str, Any], audits: bool) -> None:
    assert pages.audits(SimpleNamespace(**user)) is audits


def test_no_code_is_shown_where_there_is_a_word() -> None:
    """Every member of each closed vocabulary has a word in both languages, and no two mean the same."""
    from include.cases.decisions import Method, Outcome
    from include.model.words import CaseState, Channel, Disposition, Ground, Requester, UnitState

    for kind, codes in {"state": CaseState, "ground": Ground, "channel": Channel, "requester": Requester,
                        "fate": Disposition, "track": UnitState, "method": Method, "answer": Outcome}.items():  # fmt: skip
        for lang in ("zh", "en"):
            told = [words.word(kind, code.value, lang) for code in codes]
            assert "_" not in "".join(told) and len({*told}) == len(told), kind
        assert all("\u4e00" <= words.word(kind, code.value, "zh")[0] <= "\u9fff" for code in codes), kind


def test_every_event_that_the_case_book_notes_has_a_word() -> None:
    source = "".join(path.read_text("utf-8") for path in Path(book.__file__).parent.rglob("*.py"))
    noted = set(re.findall(r'note(?:_all)?\(\s*(?:self\.)?conn,(?:(?!\n\n)[^"{])*?"([a-z ]+)"', source))
    assert {"opened", "moved", "certified"} <= noted
    assert noted <= words.EVENTS.keys()


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
    page = browser("VIEWER").get(f"/cases/{opened(w)}/proofs")
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
