"""A successor withdraws once our copy of something went on its receipts: it has the only one, and so it stays its custodian.

The law knows no other way: what is handed over is kept by whoever took it (ESL 23, 24), and the ministry arranges who takes over
the rest (ESL 23 para. 3). Both approvers of the order say so by one document, each as themselves, in which that company says
until when it keeps what it has and that it destroys its copy of everything else. Then the rest of the order can go on to another
successor (:mod:`include.handover.former`). The contact is for people, and in no ledger.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from include.cases import book
from include.cases.book import Conn
from include.cases.rooms import Desk
from include.cases.shutdown import begun, both, orders
from include.cases.shutdown.both import Both
from include.cases.shutdown.orders import Order
from include.cases.shutdown.told import Paper, checked_contact, checked_paper
from include.model import ranges
from include.model.errors import Refused

WITHDREW, LEFT, SETTLED = "successor withdrew", "left with who withdrew", "went on without who withdrew"
"""Of the events: it withdrew; an approver says that it stays custodian of what it has alone; and how each bag ended by that."""


@dataclass(frozen=True)
class Former:
    """A company that withdrew. ``event``: in which that was said; ``certificate``: SHA-256 of the one bags were sealed to."""

    event: int
    company: str
    certificate: str


def former(conn: Conn, number: str) -> Former | None:
    """Who withdrew last, if bags had been packed for it, and the order did not go on without it yet."""
    settled = max((e["event_id"] for e in _events(conn, number, SETTLED)), default=0)
    for e in reversed(_events(conn, number, WITHDREW)):
        if e["event_id"] < settled:
            return None
        rows = conn.execute(
            "SELECT DISTINCT s.said ->> 'successor' AS company, s.said ->> 'recipient' AS certificate"
            " FROM casebook.handover_bag AS b CROSS JOIN LATERAL (SELECT convert_from(b.statement, 'UTF8')::jsonb AS said) AS s"
            " WHERE b.order_no = %s AND b.left_items IS NULL",
            (number,),
        ).fetchall()
        return Former(int(e["event_id"]), rows[0]["company"], rows[0]["certificate"]) if rows else None
    return None


def answered(conn: Conn, of: Order) -> Both | None:
    """Both approvers' word about the withdrawal that was said last; None: not both have given it."""
    who = former(conn, of.number)
    return None if who is None else both.answer(conn, of, LEFT, lambda d: d["withdrew"] == who.event)


def leave(desk: Desk, number: str, *, contact: str, paper: Paper, as_of: date, actor: str) -> tuple[str, ...]:
    """The word of one approver: who withdrew stays custodian of what it alone has; the roles of those whose word is waited for.
    ``contact``: where people turn to with what that company keeps.

    Raises Refused if nobody withdrew or nothing went on its receipts, before the ministry was asked or another was named, or for
    anybody but the approvers.
    """
    checked_paper(paper, number)
    checked_contact("contact", contact)
    with orders.deed(desk, number) as (conn, of):
        who = former(conn, number)
        if who is None or who.certificate == of.successor_certificate:
            raise Refused("nobody withdrew for whom bags were packed", about=number, next_step=orders.SEE)
        if of.successor is None and of.ministry_asked_on is None:
            raise Refused(
                "nobody takes over the rest, and the ministry was not asked to arrange it (ESL 23 para. 3)", about=number,
                next_step="ask it, and record that (`quietus shutdown successor … --ministry-asked`), or name who takes over",
            )  # fmt: skip
        went = begun.going_by(conn, number)
        if not went:
            raise Refused(
                "nothing went here on its receipts: nobody but us has it", about=number,
                next_step="withdraw the order and open another, which hands everything to the next successor",
            )  # fmt: skip
        about = {
            "withdrew": who.event,
            "company": who.company,
            "certificate": who.certificate,
            "bags": ranges.short(went),
        }
        waits = both.say(desk, conn, of, LEFT, paper, about, as_of=as_of, actor=actor)
        conn.execute(
            "INSERT INTO casebook.shutdown_left (number, withdrew, company, contact, recorded_by) VALUES (%s, %s, %s, %s, %s)"
            " ON CONFLICT (number, withdrew) DO UPDATE SET contact = EXCLUDED.contact",
            (number, who.event, who.company, contact.strip(), book.checked_actor(actor)),
        )
    return waits


def custodians(conn: Conn, number: str) -> list[tuple[str, str]]:
    """Companies that keep something of the order though they take over no more, each with its contact for people."""
    rows = conn.execute(
        "SELECT DISTINCT l.company, l.contact FROM casebook.shutdown_left AS l WHERE l.number = %(n)s AND EXISTS ("
        " SELECT FROM casebook.handover_bag AS b WHERE b.order_no = l.number AND b.left_items > 0"
        " AND convert_from(b.statement, 'UTF8')::jsonb ->> 'successor' = l.company) ORDER BY 1",
        {"n": number},
    ).fetchall()
    return [(str(r["company"]), str(r["contact"])) for r in rows]


def _events(conn: Conn, number: str, what: str) -> list[Mapping[str, Any]]:
    return conn.execute(
        "SELECT event_id, detail FROM casebook.shutdown_event WHERE number = %s AND what = %s ORDER BY event_id",
        (number, what),
    ).fetchall()
