"""The errands' pages: who sees a letter, what a form takes, and whose form it is."""

from __future__ import annotations

import html
import json
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from airflow.api_fastapi.core_api.security import get_user
from quietus_console import errand_forms, errand_numbers, errand_pages, finishing, uploads
from quietus_console.console import console
from quietus_console.errand_pages import CODES
from quietus_console.intake import Intake
from quietus_console.work import DONE
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from include.cases.notices.errands import Errand
from include.model.errors import Refused
from include.model.notices import AnswerCode, Judgement, Part

NUMBER = UUID("22222222-2222-4222-8222-222222222222")
PATH = f"/errands/{NUMBER.hex}"
LETTER = "请删除手机号 13800138000"
PDF = b"%PDF-1.7 proof"
LISTED = {
    "request_id": NUMBER, "case_no": "CASE-000007", "recipient": "arb_wuhan", "why": "carry",
    "since": datetime(2026, 11, 24, tzinfo=UTC), "due": date(2026, 12, 15), "answer_id": None,
}  # fmt: skip


class Book:
    """Errands as the case book gives them, and what was recorded of them."""

    def __init__(self) -> None:
        self.recorded: list[tuple[Any, ...]] = []
        self.open = [LISTED]
        self.closes = False
        self.judged = (Judgement(part=Part(code=AnswerCode.DELETED), accepted=True),)

    def listing(self, conn: object) -> list[dict[str, Any]]:
        return self.open

    def what_to_say(self, at: object, number: UUID) -> Errand:
        return Errand("武汉仲裁委员会", None, LETTER)

    def carried(self, at: object, number: UUID, *, proof: bytes | None, as_of: date, actor: str) -> None:
        self.recorded.append(("carried", number, proof, actor))
        if self.closes:
            self.open = []

    def decide(
        self, at: object, answer_id: int, *, accepted: bool, why: str, as_of: date, actor: str
    ) -> None:
        self.recorded.append(("decided", answer_id, accepted, why, actor))

    def answered(
        self, at: object, number: UUID, parts: tuple[Part, ...], proof: bytes, *, as_of: date, actor: str
    ) -> tuple[Judgement, ...]:
        self.recorded.append(("answered", number, parts, proof, actor))
        return self.judged


@pytest.fixture
def book(monkeypatch: pytest.MonkeyPatch) -> Book:
    made = Book()
    monkeypatch.setattr(errand_pages, "errands", made)
    monkeypatch.setattr(errand_numbers, "errands", made)
    monkeypatch.setattr(errand_pages, "answering", made)
    desk = SimpleNamespace(book=_Connection)
    monkeypatch.setattr(errand_pages, "desk", lambda: desk)
    return made


class _Connection:
    """Has one answer that a person is to judge."""

    def __enter__(self) -> _Connection:
        return self

    def execute(self, _query: str, _values: object) -> _Connection:
        return self

    def fetchone(self) -> dict[str, Any]:
        return {
            "code": "RETAINED_BY_LAW",
            "categories": ["PI-001"],
            "law": "AML 34",
            "until": None,
            "why": "no such law",
        }

    def __exit__(self, *_error: object) -> None:
        return None


@pytest.fixture
def browser(book: Book, monkeypatch: pytest.MonkeyPatch) -> Any:
    (allowed,) = (d.dependency for d in console.router.dependencies)
    assert allowed is not None

    def logged_in(name: str = "support", *, may: bool = True) -> TestClient:
        user = SimpleNamespace(role="USER", get_id=lambda: name, get_name=lambda: name)
        monkeypatch.setattr(errand_pages, "may_act", lambda _user: may)
        monkeypatch.setattr(console, "dependency_overrides", {allowed: lambda: None, get_user: lambda: user})
        return TestClient(console, raise_server_exceptions=False)

    return logged_in


def mark_on(page: str) -> str:
    return page.split('name="mark" value="', 1)[1].split('"', 1)[0]


def send(client: TestClient, proof: bytes | None = PDF, *, path: str = PATH, **fields: str) -> Any:
    fields = {"deed": "carried", "mark": mark_on(client.get(PATH).text), **fields}
    # Always as a form with a file: without one, the client would send another kind.
    files = {"proof": ("p.pdf", proof if proof is not None else b"", "application/pdf")}
    return client.post(path, data=fields, files=files, headers={"Sec-Fetch-Site": "same-origin"})


def answer(**fields: str) -> dict[str, str]:
    return {
        "deed": "answered",
        "0.code": "DELETED",
        "0.count": "2",
        "0.at": "2026-11-20T10:00",
        "0.method": "wiped",
    } | {k.replace("_", ".", 1) if k[0].isdigit() else k: v for k, v in fields.items()}


def test_everybody_sees_that_there_are_errands_and_only_who_may_act_sees_a_letter(browser: Any) -> None:
    outsider = browser("auditor", may=False)
    listed = outsider.get("/errands", params={"lang": "en"}).text
    assert "CASE-000007" in listed and "武汉仲裁委员会" in listed and NUMBER.hex not in listed
    refused = outsider.get(PATH)
    assert refused.status_code == 404 and LETTER not in refused.text
    insider = browser()
    assert NUMBER.hex in insider.get("/errands").text
    page = insider.get(PATH, params={"lang": "en"})
    assert LETTER in page.text and "none in the policy" in page.text
    assert (
        page.headers["cache-control"] == "no-store"
        and "form-action 'self'" in page.headers["content-security-policy"]
    )
    for code in CODES:
        assert f'value="{code.value}"' in page.text
    assert "NO_REPLY" not in page.text and len(CODES) == 9


def test_what_was_done_is_recorded_with_its_proof_by_whom_it_was_done(browser: Any, book: Book) -> None:
    assert send(browser("chen")).status_code == 200
    assert send(browser("chen"), None).status_code == 200
    assert book.recorded == [
        ("carried", NUMBER, PDF, "errand/chen"), ("carried", NUMBER, None, "errand/chen"),
    ]  # fmt: skip


def test_an_answer_is_recorded_part_by_part_and_its_judgement_shown(browser: Any, book: Book) -> None:
    book.judged = (
        Judgement(part=Part(code=AnswerCode.DELETED), accepted=True),
        Judgement(
            part=Part(code=AnswerCode.RETAINED_BY_LAW), accepted=False, why="names no end", for_a_person=True
        ),
    )
    more = {
        "1.code": "RETAINED_BY_LAW",
        "1.categories": "PI-001, PI-005",
        "1.article": "AML 34",
        "1.until": "2036-01-01",
    }
    reply = send(browser(), **answer(), **more)
    assert reply.status_code == 200 and "names no end" in reply.text
    ((_, _, (one, two), proof, _),) = book.recorded
    assert (one.code, one.count, one.at.isoformat(), proof) == (
        AnswerCode.DELETED,
        2,
        "2026-11-20T10:00:00+08:00",
        PDF,
    )
    assert (two.categories, two.until, two.complete) == (("PI-001", "PI-005"), date(2036, 1, 1), True)


@pytest.mark.parametrize(
    ("fields", "proof", "said"),
    [
        (answer(), None, "needs its proof"),
        (answer(**{"0_code": ""}), PDF, "no answer was chosen"),
        (answer(**{"0_code": "NO_REPLY"}), PDF, "no recipient can answer that"),
        (answer(**{"0_code": "GONE"}), PDF, "not readable: code"),
        (answer(**{"0_count": "13800138000x"}), PDF, "not readable: count"),
        (answer(**{"0_at": "soon"}), PDF, "not readable: at"),
        (answer(**{"0_categories": "everything"}), PDF, "not readable: categories"),
        (answer(), b"<html>", "none of PDF"),
        ({}, b"MZ\x90", "none of PDF"),
        ({}, PDF + b"x" * uploads.MAX_PROOF, "more than 10 MB"),
        ({}, PDF + b"x" * uploads.MAX_FORM, "more than 10 MB"),
    ],
)
def test_what_is_wrong_with_a_form_is_said_and_nothing_recorded(
    browser: Any, book: Book, fields: dict[str, str], proof: bytes | None, said: str
) -> None:
    reply = send(browser(), proof, **fields)
    assert (reply.status_code, book.recorded) == (422, [])
    assert said in reply.text and "13800138000" not in reply.text


def test_no_other_site_user_or_errand_lends_its_form(browser: Any, book: Book) -> None:
    theirs = mark_on(browser("mallory").get(PATH).text)
    client = browser("chen")
    mine = mark_on(client.get(PATH).text)
    other = PATH[:-1] + "3"
    forged = mine[:-2] + ("a" if mine[-2] != "a" else "b") + mine[-1]  # the last has bits that say nothing
    assert [
        send(client, mark="").status_code, send(client, mark=theirs).status_code,
        send(client, mark=forged).status_code,
        send(client, mark=mine, path=other).status_code,
    ] == [422] * 4  # fmt: skip
    form = {"deed": "carried", "mark": mine}
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}):
        assert client.post(PATH, data=form, files={"proof": PDF}, headers=headers).status_code == 422
    assert client.post(PATH, data=form).status_code == 422, "no form with a file"
    assert client.post(PATH, content=json.dumps(form)).status_code == 422
    assert browser("chen", may=False).post(PATH, data=form, files={"proof": PDF}).status_code == 404
    assert book.recorded == []


def test_a_proof_never_lies_in_a_temporary_file(browser: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    def rolled(*_args: object) -> None:
        raise AssertionError("written to a disk")

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", rolled)
    assert send(browser(), PDF + b"x" * (uploads.MAX_PROOF - 100)).status_code == 200


def test_what_the_case_book_refuses_is_said(
    browser: Any, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_a: object, **_k: object) -> None:
        raise Refused("this errand is done already", about="CASE-000007")

    monkeypatch.setattr(book, "carried", refused)
    reply = send(browser())
    assert reply.status_code == 422 and "done already" in reply.text
    book.open = []
    assert browser().get(PATH).status_code == 404
    assert "nothing is left to do" in browser().get("/errands?lang=en").text


def test_an_answer_that_rests_on_a_law_is_judged_by_who_read_it(browser: Any, book: Book) -> None:
    book.open = [LISTED | {"why": "judge", "answer_id": 7}]
    path, client = f"{PATH}-7", browser("chen")
    assert f"{NUMBER.hex}-7" in client.get("/errands").text
    page = client.get(path, params={"lang": "en"}).text
    assert "AML 34" in page and "no such law" in page and 'value="carried"' not in page
    form = {"mark": mark_on(page), "deed": "decline", "why": "it binds banks alone"}
    assert client.post(path, data=form, files={"proof": b""}).status_code == 200
    named = client.post(path, data=form | {"why": "see 13800138000"}, files={"proof": b""})
    assert named.status_code == 422 and "13800138000" not in named.text
    assert book.recorded == [("decided", 7, False, "it binds banks alone", "errand/chen")]


def test_an_errand_has_one_run_another_when_it_comes_back_and_the_same_again_when_that_is_lost() -> None:
    states: dict[str, str] = {}

    def runs(run_ids: list[str], **more: list[str]) -> int:
        return sum(i in states and states[i] in more.get("states", states.values()) for i in run_ids)

    def begun() -> list[str]:
        return [r["trigger_run_id"] for r in errand_numbers.without_a_run([LISTED], runs)]

    (first,) = begun()
    assert first == "CASE-000007.arb_wuhan.22222222"
    states[first] = "running"
    assert begun() == []
    states[first] = "failed"
    assert begun() == []
    del states[first]
    assert begun() == [first]
    states[first] = "success"
    assert begun() == [f"{first}.2"]


@pytest.mark.parametrize("field", sorted(errand_forms.WORDS.keys() - {"why"}))
@pytest.mark.parametrize(
    "kind", ["13800138000", "li.si@example.com", "11010519491231002X", "acct_0123456789ab"]
)
def test_what_is_typed_names_nobody_and_the_refusal_says_in_which_field(
    browser: Any, book: Book, field: str, kind: str
) -> None:
    reply = send(browser(), **answer(**{f"0_{field}": f"see {kind}"}))
    assert reply.status_code == 422 and book.recorded == []
    assert kind not in reply.text and html.escape(errand_forms.WORDS[field][0]) in reply.text
    assert "nothing was recorded" in reply.text and "未作任何记录" in reply.text


def test_a_long_number_of_the_recipients_own_is_no_bank_card(browser: Any, book: Book) -> None:
    assert send(browser(), **answer(**{"0_transactions": "6222021234567890128"})).status_code == 200
    assert len(book.recorded) == 1


# --- recording is doing ---------------------------------------------------------------------------------


class Airflow:
    """Airflow's API behind the console: the runs of errands, and what each was answered by whom."""

    def __init__(self) -> None:
        self.runs: dict[str, str] = {}
        self.asked: set[str] = set()
        self.answered: list[tuple[str, str | None, dict[str, Any]]] = []

    async def run(self, request: Request) -> JSONResponse:
        state = self.runs.get(request.path_params["run"])
        return JSONResponse({"state": state}, 200 if state else 404)

    async def answer(self, request: Request) -> JSONResponse:
        run = request.path_params["run"]
        if run not in self.asked:
            return JSONResponse({}, 404)
        self.answered.append((run, request.headers.get("cookie"), await request.json()))
        return JSONResponse({})

    def client(self) -> TestClient:
        runs = "/api/v2/dags/recipient_errands/dagRuns/{run}"
        app = Starlette(
            routes=[
                Route(runs, self.run),
                Route(f"{runs}/taskInstances/ask/-1/hitlDetails", self.answer, methods=["PATCH"]),
                Mount("/quietus", console),
            ]
        )

        async def known(_token: str | None) -> bool:
            return True

        return TestClient(Intake(app, known=known, not_recorded=lambda run: None), cookies={"_token": "mine"})


def recorded(client: TestClient) -> Any:
    path = f"/quietus{PATH}"
    form = {"deed": "carried", "mark": mark_on(client.get(path).text)}
    return client.post(path, params={"lang": "en"}, data=form, files={"proof": ("p.pdf", PDF)})


@pytest.fixture
def airflow(browser: Any, book: Book, monkeypatch: pytest.MonkeyPatch) -> Airflow:
    monkeypatch.setattr(finishing, "WAITS", (0.0, 0.0))
    browser()
    return Airflow()


RUN = "CASE-000007.arb_wuhan.22222222"


def test_what_is_recorded_is_answered_in_airflow_as_the_user_who_recorded_it(
    airflow: Airflow, book: Book
) -> None:
    airflow.runs, airflow.asked = {RUN: "success", f"{RUN}.2": "running"}, {f"{RUN}.2"}
    book.closes = True
    page = recorded(airflow.client()).text
    assert airflow.answered == [(f"{RUN}.2", "_token=mine", {"chosen_options": [DONE], "params_input": {}})]
    assert "is answered, too" in page


def test_an_errand_that_is_still_open_is_not_answered_and_its_page_says_so(
    airflow: Airflow, book: Book
) -> None:
    airflow.runs, airflow.asked = {RUN: "running"}, {RUN}
    page = recorded(airflow.client()).text
    assert airflow.answered == [] and "still open" in page


def test_what_is_not_asked_yet_is_answered_once_it_is(
    airflow: Airflow, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    airflow.runs, book.closes = {RUN: "running"}, True

    async def meanwhile(_seconds: float) -> None:
        airflow.asked.add(RUN)

    monkeypatch.setattr(finishing.asyncio, "sleep", meanwhile)
    page = recorded(airflow.client()).text
    assert "within a minute" in page and [a[0] for a in airflow.answered] == [RUN]


def test_an_errand_without_a_run_needs_no_answer(airflow: Airflow, book: Book) -> None:
    book.closes = True
    assert "is answered, too" in recorded(airflow.client()).text
    assert airflow.answered == []
