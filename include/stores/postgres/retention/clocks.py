"""When a period that a row's start sets off is over, as SQL: by days for the night, to the minute where it is less than a day."""

from __future__ import annotations

from datetime import datetime, time, timedelta

from psycopg import sql

from include.model.retention import Limit
from include.model.times import PRC, prc_date
from include.stores.postgres.periods import prc_day, readable


def shifted(started: sql.Composable, kind: str, minutes: int) -> sql.Composable:
    """The China day of a start with the part of a day added; whole days where only the day is known. Null, if the start cannot be
    read: no clock starts by it."""
    if not minutes:
        return prc_day(started, kind)
    if kind == "date":
        return sql.SQL("({} + {})").format(prc_day(started, kind), sql.Literal(-(-minutes // 1440)))
    later = sql.SQL("({} + make_interval(mins => {}))").format(readable(started, kind), sql.Literal(minutes))
    return prc_day(later, kind)


def before(column: sql.Composable, kind: str, limit: Limit) -> sql.Composable:
    """``shifted(column) <= over``, with the column alone on its side: the same rows, by an index. The other side is one value: a
    difference of a ``timestamptz`` would be taken for every row, and took longer than to delete it."""
    if kind == "date":
        return sql.SQL("{} <= {}::date - {}").format(
            column, sql.Literal(limit.over), sql.Literal(-(-limit.minutes // 1440))
        )
    end = datetime.combine(limit.over + timedelta(days=1), time()) - timedelta(minutes=limit.minutes)
    zone = "+08" if kind == "timestamptz" else ""
    return sql.SQL("{} < {}::{}").format(
        column, sql.Literal(f"{end.isoformat(sep=' ')}{zone}"), sql.SQL(kind)
    )


def moment(started: sql.Composable, kind: str, minutes: int) -> sql.Composed:
    """When a period is over. A timestamp without zone is China's wall time; of a day alone, the midnight after the last.
    Null, if the start cannot be read."""
    started = readable(started, kind)
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
    edge = at - timedelta(minutes=minutes)
    if kind == "timestamp":
        return sql.SQL("{} <= {}::timestamp").format(
            column, sql.Literal(edge.astimezone(PRC).replace(tzinfo=None).isoformat())
        )
    return sql.SQL("{} <= {}::timestamptz").format(column, sql.Literal(edge.isoformat()))
