"""Every night: did somebody whom we buried come back by another way than a restore?

Rows that are new since the last look are judged as an import is (:mod:`include.cases.suppressing`); and of each buried
account no table or bucket may hold more than the plans of its cases keep. What is found is a finding of the case, by the table
and the keyed reference of the account; a value is never kept. Read as the prover, over whole tables, a batch at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

from psycopg import sql

from include.cases import book, papers, put_back, sealing, subjects, suppressing, tombstones
from include.cases.book import Conn
from include.cases.keys import KeyStore, Purpose
from include.cases.lookups import looking_up
from include.cases.rooms import Desk
from include.cases.suppressing import Brought, Verdict
from include.cases.walks import Looks, walk
from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.estate import Dataset
from include.model.flow import Finding
from include.model.words import DatasetKind, Ownership, StoreKind

CODE = "re_ingested"
LOOK_SECONDS = 3600  # of one statement over one table
LOOKS = Looks("looked_through")


@dataclass(frozen=True)
class Looked:
    """How many rows were judged, how many people are held back or to be looked at, and the cases they are of."""

    rows: int
    back: int
    review: int
    cases: tuple[str, ...]

    def __str__(self) -> str:
        named = f" ({', '.join(self.cases[:20])})" if self.cases else ""
        return f"{self.rows} new rows looked at, {self.back} bring somebody back, {self.review} to be reviewed{named}"


@dataclass(frozen=True)
class Found:
    """One place in which somebody is, or may be, back."""

    case_no: str
    dataset: str
    places: tuple[str, ...]  # the same one, as the versions of the key name it; by the first it is kept
    by: str
    verdict: Verdict
    items: int | None = None

    @property
    def code(self) -> str:
        return CODE if self.verdict is Verdict.HOLD_BACK else papers.REVIEW


def look(desk: Desk, *, as_of: date, actor: str) -> Looked:
    """Look through what is new, or through everything while a finding of this kind is open; what is no longer there is
    settled. What is found is kept table by table: one that does not answer hides nothing of the others. Raises NotReachable if a
    store does not answer."""
    with desk.book() as conn:
        open_ = conn.execute(
            "SELECT DISTINCT case_no, code FROM casebook.finding WHERE code = ANY(%s) AND settled_at IS NULL",
            ([CODE, papers.REVIEW],),
        ).fetchall()
        rows, found = 0, list[Found]()
        for dataset in identifying(desk.catalogue):
            here, n = _through(desk, conn, dataset, whole=bool(open_), as_of=as_of)
            rows, found = rows + n, found + here
        kept = _kept(conn)
        found += _more_than_kept(desk, kept)
        found += _put_back(desk, conn, kept, whole=bool(open_), as_of=as_of)
        with book.deed(conn, "people who came back"):
            _keep(conn, found)
            for row in open_:
                there = {
                    p for f in found if (f.case_no, f.code) == (row["case_no"], row["code"]) for p in f.places
                }
                gone = [f["place"] for f in papers.open_findings(conn, row["case_no"])
                        if f["code"] == row["code"] and f["place"] not in there]  # fmt: skip
                papers.settle_findings(
                    conn, row["case_no"], row["code"], gone, actor=actor, settlement="no longer there"
                )
    back = [f for f in found if f.verdict is Verdict.HOLD_BACK]
    return Looked(rows, len(back), len(found) - len(back), tuple(sorted({f.case_no for f in found})))


def identifying(catalogue: Catalogue) -> tuple[Dataset, ...]:
    """The tables whose rows name whoever has them by a number."""
    databases = {s.id for s in catalogue.stores if s.kind is StoreKind.POSTGRES}
    return tuple(
        d for d in catalogue.datasets
        if d.store in databases and d.kind is DatasetKind.TABLE and any(c.identifies for c in d.columns.values())
    )  # fmt: skip


def bury_identifiers(desk: Desk, conn: Conn, case_no: str, accounts: Sequence[str], as_of: date) -> int:
    """Before a whole person is deleted: tombstones of the numbers that name the person, read as the prover."""
    values: dict[str, set[str]] = {}
    for dataset in identifying(desk.catalogue):
        kinds = numbers_of(dataset)
        query = sql.SQL("SELECT {} FROM {} WHERE {} = ANY(%s)").format(
            sql.SQL(", ").join(sql.Identifier(c) for c in kinds),
            table_of(dataset),
            sql.Identifier(_owner(dataset)),
        )
        with reading(desk.catalogue, desk.connections, dataset) as store:
            for row in store.execute(query, [list(accounts)]):
                for kind, value in zip(kinds.values(), row, strict=True):
                    if value is not None:
                        values.setdefault(kind, set()).add(str(value))
    return suppressing.bury(conn, desk.keys, case_no, values, as_of)


# --- new rows -------------------------------------------------------------------------------------


def _through(
    desk: Desk, conn: Conn, dataset: Dataset, *, whole: bool, as_of: date
) -> tuple[list[Found], int]:
    seen = LOOKS.seen(conn, dataset)
    since = int(seen["xid"]) if seen is not None and not whole else None
    kinds, n = numbers_of(dataset), 0
    found: dict[tuple[str, str], Found] = {}
    with reading(desk.catalogue, desk.connections, dataset) as store, walk(store, since) as through:
        accounts: dict[int, str] = {}
        for batch in through.batches(_bearers(desk.catalogue, dataset, through.new)):
            brought = []
            for account_id, consented_at, *numbers in batch:
                identifiers = {
                    k: str(v) for k, v in zip(kinds.values(), numbers, strict=True) if v is not None
                }
                brought.append(Brought(n, None, identifiers, consented_at))
                accounts[n] = str(account_id)
                n += 1
            ours = {}
            for judged in suppressing.check(conn, desk.keys, brought):
                if judged.verdict is not Verdict.LET_IN:
                    ours[judged.no] = judged
            own = _own(conn, desk.keys, [accounts[no] for no in ours])
            for no, judged in ours.items():
                if accounts[no] in own:  # what the law keeps of a buried account names it still
                    continue
                where = places(desk.keys, dataset, accounts[no])
                found[judged.case_no, where[0]] = Found(
                    judged.case_no, dataset.id, where, judged.by, judged.verdict
                )
            accounts.clear()
    here = list(found.values())
    LOOKS.note(conn, dataset, partial(_keep, conn, here), xid=through.oldest, day=as_of)
    return here, n


def _bearers(catalogue: Catalogue, dataset: Dataset, new: sql.Composable) -> sql.Composed:
    """Whose, consented when, by which numbers."""
    return sql.SQL("SELECT t.{o}::text, {consented}, {numbers} FROM {table} AS t WHERE t.{o} IS NOT NULL AND {new}").format(
        o=sql.Identifier(_owner(dataset)), consented=consented(catalogue, dataset),
        numbers=sql.SQL(", ").join(sql.SQL("t.{}::text").format(sql.Identifier(c)) for c in numbers_of(dataset)),
        table=table_of(dataset), new=new,
    )  # fmt: skip


def consented(catalogue: Catalogue, dataset: Dataset) -> sql.Composable:
    for other in catalogue.datasets:
        if other.consents is not None and other.store == dataset.store:
            return sql.SQL("(SELECT max(c.{}) FROM {} AS c WHERE c.{} = t.{})").format(
                sql.Identifier(other.consents.given), table_of(other), sql.Identifier(_owner(other)),
                sql.Identifier(_owner(dataset)),
            )  # fmt: skip
    return sql.SQL("NULL::timestamptz")


def _own(conn: Conn, keys: KeyStore, accounts: Sequence[str]) -> frozenset[str]:
    return frozenset(tombstones.buried_among(conn, keys, accounts))


# --- what is more than was kept --------------------------------------------------------------------


def _more_than_kept(desk: Desk, kept: Mapping[tuple[str, str], int]) -> list[Found]:
    """Of people who departed, by case: tables with more rows than its plans keep. The restriction list says who they are."""
    found = []
    for dataset in desk.catalogue.datasets:
        if dataset.kind is not DatasetKind.TABLE or dataset.sole_owner is None:
            continue
        query = sql.SQL(
            "SELECT r.case_no, count(*) FROM quietus.restriction AS r JOIN {} AS t ON t.{}::text = r.subject_id"
            " WHERE r.departed_at IS NOT NULL AND r.lifted_at IS NULL GROUP BY r.case_no"
        ).format(table_of(dataset), sql.Identifier(dataset.sole_owner))
        with reading(desk.catalogue, desk.connections, dataset) as store:
            for case_no, items in store.execute(query):
                more = int(items) - kept.get((str(case_no), dataset.id), 0)
                if more > 0:
                    found.append(
                        Found(str(case_no), dataset.id, (dataset.id,), subjects.KIND, Verdict.HOLD_BACK, more)
                    )
    return found


def _put_back(
    desk: Desk, conn: Conn, kept: Mapping[tuple[str, str], int], *, whole: bool, as_of: date
) -> list[Found]:
    """The same of objects, once a day; again on that day while a finding is open."""
    rows = conn.execute("SELECT dataset FROM casebook.looked_through WHERE day >= %s", (as_of,)).fetchall()
    today = {str(row["dataset"]) for row in rows}
    found = []
    for dataset in put_back.telling(desk.catalogue):
        if dataset.id in today and not whole:
            continue
        here = [
            Found(case_no, dataset.id, (dataset.id,), subjects.KIND, Verdict.HOLD_BACK, items)
            for case_no, items in put_back.more_than_kept(desk, conn, dataset, kept).items()
        ]
        LOOKS.note(conn, dataset, partial(_keep, conn, here), xid=0, day=as_of)
        found += here
    return found


def _kept(conn: Conn) -> dict[tuple[str, str], int]:
    """Items by case and dataset that are still there by right: a unit is one per category, its items are the same."""
    rows = conn.execute(
        "SELECT case_no, dataset, sum(items) AS items FROM (SELECT DISTINCT case_no, dataset, part, items"
        " FROM casebook.unit WHERE copy_kind = 'live' AND state IN ('restricted', 'held', 'anonymised', 'deidentified',"
        " 'deleting_live', 'delete_failed')) AS parts GROUP BY case_no, dataset"
    ).fetchall()
    return {(str(r["case_no"]), str(r["dataset"])): int(r["items"]) for r in rows}


# --- what is said -----------------------------------------------------------------------------------


def _keep(conn: Conn, found: Sequence[Found]) -> None:
    known = {c.case_no for c in book.some(conn, [f.case_no for f in found])}
    for one in found:
        if one.case_no not in known:
            continue
        open_ = {f["place"] for f in papers.open_findings(conn, one.case_no) if f["code"] == one.code}
        if open_.isdisjoint(one.places):
            papers.keep_findings(conn, one.case_no, [_finding(one)])


def _finding(one: Found) -> Finding:
    if one.by == subjects.KIND:
        what = f"{one.items} rows or objects of a deleted account are there beyond what is kept"
        following = (
            "find out what wrote them or put a bucket back, then reopen the case:"
            " quietus case reopen --because re_ingestion"
        )
    elif one.verdict is Verdict.HOLD_BACK:
        what = f"an account without a consent of its own bears the {one.by.replace('_', ' ')} of somebody who was deleted"
        following = (
            "ask whoever imported it; delete that account by a case of its own, or have its holder consent"
        )
    else:
        what = "an account without a number of its own has the phone of somebody who was deleted"
        following = "find out whether the phone has a new owner; nothing is held back meanwhile"
    return Finding(
        code=one.code,
        dataset=one.dataset,
        place=one.places[0],
        items=one.items,
        what=what,
        next_step=following,
    )


def places(keys: KeyStore, dataset: Dataset, account_id: str) -> tuple[str, ...]:
    """Where something of an account is: dataset and keyed reference, under each living version of the key, the newest first. What
    was found under an older one is the same finding."""
    by_version = sealing.digests(keys, Purpose.SUBJECT_TOKEN, subjects.KIND, account_id)
    return tuple(f"{dataset.id}:{by_version[v].hex()[:16]}" for v in sorted(by_version, reverse=True))


# --- tables ------------------------------------------------------------------------------------------


def numbers_of(dataset: Dataset) -> dict[str, str]:
    return {name: column.identifies for name, column in dataset.columns.items() if column.identifies}


def _owner(dataset: Dataset) -> str:
    return next(x.column for x in dataset.links if x.column and x.ownership is Ownership.SOLE)


def table_of(dataset: Dataset) -> sql.Identifier:
    return sql.Identifier(*dataset.address.split("."))


def reading(catalogue: Catalogue, connections: Connections, dataset: Dataset) -> Any:
    return looking_up(
        catalogue, connections, dataset, seconds=LOOK_SECONDS, silent="it does not answer",
        unreadable="it cannot be looked through", about=f"store {dataset.store}",
    )  # fmt: skip
