"""Looking something up in the company's own tables, as the prover, who can only read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.errors import CatalogueError, NotReachable
from include.model.estate import Dataset
from include.model.words import Role


@contextmanager
def looking_up(
    catalogue: Catalogue, connections: Connections, dataset: Dataset, *,
    seconds: int, silent: str, unreadable: str, about: str,
) -> Iterator[psycopg.Connection[Any]]:  # fmt: skip
    """A read-only connection to the dataset's store, with the driver's errors in our words and no value in them.

    ``seconds``: that one statement may take. ``silent`` and ``about``: what is said, and of what, when the store does
    not answer (NotReachable). ``unreadable``: when it will not let the dataset be read (CatalogueError).
    """
    store = catalogue.store(dataset.store)
    try:
        with psycopg.connect(
            connections.postgres(store.connection, Role.PROVER), connect_timeout=10,
            options=f"-c statement_timeout={seconds}s -c default_transaction_read_only=on",
        ) as conn:  # fmt: skip
            yield conn
    except psycopg.OperationalError:
        raise NotReachable(silent, about=about, next_step="check the server, then try again") from None
    except psycopg.Error as error:
        raise CatalogueError(
            f"{unreadable} ({error.sqlstate})", about=dataset.id,
            next_step="run `quietus catalogue lint --database`",
        ) from None  # fmt: skip
