"""Asking again for what a recipient retained: the day after its last day, or from time to time where it named none.

An answer is no end of its own: what is kept for a dispute, or by a duty of its own, has an end that only the recipient
knows. How often it is asked whether that has come is the catalogue's (``ask_again``). What is under a hold of ours is
left where it is: the release asks for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

from include.cases import book
from include.cases.book import Conn
from include.cases.notices import held, history, rounds
from include.cases.notices.history import Told
from include.cases.notices.outbox import RETAINED, Row
from include.cases.notices.rounds import Next
from include.cases.notices.standing import KEPT, Said, last_words
from include.cases.periods import last_day
from include.cases.rooms import Desk
from include.cases.scopes import Kinds
from include.model.declared import CategoryId
from include.model.notices import AnswerCode
from include.model.policy import Recipient

DAY = timedelta(days=1)


def asked_on(recipient: Recipient, kept: Mapping[CategoryId, Said]) -> date | None:
    """When the first of what is kept is asked for again; None if nothing is kept."""
    return min((_due(recipient, word) for word in kept.values()), default=None)


def _due(recipient: Recipient, word: Said) -> date:
    if word.until is not None:
        return word.until + DAY
    if word.on is None:
        raise ValueError("an answer has the day on which it came")
    return last_day(word.on, recipient.ask_again)


def ask(desk: Desk, conn: Conn, *, as_of: date, actor: str) -> tuple[str, ...]:
    """Write the next round to everybody of whom something retained is to be asked for by now; the cases. One that is
    closed is opened again, to wait for that answer. What is kept until later is asked for then."""
    due = conn.execute(
        "SELECT DISTINCT case_no FROM casebook.outbox WHERE ask_again_on <= %s ORDER BY case_no", (as_of,)
    ).fetchall()
    for case_no in (str(r["case_no"]) for r in due):
        with book.deed(conn, case_no):
            case = book.case(conn, case_no, lock=True)
            kept_by_us = held.now(desk, conn, case)
            wanted: list[Next] = []
            for told in history.told(conn, desk.catalogue, (case_no,)):
                wanted += _next(conn, told, kept_by_us, as_of)
            rounds.write(desk, conn, wanted, as_of=as_of, actor=actor)
    return tuple(str(r["case_no"]) for r in due)


def _next(conn: Conn, told: Told, kept_by_us: Kinds, as_of: date) -> list[Next]:
    """What one recipient is to be asked again, and, on its rounds, when they are next."""
    dated, undated = set[CategoryId](), set[CategoryId]()
    for row, kept in _kept(conn, told):
        recipient = rounds.known(told)
        following: list[date] = []
        for category, word in kept.items():
            due = _due(recipient, word)
            if due <= as_of and category not in kept_by_us:
                (undated if word.until is None else dated).add(category)
            else:
                # Under a hold of ours it is not asked for; should the recipient's own last day be over when that is
                # released, the release has asked already.
                following.append(max(due, last_day(as_of, recipient.ask_again)) if due <= as_of else due)
        conn.execute(
            "UPDATE casebook.outbox SET ask_again_on = %s WHERE notice_id = %s",
            (min(following, default=None), row["notice_id"]),
        )
    if not (dated or undated):
        return []
    because = "retention_ended" if dated else "still_retained"
    return [Next(told, frozenset(dated | undated), frozenset(), because)]


def _kept(conn: Conn, told: Told) -> list[tuple[Row, dict[CategoryId, Said]]]:
    """What each of its rounds still says is kept: a later round that asked about it has taken its place."""
    answers = history.said(conn, [r["request_id"] for r in told.rounds])
    later: set[CategoryId] = set()
    found = []
    for row in reversed(told.rounds):
        every = history.asked_by(row, told.recipient)
        if row["state"] == RETAINED:
            said = answers.get(row["request_id"]) or [_before_answers(row)]
            words = last_words((c for c in every if c not in later), said)
            found.append((row, {c: w for c, w in words.items() if w.accepted and w.code in KEPT}))
        later |= set(every)
    return found


def _before_answers(row: Row) -> Said:
    """What a row says by itself that was answered before answers were recorded part by part."""
    return Said(AnswerCode(row["answer_code"]), (), row["retained_until"], True, None, row["ended_on"])
