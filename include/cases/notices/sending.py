"""Whose turn it is, and how each attempt ended: the rows of one recipient, claimed and put back in batches.

A row that is ``sending`` belongs to the one who holds the recipient's lock. Found under that lock by somebody else, its
sender is dead, and nobody knows how far it came.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from psycopg import sql

from include.cases import clocks, turns
from include.cases.book import Conn, checked_actor
from include.cases.notices.instants import again_after, next_poll, start_of
from include.cases.notices.outbox import Row
from include.model.notices import Delivery

CUT_OFF = "a sender was cut off, and nobody knows how far it came"
_TO_REMIND = sql.SQL(
    "(objection IS NOT NULL AND reminded_on IS DISTINCT FROM %(on)s"
    " OR remind_on <= %(on)s AND coalesce(reminded_on < remind_on, true))"
)
_TURN = sql.SQL("(delivery = 'waiting' OR delivery = 'delivered' AND state = 'tp_notified' AND {})").format(
    _TO_REMIND
)


def due(conn: Conn, at: datetime) -> tuple[str, ...]:
    """The recipients that something is due for: a few probes of an index for each, however many notices wait."""
    rows = conn.execute(
        "WITH RECURSIVE named AS ("
        "  (SELECT recipient FROM casebook.outbox WHERE due_at IS NOT NULL ORDER BY recipient LIMIT 1)"
        "  UNION ALL SELECT (SELECT o.recipient FROM casebook.outbox o WHERE o.due_at IS NOT NULL"
        "   AND o.recipient > named.recipient ORDER BY o.recipient LIMIT 1) FROM named WHERE named.recipient IS NOT NULL)"
        " SELECT recipient FROM named WHERE recipient IS NOT NULL AND EXISTS (SELECT FROM casebook.outbox o"
        "  WHERE o.recipient = named.recipient AND o.due_at <= %(at)s)"
        " UNION SELECT recipient FROM casebook.outbox WHERE delivery = 'sending' ORDER BY 1",
        {"at": at},
    ).fetchall()
    return tuple(str(r["recipient"]) for r in rows)


@contextmanager
def only_sender(conn: Conn, recipient: str) -> Iterator[bool]:
    """Whether we are the one who sends to this recipient. The lock dies with the connection, as its holder does."""
    with turns.mine(conn, f"casebook.tell {recipient}") as ours:
        yield ours


def take_over(conn: Conn, recipient: str, at: datetime, *, repeatable: bool, as_of: date, actor: str) -> int:
    """What a dead sender left: sent again as the same notice, or given to a person to find out; how many."""
    if repeatable:
        return conn.execute(
            "UPDATE casebook.outbox SET delivery = CASE WHEN sent_at IS NULL THEN 'waiting' ELSE 'delivered' END,"
            " due_at = CASE WHEN state = 'tp_notified' THEN %(at)s END, why = %(why)s"
            " WHERE recipient = %(who)s AND delivery = 'sending'",
            {"who": recipient, "at": at, "why": CUT_OFF},
        ).rowcount
    return conn.execute(
        "WITH doubtful AS (UPDATE casebook.outbox SET delivery = 'in_doubt', due_at = NULL, why = %(why)s"
        "  WHERE recipient = %(who)s AND delivery = 'sending' RETURNING case_no, recipient, round)"
        " INSERT INTO casebook.event (case_no, as_of, actor, what, detail)"
        " SELECT case_no, %(on)s, %(actor)s, 'notice in doubt',"
        "  jsonb_build_object('recipient', recipient, 'round', round) FROM doubtful",
        {"who": recipient, "why": CUT_OFF, "on": as_of, "actor": checked_actor(actor)},
    ).rowcount


def claim(conn: Conn, recipient: str, at: datetime, as_of: date, limit: int, per_minute: int) -> list[Row]:
    """Take the notices whose turn it is, the longest due first, as many as the recipient takes in this minute; the
    rest are put off to the minutes that follow. Each row comes with its case's key. While disposing is stopped, what asks to
    delete waits, and what asks to preserve goes out."""
    left = _left(conn, recipient, per_minute)
    if left <= 0:
        _put_off(conn, recipient, at, as_of, per_minute)
        return []
    rows = conn.execute(
        sql.SQL(
            "WITH mine AS (SELECT notice_id FROM casebook.outbox WHERE recipient = %(who)s AND due_at <= %(at)s AND {turn}"
            "  AND (erase = '{{}}' OR NOT EXISTS (SELECT FROM casebook.night_stop WHERE lifted_at IS NULL))"
            "  ORDER BY due_at, notice_id LIMIT %(n)s FOR UPDATE SKIP LOCKED)"
            " UPDATE casebook.outbox o SET delivery = 'sending', attempts = attempts + 1 FROM mine"
            " WHERE o.notice_id = mine.notice_id RETURNING o.*"
        ).format(turn=_TURN),
        {"who": recipient, "at": at, "on": as_of, "n": min(limit, left)},
    ).fetchall()
    if rows:
        conn.execute("UPDATE casebook.pace SET sent = sent + %s WHERE recipient = %s", (len(rows), recipient))
    return sorted(rows, key=lambda r: (r["due_at"], r["notice_id"]))


def _left(conn: Conn, recipient: str, per_minute: int) -> int:
    row = conn.execute(
        "INSERT INTO casebook.pace AS p (recipient, minute, sent) VALUES (%s, date_trunc('minute', clock_timestamp()), 0)"
        " ON CONFLICT (recipient) DO UPDATE SET minute = excluded.minute,"
        " sent = CASE WHEN p.minute = excluded.minute THEN p.sent ELSE 0 END RETURNING sent",
        (recipient,),
    ).fetchone()
    return per_minute - int(row["sent"]) if row else 0


def _put_off(conn: Conn, recipient: str, at: datetime, as_of: date, per_minute: int) -> None:
    conn.execute(
        sql.SQL(
            "WITH queue AS (SELECT notice_id, (row_number() OVER (ORDER BY due_at, notice_id) - 1) / %(n)s AS minutes"
            "  FROM casebook.outbox WHERE recipient = %(who)s AND due_at <= %(at)s AND {turn})"
            " UPDATE casebook.outbox o SET due_at = %(next)s + make_interval(mins => queue.minutes::int) FROM queue"
            " WHERE o.notice_id = queue.notice_id"
        ).format(turn=_TURN),
        {"who": recipient, "at": at, "on": as_of, "n": per_minute,
         "next": at.replace(second=0, microsecond=0) + timedelta(minutes=1)},
    )  # fmt: skip


@dataclass(frozen=True)
class Attempt:
    """One row that was sending, and how that ended."""

    row: Row
    delivery: Delivery


def ended(conn: Conn, attempts: Sequence[Attempt], at: datetime, as_of: date, actor: str) -> None:
    """Put back what was claimed, in one statement, with its next date; the first deliveries go on the timeline, and
    their clocks start. What somebody else moved on meanwhile (an answer came) stays as it is."""
    if not attempts:
        return
    clock = clocks.recipient_clock(as_of)
    remind = start_of(clock.remind_on)
    conn.execute(
        "WITH said AS (SELECT * FROM unnest(%(ids)s::bigint[], %(outcomes)s::text[], %(whys)s::text[],"
        "  %(dues)s::timestamptz[], %(receipts)s::text[], %(expected)s::date[], %(objections)s::text[])"
        "  AS said (notice_id, outcome, why, due_at, receipt, expected_on, objection)"
        "), first AS (SELECT o.notice_id FROM casebook.outbox o JOIN said USING (notice_id)"
        "  WHERE o.delivery = 'sending' AND o.sent_at IS NULL AND said.outcome = 'delivered'"
        "), moved AS (UPDATE casebook.outbox o SET"
        "  delivery = CASE WHEN said.outcome <> 'later' THEN said.outcome"
        "   WHEN o.sent_at IS NULL THEN 'waiting' ELSE 'delivered' END,"
        "  why = nullif(said.why, ''), receipt = coalesce(said.receipt, o.receipt),"
        "  expected_on = coalesce(said.expected_on, o.expected_on),"
        "  attempts = CASE WHEN said.outcome = 'delivered' THEN 0 ELSE o.attempts END,"
        "  reminded_on = CASE WHEN said.outcome = 'delivered' AND o.sent_at IS NOT NULL THEN %(on)s ELSE o.reminded_on END,"
        "  objection = CASE WHEN said.outcome = 'delivered' AND o.objection IS NOT DISTINCT FROM said.objection"
        "   THEN NULL ELSE o.objection END,"
        "  remind_on = CASE WHEN f.notice_id IS NULL THEN o.remind_on ELSE %(remind)s END,"
        "  target_on = CASE WHEN f.notice_id IS NULL THEN o.target_on ELSE %(target)s END,"
        "  escalate_on = CASE WHEN f.notice_id IS NULL THEN o.escalate_on ELSE %(escalate)s END,"
        "  sent_at = CASE WHEN f.notice_id IS NULL THEN o.sent_at ELSE clock_timestamp() END,"
        "  due_at = CASE WHEN o.state = 'tp_notified' THEN CASE"
        "   WHEN o.objection IS NOT NULL AND o.objection IS DISTINCT FROM said.objection THEN %(at)s"
        "   WHEN f.notice_id IS NULL THEN said.due_at"
        "   ELSE least(said.due_at, %(remind_at)s) END END"
        "  FROM said LEFT JOIN first f USING (notice_id)"
        "  WHERE o.notice_id = said.notice_id AND o.delivery = 'sending'"
        "  RETURNING o.case_no, o.recipient, o.round, o.delivery, o.why, o.reminded_on = %(on)s AS reminded,"
        "   f.notice_id IS NOT NULL AS first)"
        " INSERT INTO casebook.event (case_no, as_of, actor, what, law_row, detail)"
        " SELECT case_no, %(on)s, %(actor)s, CASE WHEN delivery = 'delivered' AND first THEN 'notice sent'"
        "  WHEN delivery = 'delivered' THEN 'reminder sent' WHEN delivery = 'in_doubt' THEN 'notice in doubt'"
        "  WHEN delivery = 'refused' THEN 'notice refused' ELSE 'notice for a person' END, 15,"
        "  jsonb_build_object('recipient', recipient, 'round', round) FROM moved"
        " WHERE delivery IN ('in_doubt', 'refused', 'errand') OR delivery = 'delivered' AND (first OR reminded)",
        {
            "ids": [a.row["notice_id"] for a in attempts],
            "outcomes": [a.delivery.outcome for a in attempts],
            "whys": [a.delivery.why for a in attempts],
            "dues": [_next(a, at) for a in attempts],
            "receipts": [a.delivery.receipt for a in attempts],
            "expected": [a.delivery.expected_on for a in attempts],
            "objections": [a.row["objection"] for a in attempts],
            "on": as_of, "at": at, "actor": checked_actor(actor), "remind": clock.remind_on, "remind_at": remind,
            "target": clock.target.day, "escalate": clock.escalate_on,
        },
    )  # fmt: skip


def _next(attempt: Attempt, at: datetime) -> datetime | None:
    delivery = attempt.delivery
    if delivery.outcome == "later":
        return at + again_after(attempt.row["attempts"], delivery.again_in)
    if delivery.outcome == "delivered":
        return next_poll(at, 0, delivery.expected_on)
    return None


def out_of_reach(
    conn: Conn, recipient: str, claimed: Sequence[Row], at: datetime, as_of: date, why: str
) -> None:
    """The whole batch failed: what was claimed goes back, and everything else that is due waits as long."""
    wait = again_after(max((r["attempts"] for r in claimed), default=1))
    conn.execute(
        "UPDATE casebook.outbox SET why = %(why)s, due_at = %(next)s,"
        " delivery = CASE WHEN delivery <> 'sending' THEN delivery WHEN sent_at IS NULL THEN 'waiting' ELSE 'delivered' END"
        " WHERE recipient = %(who)s AND (notice_id = ANY(%(ids)s) AND delivery = 'sending'"
        "  OR due_at <= %(at)s AND delivery IN ('waiting', 'delivered'))",
        {"who": recipient, "at": at, "next": at + wait, "why": why, "ids": [r["notice_id"] for r in claimed]},
    )


def to_ask(conn: Conn, recipient: str, at: datetime, limit: int) -> list[Row]:
    """What was delivered, is not answered, and is to be asked about by now. Only the request ids are needed."""
    return conn.execute(
        "SELECT notice_id, request_id, asked, expected_on, remind_on, reminded_on, objection FROM casebook.outbox"
        " WHERE recipient = %s AND due_at <= %s AND delivery = 'delivered' AND state = 'tp_notified'"
        " ORDER BY due_at, notice_id LIMIT %s",
        (recipient, at, limit),
    ).fetchall()


def asked(conn: Conn, rows: Sequence[Row], at: datetime, as_of: date) -> None:
    """Who was asked and has not answered is asked again later; whom it is time to remind stays due for that."""
    conn.execute(
        sql.SQL(
            "UPDATE casebook.outbox o SET asked = asked + 1, due_at = CASE WHEN {remind} THEN o.due_at"
            " WHEN coalesce(reminded_on < remind_on, true) AND remind_on > %(on)s"
            "  THEN least(said.next, remind_on::timestamp AT TIME ZONE 'Asia/Shanghai') ELSE said.next END"
            " FROM unnest(%(ids)s::bigint[], %(nexts)s::timestamptz[]) AS said (notice_id, next)"
            " WHERE o.notice_id = said.notice_id AND o.due_at IS NOT NULL"
            " AND o.delivery = 'delivered' AND o.state = 'tp_notified'"
        ).format(remind=_TO_REMIND),
        {"ids": [r["notice_id"] for r in rows], "on": as_of,
         "nexts": [next_poll(at, r["asked"], r["expected_on"]) for r in rows]},
    )  # fmt: skip
