"""The intake, in front of an Airflow that only notes what reaches it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from quietus_console import intake, screen
from quietus_console.intake import Intake, Opened, Request
from starlette.applications import Starlette
from starlette.requests import Request as Incoming
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from include.cases import book, opening
from include.model.errors import NotReachable, Refused
from include.model.words import Channel, Ground, Requester

TRIGGER = "/api/v2/dags/account_cancellation/dagRuns"
ACCOUNT = "acct_0123456789ab"
PERSONAL = {
    "a mobile number": "13800138000",
    "a mobile number, in full-width digits": "１３８００１３８０００",
    "an e-mail address": "li.si@example.com",
    "a resident ID number": "11010519491231002X",
    "a bank card number": "6222021234567890128",
    "an account id": ACCOUNT,
}


class Airflow:
    """What lies behind the intake: it keeps every request that it is sent."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, bytes]] = []
        self.opened: list[Request] = []
        self.answer: Opened | Exception = Opened("CASE-000001", False)
        self.user: str | None = "support"
        self.runs: set[str] = set()

    async def take(self, request: Incoming) -> JSONResponse:
        self.seen.append((request.method, str(request.url), await request.body()))
        return JSONResponse({"reached": True})

    def open_case(self, request: Request) -> Opened:
        self.opened.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def who_may(self, token: str | None) -> str | None:
        return self.user


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Airflow:
    found = Airflow()

    async def runs_already(case_no: str) -> bool:
        return case_no in found.runs

    monkeypatch.setattr(intake, "_runs_already", runs_already)
    return found


@pytest.fixture
def client(airflow: Airflow) -> TestClient:
    app = Starlette(
        routes=[Route("/{rest:path}", airflow.take, methods=["GET", "POST", "PATCH", "PUT", "DELETE"])]
    )
    return TestClient(Intake(app, airflow.open_case, airflow.who_may))


@pytest.mark.parametrize("root", ["/airflow", "/airflow/", "/a/b"])
def test_under_a_sub_path_everything_is_screened_and_swapped_as_at_the_root(
    airflow: Airflow, root: str
) -> None:
    """Airflow served as https://host/airflow: a proxy may strip the prefix or leave it."""
    app = Starlette(routes=[Route("/{rest:path}", airflow.take, methods=["GET", "POST", "PATCH"])])
    client = TestClient(Intake(app, airflow.open_case, airflow.who_may), root_path=root)
    prefix = root.rstrip("/")
    for before in (prefix, ""):
        for path in ("/api/v2/dags/other/dagRuns", "/ui/anything", "/execution/x", "/quietus/cases"):
            answer = client.post(f"{before}{path}", json={"note": "13800138000"})
            assert (answer.status_code, airflow.seen) == (422, []), (before, path)
        assert client.post(f"{before}{TRIGGER}", json={"conf": {"account_id": ACCOUNT}}).status_code == 200
        assert conf_seen(airflow)["conf"] == {"case": "CASE-000001"}
        airflow.seen.clear()
    assert client.post(f"{prefix}/api/v2/connections", json={"login": "li.si@example.com"}).status_code == 200


def test_a_path_that_only_begins_like_the_prefix_is_not_cut() -> None:
    assert screen.inside("/airflow2/api/v2", "/airflow") == "/airflow2/api/v2"
    assert screen.inside("/api/v2", "") == "/api/v2"


def conf_seen(airflow: Airflow) -> dict[str, Any]:
    return json.loads(airflow.seen[-1][2])


def test_the_account_id_is_swapped_for_the_case_number(client: TestClient, airflow: Airflow) -> None:
    said = {
        "logical_date": None,
        "conf": {"account_id": ACCOUNT, "ground": "cancellation", "channel": "phone", "case": None},
    }
    assert client.post(TRIGGER, json=said).status_code == 200
    assert airflow.opened == [Request(ACCOUNT, Ground.CANCELLATION, Channel.PHONE, Requester.SELF, "support")]
    assert conf_seen(airflow) == {
        "logical_date": None, "dag_run_id": "CASE-000001",
        "conf": {"ground": "cancellation", "channel": "phone", "case": "CASE-000001"},
    }  # fmt: skip
    assert all(ACCOUNT.encode() not in body for _, _, body in airflow.seen)


@pytest.mark.parametrize("value", PERSONAL.values(), ids=PERSONAL.keys())
@pytest.mark.parametrize("where", ["conf", "note", "key", "escaped", "path", "query", "text", "ui", "xcom"])
def test_a_personal_value_is_refused_wherever_it_is_and_never_echoed(
    client: TestClient, airflow: Airflow, value: str, where: str
) -> None:
    escaped = "".join(f"\\u{ord(c):04x}" for c in value)
    answer = {
        "conf": lambda: client.post("/api/v2/dags/other/dagRuns", json={"conf": {"x": [{"y": value}]}}),
        "note": lambda: client.patch("/api/v2/dags/other/dagRuns/1", json={"note": f"call {value} back"}),
        "key": lambda: client.post("/api/v2/variables", json={value: 1}),
        "escaped": lambda: client.post(
            "/api/v2/variables",
            content='{"v": "' + escaped + '"}',
            headers={"content-type": "application/json"},
        ),
        "path": lambda: client.get(f"/api/v2/dags/{value}/details"),
        "query": lambda: client.get("/api/v2/dags", params={"q": value}),
        "text": lambda: client.post("/api/v2/x", content=f"v={value}".encode()),
        "ui": lambda: client.post("/ui/anything", json=[value]),
        "xcom": lambda: client.post("/execution/xcoms/d/r/t/k", json=value),
    }[where]()
    assert answer.status_code == 422
    assert value not in answer.text
    assert airflow.seen == []


def test_what_the_log_keeps_of_a_refused_address_is_nothing(airflow: Airflow) -> None:
    client = TestClient(scoped := _Scoped(Intake(_nothing, airflow.open_case, airflow.who_may)))
    client.get("/api/v2/dags/13800138000", params={"q": "13800138000"})
    assert scoped.after == ("/refused", b"/refused", b"")


class _Scoped:
    """An access log outside the intake: it reads the scope after the answer."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.after: tuple[Any, ...] = ()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)
        if scope["type"] == "http":
            self.after = (scope["path"], scope["raw_path"], scope["query_string"])


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("a refused request went on")


@pytest.mark.parametrize("typed", ["13800138000", "li.si@example.com", "11010519491231002X"])
def test_a_person_typed_as_the_account_id_opens_nothing(
    client: TestClient, airflow: Airflow, typed: str
) -> None:
    answer = client.post(TRIGGER, json={"conf": {"account_id": typed}})
    assert answer.status_code == 422 and typed not in answer.text
    assert airflow.opened == [] and airflow.seen == []


def test_a_second_trigger_is_told_of_the_open_case(client: TestClient, airflow: Airflow) -> None:
    airflow.answer = Opened("CASE-000007", True)
    airflow.runs.add("CASE-000007")
    answer = client.post(TRIGGER, json={"conf": {"account_id": ACCOUNT}})
    assert answer.status_code == 409 and "CASE-000007" in answer.text
    assert airflow.seen == []


def test_a_case_that_was_opened_and_never_got_its_run_gets_it(client: TestClient, airflow: Airflow) -> None:
    airflow.answer = Opened("CASE-000007", True)
    assert client.post(TRIGGER, json={"conf": {"account_id": ACCOUNT}}).status_code == 200
    assert conf_seen(airflow)["dag_run_id"] == "CASE-000007"


def test_who_may_not_trigger_is_left_to_airflow_without_the_account(
    client: TestClient, airflow: Airflow
) -> None:
    airflow.user = None
    client.post(TRIGGER, json={"conf": {"account_id": ACCOUNT}})
    assert airflow.opened == []
    assert ACCOUNT.encode() not in airflow.seen[0][2]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Refused("there is no such account", about="account id"), 422),
        (NotReachable("the store is down"), 503),
    ],
)
def test_a_refusal_says_why(client: TestClient, airflow: Airflow, error: Exception, status: int) -> None:
    airflow.answer = error
    answer = client.post(TRIGGER, json={"conf": {"account_id": ACCOUNT}})
    assert answer.status_code == status and str(error) in answer.json()["detail"]
    assert airflow.seen == []


@pytest.mark.parametrize(
    ("said", "asked_for"),
    [
        ({"account_id": ACCOUNT}, "请核对账户编号"),
        ({"account_id": ACCOUNT, "ground": "limit_reached"}, "请核对事由"),
        (
            {"account_id": ACCOUNT, "ground": "shutdown", "channel": "schedule", "requester": "us"},
            "请核对事由",
        ),
        ({"account_id": ACCOUNT, "ground": "withdrawn_consent"}, "请核对事由"),
        ({"account_id": ACCOUNT, "channel": "schedule"}, "请核对事由"),
        ({"account_id": ACCOUNT, "requester": "us"}, "请核对事由"),
        ({"account_id": ACCOUNT, "requester": "objector"}, "请核对事由"),
    ],
)
def test_what_nobody_may_ask_for_is_refused_with_what_to_look_at(
    airflow: Airflow, said: dict[str, Any], asked_for: str
) -> None:
    def really(request: Request) -> Opened:
        opening.checked_request(request.ground, request.channel, request.requester)
        raise Refused("there is no such account", about="account id")

    app = Starlette(routes=[Route("/{rest:path}", airflow.take, methods=["POST"])])
    answer = TestClient(Intake(app, really, airflow.who_may)).post(TRIGGER, json={"conf": said})
    assert answer.status_code == 422 and asked_for in answer.json()["detail"]
    assert airflow.seen == []


def test_a_log_in_name_that_is_an_address_is_named_as_the_trouble(airflow: Airflow) -> None:
    def really(request: Request) -> Opened:
        book.checked_actor(f"support/{request.user}")
        raise AssertionError("the log-in was taken")

    airflow.user = "li.si@example.com"
    app = Starlette(routes=[Route("/{rest:path}", airflow.take, methods=["POST"])])
    answer = TestClient(Intake(app, really, airflow.who_may)).post(
        TRIGGER, json={"conf": {"account_id": ACCOUNT}}
    )
    detail = answer.json()["detail"]
    assert "登录名" in detail and "账户编号" not in detail and "li.si" not in detail


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"nonsense", b'{"conf": 3}', b'{"conf": {"account_id": 3}}', b'{"conf": {}}']
)
def test_a_trigger_that_makes_no_sense_is_refused(client: TestClient, airflow: Airflow, body: bytes) -> None:
    answer = client.post(TRIGGER, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert airflow.opened == [] and airflow.seen == []


def test_a_case_number_goes_through_as_it_is(client: TestClient, airflow: Airflow) -> None:
    assert client.post(TRIGGER, json={"conf": {"case": "CASE-000001", "account_id": None}}).status_code == 200
    assert conf_seen(airflow)["conf"] == {"case": "CASE-000001"}


def test_connections_log_in_and_everything_else_pass_untouched(client: TestClient, airflow: Airflow) -> None:
    for path in ("/api/v2/connections", "/auth/token", "/static/x.js"):
        assert client.post(path, json={"login": "li.si@example.com"}).status_code == 200
    assert len(airflow.seen) == 3


def test_the_consoles_addresses_are_screened_too(client: TestClient, airflow: Airflow) -> None:
    """The server's access log keeps the path of every page that somebody asked for."""
    assert client.get("/quietus/cases/CASE-000001?lang=en").status_code == 200
    answer = client.get("/quietus/cases/13800138000")
    assert answer.status_code == 422 and "13800138000" not in answer.text
    assert len(airflow.seen) == 1


def test_ids_times_and_digests_of_airflow_are_nobodys_numbers(client: TestClient, airflow: Airflow) -> None:
    answer = client.patch(
        "/execution/task-instances/01a20ba4-c835-7ca9-9145-14f1c82a4366/run",
        json={"state": "running", "hostname": "worker", "pid": 13800138000, "start_date": "2026-11-24T03:40:35.306848+00:00",
              "run_id": "manual__2026-11-24T03:40:35.306848+00:00", "digest": "e3b0c44298fc1c149afbf4c8996fb924"},
    )  # fmt: skip
    assert answer.status_code == 200, answer.text


def test_a_body_larger_than_any_form_is_refused(client: TestClient, airflow: Airflow) -> None:
    assert client.post("/api/v2/x", content=b"x" * (5 * 2**20)).status_code == 413
    assert airflow.seen == []


@pytest.mark.parametrize("path", ["/quietus/recipients/callback", "/quietus/errands/" + "0" * 32])
def test_what_another_company_or_a_proof_says_passes_unread_but_its_address_is_screened(
    airflow: Airflow, client: TestClient, path: str
) -> None:
    """Airflow neither reads nor keeps these bodies; the access log keeps every address."""
    body = b"x" * (screen.MAX_BODY + 1) + PERSONAL["a mobile number"].encode()
    assert client.post(path, content=body).status_code == 200
    assert airflow.seen[-1][2] == body
    answer = client.post(f"{path}?to={PERSONAL['a mobile number']}", content=b"{}")
    assert answer.status_code == 422 and PERSONAL["a mobile number"] not in answer.text
    assert len(airflow.seen) == 1


def test_a_number_of_a_request_is_nobodys_bank_card(client: TestClient) -> None:
    card = PERSONAL["a bank card number"]
    uuid = f"{card[:8]}-{card[8:12]}-{card[12:16]}-8000-000000000000"
    assert client.get(f"/quietus/recipients/v2/requests/{uuid}").status_code == 200
    assert client.get(f"/quietus/recipients/v2/requests/{card}").status_code == 422


# --- an errand's question ----------------------------------------------------------------------------------

QUESTION = "/api/v2/dags/recipient_errands/dagRuns/CASE-000007.arb.22222222/taskInstances/ask/-1/hitlDetails"
NUMBER = "2" * 32


def asks(airflow: Airflow, said: str | Exception | None, *, known: bool = True) -> TestClient:
    app = Starlette(routes=[Route("/{rest:path}", airflow.take, methods=["GET", "PATCH"])])

    async def is_known(_token: str | None) -> bool:
        return known

    def not_recorded(run_id: str) -> str | None:
        assert run_id == "CASE-000007.arb.22222222"
        if isinstance(said, Exception):
            raise said
        return said

    return TestClient(Intake(app, known=is_known, not_recorded=not_recorded))


def test_done_is_refused_until_something_is_recorded_and_says_where(airflow: Airflow) -> None:
    answer = {"chosen_options": ["Done 已办理"], "params_input": {}}
    refused = asks(airflow, NUMBER).patch(QUESTION, json=answer)
    assert refused.status_code == 409 and f"/quietus/errands/{NUMBER}" in refused.json()["detail"]
    assert asks(airflow, NotReachable("it is down")).patch(QUESTION, json=answer).status_code == 503
    assert airflow.seen == []
    assert asks(airflow, None).patch(QUESTION, json=answer).status_code == 200
    assert asks(airflow, NUMBER).get(QUESTION).status_code == 200, "it may be looked at"
    assert asks(airflow, NUMBER, known=False).patch(QUESTION, json=answer).status_code == 200, (
        "Airflow refuses strangers"
    )
    other = QUESTION.replace("recipient_errands", "account_cancellation")
    assert asks(airflow, NUMBER).patch(other, json=answer).status_code == 200
