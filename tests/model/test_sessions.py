"""Sessions that are kept for a piece of work: the same backend, and as if it were a new one."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import psycopg
import pytest

from include.model.sessions import kept, session
from tests.conftest import PgServer

pytestmark = pytest.mark.sessions_end  # here a test says itself what it keeps

Session = psycopg.Connection[Any]
LOCK = 77_301


@pytest.fixture(scope="module")
def conninfo(pg18: PgServer) -> Iterator[str]:
    database = pg18.fresh_database()
    yield pg18.conninfo(database)
    pg18.drop_database(database)


def opened(conninfo: str, kind: str = "a") -> AbstractContextManager[Session]:
    return session(conninfo, kind, lambda: psycopg.connect(conninfo, autocommit=True))


def pid(conninfo: str, kind: str = "a") -> int:
    with opened(conninfo, kind) as conn:
        return conn.info.backend_pid


def test_each_session_is_ended_unless_it_is_kept(conninfo: str) -> None:
    assert pid(conninfo) != pid(conninfo)
    with kept():
        first = pid(conninfo)
        with kept():
            assert pid(conninfo) == first, "within another piece of work it is the same piece"
        assert pid(conninfo) == first
        assert pid(conninfo, "b") != first, "another kind"
        with opened(conninfo) as one, opened(conninfo) as other:
            assert one.info.backend_pid == first != other.info.backend_pid, "at once there are two"
    assert pid(conninfo) != first
    assert first not in _there(conninfo), "afterwards it is ended"


def _there(conninfo: str) -> set[int]:
    with psycopg.connect(conninfo) as conn:
        return {
            int(p)
            for (p,) in conn.execute("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")
        }


def test_nothing_of_the_one_before_is_found(conninfo: str) -> None:
    with kept():
        with opened(conninfo) as conn:
            first = conn.info.backend_pid
            conn.execute("CREATE TEMP TABLE mine (a int)")
            conn.execute("SET search_path = pg_temp")
            conn.execute("SET default_transaction_read_only = on")
            conn.execute("SET ROLE pg_read_all_data")
            conn.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        with psycopg.connect(conninfo, autocommit=True) as other:
            (free,) = other.execute("SELECT pg_try_advisory_lock(%s)", [LOCK]).fetchone() or (None,)
        assert free, "a lock does not outlive who took it"
        with opened(conninfo) as conn:
            assert conn.info.backend_pid == first
            found = conn.execute(
                "SELECT current_setting('search_path'), current_setting('default_transaction_read_only'),"
                " to_regclass('pg_temp.mine'), current_user = session_user"
            ).fetchone()
        assert found == ('"$user", public', "off", None, True)


def test_statements_that_were_prepared_go_on(conninfo: str) -> None:
    with kept():
        for n in range(20):  # the driver prepares what it sees for the sixth time
            with opened(conninfo) as conn:
                assert conn.execute("SELECT %s::int + 1", [n]).fetchone() == (n + 1,)


def test_one_that_an_error_left_or_that_is_in_a_transaction_is_ended(conninfo: str) -> None:
    with kept():
        first = pid(conninfo)
        with pytest.raises(psycopg.errors.DivisionByZero), opened(conninfo) as conn:
            conn.execute("SELECT 1 / 0")
        second = pid(conninfo)
        assert second != first
        with opened(conninfo) as conn:
            conn.execute("BEGIN")
        assert pid(conninfo) != second


def test_one_that_the_server_ended_is_not_handed_out(conninfo: str) -> None:
    with kept():
        first = pid(conninfo)
        with psycopg.connect(conninfo) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", [first])
        assert pid(conninfo) != first


def test_a_right_that_is_taken_away_is_missed_by_none(pg18: PgServer, conninfo: str) -> None:
    pg18.add_role("reader_of_one")
    mine = psycopg.conninfo.make_conninfo(
        pg18.conninfo(psycopg.conninfo.conninfo_to_dict(conninfo)["dbname"], "reader_of_one")
    )
    with psycopg.connect(conninfo, autocommit=True) as owner, kept():
        owner.execute("CREATE TABLE public.one AS SELECT 1 AS a")
        owner.execute("GRANT SELECT ON public.one TO reader_of_one")
        with opened(mine) as conn:
            first = conn.info.backend_pid
            assert conn.execute("SELECT a FROM public.one").fetchone() == (1,)
        owner.execute("REVOKE SELECT ON public.one FROM reader_of_one")
        with pytest.raises(psycopg.errors.InsufficientPrivilege), opened(mine) as conn:
            assert conn.info.backend_pid == first
            conn.execute("SELECT a FROM public.one")
        owner.execute("DROP TABLE public.one")


def test_a_thread_has_its_own(conninfo: str) -> None:
    found: list[int] = []
    with kept():
        first = pid(conninfo)
        thread = threading.Thread(target=lambda: found.append(pid(conninfo)))
        thread.start()
        thread.join()
    assert found != [first]


def test_a_process_that_is_forked_has_its_own(conninfo: str) -> None:
    out, into = os.pipe()
    with kept():
        first = pid(conninfo)
        if (child := os.fork()) == 0:
            with kept():
                os.write(into, str(pid(conninfo)).encode())
            os._exit(0)
        os.close(into)
        os.waitpid(child, 0)
        found = os.read(out, 20)
        os.close(out)
        assert found and int(found) != first
        assert pid(conninfo) == first, "and its end is not that of its parent's"
