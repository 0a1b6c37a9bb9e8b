"""A connection to Airflow's metadata in the janitor's role: it gives way to Airflow, and never the other way round."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.rows import dict_row

from include.model.doors import Connections
from include.model.errors import NotReachable, QuietusError, Refused
from include.model.words import Role

METADATA = "airflow_metadata"  # the connection is airflow_metadata_janitor
# Less than the server's deadlock_timeout (1 s): of two that wait for each other, it is never Airflow that is ended.
_OPTIONS = "-c lock_timeout=500ms -c statement_timeout=60s -c idle_in_transaction_session_timeout=60s"

Conn = psycopg.Connection[dict[str, Any]]


@contextmanager
def metadata(connections: Connections) -> Iterator[Conn]:
    """Raises NotReachable; of another error of the driver's its code only, for it may quote a row."""
    try:
        with psycopg.connect(
            connections.postgres(METADATA, Role.JANITOR),
            autocommit=True,
            row_factory=dict_row,
            options=_OPTIONS,
        ) as conn:
            yield conn
    except psycopg.OperationalError:
        raise NotReachable(
            "Airflow's database does not answer, or not in time", about=METADATA,
            next_step="check the server and the janitor's secret; the next run goes on where this one stopped",
        ) from None  # fmt: skip
    except psycopg.errors.InsufficientPrivilege:
        raise Refused(
            "the janitor may not read or delete there", about=METADATA,
            next_step="run `quietus airflow install` again as the owner of Airflow's tables",
        ) from None  # fmt: skip
    except psycopg.Error as error:
        raise QuietusError(
            f"Airflow's database refused ({error.sqlstate})", about=METADATA,
            next_step="look whether Airflow was upgraded; then run `quietus airflow install` again",
        ) from None  # fmt: skip
