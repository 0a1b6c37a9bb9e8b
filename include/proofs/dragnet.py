"""The dragnet: the person's own values, looked for in everything that is there, declared or not.

Every table of a database is read once, whole, by COPY; every object of every bucket, every version of it. The
values never leave this process: no statement, parameter or log has one. What a hit means depends on the row:

- a row that the plan keeps may say whose it is; so may the key and the links of a row that was cut;
- a mapped column of a row that leads to *somebody else* holds that one's own value (two people, one phone); and a
  value that is somebody else's too accuses nobody by being in free text about them;
- anything else is residue: a FAILED check ``dragnet.<schema.table>`` that names the columns and counts the rows.

Our own schema and step areas are passed over: the restriction list must know whom it restricts, and the areas go
when the step closes. Declared materialised views are ``fresh``'s business.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from include.model.catalogue import Catalogue, Dataset
from include.model.doors import Connections
from include.model.errors import NotReachable, Refused
from include.model.flow import Check, Evidence, Plan, Step
from include.model.words import DatasetKind, Rung, Verdict
from include.proofs.asking import evidence
from include.proofs.bodies import Unreadable, texts
from include.proofs.bucket import WORK, Bucket, Pattern, Thing, asking
from include.proofs.objects import STAYS, Looking
from include.proofs.objects import stores as s3_stores
from include.proofs.relational import each_store
from include.proofs.server import Connection, Reader, meaning
from include.proofs.tables import Tables, quoted
from include.proofs.values import Net, Values

GULP = 1 << 20  # characters looked through at once
CARRY = 256  # characters carried over between two pieces of a body

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
        checks = _nothing(reader.store) if values.net.empty else _database(reader, tables, values.net)
        found.append(evidence("dragnet", step, plan, reader.store, checks))
    for looking in s3_stores(catalogue, connections, step, work):
        store = looking.store.id
        checks = _nothing(store) if values.net.empty else _buckets(looking, values.net)
        found.append(evidence("dragnet", step, plan, store, checks))
    return found


def _nothing(store: str) -> list[Check]:
    return [_unverified(f"dragnet.{store}", None, "no strong identifier of the person is known to look for")]


# --- databases --------------------------------------------------------------------------------------

_TABLES = """
SELECT n.nspname || '.' || c.relname,
       array_agg(a.attname::text ORDER BY a.attnum), array_agg(t.typname::text ORDER BY a.attnum), c.relkind::text
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
 WHERE c.relkind IN ('r', 'p', 'm', 'f') AND NOT c.relispartition
   AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'quietus')
   AND NOT (n.nspname ~ '^q_' AND coalesce(obj_description(n.oid, 'pg_namespace'), '') LIKE 'Quietus step area%')
 GROUP BY 1, 4 ORDER BY 1
"""
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


def _database(reader: Reader, tables: Tables, net: Net) -> list[Check]:
    declared = {d.address: d for d in tables.datasets}
    derived = {d.address for d in tables.catalogue.derived if d.store == tables.store}
    checks: list[Check] = []
    scans: list[_Scan] = []
    with reader.connect() as connection, reader.reaching():
        for address, columns, types, kind in connection.execute(_TABLES).fetchall():
            if address in derived:
                continue
            dataset = declared.get(address)
            name = f"dragnet.{address}"
            if kind == "f":
                checks.append(_unverified(name, None, "it is a foreign table: its data lives elsewhere"))
                continue
            try:
                scans.append(_table(connection, tables, address, columns, types, dataset, net))
            except psycopg.Error as error:
                why = meaning(error, reader.about)
                if isinstance(why, NotReachable):
                    raise why from None
                checks.append(_unverified(name, dataset.id if dataset else None, why.what))
        row = connection.execute("SELECT count(*) FROM pg_catalog.pg_largeobject_metadata").fetchone()
        if row and row[0]:
            checks.append(
                _unverified(
                    f"dragnet.{tables.store}.large_objects", None, "large objects were not looked into"
                )
            )
    shared = set[int]().union(*(scan.shared for scan in scans))
    return [*(scan.check(shared) for scan in scans), *checks]


def _table(
    connection: Connection,
    tables: Tables,
    address: str,
    columns: list[str],
    types: list[str],
    dataset: Dataset | None,
    net: Net,
) -> _Scan:
    sought = [(c, t) for c, t in zip(columns, types, strict=True) if c and t not in _CANNOT]
    scan = _Scan(address, [c for c, _ in sought], dataset)
    if dataset is not None:
        _fates(connection, tables, dataset, scan)
    if sought:
        _read(connection, scan, dict(sought), net)
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
        elif disposition in ("anonymise", "unlink"):
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
    if not net.hits(_unescaped(text)):
        return
    # Not ``splitlines``: binary columns hold bytes that Python, but not COPY, takes for the end of a line.
    for line in text.split("\n"):
        if net.hits(_unescaped(line)):
            scan.judge([_unescaped(c) if c != "\\N" else c for c in line.split("\t")], net)


def _unescaped(text: str) -> str:
    """COPY writes a line break as two characters; a letter before a number would hide it."""
    if "\\" not in text:
        return text
    return text.replace("\\n", "\n").replace("\\t", "\t").replace("\\r", "\r").replace("\\\\", "\\")


# --- buckets ----------------------------------------------------------------------------------------


def _buckets(looking: Looking, net: Net) -> list[Check]:
    """Every bucket that the prover can list but our own, every version of every object, its key and its body."""
    try:
        with asking(looking.store.id):
            names = {b["Name"] for b in looking.client.list_buckets().get("Buckets", [])}
    except Refused:
        names = set()
    names |= {d.address for d in looking.datasets}
    return [_bucket(looking, name, net) for name in sorted(names - {looking.work})]


def _bucket(looking: Looking, name: str, net: Net) -> Check:
    check = f"dragnet.{name}"
    try:
        stays, files = _expected(looking, name)
        bucket = Bucket(looking.client, name)
        hits = unreadable = uploads = 0
        patterns = [
            Pattern(d.prefix) for d in looking.datasets if d.address == name and d.kind is DatasetKind.OBJECTS
        ]
        for thing in bucket.under([""]):
            if thing.kind == "upload":
                # Parts cannot be read. Under a declared path it is clear whose they are, and ``gone`` asks for
                # the person's own; anywhere else nobody can say.
                uploads += not any(p.variables(thing.key) for p in patterns)
            elif thing.id not in stays and not any(thing.key.startswith(p) for p in files):
                try:
                    hits += net.hits(thing.key) or (thing.kind == "version" and _in_body(bucket, thing, net))
                except Unreadable:
                    unreadable += 1
    except Refused as error:
        return _unverified(check, None, error.what)
    if not hits and (unreadable or uploads):
        return _unverified(
            check, None, f"{unreadable} objects cannot be decoded, and {uploads} open uploads cannot be read"
        )
    return Check(
        name=check, dataset=None, rung=Rung.R2, verdict=Verdict.FAILED if hits else Verdict.PASSED,
        expected=0, observed=hits, why="objects name the person, in their keys or bodies" if hits else "",
    )  # fmt: skip


def _expected(looking: Looking, bucket: str) -> tuple[set[tuple[str, str]], list[str]]:
    """Versions that the plan keeps; and prefixes of record files in which records of the person must stay."""
    stays: set[tuple[str, str]] = set()
    files: list[str] = []
    for dataset in looking.datasets:
        if dataset.address != bucket:
            continue
        for row in looking.manifests.rows("weighed", dataset.id):
            if row.get("disposition") in STAYS:
                if dataset.kind is DatasetKind.RECORDS:
                    files.append(dataset.prefix)
                    break
                stays.add((row["key"], row["version"]))
    return stays, files


def _in_body(bucket: Bucket, thing: Thing, net: Net) -> bool:
    carried = ""
    for piece in texts(bucket.body(thing), thing.key):
        text = carried + piece.decode("utf-8", "replace")
        if net.hits(text):
            return True
        carried = text[-CARRY:]
    return False


def _unverified(name: str, dataset: str | None, why: str) -> Check:
    return Check(name=name, dataset=dataset, rung=Rung.R2, verdict=Verdict.UNVERIFIED, why=why)


__all__ = ["dragnet"]
