"""At a successor, every night: did somebody come back whom the authority had deleted, and whose tombstone came along?

As :mod:`include.cases.came_back` asks it by our own tombstones, by those that were adopted: rows that are new since the last look
are judged as an import is, and of an account that such a tombstone names nothing may be here but what came with the handover. A
tombstone that is adopted later has everything looked through again. A finding names the authority's case; of that there is none
here, so a person answers for what is right, by a document (:func:`answer`). Read as the prover; no value is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import Any

import psycopg
from psycopg import sql

from include.cases import accounts, adopted, book, came_back, put_back, subjects, suppressing
from include.cases.book import Conn, checked_actor
from include.cases.came_back import Found, Looked
from include.cases.rooms import Desk
from include.cases.suppressing import Brought, Verdict
from include.cases.walks import Looks, Walk, walk
from include.model.catalogue import Catalogue
from include.model.errors import Refused
from include.model.estate import Dataset
from include.model.template import Template
from include.model.words import DatasetKind, StoreKind
from include.stores.postgres.live import Live
from include.stores.postgres.retention.carried import carried, key_as_handed_over

LOOKS = Looks("adopted_look", ("upto",))
HELD_BACK = "an account without a consent of its own bears the {} of somebody whom the authority deleted"
PHONE = "an account without a number of its own has the phone of somebody whom the authority deleted"
THERE = (
    "{} rows or objects of an account that the authority deleted are here, and did not come with the handover"
)
NEXT = (
    "find out what wrote it, and have it deleted; if it is right that it is here (its holder is a customer of our own), answer"
    " for it by a document: quietus suppression answer {} (`quietus suppression found` lists the findings)"
)
MAY_BE = "find out whether the phone has a new owner; nothing is held back meanwhile"


@dataclass(frozen=True)
class _Found(Found):
    """The same by an adopted tombstone, of the authority's case."""

    @property
    def names(self) -> frozenset[tuple[str, str, str]]:
        """By which it may have been kept before: case, code and place."""
        return frozenset((self.case_no, self.code, place) for place in self.places)

    @property
    def what(self) -> str:
        if self.by == subjects.KIND:
            return THERE.format(self.items)
        return HELD_BACK.format(self.by.replace("_", " ")) if self.verdict is Verdict.HOLD_BACK else PHONE


def look(desk: Desk, *, as_of: date, actor: str) -> Looked:
    """Look through what is new, or through everything while a finding is open or since a tombstone was adopted; what is no longer
    there is settled. What is found is kept table by table: one that does not answer hides nothing of the others. Without such
    tombstones nothing is read. Raises NotReachable if a store does not answer, CatalogueError if
    rows came by a key of which none is found."""
    with desk.book() as conn:
        newest = _newest(conn)
        open_ = conn.execute(
            "SELECT finding, of_case, code, place FROM casebook.adopted_finding WHERE settled_at IS NULL"
        ).fetchall()
        rows, found = 0, list[_Found]()
        if newest is not None:
            for dataset in _tables(desk.catalogue):
                n, here = _Table(desk, conn, dataset, newest, as_of, whole=bool(open_)).look()
                rows, found = rows + n, found + here
            for dataset in put_back.telling(desk.catalogue):
                found += _objects(desk, conn, dataset, newest, as_of, whole=bool(open_))
        there = {name for f in found for name in f.names}
        with book.deed(conn, "people who came back"):
            over = [r["finding"] for r in open_ if (r["of_case"], r["code"], r["place"]) not in there]
            conn.execute(
                "UPDATE casebook.adopted_finding SET settled_at = clock_timestamp(), settled_by = %s"
                " WHERE finding = ANY(%s) AND settled_at IS NULL",
                (checked_actor(actor), over),
            )
            adopted.forget_places(conn)
    back = [f for f in found if f.verdict is Verdict.HOLD_BACK]
    return Looked(rows, len(back), len(found) - len(back), tuple(sorted({f.case_no for f in found})))


def findings(conn: Conn) -> list[dict[str, Any]]:
    """The open ones, oldest first: number, the authority's case, code, table or bucket, how many, since when, what to do."""
    return [
        dict(r)
        for r in conn.execute(
            "SELECT finding, of_case, code, dataset, items, found_at, what, next_step FROM casebook.adopted_finding"
            " WHERE settled_at IS NULL ORDER BY finding"
        ).fetchall()
    ]


def answer(desk: Desk, finding: int, *, document: str, actor: str) -> None:
    """A person answers that it is right that somebody is here; it is not found again. Raises Refused if it is not open, or there
    is no document."""
    if not document.strip():
        raise Refused("no document is named", about=f"finding {finding}", next_step="name it: --document NO")
    with desk.book() as conn, book.deed(conn, f"finding {finding}"):
        done = conn.execute(
            "UPDATE casebook.adopted_finding SET settled_at = clock_timestamp(), settled_by = %s, document = %s"
            " WHERE finding = %s AND settled_at IS NULL",
            (checked_actor(actor), document.strip(), finding),
        ).rowcount
        if not done:
            raise Refused("it is not open", about=f"finding {finding}", next_step="quietus suppression found")


def _newest(conn: Conn) -> datetime | None:
    row = conn.execute("SELECT max(adopted_at) AS at FROM casebook.adopted_tombstone").fetchone()
    return row["at"] if row is not None else None


def _unanswered(conn: Conn, found: Sequence[_Found]) -> list[_Found]:
    """Without what a person answered for."""
    answered = {
        (r["of_case"], r["code"], r["place"])
        for r in conn.execute(
            "SELECT of_case, code, place FROM casebook.adopted_finding WHERE document IS NOT NULL"
        )
    }
    return [f for f in found if answered.isdisjoint(f.names)]


def _keep(conn: Conn, found: Sequence[_Found]) -> None:
    for one in found:
        row = conn.execute(
            "INSERT INTO casebook.adopted_finding (of_case, code, dataset, place, items, what, next_step)"
            " SELECT %(case)s, %(code)s, %(dataset)s, %(place)s, %(items)s, %(what)s, '' WHERE NOT EXISTS (SELECT FROM"
            " casebook.adopted_finding AS f WHERE f.of_case = %(case)s AND f.code = %(code)s AND f.place = ANY(%(places)s)"
            " AND f.settled_at IS NULL) ON CONFLICT DO NOTHING RETURNING finding",
            {
                "case": one.case_no,
                "code": one.code,
                "dataset": one.dataset,
                "place": one.places[0],
                "places": list(one.places),
                "items": one.items,
                "what": one.what,
            },
        ).fetchone()
        if row is not None:
            following = NEXT.format(row["finding"]) if one.verdict is Verdict.HOLD_BACK else MAY_BE
            conn.execute(
                "UPDATE casebook.adopted_finding SET next_step = %s WHERE finding = %s",
                (following, row["finding"]),
            )


# --- tables ------------------------------------------------------------------------------------------


def _tables(catalogue: Catalogue) -> tuple[Dataset, ...]:
    """The tables whose rows have one owner, by a column of their own."""
    databases = {s.id for s in catalogue.stores if s.kind is StoreKind.POSTGRES}
    return tuple(
        d for d in catalogue.datasets
        if d.store in databases and d.kind is DatasetKind.TABLE and d.sole_owner is not None
    )  # fmt: skip


@dataclass(frozen=True)
class _Table:
    """One table. Where people are known by number, or have their account, every look goes on after the last; else one a day."""

    desk: Desk
    conn: Conn
    dataset: Dataset
    newest: datetime
    as_of: date
    whole: bool

    def look(self) -> tuple[int, list[_Found]]:
        """How many rows were judged by number, and what was found."""
        telling = self.dataset in came_back.identifying(self.desk.catalogue) or bool(self.dataset.accounts)
        seen = LOOKS.seen(self.conn, self.dataset)
        later = seen is None or seen["upto"] < self.newest or self.whole
        if not telling and not later and seen is not None and seen["day"] >= self.as_of:
            return 0, []
        since = int(seen["xid"]) if seen is not None and not later else None
        with (
            came_back.reading(self.desk.catalogue, self.desk.connections, self.dataset) as store,
            walk(store, since) as through,
        ):
            where = sql.SQL("{} AND {}").format(through.new, self._came(store))
            found = self._accounts(through, where)
            n, numbered = self._numbers(through, where)
        found = _unanswered(self.conn, found + numbered)
        LOOKS.note(
            self.conn, self.dataset, partial(_keep, self.conn, found),
            xid=through.oldest, day=self.as_of, upto=self.newest,
        )  # fmt: skip
        return n, found

    def _came(self, store: psycopg.Connection[Any]) -> sql.Composable:
        """That row ``t`` is none of those that came: by what these are kept, their clocks say."""
        if self.dataset.id not in carried(store):
            return sql.SQL("true")
        key = key_as_handed_over(Live.read(store), self.dataset, "t")
        return sql.SQL(
            "NOT EXISTS (SELECT FROM quietus_handover.clock AS q WHERE q.dataset = {} AND q.key = {})"
        ).format(sql.Literal(self.dataset.id), key)

    def _accounts(self, through: Walk, where: sql.Composable) -> list[_Found]:
        """Rows of an account that such a tombstone names."""
        owner = sql.Identifier(str(self.dataset.sole_owner))
        query = sql.SQL(
            "SELECT t.{o}::text, count(*) FROM {table} AS t WHERE t.{o} IS NOT NULL AND {where} GROUP BY 1"
        ).format(o=owner, table=came_back.table_of(self.dataset), where=where)
        found = []
        for batch in through.batches(query):
            counts = {str(a): int(n) for a, n in batch}
            buried = adopted.buried_since(self.conn, self.desk.keys, list(counts), subjects.KIND)
            found += [
                self._of(account, of[0][0], subjects.KIND, Verdict.HOLD_BACK, counts[account])
                for account, of in buried.items()
            ]
        return found

    def _numbers(self, through: Walk, where: sql.Composable) -> tuple[int, list[_Found]]:
        """Rows under another account that bear a number of somebody whom such a tombstone names."""
        kinds, owner = came_back.numbers_of(self.dataset), sql.Identifier(str(self.dataset.sole_owner))
        if not kinds:
            return 0, []
        query = sql.SQL(
            "SELECT t.{o}::text, {consented}, {numbers} FROM {table} AS t WHERE t.{o} IS NOT NULL AND {where}"
        ).format(
            o=owner, consented=came_back.consented(self.desk.catalogue, self.dataset),
            numbers=sql.SQL(", ").join(sql.SQL("t.{}::text").format(sql.Identifier(c)) for c in kinds),
            table=came_back.table_of(self.dataset), where=where,
        )  # fmt: skip
        found: dict[str, _Found] = {}
        n = 0
        for batch in through.batches(query):
            brought = [
                Brought(
                    no, None, {k: str(v) for k, v in zip(kinds.values(), r[2:], strict=True) if v is not None}, r[1]
                )
                for no, r in enumerate(batch)
            ]  # fmt: skip
            n += len(batch)
            hers = {
                j.no: j
                for j in suppressing.check(self.conn, self.desk.keys, brought, adopted_too=True, own=False)
                if j.verdict is not Verdict.LET_IN
            }
            owners = [str(batch[no][0]) for no in hers]
            itself = adopted.buried_since(self.conn, self.desk.keys, owners, subjects.KIND)
            for no, judged in hers.items():
                account = str(batch[no][0])
                if account not in itself:  # that is told by the account
                    one = self._of(account, judged.case_no, judged.by, judged.verdict)
                    found[one.places[0]] = one
        return n, list(found.values())

    def _of(self, account: str, of_case: str, by: str, verdict: Verdict, items: int | None = None) -> _Found:
        places = came_back.places(self.desk.keys, self.dataset, account)
        return _Found(of_case, self.dataset.id, places, by, verdict, items)


# --- objects -----------------------------------------------------------------------------------------


def _objects(
    desk: Desk, conn: Conn, dataset: Dataset, newest: datetime, as_of: date, *, whole: bool
) -> list[_Found]:
    """Current objects of such an account that did not come, once a day."""
    seen = LOOKS.seen(conn, dataset)
    if seen is not None and seen["day"] >= as_of and seen["upto"] >= newest and not whole:
        return []
    template, found = Template(dataset.prefix), list[_Found]()
    # Which of them came the database of the accounts knows, where they were received.
    with came_back.reading(desk.catalogue, desk.connections, accounts.home(desk.catalogue)) as store:
        any_came = dataset.id in carried(store)
        for (account, buried), keys in put_back.of_buried(
            desk, dataset, lambda ids: adopted.buried_since(conn, desk.keys, ids, subjects.KIND)
        ):
            more = sum(1 for key in keys if not (any_came and _came(store, dataset, template, key)))
            if more:
                places = came_back.places(desk.keys, dataset, account)
                found.append(_Found(buried[0][0], dataset.id, places, subjects.KIND, Verdict.HOLD_BACK, more))
    found = _unanswered(conn, found)
    LOOKS.note(conn, dataset, partial(_keep, conn, found), xid=0, day=as_of, upto=newest)
    return found


def _came(store: psycopg.Connection[Any], dataset: Dataset, template: Template, key: str) -> bool:
    said = template.match(key)
    if said is None:
        return False
    row = store.execute(
        "SELECT EXISTS (SELECT FROM quietus_handover.clock WHERE dataset = %s AND path = %s::text[] AND key[1] = %s)",
        (dataset.id, [said[v] for v in template.variables], key),
    ).fetchone()
    return bool(row and row[0])
