"""The console's page of a shutdown order: what the book has, in both languages, and no hold for who may not know of one."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from airflow.api_fastapi.core_api.security import get_user
from psycopg.types.json import Jsonb
from quietus_console import shutdown_pages
from quietus_console.console import console
from quietus_console.shutdown_words import sentence
from quietus_console.words import SHUTDOWNS
from starlette.testclient import TestClient

from include.cases.keys import FileKeyStore
from include.cases.shutdown import approving, orders
from include.cases.shutdown import preview as previews
from include.cases.shutdown.dates import Gate
from include.cases.shutdown.preview import Line, Preview
from include.handover import conservation
from include.model.words import Role
from include.stores.s3.collection import BLUNT, NOBODY, UNENFORCED
from tests.cases.shutdown.test_orders import NEXT, PAPER, TODAY, TOLD
from tests.cases.small import World, world
from tests.ledger.test_attest import STATEMENT

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
    approving.approve(w.desk, number, as_of=TODAY, actor="board/qian")
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
    assert (
        "board/qian" in browser(f"/shutdown/{number}").text
        and "waits for" in browser(f"/shutdown/{number}").text
    )
    approving.approve(w.desk, number, as_of=TODAY, actor="board/qian")
    assert f"{number}: notified was due on 2026-12-04" in browser("/shutdown").text
    assert "overdue" in browser(f"/shutdown/{number}").text
    assert browser("/shutdown/SO-000099").status_code == 404
    assert browser("/shutdown/x13812345678").status_code == 422


def test_every_event_has_a_word() -> None:
    source = "".join(
        (Path(orders.__file__).parent / f"{m}.py").read_text("utf-8")
        for m in ("orders", "closing", "consigning", "permitting")
    )
    said = set(re.findall(r"""say\(\s*desk, conn, number, "([^"]+)\"""", source))
    assert len(said) >= 9 and said <= SHUTDOWNS.keys()


# --- after T0 ------------------------------------------------------------------------------------------

LINE = {"located": 60, "transferred": 40, "deleted": 0, "anonymised": 0, "retained": 0, "custodian": None, "pending": 20,
        "balances": False}  # fmt: skip
WAITS = {
    "kind": "waits",
    "why": "is sent, and no receipt without difference came",
    "items": 20,
    "bags": 1,
}
WRONG = {
    "kind": "wrong",
    "why": "the receipt names differences: 1 missing, 0 changed, 0 too many",
    "items": 9,
    "bags": 1,
}


def happened(w: World, number: str, what: str, detail: dict[str, Any]) -> None:
    with w.desk.book() as conn, conn.transaction():
        conn.execute(
            "INSERT INTO casebook.shutdown_event (number, as_of, actor, what, detail) VALUES (%s, %s, 'ops/wu', %s, %s)",
            (number, TODAY, what, Jsonb(detail)),
        )


def test_books_and_what_waits_are_told_in_both_languages(browser: Browser, w: World, database: str) -> None:
    number = filled(w, database)
    holds = {**LINE, "dataset": "book.hold", "located": 7, "reasons": []}
    lines = [{**LINE, "dataset": "ra.application", "reasons": [WAITS, WRONG]}, holds]
    happened(w, number, "books", {"verdict": "failed", "lines": lines, "bags": 3})
    happened(
        w,
        number,
        "conservation proved",
        {"verdict": "failed", "checks": [["sums.ra.application", "failed", 1, 0]]},
    )
    happened(
        w, number, "unverified accepted", {"places": ["objects"], "document": "BR-2", "digest": "a" * 64}
    )
    english = unescape(browser(f"/shutdown/{number}", role="ADMIN").text)
    for told in ("The books", "is sent, and no receipt without difference came", "1 missing, 0 changed",
                 "A person answers for objects",
                 "conservation was proved", "book.hold"):  # fmt: skip
        assert told in english, told
    chinese = unescape(browser(f"/shutdown/{number}", role="ADMIN", lang="zh").text)
    for told in (
        "账目",
        "已发送,尚无无差异的回执",
        "缺1、改0、多0",
        "由人负责 objects",
        "5 删除",
        "守恒核验",
    ):
        assert told in chinese, told
    for word in ("receipt", "erased", "was due", "not done by"):
        assert word not in chinese, word
    assert "book.hold" not in browser(f"/shutdown/{number}", role="USER").text, "how many holds there are"


def test_what_becomes_of_media_is_told(browser: Browser, w: World, database: str) -> None:
    """The stores, backup sets and keys of the first policy, after T0: with a record, with a word, or open."""
    number = filled(w, database)
    assert "What carries the data" not in browser(f"/shutdown/{number}").text
    with psycopg.connect(database) as conn:
        conn.execute("UPDATE casebook.shutdown_order SET closed_on = %s, custodian = 'Archive Co'", (TODAY,))
        conn.execute(
            "INSERT INTO casebook.sanitisation (medium, label, method, technique, sanitised_on, operator, verifier, verified_by,"
            " document, recorded_by, backup_set) VALUES ('tape', 'LTO-1', 'physical', 'shredded', %s, 'ops/zhang', 'ops/li',"
            " 'seen', 'MS-1', 'ops/wu', 'company_base')",
            (TODAY,),
        )
    word = {"media": ["store:company"], "becomes": "stays", "who": "Archive Co", "until": None, "document": "BR-90",
            "digest": "9" * 64}  # fmt: skip
    for approver in (1, 2):
        happened(w, number, "media answered for", {**word, "approver": approver})
    alone = {**word, "media": ["store:objects"], "document": "BR-91", "approver": 1}
    happened(w, number, "media answered for", alone)
    english = " ".join(unescape(re.sub(r"<[^>]*>", " ", browser(f"/shutdown/{number}").text)).split())
    for told in (
        "one approver said: stays in service with: Archive Co (BR-91); waits for board/qian",
        "What carries the data",
        "6 open",
        "stays in service with: Archive Co BR-90",
        f"sanitised {TODAY} record of one medium 1 the others: something stays, and nobody said what becomes of them MS-1",
        "no record, and nobody said what becomes of it",
        "keys:ra.video_key",
        f"quietus shutdown media {number}",
    ):
        assert told in english, told
    chinese = browser(f"/shutdown/{number}", lang="zh").text
    assert "存储介质" in chinese and "继续在用" in chinese and "批准人载明介质去向" in chinese


def test_what_is_said_on_the_command_line_only_is_shown_as_it_is_typed(
    browser: Browser, w: World, database: str
) -> None:
    """A notice that was shorter, and media of which the run does not ask, since another document says what becomes of them."""
    number = filled(w, database)
    assert "answer-short" not in browser(f"/shutdown/{number}").text
    with psycopg.connect(database) as conn:
        conn.execute(
            "UPDATE casebook.shutdown_order SET closed_on = %s, custodian = 'Archive Co'", (TODAY + 16 * DAY,)
        )
    for document, media, becomes in (
        ("BR-91", ["store:company"], "stays"),
        ("BR-92", ["store:objects"], "rented"),
    ):
        word = {
            "media": media,
            "becomes": becomes,
            "who": "Archive Co",
            "until": None,
            "document": document,
            "digest": "9" * 64,
        }
        happened(w, number, "media answered for", {**word, "approver": 1})

    def shown(lang: str = "en") -> str:
        return " ".join(
            unescape(re.sub(r"<[^>]*>", " ", browser(f"/shutdown/{number}", lang=lang).text)).split()
        )

    for told in (
        f"was done fewer days before collection was closed than the law wants: {TODAY + 15 * DAY}, 1 / 90",
        f"quietus shutdown answer-short {number} --document NO --file SCAN",
        f"quietus shutdown media {number} --becomes rented --medium store:objects --provider 'Archive Co' --document BR-92",
    ):
        assert told in shown(), told
    assert "--becomes stays" not in shown(), "of the oldest document the run asks"
    assert "天数不足" in shown("zh")
    for approver in (1, 2):
        gates = {
            "notified": {"done_on": str(TODAY + 15 * DAY), "document": PAPER.number, "digest": PAPER.digest}
        }
        said = {"gates": gates, "document": "BR-93", "digest": "8" * 64, "approver": approver}
        happened(w, number, "shorter notice answered for", said)
    assert "answer-short" not in shown(), "both answered"


def test_who_objects_late_is_counted_among_what_was_passed_on(
    browser: Browser, w: World, database: str
) -> None:
    number = filled(w, database)
    with psycopg.connect(database) as conn:
        conn.execute(
            "INSERT INTO casebook.handover_bag (order_no, bag, consignment, dataset, kind, shard, last, items, root, salt,"
            " bytes, sha256, statement) VALUES (%s, 'cert.certificate-00001', 'c', 'cert.certificate', 'rows', 1, false, 1, 'r',"
            " decode(repeat('00', 32), 'hex'), 1, 's', %s)",
            (number, STATEMENT.model_copy(update={"order": number}).canonical()),
        )
        for n, form in enumerate(("quietus-bag-request/1", "quietus-bag-objection/1"), 1):
            conn.execute(
                "INSERT INTO casebook.handover_request (order_no, bag, request, payload, asked, answer_by)"
                " VALUES (%s, 'cert.certificate-00001', %s, %s, 3, '2026-12-30')",
                (number, n, json.dumps({"format": form}).encode()),
            )
    english = " ".join(unescape(re.sub(r"<[^>]*>", " ", browser(f"/shutdown/{number}").text)).split())
    assert "passed on: 2 (of them objections 1) · items 6" in english


def test_tokens_of_people_are_counted_with_their_last_day(browser: Browser, w: World, database: str) -> None:
    number = filled(w, database)
    assert "Keyed tokens" not in browser(f"/shutdown/{number}").text
    with psycopg.connect(database) as conn:
        conn.execute("UPDATE casebook.shutdown_order SET ended_on = '2026-02-28'")
        for token in (b"one", b"two"):
            conn.execute(
                "WITH r AS (INSERT INTO casebook.shutdown_request (number, asked_on, channel, method, fields, recorded_by)"
                " VALUES (%(n)s, '2026-02-28', 'letter', 'x', '{PI-001}', 'support/li') RETURNING request) INSERT INTO"
                " casebook.shutdown_request_token (number, token, request) SELECT %(n)s, %(t)s, request FROM r",
                {"n": number, "t": token},
            )
    english = " ".join(unescape(re.sub(r"<[^>]*>", " ", browser(f"/shutdown/{number}").text)).split())
    assert (
        "kept to pass on their requests: 2 · they go with the ledger, at the latest after 2029-02-28"
        in english
    )


def test_every_reason_that_the_books_may_name_is_said_in_chinese() -> None:
    said: list[str] = []
    for node in ast.walk(ast.parse(Path(conservation.__file__).read_text("utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Reason" and len(node.args) > 1:
            said += [
                _filled(x) for x in ast.walk(node.args[1]) if isinstance(x, ast.Constant | ast.JoinedStr)
            ]
    said += ["was changed or is gone in part since it was packed, and is not received", "is packed and not sent",
             "is sent, and no receipt without difference came", UNENFORCED, BLUNT, NOBODY]  # fmt: skip
    known = [s for s in said if len(s) > 12]
    assert len(known) > 14
    assert sentence(
        "SO-000001: closed was due on 2026-12-01, and legal/zhao and board/qian did not approve the order",
        "zh",
    ) == ("SO-000001:停止收集(T0)应于2026-12-01前办理,而legal/zhao and board/qian尚未批准停止运营令")
    assert [s for s in known if sentence(s, "zh") == s] == []
    assert sentence(
        "notified on 2026-12-09, 90 days; reported not done by 2026-12-14, 60 days: not before 2027-03-09",
        "zh",
    ) == (
        "通知有关各方(90日前)于2026-12-09办理,须90日;向主管部门报告(60日前)截至2026-12-14未办理,须60日;不早于2027-03-09"
    )
    assert sentence("something else", "zh") == "something else"


def _filled(node: ast.Constant | ast.JoinedStr) -> str:
    """A sentence with a number, or a receipt's differences, where something varies; parts of a longer one are nothing."""
    if isinstance(node, ast.JoinedStr):
        text = "".join(str(v.value) if isinstance(v, ast.Constant) else "3" for v in node.values)
        return text.replace("differences: 3", "differences: 1 missing, 2 changed, 3 too many")
    text = str(node.value)
    return text if text == text.strip() and " " in text else ""
