"""Whether an account exists, asked of the company store before anything is stored about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import psycopg
from psycopg import sql

from include.model.catalogue import Catalogue, Dataset
from include.model.doors import Connections
from include.model.errors import CatalogueError, NotReachable
from include.model.words import DatasetKind, Ownership, Role, StoreKind

_TIMEOUTS = "-c statement_timeout=10s -c default_transaction_read_only=on"


class Standing(StrEnum):
    """What an account is to the company."""

    UNKNOWN = "unknown"
    LIVE = "live"
    CANCELLED = "cancelled"


class Accounts(Protocol):
    """Looks accounts up. Raises NotReachable when it cannot; never guesses."""

    def standing(self, account_id: str) -> Standing: ...


def home(catalogue: Catalogue) -> Dataset:
    """The dataset whose rows *are* the accounts: a table keyed by the account id alone."""
    kinds = {s.id: s.kind for s in catalogue.stores}
    for dataset in catalogue.datasets:
        if kinds.get(dataset.store) is not StoreKind.POSTGRES or dataset.kind is not DatasetKind.TABLE:
            continue
        if len(dataset.key) == 1 and any(
            x.column == dataset.key[0] and x.ownership is Ownership.SOLE for x in dataset.links
        ):
            return dataset
    raise CatalogueError(
        "no dataset is keyed by the account id",
        about=catalogue.name,
        next_step="declare the table of accounts",
    )


@dataclass(frozen=True)
class CatalogueAccounts:
    """Accounts as the catalogue's home table has them.

    ``ended_column``: a column that is set once the account is cancelled, if the table has one.
    """

    catalogue: Catalogue
    connections: Connections
    ended_column: str = "cancelled_at"

    def standing(self, account_id: str) -> Standing:
        dataset = home(self.catalogue)
        schema, _, table = dataset.address.partition(".")
        ended: sql.Composable = sql.SQL("false")
        if self.ended_column in dataset.columns:
            ended = sql.SQL("{} IS NOT NULL").format(sql.Identifier(self.ended_column))
        query = sql.SQL("SELECT {} FROM {} WHERE {} = %s").format(
            ended, sql.Identifier(schema, table), sql.Identifier(dataset.key[0])
        )
        store = self.catalogue.store(dataset.store)
        try:
            with psycopg.connect(
                self.connections.postgres(store.connection, Role.PROVER),
                connect_timeout=10,
                options=_TIMEOUTS,
            ) as conn:
                row = conn.execute(query, (account_id,)).fetchone()
        except psycopg.OperationalError:
            raise NotReachable(
                "the store does not answer", about=store.id, next_step="check the server, then try again"
            ) from None
        except psycopg.Error as error:
            raise CatalogueError(
                f"the table of accounts cannot be read ({error.sqlstate})", about=dataset.id,
                next_step="run `quietus catalogue lint --database`",
            ) from None  # fmt: skip
        if row is None:
            return Standing.UNKNOWN
        return Standing.CANCELLED if row[0] else Standing.LIVE
