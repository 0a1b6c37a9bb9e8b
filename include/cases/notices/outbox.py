"""The outbox: what each recipient is to be told, written in the transaction of the decision, sent later.

A payload is sealed with the case's key, and leaves the book only through a channel or a person. Each round of a case to
a recipient is a notice of its own, with a request id that is its name however often it is sent, and a track of its own
that comes to its own end. The key of a round makes it one notice, however often the task that writes it is run.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID, uuid4

from include.cases import clocks, machine
from include.cases.book import Case, Conn, Rows, checked_actor, note, some
from include.cases.guards import Facts
from include.cases.notices.composing import compose, opened
from include.cases.notices.instants import moment
from include.cases.notices.whom import ToTell
from include.cases.sealing import Seal
from include.model.declared import CategoryId
from include.model.errors import Refused
from include.model.notices import AnswerCode, Notice
from include.model.policy import Recipient
from include.model.times import observed_now
from include.model.words import UnitState

Row = dict[str, Any]

NOTIFIED, RETAINED = UnitState.TP_NOTIFIED.value, UnitState.TP_RETAINED.value
OURS = AnswerCode.CANNOT_ERASE_IMMUTABLE.value
"""The code of a track that waits for our own side: the recipient has said all that it can."""


@dataclass(frozen=True)
class Draft:
    """A notice that is sealed and not in the book yet: the values of its row."""

    case_no: str
    because: str
    values: tuple[Any, ...] = field(repr=False)


def write(
    conn: Conn, case: Case, seal: Seal, told: Sequence[ToTell], *, facts: Facts, actor: str,
    preserved: Collection[CategoryId] = (), because: str = "decision",
) -> int:  # fmt: skip
    """Write a notice per recipient with a decision, in the caller's transaction; how many were new.

    ``because`` decision: a recipient that has a notice of this case has been told. A case that was ``reopened`` tells
    anew whom nothing is open with. Every other further round comes from ``rounds``.
    """
    rows = conn.execute(
        "SELECT recipient, max(round) AS round, bool_or(state = 'tp_notified') AS open FROM casebook.outbox"
        " WHERE case_no = %s GROUP BY recipient",
        (case.case_no,),
    ).fetchall()
    before = {str(r["recipient"]): r for r in rows} if because == "reopened" else {}
    drafts = []
    for one in told:
        last = before.get(one.recipient.id)
        if last is not None and last["open"]:
            continue
        machine.move(
            UnitState.ACTIVE, UnitState.TP_NOTIFIED, facts, about=f"{case.case_no} {one.recipient.id}"
        )
        round_ = int(last["round"]) + 1 if last else 1
        drafts.append(
            draft(case, seal, one, round_=round_, as_of=facts.as_of, preserved=preserved, because=because)
        )
    return insert(conn, drafts, facts.as_of, actor)


def draft(
    case: Case, seal: Seal, one: ToTell, *, round_: int, as_of: date, because: str,
    preserved: Collection[CategoryId] = (), only: Collection[CategoryId] | None = None,
) -> Draft:  # fmt: skip
    """A notice, sealed. ``only``: it is about these categories alone. Raises Refused once the key is destroyed."""
    recipient = one.recipient
    clock = clocks.recipient_clock(as_of)
    notice = compose(
        case, recipient, one.given, preserved, request_id=uuid4(), round_=round_, submitted_at=observed_now(),
        answer_by=clock.target.day, only=only, because=because,
    )  # fmt: skip
    return Draft(case.case_no, because, (
        case.case_no, recipient.id, recipient.channel, _key(case, recipient, round_), notice.request_id, round_,
        because, notice.instruction.value, list(notice.erase), list(notice.preserve),
        seal.seal(_field(recipient.id), notice.model_dump_json()), one.given.items, NOTIFIED,
        moment(as_of), clock.remind_on, clock.target.day, clock.escalate_on,
    ))  # fmt: skip


def insert(conn: Conn, drafts: Sequence[Draft], as_of: date, actor: str) -> int:
    """Put notices into the book, and on the timeline; how many were not there already."""
    new: dict[tuple[str, str], int] = {}
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO casebook.outbox (case_no, recipient, channel, idempotency_key, request_id, round, because,"
            " instruction, erase, preserve, sealed_payload, items, state, written_at, due_at, remind_on, target_on,"
            " escalate_on) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, clock_timestamp(), %s, %s, %s, %s)"
            " ON CONFLICT DO NOTHING RETURNING case_no, because",
            [d.values for d in drafts],
            returning=True,
        )
        for result in cursor.results() if drafts else ():
            for row in result.fetchall():
                key = row["case_no"], row["because"]
                new[key] = new.get(key, 0) + 1
    for (case_no, because), n in new.items():
        detail = {"notices": n} | ({} if because == "decision" else {"because": because})
        note(conn, case_no, as_of, actor, "notices written", law_row=15, detail=detail)
    return sum(new.values())


def supersede(
    conn: Conn, rows: Sequence[Row], facts: Callable[[Case, date], Facts], as_of: date, actor: str
) -> None:
    """End notices that a later one takes the place of: they are neither sent, nor asked or reminded about, any more."""
    if not rows:
        return
    cases = {c.case_no: c for c in some(conn, sorted({r["case_no"] for r in rows}))}
    for row in rows:
        machine.move(
            UnitState.TP_NOTIFIED, UnitState.TP_SUPERSEDED, facts(cases[row["case_no"]], as_of),
            about=f"{row['case_no']} {row['recipient']}",
        )  # fmt: skip
    conn.execute(
        "WITH ended AS (UPDATE casebook.outbox SET state = %(to)s, due_at = NULL, objection = NULL, ended_on = %(on)s,"
        "  delivery = CASE WHEN delivery IN ('waiting', 'errand', 'refused') AND sent_at IS NULL THEN 'cancelled'"
        "   ELSE delivery END"
        "  WHERE notice_id = ANY(%(ids)s) AND state = %(from)s RETURNING case_no, recipient, round)"
        " INSERT INTO casebook.event (case_no, as_of, actor, what, from_state, to_state, law_row, detail)"
        " SELECT case_no, %(on)s, %(actor)s, 'recipient', %(from)s, %(to)s, 15,"
        "  jsonb_build_object('recipient', recipient, 'round', round) FROM ended",
        {"to": UnitState.TP_SUPERSEDED.value, "from": NOTIFIED, "on": as_of, "actor": checked_actor(actor),
         "ids": [r["notice_id"] for r in rows]},
    )  # fmt: skip


def _key(case: Case, recipient: Recipient, round_: int) -> str:
    """Of the first round: as it was before there were others, so that an old notice is not written again."""
    key = f"{case.case_no}/{recipient.id}/erasure"
    return key if round_ == 1 else f"{key}/{round_}"


def _field(recipient: str) -> str:
    return f"outbox.sealed_payload.{recipient}"


def unsealed(row: Row, case: Case, seal: Seal, recipient: Recipient) -> Notice:
    """The notice of a row. Raises Refused where its years are over."""
    if row["sealed_payload"] is None:
        raise Refused(
            "the notice was destroyed when its years were over (RS-22)", about=f"{case.case_no} {recipient.id}",
            next_step="what is left of it is on the case's page",
        )  # fmt: skip
    return opened(seal.open(_field(recipient.id), bytes(row["sealed_payload"])), recipient, case, row)


def payload(conn: Conn, case: Case, seal: Seal, recipient: Recipient) -> Notice:
    """The latest notice of a case to a recipient. Raises Refused if there is none."""
    return unsealed(latest(conn, case.case_no, recipient.id), case, seal, recipient)


def payloads(conn: Conn, case_nos: Collection[str]) -> dict[tuple[str, str], Row]:
    """The latest round of each case and recipient whose seal is still there."""
    rows = conn.execute(
        "SELECT DISTINCT ON (case_no, recipient) * FROM casebook.outbox"
        " WHERE case_no = ANY(%s) AND sealed_payload IS NOT NULL ORDER BY case_no, recipient, round DESC",
        (list(case_nos),),
    ).fetchall()
    return {(str(r["case_no"]), str(r["recipient"])): r for r in rows}


def latest(conn: Conn, case_no: str, recipient: str) -> Row:
    """The row of the latest round, an open one before one that has ended. Raises Refused if there is none."""
    row: Row | None = conn.execute(
        "SELECT * FROM casebook.outbox WHERE case_no = %s AND recipient = %s"
        " ORDER BY state <> 'tp_notified', round DESC LIMIT 1 FOR UPDATE",
        (case_no, recipient),
    ).fetchone()
    if row is None:
        raise Refused(
            "there is no notice to this recipient", about=case_no, next_step="see `quietus case show`"
        )
    return row


def of_request(conn: Conn, request_id: UUID, *, lock: bool = False) -> Row:
    """The row of a request id. Raises Refused for one that we never made."""
    query = b"SELECT * FROM casebook.outbox WHERE request_id = %s" + (b" FOR UPDATE" if lock else b"")
    row: Row | None = conn.execute(query, (request_id,)).fetchone()
    if row is None:
        raise Refused("there is no such notice", about="notice", next_step="check its request id")
    return row


def sent(conn: Conn, case: Case, row: Row, as_of: date, actor: str) -> None:
    """A person says that a notice left the house: from now on the recipient can be silent. Again changes nothing."""
    clock = clocks.recipient_clock(as_of)
    done = conn.execute(
        "UPDATE casebook.outbox SET sent_at = coalesce(sent_at, clock_timestamp()), delivery = 'delivered', why = NULL,"
        " remind_on = CASE WHEN sent_at IS NULL THEN %(remind)s ELSE remind_on END,"
        " target_on = CASE WHEN sent_at IS NULL THEN %(target)s ELSE target_on END,"
        " escalate_on = CASE WHEN sent_at IS NULL THEN %(escalate)s ELSE escalate_on END,"
        " due_at = CASE WHEN state = 'tp_notified' THEN %(next)s END"
        " WHERE notice_id = %(id)s AND delivery NOT IN ('delivered', 'sending')",
        {"id": row["notice_id"], "remind": clock.remind_on, "target": clock.target.day,
         "escalate": clock.escalate_on, "next": moment(clock.remind_on)},
    ).rowcount  # fmt: skip
    if done:
        detail = {"recipient": row["recipient"], "round": row["round"]}
        note(conn, case.case_no, as_of, actor, "notice sent", law_row=15, detail=detail)


def escalate_silent(conn: Conn, as_of: date, actor: str) -> tuple[tuple[str, str], ...]:
    """Escalate every recipient that was told and gave no answer that counts by its date; (case, recipient).

    Whom we have not told yet is not silent: that is our lateness, see :func:`unsent`. Nor is who waits for our own side.
    Whoever is escalated is given nothing more (``stopping``)."""
    row = machine.move(
        UnitState.TP_NOTIFIED, UnitState.TP_ESCALATED, Facts(as_of=as_of, answer_insufficient=True)
    ).row
    found = conn.execute(
        "WITH silent AS (UPDATE casebook.outbox SET state = %(to)s,"
        "  answer_code = coalesce(answer_code, 'NO_REPLY'), answered_at = coalesce(answered_at, clock_timestamp()),"
        "  due_at = NULL, ended_on = %(on)s"
        "  WHERE state = %(from)s AND sent_at IS NOT NULL AND escalate_on <= %(on)s"
        "  AND answer_code IS DISTINCT FROM %(ours)s"
        "  RETURNING case_no, recipient, round, answer_code), stopped AS ("
        "  INSERT INTO casebook.stop (recipient, case_no, stopped_on)"
        "  SELECT DISTINCT ON (recipient) recipient, case_no, %(on)s::date FROM silent ORDER BY recipient, case_no"
        "  ON CONFLICT DO NOTHING)"
        " INSERT INTO casebook.event (case_no, as_of, actor, what, from_state, to_state, law_row, detail)"
        " SELECT case_no, %(on)s, %(actor)s, 'recipient', %(from)s, %(to)s, %(row)s, jsonb_build_object("
        "  'recipient', recipient, 'code', answer_code)"
        "  || CASE WHEN round > 1 THEN jsonb_build_object('round', round) ELSE '{}' END FROM silent"
        " RETURNING case_no, detail ->> 'recipient' AS recipient",
        {"to": UnitState.TP_ESCALATED.value, "from": NOTIFIED, "on": as_of, "ours": OURS,
         "actor": checked_actor(actor), "row": row},
    ).fetchall()  # fmt: skip
    return tuple(sorted((str(r["case_no"]), str(r["recipient"])) for r in found))


def hand_over(conn: Conn, as_of: date, actor: str) -> int:
    """Give to a person what the machine has tried to deliver until the day on which it would remind: nobody signed for it
    as agreed, or nobody was there. Who was never told cannot be silent, so no other clock would end this; how many."""
    return conn.execute(
        "WITH tried AS (UPDATE casebook.outbox SET delivery = 'errand', due_at = NULL"
        "  WHERE state = %(from)s AND delivery = 'waiting' AND sent_at IS NULL AND attempts > 0 AND remind_on <= %(on)s"
        "  RETURNING case_no, recipient, round)"
        " INSERT INTO casebook.event (case_no, as_of, actor, what, law_row, detail)"
        " SELECT case_no, %(on)s, %(actor)s, 'notice for a person', 15,"
        "  jsonb_build_object('recipient', recipient, 'round', round, 'because', 'not delivered') FROM tried",
        {"from": NOTIFIED, "on": as_of, "actor": checked_actor(actor)},
    ).rowcount


def unsent(conn: Conn) -> int:
    """Notices that were written and have not left the house."""
    row = conn.execute(
        "SELECT count(*) AS n FROM casebook.outbox WHERE state = 'tp_notified' AND sent_at IS NULL"
    ).fetchone()
    return int(row["n"]) if row else 0


def listing(conn: Conn, case_no: str) -> Rows:
    """Every notice of a case, without what is sealed, each with the codes that were accepted of it."""
    return conn.execute(
        "SELECT o.recipient, o.round, o.because, o.channel, o.instruction, o.items, o.state, o.delivery, o.attempts,"
        " o.request_id, o.erase, o.preserve, o.written_at, o.sent_at, o.remind_on, o.target_on, o.escalate_on,"
        " o.reminded_on, o.expected_on, o.ended_on, o.answer_code, o.retained_until, o.why, o.objection, o.objection_told,"
        " a.codes"
        " FROM casebook.outbox o LEFT JOIN LATERAL (SELECT array_agg(DISTINCT a.code ORDER BY a.code) AS codes"
        "  FROM casebook.answer a LEFT JOIN casebook.answer_decision d USING (answer_id)"
        "  WHERE a.request_id = o.request_id AND coalesce(d.accepted, a.accepted)) a ON true"
        " WHERE o.case_no = %s ORDER BY o.recipient, o.round",
        (case_no,),
    ).fetchall()


def states(conn: Conn, case_no: str) -> tuple[UnitState, ...]:
    """Where every round stands: a case is not over while one is open."""
    rows = conn.execute("SELECT state FROM casebook.outbox WHERE case_no = %s", (case_no,)).fetchall()
    return tuple(UnitState(r["state"]) for r in rows)
