"""Whether a recipient that says it deleted still knows the person: asked, by its own numbers, where it can be asked.

A yes proves that it lied. A no proves something of a synthetic person that it was seen to know before it was told, and of
nobody else: whoever never knew the number says no, too. Each notice is looked at once, in the days after its end.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from psycopg import sql

from include.cases import book, papers
from include.cases.book import Conn
from include.cases.notices import outbox, rechecks, rounds
from include.cases.notices.outbox import Row
from include.cases.rooms import Desk
from include.model.doors import Channel
from include.model.errors import NotReachable, Refused
from include.model.notices import Notice
from include.model.policy import Recipient
from include.model.screening import kind_of_identifier

DAYS = 7  # after its end, in which a notice is looked at; what could not be asked by then stays unverified

# Whoever still keeps something as it may, or was told to preserve it, may say that it knows the person.
_TO_LOOK_AT = sql.SQL(
    "FROM casebook.outbox o WHERE o.channel = 'opendsr' AND o.state = 'tp_acked' AND o.ended_on > %(since)s"
    " AND o.sealed_payload IS NOT NULL"
    " AND NOT EXISTS (SELECT FROM casebook.probe p WHERE p.request_id = o.request_id AND p.phase = 'after')"
    " AND NOT EXISTS (SELECT FROM casebook.outbox k WHERE k.case_no = o.case_no AND k.recipient = o.recipient"
    "  AND (k.state = 'tp_retained' AND (k.retained_until IS NULL OR k.retained_until >= %(on)s)"
    "   OR EXISTS (SELECT FROM unnest(k.preserve) AS c WHERE NOT EXISTS (SELECT FROM casebook.outbox later"
    "    WHERE later.case_no = k.case_no AND later.recipient = k.recipient AND later.round > k.round"
    "    AND c = ANY(later.erase)))))"
)


class Found(StrEnum):
    """What its word that somebody is gone was worth."""

    VERIFIED = "verified"  # seen before, and not after
    CAUGHT = "caught"  # seen after
    NOT_SEEN_BEFORE = "not_seen_before"  # not seen at all: its no proves nothing
    UNVERIFIED = "unverified"  # it cannot be asked, was not asked before, or would not say


def found(before: bool | None, after: bool | None) -> Found:
    """As the view ``casebook.word_kept`` has it. None: not asked, or it would not say."""
    if after:
        return Found.CAUGHT
    if before is None or after is None:
        return Found.UNVERIFIED
    return Found.VERIFIED if before else Found.NOT_SEEN_BEFORE


def known(channel: Channel, references: Sequence[str]) -> bool | None:
    """Whether it knows any of its own numbers; None if it would not say. Raises NotReachable."""
    said = [channel.knows(reference) for reference in references]
    return True if True in said else None if None in said or not said else False


# --- before ------------------------------------------------------------------------------------------


def to_ask_before(conn: Conn, body: Recipient, rows: Collection[Row]) -> frozenset[int]:
    """The notices, of those that are about to be sent, before which it is asked: of synthetic people only, and until
    it has answered or the notice is with it."""
    if body.channel != "opendsr":
        return frozenset()
    found = conn.execute(
        "SELECT notice_id FROM casebook.outbox o JOIN casebook.synthetic_case s USING (case_no)"
        " WHERE notice_id = ANY(%s) AND sent_at IS NULL AND NOT EXISTS (SELECT FROM casebook.probe p"
        "  WHERE p.request_id = o.request_id AND p.phase = 'before' AND p.known IS NOT NULL)",
        ([r["notice_id"] for r in rows],),
    ).fetchall()
    return frozenset(int(r["notice_id"]) for r in found)


def ask_before(conn: Conn, channel: Channel, row: Row, notice: Notice, *, as_of: date) -> None:
    """Ask, and keep what it says with its time. Nothing is sent yet. Raises NotReachable."""
    try:
        said = known(channel, notice.references)
    except NotReachable:
        raise
    except Exception:  # whatever breaks here, the notice goes out, and the word stays unverified
        said = None
    with book.deed(conn, row["case_no"]):
        _keep(conn, row, "before", said, as_of)


def _keep(conn: Conn, row: Row, phase: str, said: bool | None, as_of: date) -> bool:
    """Whether it was new: after its end a notice is looked at once."""
    return bool(
        conn.execute(
            "INSERT INTO casebook.probe (request_id, case_no, recipient, phase, known, as_of, to_say)"
            " VALUES (%(id)s, %(no)s, %(who)s, %(phase)s, %(known)s, %(on)s, %(phase)s = 'after' AND (%(known)s::boolean"
            "  IS TRUE OR EXISTS (SELECT FROM casebook.synthetic_case s WHERE s.case_no = %(no)s)))"
            " ON CONFLICT DO NOTHING",
            {"id": row["request_id"], "no": row["case_no"], "who": row["recipient"], "phase": phase, "known": said,
             "on": as_of},
        ).rowcount
    )  # fmt: skip


# --- after -------------------------------------------------------------------------------------------


@dataclass
class Looked:
    """How many notices were looked at; of how many the recipient still knew the person, of how many it was seen to know
    it no more, and what proves nothing."""

    asked: int = 0
    caught: int = 0
    verified: int = 0
    unverified: int = 0

    def __str__(self) -> str:
        return (
            f"{self.asked} looked at again: {self.caught} still known, {self.verified} verified,"
            f" {self.unverified} not verified"
        )


def to_look_at(desk: Desk, *, as_of: date) -> tuple[str, ...]:
    """The recipients with a notice that nobody has looked at since it came to its end."""
    with desk.book() as conn:
        rows = conn.execute(
            sql.SQL("SELECT DISTINCT o.recipient {} ORDER BY 1").format(_TO_LOOK_AT), _since(as_of)
        ).fetchall()
    return tuple(str(r["recipient"]) for r in rows)


def _since(as_of: date) -> dict[str, object]:
    return {"since": as_of - timedelta(days=DAYS), "on": as_of}


def look_again(desk: Desk, recipient: str, *, as_of: date, actor: str, limit: int = 100) -> Looked:
    """Ask for each number of each notice. Raises NotReachable if the recipient cannot be asked at all."""
    body, looked = rounds.recipient(desk, recipient), Looked()
    with desk.book() as conn:
        rows = conn.execute(
            sql.SQL("SELECT o.* {} AND o.recipient = %(who)s ORDER BY o.ended_on LIMIT %(limit)s").format(
                _TO_LOOK_AT
            ),
            _since(as_of) | {"who": recipient, "limit": limit},
        ).fetchall()
        channel = desk.channel(body)
        try:
            for row in rows:
                case = book.case(conn, row["case_no"])
                notice = outbox.unsealed(row, case, desk.seal(case), body)
                said = known(channel, notice.references)
                _count(looked, _look(desk, conn, row, said, as_of, actor))
        finally:
            channel.close()
    rechecks.to_ledger(desk)
    return looked


def _look(desk: Desk, conn: Conn, row: Row, said: bool | None, as_of: date, actor: str) -> Found | None:
    """Keep what it says, and what follows, in one deed; None if somebody else did."""
    with book.deed(conn, row["case_no"]):
        book.case(conn, row["case_no"], lock=True)
        if not _keep(conn, row, "after", said, as_of):
            return None
        if said:
            rounds.lied(desk, conn, row["request_id"], as_of=as_of, actor=actor)
        book.note(
            conn, row["case_no"], as_of, actor, "looked at again",
            detail={"recipient": row["recipient"], "request": str(row["request_id"]), "known": said},
        )  # fmt: skip
        kept = conn.execute(
            "SELECT before, after FROM casebook.word_kept WHERE request_id = %s", (row["request_id"],)
        ).fetchone()
    return found(kept["before"], kept["after"]) if kept else None


def _count(looked: Looked, what: Found | None) -> None:
    if what is None:
        return
    looked.asked += 1
    looked.caught += what is Found.CAUGHT
    looked.verified += what is Found.VERIFIED
    looked.unverified += what in (Found.NOT_SEEN_BEFORE, Found.UNVERIFIED)


def confronted(desk: Desk, case_no: str, recipient: str, *, reason: str, as_of: date, actor: str) -> None:
    """A person talked to a recipient that was caught: the finding is settled, and the case may close once the recipient
    has answered its next notice. Raises as :func:`settle`."""
    settle(
        desk, case_no, rounds.STILL_KNOWS, recipient, reason=reason, what="recipient confronted", law_row=20,
        as_of=as_of, actor=actor,
    )  # fmt: skip


def settle(
    desk: Desk,
    case_no: str,
    code: str,
    recipient: str,
    *,
    reason: str,
    what: str,
    law_row: int | None,
    as_of: date,
    actor: str,
) -> None:
    """Settle the finding of this code about a recipient. Raises Refused without a reason, for one that names somebody, and
    where nothing is to be settled."""
    if not reason.strip():
        raise Refused(
            "nobody says what came of it", about=recipient, next_step="say what was found or agreed"
        )
    if kind := kind_of_identifier(reason, account_ids=True):
        raise Refused(f"the reason holds {kind}", about=recipient, next_step="keep people out of it")
    with desk.book() as conn, book.deed(conn, case_no):
        book.case(conn, case_no, lock=True)
        settled = papers.settle_findings(
            conn, case_no, code, [rounds.place_of(recipient)], actor=actor, settlement=reason.strip()
        )
        if not settled:
            raise Refused(
                "there is no open finding about this recipient", about=case_no, next_step="see `quietus case show`"
            )  # fmt: skip
        book.note(conn, case_no, as_of, actor, what, law_row=law_row, detail={"recipient": recipient})
