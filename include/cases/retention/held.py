"""Whom the open holds name, as account ids: in memory, for one question to a store, and nowhere else.

A hold knows people by keyed tokens, and their ids are sealed with it: rows may bear one of which no account is there. Of a hold
that an older version opened, whoever has a case is found in the book, sealed; for anybody else the ids of all accounts pass by,
page by page, until every token is found.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from psycopg import sql

from include.cases import book, hold_people, holds, sealing, subjects
from include.cases.accounts import home
from include.cases.book import Conn
from include.cases.keys import Purpose
from include.cases.lookups import looking_up
from include.cases.rooms import Desk
from include.cases.scopes import HoldOrder
from include.model.estate import Dataset

PAGE = 50_000


@dataclass(frozen=True)
class HeldPeople:
    """The open holds, and whom each names. ``marks``: of each a digest of them, by their tokens; of those that have none nobody
    can say later whether they named the same people."""

    orders: tuple[HoldOrder, ...] = ()
    people: Mapping[str, frozenset[str]] = field(default_factory=dict, repr=False)  # hold -> account ids
    marks: Mapping[str, str] = field(default_factory=dict, repr=False)
    released: tuple[str, ...] = ()

    def covering(self, *datasets: Dataset) -> list[HoldOrder]:
        """The holds that cover one of these: a dataset, and what is sealed with its keys; a key stays with what it opens."""
        return [o for o in self.orders if any(o.scope.covers(d) for d in datasets)]

    def of(self, *datasets: Dataset) -> tuple[bool, tuple[str, ...]]:
        """Whether a hold covers one of these whosever it is, and else of whom."""
        covering = self.covering(*datasets)
        everybody = any(o.scope.everybody for o in covering)
        return everybody, tuple(sorted(frozenset[str]().union(*(self.people[o.number] for o in covering))))

    def mark(self, *datasets: Dataset) -> str | None:
        """What says whom they name of one of these, and names nobody; None: nobody can say."""
        covering = {o.number for o in self.covering(*datasets)}
        if covering - self.marks.keys():
            return None
        return " ".join(sorted({self.marks[n] for n in covering}))


def held_people(desk: Desk) -> HeldPeople:
    """Resolve every open hold. Raises Refused for a case whose key is gone, NotReachable if the accounts do not answer."""
    with desk.book() as conn:
        orders, released = holds.orders(conn), holds.released_of_those_that_came(conn)
        of_cases = {c: _ids(conn, desk, c) for c in sorted({c for o in orders for c in o.scope.cases})}
        wanted = frozenset[str]().union(*(o.scope.subjects for o in orders))
        known = hold_people.known(conn, desk.keys, [o.number for o in orders])
        known |= {token: id for case in _cases_with(conn, wanted - known.keys())
                  for token, id in _by_token(desk, _ids(conn, desk, case)).items() if token in wanted}  # fmt: skip
    missing = wanted - known.keys()
    for page in account_pages(desk) if missing else ():
        known.update((token, id) for token, id in _by_token(desk, page).items() if token in missing)
        missing -= known.keys()
        if not missing:
            break
    people = {
        o.number: frozenset(known[t] for t in o.scope.subjects if t in known).union(
            *(of_cases[c] for c in o.scope.cases)
        )
        for o in orders
    }
    marks = {number: _mark(desk, ids) for number, ids in people.items()}
    return HeldPeople(
        orders, people, {number: mark for number, mark in marks.items() if mark is not None}, released
    )


def _mark(desk: Desk, ids: frozenset[str]) -> str | None:
    """A digest of tokens: each of them is keyed, since whom a hold names could be guessed. None: there is no key for it."""
    tokens = _by_token(desk, sorted(ids))
    if len(set(tokens.values())) < len(ids):
        return None
    return hashlib.sha256(" ".join(sorted(tokens)).encode()).hexdigest()


def _ids(conn: Conn, desk: Desk, case_no: str) -> tuple[str, ...]:
    return subjects.ids(conn, desk.keys, book.case(conn, case_no))


def _cases_with(conn: Conn, tokens: frozenset[str]) -> Sequence[str]:
    rows = conn.execute(
        "SELECT DISTINCT s.case_no FROM casebook.case_subject s JOIN casebook.case_ c USING (case_no)"
        " WHERE s.token = ANY(%s) AND c.closed_at IS NULL ORDER BY s.case_no",
        ([bytes.fromhex(t) for t in tokens],),
    ).fetchall()
    return [str(r["case_no"]) for r in rows]


def _by_token(desk: Desk, ids: Sequence[str]) -> dict[str, str]:
    found = sealing.by_digest(desk.keys, Purpose.SUBJECT_TOKEN, subjects.KIND, ids)
    return {digest.hex(): id for digest, id in found.items()}


def account_pages(desk: Desk) -> Iterator[list[str]]:
    """Every account id, in order, page by page."""
    dataset = home(desk.catalogue)
    query = sql.SQL("SELECT {k}::text FROM {t} WHERE {k} > %s ORDER BY {k} LIMIT %s").format(
        k=sql.Identifier(dataset.key[0]), t=sql.Identifier(*dataset.address.split("."))
    )
    after = ""
    with looking_up(
        desk.catalogue, desk.connections, dataset, seconds=60, silent="it does not answer",
        unreadable="the table of accounts cannot be read", about=f"store {dataset.store}",
    ) as conn:  # fmt: skip
        conn.autocommit = True
        while page := conn.execute(query, (after, PAGE)).fetchall():
            yield [str(r[0]) for r in page]
            after = str(page[-1][0])
