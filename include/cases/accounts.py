"""Whether an account exists, asked of the company store before anything is stored about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import psycopg
from psycopg import sql

from include.cases.lookups import looking_up
from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.errors import CatalogueError
from include.model.estate import Dataset
from include.model.words import DatasetKind


class Standing(StrEnum):
    """What an account is to the company."""

    UNKNOWN = "unknown"
    LIVE = "live"
    CANCELLED = "cancelled"
    CAME = (
        "came"  # of an authority whose successor we are: no account here, and something of theirs that came
    )


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
                return Standing.CAME if self._came(conn, account_id) else Standing.UNKNOWN
        return Standing.CANCELLED if row[0] else Standing.LIVE

    def _came(self, conn: psycopg.Connection[Any], account_id: str) -> bool:
        """Whether a row that was taken over names the account: whose files came may ask for a case without an account here."""
        there = conn.execute("SELECT to_regclass('quietus_handover.carried') IS NOT NULL").fetchone()
        if there is None or not there[0]:
            return False
        taken = {
            str(d)
            for (d,) in conn.execute("SELECT DISTINCT dataset FROM quietus_handover.carried").fetchall()
        }
        for dataset in self.catalogue.of_store(home(self.catalogue).store, DatasetKind.TABLE):
            for link in dataset.links if dataset.id in taken else ():
                if link.column is None:
                    continue
                query = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {}::text = %s)").format(
                    sql.Identifier(*dataset.address.split(".")), sql.Identifier(link.column)
                )
                row = conn.execute(query, (account_id,)).fetchone()
                if row is not None and row[0]:
                    return True
        return False
