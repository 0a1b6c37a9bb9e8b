"""The key of the gathered identifiers is lost: what of it can be mended, and who answers for what cannot.

While nothing went by the order they are gathered anew (:func:`include.cases.shutdown.needles.gather`). Afterwards nobody can say
whose an identifier was: so the look through the estate seeks none, and says so, UNVERIFIED. Both approvers of the order declare
the key lost, by one document; then the service is certified with what was not looked for, by name, and with their answer. No key
that can be read is lost, and none of a key store that is away.
"""

from __future__ import annotations

from datetime import date

from include.cases.book import Conn
from include.cases.rooms import Desk
from include.cases.shutdown import both, needles, orders
from include.cases.shutdown.both import Both
from include.cases.shutdown.told import Paper, checked_paper
from include.model.errors import Refused

LOST = "key of identifiers declared lost"
"""Of the event."""


def declare(desk: Desk, number: str, *, paper: Paper, as_of: date, actor: str) -> tuple[str, ...]:
    """One approver of the order says so; the roles of those whose word is waited for. Raises Refused for anybody else, before
    anything was gathered, while the key can be read, or identifiers can be gathered anew; NotReachable if the key store is
    away."""
    checked_paper(paper, number)
    with orders.deed(desk, number) as (conn, of):
        since = needles.gathered(conn, number)
        if since is None:
            raise Refused(
                "nobody's identifiers were gathered, so no key of them is lost", about=number,
                next_step="use `quietus shutdown close-collection`, which gathers them",
            )  # fmt: skip
        why = needles.lost(desk, number)
        if not why:
            raise Refused("the key is there", about=number, next_step="nothing is to be declared")
        if not needles.too_late(conn, number):
            raise Refused(
                "nothing went by the order yet, so identifiers can be gathered anew", about=number,
                next_step="run `quietus shutdown close-collection` again (in Airflow: clear `t0.prove`), which gathers them",
            )  # fmt: skip
        about = {"gathered": since["event_id"], "identifiers": since["detail"]["identifiers"], "why": why}
        return both.say(desk, conn, of, LOST, paper, about, as_of=as_of, actor=actor)


def declared(desk: Desk, conn: Conn, number: str) -> Both | None:
    """The answer of both for the key of what was gathered last; None: they did not give one, or the key is there again."""
    since = needles.gathered(conn, number)
    if since is None or not needles.lost(desk, number):
        return None
    of = orders.order(conn, number)
    return both.answer(conn, of, LOST, lambda d: d["gathered"] == since["event_id"])
