"""What ops look at for retention nights: what is overdue, the nights, what comes, and how long it takes until it is gone.

Read from the case book alone, as the nights left it there: no store is asked, so that the page answers at once and shows
nothing that no proof has seen. Counts, rules and datasets only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Any

from airflow.api_fastapi.core_api.security import GetUserDep
from anyio import to_thread
from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from quietus_console import uploads
from quietus_console.connections import AirflowConnections
from quietus_console.plots import OTHERS, Plot, plot
from quietus_console.rendering import PREFIX, page
from quietus_console.roles import audits, operates, stops
from quietus_console.work import desk

from include.cases import book, holds
from include.cases.retention import backlog, figures, latency, nights, shortfall, starts, stopping, undecided
from include.cases.retention.figures import End
from include.cases.retention.nights import Night
from include.cases.retention.unproved import unproved
from include.catalogue import load
from include.model.errors import NotReachable, Refused
from include.model.times import PRC, observed_now, prc_date
from include.model.words import Role

router = APIRouter()
DAY = timedelta(days=1)
SHOWN = 30  # nights by days; and nights by the minute that found something
FALLEN = 14  # nights of which it stands there what fell short of the forecast
NOON = 12  # until then, in China, last night's number is today's


@router.get("/retention")
def retention(user: GetUserDep, lang: Annotated[str, Query(pattern="^(zh|en)$")] = "zh") -> HTMLResponse:
    """The page, for those who keep the nights going and those who audit them. Of holds auditors are told: everybody else reads
    of the same items as kept, whatever keeps them."""
    auditor = audits(user)
    if not (auditor or operates(user)):
        raise Refused(
            "the nights are for ops and auditors", about="retention",
            next_step="what becomes of a case is on its page; ask ops for more",
        )  # fmt: skip
    now = observed_now()
    with book.connect(AirflowConnections().postgres(book.RECORDS, Role.READER)) as conn:
        told = _told(conn, now, auditor)
    return page(
        "retention.html.j2", lang=lang, auditor=auditor, today=prc_date(now), legend=LEGEND[lang],
        reasons=REASONS, withdrawals=WITHDRAWALS, mark=uploads.mark(user, FORM) if stops(user) else None,
        mine=told["backlog"] is not None and book.person(told["backlog"].proposed_by) == user.get_name(),
        titles={f"{rule.id}/{p.name}": rule.title for rule in load().rules for p in rule.periods}, **told,
    )  # fmt: skip


FORM = "retention"  # what its mark is for
REASONS = {
    "wrong_items": ("处理了不应处理的数据", "what should stay goes, or may go"),
    "trouble": ("服务器或副本异常", "a server or a standby is in trouble"),
    "inquiry": ("接到调查或命令", "an inquiry or an order has come"),
    "drill": ("演练", "a drill"),
}
"""Why somebody stops it: a closed list, for there is no field of free text."""
WITHDRAWALS = {
    "rate": ("每晚数量不当", "the rate is not right"),
    "items": ("所含数据不当", "it covers what it should not"),
    "no_need": ("已无需要", "it is not needed any more"),
}
"""Why somebody ends a plan of stages."""


@router.post("/retention")
async def stop_or_resume(
    request: Request, user: GetUserDep, lang: Annotated[str, Query(pattern="^(zh|en)$")] = "zh"
) -> Response:
    """The emergency stop and its end, the word on a plan of stages and its end: a form that this page gave to this user."""
    if not stops(user):
        raise Refused("stopping and approving are for ops", about="retention", next_step="ask ops")
    try:
        form = await uploads.form_of(request)
        uploads.marked(form, user, FORM, request.headers.get("sec-fetch-site"))
        await to_thread.run_sync(_set, form.fields, f"ops/{user.get_name()}")
    except NotReachable as passing:
        return page("said.html.j2", 503, what=str(passing), lang=lang)
    except Refused as refused:
        return page("said.html.j2", 422, what=str(refused), lang=lang)
    return RedirectResponse(f"{PREFIX}/retention?lang={lang}", 303)


def _set(fields: Mapping[str, str], actor: str) -> None:
    match fields.get("deed"):
        case "approve":
            backlog.approve(desk(), fields.get("plan", ""), as_of=prc_date(observed_now()), actor=actor)
        case "withdraw":
            _, why = WITHDRAWALS.get(fields.get("why", ""), ("", ""))
            backlog.withdraw(desk(), fields.get("plan", ""), why, actor=actor)
        case deed:
            _stop(deed == "resume", fields, actor)


def _stop(resume: bool, fields: Mapping[str, str], actor: str) -> None:
    with desk().book() as conn, book.deed(conn, stopping.ABOUT):
        if resume:
            stopping.lift(conn, actor=actor)
            return
        _, why = REASONS.get(fields.get("why", ""), ("", ""))
        stopping.stop(conn, why, actor=actor)


def _told(conn: book.Conn, now: datetime, auditor: bool) -> dict[str, Any]:
    """What the page shows, by its name in the template."""
    days = figures.last_end(conn, "days")
    last = nights.latest(conn, "days", SHOWN)
    short = [n for n in nights.latest(conn, "hours", SHOWN * 5) if n.case_no or n.ended_at is None][:SHOWN]
    newest = {
        n.night_id for s in ("days", "hours") for n in nights.latest(conn, s, 1)
    }  # may be at work on it
    went = latency.went(conn, prc_date(now) - latency.DAYS * DAY)
    orders = holds.orders(conn, people=False) if auditor else ()
    return {
        "days": days,
        "verdict": verdict(days, now),
        "hours": figures.last_end(conn, "hours"),
        "worst_late": figures.worst_late(conn, now - DAY),
        "by_basis": Counter(order.basis.value for order in orders),
        "stopped": stopping.stopped(conn),
        "undecided": undecided.open_now(conn),
        "backlog": next((p for p in backlog.plans(conn) if p.ended is None), None),
        "starts": starts.of_night(conn, days.night) if days else (),
        "unproved": [u for u in unproved(conn) if u.night_id not in newest],
        "short": shortfall.of_nights(conn, last[:FALLEN]),
        "nights": last,
        "hour_nights": short,
        "runs": figures.runs(conn, [n.night_id for n in (*last, *short)]),
        "burn_down": burnt(last),
        "coming": foreseen(figures.forecast(conn, days.night), days.night)
        if days and days.night.foreseen
        else None,
        "came": figures.forecast_and_came(conn),
        "leads": figures.LEADS,
        "latencies": latency.latencies(went),
        "over_all": latency.over_all(went),
        "latency_days": latency.DAYS,
    }


def verdict(days: End | None, now: datetime) -> str:
    """What the one number may be called: ``good`` only if it is zero, of this night, and the whole estate was asked; ``bad``
    above zero (what a plan of stages covers is told beside it); else ``wait``, with the reason beside it."""
    if days is None:
        return "wait"
    if days.night.unplanned:
        return "bad"
    return "wait" if days.unverified or is_old(days.night, now) else "good"


def is_old(night: Night, now: datetime) -> bool:
    """Whether another night should have ended since."""
    today, hour = prc_date(now), now.astimezone(PRC).hour
    return night.as_of < (today - DAY if hour < NOON else today)


@dataclass(frozen=True)
class Foreseen:
    """What was forecast, by night and by rule. ``rules``: per rule what falls due in the first night, in 7, 30 and all."""

    rules: Mapping[str, tuple[int, ...]]
    totals: tuple[int, ...]
    nights: Sequence[tuple[date, Mapping[str, int]]]
    plot: Plot


LEGEND = {"zh": {OTHERS: "其他规则"}, "en": {OTHERS: "other rules"}}
FIRST = (1, 7, 30, figures.AHEAD)


def foreseen(coming: Mapping[date, Mapping[str, int]], night: Night) -> Foreseen:
    """The forecast of a night as a table and a plot, a column for each night, also for one of nothing."""
    all_days = [night.as_of + n * DAY for n in range(1, figures.AHEAD + 1)]
    columns = [(day, coming.get(day, Counter[str]())) for day in all_days]
    sums = [sum((Counter(of) for _, of in columns[:n]), Counter[str]()) for n in FIRST]
    rules = {rule: tuple(s[rule] for s in sums) for rule in sorted(sums[-1])}
    return Foreseen(
        rules, tuple(sum(s.values()) for s in sums), columns,
        plot([(day.isoformat(), of) for day, of in columns], cut_first=True),
    )  # fmt: skip


def burnt(last: Sequence[Night]) -> Plot | None:
    """What was left when each night had ended, the oldest first, as bars; None, if nothing was ever left or one night was."""
    ended = [n for n in reversed(last) if n.remaining is not None]
    if len(ended) < 2 or not any(n.remaining for n in ended):
        return None
    return plot([(n.as_of.isoformat(), {"left": n.remaining or 0}) for n in ended])
