"""After T0 every recipient is told that the service stopped, and what becomes of all that it has from us (policy 11.2; PIPL 21).

One case of ground *shutdown* for the order, about nobody in particular, with a notice to each: the outbox, its channels, answers,
reminders and escalation are those of any case. A notice names nobody: it is about the recipient's whole stock of ours. Who works
for the successor from now on is told so, and keeps what the successor entrusts to it; everybody else returns and deletes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from include.cases import book
from include.cases.book import Case, Conn
from include.cases.notices import outbox
from include.cases.notices.composing import Given
from include.cases.notices.outcomes import outcomes
from include.cases.notices.whom import ToTell
from include.cases.opening import open_night
from include.cases.rooms import Desk
from include.cases.shutdown import orders
from include.cases.shutdown.orders import Order
from include.cases.shutdown.preview import to_tell
from include.cases.situation import facts, roll_up
from include.ledger.certificate import Told
from include.model.catalogue import Catalogue
from include.model.errors import Refused
from include.model.policy import RecipientRole
from include.model.words import CaseState, Ground

TOLD = "recipients told"
"""Of the event."""
At = Callable[[str], None]


@dataclass(frozen=True)
class Standing:
    """Where the recipients of an order stand. ``untold``: whom the catalogue has by now and nobody wrote to."""

    case_no: str | None
    told: tuple[Told, ...]
    untold: tuple[str, ...]

    @property
    def open(self) -> tuple[str, ...]:
        """Who gave no answer that ends it, and is not escalated."""
        return tuple(dict.fromkeys(t.recipient for t in self.told if t.outcome == "open"))


def tell(
    desk: Desk,
    number: str,
    *,
    serving: Collection[str] = (),
    as_of: date,
    actor: str,
    at: At = lambda _: None,
) -> Standing:
    """Write the notices, to whoever has none yet; where everybody stands then. ``serving``: recipients that work for the
    successor from now on. Raises Refused before collection is closed, for a recipient that is not one of them, and if somebody
    who was told to delete is to be told otherwise."""
    with orders.deed(desk, number) as (conn, of):
        wanted = _wanted(desk.catalogue, of, serving)
        before = _event(conn, number)
        if before is not None and not set(serving) <= set(before["serving"]):
            raise Refused(
                "recipients were told to delete already, and are not told otherwise", about=number,
                next_step="agree with them on paper; their answers are recorded as they give them",
            )  # fmt: skip
        if before is not None:
            case_no = str(before["case"])
        else:
            case_no = open_night(desk, conn, as_of, actor, Ground.SHUTDOWN)
            detail = {
                "case": case_no,
                "recipients": [t.recipient.id for t in wanted],
                "serving": sorted(serving),
            }
            orders.say(desk, conn, number, TOLD, as_of, actor, detail)
            at("recipients.opened")
        case = book.case(conn, case_no, lock=True)
        if before is None:
            _act(conn, case, as_of, actor)
        base = facts(conn, case, as_of, notice_written=True)
        known = {str(r["recipient"]) for r in outbox.listing(conn, case_no)}
        outbox.write(
            conn, case, desk.seal(case), [t for t in wanted if t.recipient.id not in known], facts=base, actor=actor
        )  # fmt: skip
        at("recipients.written")
        roll_up(conn, case_no, as_of, actor)
    return standing(desk, number)


def standing(desk: Desk, number: str) -> Standing:
    """Where everybody stands. Raises Refused if there is no such order."""
    with desk.book() as conn:
        of = orders.order(conn, number)
        event = _event(conn, number)
        every = [r.id for r, _ in to_tell(desk.catalogue, of)]
        if event is None:
            return Standing(None, (), tuple(every))
        case_no = str(event["case"])
        told = outcomes(conn, desk.catalogue, case_no)
        known = {str(r["recipient"]) for r in outbox.listing(conn, case_no)}
    return Standing(case_no, told, tuple(r for r in every if r not in known))


def close(desk: Desk, number: str, *, as_of: date, actor: str) -> CaseState | None:
    """Close the case of the notices once everybody's track has ended; where it stands then; None: there is none. Nothing of ours
    went by it, so there are no books of its own to balance."""
    with desk.book() as conn:
        event = _event(conn, number)
        if event is None:
            return None
        with book.deed(conn, str(event["case"])):
            case = book.case(conn, str(event["case"]), lock=True)
            if case.state is not CaseState.WAITING or outbox_open(conn, case.case_no):
                return case.state
            known = facts(conn, case, as_of, books_balance=True)
            return book.move(conn, case.case_no, CaseState.CLOSED, known, actor).state


def outbox_open(conn: Conn, case_no: str) -> bool:
    return any(r["state"] == outbox.NOTIFIED for r in outbox.listing(conn, case_no))


def _act(conn: Conn, case: Case, as_of: date, actor: str) -> None:
    book.move(conn, case.case_no, CaseState.ACTING, facts(conn, case, as_of), actor)


def _event(conn: Conn, number: str) -> dict[str, Any] | None:
    return next((e["detail"] for e in orders.history(conn, number) if e["what"] == TOLD), None)


def _wanted(catalogue: Catalogue, of: Order, serving: Collection[str]) -> list[ToTell]:
    if of.closed_on is None:
        raise Refused(
            "collection is not closed", about=of.number, next_step="use `quietus shutdown close-collection` on T0"
        )  # fmt: skip
    every = list(_notices(catalogue, of, serving))
    unknown = sorted(set(serving) - {t.recipient.id for t in every})
    if unknown:
        raise Refused(
            f"{', '.join(unknown)} is given nothing of what the order is about", about=of.number,
            next_step="name recipients as `quietus shutdown preview` lists them",
        )  # fmt: skip
    if serving and of.successor is None:
        raise Refused(
            "there is no successor whom they could serve", about=of.number, next_step="name one first"
        )
    return every


def _notices(catalogue: Catalogue, of: Order, serving: Collection[str]) -> Iterator[ToTell]:
    for recipient, categories in to_tell(catalogue, of):
        serves = recipient.id in serving
        says = f"{_words(of, serves)}{recipient.says}"
        # Whom the successor entrusts with it from now on is informed, and not instructed.
        role = (
            RecipientRole.INDEPENDENT
            if serves and recipient.role is not RecipientRole.LEDGER
            else recipient.role
        )
        told = recipient.model_copy(update={"says": says, "role": role})
        yield ToTell(told, Given(recipient.id, 0, fields=categories))


def _words(of: Order, serves: bool) -> str:
    """What a notice says beyond the usual: that it stopped, since when, and what becomes of the data."""
    what = "本公司" if of.scope == orders.COMPANY else f"我方服务（{'、'.join(of.services)}）"
    stopped = f"{what}已自{of.closed_on}起停止运营，不再收集个人信息（停止运营指令{of.number}）。"
    if serves:
        return (
            f"{stopped}承接方为{of.successor}。贵方今后受其委托处理的信息，依其与贵方的约定；贵方为我方持有的其余信息，请予删除。"
            "不再为我方持有任何信息的，请答复 NOTHING_HELD。"
        )  # fmt: skip
    successor = f"依法应当移交的信息已由我方移交承接方{of.successor}，无须贵方移交。" if of.successor else ""
    return (
        f"{stopped}{successor}请返还我方尚未取得的部分，并删除其余及返还后的全部信息；不得再以我方名义处理。"
    )
