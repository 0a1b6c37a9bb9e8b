"""One at a time, by a lock of the case book's server that dies with its holder's connection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from include.cases.book import Conn


def got(conn: Conn, what: str) -> bool:
    """Whether it is our turn, from now until the connection ends."""
    row = conn.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0)) AS got", (what,)).fetchone()
    return bool(row and row["got"])


def waited(conn: Conn, what: str) -> bool:
    """The same; whoever has it may be on its way out, so it is waited for as long as the book lets us wait for a lock."""
    try:
        conn.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (what,))
    except psycopg.errors.LockNotAvailable:
        return False
    return True


@contextmanager
def mine(conn: Conn, what: str) -> Iterator[bool]:
    """The same, until the end of the block."""
    if not got(conn, what):
        yield False
        return
    try:
        yield True
    finally:
        if not (conn.closed or conn.broken):
            conn.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", (what,))
