"""The law's days before a stop were not kept, and nothing can mend that any more: what both approvers answer for.

Until collection is closed whatever is filed late moves T0 (:mod:`include.cases.shutdown.dates`). A day that is recorded, or
corrected, after that moves nothing: it may show that a notice was shorter than the law wants (Electronic Signature Law 23: 90 and
60 days; E-commerce Law 16: 30). The truth is recorded all the same. The service is certified once both approvers answer for it by
one document. A day or document that is corrected again is answered for again. No law names days where a licence was revoked.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from include.cases.book import Conn
from include.cases.rooms import Desk
from include.cases.shutdown import both, orders
from include.cases.shutdown.both import Both
from include.cases.shutdown.dates import LAW, Gate, Path
from include.cases.shutdown.orders import Order
from include.cases.shutdown.told import Paper, checked_paper
from include.model.errors import Refused

SHORT = "shorter notice answered for"
"""Of the event."""


@dataclass(frozen=True)
class Short:
    """A gate that was done fewer days before collection was closed than the law wants; ``kept`` below zero: after that."""

    gate: Gate
    done_on: date
    days: int
    kept: int
    document: str
    digest: str

    def __str__(self) -> str:
        kept = f"{self.kept} days before" if self.kept >= 0 else f"{-self.kept} days after"
        return (
            f"gate {self.gate}: was done on {self.done_on}, {kept} collection was closed, and the law wants {self.days}"
            f" ({LAW[self.gate]})"
        )


def found(conn: Conn, of: Order) -> tuple[Short, ...]:
    """Each such gate of an order whose collection is closed."""
    leads = orders.days(conn, of).leads
    if of.closed_on is None or of.path is not Path.VOLUNTARY:
        return ()
    every = [
        Short(gate, g["done_on"], leads[gate], (of.closed_on - g["done_on"]).days, g["document"], g["digest"])
        for g in orders.gates(conn, of.number)
        if (gate := Gate(g["gate"])) in leads
    ]
    return tuple(x for x in every if x.kept < x.days)


def answered(conn: Conn, of: Order, short: tuple[Short, ...]) -> Both | None:
    """The answer of both for these, as they were recorded; None: they did not give one."""
    return both.answer(conn, of, SHORT, lambda d: d["gates"] == _told(short))


def answer(desk: Desk, number: str, *, paper: Paper, as_of: date, actor: str) -> tuple[str, ...]:
    """One approver answers for all of them; the roles of those whose word is waited for. Raises Refused for anybody else, or if
    the law's days were kept."""
    checked_paper(paper, number)
    with orders.deed(desk, number) as (conn, of):
        short = found(conn, of)
        if not short:
            raise Refused(
                "no gate was done later than the law lets it, or collection is not closed", about=number,
                next_step="nothing is to be answered for",
            )  # fmt: skip
        about = {"gates": _told(short)}
        return both.say(desk, conn, of, SHORT, paper, about, as_of=as_of, actor=actor)


def _told(short: tuple[Short, ...]) -> dict[str, dict[str, str]]:
    return {
        s.gate.value: {"done_on": s.done_on.isoformat(), "document": s.document, "digest": s.digest}
        for s in short
    }
