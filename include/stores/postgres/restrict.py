"""Restricting: the list that row security reads, then the catalogue's measures; and waiting for older work."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from psycopg import sql
from psycopg.rows import TupleRow

from include.model.catalogue import Catalogue
from include.model.errors import CatalogueError, Drifted, NotReachable
from include.model.flow import Receipt, Step
from include.stores.postgres import receipts
from include.stores.postgres.area import Area
from include.stores.postgres.server import Connection, Server

RESTRICTION = "quietus.restriction"


def restrict(
    server: Server, connection: Connection, catalogue: Catalogue, step: Step, at: Callable[[str], None]
) -> Receipt:
    """In one transaction: the cohort onto the restriction list, the measures in declared order, the receipt.

    A step that does not end the relation (``restricting`` is false: a retention limit, one withdrawn consent)
    leaves the person a customer: it restricts nobody and only leaves a receipt.
    """
    about = f"step {step.id} of {step.case_no}"

    def once() -> None:
        with server.reaching(about), connection.transaction():
            connection.execute(
                "SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))", [f"quietus {step.id}"]
            )
            if _done(connection, step):
                return
            counts: dict[str, dict[str, int]] = {}
            if step.restricting:
                _announce(connection)
                counts[RESTRICTION] = {"restricted": _list(connection, step)}
                for measure in catalogue.measures:
                    if measure.store != server.store:
                        continue
                    if measure.id not in catalogue.measure_sql:
                        raise CatalogueError(
                            "the measure has no SQL",
                            about=measure.id,
                            next_step=f"write measures/{measure.id}.sql",
                        )
                    cursor = connection.execute(
                        sql.SQL(catalogue.measure_sql[measure.id].strip().rstrip(";")),
                        {"as_of": step.as_of, "case_no": step.case_no},
                    )
                    counts[f"measure:{measure.id}"] = {"changed": max(cursor.rowcount, 0)}
            receipts.write(connection, step, "restrict", 0, "", counts)
            at("restrict.before_commit")
        at("restrict.after_commit")

    server.retrying(once)
    receipts.stamp(connection, step.id)
    return next(r for r in receipts.read(connection, step.id, server.store) if r.verb == "restrict")


def _done(connection: Connection, step: Step) -> bool:
    return (
        connection.execute(
            "SELECT FROM quietus.receipt WHERE step = %s AND verb = 'restrict'", [step.id]
        ).fetchone()
        is not None
    )


def _announce(connection: Connection) -> None:
    """Tell older snapshots that somebody is being restricted (``refuse_old_snapshot``). One after the other: the lock
    is let go of after the commit, so who sees the last restriction sees all before it."""
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('quietus last restriction', 0))")
    connection.execute("SELECT setval('quietus.last_restriction', pg_current_xact_id()::text::bigint)")


def _list(connection: Connection, step: Step) -> int:
    """Put the cohort on the list. Who is on it already, by another case, stays on it by that case."""
    return connection.execute(
        sql.SQL(
            "INSERT INTO quietus.restriction AS r (subject_id, case_no, step)"
            " SELECT c.subject_id, %s, %s FROM {} AS c ORDER BY c.subject_id"
            " ON CONFLICT (subject_id) DO UPDATE SET case_no = excluded.case_no, step = excluded.step,"
            " since = clock_timestamp(), lifted_at = NULL, departed_at = NULL WHERE r.lifted_at IS NOT NULL"
        ).format(Area.of(step.id).cohort),
        [step.case_no, step.id],
    ).rowcount


def settle(server: Server, connection: Connection, step: Step) -> None:
    """Return when no transaction is left that may still commit a row written for the person before the restriction.

    Those are the ones that have written something already, prepared ones too; whoever has not is refused by the
    trigger (``quietus.open_since``), so a dump or a long report is not waited for. Raises Drifted if the step was
    not restricted, NotReachable (which says what holds it, and no query) after ``patience.settle``.
    """
    about = f"step {step.id} of {step.case_no}"
    receipts.stamp(connection, step.id)
    row = connection.execute(
        "SELECT committed_at FROM quietus.receipt WHERE step = %s AND verb = 'restrict'", [step.id]
    ).fetchone()
    if row is None:
        raise Drifted("the step was not restricted", about=about, next_step="restrict first")
    deadline = time.monotonic() + server.patience.settle
    pause = 0.02
    while True:
        open_ = connection.execute(
            "SELECT pid, kind, application, state, age_seconds FROM quietus.open_since(%s) ORDER BY age_seconds DESC",
            [row[0]],
        ).fetchall()
        if not open_:
            return
        if time.monotonic() >= deadline:
            raise _held_up(open_, about)
        time.sleep(pause)
        pause = min(pause * 2, 1.0)


def _held_up(open_: Sequence[TupleRow], about: str) -> NotReachable:
    pid, kind, application, state, age = open_[0]
    what = f"{len(open_)} transactions that wrote before the restriction are still open; the oldest is "
    if pid is None:
        return NotReachable(
            f"{what}a prepared transaction, {age} s old",
            about=about,
            next_step="see pg_prepared_xacts: whoever prepared it must COMMIT PREPARED or ROLLBACK PREPARED; then try again",
        )
    return NotReachable(
        f"{what}a {kind} with pid {pid} ({application or 'no application name'}, {state}), {age} s old",
        about=about,
        next_step=f"let it end, or end it with pg_terminate_backend({pid}), then try again",
    )
