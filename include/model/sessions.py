"""Database sessions that are kept for the next question of one piece of work.

Whoever asks a database opens a session and ends it, so that none finds what another one set. A night asks some hundred times, and
to open a session costs the server more than most of its questions: a process, which knows nothing of the catalogue yet. Within
:func:`kept` a session that was given back is handed out again to whoever would open one like it, as it was when it was new:
settings, locks, cursors and temporary tables of the one before are gone. What a role may do the server asks at each statement, as
ever. One that an error left is ended, and so is one that no longer answers.

Threads that are begun within it open their own: a context is one thread's. So does a process that is forked within it.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import psycopg
from psycopg.pq import TransactionStatus

AS_WRITTEN = {
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "timezone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
}
"""By which a value is written in one way only, whoever asks: the digest of a key or a row depends on it."""

C = TypeVar("C", bound="psycopg.Connection[Any]")
Shelf = dict[Hashable, list[Any]]

_SHELF: ContextVar[Shelf | None] = ContextVar("sessions that are kept", default=None)
# All that DISCARD ALL does, but for plans: of statements that it prepared the driver keeps the names.
# What it counted is told to the server at once: else what it wrote a moment ago would count as written by whoever has it next.
_AS_NEW = (
    "CLOSE ALL; RESET SESSION AUTHORIZATION; RESET ALL; UNLISTEN *; DISCARD TEMP; SELECT pg_advisory_unlock_all();"
    " SELECT pg_stat_force_next_flush()"
)


@contextmanager
def kept() -> Iterator[None]:
    """Keep the sessions of this piece of work until it ends. Within another one it is the same piece."""
    if _SHELF.get() is not None:
        yield
        return
    token = _SHELF.set({})
    try:
        yield
    finally:
        shelf = _SHELF.get() or {}  # in a process forked meanwhile, its own
        _SHELF.reset(token)
        for sessions in shelf.values():
            for one in sessions:
                one.close()


_INHERITED: list[Shelf] = []


def _forked() -> None:
    """Two processes on one session would take each other's answers. What was inherited is not ended either: that would be said
    to the server in the parent's name."""
    if (shelf := _SHELF.get()) is not None:
        _INHERITED.append(shelf)
        _SHELF.set({})


os.register_at_fork(after_in_child=_forked)


@contextmanager
def session(conninfo: str, kind: Hashable, opened: Callable[[], C]) -> Iterator[C]:
    """A session of this kind with a server, in autocommit; ended afterwards, or kept. ``opened``: how a new one is made, whose
    errors are raised."""
    shelf = _SHELF.get()
    if shelf is None:
        connection = opened()
        try:
            yield connection
        finally:
            connection.close()
        return
    there = shelf.setdefault((conninfo, kind), [])
    connection = _that_answers(there) or opened()
    try:
        yield connection
    except BaseException:
        connection.close()
        raise
    if _as_new(connection):
        there.append(connection)
    else:
        connection.close()


def _that_answers(there: list[C]) -> C | None:
    while there:
        connection = there.pop()
        if not _was_told(connection):
            return connection
        connection.close()
    return None


def _was_told(connection: psycopg.Connection[Any]) -> bool:
    """Whether the server has said anything that nobody asked for, as when it ends a session."""
    if connection.closed:
        return True
    told, _, _ = select.select([connection.pgconn.socket], [], [], 0)
    return bool(told)


def _as_new(connection: psycopg.Connection[Any]) -> bool:
    """Whether it could be made as it was."""
    idle = connection.info.transaction_status == TransactionStatus.IDLE
    if connection.closed or not idle or not connection.autocommit or connection.isolation_level is not None:
        return False
    try:
        psycopg.Cursor(connection).execute(_AS_NEW)
    except psycopg.Error:
        return False
    return True
