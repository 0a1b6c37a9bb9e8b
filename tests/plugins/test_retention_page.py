"""The console's page of retention nights: its numbers are the book's, whoever may not see it does not, and nothing is lost."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, timedelta
from html import unescape
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import psycopg
import pytest
from airflow.api_fastapi.core_api.security import get_user
from quietus_console import retention_pages
from quietus_console.console import console
from quietus_console.rendering import HEADERS
from starlette.testclient import TestClient

from include.cases import book, holds, papers
from include.cases.retention import figures, nights, starts, stopping, undecided
from include.cases.retention.figures import midnight
from include.cases.scopes import HoldBasis, Scope
from include.model.flow import Finding
from include.model.times import PRC
from include.model.words import Role, Rung, Verdict
from include.stores.postgres.retention.begun import Begun
from tests.cases.retention.booked import DAY, Booked, row

TODAY = date(2026, 11, 24)
NOW = datetime(2026, 11, 24, 9, tzinfo=PRC)
CAP, CODES = "RS-12/cap", "RS-02/one_time_code"


class Places:
    """The page may read the records, and nothing else."""

    def __init__(self, conninfo: str) -> None:
        self.conninfo = conninfo

    def postgres(self, connection: str, role: Role) -> str:
        assert (connection, role) == ("records", Role.READER)
        return self.conninfo


Browser = Callable[..., Any]


@pytest.fixture
def browser(reader: str, monkeypatch: pytest.MonkeyPatch) -> Browser:
    """A page as somebody with a role sees it."""
    monkeypatch.setattr(retention_pages, "AirflowConnections", lambda: Places(reader))
    monkeypatch.setattr(retention_pages, "observed_now", lambda: NOW)
    (allowed,) = (d.dependency for d in console.router.dependencies)
    assert allowed is not None

    def see(role: str = "OP", lang: str = "en") -> Any:
        overrides = {
            allowed: lambda: None,
            get_user: lambda: SimpleNamespace(role=role, get_id=lambda: "li", get_name=lambda: "li"),
        }
        monkeypatch.setattr(console, "dependency_overrides", overrides)
        return TestClient(console, raise_server_exceptions=False).get("/retention", params={"lang": lang})

    return see


def filled(owner: str) -> Booked:
    """A backlog that went in stages; since then a few each night; codes by the minute; one night that waits for a person."""
    made = Booked(owner)
    left = 3100
    for back in range(20, -1, -1):
        day = TODAY - back * DAY
        due, gone = left + 7, min(left + 7, 800)
        left = due - gone
        coming = {day + n * DAY: Counter({CAP: 3 + n % 5, "RS-03/main": n % 3, "RS-22/main": 2 * (n % 7 == 0)})
                  for n in range(1, figures.AHEAD + 1)}  # fmt: skip
        coming[day + DAY]["RS-03/main"] += left
        night = made.night(
            day, [row(CAP, "usage.access_log", due, due - 7)], gone={("RS-12", "usage.access_log"): gone},
            ages={(CAP, "usage.access_log", midnight(day)): 7}
            | ({(CAP, "usage.access_log", midnight(day - 40 * DAY)): due - 7} if due > 7 else {}),
            left=[row(CAP, "usage.access_log", left, left, held=12), row("RS-03/main", "ra.application", held=3)],
            coming=coming,
        )  # fmt: skip
        made.proved(
            night, midnight(day) + timedelta(minutes=95), ("usage.access_log", Rung.R2, Verdict.PASSED)
        )
        kind, after = ("final", 8 * DAY) if back > 8 else ("interim", timedelta(hours=2))
        made.certified(night, 1, kind, midnight(day) + after)
    for minutes in (30, 20, 10):
        at = NOW - timedelta(minutes=minutes)
        made.night(TODAY, [row(CODES, "account.login_code", minutes, late=minutes // 10)], at=at,
                   ages={(CODES, "account.login_code", at - timedelta(minutes=minutes // 10)): None},
                   gone={("RS-02", "account.login_code"): minutes})  # fmt: skip
        made.certified(made.made[-1], 1, "interim", at)
    with book.connect(owner) as conn:
        figures.keep_run(
            conn, made.made[20].night_id, "retention_limits", "scheduled__2026-11-23T17:15:00+00:00"
        )
    return made


def text(page: Any) -> str:
    """What somebody reads of a page."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page.text.partition("<h1>")[2])).split())


@pytest.mark.parametrize(("lang", "said"), [("en", "nobody knows what is overdue"), ("zh", "逾期情况未知")])
def test_an_empty_book_knows_nothing_and_says_so(browser: Browser, lang: str, said: str) -> None:
    page = browser(lang=lang)
    assert page.status_code == 200 and said in text(page)
    assert "fact the" not in page.text, "a zero that nobody counted is no zero"
    assert "<svg" not in page.text


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_numbers_are_the_books(browser: Browser, database: str, lang: str) -> None:
    made = filled(database)
    page = browser(lang=lang)
    assert (
        page.status_code == 200
        and page.headers["Content-Security-Policy"] == HEADERS["Content-Security-Policy"]
    )
    with psycopg.connect(database) as conn:
        last = conn.execute(
            "SELECT overdue, due, gone, remaining FROM casebook.night WHERE schedule = 'days' ORDER BY as_of DESC LIMIT 1"
        ).fetchone()
        sums = conn.execute(
            "SELECT rule, sum(items) FILTER (WHERE day < %(d)s + 2), sum(items) FILTER (WHERE day < %(d)s + 8),"
            " sum(items) FILTER (WHERE day < %(d)s + 31), sum(items) FROM casebook.night_forecast"
            " JOIN casebook.night USING (night_id) WHERE as_of = %(d)s GROUP BY 1 ORDER BY 1",
            {"d": TODAY},
        ).fetchall()
    assert last == (0, 7, 7, 0) and '<div class="fact the good"><b>0</b>' in page.text
    said = text(page)
    for rule, *figures_ in sums:
        of = " ".join(str(n or 0) for n in figures_)
        assert re.search(rf"{rule} [^0-9]*{of}\b", said), (rule, of)
    for night in made.made[-13:]:
        assert f'/quietus/cases/{night.case_no}?lang={lang}">{night.case_no}</a>' in page.text
    assert "/dags/retention_limits/runs/scheduled__2026-11-23T17%3A15%3A00%2B00%3A00" in page.text
    assert "15 到期但" in said if lang == "zh" else "15 due and kept" in said
    assert ("3 分" if lang == "zh" else "3 min") in said, "the longest late by the minute"
    # The night that took the rest: 721 of 40 days and more, and 7 of its own; 17 nights of 7 since. The median is one of the 721.
    assert "RS-12/cap Network logs: time, pages, IP, logs of partners 847 847" in said
    assert "40.1 天" in said if lang == "zh" else "40.1 d" in said


def test_above_zero_or_not_asked_is_never_green(browser: Browser, database: str) -> None:
    made = Booked(database)
    made.night(TODAY, [], unverified={"objects.web_log": "shared <files>"})
    page = browser()
    assert 'fact the wait"><b>0</b>' in page.text and "1 dataset could not be asked" in text(page)
    assert "objects.web_log: shared &lt;files&gt;" in page.text
    made.night(TODAY, [row(CAP, "usage.access_log", 5, 4)], left=[row(CAP, "usage.access_log", 5, 4)])
    assert 'fact the bad"><b>4</b>' in browser().text


def test_what_waits_for_a_decision_stands_on_the_page_until_no_night_sees_it(
    browser: Browser, database: str
) -> None:
    made = Booked(database)
    first = made.night(TODAY - DAY, [])
    silent = Finding(
        code="no_rule", dataset="sign.folder", place="sign.folder", what="<none>", next_step="bind one", items=7
    )  # fmt: skip
    with book.connect(database) as conn, book.deed(conn, "test"):
        undecided.keep(conn, first, [silent], ())
    assert "1 question to be decided" in text(browser())
    assert f"sign.folder · 7 items · since {TODAY - DAY}" in text(browser())
    assert "<none>" not in browser().text
    with book.connect(database) as conn, book.deed(conn, "test"):
        undecided.keep(conn, made.night(TODAY, []), [], ())
    assert "to be decided" not in text(browser())


def test_clocks_that_can_never_begin_are_named_above_the_numbers(browser: Browser, database: str) -> None:
    made = Booked(database)
    live = Begun("account.session", "revoked_at", ("RS-02/main",), odd=0, none=113, ahead=0, never=0)
    with book.connect(database) as conn, book.deed(conn, "test"):
        starts.keep(conn, made.night(TODAY - DAY, []), [live])
    assert "account.session" in text(browser()) and "can never fall due" not in text(browser())
    stuck = Begun("usage.cookie", "seen_at", ("RS-15/main",), odd=0, none=3, ahead=1, never=2)
    with book.connect(database) as conn, book.deed(conn, "test"):
        starts.keep(conn, made.night(TODAY, []), [live, stuck])
    said = text(browser())
    assert "2 items can never fall due" in said and "usage.cookie · seen_at · 2" in said
    assert "永不起算" in text(browser(lang="zh"))


PLAN = """
INSERT INTO casebook.backlog_plan (number, counted_on, rate, until, counted, remaining, catalogue, proposed_by, approved_by,
    approved_at)
VALUES ('BP-000001', %s, 200, %s, '{"usage.access_log": 490}', '{"usage.access_log": 290}', 'd', 'ops/li', 'legal/wang', now())"""


def test_what_a_plan_of_stages_covers_stands_beside_the_number(browser: Browser, database: str) -> None:
    made = Booked(database)
    night = made.night(
        TODAY, [row(CAP, "usage.access_log", 500, 490)], left=[row(CAP, "usage.access_log", 300, 294)],
        gone={("RS-12", "usage.access_log"): 200},
    )  # fmt: skip
    with psycopg.connect(database) as conn:
        conn.execute(PLAN, (TODAY, TODAY + 2 * DAY))
        covers = "UPDATE casebook.night SET backlog = 'BP-000001', planned = %s WHERE night_id = %s"
        conn.execute(covers, (290, night.night_id))
    assert 'fact the bad"><b>4</b>' in browser().text
    assert "BP-000001: 290" in text(browser()) and "200 · until 2026-11-26 · left 290 / 490" in text(
        browser()
    )
    with psycopg.connect(database) as conn:
        conn.execute(covers, (294, night.night_id))
    assert 'fact the good"><b>0</b>' in browser().text
    assert "分批方案" in text(browser(lang="zh"))


@pytest.mark.parametrize(
    ("back", "hour", "colour"), [(0, 0, "good"), (1, 11, "good"), (1, 12, "wait"), (2, 0, "wait")]
)
def test_a_zero_of_an_older_night_is_not_green(
    browser: Browser, database: str, monkeypatch: pytest.MonkeyPatch, back: int, hour: int, colour: str
) -> None:
    Booked(database).night(TODAY - back * DAY, [])
    monkeypatch.setattr(retention_pages, "observed_now", lambda: NOW.replace(hour=hour))
    page = browser()
    assert f'fact the {colour}"><b>0</b>' in page.text
    assert ("no night has ended since" in text(page)) is (colour == "wait")


def test_a_night_waits_for_a_persons_word_and_then_has_it(browser: Browser, database: str) -> None:
    night = Booked(database).night(TODAY, [row(CAP, "usage.access_log", 5000)], ended=False)
    assert "waits for a person 5,000" in text(browser()) and "it is a backlog" in text(browser())
    with book.connect(database) as conn, book.deed(conn, "test"):
        nights.approve(conn, night, "ops/li", 400)
    said = text(browser())
    assert "under way 5,000" in said and "ops/li · at most 400" in said and "waits for a person 5" not in said


def test_a_stop_stands_above_all(browser: Browser, writer: str) -> None:
    assert "stopped" not in text(browser())
    with book.connect(writer) as conn, book.deed(conn, "test"):
        stopping.stop(conn, "<b>a standby</b> is behind", actor="ops/li")
    page = browser()
    assert "Disposing is stopped" in page.text and "&lt;b&gt;a standby&lt;/b&gt; is behind" in page.text


RECORDED: list[Any] = []
"""What the ledger was told."""


@pytest.fixture
def presses(browser: Browser, writer: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Send the form of the stop as somebody with a role, who is seen by the page before."""
    asked = SimpleNamespace(book=lambda: book.connect(writer), record=lambda *said: RECORDED.append(said))
    monkeypatch.setattr(retention_pages, "desk", lambda: asked)

    def press(role: str = "OP", *, mark: str | None = None, **fields: str) -> Any:
        shown = browser(role).text
        found = re.search(r'name="mark" value="([^"]+)"', shown)
        fields = {"mark": mark if mark is not None else found[1] if found else "", **fields}
        return TestClient(console, raise_server_exceptions=False, follow_redirects=False).post(
            "/retention", params={"lang": "en"}, data=fields, files={"none": b""},
            headers={"Sec-Fetch-Site": "same-origin"},
        )  # fmt: skip

    return press


def standing(writer: str) -> dict[str, Any] | None:
    with book.connect(writer) as conn:
        return stopping.stopped(conn)


@pytest.mark.parametrize("role", ["OP", "ADMIN"])
def test_who_keeps_the_nights_stops_everything_and_lets_it_go_on(
    presses: Callable[..., Any], browser: Browser, writer: str, role: str
) -> None:
    sent = presses(role, deed="stop", why="wrong_items")
    assert (sent.status_code, sent.headers["location"]) == (303, "/quietus/retention?lang=en")
    found = standing(writer)
    assert found is not None and (found["actor"], found["why"]) == (
        "ops/li",
        "what should stay goes, or may go",
    )
    page = browser(role).text
    assert "Disposing is stopped" in page and "Lift the stop" in page and "Stop all disposing" not in page
    assert presses(role, deed="stop", why="drill").status_code == 422, "it is stopped already"
    assert presses(role, deed="resume").status_code == 303 and standing(writer) is None


@pytest.mark.parametrize(
    ("role", "fields"),
    [
        ("AUDITOR", {"why": "drill"}), ("USER", {"why": "drill"}), ("OP", {"why": ""}), ("OP", {"why": "because of Li"}),
        ("OP", {"why": "drill", "mark": "forged"}),
    ],
)  # fmt: skip
def test_nobody_else_stops_it_nor_without_a_reason_nor_from_another_page(
    presses: Callable[..., Any], writer: str, role: str, fields: dict[str, str]
) -> None:
    assert presses(role, deed="stop", **fields).status_code in (404, 422)
    assert standing(writer) is None


PROPOSED = PLAN.replace("'legal/wang', now()", "NULL, NULL")


def plan_of(database: str) -> Any:
    with psycopg.connect(database) as conn:
        return conn.execute(
            "SELECT approved_by, ended, ended_by, ended_why FROM casebook.backlog_plan"
        ).fetchone()


def proposed(database: str, by: str, *, before_the_first_night: bool = False) -> None:
    if not before_the_first_night:
        Booked(database).night(TODAY, [row(CAP, "usage.access_log", 500, 490)])
    with psycopg.connect(database) as conn:
        conn.execute(PROPOSED.replace("ops/li", by), (TODAY, TODAY + 2 * DAY))


def test_another_person_approves_a_plan_of_stages_on_the_page_and_it_is_withdrawn_there(
    presses: Callable[..., Any], browser: Browser, database: str
) -> None:
    proposed(database, "ops/wang")
    assert "Approve the plan" in browser().text and "Approve the plan" not in browser("AUDITOR").text
    RECORDED.clear()
    assert presses(deed="approve", plan="BP-000001").status_code == 303
    assert plan_of(database) == ("ops/li", None, None, None)
    assert [(kind, body["what"], body["actor"]) for kind, _, body, _ in RECORDED] == [
        ("backlog", "approved", "ops/li")
    ]
    shown = browser().text
    assert "Approve the plan" not in shown and "approved by ops/li" in text(browser())
    assert presses(deed="withdraw", plan="BP-000001", why="").status_code == 422, "it needs a reason"
    assert presses(deed="withdraw", plan="BP-000001", why="rate").status_code == 303
    assert plan_of(database) == ("ops/li", "withdrawn", "ops/li", "the rate is not right")
    assert "Withdraw the plan" not in browser().text


@pytest.mark.parametrize(
    ("role", "fields"),
    [("AUDITOR", {}), ("USER", {}), ("OP", {"mark": "forged"}), ("OP", {"plan": "BP-000009"})],
)
def test_a_plan_is_approved_by_nobody_else_nor_from_another_page(
    presses: Callable[..., Any], database: str, role: str, fields: dict[str, str]
) -> None:
    proposed(database, "ops/wang")
    assert presses(role, **{"deed": "approve", "plan": "BP-000001"} | fields).status_code in (404, 422)
    assert plan_of(database)[0] is None


def test_a_plan_is_approved_before_any_night_has_ended(
    presses: Callable[..., Any], browser: Browser, database: str
) -> None:
    """That is when a backlog is planned."""
    proposed(database, "ops/wang", before_the_first_night=True)
    assert "No night has ended yet" in text(browser()) and "Approve the plan" in browser().text
    assert presses(deed="approve", plan="BP-000001").status_code == 303 and plan_of(database)[0] == "ops/li"


def test_who_proposed_a_plan_does_not_approve_it_on_the_page(
    presses: Callable[..., Any], browser: Browser, database: str
) -> None:
    proposed(database, "legal/li")
    assert "Approve the plan" not in browser().text and "who proposed it does not approve it" in text(
        browser()
    )
    assert presses(deed="approve", plan="BP-000001").status_code == 422 and plan_of(database)[0] is None


@pytest.mark.parametrize(
    ("role", "sees"),
    [("OP", True), ("VIEWER", True), ("AUDITOR", True), ("ADMIN", True), ("USER", False), ("", False)],
)
def test_the_page_is_for_ops_and_auditors(browser: Browser, database: str, role: str, sees: bool) -> None:
    filled(database)
    page = browser(role)
    assert page.status_code == (200 if sees else 404)
    assert ("RS-12" in page.text) is sees


def test_of_holds_auditors_are_told_and_nobody_else(browser: Browser, database: str) -> None:
    """What is kept has the same words and numbers for ops, whatever keeps it."""
    filled(database)

    def seen() -> str:
        return re.sub(
            r'(name="[a-z_]+" value=")[\w.-]{40,}"', r'\1"', browser("OP").text
        )  # a form's own mark

    before = seen()
    with book.connect(database) as conn, book.deed(conn, "test"):
        for basis, confidential in (
            (HoldBasis.COURT, True),
            (HoldBasis.COURT, False),
            (HoldBasis.DISPUTE, False),
        ):
            holds.open_hold(
                conn, basis=basis, document_no="(2026)X", issuing_body="court", law="policy 5.2(2)", as_of=TODAY,
                scope=Scope(cases=frozenset({"CASE-900001"})), actor="legal/wang", confidential=confidential,
            )  # fmt: skip
    assert seen() == before and "due and held" not in before
    said = text(browser("AUDITOR"))
    assert "15 due and held 2 holds by order of a court 1 hold for a dispute" in said


def test_what_is_drawn_is_the_table(browser: Browser, database: str) -> None:
    """Each of the 90 nights has a bar that says its number, and each piece lies in the field."""
    filled(database)
    page = browser().text
    plots = re.findall(r"<svg class=\"plot\".*?</svg>", page, re.S)
    assert len(plots) == 2
    drawn = ElementTree.fromstring(plots[1])  # noqa: S314  our own page
    assert drawn.get("role") == "img" and len(drawn.get("aria-labelledby", "").split()) == 2
    bars = [g for g in drawn.iter("g") if g.get("transform") is None]
    titles = [str(g.findtext("title")) for g in bars]
    with psycopg.connect(database) as conn:
        rows = conn.execute(
            "SELECT day, sum(items) FROM casebook.night_forecast JOIN casebook.night USING (night_id)"
            " WHERE as_of = %s GROUP BY 1 ORDER BY 1",
            [TODAY],
        ).fetchall()
    assert titles == [f"{day}: {n}" for day, n in rows] and len(titles) == figures.AHEAD
    for g in bars:
        for piece in g.iter("rect"):
            y, height = float(piece.get("y", "")), float(piece.get("height", ""))
            assert y >= 0 and y + height <= 200.01
    for day, n in rows:
        assert re.search(rf'<td class="whole">{day}<td class="n">{n}\b', page), day


BUSY = """
INSERT INTO casebook.night (case_no, schedule, as_of, at, began_at, due, held, gone, remaining, overdue, ended_at)
    SELECT 'CASE-' || 100000 + extract(epoch FROM t)::bigint / 600, 'hours', (t AT TIME ZONE 'Asia/Shanghai')::date, t, t,
           90, 0, 90, 0, 0, t
      FROM generate_series(%(now)s::timestamptz - interval '29 days', %(now)s, interval '10 minutes') AS t;
INSERT INTO casebook.night_line (night_id, rule, dataset, due, overdue, held, gone)
    SELECT night_id, 'RS-02' || part, 'd.' || n, p.due, 0, 0, p.gone
      FROM casebook.night_hours, generate_series(1, 3) n, (VALUES ('', 0, 30), ('/code', 30, 0)) AS p(part, due, gone);
INSERT INTO casebook.night_age SELECT night_id, 'RS-02/code', 'd.' || n, at - n * interval '1 minute', NULL
      FROM casebook.night_hours, generate_series(1, 3) n;
INSERT INTO casebook.evidence_ref (ledger_key, case_no, step_id, kind, store, verdict, fingerprint, body, observed_at)
    SELECT case_no || '.' || k, case_no, case_no, 'gone', 'company', 'passed', case_no || '.' || k, jsonb_build_object('checks',
        (SELECT jsonb_agg(jsonb_build_object('dataset', 'd.' || n %% 3 + 1, 'rung', 2, 'verdict', 'passed', 'why', ''))
           FROM generate_series(1, 12) n)), at + interval '1 minute'
      FROM casebook.night_hours, generate_series(1, 2) k;
INSERT INTO casebook.night_age
    SELECT (SELECT min(night_id) FROM casebook.night), 'RS-' || r || '/main', 'd.' || r,
           %(now)s::timestamptz - n * interval '1 day', 5
      FROM generate_series(1, 2000) n, generate_series(30, 59) r;
INSERT INTO casebook.night_line (night_id, rule, dataset, due, overdue, held, gone)
    SELECT (SELECT min(night_id) FROM casebook.night), 'RS-' || r || part, 'd.' || r, due, 0, 0, gone
      FROM generate_series(30, 59) r, (VALUES ('', 0, 10000), ('/main', 10000, 0)) AS p(part, due, gone);
INSERT INTO casebook.night (schedule, as_of, began_at, due, held, gone, remaining, overdue, tomorrow, foreseen, ended_at)
    SELECT 'days', %(today)s::date - n, %(now)s::timestamptz - n * interval '1 day', 0, 0, 0, 0, 0, 0,
           %(today)s::date - n + 90, now() FROM generate_series(21, 400) n;
INSERT INTO casebook.night_forecast SELECT night_id, as_of + n, 'RS-' || r || '/main', r
      FROM casebook.night, generate_series(1, 90) n, generate_series(30, 35) r WHERE schedule = 'days'
""".replace("casebook.night_hours", "(SELECT * FROM casebook.night WHERE at IS NOT NULL AND due = 90) AS h")


def test_the_page_asks_no_store_and_answers_soon_in_a_busy_house(browser: Browser, database: str) -> None:
    """Places refuses any other connection. More than a year of nights, a month of runs by the minute that all found something,
    and a first night on five years of backlog, with no statistics of it yet."""
    filled(database)
    with psycopg.connect(database) as conn:
        conn.execute("SET session_replication_role = replica")
        for statement in BUSY.split(";"):
            conn.execute(statement.encode(), {"now": NOW, "today": TODAY})
    begun = time.monotonic()
    page = browser("AUDITOR")
    took = time.monotonic() - begun
    assert page.status_code == 200 and took < 20, f"{took:.1f} s"
    assert re.search(r"RS-02/code not known 4 min|RS-02/code [^0-9]*4 min", text(page)), (
        "the oldest, and a minute more"
    )


@pytest.mark.parametrize(("lang", "said"), [("en", "1 night not proved"), ("zh", "1 次清理尚未证实")])
def test_an_old_night_that_is_not_proved_is_named_with_its_reason(
    browser: Browser, database: str, lang: str, said: str
) -> None:
    made = filled(database)
    old = made.made[3]
    assert said not in text(browser(lang=lang))
    with book.connect(database) as conn:
        conn.execute("UPDATE casebook.case_ SET state = 'acting' WHERE case_no = %s", (old.case_no,))
        seen = Finding(code="gone_not_proved", dataset="usage.access_log", place="gone.usage.access_log@live", items=3,
                       what="3 of its rows are there", next_step="dispose of them")  # fmt: skip
        papers.keep_findings(conn, str(old.case_no), [seen])
    page = browser(lang=lang)
    assert said in text(page) and f"{old.case_no} · {old.as_of} 3 of its rows are there" in text(page)
    with book.connect(database) as conn:
        conn.execute(
            "UPDATE casebook.case_ SET state = 'acting' WHERE case_no = %s", (made.made[20].case_no,)
        )
    assert said in text(browser(lang=lang)), "tonight's is at work"
