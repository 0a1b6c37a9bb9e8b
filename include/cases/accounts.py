"""Whether an account exists, asked of the company store before anything is stored about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from psycopg import sql

from include.cases.lookups import looking_up
from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.errors import CatalogueError
from include.model.estate import Dataset


class Standing(StrEnum):
    """What an account is to the company."""

    UNKNOWN = "unknown"
    LIVE = "live"
    CANCELLED = "cancelled"


class Accounts(Protocol):
    """Looks accounts up. Raises NotReachable when it cannot; never guesses."""

    def standing(self, account_id: str) -> Standing: ...


def home(catalogue: Catalogue) -> Dataset:
    """The dataset whose rows are declared to be the accounts."""
    for dataset in catalogue.datasets:
        if dataset.accounts is not None:
            return dataset
    raise CatalogueError(
        "no dataset is declared to be the accounts",
        about=catalogue.name,
        next_step="declare `accounts` of the table that is keyed by the account id",
    )


@dataclass(frozen=True)
class CatalogueAccounts:
    """Accounts as the catalogue's own table has them."""

    catalogue: Catalogue
    connections: Connections

    def standing(self, account_id: str) -> Standing:
        dataset = home(self.catalogue)
        schema, _, table = dataset.address.partition(".")
        ended: sql.Composable = sql.SQL("false")
        if dataset.accounts is not None and dataset.accounts.ended is not None:
            ended = sql.SQL("{} IS NOT NULL").format(sql.Identifier(dataset.accounts.ended))
        query = sql.SQL("SELECT {} FROM {} WHERE {} = %s").format(
            ended, sql.Identifier(schema, table), sql.Identifier(dataset.key[0])
        )
        with looking_up(
            self.catalogue, self.connections, dataset, seconds=10, silent="it does not answer",
            unreadable="the table of accounts cannot be read", about=f"store {dataset.store}",
        ) as conn:  # fmt: skip
            row = conn.execute(query, (account_id,)).fetchone()
        if row is None:
            return Standing.UNKNOWN
        return Standing.CANCELLED if row[0] else Standing.LIVE
