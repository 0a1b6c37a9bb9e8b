"""Where each recipient that was told stands, for the certificate: a line for each notice, and for each thing that is kept.

What a later notice asks for again is told of the later one alone; but that a recipient was caught stays said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from include.cases.book import Conn
from include.cases.notices import history, outbox, stopping
from include.cases.notices.outbox import Row
from include.cases.notices.standing import KEPT, Said, last_words
from include.ledger.certificate import Outcome, Told
from include.model.catalogue import Catalogue
from include.model.declared import CategoryId
from include.model.notices import AnswerCode
from include.model.screening import kind_of_identifier
from include.model.times import prc_date
from include.model.words import UnitState

_OUTCOME: dict[str, Outcome] = {
    UnitState.TP_ACKED.value: "gone", UnitState.TP_RETAINED.value: "retained", UnitState.TP_UNLINKED.value: "unlinked",
    UnitState.TP_ESCALATED.value: "escalated", UnitState.TP_NOTIFIED.value: "open",
}  # fmt: skip
OWN_DUTY = "a duty of its own"


def outcomes(conn: Conn, catalogue: Catalogue, case_no: str) -> tuple[Told, ...]:
    """All of a case, by recipient in the catalogue's order, then by notice."""
    names = {r.id: r.name for r in catalogue.recipients}
    every = {r.id: r.categories for r in catalogue.recipients}
    rows = outbox.listing(conn, case_no)
    said = history.said(conn, [row["request_id"] for row in rows])
    stopped = {r["recipient"]: r["stopped_on"] for r in stopping.listing(conn)}
    caught = {
        r["request_id"]
        for r in conn.execute(
            "SELECT request_id FROM casebook.probe WHERE case_no = %s AND phase = 'after' AND known",
            (case_no,),
        ).fetchall()
    }
    found: list[Told] = []
    for row in rows:
        about = tuple(row["erase"] if row["erase"] is not None else every.get(row["recipient"], ()))
        later = [r for r in rows if r["recipient"] == row["recipient"] and r["round"] > row["round"]]
        lied = row["request_id"] in caught  # whatever it did since, it was
        if not lied and _asked_again(row, about, later):
            continue
        common: dict[str, Any] = {
            "recipient": row["recipient"], "name": names.get(row["recipient"], row["recipient"]), "round": row["round"],
            "told_on": _day(row["sent_at"]), "ended_on": row["ended_on"],
            "stopped_on": stopped.get(row["recipient"]) if row["state"] == UnitState.TP_ESCALATED.value else None,
        }  # fmt: skip
        outcome: Outcome = "caught" if lied else _OUTCOME[row["state"]]
        if outcome == "retained":
            left = tuple(c for c in about if c not in _asked(later))
            found += _retained(common, row, left, said.get(row["request_id"], ()))
        else:
            found.append(Told(**common, outcome=outcome, code=row["answer_code"]))
    order = {name: n for n, name in enumerate(names)}
    return tuple(sorted(found, key=lambda t: (order.get(t.recipient, len(order)), t.recipient, t.round or 0)))


def _asked_again(row: Row, about: Sequence[CategoryId], later: Sequence[Row]) -> bool:
    """Whether a later notice took its place, or asks for all of it. One that asks to preserve it leaves it as it stands:
    a line that vanished would tell the person of a hold."""
    if row["state"] == UnitState.TP_SUPERSEDED.value:
        return True
    return row["state"] != UnitState.TP_NOTIFIED.value and bool(about) and set(about) <= _asked(later)


def _asked(later: Sequence[Row]) -> frozenset[CategoryId]:
    return frozenset(c for r in later for c in r["erase"] or ())


def _retained(
    common: Mapping[str, Any], row: Row, about: Sequence[CategoryId], said: Sequence[Said]
) -> Iterator[Told]:
    """A line for each law and date; what it preserves because we said so apart from what it keeps by itself."""
    lines: dict[tuple[AnswerCode, str, Any, bool], list[CategoryId]] = {}
    for category, part in sorted(last_words((*about, *row["preserve"]), said).items()):
        if part.accepted and part.code in KEPT:
            ours = part.code is AnswerCode.HELD_DISPUTE and category in row["preserve"]
            lines.setdefault((part.code, _law(part), part.until, ours), []).append(category)
    for (code, law, until, ours), categories in lines.items():
        yield Told(
            **common, outcome="retained", code=code.value, categories=tuple(categories), law=law, until=until,
            preserved=ours,
        )  # fmt: skip


def _law(part: Said) -> str:
    """What it cites. It is the recipient's text: one that names somebody is left to the sealed answer."""
    if part.code is not AnswerCode.RETAINED_BY_LAW:
        return OWN_DUTY
    law = part.law or ""
    return (
        "a law, as its answer says" if not law.strip() or kind_of_identifier(law, account_ids=True) else law
    )


def _day(at: datetime | None) -> Any:
    return None if at is None else prc_date(at)
