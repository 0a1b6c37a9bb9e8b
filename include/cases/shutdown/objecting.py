"""Who objects to the handover (PIPL 22, 44). It lifts no duty to keep and hand on (ESL 23, 24): what a statute hands over of an
objector goes restricted, and nothing else of hers goes.

An objection is taken like any request: by a person's channel, with her identity checked by what registration has. She is kept as
the keyed token of her account, and neither the ledger nor Airflow hears of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from psycopg import errors as pg

from include.cases import decisions, sealing, subjects
from include.cases.accounts import Standing
from include.cases.book import Conn, checked_actor
from include.cases.keys import Purpose
from include.cases.retention.held import account_pages
from include.cases.rooms import Desk
from include.cases.shutdown import begun, orders
from include.model.errors import Refused
from include.model.words import Channel

OBJECTED = "objection"
"""Of the event."""


def object_to(
    desk: Desk, number: str, account_id: str, *, channel: Channel, method: str, fields: Sequence[str], as_of: date,
    actor: str,
) -> int:  # fmt: skip
    """Record an objection; its number. The same person again has the same. ``method`` and ``fields``: how it was checked who
    asks, and which categories were compared.

    Raises Refused, with nothing stored, for what is no account, an unexplained check, an order that is not in force, or once our
    copy of all that goes of hers went: nothing here could be restricted any more; NotReachable.
    """
    id_ = subjects.screened(account_id)
    how = decisions.method_named(method, number)
    if not channel.requestable:
        raise Refused("a person objects by a person's channel", about=number, next_step="name the channel")
    if not fields or not decisions.within_registration(desk.catalogue, tuple(fields)):
        raise Refused(
            "nobody knows who objects: no field was compared, or one beyond what registration collected", about=number,
            next_step="compare fields collected at registration, and name them",
        )  # fmt: skip
    if desk.accounts.standing(id_) is Standing.UNKNOWN:
        raise Refused("there is no such account", about="account id", next_step="check the id with support")
    ref = sealing.current(desk.keys, Purpose.SUBJECT_TOKEN)
    tokens = sealing.digests(desk.keys, Purpose.SUBJECT_TOKEN, subjects.KIND, id_)
    with orders.deed(desk, number) as (conn, of):
        there = conn.execute(
            "SELECT objection FROM casebook.shutdown_objection WHERE number = %s AND token = ANY(%s)",
            (number, list(tokens.values())),
        ).fetchone()
        if there is not None:
            return int(there["objection"])
        if _went(conn, number, list(tokens.values())):
            raise Refused(
                f"our copy of what goes of theirs went: {of.successor} alone has it", about=number,
                next_step=f"tell them to object there ({of.successor_contact}); a deletion that they ask us for is passed on",
            )  # fmt: skip
        try:
            row = conn.execute(
                "INSERT INTO casebook.shutdown_objection (number, token, token_version, objected_on, channel, method, fields,"
                " recorded_by) VALUES (%s, %s, %s, %s, %s, %s, %s, %s) RETURNING objection",
                (number, tokens[ref.version], ref.version, as_of, channel.value, how.value, list(fields),
                 checked_actor(actor)),
            ).fetchone()  # fmt: skip
        except pg.UniqueViolation:
            raise Refused(
                "it is being recorded by somebody else", about=number, next_step="try again"
            ) from None
        objection = int(row["objection"]) if row else 0
        orders.say(
            desk, conn, number, OBJECTED, as_of, actor, {"objection": objection, "channel": channel.value}
        )
    return objection


def _went(conn: Conn, number: str, tokens: Sequence[bytes]) -> bool:
    """Whether all that goes of somebody is packed, and our copy of it goes or went: no notice tells of that any more."""
    rows = conn.execute(
        "SELECT bag FROM casebook.handover_owner WHERE order_no = %s AND token = ANY(%s)", (number, tokens)
    ).fetchall()
    open_ = conn.execute(
        "SELECT dataset FROM casebook.handover_bag WHERE order_no = %s GROUP BY dataset HAVING NOT bool_or(last) LIMIT 1",
        (number,),
    ).fetchone()
    return (
        bool(rows) and open_ is None and {str(r["bag"]) for r in rows} <= begun.going_by(conn, number).keys()
    )


def count(conn: Conn, number: str) -> int:
    row = conn.execute(
        "SELECT count(*) AS n FROM casebook.shutdown_objection WHERE number = %s", (number,)
    ).fetchone()
    return int(row["n"]) if row else 0


def objectors(desk: Desk, number: str) -> frozenset[str]:
    """Their account ids, in memory only: the ids of all accounts pass by until every token is found. Whose account is gone has
    nothing that leads to it any more. Raises NotReachable."""
    with desk.book() as conn:
        rows = conn.execute(
            "SELECT token FROM casebook.shutdown_objection WHERE number = %s", (number,)
        ).fetchall()
    missing, found = {bytes(r["token"]) for r in rows}, set[str]()
    for page in account_pages(desk) if missing else ():
        of = sealing.by_digest(desk.keys, Purpose.SUBJECT_TOKEN, subjects.KIND, page)
        found |= {id_ for token, id_ in of.items() if token in missing}
        missing -= of.keys()
        if not missing:
            break
    return frozenset(found)
