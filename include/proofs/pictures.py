"""A picture of everybody else, taken before a disposal and again after it, and compared: not a byte may differ.

For a sandbox and for quiesced snapshots, once a night for all cases of the day: while the company writes, its own
writes show as differences. Costs one scan of every table and a listing of every bucket; memory does not grow.

    unchanged    all rows of a table that are no items of the step; all versions in a bucket that are not        R0
    rest         items of the step that stay, but for the columns that the cut and the unlinking may set          R0
    records      other people's records in shared files in which the step has records                            R0
    declared     the first of these where the catalogue declares that disposing changes the table: by how much   R0

Its evidence is of a kind of its own, so that it never takes the place of what ``bystanders`` saw after a disposal.
A picture is counts and sums of digests, keyed with a number that nobody knew beforehand, so that no wrong row can
be made to fit. It names nobody. Declared materialised views are ``fresh``'s business, our own schema nobody's.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence

import psycopg
from psycopg import sql

from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.errors import NotReachable
from include.model.estate import Dataset
from include.model.flow import Check, Evidence, Flow, Plan, Step
from include.model.words import Ownership, Rung, Verdict
from include.proofs.asking import evidence
from include.proofs.bucket import WORK
from include.proofs.bystanders import effects_on
from include.proofs.everybody import everybodys
from include.proofs.objects import stores as s3_stores
from include.proofs.picture_objects import portions as object_portions
from include.proofs.portions import Portion
from include.proofs.relational import each_store
from include.proofs.server import Connection, Reader, meaning
from include.proofs.tables import Tables, equal, quoted

_GENERATED = """
SELECT n.nspname || '.' || c.relname, a.attname
  FROM pg_catalog.pg_attribute a
  JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE a.attgenerated <> '' AND NOT a.attisdropped
"""


class Picture(Flow):
    """One store, as it was at one moment, without what is the step's own."""

    step: str
    store: str
    seed: int
    portions: tuple[Portion, ...]


def picture(
    catalogue: Catalogue,
    connections: Connections,
    step: Step,
    plan: Plan,
    *,
    like: Sequence[Picture] = (),
    work: str = WORK,
) -> list[Picture]:
    """Every store as it is now. ``like``: the pictures that these are to be compared with.

    Needs the step area as it was weighed: before the disposal, and after it until the step is closed. Raises
    NotReachable if a store does not answer; what may not be looked at is in the picture as such.
    """
    seeds = {p.store: p.seed for p in like}
    found = []
    for reader, tables in each_store(catalogue, connections, step):
        seed = seeds.get(reader.store, secrets.randbits(63))
        portions = tuple(_database(reader, tables, plan, seed))
        found.append(Picture(step=step.id, store=reader.store, seed=seed, portions=portions))
    for looking in s3_stores(catalogue, connections, step, work):
        seed = seeds.get(looking.store.id, secrets.randbits(63))
        portions = tuple(object_portions(looking, seed))
        found.append(Picture(step=step.id, store=looking.store.id, seed=seed, portions=portions))
    return found


def unchanged(step: Step, plan: Plan, before: Sequence[Picture], after: Sequence[Picture]) -> list[Evidence]:
    """The second pictures held against the first: one evidence per store that either shows."""
    firsts, seconds = {p.store: p for p in before}, {p.store: p for p in after}
    return [
        evidence("pictures", step, plan, store, _compared(firsts.get(store), seconds.get(store), store))
        for store in dict.fromkeys([*firsts, *seconds])
    ]


def _compared(before: Picture | None, after: Picture | None, store: str) -> list[Check]:
    if before is None or after is None or before.seed != after.seed or before.step != after.step:
        why = "there are no two pictures of this store that were taken alike"
        return [_check(f"unchanged.{store}", None, Verdict.UNVERIFIED, why=why)]
    firsts = {p.name: p for p in before.portions}
    seconds = {p.name: p for p in after.portions}
    return [_judged(firsts.get(n), seconds.get(n)) for n in dict.fromkeys([*firsts, *seconds])]


def _judged(before: Portion | None, after: Portion | None) -> Check:
    one = before or after
    assert one is not None  # noqa: S101 - the name comes from one of them
    name, dataset = one.name, one.dataset
    if blind := next((p.blind for p in (before, after) if p and p.blind), ""):
        return _check(name, dataset, Verdict.UNVERIFIED, why=blind)
    if before is None or after is None:
        why = "it was not there before" if before is None else "it is there no more"
        n, m = (before.items if before else 0), (after.items if after else 0)
        return _check(name, dataset, Verdict.FAILED, n, m, why)
    if (before.items, before.digest) == (after.items, after.digest):
        return _check(name, dataset, Verdict.PASSED, before.items, after.items)
    if before.declared:
        name = f"declared.{name.partition('.')[2]}"
        if before.items <= after.items <= before.items + before.growth:
            return _check(name, dataset, Verdict.PASSED, before.items, after.items,
                          f"it changed, as declared: {before.declared}")  # fmt: skip
        return _check(name, dataset, Verdict.FAILED, before.items, after.items,
                      f"it changed by more rows than declared: {before.declared}")  # fmt: skip
    why = "not as many as before" if before.items != after.items else "as many as before, but not the same"
    return _check(name, dataset, Verdict.FAILED, before.items, after.items, f"somebody else's data: {why}")


def _check(
    name: str,
    dataset: str | None,
    verdict: Verdict,
    n: int | None = None,
    m: int | None = None,
    why: str = "",
) -> Check:
    return Check(
        name=name, dataset=dataset, rung=Rung.R0, verdict=verdict, expected=n, observed=m, why=why
    )  # fmt: skip


# --- databases --------------------------------------------------------------------------------------


def _database(reader: Reader, tables: Tables, plan: Plan, seed: int) -> Iterator[Portion]:
    """One portion per table, all of one snapshot."""
    datasets = {d.address: d for d in tables.datasets}
    derived = {d.address for d in tables.catalogue.derived if d.store == tables.store}
    with reader.connect() as connection, reader.reaching(), connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        generated: dict[str, list[str]] = {}
        for address, column in connection.execute(_GENERATED):
            generated.setdefault(address, []).append(column)
        for address, kind, _ in everybodys(connection, copies=True):
            dataset = datasets.get(address)
            if address in derived:
                continue
            effects = effects_on(tables, plan, address)
            blank = Portion(
                name=f"unchanged.{address}",
                dataset=dataset.id if dataset else None,
                declared="; ".join(e.reason for e, _ in effects),
                growth=sum(n for e, n in effects if e.operation == "insert"),
            )
            if kind == "f":
                yield blank.unseen("it is a foreign table: its data lives elsewhere")
                continue
            yield _summed(connection, reader, blank, _others(tables, dataset, address, kind), seed)
            if dataset is not None:
                rest = blank.model_copy(update={"name": f"rest.{dataset.id}"})
                of = _rest(tables, dataset, generated.get(address, []))
                yield _summed(connection, reader, rest, of, seed)


def _others(tables: Tables, dataset: Dataset | None, address: str, kind: str) -> sql.Composed:
    """The rows, as texts, that are no items of the step."""
    rows = sql.SQL("SELECT t::text AS row FROM {}{} AS t").format(
        sql.SQL("ONLY " if kind == "r" else ""), quoted(address)
    )
    if dataset is None:
        return rows
    return sql.SQL("{} WHERE NOT EXISTS (SELECT FROM {} AS k WHERE {})").format(
        rows, tables.items(dataset.id), equal("k", "t", dataset.key)
    )


def _rest(tables: Tables, dataset: Dataset, generated: Sequence[str]) -> sql.Composed:
    """The step's items that stay, as texts, without the columns that are to be cut from them."""
    cut = {*(dataset.cut.set if dataset.cut else ()), *generated}
    cut |= {x.column for x in dataset.links if x.ownership is Ownership.ACCESS_ONLY and x.column}
    return sql.SQL(
        "SELECT (CASE WHEN k.disposition IN ('deidentify', 'unlink') THEN to_jsonb(t) - {}::text[]"
        " ELSE to_jsonb(t) END)::text AS row FROM {} AS k JOIN {} AS t ON {} WHERE k.disposition <> 'erase'"
    ).format(
        sql.Literal(sorted(cut)),
        tables.items(dataset.id),
        quoted(dataset.address),
        equal("t", "k", dataset.key),
    )


def _summed(
    connection: Connection, reader: Reader, blank: Portion, rows: sql.Composable, seed: int
) -> Portion:
    """Count and digest: two sums of 64-bit hashes, so that the order of the rows does not matter."""
    statement = sql.SQL(
        "SELECT count(*), coalesce(sum(hashtextextended(r.row, {})), 0)::text,"
        " coalesce(sum(hashtextextended(r.row, {})), 0)::text FROM ({}) AS r"
    ).format(sql.Literal(seed), sql.Literal(seed ^ 0x5DEECE66D), rows)
    try:
        with connection.transaction():
            row = connection.execute(statement).fetchone()
    except psycopg.Error as error:
        why = meaning(error, reader.about)
        if isinstance(why, NotReachable):
            raise why from None
        return blank.unseen(why.what)
    assert row is not None  # noqa: S101 - an aggregate has one row
    return blank.model_copy(update={"items": int(row[0]), "digest": f"{row[1]} {row[2]}"})


__all__ = ["Picture", "picture", "unchanged"]
