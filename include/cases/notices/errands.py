"""What only a person can do: tell a recipient, find out whether a letter arrived, read the law that an answer rests on."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

from include.cases import book
from include.cases.book import Conn, Rows
from include.cases.notices import answering, outbox, rounds
from include.cases.rooms import Desk
from include.model.notices import Answer, Judgement, Part


@dataclass(frozen=True)
class Errand:
    """Whom to reach, and what to say. The letter is personal: shown, and kept nowhere."""

    recipient: str
    phone: str | None
    letter: str = field(repr=False)


def listing(conn: Conn) -> Rows:
    """Every open errand, the oldest first: request id, case, recipient, why (carry, in_doubt, judge), since, due; for a
    judgement the number of the answer. Nothing about a person."""
    return conn.execute(
        "SELECT request_id, case_no, recipient, CASE delivery WHEN 'in_doubt' THEN 'in_doubt' ELSE 'carry' END AS why,"
        "  written_at AS since, target_on AS due, NULL::bigint AS answer_id FROM casebook.outbox"
        " WHERE delivery IN ('in_doubt', 'errand', 'refused') AND state = 'tp_notified'"
        " UNION ALL SELECT a.request_id, a.case_no, a.recipient, 'judge', a.observed_at, o.escalate_on, a.answer_id"
        " FROM casebook.answer a JOIN casebook.outbox o USING (request_id)"
        " LEFT JOIN casebook.answer_decision d USING (answer_id)"
        " WHERE a.for_a_person AND d.answer_id IS NULL AND o.state = 'tp_notified' ORDER BY since, request_id"
    ).fetchall()


def what_to_say(desk: Desk, request_id: UUID) -> Errand:
    """The recipient's name and number, and the letter, opened from its seal."""
    with desk.book() as conn:
        row = outbox.of_request(conn, request_id)
        case = book.case(conn, row["case_no"])
        recipient = rounds.recipient(desk, row["recipient"])
        notice = outbox.unsealed(row, case, desk.seal(case), recipient)
        reminder = row["sent_at"] is not None
        notice = notice.model_copy(update={"reminder": reminder})
    return Errand(recipient.name, recipient.phone, desk.letter(recipient, notice))


def carried(desk: Desk, request_id: UUID, *, proof: bytes | None, as_of: date, actor: str) -> None:
    """A person told the recipient, or found that it has the letter. The clock starts; the proof is sealed."""
    with desk.book() as conn, book.deed(conn, "errand"):
        found = outbox.of_request(conn, request_id)
        case = book.case(conn, found["case_no"], lock=True)
        row = outbox.of_request(conn, request_id, lock=True)
        outbox.sent(conn, case, row, as_of, actor)
        if proof is not None:
            text = base64.b64encode(proof).decode()
            conn.execute(
                "UPDATE casebook.outbox SET receipt = %s, sealed_proof = %s WHERE notice_id = %s",
                (
                    hashlib.sha256(proof).hexdigest(),
                    desk.seal(case).seal(_field(row["recipient"]), text),
                    row["notice_id"],
                ),
            )


def _field(recipient: str) -> str:
    return f"outbox.sealed_proof.{recipient}"


def answered(
    desk: Desk, request_id: UUID, parts: Sequence[Part], proof: bytes, *, as_of: date, actor: str
) -> tuple[Judgement, ...]:
    """A person records what a recipient answered by letter or telephone. It is judged like any other answer."""
    with desk.book() as conn:
        row = outbox.of_request(conn, request_id)
    said = b"\n".join([proof, *(p.model_dump_json().encode() for p in parts)])
    answer = Answer(
        request_id=request_id, recipient=row["recipient"], parts=tuple(parts), via="person",
        digest=hashlib.sha256(said).hexdigest(),
    )  # fmt: skip
    return answering.take(desk, answer, as_of=as_of, actor=actor, proof=proof)
