"""Rows that would go by their own fate, and stay since rows that the law keeps point at them. Counted by the prover.

    bare      cut to a key. A night does not call such a row due while it is pointed at. One that a floor or a hold keeps as it is
              is told by that
    needed    whole, since nothing says how it is cut: as many as the receipts of the last disposal say, if as many are pointed at

While something still goes to the successor, whatever is needed may be needed by that: then none counts as needed yet.

What a floor kept on T0, and keeps no longer, is taken by the nights; what they leave since others need it is counted by
:func:`still_needed`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from psycopg import sql

from include.cases.book import Conn
from include.cases.retention.due import ask
from include.cases.retention.held import held_people
from include.cases.retention.limits import question
from include.cases.retention.stopped import stopped
from include.cases.rooms import Desk
from include.cases.shutdown import orders
from include.cases.shutdown.orders import Order
from include.model.estate import Dataset
from include.model.retention import Question
from include.model.words import DatasetKind, Disposition
from include.stores.postgres.area import same_key
from include.stores.postgres.retention.bare import not_yet_disposed
from include.stores.postgres.retention.ending import Ending
from include.stores.postgres.retention.look import Look
from include.stores.postgres.retention.needs import needs
from include.stores.postgres.server import Connection, Server, joined, name

DONE = "disposed of"
"""Of the event that says what a disposal left as needed."""


@dataclass
class Pointed:
    """By dataset. ``unasked``: which could not be asked, and why."""

    bare: dict[str, int] = field(default_factory=dict)
    needed: dict[str, int] = field(default_factory=dict)
    unasked: dict[str, str] = field(default_factory=dict)

    @property
    def items(self) -> Counter[str]:
        """Both."""
        return Counter(self.bare) + Counter(self.needed)


def is_bare(dataset: Dataset) -> bool:
    """Whether rows of it may stay as bare keys: they go whole, and are cut while others point at them."""
    return (
        dataset.kind is DatasetKind.TABLE
        and dataset.cut is not None
        and dataset.cut.ends is None
        and dataset.action == Disposition.ERASE.value
    )


def pointed(desk: Desk, of: Order, here: Mapping[str, Counter[Disposition]]) -> Pointed:
    """What of an order's datasets stays so. ``here``: what is there now, by dataset and fate."""
    with desk.book() as conn:
        said = _said(conn, of.number)
    moving = any(n[Disposition.TRANSFER] for n in here.values())
    may = (
        {}
        if moving
        else {d: n for d, n in said.items() if desk.catalogue.dataset(d).kind is DatasetKind.TABLE}
    )
    keys = {d.id for d in of.datasets(desk.catalogue) if is_bare(d)}
    found = Pointed()

    def asked(dataset: Dataset) -> Question | None:
        if dataset.id not in keys | may.keys():
            return None
        return question(desk.catalogue, dataset, of.closed_on or of.t0, everything=True, bare=True)

    def one(server: Server, connection: Connection, it: Look) -> None:
        dataset = it.dataset.id
        with server.reaching(f"{server.store} {dataset}"):
            if dataset in keys and (n := _count(connection, _bare(it))):
                found.bare[dataset] = n
            if dataset in may and (n := _count(connection, _needed(it))):
                found.needed[dataset] = min(n, may[dataset])

    found.unasked = ask(desk.catalogue, desk.connections, asked, held_people(desk), one)
    return found


def still_needed(desk: Desk, of: Order, datasets: Collection[str], as_of: date) -> Pointed:
    """Of how many rows of each of these a floor ran when collection was closed, and none does on a day, while rows that are there
    need them. If all that is due by then is gone, these are what the nights must leave: whatever still needs them stays by
    itself, or is needed by what does."""
    catalogue, then = stopped(desk), of.closed_on or of.t0
    found = Pointed()

    def asked(dataset: Dataset, day: date = as_of) -> Question | None:
        if dataset.id not in datasets or dataset.kind is not DatasetKind.TABLE:
            return None
        return question(catalogue, dataset, day, everything=True, bare=True)

    def one(server: Server, connection: Connection, it: Look) -> None:
        dataset, on_t0 = it.dataset.id, replace(it, question=asked(it.dataset, then) or it.question)
        with server.reaching(f"{server.store} {dataset}"):
            found.needed[dataset] = _count(connection, _needed(it)) - _count(connection, _needed(on_t0))
            if is_bare(it.dataset):
                found.bare[dataset] = _count(connection, _bare(it)) - _count(connection, _bare(on_t0))

    found.unasked = ask(catalogue, desk.connections, asked, held_people(desk), one)
    return found


def _said(conn: Conn, number: str) -> dict[str, int]:
    """How many rows of each dataset the last disposal left as needed, once nothing was on its way to the successor any more."""
    last = next((e for e in reversed(orders.history(conn, number)) if e["what"] == DONE), None)
    return dict(last["detail"]["needed"]) if last and not last["detail"]["moving"] else {}


def _bare(it: Look) -> sql.Composed:
    """SELECT of how many rows that would go stay bare while others refer to them."""
    bare = sql.SQL("NOT ({})").format(not_yet_disposed(it.catalogue, it.live, it.dataset, it.others))
    return sql.SQL("SELECT count(*) FROM ({}) AS k").format(Ending(**it.asked()).due_rows(bare))


def _needed(it: Look) -> sql.Composed:
    """SELECT of how many rows that would go are whole, and pointed at by others."""
    look = Ending(**it.asked())
    ways = [
        sql.SQL("EXISTS (SELECT FROM {} AS ct WHERE {})").format(name(n.child), n.refers)
        for n in needs(it.catalogue, it.live, [it.dataset], {it.dataset.id: it})
        if n.child != it.dataset.address
    ]
    return sql.SQL(
        "SELECT count(*) FROM ({due}) AS k JOIN {table} AS pt ON {key} JOIN {table} AS t ON {same} WHERE ({ways}) AND {whole}"
    ).format(
        due=look.due_rows(sql.SQL("true")), table=name(it.dataset.address), key=same_key("pt", "k", it.dataset),
        same=same_key("t", "k", it.dataset), ways=joined(" OR ", ways) if ways else sql.SQL("false"),
        whole=not_yet_disposed(it.catalogue, it.live, it.dataset, it.others),
    )  # fmt: skip


def _count(connection: Connection, query: sql.Composed) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0
