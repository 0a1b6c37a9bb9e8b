"""The emergency stop: between two pieces everything that disposes stands still, until somebody lifts it.

Nights, cases of persons, handovers, backups, the scrub, keys, Airflow's own records and requests to recipients all ask the
same question, each before its next piece. What is restricted stays so, and restricting, proving and answering go on.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from include.cases.book import Conn, checked_actor
from include.model.errors import Refused, Stopped

ABOUT = "disposing"


def stop(conn: Conn, why: str, *, actor: str) -> None:
    """Stop all disposing now. Raises Refused if it is stopped already, or nobody says why."""
    if not why.strip():
        raise Refused("a stop needs a reason", about=ABOUT, next_step="say why, without naming anybody")
    made = conn.execute(
        "INSERT INTO casebook.night_stop (actor, why) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        (checked_actor(actor), why),
    )
    if not made.rowcount:
        raise Refused("disposing is stopped already", about=ABOUT, next_step="lift that stop first")


def lift(conn: Conn, *, actor: str) -> bool:
    """Let it go on; whether it was stopped."""
    return bool(
        conn.execute(
            "UPDATE casebook.night_stop SET lifted_at = clock_timestamp(), lifted_by = %s WHERE lifted_at IS NULL",
            (checked_actor(actor),),
        ).rowcount
    )


def stopped(conn: Conn) -> dict[str, Any] | None:
    """Who stopped it, why and since when; None, while it may go on."""
    return conn.execute(
        "SELECT actor, why, since FROM casebook.night_stop WHERE lifted_at IS NULL"
    ).fetchone()


def may_go_on(conn: Conn) -> None:
    """Raises Stopped while disposing is stopped."""
    row = stopped(conn)
    if row is not None:
        raise Stopped(
            f"disposing is stopped by {row['actor']} since {row['since']:%Y-%m-%d %H:%M}: {row['why']}", about=ABOUT,
            next_step="`quietus retention resume` lifts it; the next run goes on where this one stood",
        )  # fmt: skip


def asked(book: Callable[[], AbstractContextManager[Conn]]) -> None:
    """The same question over a connection of its own, for what has none open to the book."""
    with book() as conn:
        may_go_on(conn)
