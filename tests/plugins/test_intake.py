"""The intake, in front of an Airflow that only notes what reaches it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from quietus_console import intake
from quietus_console.intake import Intake, Opened, Request
from starlette.applications import Starlette
from starlette.requests import Request as Incoming
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

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
