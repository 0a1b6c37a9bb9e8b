"""The evidence console: cases with their clocks, one case in plain words, its proofs, its certificates.

Server-rendered, nothing to load from elsewhere, and read by the reader's role alone. Airflow's own log-in decides
who gets in; the auditor's edition of a certificate, which shows confidential holds, is not for those who only
open cases.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_view
from fastapi import Depends, FastAPI, Query, Request
from fastapi import Path as PathParameter
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from quietus_console.connections import AirflowConnections

from include.cases import book, certificates, decisions, explain, holds, outbox, papers, tracks
from include.catalogue import load
from include.model.errors import NotReachable, QuietusError, Refused
from include.model.times import PRC, observed_now, prc_date
from include.model.words import CaseState, Role

PREFIX = "/quietus"
AUDITS = frozenset({"VIEWER", "ADMIN"})
"""Airflow's roles whose work is to look. Who opens or decides cases reads the person's edition."""

CaseNo = Annotated[str, PathParameter(pattern=r"^CASE-\d{6,}$")]
Lang = Annotated[str, Query(pattern="^(zh|en)$")]
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

console = FastAPI(
    title="Quietus", docs_url=None, redoc_url=None, openapi_url=None,
    dependencies=[Depends(requires_access_view(AccessView.PLUGINS))],
)  # fmt: skip


def _templates() -> Environment:
    made = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters["moment"] = lambda t: t.astimezone(PRC).strftime("%Y-%m-%d %H:%M") if t else ""
    return made


TEMPLATES = _templates()


@contextmanager
def _reading() -> Iterator[book.Conn]:
    with book.connect(AirflowConnections().postgres(book.RECORDS, Role.READER)) as conn:
        yield conn


def _page(name: str, status: int = 200, **values: Any) -> HTMLResponse:
    return HTMLResponse(TEMPLATES.get_template(name).render(prefix=PREFIX, **values), status, HEADERS)


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
def cases(lang: Lang = "zh", state: CaseState | Literal[""] = "") -> HTMLResponse:
    """Cases, the late ones first, then newest first."""
    today = prc_date(observed_now())
    with _reading() as conn:
        late = {c.case_no for c in book.late(conn, today)}
        found = book.cases(conn, [state] if state else (), limit=500)
        open_holds = holds.listing(conn)
        reviews = holds.overdue_reviews(conn, today)
    found.sort(key=lambda c: c.case_no not in late)
    return _page(
        "cases.html.j2", lang=lang, cases=found, late=late, today=today, holds=len(open_holds), reviews=reviews,
        states=list(CaseState), state=state,
    )  # fmt: skip


@console.get("/cases/{case_no}")
def one_case(case_no: CaseNo, user: GetUserDep, lang: Lang = "zh") -> HTMLResponse:
    """One case: where it stands, what goes and stays in plain words, what was found, what is waited for."""
    catalogue = load()
    with _reading() as conn:
        case = book.case(conn, case_no)
        plan = _plan(conn, case)
        issued = conn.execute(
            "SELECT serial, kind, entry, issued_at FROM casebook.certificate WHERE case_no = %s AND issued_at IS NOT NULL"
            " ORDER BY serial DESC",
            (case_no,),
        ).fetchall()
        return _page(
            "case.html.j2",
            lang=lang,
            case=case,
            today=prc_date(observed_now()),
            words=explain.whole(plan, catalogue, lang) if plan else None,  # type: ignore[arg-type]
            findings=papers.open_findings(conn, case_no),
            decisions=decisions.decisions(conn, case),
            checks=decisions.checks(conn, case),
            recipients=outbox.listing(conn, case_no),
            backups=tracks.listing(conn, case_no),
            timeline=book.timeline(conn, case_no),
            certificates=issued,
            auditor=_audits(user),
        )


@console.get("/cases/{case_no}/proofs")
def proofs(case_no: CaseNo) -> HTMLResponse:
    """The case's proofs as the page that also stands by itself, offline."""
    from include.proofs.page import CertificateSummary, page

    with _reading() as conn:
        case = book.case(conn, case_no)
        plan = _plan(conn, case)
        if plan is None:
            raise Refused(
                "nothing was planned yet", about=case_no, next_step="come back when it is rehearsed"
            )
        evidence = [e for _, e in papers.evidence(conn, case_no)]
        row = conn.execute(
            "SELECT serial, kind, entry, issued_at FROM casebook.certificate WHERE case_no = %s AND issued_at IS NOT NULL"
            " ORDER BY serial DESC LIMIT 1",
            (case_no,),
        ).fetchone()
        size = conn.execute("SELECT coalesce(max(index) + 1, 0) AS n FROM ledger.entry").fetchone()
    summary = None
    if row is not None:
        summary = CertificateSummary(
            row["serial"], row["kind"], row["issued_at"], row["entry"], int(size["n"]) if size else 0
        )
    return HTMLResponse(page(case_no, evidence, plan, summary, catalogue=load()), headers=HEADERS)


@console.get("/cases/{case_no}/certificate/{serial}/{edition}.json")
def certificate(case_no: CaseNo, serial: int, edition: str, user: GetUserDep) -> Response:
    """A certificate as a file. The auditor's edition is for auditors."""
    if edition not in ("person", "auditor") or (edition == "auditor" and not _audits(user)):
        raise Refused(
            "this edition is not for you, or there is none such", about=case_no,
            next_step="take the person's edition, or ask an auditor",
        )  # fmt: skip
    with _reading() as conn:
        found = certificates.issued(conn, case_no, serial)
    name = f"{case_no}.{serial}.{edition}.json"
    return Response(
        getattr(found, edition), media_type="application/json",
        headers={**HEADERS, "Content-Disposition": f'attachment; filename="{name}"'},
    )  # fmt: skip


def _plan(conn: book.Conn, case: book.Case) -> Any:
    try:
        return papers.latest_plan(conn, case)
    except Refused:
        return None


def _audits(user: Any) -> bool:
    role = getattr(user, "role", None)
    return str(getattr(role, "name", role)).upper() in AUDITS


__all__ = ["PREFIX", "console"]
