"""Tables are written anew when something was disposed of in them, and left, served and named, when they cannot be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.model.errors import Refused, Stopped
from include.model.estate import Maintenance
from include.model.times import PRC
from include.sandbox.stack.places import unprivileged
from include.stores.postgres import Patience
from include.stores.postgres.install import install
from include.stores.postgres.physical import rewriting
from include.stores.postgres.physical.rewriting import Fate, Rewriting, Scrubbed, remaining
from tests.conftest import PgServer
from tests.stores.postgres import making
from tests.stores.postgres.making import Company, Fixed, shop_provisions, step

ALWAYS = Maintenance(window="00:00-24:00", rewrite_limit="1 GB", head_room="1 GB")
QUICK = Patience(statement=60, lock=1, settle=1)
OWNED = """
DO $$ DECLARE t record; BEGIN
  FOR t IN SELECT c.oid::regclass AS r, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname IN ('account', 'sign', 'cert', 'log') AND c.relkind IN ('r', 'p') LOOP
    EXECUTE format('ALTER TABLE %s OWNER TO shop_keeper', t.r);
  END LOOP;
  FOR t IN SELECT unnest(ARRAY['account', 'sign', 'cert', 'log']) AS s LOOP
    EXECUTE format('ALTER SCHEMA %I OWNER TO shop_keeper', t.s);
  END LOOP;
END $$
"""


@pytest.fixture
def kept(new_company: Callable[..., Company], pg_server: PgServer) -> Company:
    """The small company, its tables owned by a role that is no superuser, and declared to be maintained."""
    pg_server.add_role("shop_keeper")
    return new_company(maintained(ALWAYS), making.SCHEMA + making.PEOPLE.format(n=8) + OWNED, "shop8_owned")


def maintained(maintenance: Maintenance | None) -> making.Catalogue:
    (store,) = making.SHOP.stores
    return making.SHOP.model_copy(update={"stores": (store.model_copy(update={"maintenance": maintenance}),)})


def scrub(company: Company, **options: object) -> Scrubbed:
    connections = Fixed(company.conninfo)
    return Rewriting(company.catalogue, "company", connections, **{"patience": QUICK, **options}).run()  # type: ignore[arg-type]


def cancelled(company: Company, who: str = "A2") -> None:
    company.cancel(step(who), shop_provisions())


def filenodes(company: Company) -> dict[str, int]:
    return dict(
        company.sql(
            "SELECT n.nspname || '.' || c.relname, pg_relation_filenode(c.oid) FROM pg_class c JOIN pg_namespace n"
            " ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'm', 'i', 't')"
            " AND n.nspname IN ('account', 'sign', 'cert', 'log')"
        )
    )


def names(scrubbed: Scrubbed, fate: Fate) -> set[str]:
    return {o.relation for o in scrubbed.of(fate)}


def bytes_of(company: Company, pg: PgServer, table: str) -> bytes:
    """A table's file as it is on disk."""
    company.sql("CHECKPOINT")
    (path,) = company.sql("SELECT pg_relation_filepath(%s::regclass)", table)[0]
    return (pg.cluster.data / path).read_bytes()


# --- what is written anew ---------------------------------------------------------------------------


def test_what_was_deleted_is_in_the_file_until_it_is_written_anew(kept: Company, pg_server: PgServer) -> None:
    company = kept
    company.sql("INSERT INTO account.session VALUES (999, 'A2', 'a very particular address')")
    cancelled(company)
    assert b"a very particular address" in bytes_of(company, pg_server, "account.session")
    before = filenodes(company)
    done = scrub(company)
    after = filenodes(company)
    assert b"a very particular address" not in bytes_of(company, pg_server, "account.session")
    written = names(done, Fate.REWRITTEN)
    assert {"account.session", "sign.folder", "log.access_old"} <= written
    assert "log.access" not in written, "a root has no file"
    assert done.of(Fate.LEFT) == () or pg_server.version < 17
    moved = {t for t in before if before[t] != after[t]}
    assert {"account.session", "account.session_pkey", "account.session_account_id_idx"} <= moved
    assert moved & {t for t in before if t in company_tables()} == written & set(before)


def company_tables() -> set[str]:
    return {d.address for d in making.SHOP.datasets} | {"log.access_old", "log.access_new"}


def test_a_table_is_passed_over_until_something_is_disposed_of_again(kept: Company) -> None:
    cancelled(kept)
    first = scrub(kept)
    before = filenodes(kept)
    again = scrub(kept)
    assert names(again, Fate.REWRITTEN) == set() and filenodes(kept) == before
    assert names(again, Fate.CLEAN) == names(first, Fate.REWRITTEN)
    cancelled(kept, "A4")
    assert names(scrub(kept), Fate.REWRITTEN) & set(before) == names(first, Fate.REWRITTEN) & set(before)


def test_while_disposing_is_stopped_every_table_is_left_and_says_so(kept: Company) -> None:
    cancelled(kept)
    before = filenodes(kept)

    def stopped() -> None:
        raise Stopped("disposing is stopped by ops/zhao", about="disposing")

    done = scrub(kept, may_go_on=stopped)
    assert names(done, Fate.LEFT) and not names(done, Fate.REWRITTEN) and filenodes(kept) == before
    assert all("stopped by ops/zhao" in o.why for o in done.of(Fate.LEFT))
    assert names(scrub(kept), Fate.REWRITTEN)


def test_the_smallest_is_first_and_the_position_is_that_after_the_last(kept: Company) -> None:
    kept.sql(
        "INSERT INTO account.session SELECT 1000 + i, 'A3', repeat('x', 500) FROM generate_series(1, 2000) i"
    )
    cancelled(kept)
    order: list[str] = []
    done = scrub(kept, at=order.append)
    tables = [o.removeprefix("rewriting.after ") for o in order]
    assert tables.index("account.session") > tables.index("sign.folder")
    assert done.position <= kept.value("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")
    assert done.position >= kept.value("SELECT (max(lsn) - '0/0')::bigint FROM quietus.rewritten")


def test_statistics_are_written_anew_where_the_server_has_a_right_for_it(
    kept: Company, pg_server: PgServer
) -> None:
    cancelled(kept)
    done = scrub(kept)
    if pg_server.version >= 17:
        assert {"pg_catalog.pg_statistic", "pg_catalog.pg_statistic_ext_data"} <= names(done, Fate.REWRITTEN)
    else:
        (left,) = [o for o in done.of(Fate.LEFT) if o.relation == "pg_catalog.pg_statistic"]
        assert "passed it over" in left.why
        (name,) = kept.sql("SELECT current_database()")[0]
        kept.sql(f"ALTER DATABASE {name} OWNER TO maintainer")
        try:
            assert "pg_catalog.pg_statistic" in names(scrub(kept), Fate.REWRITTEN), (
                "nothing else is due by now"
            )
        finally:
            kept.sql(f"ALTER DATABASE {name} OWNER TO quietus_admin")


def test_where_snapshots_are_hidden_tables_are_written_and_it_is_not_said_that_they_are_rid(
    kept: Company,
) -> None:
    cancelled(kept)
    kept.sql("DROP FUNCTION quietus.holding_back()")
    with psycopg.connect(kept.conninfo(kept.admin)) as other:
        other.execute("SELECT 1")
        done = scrub(kept)
        written = done.of(Fate.REWRITTEN)
        assert written and not any(o.sure for o in written)
        assert kept.value("SELECT count(*) FROM quietus.rewritten WHERE clean_before IS NOT NULL") == 0
        again = scrub(kept)
    assert {o.relation for o in again.of(Fate.CLEAN)} == {o.relation for o in written}
    assert not any(o.sure for o in again.of(Fate.CLEAN))


def test_nobody_is_locked_out_of_tables_that_are_not_asked_for(kept: Company) -> None:
    cancelled(kept)
    before = filenodes(kept)
    done = scrub(kept, datasets={"sign.folder"})
    assert {r for r in names(done, Fate.REWRITTEN) if not r.startswith("pg_catalog.")} == {"sign.folder"}
    moved = {t for t, node in filenodes(kept).items() if node != before[t]}
    assert moved and all(t.startswith("sign.folder") for t in moved)


def test_a_file_that_somebody_else_replaced_is_written_anew_again(kept: Company) -> None:
    cancelled(kept)
    scrub(kept)
    kept.sql("VACUUM FULL account.session")
    assert names(scrub(kept), Fate.REWRITTEN) & set(filenodes(kept)) == {"account.session"}


# --- what is left, and why --------------------------------------------------------------------------


def left(done: Scrubbed) -> dict[str, str]:
    return {o.relation: o.why for o in done.of(Fate.LEFT) if not o.relation.startswith("pg_catalog.")}


def test_a_table_in_use_is_left_served_and_taken_the_next_time(kept: Company) -> None:
    cancelled(kept)
    with psycopg.connect(kept.conninfo(kept.admin)) as reader:
        reader.execute("LOCK TABLE account.session IN ACCESS SHARE MODE")
        done = scrub(kept)
        assert list(left(done)) == ["account.session"] and "within 1 s" in left(done)["account.session"]
        assert kept.value("SELECT count(*) FROM account.session") == 21
    assert names(scrub(kept), Fate.REWRITTEN) & set(filenodes(kept)) == {"account.session"}


def test_nothing_is_written_while_somebody_still_sees_the_dead(kept: Company) -> None:
    with psycopg.connect(kept.conninfo(kept.admin)) as reader:
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT 1")
        cancelled(kept)
        before = filenodes(kept)
        done = scrub(kept)
        assert names(done, Fate.REWRITTEN) == set() and filenodes(kept) == before
        assert all("would come along: backend " in why for why in left(done).values()) and left(done)
    assert left(scrub(kept)) == {}


def test_a_table_above_the_declared_size_is_refused(kept: Company) -> None:
    kept.sql(
        "INSERT INTO account.session SELECT 1000 + i, 'A3', repeat('x', 900) FROM generate_series(1, 3000) i"
    )
    cancelled(kept)
    kept.catalogue = maintained(Maintenance(window="00:00-24:00", rewrite_limit="1 GB", head_room="1 MB"))
    done = scrub(kept)
    assert list(left(done)) == ["account.session"] and "head-room of 1 MB" in left(done)["account.session"]
    assert "sign.folder" in names(done, Fate.REWRITTEN)


def test_a_disk_that_is_too_full_is_seen_before(
    kept: Company, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cancelled(kept)
    monkeypatch.setattr(rewriting, "_free", lambda _: 1 << 14)
    done = scrub(kept, directory=tmp_path)
    assert names(done, Fate.REWRITTEN) <= {"sign.page"} and "free some" in left(done)["account.session"]


@pytest.mark.sessions_end  # the one whose server is limited goes with its limit
def test_a_disk_that_is_full_in_the_middle_leaves_the_table_as_it_was(
    kept: Company, pg_server: PgServer
) -> None:
    kept.sql(
        "INSERT INTO account.session SELECT 1000 + i, 'A3', repeat('x', 900) FROM generate_series(1, 24000) i"
    )
    cancelled(kept)
    before = kept.digest("account.session")
    node = filenodes(kept)["account.session"]

    def full(_point: str) -> None:
        """From the first small table on, the server may write no file beyond 16 MB: a segment of WAL fits, the table
        does not."""
        (pid,) = kept.sql("SELECT pid FROM pg_stat_activity WHERE usename = 'maintainer'")[0]
        subprocess.run(
            ["prlimit", f"--pid={pid}", f"--fsize={16 << 20}"],
            check=True,
            timeout=10,
            cwd="/",
            **unprivileged(),
        )

    done = scrub(kept, at=full)
    assert "account.session" in left(done) and "nothing of it was changed" in left(done)["account.session"]
    assert filenodes(kept)["account.session"] == node and kept.digest("account.session") == before
    assert left(scrub(kept)) == {}


def test_a_maintainer_without_the_right_is_found_out_by_the_file(kept: Company, pg_server: PgServer) -> None:
    cancelled(kept)
    if pg_server.version >= 17:
        kept.sql("REVOKE MAINTAIN ON account.session FROM maintainer")
        assert list(left(scrub(kept))) == ["account.session"]
    else:
        kept.sql("ALTER TABLE account.session OWNER TO quietus_admin")
        assert list(left(scrub(kept))) == ["account.session"]


def test_the_maintainer_may_do_no_more_where_the_server_can_tell_it_apart(
    kept: Company, pg_server: PgServer
) -> None:
    if pg_server.version < 17:
        assert kept.value("SELECT pg_has_role('maintainer', 'shop_keeper', 'MEMBER')")
        return
    for statement in ("SELECT FROM account.session", "DELETE FROM account.session", "DELETE FROM quietus.receipt",
                      "SELECT FROM quietus.restriction"):  # fmt: skip
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            kept.sql(statement, user="maintainer")


def test_without_maintenance_or_outside_its_window_nothing_is_begun(kept: Company) -> None:
    cancelled(kept)
    noon = datetime(2026, 11, 28, 12, 0, tzinfo=PRC)
    kept.catalogue = maintained(Maintenance(window="01:00-05:00", rewrite_limit="1 GB", head_room="1 GB"))
    with pytest.raises(Refused, match="outside the window"):
        scrub(kept, now=lambda: noon)
    kept.catalogue = maintained(None)
    with pytest.raises(Refused, match="no maintenance is declared"):
        scrub(kept)


def test_two_runs_are_not_at_it_at_once(kept: Company) -> None:
    cancelled(kept)
    with psycopg.connect(kept.conninfo(kept.admin)) as other:
        other.execute("SELECT pg_advisory_lock(hashtextextended('quietus rewriting', 0))")
        with pytest.raises(Refused, match="another run"):
            scrub(kept)


def test_an_install_without_a_maintainer_does_all_else(kept: Company) -> None:
    install(kept.conninfo(kept.admin), kept.catalogue, "company", maintainer="nobody_of_that_name")
    cancelled(kept)


KILLED = """
import os, signal, sys
from include.model.estate import Maintenance
from include.stores.postgres.physical.rewriting import Rewriting
from tests.stores.postgres.making import Fixed
from tests.stores.postgres.physical.test_rewriting import ALWAYS, QUICK, maintained
def at(point):
    if point == "rewriting.after account.session":
        os.kill(os.getpid(), signal.SIGKILL)
Rewriting(maintained(ALWAYS), "company", Fixed(lambda role: sys.argv[1]), patience=QUICK, at=at).run()
"""


def test_a_run_that_was_killed_is_run_again(kept: Company) -> None:
    cancelled(kept)
    died = subprocess.run(
        [sys.executable, "-c", KILLED, kept.conninfo("maintainer")], cwd=Path(__file__).parents[4],
        env={**os.environ}, timeout=120, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert died.returncode == -signal.SIGKILL, died.stderr
    again = scrub(kept)
    assert "account.session" in names(again, Fate.REWRITTEN) and left(again) == {}
    assert names(again, Fate.CLEAN), "what came before it is not written twice"


# --- the window -------------------------------------------------------------------------------------

MINUTES = st.integers(0, 1439)


@given(begin=MINUTES, end=MINUTES, at=MINUTES)
def test_a_window_is_open_from_its_beginning_to_its_end(begin: int, end: int, at: int) -> None:
    def clock(minute: int) -> str:
        return f"{minute // 60:02}:{minute % 60:02}"

    now = datetime(2026, 11, 28, tzinfo=PRC) + timedelta(minutes=at)
    left_ = remaining(f"{clock(begin)}-{clock(end)}", now)
    length, into = (end - begin) % 1440, (at - begin) % 1440
    assert left_ == ((length - into) * 60 if into < length else None)


def test_a_whole_day_is_always_open() -> None:
    assert remaining("00:00-24:00", datetime(2026, 11, 28, 23, 59, 59, tzinfo=PRC)) == 1
