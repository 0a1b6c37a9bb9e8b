"""What one approver of an order said of media, and the other did not yet: it is no answer, and nobody has to say it anew.

The other reads it, with the document, and says the same of all of it by the same document, or something else, which is then what
the first is asked about (:mod:`include.cases.shutdown.media`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import Any

from include.cases import book
from include.cases.book import Conn
from include.cases.rooms import Desk
from include.cases.shutdown import both, media, orders
from include.cases.shutdown.orders import Order
from include.cases.shutdown.told import Paper, checked_paper
from include.model.errors import Refused


@dataclass(frozen=True)
class Half:
    """One such word. ``event``: of the order's history; ``waits_for``: the approver who did not say it, as role/name."""

    media: tuple[str, ...]
    becomes: str
    who: str | None
    until: date | None
    document: str
    digest: str
    event: int
    waits_for: str

    def about(self) -> dict[str, Any]:
        """As the first word has it."""
        until = self.until.isoformat() if self.until else None
        return {"media": [*self.media], "becomes": self.becomes, "who": self.who, "until": until}


def halves(conn: Conn, of: Order, standing: Collection[media.Standing], as_of: date) -> tuple[Half, ...]:
    """Of media that are open the newest that one of the two said, if it would count once the other says it; oldest first."""
    words: dict[str, list[Half]] = {}
    said: dict[str, set[int]] = {}
    for e in both.words_of(conn, of.number, media.SPOKEN_FOR):
        d = e["detail"]
        until = date.fromisoformat(d["until"]) if d["until"] else None
        other = next(a for n, a in enumerate(of.approvers, 1) if n != d["approver"])
        half = Half(
            tuple(d["media"]), d["becomes"], d["who"], until, d["document"], d["digest"], int(e["event_id"]), other
        )  # fmt: skip
        key = f"{half.about()} {half.document} {half.digest}"
        said.setdefault(key, set()).add(d["approver"])
        words.setdefault(key, []).append(half)
    agreed: dict[
        str, int
    ] = {}  # since when both said the same of a medium: an older word of one is superseded
    for key, who in said.items():
        for half in words[key] if len(who) > 1 else ():
            agreed.update({name: max(half.event, agreed.get(name, 0)) for name in half.media})
    alone = [
        words[key][0] for key, who in said.items()
        if len(who) == 1 and media.counts(of, words[key][0].becomes, words[key][0].who, words[key][0].until, as_of)
    ]  # fmt: skip
    open_ = {s.carrier.name for s in standing if s.open}
    newest = {
        name: max((h.event for h in alone if name in h.media and h.event > agreed.get(name, 0)), default=0)
        for name in open_
    }
    return tuple(sorted((h for h in alone if h.event in newest.values()), key=lambda h: h.event))


def together(found: tuple[Half, ...]) -> tuple[Half, ...]:
    """Those that one person can agree to by one document: of the oldest's. The others are said on the command line."""
    return tuple(
        h for h in found
        if (h.document, h.digest, h.waits_for) == (found[0].document, found[0].digest, found[0].waits_for)
    )  # fmt: skip


def agree(
    desk: Desk, number: str, events: Collection[int], *, paper: Paper, as_of: date, actor: str
) -> tuple[Half, ...]:  # fmt: skip
    """The other approver says the same of these words (:func:`together`), and of no others: what was agreed to. ``events``: those
    that were shown.
    Raises Refused if they are not what is said now, by another document, and for whoever said them or is no approver."""
    checked_paper(paper, number)
    with orders.deed(desk, number) as (conn, of):
        found = together(halves(conn, of, media.standing(desk.catalogue, conn, of, as_of), as_of))
        if {h.event for h in found} != {*events}:
            raise Refused(
                "what was said of the media is not any more what was shown", about=number,
                next_step="clear `end.media.said`, which shows what is said now",
            )  # fmt: skip
        who = book.person(book.checked_actor(actor))
        for half in found:
            if (half.document, half.digest) != (paper.number, paper.digest):
                raise Refused(
                    f"it was said by another document, {half.document}", about=number,
                    next_step="give the number and SHA-256 of that one, or say something else (`quietus shutdown media`)",
                )  # fmt: skip
            if who != book.person(half.waits_for):
                raise Refused(
                    f"the other of the two approvers is asked, {half.waits_for.partition('/')[0]}", about=number,
                    next_step="clear the question, and let that person answer",
                )  # fmt: skip
            both.say(desk, conn, of, media.SPOKEN_FOR, paper, half.about(), as_of=as_of, actor=actor)
    return found
