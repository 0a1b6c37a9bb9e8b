"""The company's own base backups: taken, verified, chained, and let go like those of any company."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from include.backups.opening import expire_set, open_tool
from include.catalogue import load
from include.model.errors import Refused
from include.model.times import observed_now, prc_date
from include.sandbox.backups import take
from include.sandbox.company import environment
from include.sandbox.stack.postgres import BACKUP, ensure_backup_role, ensure_our_roles
from include.sandbox.stack.stack import Stack
from include.stores.postgres.physical.own_log import OwnLog
from tests.room import ROOM

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """The company's cluster alone, as the sandbox has it."""
    home = Path(tempfile.mkdtemp(prefix="quietus-backups-", dir=ROOM))
    made = Stack(home, durable=False)
    made.places.make()
    made.company.create()
    made.company.start()
    made.company.wait()
    ensure_backup_role(made.company)
    yield made
    made.company.stop()
    made.places.purge()
    shutil.rmtree(home, ignore_errors=True)


def test_a_chain_is_taken_and_goes_when_its_time_is_over(stack: Stack) -> None:
    with pytest.raises(Refused, match="no backup to build on"):
        take(stack.company, stack.backups, incremental=True)
    full = take(stack.company, stack.backups)
    part = take(stack.company, stack.backups, incremental=True)
    assert part.leans_on == (full.name,) and full.broken is part.broken is None
    (declared,) = (b for b in load().backups if b.tool == "basebackup")
    connections = environment(stack)
    assert [c.name for c in open_tool(declared, connections).look().copies] == [full.name, part.name]

    def expired(days: int):  # type: ignore[no-untyped-def]
        """As it would be by the catalogue's period so many days from now; what is seen is what is there."""
        today = prc_date(observed_now()) + timedelta(days=days)
        return expire_set(declared, connections, last=lambda made: made + timedelta(days=30), today=today)

    assert expired(30).plan.go == (), "their last day"
    assert expired(31).plan.late == (part.name, full.name), "there is no other"
    new = take(stack.company, stack.backups)
    done = expired(31)
    assert done.gone == (full.name, part.name) and done.as_planned and done.checked == new.name
    assert [c.name for c in open_tool(declared, connections).look().copies] == [new.name]


def test_the_companys_nightly_job_keeps_its_servers_own_log_short(stack: Stack) -> None:
    """What was written before the backup is in no file of the server's log after it; unless a slot keeps it."""
    (declared,) = (b for b in load().backups if b.tool == "own_log")
    ensure_our_roles(stack.company)
    with psycopg.connect(stack.company.superuser_conninfo(), autocommit=True) as conn:
        conn.execute("GRANT pg_monitor TO prover")
    log = OwnLog(declared.id, lambda: stack.company.conninfo("prover", "postgres"), Path(stack.company.data))
    kept = _deed(stack, "SELECT pg_create_physical_replication_slot('stale', true)")
    take(stack.company, stack.backups)
    seen = log.look()
    assert seen.problems == () and seen.archive is not None and seen.archive.oldest < kept
    assert [c.name for c in seen.copies] == ["slot stale"]
    just_now = _deed(stack, "SELECT pg_drop_replication_slot('stale')")
    made = take(stack.company, stack.backups)
    seen = log.look()
    assert seen.copies == () and seen.archive is not None and kept < just_now <= seen.archive.oldest
    assert made.stop is not None and seen.archive.oldest >= made.stop, "what is archived is not kept twice"


def _deed(stack: Stack, more: str) -> int:
    """Something is written and deleted; where the log stands then."""
    with psycopg.connect(stack.company.superuser_conninfo(), autocommit=True) as conn:
        conn.execute(more.encode())
        conn.execute("CREATE TABLE gone AS SELECT 'somebody' AS who")
        conn.execute("DROP TABLE gone")
        row = conn.execute("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint").fetchone()
        assert row is not None
        return int(row[0])


def test_who_takes_them_reads_no_table(stack: Stack) -> None:
    with psycopg.connect(stack.company.conninfo(BACKUP, "postgres")) as conn:
        row = conn.execute("SELECT rolsuper, rolbypassrls, rolreplication, rolcreaterole FROM pg_roles"
                           " WHERE rolname = current_user").fetchone()  # fmt: skip
        assert row == (False, False, True, False)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("SELECT * FROM pg_authid")
