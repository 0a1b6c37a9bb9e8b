"""What a night leaves in the case book for who looks later: since when things were due, how the estate stood, what comes.

A page or a report reads these rows and no store: the looks that they come from were the night's own, by the prover.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from psycopg.rows import class_row

from include.cases.book import Conn
from include.cases.retention.due import Judged, Row
from include.cases.retention.forecast import due_on
from include.cases.retention.nights import Night
from include.model.interval import Standing
from include.model.times import PRC

AHEAD = 90
"""Nights that are forecast when one has ended."""
DAY = timedelta(days=1)
NOBODY_ASKED = "-"
"""Stands for the rule where a dataset could not be asked."""
Ages = Mapping[tuple[str, str, datetime], int | None]
"""(rule, dataset, since when they were due) -> items; None: one at least, how many is not known."""


def midnight(day: date) -> datetime:
    """When a day begins in China: since then, what falls due on it is due."""
    return datetime.combine(day, time(), PRC)


def ages(judged: Iterable[Judged], as_of: date) -> dict[tuple[str, str, datetime], int | None]:
    """Since when what is due on a day has been due, what is held left out."""
    found: Counter[tuple[str, str, datetime]] = Counter()
    for it in judged:
        day = due_on(it.interval)
        if day is not None and not it.held and it.interval.stands(as_of) is Standing.DUE:
            found[it.rule, it.dataset, midnight(day)] += it.items
    return {**found}


def keep_found(conn: Conn, night: Night, found: Ages) -> None:
    """Write down since when what a night found had been due."""
    rules, datasets, moments = zip(*found, strict=True) if found else ((), (), ())
    conn.execute(
        "INSERT INTO casebook.night_age (night_id, rule, dataset, due_at, items) SELECT %s, *"
        " FROM unnest(%s::text[], %s::text[], %s::timestamptz[], %s::bigint[]) ON CONFLICT DO NOTHING",
        (night.night_id, list(rules), list(datasets), list(moments), list(found.values())),
    )


def ages_of(conn: Conn, night: Night) -> dict[tuple[str, datetime], int] | None:
    """Dataset and since when it had been due -> items, as a night found them when it began; None: how many is not known."""
    found: Counter[tuple[str, datetime]] = Counter()
    for row in conn.execute(
        "SELECT dataset, due_at, items FROM casebook.night_age WHERE night_id = %s", (night.night_id,)
    ):
        if row["items"] is None:
            return None
        found[row["dataset"], row["due_at"]] += row["items"]
    return found


def keep_end(
    conn: Conn, night: Night, rows: Iterable[Row], unverified: Mapping[str, str],
    coming: Mapping[date, Mapping[str, int]], until: date | None,
) -> None:  # fmt: skip
    """Write down how the estate stood after a night, and what was forecast then, ``until`` a day (None: nothing was); said
    again, it replaces what was said."""
    conn.execute("DELETE FROM casebook.night_standing WHERE night_id = %s", (night.night_id,))
    conn.execute("DELETE FROM casebook.night_forecast WHERE night_id = %s", (night.night_id,))
    conn.execute("UPDATE casebook.night SET foreseen = %s WHERE night_id = %s", (until, night.night_id))
    lines: list[tuple[object, ...]] = [
        (r.rule, r.dataset, r.due, r.overdue, r.oldest, r.held, r.late, r.basis, None) for r in rows
    ]
    lines += [(NOBODY_ASKED, d, 0, 0, None, 0, None, "", why) for d, why in unverified.items()]
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO casebook.night_standing (night_id, rule, dataset, due, overdue, oldest, held, late, basis,"
            " unverified) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [(night.night_id, *line) for line in lines],
        )
        cursor.executemany(
            "INSERT INTO casebook.night_forecast (night_id, day, rule, items) VALUES (%s, %s, %s, %s)",
            [(night.night_id, day, rule, n) for day, of in coming.items() for rule, n in of.items() if n],
        )


def keep_run(conn: Conn, night_id: int, dag_id: str, run_id: str) -> None:
    """Write down which run of Airflow went through a night; one that goes on with it comes later."""
    conn.execute(
        "INSERT INTO casebook.night_run (night_id, dag_id, run_id) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
        (night_id, dag_id, run_id),
    )


# --- what is read of it ---------------------------------------------------------------------------


@dataclass(frozen=True)
class End:
    """The last night of a schedule that ended, and how the estate stood then. ``unverified``: dataset -> why."""

    night: Night
    rows: tuple[Row, ...]
    unverified: Mapping[str, str]


def last_end(conn: Conn, schedule: str) -> End | None:
    """How the estate stood when a night of this schedule ended last; None: none has yet."""
    with conn.cursor(row_factory=class_row(Night)) as cursor:
        night = cursor.execute(
            "SELECT * FROM casebook.night WHERE schedule = %s AND ended_at IS NOT NULL"
            " ORDER BY as_of DESC, night_id DESC LIMIT 1",
            (schedule,),
        ).fetchone()
    if night is None:
        return None
    rows = conn.execute(
        "SELECT rule, dataset, due, overdue, oldest, held, late, basis, unverified FROM casebook.night_standing"
        " WHERE night_id = %s ORDER BY overdue DESC, due DESC, rule, dataset",
        (night.night_id,),
    ).fetchall()
    unverified = {r["dataset"]: r["unverified"] for r in rows if r["unverified"] is not None}
    stood = [
        Row(**{k: v for k, v in r.items() if k != "unverified"}) for r in rows if r["unverified"] is None
    ]
    return End(night, tuple(stood), unverified)


def unverified(conn: Conn, night_ids: Sequence[int]) -> Counter[int]:
    """Of how many datasets it could not be said, or not wholly, how they stood when each night had ended."""
    rows = conn.execute(
        "SELECT night_id, count(*)::int AS n FROM casebook.night_standing WHERE night_id = ANY(%s) AND unverified IS NOT NULL"
        " GROUP BY 1",
        (list(night_ids),),
    ).fetchall()
    return Counter({row["night_id"]: row["n"] for row in rows})


def forecast(conn: Conn, night: Night) -> dict[date, Counter[str]]:
    """What was forecast when a night had ended: due per day by rule. The first day has what the night left, too."""
    found: dict[date, Counter[str]] = {}
    for row in conn.execute(
        "SELECT day, rule, items FROM casebook.night_forecast WHERE night_id = %s ORDER BY day, rule",
        (night.night_id,),
    ):
        found.setdefault(row["day"], Counter())[row["rule"]] = row["items"]
    return found


def runs(conn: Conn, night_ids: Sequence[int]) -> dict[int, tuple[str, str]]:
    """The last run (DAG, run) of each night that Airflow went through."""
    rows = conn.execute(
        "SELECT DISTINCT ON (night_id) night_id, dag_id, run_id FROM casebook.night_run WHERE night_id = ANY(%s)"
        " ORDER BY night_id, began_at DESC",
        (list(night_ids),),
    ).fetchall()
    return {row["night_id"]: (row["dag_id"], row["run_id"]) for row in rows}


def worst_late(conn: Conn, since: datetime) -> int | None:
    """Minutes by which anything was late at most, by periods under a day, of what was found since; None: nobody looked."""
    row = conn.execute(
        "SELECT max(coalesce(late, 0)) AS late FROM casebook.night WHERE schedule = 'hours' AND at >= %s",
        (since,),
    ).fetchone()
    return None if row is None else row["late"]


LEADS = (1, 7, 30)
"""Days before, at which a forecast is held against what came."""


@dataclass(frozen=True)
class Came:
    """What fell due on a day, and what had been forecast for it, by days before; None: nobody did."""

    day: date
    fell_due: int
    forecast: Mapping[int, int | None]


def forecast_and_came(conn: Conn, last: int = 14) -> list[Came]:
    """The last nights against their forecasts, newest first. What fell due on a day is what the night found then, without what
    had been due before it, and without what a forecast's own first day carries of the night before it."""
    rows = conn.execute(
        "WITH came AS (SELECT DISTINCT ON (as_of) night_id, as_of FROM casebook.night"
        "  WHERE schedule = 'days' AND ended_at IS NOT NULL ORDER BY as_of DESC, night_id LIMIT %(last)s)"
        " SELECT c.as_of, (SELECT coalesce(sum(a.items), 0) FROM casebook.night_age a WHERE a.night_id = c.night_id"
        "   AND a.due_at = c.as_of::timestamp AT TIME ZONE 'Asia/Shanghai') AS fell_due, l.lead,"
        "  f.night_id IS NOT NULL AS made, (SELECT coalesce(sum(w.items), 0) FROM casebook.night_forecast w"
        "   WHERE w.night_id = f.night_id AND w.day = c.as_of)"
        "   - CASE WHEN l.lead = 1 THEN coalesce(f.remaining, 0) ELSE 0 END AS said"
        " FROM came c CROSS JOIN unnest(%(leads)s::int[]) AS l(lead) LEFT JOIN LATERAL"
        "  (SELECT n.night_id, n.remaining FROM casebook.night n WHERE n.schedule = 'days' AND n.foreseen >= c.as_of"
        "   AND n.as_of = c.as_of - l.lead ORDER BY n.night_id DESC LIMIT 1) AS f ON true ORDER BY c.as_of DESC, l.lead",
        {"last": last, "leads": list(LEADS)},
    ).fetchall()
    found: dict[date, Came] = {}
    for row in rows:
        said = {**found[row["as_of"]].forecast} if row["as_of"] in found else {}
        said[row["lead"]] = int(row["said"]) if row["made"] else None
        found[row["as_of"]] = Came(row["as_of"], int(row["fell_due"]), said)
    return list(found.values())
