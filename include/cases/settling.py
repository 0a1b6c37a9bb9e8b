"""What follows for the cases when backups are gone: each is certified anew, and its nights are put away."""

from __future__ import annotations

from psycopg import sql

from include.cases.book import Conn

_UNSETTLED = sql.SQL("""
WITH over AS (  -- nights of which every set is gone
    SELECT e.epoch_id FROM casebook.epoch e JOIN casebook.epoch_set t USING (epoch_id)
     WHERE e.settled_at IS NULL GROUP BY e.epoch_id HAVING bool_and(t.purged_on IS NOT NULL)
), due AS (  -- cases of these that wait for no other night, and were not certified since
    SELECT s.case_no FROM casebook.epoch_step s JOIN casebook.epoch_set t USING (epoch_id)
      JOIN casebook.case_ c USING (case_no)
     WHERE c.state IN ('waiting', 'held') AND s.case_no IN (SELECT case_no FROM casebook.epoch_step JOIN over USING (epoch_id))
     GROUP BY s.case_no HAVING bool_and(t.purged_on IS NOT NULL) AND max(t.looked_at) > coalesce(
        (SELECT max(issued_at) FROM casebook.certificate f WHERE f.case_no = s.case_no), '-infinity')
)""")


def to_certify(conn: Conn) -> tuple[str, ...]:
    """Cases of which the last backup set went since they were certified: each has more to say now."""
    rows = conn.execute(_UNSETTLED + sql.SQL(" SELECT case_no FROM due ORDER BY 1")).fetchall()
    return tuple(str(row["case_no"]) for row in rows)


def settle(conn: Conn) -> int:
    """Put away the nights that nobody waits for any more, so that no later look asks about them; how many."""
    return conn.execute(
        _UNSETTLED
        + sql.SQL(
            " UPDATE casebook.epoch e SET settled_at = clock_timestamp() FROM over WHERE e.epoch_id = over.epoch_id"
            " AND NOT EXISTS (SELECT FROM casebook.epoch_step s JOIN due USING (case_no) WHERE s.epoch_id = e.epoch_id)"
        )
    ).rowcount
