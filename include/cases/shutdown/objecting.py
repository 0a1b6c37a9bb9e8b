"""Who objects to the handover (PIPL 22, 44). It lifts no duty to keep and hand on (ESL 23, 24): what a statute hands over of an
objector goes restricted, and nothing else of hers goes. What the successor alone has by then it is told by a request
(:mod:`include.handover.passing_on`): it restricts what a statute keeps, and deletes the rest.

An objection is taken like any request: by a person's channel, with her identity checked by what registration has. She is kept as
keyed tokens of her account, and neither the ledger nor Airflow hears of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from include.cases import decisions, sealing, subjects
from include.cases.accounts import Standing
from include.cases.book import Conn, checked_actor
from include.cases.keys import Purpose
from include.cases.retention.held import account_pages
from include.cases.rooms import Desk
from include.cases.shutdown import leaving, orders, who_asked
from include.cases.shutdown.orders import Order
from include.model.errors import Refused
from include.model.words import Channel

OBJECTED = "objection"
"""Of the event."""
GONE = "account_gone"
"""In it: no account of hers was here."""


def object_to(
    desk: Desk, number: str, account_id: str, *, channel: Channel, method: str, fields: Sequence[str], as_of: date,
    actor: str,
) -> int:  # fmt: skip
    """Record an objection; its number. The same person again has the same. ``method`` and ``fields``: how it was checked who
    asks, and which categories were compared. Also of somebody whose account is gone here, or after the order's end, if something
    of hers was packed: no notice tells of one without an account, so the successor is asked once our copy of it went. Who
    objected with an account and does so again without it is passed on so, too.

    Raises Refused, with nothing stored, for what is no account, an unexplained check, an order that is not in force, if all that
    went of hers is with a company that takes over no more, or once nothing is passed on any more; NotReachable.
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
    here = desk.accounts.standing(id_) is not Standing.UNKNOWN
    tokens = sorted(sealing.digests(desk.keys, Purpose.SUBJECT_TOKEN, subjects.KIND, id_).values())
    with orders.deed(desk, number, ended=True) as (conn, of):
        who_asked.still_here(conn, of)
        there = conn.execute(
            "SELECT min(objection) AS objection FROM casebook.shutdown_objection_token WHERE number = %s AND token = ANY(%s)",
            (number, tokens),
        ).fetchone()
        objection, new = there["objection"] if there is not None else None, False
        if objection is None:
            _comes_to_something(conn, of, tokens, here=here)
            row = conn.execute(
                "INSERT INTO casebook.shutdown_objection (number, objected_on, channel, method, fields, recorded_by)"
                " VALUES (%s, %s, %s, %s, %s, %s) RETURNING objection",
                (number, as_of, channel.value, how.value, list(fields), checked_actor(actor)),
            ).fetchone()
            objection, new = int(row["objection"]) if row else 0, True
        if new or not (here or objection in without_account(conn, number)):
            said = {"objection": objection, "channel": channel.value}
            orders.say(desk, conn, number, OBJECTED, as_of, actor, said if here else {**said, GONE: True})
        conn.execute(
            "INSERT INTO casebook.shutdown_objection_token (number, token, objection) SELECT %s, unnest(%s::bytea[]), %s"
            " ON CONFLICT DO NOTHING",
            (number, tokens, objection),
        )
    return int(objection)


def _comes_to_something(conn: Conn, of: Order, tokens: Sequence[bytes], *, here: bool) -> None:
    """Raises Refused for an objection that would change nothing anywhere. ``here``: her account is."""
    rows = conn.execute(
        "SELECT b.left_items IS NULL AS passed_on, convert_from(b.statement, 'UTF8')::jsonb ->> 'successor' AS company"
        " FROM casebook.handover_owner AS o JOIN casebook.handover_bag AS b USING (order_no, bag)"
        " WHERE o.order_no = %s AND o.token = ANY(%s) AND (b.left_items IS NULL OR b.left_items > 0)",
        (of.number, tokens),
    ).fetchall()
    if any(r["passed_on"] for r in rows):
        return
    to_come = here and of.in_force
    if rows and not (to_come and _packs(conn, of.number)):
        companies = {str(r["company"]) for r in rows}
        told = [
            f"{who} ({contact})" for who, contact in leaving.custodians(conn, of.number) if who in companies
        ]
        raise Refused(
            "what went of theirs is with a company that takes over no more, and no request of ours reaches it", about=of.number,
            next_step=f"tell them to object there: {'; '.join(told)}",
        )  # fmt: skip
    if not to_come:
        raise Refused(
            "there is no such account, or nothing of it went to the successor", about="account id",
            next_step="check the id with support",
        )  # fmt: skip


def without_account(conn: Conn, number: str) -> frozenset[int]:
    """Objections of people who had no account here when they objected: neither packing nor a notice knows them."""
    rows = conn.execute(
        "SELECT (detail ->> 'objection')::bigint AS objection FROM casebook.shutdown_event"
        " WHERE number = %s AND what = %s AND (detail ->> %s)::boolean",
        (number, OBJECTED, GONE),
    ).fetchall()
    return frozenset(int(r["objection"]) for r in rows)


def _packs(conn: Conn, number: str) -> bool:
    """Whether something is still to be packed, as far as the bags say."""
    row = conn.execute(
        "SELECT count(*) AS n FROM (SELECT FROM casebook.handover_bag WHERE order_no = %s GROUP BY dataset"
        " HAVING NOT coalesce(bool_or(last) FILTER (WHERE left_items IS NULL), false)) AS open",
        (number,),
    ).fetchone()
    return bool(row and row["n"])


def count(conn: Conn, number: str) -> int:
    row = conn.execute(
        "SELECT count(*) AS n FROM casebook.shutdown_objection WHERE number = %s", (number,)
    ).fetchone()
    return int(row["n"]) if row else 0


def objectors(desk: Desk, number: str) -> frozenset[str]:
    """Their account ids, in memory only. Raises NotReachable."""
    return frozenset(since(desk, number))


def since(desk: Desk, number: str) -> dict[str, datetime]:
    """Their account ids, in memory only, each with when she objected: the ids of all accounts pass by until every token is found.
    Whose account is gone has nothing here that leads to it any more. Raises NotReachable."""
    with desk.book() as conn:
        rows = conn.execute(
            "SELECT t.token, o.recorded_at FROM casebook.shutdown_objection_token AS t"
            " JOIN casebook.shutdown_objection AS o USING (objection) WHERE t.number = %s",
            (number,),
        ).fetchall()
    missing, found = {bytes(r["token"]): r["recorded_at"] for r in rows}, dict[str, datetime]()
    for page in account_pages(desk) if missing else ():
        of = sealing.by_digest(desk.keys, Purpose.SUBJECT_TOKEN, subjects.KIND, page)
        found |= {id_: missing[token] for token, id_ in of.items() if token in missing}
        missing = {token: at for token, at in missing.items() if token not in of}
        if not missing:
            break
    return found
