"""What the company's own data says of its recipients: who was given what of a person, whose services the person used
before that was written down, and by what else a recipient knows the person.

The catalogue declares which dataset is the register, and which of its columns say who was given what (``transfers``).
Everything is read as the prover, before anything is disposed of.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import psycopg
from psycopg import sql

from include.cases.lookups import looking_up
from include.cases.notices.composing import Given
from include.cases.notices.whom import Used
from include.cases.periods import last_day
from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.estate import Dataset, Transfers
from include.model.notices import Identity
from include.model.policy import KnownBy, Recipient
from include.model.times import prc_date
from include.model.words import DatasetKind, Ownership


def register(catalogue: Catalogue) -> Dataset | None:
    """The dataset of transfers, if the catalogue declares one."""
    return next((d for d in catalogue.datasets if d.transfers is not None), None)


@dataclass(frozen=True)
class Company:
    """The look-ups for a desk. Each raises NotReachable, or CatalogueError for what cannot be read: an unread register
    never passes for an empty one."""

    catalogue: Catalogue
    connections: Connections

    def given(self, subjects: Sequence[str]) -> Mapping[str, Given] | None:
        """What each recipient was given, by the register. None: there is no register."""
        dataset = register(self.catalogue)
        if dataset is None or dataset.transfers is None:
            return None
        with self._reading(dataset) as conn:
            rows = conn.execute(_given(dataset, dataset.transfers), {"subjects": list(subjects)}).fetchall()
        return {
            str(r[0]): Given(
                str(r[0]), int(r[1]), tuple(str(x) for x in r[2] or ()), tuple(str(x) for x in r[3] or ())
            )
            for r in rows
        }

    def since(self, subjects: Sequence[str]) -> date | None:
        """Since when the first of these people is here. None: nothing says so of all of them."""
        home = next((d for d in self.catalogue.datasets if d.accounts is not None), None)
        if home is None or home.accounts is None or home.accounts.began is None:
            return None
        query = sql.SQL("SELECT count(*), min({began}) FROM {table} WHERE {key} = ANY(%(subjects)s)").format(
            began=sql.Identifier(home.accounts.began),
            table=_table(home),
            key=sql.Identifier(home.key[0]),
        )
        with self._reading(home) as conn:
            (found, began), *_ = conn.execute(query, {"subjects": list(subjects)}).fetchall()
        return _day(began) if found >= len(set(subjects)) else None

    def forgets(self, day: date, as_of: date) -> bool:
        """Whether the register may have dropped by now what it had of that day."""
        dataset = register(self.catalogue)
        if dataset is None:
            return True
        bound = dataset.binds[0]
        kept = next(p for p in self.catalogue.rule(bound.rule).periods if p.name == bound.period)
        return last_day(day, kept.duration, kept.counting) < as_of

    def used(self, recipient: Recipient, subjects: Sequence[str], located: frozenset[str]) -> Used | None:
        """Whether and when the person used its service: a row of one of its datasets was located, and where rows name
        the recipient, one that names this one."""
        days: list[date | None] = []
        named = False
        for name in recipient.used_when:
            if name not in located:
                continue
            dataset = self.catalogue.dataset(name)
            owned = _owned(self.catalogue, dataset, "t", frozenset(Ownership))
            if dataset.kind is not DatasetKind.TABLE or owned is None:
                days.append(None)  # located, and nothing tells for whom or when: better one too many
                continue
            found, day = self._rows(recipient, dataset, owned, subjects)
            is_named = name in recipient.named_in
            if found or not is_named:  # the survey may have other ways to a row than SQL has
                days.append(day)
                named = named or is_named
        return Used(tuple(days), named) if days else None

    def _rows(
        self, recipient: Recipient, dataset: Dataset, owned: sql.Composable, subjects: Sequence[str]
    ) -> tuple[bool, date | None]:
        """Whether there is such a row, and the day of the first."""
        column, dated = recipient.named_in.get(dataset.id), recipient.dated_by.get(dataset.id)
        query = sql.SQL("SELECT count(*), {first} FROM {table} AS t WHERE {named} AND {owned}").format(
            first=sql.SQL("min(t.{})").format(sql.Identifier(dated)) if dated else sql.NULL,
            named=sql.SQL("t.{}::text = ANY(%(names)s)").format(sql.Identifier(column))
            if column
            else sql.SQL("true"),
            table=_table(dataset), owned=owned,
        )  # fmt: skip
        with self._reading(dataset) as conn:
            row = conn.execute(
                query, {"names": [recipient.id, recipient.name], "subjects": list(subjects)}
            ).fetchone()
        return (bool(row[0]), _day(row[1])) if row else (False, None)

    def identities(self, recipient: Recipient, subjects: Sequence[str]) -> tuple[Identity, ...]:
        """Values by which it knows the person. One that anybody else of ours has too is left out: the notice then goes
        by the recipient's own numbers alone."""
        found: dict[tuple[str, str], Identity] = {}
        for known in recipient.known_by:
            for value in self._values(known, subjects):
                found.setdefault((known.category, value), Identity(category=known.category, value=value))
        return tuple(found.values())

    def _values(self, known: KnownBy, subjects: Sequence[str]) -> tuple[str, ...]:
        dataset = self.catalogue.dataset(known.dataset)
        mine = _owned(self.catalogue, dataset, "t", frozenset({Ownership.SOLE}))
        if dataset.kind is not DatasetKind.TABLE or mine is None:
            return ()
        others = [
            sql.SQL(
                "NOT EXISTS (SELECT FROM {table} AS o WHERE o.{there} = t.{column} AND ({owned}) IS NOT TRUE)"
            ).format(
                table=_table(other),
                there=sql.Identifier(there),
                column=sql.Identifier(known.column),
                owned=owned,
            )
            for other, there in self._homes(known)
            if (owned := _owned(self.catalogue, other, "o", frozenset({Ownership.SOLE}))) is not None
        ]
        query = sql.SQL(
            "SELECT DISTINCT t.{column}::text FROM {table} AS t WHERE {mine} AND t.{column}::text <> '' AND {others}"
        ).format(
            column=sql.Identifier(known.column), table=_table(dataset), mine=mine,
            others=sql.SQL(" AND ").join(others),
        )  # fmt: skip
        with self._reading(dataset) as conn:
            return tuple(str(r[0]) for r in conn.execute(query, {"subjects": list(subjects)}).fetchall())

    def _homes(self, known: KnownBy) -> Iterator[tuple[Dataset, str]]:
        """Where such a value is looked up for any recipient: everywhere there it must be this person's alone."""
        store = self.catalogue.dataset(known.dataset).store
        homes = {
            (k.dataset, k.column)
            for r in self.catalogue.recipients
            for k in r.known_by
            if k.category == known.category
        }
        for name, column in sorted(homes):
            dataset = self.catalogue.dataset(name)
            if dataset.store == store and dataset.kind is DatasetKind.TABLE:
                yield dataset, column

    def _reading(self, dataset: Dataset) -> AbstractContextManager[psycopg.Connection[Any]]:
        return looking_up(
            self.catalogue, self.connections, dataset, seconds=60, about=dataset.id,
            silent="what recipients were given cannot be looked up: the store does not answer in time",
            unreadable="what recipients were given cannot be read",
        )  # fmt: skip


def _day(moment: date | None) -> date | None:
    return prc_date(moment) if isinstance(moment, datetime) else moment


def _table(dataset: Dataset) -> sql.Composable:
    schema, _, table = dataset.address.partition(".")
    return sql.Identifier(schema, table)


def _owned(
    catalogue: Catalogue,
    dataset: Dataset,
    alias: str,
    ownership: frozenset[Ownership],
    seen: tuple[str, ...] = (),
) -> sql.Composable | None:
    """That a row of ``alias`` is the subjects', by any of the dataset's links; None if no link can be followed in SQL."""
    ways = list(_ways(catalogue, dataset, alias, ownership, (*seen, dataset.id)))
    return sql.SQL("({})").format(sql.SQL(" OR ").join(ways)) if ways else None


def _ways(
    catalogue: Catalogue, dataset: Dataset, alias: str, ownership: frozenset[Ownership], seen: tuple[str, ...]
) -> Iterable[sql.Composable]:
    for n, link in enumerate(dataset.links):
        if link.ownership not in ownership:
            continue
        if link.column is not None:
            yield sql.SQL("{}.{} = ANY(%(subjects)s)").format(
                sql.Identifier(alias), sql.Identifier(link.column)
            )
            continue
        if link.via is None or link.via in seen:
            continue
        via = catalogue.dataset(link.via)
        if via.store != dataset.store or via.kind is not DatasetKind.TABLE:
            continue
        there = f"{alias}_{n}"
        owned = _owned(catalogue, via, there, ownership, seen)
        if owned is not None:
            yield sql.SQL("EXISTS (SELECT FROM {table} AS {there} WHERE {on} AND {owned})").format(
                table=_table(via), there=sql.Identifier(there), owned=owned,
                on=sql.SQL(" AND ").join(
                    sql.SQL("{}.{} = {}.{}").format(
                        sql.Identifier(there), sql.Identifier(theirs), sql.Identifier(alias), sql.Identifier(mine)
                    )
                    for mine, theirs in link.on.items()
                ),
            )  # fmt: skip


def _given(dataset: Dataset, transfers: Transfers) -> sql.Composed:
    owner = next(link.column for link in dataset.links if link.column)

    def gathered(column: str | None) -> sql.Composable:
        if column is None:
            return sql.SQL("NULL::text[]")
        return sql.SQL("array_agg(DISTINCT {0}::text) FILTER (WHERE {0} IS NOT NULL)").format(
            sql.Identifier(column)
        )

    return sql.SQL(
        "SELECT {recipient}, count(*), {references}, {fields} FROM {table} WHERE {owner} = ANY(%(subjects)s) GROUP BY 1"
    ).format(
        recipient=sql.Identifier(transfers.recipient),
        references=gathered(transfers.reference),
        fields=gathered(transfers.fields),
        table=_table(dataset),
        owner=sql.Identifier(owner),
    )  # fmt: skip
