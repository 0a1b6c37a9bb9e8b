"""The intake: a root middleware that keeps people out of Airflow.

Support triggers ``account_cancellation`` with an opaque account id. Here, before Airflow reads, audits or
stores the request, a case is opened and the id is swapped for its number. Everything else that Airflow's API is
sent is screened, and refused without an echo if it holds a personal value.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any

from anyio import to_thread
from quietus_console import finishing, screen

from include.model.errors import NotReachable, QuietusError
from include.model.words import Channel, Ground, Requester

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

PROMISE = "account_cancellation"
TRIGGERS = (f"/api/v2/dags/{PROMISE}/dagRuns",)


@dataclass(frozen=True)
class Request:
    """What support asked for, with the user who asked. Held in memory for one request."""

    account_id: str
    ground: Ground
    channel: Channel
    requester: Requester
    user: str


@dataclass(frozen=True)
class Opened:
    """The case, and whether it was open before."""

    case_no: str
    joined: bool


_ZH_NEXT = {
    "account id": "请核对账户编号",
    "log-in name": "您的登录名含个人信息,请联系管理员更换登录名",
    "new case": "请核对事由、渠道与请求人",
}
_ZH_OTHERWISE = "未做任何更改"
"""What a refusal asks for, in Chinese, by what it is about."""

Open = Callable[[Request], Opened]
Resolve = Callable[[str | None], Awaitable[str | None]]
"""From a token to the name of a user who may trigger the promise; None if Airflow itself is to refuse."""


class Refusal(Exception):
    """An answer to give instead of passing the request on. ``detail`` never holds what was sent."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class Intake:
    """The middleware. All but ``app`` is handed in by tests; by default it is the real house."""

    def __init__(
        self, app: App, open_case: Open | None = None, who_may: Resolve | None = None,
        known: Callable[[str | None], Awaitable[bool]] | None = None,
        not_recorded: Callable[[str], str | None] | None = None,
    ) -> None:  # fmt: skip
        self.app = app
        self.open_case = open_case or _open_case
        self.who_may = who_may or _who_may
        self.known = known or _known
        self.not_recorded = not_recorded or finishing.not_recorded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not screen.is_screened(_path(scope)):
            await self.app(scope, receive, send)
            return
        scope[finishing.WHOLE] = self
        try:
            self._screened_path(scope)
            await self._recorded_first(scope)
            if screen.body_is_screened(_path(scope)):
                receive = _replay(await self._screened(scope, receive), receive)
        except Refusal as refusal:
            await _answer(send, refusal)
            return
        await self.app(scope, receive, send)

    @staticmethod
    def _screened_path(scope: Scope) -> None:
        if kind := screen.in_path(_path(scope), scope.get("query_string", b"").decode("latin-1")):
            _forget_path(scope)
            raise _personal(kind, "the address of this request")

    async def _recorded_first(self, scope: Scope) -> None:
        """*Done* on an errand of which nothing is recorded is no answer. Strangers are left to Airflow to refuse."""
        run_id = finishing.pressed(scope["method"], _path(scope))
        if run_id is None or not await self.known(_token(scope)):
            return
        try:
            number = await to_thread.run_sync(self.not_recorded, run_id)
        except NotReachable as passing:
            raise Refusal(503, f"{passing} 系统暂时无法连接,请稍后再试") from None
        if number is not None:
            raise Refusal(
                409,
                f"nothing is recorded of this errand yet. Next: record it at /quietus/errands/{number}, which answers this "
                "question, too 该事项尚未记录;请先在其页面记录,记录后本问题自动完成",
            )

    async def _screened(self, scope: Scope, receive: Receive) -> bytes:
        path = _path(scope)
        body = await _read(receive)
        if scope["method"] == "POST" and path.rstrip("/") in TRIGGERS:
            return await self._triggered(scope, body)
        if kind := screen.in_body(body, _header(scope, b"content-type")):
            raise _personal(kind, "this request")
        return body

    async def _triggered(self, scope: Scope, body: bytes) -> bytes:
        """The trigger of the promise: the account id goes, the case number comes."""
        try:
            said = json.loads(body)
            conf = dict(said.get("conf") or {})
        except (ValueError, AttributeError, TypeError):
            raise Refusal(422, "the request is not a JSON object with a conf 请求格式不正确") from None
        account_id = conf.pop("account_id", None)
        # What is left is screened as everything else; an account id has no business there any more.
        if kind := screen.in_body(json.dumps({**said, "conf": conf}).encode(), "application/json"):
            raise _personal(kind, "the form")
        if account_id is None or account_id == "":
            if not conf.get("case"):
                raise Refusal(
                    422,
                    "give an opaque account id (acct_ and twelve characters), or the number of a case to go on with "
                    "请填写账户编号(acct_ 加 12 位字符),或已有案件的编号",
                )
            return _with_conf(scope, said, conf, None)
        if not isinstance(account_id, str):
            raise Refusal(422, "the account id is not text 账户编号不是文本")
        user = await self.who_may(_token(scope))
        if user is None:  # Airflow answers 401 or 403 in its own words, to a request that names nobody
            return _with_conf(scope, said, conf, None)
        opened = await to_thread.run_sync(self._opened, account_id, conf, user)
        if opened.joined and await _runs_already(opened.case_no):
            raise Refusal(
                409,
                f"{opened.case_no} is open for this person already; your request joined it. Next: go on with its run "
                f"该用户已有进行中的案件 {opened.case_no},本次请求已并入",
            )
        conf["case"] = opened.case_no
        return _with_conf(scope, said, conf, opened.case_no)

    def _opened(self, account_id: str, conf: dict[str, Any], user: str) -> Opened:
        if kind := screen.kind_in(account_id) if not account_id.startswith("acct_") else None:
            raise _personal(kind, "the account id")
        try:
            request = Request(
                account_id=account_id,
                ground=Ground(conf.get("ground") or Ground.CANCELLATION),
                channel=Channel(conf.get("channel") or Channel.APP),
                requester=Requester(conf.get("requester") or Requester.SELF),
                user=user,
            )
        except ValueError:
            raise Refusal(422, "ground, channel or requester is none of those in the form 选项无效") from None
        try:
            return self.open_case(request)
        except NotReachable as passing:
            raise Refusal(503, f"{passing} 系统暂时无法连接,请稍后再试") from None
        except QuietusError as said:
            raise Refusal(422, f"{said} {_ZH_NEXT.get(said.about, _ZH_OTHERWISE)}") from None


# --- requests -------------------------------------------------------------------------------------


def _path(scope: Scope) -> str:
    return screen.inside(str(scope.get("path") or ""), str(scope.get("root_path") or ""))


def _header(scope: Scope, name: bytes) -> str:
    return next((v.decode("latin-1") for k, v in scope.get("headers") or () if k.lower() == name), "")


def _token(scope: Scope) -> str | None:
    """The caller's token: an explicit credential wins over the session's cookie, as in Airflow itself."""
    scheme, _, credentials = _header(scope, b"authorization").partition(" ")
    if scheme.lower() == "bearer" and credentials:
        return credentials
    cookie = SimpleCookie(_header(scope, b"cookie")).get("_token")
    return cookie.value if cookie else None


async def _read(receive: Receive) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Refusal(400, "the request ended early")
        part = message.get("body", b"")
        size += len(part)
        if size > screen.MAX_BODY:
            raise Refusal(413, "the request is larger than any form of Airflow 请求过大")
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    told = False

    async def again() -> MutableMapping[str, Any]:
        nonlocal told
        if told:
            return await receive()
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _with_conf(scope: Scope, said: dict[str, Any], conf: dict[str, Any], run_id: str | None) -> bytes:
    """The request that Airflow gets. The run is called after its case, so that a double click is one run."""
    kept = {k: v for k, v in conf.items() if v is not None}
    new = {**said, "conf": kept}
    if run_id is not None:
        new["dag_run_id"] = run_id
    body = json.dumps(new, ensure_ascii=False).encode()
    length = str(len(body)).encode()
    scope["headers"] = [
        (k, length if k.lower() == b"content-length" else v) for k, v in scope.get("headers") or ()
    ]
    return body


def _forget_path(scope: Scope) -> None:
    """The access log, outside of us, reads the scope after the answer."""
    scope["path"] = "/refused"
    scope["raw_path"] = b"/refused"
    scope["query_string"] = b""


def _personal(kind: str, where: str) -> Refusal:
    return Refusal(
        422,
        f"{where} holds {kind}; personal data may not enter Airflow, and nothing was stored. Next: use the opaque "
        "account id, acct_ and twelve characters 请求含个人信息,已拒绝且未保存;请改用账户编号",
    )


async def _answer(send: Send, refusal: Refusal) -> None:
    body = json.dumps({"detail": refusal.detail}, ensure_ascii=False).encode()
    await send(
        {
            "type": "http.response.start",
            "status": refusal.status,
            "headers": [
                (b"content-type", b"application/json; charset=utf-8"),
                (b"content-length", str(len(body)).encode()),
                (b"cache-control", b"no-store"),
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})


# --- the real house ---------------------------------------------------------------------------------


def _open_case(request: Request) -> Opened:
    from quietus_console.work import desk

    from include.cases import verbs
    from include.model.times import observed_now

    opened = verbs.open_case(
        desk(), request.account_id, ground=request.ground, channel=request.channel,
        requester=request.requester, trigger_user=f"support/{request.user}", received_at=observed_now(),
    )  # fmt: skip
    return Opened(opened.case_no, opened.joined)


async def _known(token: str | None) -> bool:
    from airflow.api_fastapi.core_api.security import resolve_user_from_token
    from fastapi import HTTPException

    try:
        await resolve_user_from_token(token)
    except HTTPException:
        return False
    return True


async def _who_may(token: str | None) -> str | None:
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
    from airflow.api_fastapi.core_api.security import resolve_user_from_token
    from fastapi import HTTPException

    try:
        user = await resolve_user_from_token(token)
    except HTTPException:
        return None
    allowed = get_auth_manager().is_authorized_dag(
        method="POST", access_entity=DagAccessEntity.RUN, details=DagDetails(id=PROMISE), user=user
    )
    return user.get_name() if allowed else None


async def _runs_already(case_no: str) -> bool:
    """Whether Airflow has a run called after this case: opening may have been cut off before triggering."""

    def look() -> bool:
        from airflow.models.dagrun import DagRun
        from airflow.utils.session import create_session
        from sqlalchemy import select

        with create_session() as session:
            found = session.scalar(
                select(DagRun.id).where(DagRun.dag_id == PROMISE, DagRun.run_id == case_no)
            )
        return found is not None

    return bool(await to_thread.run_sync(look))
