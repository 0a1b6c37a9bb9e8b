"""Whether the map fits the database: tables, columns, keys and indexes as the catalogue says, and its SQL there.

All but the first of these checks look at one dataset beside its table, and say what is wrong with it in the same four
words: a check is a function of the two (:func:`of_each`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import wraps

from include.model.estate import Dataset
from include.model.flow import Finding
from include.model.words import Ownership
from include.stores.postgres.area import RESERVED
from include.stores.postgres.live import Live, LiveTable
from include.stores.postgres.preflight.look import Look, finding

INDEXABLE = ("text", "varchar", "bpchar", "int2", "int4", "int8", "numeric", "uuid")

Wrong = tuple[str, str, str, str]  # code, place, what, next step


def of_each(
    check: Callable[[Look, Dataset, LiveTable], Iterator[Wrong]],
) -> Callable[[Look], Iterator[Finding]]:
    """The check of every dataset whose table is there."""

    @wraps(check)
    def checked(look: Look) -> Iterator[Finding]:
        for d in look.datasets:
            for code, place, what, next_step in check(look, d, look.live.tables[d.address]):
                yield finding(code, d, place, what, next_step)

    return checked


def maps(datasets: Sequence[Dataset], live: Live) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for d in datasets:
        table = live.tables.get(d.address)
        if table is None:
            next_step = "was it renamed or dropped? correct the dataset's address"
            yield finding("missing_table", d, d.address, "the mapped table is not in the database", next_step)
        elif table.kind not in "rp" or table.root != d.address:
            what = "it is a view, a foreign table or a single partition"
            yield finding("not_a_table", d, d.address, what, "map the table itself")
        if d.address in seen:
            what = f"{seen[d.address]} maps the same table"
            yield finding("mapped_twice", d, d.address, what, "merge the two datasets")
        seen[d.address] = d.id


@of_each
def columns(look: Look, d: Dataset, table: LiveTable) -> Iterator[Wrong]:
    """Those that the dataset names itself, and those of its own table that others' links lead to."""
    wanted = [*d.key, *(d.cut.set if d.cut else ())]
    for link in d.links:
        wanted += [link.column] if link.column else list(link.on)
    for bound in d.every_bind:
        if bound.start:
            wanted += [bound.start.column] if bound.start.column else list(bound.start.on)
    wanted += [c for child in look.datasets for x in child.links if x.via == d.id for c in x.on.values()]
    for column in dict.fromkeys(wanted):
        if column not in table.columns:
            yield (
                "missing_column", f"{d.address}.{column}", "the mapped column is not in the database",
                "was it renamed or dropped? correct the dataset",
            )  # fmt: skip


@of_each
def cuts(look: Look, d: Dataset, table: LiveTable) -> Iterator[Wrong]:
    """What anonymising and unlinking set to null must be allowed to be null."""
    cut = [d.cut.set, *(p.set for p in d.parts)] if d.cut else [p.set for p in d.parts]
    nulled = [c for constants in cut for c, value in constants.items() if value is None]
    nulled += [x.column for x in d.links if x.column and x.ownership is Ownership.ACCESS_ONLY]
    for column in dict.fromkeys(nulled):
        if column in table.columns and table.columns[column].not_null:
            yield (
                "cut_refused", f"{d.address}.{column}", "it is cut to null, and the column is NOT NULL",
                "cut it to a constant, or allow null",
            )  # fmt: skip


@of_each
def keys(look: Look, d: Dataset, table: LiveTable) -> Iterator[Wrong]:
    if not set(d.key) <= set(table.columns):
        return
    if not d.key or not table.unique_within(d.key):
        what = f"no unique index over not-null columns within ({', '.join(d.key)})"
        yield "key_not_unique", d.address, what, "declare the primary key"
    for column in set(d.key) & RESERVED:
        yield (
            "key_name_taken", f"{d.address}.{column}", "key tables use this name themselves",
            "key the dataset by another unique column",
        )  # fmt: skip


@of_each
def link_indexes(look: Look, d: Dataset, table: LiveTable) -> Iterator[Wrong]:
    for link in d.links:
        mine = [link.column] if link.column else list(link.on)
        if not set(mine) <= set(table.columns):
            continue
        place = f"{d.address}.{mine[0] if len(mine) == 1 else '(' + ', '.join(mine) + ')'}"
        if not table.led_by(*mine):
            create = f"CREATE INDEX CONCURRENTLY ON {d.address} ({', '.join(mine)})"
            yield "unindexed_link", place, "the link to the subject has no index", create
        if link.column and table.columns[link.column].kind not in INDEXABLE:
            what = f"its type {table.columns[link.column].kind} is compared as text, past its index"
            yield "unindexable_link", place, what, "link through a column of a plain type"


@of_each
def starting_points(look: Look, d: Dataset, table: LiveTable) -> Iterator[Wrong]:
    for bound in d.binds:
        query = bound.start.query if bound.start else None
        if query and query not in look.catalogue.starting_points:
            yield "missing_sql", f"starting_points/{query}.sql", "the starting point has no SQL", "write it"


def measures(look: Look) -> Iterator[Finding]:
    for measure in look.catalogue.measures:
        if measure.store == look.store.id and measure.id not in look.catalogue.measure_sql:
            place = f"measures/{measure.id}.sql"
            yield finding("missing_sql", None, place, "the measure has no SQL", "write it")
