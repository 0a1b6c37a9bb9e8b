"""One piece of a night: a range of items of a group of datasets, in one transaction with its receipt.

Nothing is disposed of by what was found hours ago. In the transaction the same question is asked again of the piece's own keys,
with the holds of now; then who else needs a row is looked at. Of most pieces nothing falls out, so that one statement asks and
deletes, and the server's foreign keys say that nobody needs a row. What falls out is left as it is and leaves the key tables:

    not_due    its dates changed, a hold names its owner by now, or it is gone already, by somebody's own case. A clock that
               started by a row which went meanwhile still says that it was over
    needed     a row that stays refers to it, or leads to its owner through it: it goes when that goes; if the dataset declares a
               cut by which the owner stays known, it is cut now. Or something outside of this database leads through it (an
               object that stays in its bucket): then it stays as it is

Rows are compared with what the server says it wrote (``books``); a cascade or trigger that nobody declared rolls the piece back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from psycopg import errors as pg
from psycopg import sql

from include.model.catalogue import Catalogue
from include.model.estate import Dataset
from include.model.flow import Step
from include.model.words import Disposition
from include.stores.postgres import books, receipts
from include.stores.postgres.area import TEMP, Area, key_columns, same_key
from include.stores.postgres.deed import cut_rows, differing, erase_rows
from include.stores.postgres.live import Live
from include.stores.postgres.retention.known import Known, Named
from include.stores.postgres.retention.look import Look
from include.stores.postgres.retention.needs import Need, needs
from include.stores.postgres.server import Connection, joined, name, one

NOT_DUE, NEEDED, UPTO = "not_due", "needed", "upto"
"""Words of a receipt beside dispositions: items that were passed over, and the last place in the order that was dealt with."""

ERASE, DEIDENTIFY = Disposition.ERASE.value, Disposition.DEIDENTIFY.value


@dataclass(frozen=True)
class Piece:
    """What every piece of a group of datasets is carried out with. ``looks``: the question of each, of now."""

    catalogue: Catalogue
    live: Live
    datasets: Sequence[Dataset]  # a group: rows of theirs may refer to each other
    step: Step
    looks: Mapping[str, Look]
    about: str
    led: Mapping[str, sql.Composable] = field(
        default_factory=dict
    )  # a condition on the row ``pt``, as ``Led`` says

    def carry_out(
        self, connection: Connection, area: Area, after: int, upto: int, chunk: int, plan: str
    ) -> Counter[str]:
        """Everything between the snapshot and the commit; what became of the items, over all datasets."""
        counts: dict[str, Counter[str]] = {d.id: Counter({UPTO: upto}) for d in self.datasets}
        for dataset in self.datasets:
            self._take(connection, area, dataset, after, upto, counts[dataset.id])
            if dataset.id in self.led:
                led = sql.SQL("EXISTS (SELECT FROM {} AS pt WHERE {} AND ({}))").format(
                    name(dataset.address), same_key("pt", "k", dataset), self.led[dataset.id]
                )
                self._leave(connection, area, dataset, led, counts)
        self._keep_what_is_needed(connection, area, counts)
        before = books.written(connection)
        connection.execute("SET CONSTRAINTS ALL DEFERRED")
        deletes: dict[str, int] = {}
        cut: list[Dataset] = []
        for dataset in self.datasets:
            for disposition, items in self._fates(connection, dataset):
                counts[dataset.id][disposition.past] += items
                if disposition is Disposition.ERASE and dataset.part_of is None:
                    deletes[dataset.id] = items
                elif dataset not in cut:
                    cut.append(dataset)
        updates = differing(connection, [(d, d.cut) for d in cut], people=False)
        for dataset in cut:
            cut_rows(connection, dataset, dataset.cut, people=False)
        erase_rows(connection, [d for d in self.datasets if deletes.get(d.id)])
        self._balance(connection, chunk, before, updates, deletes)
        receipts.write(connection, self.step, "dispose", chunk, plan, {d: dict(c) for d, c in counts.items()})
        return sum((Counter({k: v for k, v in c.items() if k != UPTO}) for c in counts.values()), Counter())

    def at_once(
        self, connection: Connection, area: Area, after: int, upto: int, items: int, chunk: int, plan: str
    ) -> Counter[str] | None:
        """The same in one statement, of a piece of so many items out of which nothing falls: every row is due now, no hold names
        it, and no row that stays refers to it. None: something does, nothing may be committed, and the piece is to be carried
        out with care."""
        (dataset,) = self.datasets
        where = sql.SQL("FROM {} AS a WHERE a.item > {} AND a.item <= {}").format(
            area.table(dataset.id), sql.Literal(after), sql.Literal(upto)
        )
        keys = sql.SQL("SELECT {} {}").format(key_columns("a", dataset), where)
        before = books.written(connection)
        try:
            gone = connection.execute(
                sql.SQL("DELETE FROM {} AS t WHERE {}").format(
                    name(dataset.address), self.looks[dataset.id].going(keys)
                )
            ).rowcount
            connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        except (pg.ForeignKeyViolation, pg.RestrictViolation):
            return None
        if gone != items:
            return None
        self._balance(connection, chunk, before, {}, {dataset.id: gone})
        erased = Counter({Disposition.ERASE.past: gone})
        receipts.write(connection, self.step, "dispose", chunk, plan, {dataset.id: {UPTO: upto, **erased}})
        return erased

    @property
    def whole(self) -> bool:
        """Whether its rows can only go or stay, and the server itself refuses to let one go that another needs."""
        return (
            len(self.datasets) == 1
            and self.datasets[0].id not in self.led
            and self.datasets[0].action == ERASE
            and self.datasets[0].part_of is None
            and all(
                k.on_delete in ("a", "r")
                for k in self.live.foreign_keys
                if k.parent == self.datasets[0].address
            )
            and not any(n.leads for n in self._needs())
        )

    def _needs(self) -> list[Need]:
        """Who may need its rows. Whom the holds name is known also of datasets that are not asked about."""
        others = {d: held for x in self.datasets for d, held in self.looks[x.id].others.items()}
        looks: dict[str, Named] = {**others, **self.looks}
        known = Known(self.catalogue, self.live, looks, self._going, self._cut)
        return needs(self.catalogue, self.live, self.datasets, looks, known=known)

    def _going(self, dataset: Dataset, alias: str) -> sql.Composable | None:
        """Whether a row goes with this very piece."""
        row = next((d for d in self.datasets if d.id == dataset.whole), None)
        return _in_piece(row, alias, ERASE) if row is not None else None

    def _cut(self, dataset: Dataset, alias: str) -> sql.Composable | None:
        """Whether a row is cut by it."""
        return _in_piece(dataset, alias) if any(d.id == dataset.id for d in self.datasets) else None

    def _balance(
        self, connection: Connection, chunk: int, before: Counter[books.Entry], updates: Mapping[str, int],
        deletes: Mapping[str, int],
    ) -> None:  # fmt: skip
        swept = self._sweep(connection, deletes, updates)
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        expected = books.planned(self.datasets, updates, deletes)
        expected.update({(table, "delete"): n for table, n in swept.items()})
        books.compare(f"{self.about}, piece {chunk}", before, books.written(connection), expected)

    def _take(
        self,
        connection: Connection,
        area: Area,
        dataset: Dataset,
        after: int,
        upto: int,
        counts: Counter[str],
    ) -> None:
        """The piece's keys that are due now, into ``pg_temp``; the others leave the area."""
        table = area.table(dataset.id)
        here = sql.SQL("a.item > {} AND a.item <= {}").format(sql.Literal(after), sql.Literal(upto))
        key = joined(", ", (name("a", k) for k in dataset.key))
        look = self.looks[dataset.id]
        keys = sql.SQL("SELECT {} FROM {} AS a WHERE {}").format(key, table, here)
        taken = connection.execute(
            sql.SQL(
                "CREATE TEMP TABLE {temp} ON COMMIT DROP AS SELECT a.item, {key}, a.disposition, a.ownership"
                " FROM ({again}) AS w JOIN {table} AS a ON {same} WHERE {here} AND {still}"
            ).format(
                temp=sql.Identifier(dataset.id), key=key,
                again=look.again(keys), still=look.still("a", "w"), table=table, same=same_key("w", "a", dataset), here=here,
            )
        ).rowcount  # fmt: skip
        connection.execute(sql.SQL("ANALYZE {}").format(TEMP.table(dataset.id)))
        (there,) = one(
            connection.execute(sql.SQL("SELECT count(*) FROM {} AS a WHERE {}").format(table, here))
        )
        if there > taken:
            counts[NOT_DUE] += connection.execute(
                sql.SQL("DELETE FROM {} AS a WHERE {} AND NOT EXISTS (SELECT FROM {} AS k WHERE {})").format(
                    table, here, TEMP.table(dataset.id), same_key("k", "a", dataset)
                )
            ).rowcount

    def _keep_what_is_needed(
        self, connection: Connection, area: Area, counts: Mapping[str, Counter[str]]
    ) -> None:
        """Until nothing changes: a row that is to be erased, and to which a row that stays refers, is not erased."""
        of = {d.address: d for d in self.datasets if d.part_of is None}  # nobody needs a column of a row
        if not of:
            return
        ways = self._needs()
        again = True
        while again:
            again = False
            for need in ways:
                again = self._keep(connection, area, of[need.parent], need, counts) or again

    def _keep(
        self, connection: Connection, area: Area, parent: Dataset, need: Need,
        counts: Mapping[str, Counter[str]],
    ) -> bool:  # fmt: skip
        child = next((d for d in self.datasets if d.address == need.child and d.part_of is None), None)
        going: sql.Composable = sql.SQL("false")
        if child is not None:  # it goes with this very piece, or its cut takes the reference out of it
            frees = not need.leads and (
                child.cut is not None and any(child.cut.set.get(c, c) is None for c in need.columns)
            )
            going = _in_piece(child, "ct", None if frees else ERASE)

        def needed_by(way: sql.Composable) -> sql.Composed:
            return sql.SQL(
                "EXISTS (SELECT FROM {} AS pt JOIN {} AS ct ON {} WHERE {} AND NOT {})"
            ).format(name(parent.address), name(need.child), way, same_key("pt", "k", parent), going)  # fmt: skip

        waits = need.waits if not need.leads_on(parent) else None
        if waits is not None and self._leave(connection, area, parent, needed_by(waits), counts):
            return True
        needed = sql.SQL("k.disposition = {} AND {}").format(sql.Literal(ERASE), needed_by(need.refers))
        temp, table = TEMP.table(parent.id), area.table(parent.id)
        if parent.cut is not None and parent.cut.ends is None and need.joins(parent):
            cut = connection.execute(
                sql.SQL("UPDATE {} AS k SET disposition = {} WHERE {}").format(
                    temp, sql.Literal(DEIDENTIFY), needed
                )
            ).rowcount
            connection.execute(
                sql.SQL(
                    "UPDATE {} AS a SET disposition = k.disposition FROM {} AS k"
                    " WHERE {} AND k.disposition <> a.disposition"
                ).format(table, temp, same_key("k", "a", parent))
            )
            return bool(cut)
        return self._leave(connection, area, parent, needed, counts)

    def _leave(
        self, connection: Connection, area: Area, dataset: Dataset, needed: sql.Composable,
        counts: Mapping[str, Counter[str]],
    ) -> bool:  # fmt: skip
        """The items ``k`` of the piece of which this holds stay; whether there are any."""
        kept = connection.execute(
            sql.SQL(
                "WITH kept AS (DELETE FROM {temp} AS k WHERE {needed} RETURNING k.item, {key})"
                " DELETE FROM {table} AS a USING kept WHERE {same}"
            ).format(
                temp=TEMP.table(dataset.id), needed=needed, key=joined(", ", (name("k", c) for c in dataset.key)),
                table=area.table(dataset.id), same=same_key("kept", "a", dataset),
            )
        ).rowcount  # fmt: skip
        counts[dataset.id][NEEDED] += kept
        return bool(kept)

    def _fates(self, connection: Connection, dataset: Dataset) -> list[tuple[Disposition, int]]:
        return [
            (Disposition(d), n)
            for d, n in connection.execute(
                sql.SQL("SELECT disposition, count(*) FROM {} GROUP BY 1").format(TEMP.table(dataset.id))
            )
        ]

    def _sweep(
        self, connection: Connection, deletes: Mapping[str, int], updates: Mapping[str, int]
    ) -> dict[str, int]:
        """Erase what our own deed wrote elsewhere: a history table's trigger copies the row that it sees go, and that copy would
        be as old as tonight. Only where it is a declared effect, and no statute keeps rows of that kind."""
        fed = {
            e.table
            for d in self.datasets
            for e in d.effects
            if e.operation == "insert" and (deletes.get(d.id) or updates.get(d.id))
        }
        swept: dict[str, int] = {}
        for dataset in self.catalogue.datasets:
            whole = dataset.address in fed and dataset.part_of is None  # a row never goes for a part of it
            if whole and dataset.action == ERASE and not self._kept_by_law(dataset):
                n = connection.execute(
                    sql.SQL("DELETE FROM {} AS t WHERE t.xmin = pg_current_xact_id()::xid").format(
                        name(dataset.address)
                    )
                ).rowcount
                swept[dataset.address] = swept.get(dataset.address, 0) + n
        return swept

    def _kept_by_law(self, dataset: Dataset) -> bool:
        return any(
            p.restrains_deletion
            for b in dataset.binds
            for p in self.catalogue.rule(b.rule).periods
            if p.name == b.period
        )


def _in_piece(dataset: Dataset, alias: str, disposition: str | None = None) -> sql.Composed:
    """Whether a row is among those of the piece that are to be disposed of; in this way, if one is named."""
    so = (
        sql.SQL("true")
        if disposition is None
        else sql.SQL("ck.disposition = {}").format(sql.Literal(disposition))
    )
    return sql.SQL("EXISTS (SELECT FROM {} AS ck WHERE {} AND {})").format(
        TEMP.table(dataset.id), same_key("ck", alias, dataset), so
    )
