"""What a recipient answered: judged, recorded for ever, and what it makes of the track.

A message that came unasked is known by its digest: the same one again, late or out of order, changes nothing, whoever
sends it. What is not accepted is kept
too, with why; the recipient is told at the next send, and its track stays open until an answer counts or the clock
escalates it.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID

from include.cases import book, machine
from include.cases.book import Case, Conn
from include.cases.notices import again, history, outbox, rounds
from include.cases.notices.instants import moment, start_of
from include.cases.notices.outbox import Row
from include.cases.notices.standing import Standing, standing
from include.cases.rooms import Desk
from include.cases.sealing import Seal
from include.cases.situation import facts
from include.model.declared import CategoryId
from include.model.errors import Refused
from include.model.notices import Answer, AnswerCode, Judgement, Part, Pending
from include.model.policy import Recipient
from include.model.words import UnitState, Verdict

OPEN, ESCALATED = UnitState.TP_NOTIFIED, UnitState.TP_ESCALATED


@dataclass(frozen=True)
class Objection:
    """Why something does not count: ``why`` for the operator, ``told`` for the recipient, in its language."""

    why: str
    told: str


NOT_AS_AGREED = "所收答复未依约签名，或其格式不符合约定，未予采信：请以约定的证书签名，并按约定格式重新答复"
ABOUT_ANOTHER = Objection(
    "the answer was about something else", "所收答复并非针对本通知：请核对通知编号后重新答复"
)


def take(
    desk: Desk, answer: Answer, *, as_of: date, actor: str, proof: bytes | None = None
) -> tuple[Judgement, ...]:
    """Judge an answer, record it, and move the track. ``proof``: what a person has of it, sealed with it.

    Raises Refused for a request that we never made, or that was made to somebody else. A late "not deleted" writes the
    next round, and reopens a case that is closed.
    """
    with desk.book() as conn, book.deed(conn, answer.recipient):
        case, row = _locked(conn, answer.request_id, answer.recipient)
        if known := _judged_before(conn, answer):
            return known
        recipient = rounds.recipient(desk, answer.recipient)
        judged = desk.judge(
            recipient, row["erase"] or _every(row, recipient), answer, as_of=as_of, laws=desk.catalogue.laws,
            preserve=row["preserve"], told_at=row["sent_at"],
        )  # fmt: skip
        if answer.via == "callback" and not _first(conn, answer.request_id, answer.digest):
            return judged
        if (same := _said_last(desk, conn, case, answer, judged)) and proof is None:
            return same  # a status says the same again with another time on it
        _record(desk, conn, case, answer, judged, proof, as_of)
        codes = sorted({j.part.code.value for j in judged})
        book.note(
            conn, case.case_no, as_of, actor, "answer", law_row=16,
            detail={"recipient": answer.recipient, "round": row["round"], "codes": codes, "via": answer.via,
                    "accepted": sum(j.accepted for j in judged), "parts": len(judged)},
        )  # fmt: skip
        objections = _objections(judged)
        _settle(desk, conn, case, row, as_of, actor, digest=answer.digest, objections=objections)
        return judged


def pending(desk: Desk, said: Pending, *, as_of: date, actor: str) -> None:
    """It has the notice and is not done: asked again on the day that it names. After its answer it changes nothing."""
    with desk.book() as conn, book.deed(conn, said.recipient):
        case, row = _locked(conn, said.request_id, said.recipient)
        if row["state"] != OPEN.value or row["sent_at"] is None:
            return
        if said.digest and not _first(conn, said.request_id, said.digest):
            return
        changed = conn.execute(
            "UPDATE casebook.outbox SET expected_on = %(day)s WHERE notice_id = %(id)s"
            " AND %(day)s::date IS NOT NULL AND expected_on IS DISTINCT FROM %(day)s",
            {"id": row["notice_id"], "day": said.expected_on},
        ).rowcount
        if changed:
            book.note(
                conn, case.case_no, as_of, actor, "expected",
                detail={"recipient": said.recipient, "on": str(said.expected_on)},
            )  # fmt: skip


def object_to(desk: Desk, request_id: UUID, why: Objection, *, as_of: date, actor: str) -> None:
    """Something came that is no answer (unsigned, or about something else): its sender is to be told why."""
    with desk.book() as conn, book.deed(conn, "answer"):
        row = outbox.of_request(conn, request_id, lock=True)
        _object(conn, row, (why,), as_of)


def decide(desk: Desk, answer_id: int, *, accepted: bool, why: str, as_of: date, actor: str) -> UnitState:
    """What a person with the law at hand decides of a part that the machine cannot judge. It is decided once."""
    if not why.strip():
        raise Refused(
            "a decision needs its reason", about="answer", next_step="say why, without naming anybody"
        )
    with desk.book() as conn, book.deed(conn, "answer"):
        found = conn.execute(
            "SELECT request_id, recipient, code, digest FROM casebook.answer WHERE answer_id = %s AND for_a_person",
            (answer_id,),
        ).fetchone()
        if found is None:
            raise Refused("no such answer waits for a person", about="answer", next_step="see the errands")
        case, row = _locked(conn, found["request_id"], found["recipient"])
        done = conn.execute(
            "INSERT INTO casebook.answer_decision (answer_id, accepted, why, decided_by) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT DO NOTHING",
            (answer_id, accepted, why.strip(), book.checked_actor(actor)),
        ).rowcount
        if not done:
            raise Refused("it is decided already", about=case.case_no, next_step="see the case's page")
        book.note(conn, case.case_no, as_of, actor, "answer decided", law_row=16,
                  detail={"recipient": row["recipient"], "accepted": accepted})  # fmt: skip
        # A person says it in one language, which is the recipient's.
        objections = () if accepted else (Objection(why.strip(), f"{found['code']}：{why.strip()}"),)
        _settle(desk, conn, case, row, as_of, actor, digest=found["digest"], objections=objections)
        return UnitState(outbox.of_request(conn, row["request_id"])["state"])


def unlink(desk: Desk, conn: Conn, *, as_of: date, actor: str) -> int:
    """Tracks that waited for our own side alone and need not any more; how many."""
    waiting = conn.execute(
        "SELECT request_id, recipient FROM casebook.outbox WHERE state = 'tp_notified' AND answer_code = %s",
        (outbox.OURS,),
    ).fetchall()
    moved = 0
    for one in waiting:
        with book.deed(conn, one["recipient"]):
            case, row = _locked(conn, one["request_id"], one["recipient"])
            moved += _settle(desk, conn, case, row, as_of, actor, digest=row["answer_digest"], objections=())
    return moved


# --- the track -------------------------------------------------------------------------------------


def _settle(
    desk: Desk, conn: Conn, case: Case, row: Row, as_of: date, actor: str, *,
    digest: str | None, objections: Sequence[Objection],
) -> bool:  # fmt: skip
    """Put the track where all answers put it; whether it moved."""
    recipient = rounds.recipient(desk, row["recipient"])
    erase = tuple(row["erase"] if row["erase"] is not None else recipient.categories)
    now = standing(
        erase, tuple(row["preserve"]), history.said(conn, [row["request_id"]]).get(row["request_id"], []),
        unlinked=_unlinked(conn, case.case_no, (*erase, *row["preserve"])),
    )  # fmt: skip
    was = UnitState(row["state"])
    if was not in (OPEN, ESCALATED) and now.back:
        rounds.not_deleted(desk, conn, case, row["recipient"], now.back, as_of=as_of, actor=actor)
        return False
    if now.state is OPEN:
        conn.execute(
            "UPDATE casebook.outbox SET answer_code = CASE WHEN state = 'tp_notified' THEN %s ELSE answer_code END,"
            " answer_digest = coalesce(%s, answer_digest) WHERE notice_id = %s",
            (now.code and now.code.value, digest, row["notice_id"]),
        )
        _reached(conn, row)
        _object(conn, row, objections, as_of)
        if now.code is AnswerCode.CANNOT_ERASE_IMMUTABLE and was is OPEN:
            conn.execute("UPDATE casebook.outbox SET due_at = NULL WHERE notice_id = %s", (row["notice_id"],))
        return False
    return _move(conn, case, row, now, as_of, actor, digest, again.asked_on(recipient, now.kept))


def _move(
    conn: Conn, case: Case, row: Row, now: Standing, as_of: date, actor: str, digest: str | None,
    ask_again_on: date | None,
) -> bool:  # fmt: skip
    was = UnitState(row["state"])
    code = now.code.value if now.code else None
    if was is now.state and row["answer_code"] == code and row["retained_until"] == now.until:
        return False
    law_row = None
    if was is not now.state:
        known = facts(conn, case, as_of, answer_proved=True)
        if not machine.may(was, now.state, known):
            return False  # recorded all the same
        law_row = machine.move(was, now.state, known).row
    conn.execute(
        "UPDATE casebook.outbox SET state = %s, answer_code = %s, answer_digest = %s, retained_until = %s,"
        " ask_again_on = %s, answered_at = clock_timestamp(), ended_on = %s, due_at = NULL, objection = NULL,"
        " delivery = 'delivered',"
        " sent_at = coalesce(sent_at, clock_timestamp()) WHERE notice_id = %s",
        (now.state.value, code, digest, now.until, ask_again_on, as_of, row["notice_id"]),
    )
    detail = {"recipient": row["recipient"], "code": code} | ({"until": str(now.until)} if now.until else {})
    book.note(conn, case.case_no, as_of, actor, "recipient", from_state=was.value, to_state=now.state.value,
              law_row=law_row, detail=detail)  # fmt: skip
    return True


def _objections(judged: Sequence[Judgement]) -> tuple[Objection, ...]:
    """Why an answer does not count, each reason once, with the code that it is about."""
    return tuple(
        dict.fromkeys(
            Objection(j.why, f"{j.part.code.value}：{j.told or j.why}")
            for j in judged
            if not j.accepted and not j.for_a_person and j.why
        )
    )


def _object(conn: Conn, row: Row, objections: Sequence[Objection], as_of: date) -> None:
    """The recipient is told at the next send, at most once a day."""
    if not objections or row["state"] != OPEN.value:
        return
    told_today = row["reminded_on"] == as_of
    at = start_of(as_of + timedelta(days=1)) if told_today else moment(as_of)
    conn.execute(
        "UPDATE casebook.outbox SET objection = %(why)s, objection_told = %(told)s,"
        " due_at = CASE WHEN delivery = 'delivered' THEN least(coalesce(due_at, %(at)s), %(at)s) ELSE due_at END"
        " WHERE notice_id = %(id)s AND objection IS DISTINCT FROM %(why)s",
        {
            "why": "; ".join(dict.fromkeys(o.why for o in objections)),
            "told": "；".join(o.told for o in objections),
            "at": at,
            "id": row["notice_id"],
        },
    )


def _reached(conn: Conn, row: Row) -> None:
    """Whoever answers has the notice, whatever we know of its delivery: nobody need find out."""
    conn.execute(
        "UPDATE casebook.outbox SET sent_at = coalesce(sent_at, clock_timestamp()), delivery = 'delivered',"
        " due_at = CASE WHEN state = 'tp_notified' THEN coalesce(due_at, %s) END"
        " WHERE notice_id = %s AND delivery IN ('waiting', 'in_doubt', 'errand', 'refused')",
        (start_of(row["remind_on"]), row["notice_id"]),
    )


# --- the book of answers ---------------------------------------------------------------------------


def _locked(conn: Conn, request_id: UUID, recipient: str) -> tuple[Case, Row]:
    """The case first, as everywhere. Raises Refused for a request of somebody else as for none."""
    found = outbox.of_request(conn, request_id)
    if found["recipient"] != recipient:
        raise Refused("there is no such notice", about=recipient, next_step="check its request id")
    case = book.case(conn, found["case_no"], lock=True)
    return case, outbox.of_request(conn, request_id, lock=True)


def _every(row: Row, recipient: Recipient) -> tuple[CategoryId, ...]:
    return tuple(row["preserve"]) or recipient.categories


def _first(conn: Conn, request_id: UUID, digest: str) -> bool:
    """Whether a signed message is heard for the first time; from now on it was. OpenDSR's callbacks carry no time of
    signing, so an old one, sent again by whoever saw it, is told from a new one by this alone."""
    return bool(
        conn.execute(
            "INSERT INTO casebook.heard (request_id, digest) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            (request_id, digest),
        ).rowcount
    )


def _judged_before(conn: Conn, answer: Answer) -> tuple[Judgement, ...]:
    rows = conn.execute(
        "SELECT * FROM casebook.answer WHERE request_id = %s AND digest = %s ORDER BY part",
        (answer.request_id, answer.digest),
    ).fetchall()
    return tuple(
        Judgement(
            part=Part(code=AnswerCode(r["code"]), categories=tuple(r["categories"]), count=r["items"],
                      article=r["law"], until=r["until"]),
            accepted=r["accepted"], why=r["why"], told=r["told"], for_a_person=r["for_a_person"],
        )
        for r in rows
    )  # fmt: skip


def _said_last(
    desk: Desk, conn: Conn, case: Case, answer: Answer, judged: Sequence[Judgement]
) -> tuple[Judgement, ...]:
    """The judgements, if the last message about this notice said just that; else none."""
    rows = conn.execute(
        "SELECT part, sealed_evidence, accepted, why FROM casebook.answer WHERE request_id = %(id)s AND digest ="
        " (SELECT digest FROM casebook.answer WHERE request_id = %(id)s ORDER BY answer_id DESC LIMIT 1) ORDER BY part",
        {"id": answer.request_id},
    ).fetchall()
    if len(rows) != len(judged) or any(r["sealed_evidence"] is None for r in rows):
        return ()
    seal = desk.seal(case)
    for row, judgement in zip(rows, judged, strict=True):
        field = evidence_field(answer.recipient, row["part"])
        said = seal.open(field, bytes(row["sealed_evidence"])).partition("\n")[0]
        if (said, row["accepted"], row["why"]) != (
            judgement.part.model_dump_json(), judgement.accepted, judgement.why
        ):  # fmt: skip
            return ()
    return tuple(judged)


def evidence_field(recipient: str, part: int) -> str:
    return f"answer.sealed_evidence.{recipient}.{part}"


def _record(
    desk: Desk,
    conn: Conn,
    case: Case,
    answer: Answer,
    judged: Sequence[Judgement],
    proof: bytes | None,
    as_of: date,
) -> None:
    seal = desk.seal(case)
    rows = []
    for n, j in enumerate(judged, 1):
        evidence = j.part.model_dump_json()
        if n == 1 and proof is not None:
            evidence = f"{evidence}\n{base64.b64encode(proof).decode()}"
        rows.append(
            (
                answer.request_id, case.case_no, answer.recipient, answer.digest, n, j.part.code.value,
                list(j.part.categories), j.part.until, j.part.article, j.part.count, j.accepted, j.for_a_person, j.why, j.told,
                answer.via, as_of, _sealed(seal, answer.recipient, n, evidence),
            )
        )  # fmt: skip
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO casebook.answer (request_id, case_no, recipient, digest, part, code, categories, until, law,"
            " items, accepted, for_a_person, why, told, via, as_of, sealed_evidence)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            rows,
        )


def _sealed(seal: Seal, recipient: str, part: int, evidence: str) -> bytes | None:
    """None once the case's key is destroyed: what comes that late is known by its digest alone."""
    try:
        return seal.seal(evidence_field(recipient, part), evidence)
    except Refused:
        return None


def _unlinked(conn: Conn, case_no: str, categories: Sequence[CategoryId]) -> bool:
    """Whether our own side gives a chain's hash no more: none of such data stays with us, and it was proved that the
    hash cannot be computed again."""
    row = conn.execute(
        "SELECT NOT EXISTS (SELECT FROM casebook.unit WHERE case_no = %(no)s AND category = ANY(%(of)s)"
        "  AND state IN ('active', 'restricted', 'held', 'deleting_live', 'delete_failed')) AS none_stays,"
        " (SELECT bool_and(c ->> 'verdict' = %(passed)s) FROM (SELECT body FROM casebook.evidence_ref"
        "   WHERE case_no = %(no)s AND body -> 'checks' @? '$[*] ? (@.name starts with \"unlinkable.\")'"
        "   ORDER BY observed_at DESC LIMIT 1) AS last, jsonb_array_elements(last.body -> 'checks') AS c"
        "  WHERE c ->> 'name' LIKE 'unlinkable.%%') AS proved",
        {"no": case_no, "of": list(categories), "passed": Verdict.PASSED.value},
    ).fetchone()
    return bool(row and row["none_stays"] and row["proved"])
