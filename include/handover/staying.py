"""At the successor: which items of a bag stay, though their owner or their sender wants them deleted, and why.

    a hold that came with them and was not released, or one that the successor opened itself, by whom it names
    a floor that runs still by the clocks that came
    a row that is kept and refers to them by a foreign key, or of which it must stay known by them whose it is, as on a night
    (:mod:`include.stores.postgres.retention.needs`): rows of bags are deleted without the database looking at foreign keys, so
    that it is asked first

What stays for such a row is due the next day, as everything that is kept without a day: a night deletes it once nothing needs it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING

from psycopg import sql

from include.cases.retention.due import named
from include.cases.retention.held import HeldPeople
from include.handover.custody import Custody, Known
from include.handover.rows import Shape
from include.model.errors import Refused
from include.model.estate import Dataset
from include.model.handover import BagKind, Clocks, Kept
from include.model.template import Template
from include.stores.postgres.live import Live
from include.stores.postgres.retention.needs import Held, needs
from include.stores.postgres.retention.owners import Owners
from include.stores.postgres.server import Connection, joined, name

if TYPE_CHECKING:
    from include.handover.following import Item

HOLD = "a hold keeps it"
NEEDED = "a row that is kept needs it"
LOCK = "a lock keeps it"
HIDES = "it hides a version that a lock keeps"
UNDATED = (NEEDED, LOCK, HIDES)
"""Without a day it may go as soon as that is so no more."""


@dataclass(frozen=True)
class Staying:
    """What is asked about one bag. ``live``: the database that knows of it."""

    custody: Custody
    connection: Connection
    bag: Known
    as_of: date
    live: Live
    held: HeldPeople

    @classmethod
    def of(cls, custody: Custody, connection: Connection, bag: Known, as_of: date) -> Staying:
        """Raises NotReachable, Refused if our holds cannot be read."""
        return cls(custody, connection, bag, as_of, Live.read(connection), custody.held())

    def holds_are_the_same(self) -> None:
        """To be asked before what was deleted is committed. Raises Refused if one was opened, narrowed or released meanwhile."""
        if self.custody.held() != self.held:
            raise Refused(
                "a hold was opened or changed meanwhile", about=self.bag.bag, next_step="follow it again; no row was deleted"
            )  # fmt: skip

    def __call__(self, items: Sequence[Item]) -> dict[int, Kept]:
        """Number of each item that stays -> why. Raises Refused, with nothing changed, while a hold of ours names people in the
        dataset and nobody here can say whose one of the items is."""
        released = frozenset(self.custody.released())
        found = {it.no: why for it in items if (why := keeps(self.bag, it, self.as_of, released)) is not None}
        found |= self._why(items, self._held([it for it in items if it.no not in found]), HOLD)
        if self.bag.kind is BagKind.ROWS:
            going = [it for it in items if it.no not in found]
            while needed := self._needed(going):
                found |= self._why(going, needed, NEEDED)
                going = [it for it in going if it.no not in needed]
        return found

    @staticmethod
    def _why(items: Sequence[Item], which: Collection[int], why: str) -> dict[int, Kept]:
        return {it.no: Kept(item=it.leaf.hex(), why=why) for it in items if it.no in which}

    # --- our own holds
    def _held(self, items: Sequence[Item]) -> set[int]:
        """Numbers of the items that an open hold of ours covers."""
        catalogue, dataset = self.custody.catalogue, self.dataset
        everybody, people = named(catalogue, self.held, dataset)
        if everybody:
            return {it.no for it in items}
        if not (people and items and dataset.links):
            return set()
        owners = Owners(catalogue, self.live)
        nobodys = self._those(items, sql.SQL("{} = ''").format(owners.listed(dataset, "pt")))
        if nobodys:
            raise Refused(
                f"an open hold covers {dataset.id}, and nobody here can say whose {len(nobodys)} of the items are",
                about=self.bag.bag, next_step="release the hold or narrow it (`quietus case hold`), then follow it again",
            )  # fmt: skip
        return self._those(items, owners.among(dataset, "pt", people))

    # --- rows that stay
    def _needed(self, going: Sequence[Item]) -> set[int]:
        """Numbers of those of these rows to which a row refers that is none of them."""
        ways = [
            sql.SQL("EXISTS (SELECT FROM {} AS ct WHERE {}{})").format(
                name(child), refers, self._is_none_of(going) if child == self.dataset.address else sql.SQL("")
            )
            for child, refers in self._referring()
        ]
        return self._those(going, joined(" OR ", ways)) if ways and going else set()

    def _referring(self) -> Iterator[tuple[str, sql.Composable]]:
        """Tables whose rows ``ct`` need a row ``pt`` of the dataset, and how. What is several people's and goes by a date of its
        own, as a published list does, needs none of the rows that lead to them. Raises CatalogueError if a column is gone."""
        looks = {
            d.id: Held(*named(self.custody.catalogue, self.held, d)) for d in self.custody.catalogue.datasets
        }
        for need in needs(self.custody.catalogue, self.live, [self.dataset], looks):
            yield need.child, need.refers

    # --- SQL
    @property
    def dataset(self) -> Dataset:
        return self.custody.catalogue.dataset(self.bag.dataset)

    def _those(self, items: Sequence[Item], condition: sql.Composable) -> set[int]:
        """Numbers of the items of which a condition about ``pt`` is true: a row, or what an object's path says."""
        numbers = [it.no for it in items]
        if self.bag.kind is BagKind.ROWS:
            source = sql.SQL("{} AS g JOIN {} AS pt ON {}").format(
                self._keys(items), name(self.dataset.address), self._same("pt", "g")
            )
            query = sql.SQL("SELECT g.no FROM {} WHERE {}").format(source, condition)
            return {int(no) for (no,) in self.connection.execute(query).fetchall()}
        said = [
            sql.SQL("i.path[{}] AS {}").format(sql.Literal(n), sql.Identifier(v))
            for n, v in enumerate(Template(self.dataset.prefix).variables, 1)
        ]
        query = sql.SQL(
            "SELECT pt.{no} FROM (SELECT {all} FROM quietus_handover.item AS i"
            " WHERE i.order_no = %s AND i.bag = %s AND i.no = ANY(%s)) AS pt WHERE {condition}"
        ).format(no=_NO, all=joined(", ", [sql.SQL("i.no AS {}").format(_NO), *said]), condition=condition)
        args = [self.bag.order, self.bag.bag, numbers]
        return {int(no) for (no,) in self.connection.execute(query, args).fetchall()}

    def _keys(self, items: Sequence[Item]) -> sql.Composable:
        """The items' numbers and keys, as a source of rows."""
        types = dict(self._shape.columns)
        columns = [
            sql.SQL("k{n}::{type} AS {column}").format(
                n=sql.SQL(str(n)), type=sql.SQL(types[k]), column=sql.Identifier(k)
            )
            for n, k in enumerate(self._shape.key)
        ]
        lists = [[it.no for it in items], *([it.key[n] for it in items] for n in range(len(self._shape.key)))]
        kinds = ["int[]", *("text[]" for _ in self._shape.key)]
        return sql.SQL("(SELECT no, {columns} FROM unnest({lists}) AS u(no, {names}))").format(
            columns=joined(", ", columns),
            lists=joined(
                ", ",
                (
                    sql.SQL("{}::{}").format(sql.Literal(v), sql.SQL(k))
                    for v, k in zip(lists, kinds, strict=True)
                ),
            ),
            names=joined(", ", (sql.SQL(f"k{n}") for n in range(len(self._shape.key)))),
        )

    def _is_none_of(self, items: Sequence[Item]) -> sql.Composable:
        return sql.SQL(" AND NOT EXISTS (SELECT FROM {} AS h WHERE {})").format(
            self._keys(items), self._same("ct", "h")
        )

    def _same(self, a: str, b: str) -> sql.Composable:
        return joined(" AND ", (sql.SQL("{} = {}").format(name(a, k), name(b, k)) for k in self._shape.key))

    @cached_property
    def _shape(self) -> Shape:
        return Shape.read(self.connection, self.bag.described["address"], tuple(self.bag.described["key"]))


_NO = sql.Identifier("#no")


def keeps(bag: Known, it: Item, as_of: date, released: Collection[str]) -> Kept | None:
    """What came with an item and forbids to delete it here: a hold, or a floor that runs still by its clocks. ``released``:
    holds, each with its order, that hold nothing any more."""
    if it.holds and not {f"{bag.order}/{h}" for h in it.holds.split(",")} <= set(released):
        return Kept(item=it.leaf.hex(), why=HOLD)
    return floor(bag, it, as_of)


def floor(bag: Known, it: Item, as_of: date) -> Kept | None:
    """The floor that forbids it by the clocks that came, whether or not a hold does, too."""
    text = bag.clocks[it.clock]
    if text == "null":
        return None
    running = [
        r for r in Clocks.model_validate_json(text).running if r.floor and (r.ends is None or r.ends >= as_of)
    ]
    if not running:
        return None
    last = max(running, key=lambda r: r.ends or date.max)
    return Kept(item=it.leaf.hex(), why=f"{last.rule}/{last.period}: {last.law}", until=last.ends)
