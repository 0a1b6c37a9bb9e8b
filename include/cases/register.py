"""The transfer register: which recipient was given what of a person, as the company's own ledger has it.

The catalogue's dataset of transfers is recognised by its columns: an account (its subject link), a
recipient id, and, if it has them, the recipient's own transaction number and the fields that were sent.
"""

from __future__ import annotations

from collections.abc import Mapping

import psycopg
from psycopg import sql

from include.cases.book import Case
from include.cases.outbox import Given
from include.cases.rooms import GivenTo, no_register
from include.model.catalogue import Catalogue, Dataset
from include.model.doors import Connections
from include.model.errors import CatalogueError, NotReachable
from include.model.words import DatasetKind, Role

_RECIPIENT = ("recipient_id", "recipient")
_REFERENCE = ("vendor_txn_id", "vendor_txn", "txn_id", "reference")
_FIELDS = ("fields", "fields_sent", "categories")
_TIMEOUTS = "-c statement_timeout=60s -c default_transaction_read_only=on"


def register(catalogue: Catalogue) -> Dataset | None:
    """The dataset of transfers, if the catalogue declares one that a recipient can be read from."""
    for dataset in catalogue.datasets:
        if dataset.kind is not DatasetKind.TABLE or not _column(dataset, _RECIPIENT):
            continue
        if any(link.column for link in dataset.links):
            return dataset
    return None


def given_to(catalogue: Catalogue, connections: Connections) -> GivenTo:
    """The look-up for a desk. Without a register recipients are told by the services used."""
    dataset = register(catalogue)
    if dataset is None:
        return no_register
    query = _query(dataset)
    store = catalogue.store(dataset.store)

    def look(case: Case, subjects: tuple[str, ...]) -> Mapping[str, Given] | None:
        try:
            with psycopg.connect(
                connections.postgres(store.connection, Role.PROVER), connect_timeout=10, options=_TIMEOUTS
            ) as conn:
                rows = conn.execute(query, (list(subjects),)).fetchall()
        except psycopg.OperationalError:
            raise NotReachable(
                "the transfer register does not answer", about=f"{case.case_no} {dataset.id}",
                next_step="check the server, then try again",
            ) from None  # fmt: skip
        except psycopg.Error as error:
            raise CatalogueError(
                f"the transfer register cannot be read ({error.sqlstate})", about=dataset.id,
                next_step="run `quietus catalogue lint --database`",
            ) from None  # fmt: skip
        return {
            str(r[0]): Given(
                str(r[0]), int(r[1]), tuple(str(x) for x in r[2] or ()), tuple(str(x) for x in r[3] or ())
            )
            for r in rows
        }

    return look


def _column(dataset: Dataset, names: tuple[str, ...]) -> str | None:
    return next((n for n in names if n in dataset.columns), None)


def _query(dataset: Dataset) -> sql.Composed:
    schema, _, table = dataset.address.partition(".")
    owner = next(link.column for link in dataset.links if link.column)
    recipient = _column(dataset, _RECIPIENT) or _RECIPIENT[0]

    def gathered(names: tuple[str, ...]) -> sql.Composable:
        column = _column(dataset, names)
        if column is None:
            return sql.SQL("NULL::text[]")
        return sql.SQL("array_agg(DISTINCT {0}::text) FILTER (WHERE {0} IS NOT NULL)").format(
            sql.Identifier(column)
        )

    return sql.SQL(
        "SELECT {recipient}, count(*), {references}, {fields} FROM {table} WHERE {owner} = ANY(%s) GROUP BY 1"
    ).format(
        recipient=sql.Identifier(recipient),
        references=gathered(_REFERENCE),
        fields=gathered(_FIELDS),
        table=sql.Identifier(schema, table),
        owner=sql.Identifier(owner),
    )  # fmt: skip
