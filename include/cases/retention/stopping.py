"""The emergency stop: between two pieces every night stands still, until somebody lifts it. What is restricted stays so."""

from __future__ import annotations

from typing import Any

from include.cases.book import Conn, checked_actor
from include.model.errors import Refused, Stopped


def stop(conn: Conn, why: str, *, actor: str) -> None:
    """Stop the nights now. Raises Refused if they are stopped already, or nobody says why."""
    if not why.strip():
        raise Refused("a stop needs a reason", about="nights", next_step="say why, without naming anybody")
    made = conn.execute(
        "INSERT INTO casebook.night_stop (actor, why) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        (checked_actor(actor), why),
    )
    if not made.rowcount:
        raise Refused("nights are stopped already", about="nights", next_step="lift that stop first")


def lift(conn: Conn, *, actor: str) -> bool:
    """Let nights go on; whether they were stopped."""
    return bool(
        conn.execute(
            "UPDATE casebook.night_stop SET lifted_at = clock_timestamp(), lifted_by = %s WHERE lifted_at IS NULL",
            (checked_actor(actor),),
        ).rowcount
    )


def stopped(conn: Conn) -> dict[str, Any] | None:
    """Who stopped the nights, why and since when; None, while they may go on."""
    return conn.execute(
        "SELECT actor, why, since FROM casebook.night_stop WHERE lifted_at IS NULL"
    ).fetchone()


def may_go_on(conn: Conn) -> None:
    """Raises Stopped while nights are stopped."""
    row = stopped(conn)
    if row is not None:
        raise Stopped(
            f"nights are stopped by {row['actor']} since {row['since']:%Y-%m-%d %H:%M}: {row['why']}", about="nights",
            next_step="`quietus retention resume` lifts it; the next run goes on where this one stood",
        )  # fmt: skip
