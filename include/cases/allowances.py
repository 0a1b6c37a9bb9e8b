"""How much a sender may send in a time, counted in the case book: all processes of an endpoint give out one allowance."""

from __future__ import annotations

import math

from include.cases.book import Conn

_TAKE = b"""
INSERT INTO casebook.allowance AS a (name, free_at) VALUES (%(name)s, clock_timestamp() + %(each)s * interval '1 s')
ON CONFLICT (name) DO UPDATE SET free_at = greatest(a.free_at + %(each)s * interval '1 s', excluded.free_at)
 WHERE a.free_at - excluded.free_at <= (%(burst)s - 2) * %(each)s * interval '1 s'
RETURNING name
"""
"""As if each message took its time and they queued: a sender has used up what it may when its queue is as long as a burst.
One date says all of that. Those who come at once wait for the row, and each sees what the one before it took. ``free_at``
of the row that is proposed is now and one message; the clock is the database's."""


def take(conn: Conn, name: str, *, per_second: float, burst: float) -> int:
    """One message of this sender: 0 if it may come, else the seconds after which it may. In the caller's transaction."""
    how = {"name": name, "each": 1 / per_second, "burst": burst}
    if conn.execute(_TAKE, how).fetchone() is not None:
        return 0
    row = conn.execute(
        "SELECT extract(epoch FROM free_at - clock_timestamp())::float8 AS queue FROM casebook.allowance WHERE name = %s",
        (name,),
    ).fetchone()
    return max(1, math.ceil((row["queue"] if row else 0) - (burst - 1) / per_second))
