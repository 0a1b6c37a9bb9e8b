"""The errands' pages: what only a person can do, what to say, and where its proof and its answer are recorded.

The letter is opened from its seal for who may trigger *recipient_errands*, shown, and kept nowhere. A form is taken only
with the mark that this console gave to this user for this errand: no other site can send one in their name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from airflow.api_fastapi.core_api.security import GetUserDep
from anyio import to_thread
from fastapi import APIRouter, Query, Request
from fastapi import Path as PathParameter
from fastapi.responses import HTMLResponse
from quietus_console import uploads
from quietus_console.errand_forms import PARTS, answer_of, reason_of
from quietus_console.errand_numbers import PATTERN, number_of, open_errand, open_of_request, request_of
from quietus_console.finishing import Finishing
from quietus_console.rendering import page
from quietus_console.work import ERRANDS, desk, today
from starlette.background import BackgroundTask

from include.cases.book import Conn
from include.cases.notices import answering, errands
from include.catalogue import load
from include.model.errors import NotReachable, Refused
from include.model.notices import AnswerCode, Judgement

Number = Annotated[str, PathParameter(pattern=PATTERN)]
Lang = Annotated[str, Query(pattern="^(zh|en)$")]
CODES = tuple(code for code in AnswerCode if code.from_outside)

router = APIRouter()


@router.get("/errands")
def listing(user: GetUserDep, lang: Lang = "zh") -> HTMLResponse:
    """Every open errand, the one that is due first on top. Nothing here is about a person."""
    with desk().book() as conn:
        waiting = errands.listing(conn)
    names = {r.id: r.name for r in load().recipients}
    shown = [{**e, "number": number_of(e)} for e in waiting]
    shown.sort(key=lambda e: (e["due"] is None, e["due"]))
    return page("errands.html.j2", lang=lang, errands=shown, names=names, today=today(), may=may_act(user))


@router.get("/errands/{number}")
def one_errand(number: Number, user: GetUserDep, lang: Lang = "zh") -> HTMLResponse:
    """What to say to whom, and the forms for what came of it."""
    allowed(user)
    return _errand(number, user, lang)


@router.post("/errands/{number}")
async def record(number: Number, request: Request, user: GetUserDep, lang: Lang = "zh") -> HTMLResponse:
    """What was done or answered, with its proof."""
    allowed(user)
    try:
        form = await uploads.form_of(request)
        uploads.marked(form, user, number, request.headers.get("sec-fetch-site"))
        before = await to_thread.run_sync(_open_about, number)
        judged = await to_thread.run_sync(_recorded, number, form, user)
        after = await to_thread.run_sync(_open_about, number)
    except NotReachable as passing:
        return page("said.html.j2", 503, what=str(passing), lang=lang)
    except Refused as refused:
        return page("said.html.j2", 422, what=str(refused), lang=lang)
    finishing = Finishing(request.scope, [e for n, e in before.items() if n not in after])
    answered = await finishing.now()
    shown = page("errand_done.html.j2", lang=lang, judged=judged, open=number in after, answered=answered)
    shown.background = BackgroundTask(finishing.later)
    return shown


def _open_about(number: str) -> dict[str, dict[str, Any]]:
    """What is open about the notice of an errand, by number: recording one thing may end another."""
    with desk().book() as conn:
        return {number_of(e): e for e in open_of_request(conn, request_of(number))}


def _recorded(number: str, form: uploads.Form, user: Any) -> tuple[Judgement, ...]:
    at, request_id, actor = desk(), request_of(number), f"errand/{user.get_name()}"
    deed = form.fields.get("deed")
    if deed in ("accept", "decline"):
        answering.decide(
            at, int(number.partition("-")[2] or 0), accepted=deed == "accept", why=reason_of(form.fields),
            as_of=today(), actor=actor,
        )  # fmt: skip
        return ()
    if deed == "carried":
        errands.carried(at, request_id, proof=form.proof, as_of=today(), actor=actor)
        return ()
    if form.proof is None:
        raise Refused(
            "an answer needs its proof",
            about="errand",
            next_step="attach the letter, mail or note of the call",
        )
    parts = answer_of(form.fields)
    return errands.answered(at, request_id, parts, form.proof, as_of=today(), actor=actor)


def _errand(number: str, user: Any, lang: str) -> HTMLResponse:
    at = desk()
    with at.book() as conn:
        found = open_errand(conn, number)
        answer = answering_of(conn, found)
    if found is None:
        raise Refused("this errand is not open", about="errand", next_step="start from the list of errands")
    said = errands.what_to_say(at, request_of(number))
    return page(
        "errand.html.j2", lang=lang, errand=found, number=number, said=said, parts=range(PARTS), codes=CODES, answer=answer,
        categories={c.id: f"{c.id} {c.zh if lang == 'zh' else c.en}" for c in load().categories},
        mark=uploads.mark(user, number), types=", ".join(uploads.TYPES), megabytes=uploads.MAX_PROOF // 2**20,
    )  # fmt: skip


def answering_of(conn: Conn, errand: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The part of an answer that somebody is to judge: its code and the law that it names; nothing about a person."""
    if errand is None or errand["answer_id"] is None:
        return None
    return conn.execute(
        "SELECT code, categories, law, until, why FROM casebook.answer WHERE answer_id = %s",
        (errand["answer_id"],),
    ).fetchone()


def may_act(user: Any) -> bool:
    """Whether this user may trigger *recipient_errands*, and so do what it asks for."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails

    return bool(
        get_auth_manager().is_authorized_dag(
            method="POST", access_entity=DagAccessEntity.RUN, details=DagDetails(id=ERRANDS), user=user
        )
    )


def allowed(user: Any) -> None:
    if not may_act(user):
        raise Refused(
            "errands are for who may trigger recipient_errands", about="errand",
            next_step="ask a colleague of support or operations",
        )  # fmt: skip
