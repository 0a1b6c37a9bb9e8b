"""The page of a shutdown order: its gates with their days, who takes over, what would move, go and stay, what was seen after T0.

Read from the case book alone: the preview is the one that was counted last. Counts, rules, datasets and companies only.
"""

from __future__ import annotations

from typing import Annotated

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Query
from fastapi import Path as PathParameter
from fastapi.responses import HTMLResponse
from quietus_console.connections import AirflowConnections
from quietus_console.rendering import page
from quietus_console.roles import audits

from include.cases import book
from include.cases.shutdown import orders
from include.cases.shutdown import preview as previews
from include.cases.shutdown.dates import LAW
from include.model.times import observed_now, prc_date
from include.model.words import Role

router = APIRouter()
Lang = Annotated[str, Query(pattern="^(zh|en)$")]
Number = Annotated[str, PathParameter(pattern=r"^SO-\d{6,}$")]
LOOKED = "collection looked at"


def _reader() -> book.Conn:
    return book.connect(AirflowConnections().postgres(book.RECORDS, Role.READER))


@router.get("/shutdown")
def every_order(lang: Lang = "zh") -> HTMLResponse:
    """Every order, the newest first, and what is overdue with the one in force."""
    with _reader() as conn:
        return page(
            "shutdowns.html.j2", lang=lang, orders=orders.orders(conn),
            alarms=orders.alarms(conn, prc_date(observed_now())),
        )  # fmt: skip


@router.get("/shutdown/{number}")
def one_order(number: Number, user: GetUserDep, lang: Lang = "zh") -> HTMLResponse:
    """One order. Of holds auditors are told: everybody else reads of the same items as kept, whatever keeps them."""
    today = prc_date(observed_now())
    with _reader() as conn:
        of = orders.order(conn, number)
        days = orders.days(conn, of)
        done = {g["gate"]: g for g in orders.gates(conn, number)}
        history = orders.history(conn, number)
        alarms = orders.alarms(conn, today) if of.in_force else ()
        counted = previews.kept(conn, number)
    auditor = audits(user)
    if counted is not None and not auditor:
        counted = previews.without_holds(counted)
    return page(
        "shutdown.html.j2", lang=lang, order=of, today=today, history=history, alarms=alarms, auditor=auditor,
        gates=[(g.value, days.due(g), done.get(g.value), LAW[g]) for g in days.gates], overdue=days.overdue(today),
        why=days.why(today), earliest=days.earliest(today), counted=counted,
        looked=next((e for e in reversed(history) if e["what"] == LOOKED), None),
    )  # fmt: skip
