"""Whether a person's rows are in a restored copy: asked by the links alone, for a copy knows no step area of ours.

The same questions serve both ways. Of whom should be gone, no more rows are found than the plan keeps; of whom the copy should
still hold, more are. A question that the copy cannot answer is UNVERIFIED.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
from psycopg import sql

from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.errors import NotReachable
from include.model.flow import Check, Plan, Step
from include.model.words import CopyKind, DatasetKind, Rung
from include.proofs.asking import Question, Questionnaire
from include.proofs.relational import opened
from include.proofs.server import Connection, Reader, meaning
from include.proofs.suites import STAYS
from include.proofs.tables import Tables, part_name, quoted, types_of

NAME = "restored"


@dataclass(frozen=True)
class InCopy:
    """What a restored copy says of one case's people, by dataset."""

    checks: tuple[Check, ...]

    @property
    def rows(self) -> int:
        """Rows beyond what the plan keeps."""
        return sum(max(0, c.observed - (c.expected or 0)) for c in self.checks if c.observed is not None)

    @property
    def unanswered(self) -> int:
        """Questions without an answer. No question at all is one: the copy has none of the declared tables."""
        return sum(c.observed is None for c in self.checks) if self.checks else 1


def in_copy(catalogue: Catalogue, connections: Connections, store: str, step: Step, plan: Plan) -> InCopy:
    """Ask as the prover, wherever ``connections`` lead. Raises NotReachable if nobody answers."""
    reader, tables = opened(catalogue, connections, step, catalogue.store(store))
    asked = _questions(tables, plan)
    if not asked.questions:
        return InCopy(())
    with reader.connect() as connection:
        try:
            return InCopy(_answered(connection, asked))
        except psycopg.Error as error:
            if isinstance(away := meaning(error, reader.about), NotReachable):
                raise away from None
        # One table that the copy does not have spoils the whole statement: then each question stands alone.
        return InCopy(tuple(_alone(connection, asked, question, reader) for question in asked.questions))


def accounts(catalogue: Catalogue, connections: Connections, store: str) -> Iterator[str]:
    """Every account id that a row of the copy names, once for each column that does. For the caller's memory only."""
    reader = Reader.of(connections, store, catalogue.store(store).connection)
    with reader.connect() as connection, reader.reaching():
        datasets = catalogue.of_store(store, DatasetKind.TABLE)
        there = types_of(connection, datasets)
        for dataset in datasets:
            for link in dataset.links:
                if link.column is None or link.column not in there.get(dataset.address, {}):
                    continue
                named = sql.SQL(
                    "SELECT DISTINCT t.{c}::text FROM {table} AS t WHERE t.{c} IS NOT NULL"
                ).format(c=sql.Identifier(link.column), table=quoted(dataset.address))
                for (account,) in connection.execute(named):
                    yield str(account)


def _questions(tables: Tables, plan: Plan) -> Questionnaire:
    """How many rows of each dataset the people's links lead to: at most what the plan keeps in some form."""
    return Questionnaire(
        "drill",
        tables.store,
        tuple(
            Question(
                name=f"{NAME}.{dataset.id}",
                dataset=dataset.id,
                rung=Rung.R6,
                expected=sum(x.items for x in plan.lines_of(dataset.id) if x.disposition in STAYS),
                source=sql.SQL("SELECT FROM {} AS r").format(sql.Identifier(part_name(dataset))),
                otherwise="the copy brings back rows that were disposed of",
                parts=(part_name(dataset),),
                copy_kind=CopyKind.BACKUP_SET,
                at_most=True,
            )
            for dataset in tables.datasets
            if tables.types.get(dataset.address)
        ),
        tables.reached(since=False),
    )


def _answered(connection: Connection, asked: Questionnaire) -> tuple[Check, ...]:
    # As text of our own and without parameters: the people are the session's setting.
    counts = {str(name): int(n) for name, n in connection.execute(asked.statement().encode()).fetchall()}
    return tuple(question.check(counts[question.id]) for question in asked.questions)


def _alone(connection: Connection, asked: Questionnaire, question: Question, reader: Reader) -> Check:
    try:
        (check,) = _answered(connection, asked.only((question,)))
    except psycopg.Error as error:
        why = meaning(error, reader.about)
        if isinstance(why, NotReachable):
            raise why from None
        return question.unanswered(why.what)
    return check
