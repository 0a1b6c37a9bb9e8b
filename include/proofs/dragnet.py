"""The dragnet: the person's own values, looked for in everything that is there, declared or not.

Every table of a database is read once, whole, by COPY; every object of every bucket, every version of it. The
values never leave this process: no statement, parameter or log has one. What a hit means depends on the row:

- a row that the plan keeps may say whose it is; so may the key and the links of a row that was cut;
- a mapped column of a row that leads to *somebody else* holds that one's own value (two people, one phone); and a
  value that is somebody else's too accuses nobody by being in free text about them;
- a name or an address, which have no form, count where two of them stand in one row of a table nobody declared;
- anything else is residue: a FAILED check ``dragnet.<schema.table>`` that names the columns and counts the rows.

Our own schema and step areas are passed over: the restriction list must know whom it restricts, and the areas go
when the step closes. Declared materialised views are ``fresh``'s business.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, cast

import psycopg
from psycopg import sql

from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.errors import NotReachable
from include.model.estate import Dataset
from include.model.flow import Check, Evidence, Plan, Step
from include.model.words import Rung, Verdict
from include.proofs.asking import evidence
from include.proofs.bodies import Unreadable
from include.proofs.bucket import WORK
from include.proofs.dragnet_objects import buckets, says, unverified
from include.proofs.everybody import everybodys, still_there
from include.proofs.objects import stores as s3_stores
from include.proofs.relational import each_store
from include.proofs.server import Connection, Reader, meaning
from include.proofs.statistics import statistics
from include.proofs.tables import Tables, quoted
from include.proofs.values import Net, Values

GULP = 1 << 20  # characters looked through at once
_STALE = (
    "its statistics (pg_stats) still hold values that its rows do not: ANALYZE it; if it has no rows that changes nothing,"
    " and its rows in pg_statistic must be deleted"
)

Key = tuple[str, ...]


def dragnet(
    catalogue: Catalogue,
    connections: Connections,
    step: Step,
    plan: Plan,
    values: Values,
    *,
    work: str = WORK,
) -> list[Evidence]:
    """Look everywhere, once. One evidence per store. Raises NotReachable if a store does not answer."""
    found = []
    for reader, tables in each_store(catalogue, connections, step):
        checks = _nothing(reader.store) if values.net.empty else _database(reader, tables, values)
        found.append(evidence("dragnet", step, plan, reader.store, checks))
    for looking in s3_stores(catalogue, connections, step, work):
        store = looking.store.id
        checks = _nothing(store) if values.net.empty else buckets(looking, values.net)
        found.append(evidence("dragnet", step, plan, store, checks))
    return found


def _nothing(store: str) -> list[Check]:
    return [unverified(f"dragnet.{store}", None, "no strong identifier of the person is known to look for")]


# --- databases --------------------------------------------------------------------------------------

# Types that cannot hold an identifier. Whole numbers of 64 bits and decimals can: some write phones so.
_CANNOT = frozenset(
    ("bool", "date", "time", "timetz", "timestamp", "timestamptz", "interval", "float4", "float8", "int2",
     "int4", "oid", "xid", "xid8", "pg_lsn", "money")
)  # fmt: skip


@dataclass
class _Scan:
    """One table under the net."""

    address: str
    columns: list[str]
    dataset: Dataset | None
    pairs: Net  # of values without a form; in a table that nobody declared two of them in one row say enough
    seen: set[int] = field(default_factory=set)  # values that are in some row, rightly or not
    keeps: set[Key] = field(default_factory=set)
    cuts: set[Key] = field(default_factory=set)
    others: set[Key] = field(default_factory=set)  # unlinked: the row was never the person's own
    ours: set[Key] = field(default_factory=set)
    rows: list[dict[str, frozenset[int]]] = field(default_factory=list)  # residue: column -> which values
    doubtful: list[dict[str, frozenset[int]]] = field(
        default_factory=list
    )  # in free text about somebody else
    shared: set[int] = field(default_factory=set)  # values that are somebody else's own, too

    @property
    def key(self) -> tuple[str, ...]:
        return self.dataset.key if self.dataset else ()

    @property
    def links(self) -> tuple[str, ...]:
        if self.dataset is None:
            return ()
        return tuple(c for x in self.dataset.links for c in ([x.column] if x.column else x.on))

    def judge(self, row: Sequence[str], net: Net) -> None:
        """A row, as text, with key and link columns before the others."""
        key = tuple(row[: len(self.key)])
        links = row[len(self.key) : len(self.key) + len(self.links)]
        cells = row[len(self.key) + len(self.links) :]
        hit = {c: v for c, cell in zip(self.columns, cells, strict=True) if (v := net.found(cell))}
        self.seen.update(*hit.values())
        residue: dict[str, frozenset[int]] = {}
        doubtful: dict[str, frozenset[int]] = {}
        for column, values in hit.items():
            match self._meaning(column, key, links):
                case "residue":
                    residue[column] = values
                case "doubtful":
                    doubtful[column] = values
                case "theirs":
                    self.shared |= values
        if residue:
            self.rows.append(residue | doubtful)
        elif doubtful:
            self.doubtful.append(doubtful)

    def judge_pairs(self, cells: Sequence[str]) -> None:
        """A row, as text, of a table that nobody declared, in which two weak values stand."""
        self.rows.append(
            {c: v for c, x in zip(self.columns, cells, strict=True) if (v := self.pairs.found(x))}
        )

    def _meaning(self, column: str, key: Key, links: Sequence[str]) -> str:
        """``kept`` by the plan, ``theirs``: somebody else's own value, ``doubtful`` or ``residue``."""
        if self.dataset is None:
            return "residue"
        if key in self.keeps or (key in self.cuts and (column in self.key or column in self.links)):
            return "kept"
        mapped = self.dataset.columns.get(column)
        somebody_elses = key in self.others or (key not in self.ours and any(link != "\\N" for link in links))
        if not somebody_elses or mapped is None or not mapped.all_categories:
            return "residue"
        return "theirs" if mapped.category is not None else "doubtful"

    def check(self, shared: set[int]) -> Check:
        """The table's check, once it is known which values are other people's as well."""
        rows = self.rows + [r for r in self.doubtful if not frozenset().union(*r.values()) <= shared]
        columns = Counter(c for row in rows for c in row)
        found = ", ".join(f"{c} ({n})" for c, n in sorted(columns.items()))
        return Check(
            name=f"dragnet.{self.address}",
            dataset=self.dataset.id if self.dataset else None,
            rung=Rung.R2,
            verdict=Verdict.FAILED if rows else Verdict.PASSED,
            expected=0,
            observed=len(rows),
            why=f"values of the person in columns: {found}" if rows else "",
        )


def _database(reader: Reader, tables: Tables, values: Values) -> list[Check]:
    net = values.net
    declared = {d.address: d for d in tables.datasets}
    derived = {d.address for d in tables.catalogue.derived if d.store == tables.store}
    checks: list[Check] = []
    scans: list[_Scan] = []
    with reader.connect() as connection, reader.reaching():
        for address, kind, there in everybodys(connection, copies=True):
            if address in derived:
                continue
            dataset = declared.get(address)
            name = f"dragnet.{address}"
            if kind == "f":
                checks.append(unverified(name, None, "it is a foreign table: its data lives elsewhere"))
                continue
            try:
                pairs = values.pairs if dataset is None else Net(())
                scans.append(_table(connection, tables, address, there, dataset, net, pairs))
            except psycopg.Error as error:
                why = meaning(error, reader.about)
                if isinstance(why, NotReachable):
                    raise why from None
                if dataset is None and not still_there(connection, [address]):
                    continue  # a table that nobody declared was dropped meanwhile: nothing is in it
                checks.append(unverified(name, dataset.id if dataset else None, why.what))
        large = [oid for (oid,) in connection.execute("SELECT oid FROM pg_catalog.pg_largeobject_metadata")]
        if large:
            checks.append(_large_objects(connection, tables.store, large, net))
        checks += _statistics(connection, scans, net)
    shared = set[int]().union(*(scan.shared for scan in scans))
    return [*(scan.check(shared) for scan in scans), *checks]


def _statistics(connection: Connection, scans: Sequence[_Scan], net: Net) -> Iterator[Check]:
    """The planner keeps a table's most common values until it is analysed again: none of them is the person's that
    no row there has any more."""
    kept: dict[str, set[int]] = {}
    hidden: set[str] = set()
    for address, text in statistics(connection):
        if text is None:
            hidden.add(address)
        elif found := net.found(text):
            kept.setdefault(address, set()).update(found)
    for scan in scans:
        name, dataset = f"statistics.{scan.address}", scan.dataset.id if scan.dataset else None
        stale = kept.get(scan.address, set()) - scan.seen
        if scan.address in hidden and not stale:
            yield unverified(
                name, dataset, "statistics of columns together (pg_stats_ext) are shown to its owner only"
            )
            continue
        yield Check(
            name=name, dataset=dataset, rung=Rung.R2, verdict=Verdict.FAILED if stale else Verdict.PASSED,
            expected=0, observed=len(stale), why=_STALE if stale else "",
        )  # fmt: skip


def _large_objects(connection: Connection, store: str, oids: list[int], net: Net) -> Check:
    """Large objects lie in no table that a role may read: each is read by its number."""
    hits = unseen = 0
    for oid in oids:
        try:
            hits += says(cast("IO[bytes]", io.BufferedReader(_Large(connection, oid))), net)
        except (psycopg.Error, Unreadable):
            unseen += 1
    name = f"dragnet.{store}.large_objects"
    if unseen and not hits:
        return unverified(name, None, f"{unseen} of {len(oids)} large objects could not be looked into")
    why = "large objects name the person" if hits else ""
    return Check(
        name=name, rung=Rung.R2, verdict=Verdict.FAILED if hits else Verdict.PASSED, expected=0, observed=hits,
        why=why,
    )  # fmt: skip


class _Large(io.RawIOBase):
    """A large object as a stream."""

    def __init__(self, connection: Connection, oid: int) -> None:
        self._connection, self._oid, self._at = connection, oid, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        row = self._connection.execute(
            "SELECT pg_catalog.lo_get(%s, %s, %s)", [self._oid, self._at, len(buffer)]
        ).fetchone()
        piece = bytes(row[0]) if row else b""
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


def _table(
    connection: Connection,
    tables: Tables,
    address: str,
    there: dict[str, str],
    dataset: Dataset | None,
    net: Net,
    pairs: Net,
) -> _Scan:
    sought = {column: kind for column, kind in there.items() if kind not in _CANNOT}
    scan = _Scan(address, list(sought), dataset, pairs)
    if dataset is not None:
        _fates(connection, tables, dataset, scan)
    if sought:
        _read(connection, scan, sought, net)
    return scan


def _fates(connection: Connection, tables: Tables, dataset: Dataset, scan: _Scan) -> None:
    """What became of the cohort's rows of a declared table, by key."""
    key = sql.SQL(", ").join(sql.SQL("k.{}::text").format(sql.Identifier(c)) for c in dataset.key)
    statement = sql.SQL("SELECT k.disposition, k.ownership, {} FROM {} AS k").format(
        key, tables.items(dataset.id)
    )
    for disposition, ownership, *parts in connection.execute(statement):
        of = tuple(str(p) for p in parts)
        scan.ours.add(of)
        if disposition in ("retain", "hold"):
            scan.keeps.add(of)
        elif disposition == "unlink" and ownership == "access_only":
            scan.others.add(of)
        elif disposition in ("deidentify", "unlink"):
            scan.cuts.add(of)


def _read(connection: Connection, scan: _Scan, types: dict[str, str], net: Net) -> None:
    """COPY the table through the net: many rows at once, and row by row only where something was found."""
    selected = [
        *(sql.SQL("t.{}::text").format(sql.Identifier(c)) for c in (*scan.key, *scan.links)),
        *(
            # ``escape`` writes the printable bytes of a bytea as they are.
            sql.SQL("encode(t.{}, 'escape')").format(sql.Identifier(c))
            if types[c] == "bytea"
            else sql.SQL("t.{}::text").format(sql.Identifier(c))
            for c in scan.columns
        ),
    ]
    statement = sql.SQL("COPY (SELECT {} FROM {} AS t) TO STDOUT").format(
        sql.SQL(", ").join(selected), quoted(scan.address)
    )
    rows: list[str] = []
    size = 0
    with connection.cursor().copy(statement) as copy:
        for block in copy:
            text = bytes(block).decode("utf-8", "replace")
            rows.append(text)
            size += len(text)
            if size >= GULP:
                _gulp(scan, rows, net)
                rows, size = [], 0
    _gulp(scan, rows, net)


def _gulp(scan: _Scan, blocks: list[str], net: Net) -> None:
    text = "".join(blocks)
    plain = _unescaped(text)
    if not net.hits(plain) and not scan.pairs.several(plain):
        return
    # Not ``splitlines``: binary columns hold bytes that Python, but not COPY, takes for the end of a line.
    for line in text.split("\n"):
        if net.hits(_unescaped(line)):
            scan.judge(_cells(line), net)
        elif scan.pairs.several(_unescaped(line)):
            scan.judge_pairs(_cells(line))


def _cells(line: str) -> list[str]:
    return [_unescaped(c) if c != "\\N" else c for c in line.split("\t")]


def _unescaped(text: str) -> str:
    """COPY writes a line break as two characters; a letter before a number would hide it."""
    if "\\" not in text:
        return text
    return text.replace("\\n", "\n").replace("\\t", "\t").replace("\\r", "\r").replace("\\\\", "\\")


__all__ = ["dragnet"]
