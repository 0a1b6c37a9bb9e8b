"""Servers that run already, lent to a test that is run in a process of its own: to start them takes longer than most tests.

Databases and buckets bear the number of the process that made them, so that no two processes meet.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql

ENVIRONMENT = "QUIETUS_TESTS_BORROW"


def lending(servers: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The environment of a process that is to use these servers: fixture -> what it takes to reach its server."""
    return {ENVIRONMENT: json.dumps(servers)}


def borrowed(fixture: str) -> dict[str, Any] | None:
    """What was lent for a fixture; None if its server is to be started here."""
    found: dict[str, Any] | None = json.loads(os.environ.get(ENVIRONMENT, "{}")).get(fixture)
    return found


def of_process(pid: int, name: str) -> str:
    """What a process calls its database of this name."""
    return f"p{pid}_{name}"


def drop_left(conninfo: str, pid: int) -> None:
    """Drop the databases that a process left on a server it was lent."""
    with psycopg.connect(conninfo, autocommit=True) as conn:
        left = conn.execute(
            "SELECT datname FROM pg_database WHERE starts_with(datname, %s)", (of_process(pid, ""),)
        )
        for (name,) in left.fetchall():
            conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
