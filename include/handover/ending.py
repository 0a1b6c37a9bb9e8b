"""What a shutdown still waits for, before its service is certified: everything is named, and nothing is taken on trust.

Gates, books, bags, recipients and cases are looked at first. A place that nobody could see at after T0, and for which somebody
answers by a document, does not keep it waiting: it stands in the certificate, as not seen
(:mod:`include.cases.shutdown.accepting`); nor do identifiers whose key both approvers declared lost
(:mod:`include.cases.shutdown.lost_key`). The whole estate is looked through, and what is called anonymous is tried again
(RS-27), once nothing else is open: so that look comes after the last deed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from include.cases import book, certifying, closing
from include.cases.rooms import Desk
from include.cases.shutdown import lost_key, media, needles, orders, people, short, told_recipients
from include.cases.shutdown import residual as residuals
from include.cases.shutdown.both import Both
from include.cases.shutdown.consigning import consigned
from include.cases.shutdown.orders import Order
from include.cases.yearly import retesting
from include.handover import books, estate, proving, register, said
from include.handover.books import Books
from include.handover.estate import Swept
from include.model.errors import NotProved, QuietusError, Refused
from include.model.words import CaseState


@dataclass(frozen=True)
class Unsought:
    """``gathered``: the event by which so many ``identifiers`` were gathered."""

    store: str
    why: str
    gathered: int
    identifiers: int
    by: Both

    def told(self) -> dict[str, Any]:
        """As the certificate says it."""
        return {
            "store": self.store, "why": self.why, "identifiers": self.identifiers, "document": self.by.document,
            "digest": self.by.digest, "answered_on": self.by.answered_on.isoformat(),
        }  # fmt: skip


@dataclass
class Ending:
    """How far it came. ``open``: what it waits for, a sentence each; ``cases``: case -> serial of its last certificate;
    ``unsought``: stores in which nobody's identifiers could be looked for, why, and who answers for that; ``media``: how each
    carrier of the order's data stands."""

    order: Order
    books: Books
    open: list[str] = field(default_factory=list)
    cases: dict[str, int] = field(default_factory=dict)
    swept: Swept | None = None
    unsought: list[Unsought] = field(default_factory=list)
    media: tuple[media.Standing, ...] = ()


def look(desk: Desk, number: str, *, as_of: date, actor: str) -> Ending:
    """Look at everything, certify and close what can be, and say what is open. Raises Refused before collection is closed, or if
    the order is not in force; NotReachable."""
    with desk.book() as conn:
        of = orders.order(conn, number)
        if not of.in_force:
            raise Refused(f"the order is {of.state}", about=number, next_step=orders.SEE)
    found = Ending(of, books.balance(desk, number, as_of=as_of, actor=actor))
    with desk.book() as conn:
        days = orders.days(conn, of)
        found.open += [f"gate {g}: is not done" for g in days.gates if g not in days.done]
        late = short.found(conn, of)
        if late and short.answered(conn, of, late) is None:
            found.open += [
                f"{x}; both approvers answer for it (`quietus shutdown answer-short`)" for x in late
            ]
        # Who is told of nobody is told nothing (PIPL 22): without a successor no letter is waited for.
        if of.successor is not None and (untold := people.untold(desk, conn, of)) is not None:
            found.open.append(f"people: {untold[0]} ({untold[1]})")
        if register.bags(conn, number) and not register.reconciled(
            conn, number, [d.dataset for d in consigned(desk.catalogue, of)]
        ):
            found.open.append("bags: not every bag has a receipt without difference, or a dataset has none")
    found.open += [
        f"{r.kind} {books.sentence(x.dataset, r)}" for x in found.books.open for r in x.reasons
    ]  # fmt: skip
    found.open += _media(desk, found, as_of)
    found.open += _recipients(desk, number, as_of, actor)
    found.open += _cases(desk, found, as_of, actor)
    if not found.open:  # nor by a deed that comes after the look through the estate
        found.open += _overstayed(desk, of, as_of)
    if found.open:
        return found
    found.open += [
        f"conservation {c.name}: {c.verdict}, {c.why}"
        for c in proving.ours(desk, found.books, as_of=as_of, actor=actor).against()
    ]
    found.swept = estate.sweep(desk, number, found.books, as_of=as_of, actor=actor)
    found.unsought = _unsought(desk, found)
    named = {f"needle.{x.store}" for x in found.unsought}
    found.open += [f"estate {c.name}: {c.verdict}, {c.why}" for c in found.swept.wrong if c.name not in named]
    found.open += [
        f"anonymous {s.id}: its test is {s.verdict}" for s in retesting.retest_all(desk, as_of=as_of).wrong
    ]
    return found


def _unsought(desk: Desk, found: Ending) -> list[Unsought]:
    """What was not looked for, if both approvers declared the key lost: it keeps nothing waiting, and is told."""
    assert found.swept is not None  # noqa: S101
    with desk.book() as conn:
        by, since = (
            lost_key.declared(desk, conn, found.order.number),
            needles.gathered(conn, found.order.number),
        )
    if by is None or since is None:
        return []
    n = int(since["detail"]["identifiers"])
    return [Unsought(store, c.why, int(since["event_id"]), n, by) for store, c in found.swept.unsought]


def may_end(found: Ending) -> str:
    """Raises NotProved, naming all that is open."""
    if found.open:
        raise NotProved(
            f"{len(found.open)} things are open: " + "; ".join(found.open), about=found.order.number,
            next_step="do what is named, then ask for the certificate again (docs/shutdown.md)",
        )  # fmt: skip
    return f"{found.order.number}: nothing is open"


def _media(desk: Desk, found: Ending, as_of: date) -> Iterator[str]:
    """What has no record of how it was sanitised, and of which nobody said what becomes of it (clause 79)."""
    with desk.book() as conn:
        found.media = media.standing(desk.catalogue, conn, found.order, as_of)
    for s in found.media:
        if s.open and s.record is None:
            yield (
                f"media {s.carrier.name}: no record says that it was sanitised since the last case that took from it, and nobody"
                " said what becomes of it (`quietus yearly sanitised`, `quietus shutdown media`)"
            )
        elif s.open:
            yield (
                f"media {s.carrier.name}: record {s.record and s.record.record_no} is of one medium, {', '.join(s.stays)} stays,"
                " and nobody said what becomes of the others (`quietus shutdown media`)"
            )


def _recipients(desk: Desk, number: str, as_of: date, actor: str) -> Iterator[str]:
    told_recipients.close(desk, number, as_of=as_of, actor=actor)
    there = told_recipients.standing(desk, number)
    yield from (f"recipient {r}: was not told (`quietus shutdown tell-recipients`)" for r in there.untold)
    yield from (f"recipient {r}: its answer is waited for" for r in there.open)


def _cases(desk: Desk, found: Ending, as_of: date, actor: str) -> Iterator[str]:
    """Each is certified anew, and closed if its certificate is final: nothing of it waits, and there is nobody to tell."""
    with desk.book() as conn:
        cases = [book.case(conn, no) for no in said.begun(conn, found.order.number)]
    for case in cases:
        if case.state not in (CaseState.WAITING, CaseState.CLOSED):
            yield f"{case.case_no}: is {case.state.value}"
            continue
        try:
            made = certifying.certify(desk, case.case_no, as_of=as_of, actor=actor)
        except QuietusError as error:
            yield f"{case.case_no}: {error.what}"
            continue
        found.cases[case.case_no] = made.serial
        if made.kind != "final":
            yield from _pending(desk, case.case_no)
        elif case.state is CaseState.WAITING:
            closing.close(desk, case.case_no, as_of=as_of, actor=actor)


def _pending(desk: Desk, case_no: str) -> Iterator[str]:
    """What its certificate says that it waits for: backups, rungs."""
    with desk.book() as conn:
        row = conn.execute(
            "SELECT draft -> 'pending' AS pending FROM casebook.certificate WHERE case_no = %s ORDER BY serial DESC LIMIT 1",
            (case_no,),
        ).fetchone()
    lines = dict.fromkeys(  # once, of however many categories and copies
        f"{case_no}: {w['track']} {w['name']}: {w['what']}" + (f", by {w['due']}" if w["due"] else "")
        for w in (row["pending"] if row else ())
    )
    yield from lines


def _overstayed(desk: Desk, of: Order, as_of: date) -> Iterator[str]:
    """What is here past its last day. On the day after that a night takes it: until then no end is true that could be told."""
    for k in residuals.residual(desk, of.number, as_of=as_of).kept:
        if k.first is not None and k.first < as_of:
            yield (
                f"stays {k.dataset}: {k.rule} kept something of it until {k.first}, and it is still here: let the night of"
                f" {as_of} run first (`retention_limits`, `quietus retention night`); of what it leaves `quietus retention"
                " nights` says why"
            )


def residual(desk: Desk, of: Order, as_of: date) -> list[dict[str, Any]]:
    """What stays, by dataset, rule and law, with custodian and last days: as the prover counts it now, as of the day collection
    was closed; held is what a hold alone keeps by ``as_of``."""
    kept = residuals.residual(desk, of.number, as_of=as_of).body()["kept"]
    return [{**k, "custodian": of.custodian} for k in kept]
