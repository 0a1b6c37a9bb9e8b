"""What becomes of the media of what stops: a record that says how they were sanitised, or the word of both approvers.

What a law keeps is on media that stay in service, and a rented disk is wiped by whoever rents it out: nobody can record here that
these were sanitised (policy 5.6(3), clause 79). So both approvers of the order say of each, by one document, what becomes of it,
and the service's certificate names it as not sanitised, with that. Of one that nobody recorded or answered for there is no
certificate. A record is about one medium, and how many there are the inventory knows: so a word may stand beside it, and has to
while something stays on that carrier. A record of before the last case that took something from there does not count at all:
there was data on that medium since.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar

from include.cases.book import Conn
from include.cases.rooms import Desk
from include.cases.shutdown import begun, both, breaker, orders
from include.cases.shutdown.both import Both
from include.cases.shutdown.orders import COMPANY, Order
from include.cases.shutdown.told import Paper, checked_paper, checked_text
from include.cases.yearly import sanitising
from include.cases.yearly.sanitising import Sanitised
from include.cases.yearly.unsanitised import Carrier, carriers
from include.model import ranges
from include.model.catalogue import Catalogue
from include.model.errors import Refused
from include.model.media import Becomes
from include.model.times import prc_date

_Given = TypeVar("_Given")
SPOKEN_FOR, BOOKS = "media answered for", "books"
"""Of the events."""


@dataclass(frozen=True)
class Word:
    """What both approvers said becomes of it. ``who``: the custodian, or the provider."""

    becomes: str
    who: str | None
    until: date | None
    by: Both


@dataclass(frozen=True)
class Standing:
    """How one carrier stands. ``record``: of one medium of it; ``word``: of all, or of the others; ``stays``: datasets on it of
    which the last books say that something stays or waits, or nobody knows."""

    carrier: Carrier
    record: Sanitised | None
    word: Word | None
    stays: tuple[str, ...] = ()

    @property
    def open(self) -> bool:
        return self.word is None and (self.record is None or bool(self.stays))

    def told(self) -> dict[str, Any]:
        """As JSON, without the entries of the ledger."""
        word = self.word
        return {
            "medium": self.carrier.name, "record": self.record and self.record.record_no,
            "becomes": word and word.becomes, "who": word and word.who,
            "until": word.until.isoformat() if word and word.until else None,
            "document": word and word.by.document, "digest": word and word.by.digest,
            "answered_on": word and word.by.answered_on.isoformat(),
        }  # fmt: skip


def of_order(catalogue: Catalogue, of: Order) -> tuple[Carrier, ...]:
    """What carries the datasets that an order is about."""
    return carriers(catalogue, {d.id for d in of.datasets(catalogue)})


def standing(catalogue: Catalogue, conn: Conn, of: Order, as_of: date) -> tuple[Standing, ...]:
    """How each stands, by name. A word counts no more once the custodian is another, or its day is over."""
    events = orders.history(conn, of.number)
    said = [e["detail"] for e in events if e["what"] == SPOKEN_FOR]
    records, taken = sanitising.in_force(conn), _taken(conn, of.number, events, as_of)
    gone = _gone(events)
    found = []
    for c in of_order(catalogue, of):
        on = c.carries(catalogue)
        since = max([of.closed_on or of.t0, *(taken[d] for d in on & taken.keys())])
        record = next((r for r in reversed(records) if c.of(r) and r.sanitised_on >= since), None)
        found.append(Standing(c, record, _word(conn, of, c.name, said, as_of), tuple(sorted(on - gone))))
    return tuple(found)


def _taken(conn: Conn, number: str, events: Collection[Mapping[str, Any]], as_of: date) -> dict[str, date]:
    """Of each dataset the last day on which a case of the order was begun that takes something of it, or took it. A day after
    ``as_of`` is the clock's of a simulation, and none of the order's."""
    found: dict[str, date] = {}
    rows = conn.execute(
        "SELECT bag, dataset FROM casebook.handover_bag WHERE order_no = %s", (number,)
    ).fetchall()
    bags = {str(r["bag"]): str(r["dataset"]) for r in rows}
    cases = []
    for e in events:
        if e["what"] in (begun.BEGUN, breaker.BEGUN):
            detail = e["detail"]
            cases.append(detail["case"])
            ours = {bags[b] for b in ranges.long(detail.get("bags", ())) if b in bags}
            found |= {d: max(e["as_of"], found.get(d, e["as_of"])) for d in ours | {*detail.get("going", ())}}
    rows = conn.execute(
        "SELECT d.key AS dataset, max((r.body ->> 'done_at')::timestamptz) AS at FROM casebook.receipt AS r,"
        " jsonb_each(r.body -> 'counts') AS d WHERE r.case_no = ANY(%s) AND r.verb = 'dispose' GROUP BY 1",
        (cases,),
    ).fetchall()
    for r in rows:
        if (day := prc_date(r["at"])) <= as_of:
            found[r["dataset"]] = max(day, found.get(r["dataset"], day))
    return found


def _gone(events: Collection[Mapping[str, Any]]) -> frozenset[str]:
    """Datasets of which, by the last books, nothing stays and nothing waits. Without books nobody knows of any."""
    books = [e["detail"]["lines"] for e in events if e["what"] == BOOKS]
    return frozenset(
        x["dataset"] for x in (books[-1] if books else ()) if not x["retained"] and not x["pending"]
    )


def say(
    desk: Desk, number: str, names: Collection[str], becomes: Becomes, *, paper: Paper, as_of: date, actor: str,
    provider: str | None = None, until: date | None = None,
) -> tuple[str, ...]:  # fmt: skip
    """One approver of the order says what becomes of these; the roles of those whose word is waited for. Raises Refused for
    anybody else, before collection is closed, for what carries nothing of the order's, and for a word that cannot be."""
    return say_each(
        desk, number, {becomes: names}, paper=paper, as_of=as_of, actor=actor, provider=provider, until=until
    )  # fmt: skip


def say_each(
    desk: Desk, number: str, each: Mapping[Becomes, Collection[str]], *, paper: Paper, as_of: date, actor: str,
    provider: str | None = None, until: date | None = None,
) -> tuple[str, ...]:  # fmt: skip
    """The same of several at once, by one document: all of it is said, or nothing. ``provider`` is of those that are rented,
    ``until`` of those that are sanitised later."""
    checked_paper(paper, number)
    left: tuple[str, ...] = ()
    with orders.deed(desk, number) as (conn, of):
        if of.closed_on is None:
            raise Refused(
                "collection is not closed, so nobody knows yet what will be on it", about=number,
                next_step="say it after `quietus shutdown close-collection`",
            )  # fmt: skip
        there = {s.carrier.name for s in standing(desk.catalogue, conn, of, as_of)}
        named = Counter(name for names in each.values() for name in {*names})
        if not all(each.values()) or (unknown := sorted(named.keys() - there)):
            raise Refused(
                f"nothing of the order's is on {', '.join(unknown) if all(each.values()) else 'nothing'}", about=number,
                next_step=f"name some of: {', '.join(sorted(there))}",
            )  # fmt: skip
        if twice := sorted(name for name, times in named.items() if times > 1):
            raise Refused(
                f"two things are said of {', '.join(twice)}", about=number, next_step="say one of each medium"
            )
        for becomes, names in each.items():
            who = _who(of, becomes, _of(Becomes.RENTED, becomes, each, provider))
            day = _of(Becomes.LATER, becomes, each, until)
            _day(becomes, day, as_of, number)
            about = {
                "media": sorted({*names}),
                "becomes": becomes.value,
                "who": who,
                "until": day.isoformat() if day else None,
            }
            left = both.say(desk, conn, of, SPOKEN_FOR, paper, about, as_of=as_of, actor=actor)
    return left


def _of(
    whose: Becomes, becomes: Becomes, each: Mapping[Becomes, Collection[str]], given: _Given | None
) -> _Given | None:
    """What is given of one kind alone. Where nothing of that kind is said, the others refuse it."""
    return given if becomes is whose or whose not in each else None


def _who(of: Order, becomes: Becomes, provider: str | None) -> str | None:
    if (becomes is Becomes.RENTED) != (provider is not None):
        raise Refused(
            "what is rented has a provider, and nothing else has", about=of.number,
            next_step="name the provider whose paper it is with --provider, or say what else becomes of it",
        )  # fmt: skip
    if provider is not None:
        checked_text("provider", provider)
        return provider.strip()
    if becomes is not Becomes.STAYS:
        return None
    if of.custodian is None and of.scope == COMPANY:
        raise Refused(
            "nobody is named with whom it stays", about=of.number, next_step="name one: `quietus shutdown custodian`"
        )  # fmt: skip
    return of.custodian


def _day(becomes: Becomes, until: date | None, as_of: date, number: str) -> None:
    if (becomes is Becomes.LATER) != (until is not None):
        raise Refused(
            "what is sanitised later has a day by which, and nothing else has", about=number,
            next_step="give the day with --until, or say what else becomes of it",
        )  # fmt: skip
    if until is not None and until < as_of:
        raise Refused(
            "that day is over", about=number, next_step="record how it was sanitised (`quietus yearly sanitised`)"
        )  # fmt: skip


def _word(conn: Conn, of: Order, name: str, said: Collection[Mapping[str, Any]], as_of: date) -> Word | None:
    """The newest that both said, if it still counts."""
    found: list[Word] = []
    for words, about in {_about(d): d for d in said if name in d["media"]}.items():
        by = both.answer(conn, of, SPOKEN_FOR, lambda d, words=words: _about(d) == words)  # type: ignore[misc]
        if by is not None:
            day = date.fromisoformat(about["until"]) if about["until"] else None
            found.append(Word(about["becomes"], about["who"], day, by))
    newest = max(found, key=lambda w: max(w.by.events), default=None)
    return newest if newest and counts(of, newest.becomes, newest.who, newest.until, as_of) else None


def counts(of: Order, becomes: str, who: str | None, until: date | None, as_of: date) -> bool:
    """Whether such a word says something still: its day is not over, and it stays with who is the custodian now."""
    return (until is None or until >= as_of) and (becomes != Becomes.STAYS or who == of.custodian)


def _about(detail: Mapping[str, Any]) -> tuple[Any, ...]:
    return (*detail["media"], detail["becomes"], detail["who"], detail["until"])
