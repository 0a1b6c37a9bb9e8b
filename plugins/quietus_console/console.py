"""The evidence console: cases with their clocks, one case in plain words, its proofs, its certificates.

Server-rendered, nothing to load from elsewhere, and read by the reader's role alone. Airflow's own log-in decides
who gets in; the auditor's edition of a certificate, which shows confidential holds, is not for those who only
open cases.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_view
from fastapi import Depends, FastAPI, Query, Request
from fastapi import Path as PathParameter
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from quietus_console import (
    control_pages,
    dataroom_pages,
    errand_pages,
    recipient_pages,
    retention_pages,
    shutdown_pages,
)
from quietus_console.connections import AirflowConnections
from quietus_console.rendering import HEADERS, PREFIX
from quietus_console.rendering import page as _page
from quietus_console.roles import AUDITS, audits

from include.cases import book, certificates, decisions, epochs, holds, papers
from include.cases.controls import nights
from include.cases.discretion import EVERYTHING, Discretion, discretion
from include.cases.notices import beyond, outbox
from include.cases.proofs_page import proofs_page
from include.catalogue import load, regions
from include.model.errors import NotReachable, QuietusError, Refused
from include.model.times import observed_now, prc_date
from include.model.words import CaseState, Role

CaseNo = Annotated[str, PathParameter(pattern=r"^CASE-\d{6,}$")]
Lang = Annotated[str, Query(pattern="^(zh|en)$")]
console = FastAPI(
    title="Quietus", docs_url=None, redoc_url=None, openapi_url=None,
    dependencies=[Depends(requires_access_view(AccessView.PLUGINS))],
)  # fmt: skip
console.include_router(errand_pages.router)
console.include_router(recipient_pages.router)
console.include_router(control_pages.router)
console.include_router(retention_pages.router)
console.include_router(shutdown_pages.router)
console.include_router(dataroom_pages.router)


@contextmanager
def _reading() -> Iterator[book.Conn]:
    with book.connect(AirflowConnections().postgres(book.RECORDS, Role.READER)) as conn:
        yield conn


@console.exception_handler(QuietusError)
async def said_plainly(request: Request, error: QuietusError) -> HTMLResponse:
    """What happened, and what to do next; never a traceback."""
    status = 503 if isinstance(error, NotReachable) else 404 if isinstance(error, Refused) else 500
    return _page("said.html.j2", status, what=str(error), lang="zh")


@console.exception_handler(RequestValidationError)
async def no_such_page(request: Request, error: RequestValidationError) -> HTMLResponse:
    """An address that cannot be one of ours. What was typed is not repeated: it may be a person's number."""
    what = "there is no such page. Next: a case is called CASE- and its number; start from the list of cases"
    return _page("said.html.j2", 422, what=what, lang="zh")


@console.get("/")
@console.get("/cases")
def cases(user: GetUserDep, lang: Lang = "zh", state: CaseState | Literal[""] = "") -> HTMLResponse:
    """Cases, the late ones first, then newest first."""
    today = prc_date(observed_now())
    with _reading() as conn:
        told = _discretion(conn, user)
        late = {c.case_no for c in book.late(conn, today)}
        states = told.looked_for((state,) if state else ())
        found = [told.case(c) for c in book.cases(conn, states, limit=500)]
        found = [c for c in found if not state or c.state is state]
        open_holds = [h for h in holds.listing(conn) if h["hold"] not in told.hidden]
        reviews = [h for h in holds.overdue_reviews(conn, today) if h not in told.hidden]
        given = beyond.listing(conn)
        blind = nights.blind(conn)
    catalogue = load()
    found.sort(key=lambda c: c.case_no not in late)
    return _page(
        "cases.html.j2", lang=lang, cases=found, late=late, today=today, holds=len(open_holds), reviews=reviews,
        states=list(CaseState), state=state, beyond=given, blind=blind, abroad=regions.abroad(catalogue),
        recipient_names={r.id: r.name for r in catalogue.recipients},
    )  # fmt: skip


@console.get("/cases/{case_no}")
def one_case(case_no: CaseNo, user: GetUserDep, lang: Lang = "zh") -> HTMLResponse:
    """One case: where it stands, what goes and stays in plain words, what was found, what is waited for."""
    catalogue = load()
    with _reading() as conn:
        told = _discretion(conn, user)
        case = told.case(book.case(conn, case_no))
        plan = _plan(conn, case)
        listed = certificates.for_auditors if audits(user) else certificates.for_the_person
        return _page(
            "case.html.j2",
            lang=lang,
            case=case,
            today=prc_date(observed_now()),
            plan=told.plan(plan) if plan else None,
            titles={d.id: d.title for d in catalogue.datasets},
            rules={r.id: f"{r.id} {r.title}" for r in catalogue.rules},
            categories={c.id: f"{c.id} {c.zh if lang == 'zh' else c.en}" for c in catalogue.categories},
            recipient_names={r.id: r.name for r in catalogue.recipients},
            findings=papers.open_findings(conn, case_no),
            decisions=decisions.decisions(conn, case),
            checks=decisions.checks(conn, case),
            recipients=told.notices(outbox.listing(conn, case_no)),
            backups=epochs.of_case(conn, case_no),
            timeline=told.timeline(book.timeline(conn, case_no)),
            certificates=listed(conn, case_no),
            auditor=audits(user),
        )


@console.get("/cases/{case_no}/proofs")
def proofs(case_no: CaseNo, user: GetUserDep) -> HTMLResponse:
    """The case's proofs as the page that also stands by itself, offline. For auditors: it counts what holds keep."""
    with _reading() as conn:
        case = book.case(conn, case_no)
        if not audits(user):
            raise Refused(
                "the proofs are for auditors", about=case_no,
                next_step="what became of the case is on its page; ask an auditor for more",
            )  # fmt: skip
        return HTMLResponse(proofs_page(conn, case, load()), headers=HEADERS)


@console.get("/cases/{case_no}/certificate/{serial}/{edition}.json")
def certificate(case_no: CaseNo, serial: int, edition: str, user: GetUserDep) -> Response:
    """A certificate as a file, by the serial of its edition. The auditor's is for auditors."""
    if edition not in ("person", "auditor") or (edition == "auditor" and not audits(user)):
        raise Refused(
            "this edition is not for you, or there is none such", about=case_no,
            next_step="take the person's edition, or ask an auditor",
        )  # fmt: skip
    with _reading() as conn:
        found = certificates.edition(conn, case_no, edition, serial)
    name = f"{case_no}.{serial}.{edition}.json"
    return Response(
        found, media_type="application/json",
        headers={**HEADERS, "Content-Disposition": f'attachment; filename="{name}"'},
    )  # fmt: skip


def _plan(conn: book.Conn, case: book.Case) -> Any:
    try:
        return papers.latest_plan(conn, case)
    except Refused:
        return None


def _discretion(conn: book.Conn, user: Any) -> Discretion:
    return EVERYTHING if audits(user) else discretion(conn)


__all__ = ["AUDITS", "PREFIX", "console"]
