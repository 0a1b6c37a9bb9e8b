"""The page of a shutdown order: its gates with their days, who takes over, what would move, go and stay, what was seen after T0,
how far each dataset's bags have come, the books, what waits, and what becomes of media.

Read from the case book, and from the catalogue what carries the data: the preview is the one that was counted last.
Counts, rules, datasets and companies only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Query
from fastapi import Path as PathParameter
from fastapi.responses import HTMLResponse
from quietus_console.connections import AirflowConnections
from quietus_console.rendering import page
from quietus_console.roles import audits

from include.cases import book
from include.cases.shutdown import begun, half_said, objecting, orders, short, tellings, who_asked
from include.cases.shutdown import media as of_media
from include.cases.shutdown import preview as previews
from include.cases.shutdown.accepting import ACCEPTED
from include.cases.shutdown.dates import LAW
from include.catalogue import load
from include.handover import heard, passing_ends, register, requests
from include.handover.heard import Answer
from include.handover.register import Bag
from include.model.handover import BagState
from include.model.times import observed_now, prc_date
from include.model.words import Role

# Of the events; their rooms stand on more than a page should import.
BOOKS, PROVED = "books", "conservation proved"
router = APIRouter()
Lang = Annotated[str, Query(pattern="^(zh|en)$")]
Number = Annotated[str, PathParameter(pattern=r"^SO-\d{6,}$")]
LOOKED = "collection looked at"
HOLDS = "book.hold"  # of how many holds there are, auditors are told


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
        bags, answers = register.bags(conn, number), heard.answers(conn, number)
        told = next(iter(tellings.tellings(conn, number)), None)
        objections = objecting.count(conn, number)
        asked = requests.stand(conn, number, today)
        carried = of_media.standing(load(), conn, of, today) if of.closed_on else ()
        tokens = who_asked.held(conn, number)
        halves = half_said.halves(conn, of, carried, today)
        shorts = short.found(conn, of) if of.in_force else ()
        shorts = () if shorts and short.answered(conn, of, shorts) else shorts
        kept_there = begun.elsewhere(conn, number, of.successor_certificate)
    auditor = audits(user)
    if counted is not None and not auditor:
        counted = previews.without_holds(counted)
    return page(
        "shutdown.html.j2", lang=lang, order=of, today=today, history=history, alarms=alarms, auditor=auditor,
        gates=[(g.value, days.due(g), done.get(g.value), LAW[g]) for g in days.gates], overdue=days.overdue(today),
        why=days.why(today), earliest=days.earliest(today), counted=counted, told=told, objections=objections,
        asked=asked, elsewhere=kept_there, carried=carried,
        tokens=tokens, tokens_until=passing_ends.last_day_of(load(), of),
        halves={name: half for half in halves for name in half.media}, shorts=shorts,
        # The run asks for what one document says; of another it is said by command.
        by_command={name for half in halves if half not in half_said.together(halves) for name in half.media},
        looked=_last(history, LOOKED), way=handed_over(bags, answers, auditor=auditor),
        books=_without_holds(_last(history, BOOKS), auditor), proved=_last(history, PROVED),
        answered=[e for e in history if e["what"] == ACCEPTED],
    )  # fmt: skip


@dataclass(frozen=True)
class Way:
    """How far the bags of a dataset have come. ``last``: its last one is packed; ``same``: bags of which both roots are equal, by
    the newest receipt; ``differ``: bags whose newest receipt says otherwise, with what it says."""

    dataset: str
    bags: int
    items: int
    sent: int
    received: int
    same: int
    last: bool
    differ: tuple[tuple[str, str], ...]


def handed_over(bags: Sequence[Bag], answers: Mapping[str, Answer], *, auditor: bool) -> list[Way]:
    """Dataset by dataset."""
    found: dict[str, list[Bag]] = {}
    for bag in bags:
        if auditor or bag.statement.dataset != HOLDS:
            found.setdefault(bag.statement.dataset, []).append(bag)
    return [
        Way(
            dataset, len(of), sum(b.statement.items for b in of), sum(b.state is not BagState.PACKED for b in of),
            sum(b.state is BagState.RECEIVED for b in of), sum(not _against(b, answers) and b.name in answers for b in of),
            any(b.last for b in of), tuple((b.name, why) for b in of if (why := _against(b, answers))),
        )
        for dataset, of in sorted(found.items())
    ]  # fmt: skip


def _against(bag: Bag, answers: Mapping[str, Answer]) -> str:
    """What the newest receipt of a bag says against it; nothing: there is none, or it says nothing."""
    said = answers.get(bag.name)
    if said is None:
        return ""
    if said.refused:
        return f"the receipt names differences: {said.refused}"
    return "" if said.root == bag.root or bag.unanswered else "the successor computed another root"


def _last(history: Sequence[Mapping[str, Any]], what: str) -> Mapping[str, Any] | None:
    return next((e for e in reversed(history) if e["what"] == what), None)


def _without_holds(books: Mapping[str, Any] | None, auditor: bool) -> Mapping[str, Any] | None:
    """The lines of the books that are about anything; that of the holds for auditors alone."""
    if books is None:
        return None
    lines = [
        x
        for x in books["detail"]["lines"]
        if (x["located"] or x["reasons"]) and (auditor or x["dataset"] != HOLDS)
    ]
    return {**books, "lines": lines}
