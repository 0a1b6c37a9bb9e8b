"""What each recipient of a case was asked over all rounds, and what of it is gone there by its own last word.

Each round has a track of its own (``standing``); here they are read together, for what comes after: a hold, its release,
a retained answer that is asked about again. Two statements, however many cases.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from include.cases.book import Conn
from include.cases.notices.outbox import NOTIFIED, Row
from include.cases.notices.standing import GONE, OPEN, Said, last_words
from include.model.catalogue import Catalogue
from include.model.declared import CategoryId
from include.model.notices import AnswerCode
from include.model.policy import Recipient

ANEW = frozenset({"not_deleted", "reopened"})
"""Rounds that do not believe what was said before: after them it counts only if it is said again."""

_ROUND = (
    "SELECT notice_id, case_no, recipient, request_id, round, because, erase, preserve, items, state, delivery,"
    " answer_code, retained_until, ended_on"
    " FROM casebook.outbox WHERE case_no = ANY(%s) ORDER BY case_no, recipient, round"
)
_SAID = (
    "SELECT a.request_id, a.code, a.categories, a.until, a.digest, a.as_of, a.law, coalesce(d.accepted, a.accepted) AS accepted"
    " FROM casebook.answer a LEFT JOIN casebook.answer_decision d USING (answer_id)"
    " WHERE a.request_id = ANY(%s) AND a.code <> 'NO_REPLY' ORDER BY a.answer_id"
)


@dataclass(frozen=True)
class Told:
    """One recipient of one case: its rounds, oldest first; what it is to erase and to preserve by the last one that
    spoke of it; and what it says it has not, or no more. ``recipient``: None if the catalogue knows it no more."""

    case_no: str
    name: str
    recipient: Recipient | None
    rounds: tuple[Row, ...]
    erase: frozenset[CategoryId]
    preserve: frozenset[CategoryId]
    gone: frozenset[CategoryId]

    @property
    def last(self) -> Row:
        return self.rounds[-1]

    @property
    def open(self) -> tuple[Row, ...]:
        return tuple(r for r in self.rounds if r["state"] == NOTIFIED)

    @property
    def left_open(self) -> frozenset[CategoryId]:
        """What the open rounds ask for and is not known to be gone."""
        asked = (c for row in self.open for c in asked_by(row, self.recipient))
        return frozenset(asked) - self.gone


def said(conn: Conn, request_ids: Collection[object]) -> dict[object, list[Said]]:
    """What was said to each notice, in the order in which it came, with what people decided of it."""
    rows = conn.execute(_SAID, (list(request_ids),)).fetchall()
    found: dict[object, list[Said]] = {}
    for r in rows:
        part = Said(
            AnswerCode(r["code"]),
            tuple(r["categories"]),
            r["until"],
            r["accepted"],
            r["digest"],
            r["as_of"],
            r["law"],
        )
        found.setdefault(r["request_id"], []).append(part)
    return found


def told(conn: Conn, catalogue: Catalogue, case_nos: Collection[str]) -> tuple[Told, ...]:
    """Every recipient of these cases that has a notice, by case."""
    rows = conn.execute(_ROUND, (list(case_nos),)).fetchall()
    answers = said(conn, [r["request_id"] for r in rows])
    known = {r.id: r for r in catalogue.recipients}
    by: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        by.setdefault((row["case_no"], row["recipient"]), []).append(row)
    return tuple(_told(rounds, known.get(rounds[0]["recipient"]), answers) for rounds in by.values())


def _told(rounds: Sequence[Row], recipient: Recipient | None, answers: dict[object, list[Said]]) -> Told:
    to: dict[CategoryId, str] = {}
    gone: set[CategoryId] = set()
    for row in rounds:
        every = asked_by(row, recipient)
        if row["because"] in ANEW:
            gone -= set(every)
        to |= dict.fromkeys(every, "erase") | dict.fromkeys(row["preserve"], "preserve")
        for category, word in last_words(every, answers.get(row["request_id"], ())).items():
            if word.accepted and word.code in GONE:
                gone.add(category)
            elif word.code in OPEN:
                gone.discard(category)
    return Told(
        rounds[0]["case_no"], rounds[0]["recipient"], recipient, tuple(rounds),
        _sorted_out(to, "erase"), _sorted_out(to, "preserve"), frozenset(gone),
    )  # fmt: skip


def _sorted_out(to: dict[CategoryId, str], what: str) -> frozenset[CategoryId]:
    return frozenset(c for c, asked in to.items() if asked == what)


def asked_by(row: Row, recipient: Recipient | None) -> tuple[CategoryId, ...]:
    """What a round is about. One from before there were rounds is about all that the recipient is given."""
    if row["erase"] is None:
        return recipient.categories if recipient else ()
    return (*row["erase"], *row["preserve"])
