"""Which version of the policy the holders of accounts accepted last, for records in files, whose bucket knows nothing of it.

Account ids are in memory alone, as those whom holds name are (``include.cases.retention.held``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from psycopg import sql

from include.cases.accounts import home
from include.cases.lookups import looking_up
from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.errors import CatalogueError

Accepted = Callable[[Collection[str]], Mapping[str, str]]
"""Of these accounts, which version each accepted last; one that is not there is missing."""


def nobody(_: Collection[str]) -> Mapping[str, str]:
    """What nobody was asked, nobody accepted: the shorter period counts."""
    return {}


@dataclass
class Asked:
    """As the table of accounts says it now, each account asked once."""

    catalogue: Catalogue
    connections: Connections
    _known: dict[str, str | None] = field(default_factory=dict, init=False, repr=False)

    def __call__(self, accounts: Collection[str]) -> Mapping[str, str]:
        if missing := [a for a in accounts if a not in self._known]:
            self._known.update(dict.fromkeys(missing))
            self._known.update(self._look_up(missing))
        return {a: version for a in accounts if (version := self._known[a]) is not None}

    def _look_up(self, accounts: list[str]) -> Mapping[str, str]:
        dataset = home(self.catalogue)
        if dataset.accounts is None or dataset.accounts.accepted is None:
            raise CatalogueError(
                "the policy has versions, and nothing says which its holders accepted", about=dataset.id,
                next_step="name the column in `accounts.accepted`",
            )  # fmt: skip
        query = sql.SQL(
            "SELECT {key}::text, {accepted}::text FROM {table} WHERE {key}::text = ANY(%s) AND {accepted} IS NOT NULL"
        ).format(
            key=sql.Identifier(dataset.key[0]), accepted=sql.Identifier(dataset.accounts.accepted),
            table=sql.Identifier(*dataset.address.split(".")),
        )  # fmt: skip
        with looking_up(
            self.catalogue, self.connections, dataset, seconds=60, silent="it does not answer",
            unreadable="the table of accounts cannot be read", about=f"store {dataset.store}",
        ) as conn:  # fmt: skip
            return dict(conn.execute(query, (accounts,)).fetchall())
