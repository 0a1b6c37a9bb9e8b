"""When a period that a row's start sets off is over, as SQL: by days for the night, to the minute where it is less than a day."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from psycopg import sql

from include.model.retention import Limit
from include.model.times import prc_date
from include.stores.postgres.periods import prc_day


def shifted(started: sql.Composable, kind: str, minutes: int) -> sql.Composable:
    """The China day of a start with the part of a day added; whole days where only the day is known."""
    if not minutes:
        return prc_day(started, kind)
    if kind == "date":
        return sql.SQL("({} + {})").format(started, sql.Literal(-(-minutes // 1440)))
    return prc_day(sql.SQL("({} + make_interval(mins => {}))").format(started, sql.Literal(minutes)), kind)


def before(column: sql.Composable, kind: str, limit: Limit) -> sql.Composable:
    """``shifted(column) <= over``, with the column alone on its side: the same rows, by an index."""
    if kind == "date":
        return sql.SQL("{} <= {}::date - {}").format(
            column, sql.Literal(limit.over), sql.Literal(-(-limit.minutes // 1440))
        )
    end = date.fromordinal(limit.over.toordinal() + 1).isoformat()
    zone = f"{end} 00:00:00+08" if kind == "timestamptz" else f"{end} 00:00:00"
    return sql.SQL("{} < {}::{} - make_interval(mins => {})").format(
        column, sql.Literal(zone), sql.SQL(kind), sql.Literal(limit.minutes)
    )


def moment(started: sql.Composable, kind: str, minutes: int) -> sql.Composed:
    """When a period is over. A timestamp without zone is China's wall time; of a day alone, the midnight after the last."""
    if kind == "date":
        days = -(-minutes // 1440) + 1
        return sql.SQL("(({} + {})::timestamp AT TIME ZONE INTERVAL '8 hours')").format(
            started, sql.Literal(days)
        )
    if kind == "timestamp":
        started = sql.SQL("({} AT TIME ZONE INTERVAL '8 hours')").format(started)
    return sql.SQL("({} + make_interval(mins => {}))").format(started, sql.Literal(minutes))


def started_by(column: sql.Composable, kind: str, at: datetime, minutes: int) -> sql.Composed:
    """``moment(column) <= at``, with the column alone on its side: the same rows, by an index."""
    if kind == "date":
        day = prc_date(at) - timedelta(days=-(-minutes // 1440) + 1)
        return sql.SQL("{} <= {}::date").format(column, sql.Literal(day))
    edge = sql.SQL("({}::timestamptz - make_interval(mins => {}))").format(
        sql.Literal(at.isoformat()), sql.Literal(minutes)
    )
    if kind == "timestamp":
        edge = sql.SQL("({} AT TIME ZONE INTERVAL '8 hours')").format(edge)
    return sql.SQL("{} <= {}").format(column, edge)
