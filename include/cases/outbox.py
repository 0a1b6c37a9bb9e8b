"""The outbox: what each recipient is to be told, written in the transaction of the decision, sent later.

A payload holds only what that recipient already has (its own transaction numbers, or the one identifier we
gave it), is sealed, and leaves the book only through a channel. The idempotency key makes a notice one
notice, however often the task that writes it is run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from include.cases import clocks, machine
from include.cases.book import Case, Conn, Rows, note
from include.cases.guards import Facts
from include.cases.planner import ARTICLES
from include.cases.sealing import Seal
from include.model.catalogue import Recipient
from include.model.errors import Refused
from include.model.words import UnitState


@dataclass(frozen=True)
class Given:
    """What one recipient was given of the case's subjects, as our own transfer register has it.

    ``references`` are its transaction numbers; ``fields`` what we sent. Personal: never shown or logged.
    """

    recipient: str
    items: int
    references: tuple[str, ...] = field(default=(), repr=False)
    fields: tuple[str, ...] = field(default=(), repr=False)


def write(
    conn: Conn, case: Case, seal: Seal, recipients: Sequence[Recipient], given: Mapping[str, Given],
    *, facts: Facts, actor: str,
) -> int:  # fmt: skip
    """Write a notice per recipient, in the caller's transaction; how many were new."""
    new = 0
    for recipient in recipients:
        machine.move(UnitState.ACTIVE, UnitState.TP_NOTIFIED, facts, about=f"{case.case_no} {recipient.id}")
        key = f"{case.case_no}/{recipient.id}/erasure"
        clock = clocks.recipient_clock(facts.as_of)
        held = given.get(recipient.id, Given(recipient.id, 0))
        new += conn.execute(
            "INSERT INTO casebook.outbox (case_no, recipient, channel, idempotency_key,"
            " sealed_payload, items, state,"
            " written_at, remind_on, target_on, escalate_on)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, clock_timestamp(), %s, %s, %s) ON CONFLICT DO NOTHING",
            (
                case.case_no, recipient.id, recipient.channel, key,
                seal.seal(_field(recipient.id), _payload(case, recipient, held, clock.target.day)),
                held.items, UnitState.TP_NOTIFIED.value, clock.remind_on, clock.target.day, clock.escalate_on,
            ),
        ).rowcount  # fmt: skip
    if new:
        note(conn, case.case_no, facts.as_of, actor, "notices written", law_row=15, detail={"notices": new})
    return new


def _field(recipient: str) -> str:
    return f"outbox.sealed_payload.{recipient}"


def _payload(case: Case, recipient: Recipient, given: Given, answer_by: date) -> str:
    """Case, recipient, its own keys, fields, ground, law, deadline, answers, cascade (law.md section C)."""
    return json.dumps(
        {
            "case_no": case.case_no,
            "recipient": recipient.id,
            "references": list(given.references),
            "fields": list(given.fields) or [f.strip() for f in recipient.fields.split("、")],
            "ground": case.ground.value,
            "law": f"{ARTICLES[case.ground]}; policy 11.2; PIPL 21, 47, 59",
            "notice": recipient.notice,
            "answer_by": answer_by.isoformat(),
            "answers": list(recipient.expected),
            "cascade": "pass this on to everyone you gave the data to, and name them",
        },
        ensure_ascii=False,
    )


def payload(conn: Conn, case: Case, seal: Seal, recipient: str) -> dict[str, object]:
    """The payload, for the channel that sends it. Raises Refused if there is no notice."""
    row = conn.execute(
        "SELECT sealed_payload FROM casebook.outbox WHERE case_no = %s AND recipient = %s",
        (case.case_no, recipient),
    ).fetchone()
    if row is None:
        raise Refused(
            "there is no notice to this recipient", about=case.case_no, next_step="approve the case first"
        )
    found: dict[str, object] = json.loads(seal.open(_field(recipient), bytes(row["sealed_payload"])))
    return found


def move(
    conn: Conn, case: Case, recipient: str, *, to: UnitState, facts: Facts, actor: str,
    code: str | None = None, digest: str | None = None,
) -> None:  # fmt: skip
    """Record an answer or an escalation, if the machine lets it."""
    row = conn.execute(
        "SELECT state FROM casebook.outbox WHERE case_no = %s AND recipient = %s FOR UPDATE",
        (case.case_no, recipient),
    ).fetchone()
    if row is None:
        raise Refused(
            "there is no notice to this recipient", about=case.case_no, next_step="approve the case first"
        )
    if row["state"] == to.value:
        return
    transition = machine.move(UnitState(row["state"]), to, facts, about=f"{case.case_no} {recipient}")
    conn.execute(
        "UPDATE casebook.outbox SET state = %s, answer_code = %s, answer_digest = %s,"
        " answered_at = clock_timestamp()"
        " WHERE case_no = %s AND recipient = %s",
        (to.value, code, digest, case.case_no, recipient),
    )
    note(conn, case.case_no, facts.as_of, actor, "recipient", from_state=row["state"], to_state=to.value,
         law_row=transition.row, detail={"recipient": recipient, "code": code})  # fmt: skip


def listing(conn: Conn, case_no: str) -> Rows:
    return conn.execute(
        "SELECT recipient, channel, items, state, written_at, sent_at, remind_on, target_on,"
        " escalate_on, answer_code"
        " FROM casebook.outbox WHERE case_no = %s ORDER BY recipient",
        (case_no,),
    ).fetchall()


def states(conn: Conn, case_no: str) -> tuple[UnitState, ...]:
    return tuple(UnitState(r["state"]) for r in listing(conn, case_no))
