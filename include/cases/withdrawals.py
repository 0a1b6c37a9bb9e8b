"""Consents that were withdrawn, and the case that follows each (PIPL 15, 47 para. 1(3); policy 1.3).

What rests on a consent alone goes when it is withdrawn, unasked; what a contract or a statute needs stays. The catalogue says
which dataset rests on which purpose (``rests_on``), and where consents stand. Whose and which they are is known in memory,
sealed and as keyed tokens only. A consent that was given again stands, and nothing of it goes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from typing import Any

import psycopg
from psycopg import sql

from include.cases import book, opening, papers, sealing, subjects
from include.cases.accounts import home
from include.cases.book import Case, Conn
from include.cases.keys import Purpose
from include.cases.lookups import looking_up
from include.cases.part import Part
from include.cases.planner import GIVEN_AGAIN, NOT_BY_CONSENT
from include.cases.rooms import Desk
from include.model.catalogue import Catalogue
from include.model.errors import CatalogueError
from include.model.estate import Consents, Dataset
from include.model.times import PRC, observed_now
from include.model.words import DatasetKind, Ground

PAGE = 5_000


@dataclass(frozen=True)
class Withdrawal:
    """One person took back the consent to one purpose. The account id is in memory only."""

    account_id: str = field(repr=False)
    purpose: str
    at: datetime


@dataclass
class Withdrawn:
    """What a look found. ``to_follow``: the oldest first; ``followed``: have their case; ``taken_along``: by a case about the
    whole person; ``nothing_there``: no row of what rested on it is left; ``needed``: for other purposes, on which alone nothing
    rests; ``unclear``: consents that were withdrawn before they were given, which nobody acts on."""

    to_follow: list[Withdrawal] = field(default_factory=list, repr=False)
    followed: int = 0
    taken_along: int = 0
    nothing_there: int = 0
    needed: int = 0
    unclear: int = 0

    @property
    def people(self) -> int:
        return len({w.account_id for w in self.to_follow})


def resting(catalogue: Catalogue) -> Mapping[str, tuple[Dataset, ...]]:
    """The datasets that rest on each purpose's consent alone."""
    found: dict[str, tuple[Dataset, ...]] = {}
    for dataset in catalogue.datasets:
        if dataset.rests_on is not None:
            found[dataset.rests_on] = (*found.get(dataset.rests_on, ()), dataset)
    return found


# --- what the company's tables say -----------------------------------------------------------------


def look(desk: Desk, as_of: date) -> Withdrawn:
    """Who took back a consent by the end of a day, and has no case for it yet. Changes nothing. Raises NotReachable if the
    company does not answer."""
    found = Withdrawn()
    rests = resting(desk.catalogue)
    with _consents(desk) as (conn, table), desk.book() as records:
        before = {"before": _moment(as_of)}
        found.unclear = _count(conn, table.unclear, before)
        found.needed = _count(conn, table.needed, before | {"purposes": list(rests)})
        for purpose, datasets in rests.items():
            said = before | {"purpose": purpose}
            with conn.cursor(name="withdrawn") as cursor:
                cursor.execute(table.withdrawn(datasets), said)
                while page := cursor.fetchmany(PAGE):
                    _sort_out(
                        desk,
                        records,
                        [(Withdrawal(str(who), purpose, at), left) for who, at, left in page],
                        found,
                    )
    found.to_follow.sort(key=lambda w: w.at)
    return found


def _sort_out(desk: Desk, records: Conn, page: Sequence[tuple[Withdrawal, bool]], found: Withdrawn) -> None:
    known = _known(desk, records, [w.account_id for w, _ in page])
    for one, something_there in page:
        followed, whole = known.get(one.account_id, (frozenset(), False))
        if (one.purpose, one.at) in followed:
            found.followed += 1
        elif whole:
            found.taken_along += 1
        elif something_there:
            found.to_follow.append(one)
        else:
            found.nothing_there += 1


Followed = frozenset[tuple[str, datetime]]


def _known(desk: Desk, records: Conn, ids: Sequence[str]) -> dict[str, tuple[Followed, bool]]:
    """Of people that the book knows: which withdrawals have a case, and whether a case about the whole person is open."""
    of = sealing.by_digest(desk.keys, Purpose.SUBJECT_TOKEN, subjects.KIND, ids)
    rows = records.execute(
        "SELECT s.token, s.open AND s.solo AS whole, w.purpose, w.withdrawn_at FROM casebook.case_subject s"
        " LEFT JOIN casebook.withdrawal w USING (case_no) WHERE s.token = ANY(%s) AND (w.purpose IS NOT NULL OR s.open)",
        (list(of),),
    ).fetchall()
    found: dict[str, tuple[Followed, bool]] = {}
    for row in rows:
        who = of[bytes(row["token"])]
        followed, whole = found.get(who, (frozenset(), False))
        mine = {(row["purpose"], row["withdrawn_at"])} if row["purpose"] is not None else set()
        found[who] = followed | mine, whole or bool(row["whole"])
    return found


# --- the case --------------------------------------------------------------------------------------


def follow(desk: Desk, account_id: str, mine: Sequence[Withdrawal], *, as_of: date, actor: str) -> str | None:
    """Open a case for what one person took back, on our own initiative; its number. None: somebody else has followed it
    meanwhile, or a case about the whole person takes it along."""
    with desk.book() as conn, book.deed(conn, "new case"):
        if subjects.open_case_of(conn, desk.keys, account_id) is not None:  # and locks the person
            return None
        followed = _known(desk, conn, [account_id]).get(account_id, (frozenset(), False))[0]
        fresh = [w for w in mine if (w.purpose, w.at) not in followed]
        if not fresh:
            return None
        case_no = opening.open_unasked(
            desk, conn, account_id, ground=Ground.WITHDRAWN_CONSENT, as_of=as_of, actor=actor
        )
        with conn.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO casebook.withdrawal (case_no, purpose, withdrawn_at) VALUES (%s, %s, %s)",
                [(case_no, w.purpose, w.at) for w in fresh],
            )
        return case_no


def reached(desk: Desk, conn: Conn, case: Case) -> Part:
    """All that rests on the consents that this case is about, but what its plans left in use: its consent was given again."""
    part = _part(desk.catalogue, _purposes(conn, case.case_no))
    lines = [x for done in papers.planned(conn, case) for x in done.plan.lines]
    went = {x.dataset for x in lines if x.disposition.changes_data and x.items}
    left = {
        x.dataset: GIVEN_AGAIN
        for x in lines
        if x.not_reached and x.law == GIVEN_AGAIN and x.dataset not in went
    }
    return replace(part, rows={d: only for d, only in part.rows.items() if d not in left}, otherwise=left)


def reach(desk: Desk, conn: Conn, case: Case) -> Part:
    """The same, as long as they are withdrawn: what was given again meanwhile is left as it is."""
    purposes = _purposes(conn, case.case_no)
    again = _given_again(desk, conn, case, purposes)
    rests = resting(desk.catalogue)
    left = {d.id: GIVEN_AGAIN for p in again for d in rests.get(p, ())}
    return replace(_part(desk.catalogue, [p for p in purposes if p not in again]), otherwise=left)


def given_again(desk: Desk, conn: Conn, case: Case) -> frozenset[str]:
    """Datasets that a case was opened for and whose consent stands again: nothing of them is to go any more."""
    if case.ground is not Ground.WITHDRAWN_CONSENT:
        return frozenset()
    again = _given_again(desk, conn, case, _purposes(conn, case.case_no))
    rests = resting(desk.catalogue)
    return frozenset(d.id for p in again for d in rests.get(p, ()))


def _given_again(desk: Desk, conn: Conn, case: Case, purposes: Sequence[str]) -> set[str]:
    (who,) = subjects.ids(conn, desk.keys, case)
    with _consents(desk) as (there, table):
        rows = there.execute(table.standing, {"who": who, "purposes": purposes, "before": observed_now()})
        return {str(row[0]) for row in rows}


def _part(catalogue: Catalogue, purposes: Sequence[str]) -> Part:
    rests = resting(catalogue)
    return Part({d.id: None for p in purposes for d in rests.get(p, ())}, NOT_BY_CONSENT)


def _purposes(conn: Conn, case_no: str) -> list[str]:
    rows = conn.execute(
        "SELECT purpose FROM casebook.withdrawal WHERE case_no = %s ORDER BY 1", (case_no,)
    ).fetchall()
    return [str(row["purpose"]) for row in rows]


# --- the questions ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Table:
    """The table of consents, and what is asked of it."""

    catalogue: Catalogue
    consents: Dataset
    said: Consents

    @property
    def _names(self) -> dict[str, sql.Composable]:
        accounts = home(self.catalogue)
        ended = accounts.accounts.ended if accounts.accounts is not None else None
        alive: sql.Composable = sql.SQL("true")
        if ended is not None:
            alive = sql.SQL("a.{} IS NULL").format(sql.Identifier(ended))
        given, withdrawn = (
            sql.SQL("c.{}").format(sql.Identifier(str(n))) for n in (self.said.given, self.said.withdrawn)
        )
        return {
            "consents": sql.Identifier(*self.consents.address.split(".")),
            "accounts": sql.Identifier(*accounts.address.split(".")), "id": sql.Identifier(accounts.key[0]),
            "who": sql.SQL("c.{}").format(sql.Identifier(str(self.consents.sole_owner))),
            "purpose": sql.SQL("c.{}").format(sql.Identifier(str(self.said.purpose))),
            "given": given, "withdrawn": withdrawn, "alive": alive,
            # One that was withdrawn before it was given says neither: it stands, which is no licence to delete.
            "over": sql.SQL("coalesce({w} <= %(before)s AND {w} >= {g}, false)").format(w=withdrawn, g=given),
        }  # fmt: skip

    def _of_people(self) -> sql.Composed:
        """What each person who is still one of ours took back, and did not give again."""
        return sql.SQL(
            "SELECT {who} AS who, {purpose} AS purpose, max({withdrawn}) AS at FROM {consents} AS c"
            " JOIN {accounts} AS a ON a.{id} = {who} WHERE {alive} AND {given} <= %(before)s"
            " GROUP BY 1, 2 HAVING bool_and({over})"
        ).format(**self._names)

    def withdrawn(self, datasets: Sequence[Dataset]) -> sql.Composed:
        """Whose consent to a purpose is withdrawn, since when, and whether a row of what rests on it is there."""
        there = [
            sql.SQL("EXISTS (SELECT FROM {} AS t WHERE t.{} = w.who)").format(
                sql.Identifier(*d.address.split(".")), sql.Identifier(str(d.sole_owner))
            )
            for d in datasets
            if d.kind is DatasetKind.TABLE and d.store == self.consents.store
        ]
        return sql.SQL("SELECT w.who, w.at, {} FROM ({}) AS w WHERE w.purpose = %(purpose)s").format(
            sql.SQL(" OR ").join(there) or sql.SQL("true"), self._of_people()
        )

    @property
    def needed(self) -> sql.Composed:
        return sql.SQL("SELECT count(*) FROM ({}) AS w WHERE w.purpose <> ALL(%(purposes)s)").format(
            self._of_people()
        )

    @property
    def unclear(self) -> sql.Composed:
        return sql.SQL(
            "SELECT count(*) FROM {consents} AS c WHERE {withdrawn} < {given} AND {withdrawn} <= %(before)s"
        ).format(**self._names)

    @property
    def standing(self) -> sql.Composed:
        """Which of these consents of one person stand."""
        return sql.SQL(
            "SELECT DISTINCT {purpose} FROM {consents} AS c WHERE {who} = %(who)s AND {purpose} = ANY(%(purposes)s)"
            " AND {given} <= %(before)s AND NOT {over}"
        ).format(**self._names)


@contextmanager
def _consents(desk: Desk) -> Iterator[tuple[psycopg.Connection[Any], _Table]]:
    """The table of consents, read by the prover, who cannot write."""
    dataset = next((d for d in desk.catalogue.datasets if d.consents is not None), None)
    said = dataset.consents if dataset is not None else None
    if dataset is None or said is None or said.purpose is None or said.withdrawn is None:
        raise CatalogueError(
            "nothing says where withdrawn consents stand", about=desk.catalogue.name,
            next_step="declare `consents` with `given`, `purpose` and `withdrawn` of the table that has them",
        )  # fmt: skip
    with looking_up(
        desk.catalogue, desk.connections, dataset, seconds=300, silent="it does not answer",
        unreadable="consents cannot be read", about=f"store {dataset.store}",
    ) as conn:  # fmt: skip
        yield conn, _Table(desk.catalogue, dataset, said)


def _count(conn: psycopg.Connection[Any], query: sql.Composed, said: Mapping[str, object]) -> int:
    row = conn.execute(query, said).fetchone()
    return int(row[0]) if row else 0


def _moment(as_of: date) -> datetime:
    """The end of a business day, and never a moment that has not come."""
    return min(datetime.combine(as_of + timedelta(days=1), time(), PRC), observed_now())
