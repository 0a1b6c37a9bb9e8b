"""The whole estate after a shutdown: it holds what stays, and nothing else, declared or not. Read by the prover; counts only.

Set-based, over everybody at once: every declared table and bucket is counted anew, whatever the books say of it; every table,
column, view, large object, bucket and key that nobody declared is named; and what the rows that stay say in free text is held
against the identifiers of everybody else, gathered before anything went (:mod:`include.proofs.needles`).

Names of checks are stable, ``<what>.<place>``:

    holds       a declared dataset holds exactly what stays of it, counted raw; of rows that were unlinked: none
    undeclared  a table, bucket or path that nobody declared is empty, or not there
    column      a column that the catalogue does not know holds nothing
    derived     a declared copy of other tables holds nothing that they do not
    needle      no row says an identifier of somebody whose it is not
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.errors import NotReachable, QuietusError
from include.model.estate import Dataset, StoreDeclared
from include.model.flow import Check
from include.model.words import DatasetKind, Role, Rung, StoreKind, Verdict
from include.proofs.bodies import Unreadable, summed
from include.proofs.bucket import WORK, Bucket, Pattern, asking
from include.proofs.everybody import everybodys
from include.proofs.needles import Haystack, Owners
from include.proofs.server import Connection, Reader, meaning
from include.proofs.tables import quoted

KIND = "estate"
"""Of this look, as :mod:`include.proofs.names` knows its checks."""


@dataclass(frozen=True)
class Stays:
    """What is to be there: dataset -> items. ``unknown``: datasets of which the books cannot say, and why. ``beside``: those of
    other services, which go on. ``owners``: whose the identifiers are that were gathered before; None: there are none to ask, for
    the reason ``unsought``."""

    items: Mapping[str, int]
    unknown: Mapping[str, str] = field(default_factory=dict)
    beside: frozenset[str] = frozenset()
    owners: Owners | None = None
    unsought: str = "nobody's identifiers were gathered before anything went, so none can be looked for"


def dragnet(
    catalogue: Catalogue, connections: Connections, stays: Stays, *, work: str = WORK
) -> dict[str, tuple[Check, ...]]:
    """Look through every store; store -> checks. A store that does not answer is one check, UNVERIFIED."""
    found: dict[str, tuple[Check, ...]] = {}
    for store in catalogue.stores:
        look = _database if store.kind is StoreKind.POSTGRES else _buckets
        try:
            found[store.id] = tuple(look(catalogue, connections, store, stays, work))
        except QuietusError as error:
            found[store.id] = (_unseen(f"holds.{store.id}", None, str(error)),)
    return found


def verdict(found: Mapping[str, Sequence[Check]]) -> Verdict:
    """FAILED before UNVERIFIED before PASSED."""
    there = {c.verdict for checks in found.values() for c in checks}
    return next((v for v in (Verdict.FAILED, Verdict.UNVERIFIED) if v in there), Verdict.PASSED)


# --- databases ----------------------------------------------------------------------------------------


def _database(
    catalogue: Catalogue, connections: Connections, store: StoreDeclared, stays: Stays, _work: str
) -> Iterator[Check]:
    reader = Reader.of(connections, store.id, store.connection)
    declared = {d.address: d for d in catalogue.of_store(store.id, DatasetKind.TABLE)}
    free = {x.address: x.columns for x in catalogue.not_personal if x.store == store.id}
    free |= {
        r.into: tuple(r.published)
        for r in catalogue.releases
        if r.into and catalogue.dataset(r.dataset).store == store.id
    }
    derived = {x.address for x in catalogue.derived if x.store == store.id}
    with reader.connect() as connection, reader.reaching():
        there = everybodys(connection, copies=True)
        for address, kind, columns in there:
            try:
                if (dataset := declared.get(address)) is not None:
                    if dataset.id not in stays.beside:
                        yield _holds(connection, dataset, stays)
                    yield from _columns(connection, address, dataset.id, _unknown(dataset, columns))
                elif address in derived:
                    yield _fresh(connection, address)
                elif address in free:
                    # ``columns`` of what holds nothing personal are all of them, if any are; of a release those it publishes.
                    more = [c for c in columns if free[address] and c not in free[address]]
                    yield from _columns(connection, address, None, more)
                elif kind == "f":
                    yield _unseen(
                        f"undeclared.{address}", None, "it is a foreign table: its data lives elsewhere"
                    )
                else:
                    rows = _count(connection, sql.SQL("SELECT count(*) FROM {}").format(quoted(address)))
                    yield _check("undeclared", address, None, 0, rows, "rows in a table that nobody declared")
                if kind != "f" and address not in derived and stays.owners is not None:
                    yield from Haystack(
                        catalogue, connection, address, columns, dataset, stays.owners
                    ).checks()
            except psycopg.Error as error:
                why = meaning(error, reader.about)
                if isinstance(why, NotReachable):
                    raise why from None
                yield _unseen(
                    f"holds.{address}", declared[address].id if address in declared else None, why.what
                )
        yield from _absent(declared, {a for a, _, _ in there}, stays)
        large = _count(connection, sql.SQL("SELECT count(*) FROM pg_catalog.pg_largeobject_metadata"))
        yield _check(
            "undeclared", f"{store.id}.large_objects", None, 0, large, "large objects, which nobody declares"
        )
    if stays.owners is None:
        yield _unseen(f"needle.{store.id}", None, stays.unsought)


def _unknown(dataset: Dataset, columns: Mapping[str, str]) -> list[str]:
    known = {*dataset.columns, *dataset.key}
    for link in dataset.links:
        known |= {link.column} if link.column else set(link.on)
    return [c for c in columns if c not in known]


def _holds(connection: Connection, dataset: Dataset, stays: Stays) -> Check:
    if (why := stays.unknown.get(dataset.id)) is not None:
        return _unseen(f"holds.{dataset.id}", dataset.id, why)
    rows = _count(
        connection, sql.SQL("SELECT count(*) FROM {} WHERE {}").format(quoted(dataset.address), _led(dataset))
    )
    return _check(
        "holds",
        dataset.id,
        dataset.id,
        stays.items.get(dataset.id, 0),
        rows,
        "rows beside what stays, or too few",
    )


def _led(dataset: Dataset) -> sql.Composable:
    """Which rows count. What was unlinked stays, and leads to nobody once all of its cut is set: that is disposed of."""
    if dataset.action != "unlink" or dataset.cut is None or dataset.cut.ends is not None:
        return sql.SQL("true")
    cut = sql.SQL(" AND ").join(
        sql.SQL("{} IS NOT DISTINCT FROM {}").format(sql.Identifier(c), sql.Literal(v))
        for c, v in dataset.cut.set.items()
    )
    return sql.SQL("NOT ({})").format(cut)


def _columns(
    connection: Connection, address: str, dataset: str | None, columns: Sequence[str]
) -> Iterator[Check]:
    for column in columns:
        said = _count(
            connection,
            sql.SQL("SELECT count({}) FROM {}").format(sql.Identifier(column), quoted(address)),
        )
        yield _check(
            "column", f"{address}.{column}", dataset, 0, said, "values in a column that nobody declared"
        )


def _fresh(connection: Connection, address: str) -> Check:
    row = connection.execute(
        "SELECT definition FROM pg_catalog.pg_matviews WHERE schemaname || '.' || matviewname = %s", [address]
    ).fetchone()
    if row is None:
        return _unseen(f"derived.{address}", None, "it is declared as a copy, and is none")
    shown = sql.SQL("SELECT count(*) FROM (SELECT * FROM {} EXCEPT ALL {}) AS x").format(
        quoted(address), sql.SQL(str(row[0]).rstrip().rstrip(";"))  # the server's own text of it
    )  # fmt: skip
    return _check(
        "derived",
        address,
        None,
        0,
        _count(connection, shown),
        "it shows rows that its tables do not hold: refresh it",
    )


def _absent(declared: Mapping[str, Dataset], there: set[str], stays: Stays) -> Iterator[Check]:
    """A declared table that is not there holds nothing; if something stays of it, that is missing."""
    for address, dataset in declared.items():
        if address not in there and dataset.id not in stays.beside:
            yield _check(
                "holds", dataset.id, dataset.id, stays.items.get(dataset.id, 0), 0, "the table is not there"
            )


def _count(connection: Connection, statement: sql.SQL | sql.Composed) -> int:
    row = connection.execute(statement).fetchone()
    return int(row[0]) if row else 0


# --- buckets ------------------------------------------------------------------------------------------


def _buckets(
    catalogue: Catalogue, connections: Connections, store: StoreDeclared, stays: Stays, work: str
) -> Iterator[Check]:
    client = connections.s3(store.connection, Role.PROVER)
    free = {x.address for x in catalogue.not_personal if x.store == store.id}
    mine = catalogue.of_store(store.id)
    names: list[str] = []
    try:
        with asking(f"store {store.id}"):
            names = [b["Name"] for b in client.list_buckets()["Buckets"]]
    except QuietusError as error:
        yield _unseen(f"undeclared.{store.id}", None, f"which buckets there are cannot be listed: {error}")
    for name in sorted({*names, *(d.address for d in mine)} - free - {work}):
        try:
            yield from _bucket(Bucket(client, name), [d for d in mine if d.address == name], stays)
        except NotReachable:
            raise
        except QuietusError as error:
            yield _unseen(f"undeclared.{name}", None, error.what)


def _bucket(bucket: Bucket, datasets: Sequence[Dataset], stays: Stays) -> Iterator[Check]:
    """Every version, marker and unfinished upload, by the dataset whose path it lies under."""
    of = {d.id: Pattern(d.prefix) for d in datasets if d.kind is DatasetKind.OBJECTS}
    files = [d for d in datasets if d.kind is DatasetKind.RECORDS]
    seen: Counter[str] = Counter()
    beside = 0
    for thing in bucket.under([""]):
        if any(thing.key.startswith(d.prefix) for d in files):
            continue
        whose = next((i for i, p in of.items() if p.variables(thing.key) is not None), None)
        if whose is not None:
            seen[whose] += 1
        else:
            beside += 1
    for id in of.keys() - stays.beside:
        if (why := stays.unknown.get(id)) is not None:
            yield _unseen(f"holds.{id}", id, why)
        else:
            yield _check(
                "holds", id, id, stays.items.get(id, 0), seen[id], "objects beside what stays, or too few"
            )
    for d in (d for d in files if d.id not in stays.beside):
        yield _records(bucket, d, stays)
    yield _check("undeclared", bucket.name, None, 0, beside, "objects under no declared path")


def _records(bucket: Bucket, dataset: Dataset, stays: Stays) -> Check:
    """Records of shared files are counted in every version; a marker or an unfinished upload is one item."""
    if (why := stays.unknown.get(dataset.id)) is not None:
        return _unseen(f"holds.{dataset.id}", dataset.id, why)
    there = 0
    for thing in bucket.under([dataset.prefix]):
        if not thing.key.startswith(dataset.prefix):
            continue
        try:
            there += (
                summed(bucket.body(thing), dataset.format or "jsonl.gz")[0] if thing.kind == "version" else 1
            )
        except Unreadable:
            return _unseen(f"holds.{dataset.id}", dataset.id, "a file of it cannot be read")
    return _check(
        "holds",
        dataset.id,
        dataset.id,
        stays.items.get(dataset.id, 0),
        there,
        "records beside what stays, or too few",
    )


# --- checks -------------------------------------------------------------------------------------------


def _check(what: str, place: str, dataset: str | None, expected: int, observed: int, otherwise: str) -> Check:
    right = expected == observed
    return Check(
        name=f"{what}.{place}", dataset=dataset, rung=Rung.R2, verdict=Verdict.PASSED if right else Verdict.FAILED,
        expected=expected, observed=observed, why="" if right else otherwise,
    )  # fmt: skip


def _unseen(name: str, dataset: str | None, why: str) -> Check:
    return Check(name=name, dataset=dataset, rung=Rung.R2, verdict=Verdict.UNVERIFIED, why=why)


__all__ = ["KIND", "Stays", "dragnet", "verdict"]
