"""The schema: repeatable, append-only where it must be, and shut to those who must not see."""

from __future__ import annotations

import psycopg
import pytest

from include.cases.migrate import main, migrate
from include.model.errors import NotReachable, Refused

pytestmark = pytest.mark.postgres

CASE = """
INSERT INTO casebook.case_
    (case_no, kind, ground, channel, requester, opened_by, received_at, opened_on, state, key_id)
VALUES (%s, 'request', 'cancellation', 'app', 'self', 'support/li', now(), '2026-11-24', 'received', 'k.v1')
"""


@pytest.fixture
def owner(database: str):
    with psycopg.connect(database) as conn:
        yield conn
        conn.rollback()


def test_migrating_again_changes_nothing(database: str) -> None:
    migrate(database)
    assert main([database]) == 0


def test_a_wrong_call_and_a_dead_server_are_said_plainly(capsys) -> None:
    assert main([]) == 2
    assert main(["host=127.0.0.1 port=1 user=x dbname=y"]) == 1
    assert "does not answer" in capsys.readouterr().err
    with pytest.raises(NotReachable):
        migrate("host=127.0.0.1 port=1")


def test_a_role_that_may_not_migrate_is_refused_without_quoting_anything(pg18, reader: str) -> None:
    with pytest.raises(Refused, match="run as the database's owner"):
        migrate(pg18.conninfo(pg18.fresh_database(), "reader"))


@pytest.mark.parametrize("table", ["event", "approval", "plan", "receipt", "evidence_ref"])
def test_even_the_owner_cannot_rewrite_history(owner, table: str) -> None:
    owner.execute(CASE, ("CASE-900001",))
    owner.execute("INSERT INTO casebook.step VALUES ('s', 'CASE-900001', 'live', 1, '2026-11-24', true)")
    rows = {
        "event": "(case_no, as_of, actor, what) VALUES ('CASE-900001', '2026-11-24', 'a/b', 'x')",
        "approval": "(case_no, approval_no, decision, requester, approver, plan, decided_at) "
        "VALUES ('CASE-900001', 1, 'approve', 'a/b', 'a/c', 'p', now())",
        "plan": "(step_id, case_no, fingerprint, body) VALUES ('s', 'CASE-900001', 'f', '{}')",
        "receipt": "VALUES ('s', 'CASE-900001', 'ca', 'restrict', 0, 'p', '{}')",
        "evidence_ref": "VALUES ('k', 'CASE-900001', 's', 'gone', null, 'passed', 'f', '{}', now())",
    }
    owner.execute(f"INSERT INTO casebook.{table} {rows[table]}")
    for deed in (
        f"UPDATE casebook.{table} SET case_no = case_no",
        f"DELETE FROM casebook.{table}",
        f"TRUNCATE casebook.{table}",
    ):
        with pytest.raises(psycopg.Error, match="append-only"), owner.transaction():
            owner.execute(deed)


def test_a_hold_is_not_widened_by_sql_either(database: str) -> None:
    with psycopg.connect(database) as conn:
        conn.execute(
            "INSERT INTO casebook.hold "
            "(hold, basis, document_no, issuing_body, law, opened_on, opened_by, review_due) "
            "VALUES ('HOLD-900001', 'court', 'd', 'b', 'l', '2026-11-24', 'legal/x', '2027-05-24')"
        )
        conn.execute("INSERT INTO casebook.hold_scope VALUES ('HOLD-900001', 'dataset', 'a.b')")
        conn.commit()
        for deed in (
            "INSERT INTO casebook.hold_scope VALUES ('HOLD-900001', 'dataset', 'a.c')",
            "UPDATE casebook.hold_scope SET value = 'a.c' WHERE hold = 'HOLD-900001'",
            "DELETE FROM casebook.hold_scope",
        ):
            with pytest.raises(psycopg.Error, match="never widens"), conn.transaction():
                conn.execute(deed)
        conn.execute("UPDATE casebook.hold_scope SET removed_on = '2026-12-01' WHERE hold = 'HOLD-900001'")
        conn.commit()
        with pytest.raises(psycopg.Error, match="never widens"):
            conn.execute("UPDATE casebook.hold_scope SET removed_on = NULL")


def test_the_reader_sees_no_sealed_column_and_no_token_and_writes_nothing(database: str, reader: str) -> None:
    with psycopg.connect(reader, autocommit=True) as conn:
        sealed = psycopg.connect(database).execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'casebook' "
            "AND (column_name LIKE 'sealed%' OR column_name = 'token')"
        ).fetchall()  # fmt: skip
        assert len(sealed) >= 6
        for table, column in sealed:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute(f"SELECT {column} FROM casebook.{table}")
        conn.execute("SELECT case_no, state, reply_due FROM casebook.case_")
        conn.execute("SELECT case_no, recipient, state FROM casebook.outbox")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("UPDATE casebook.case_ SET state = 'closed'")


def test_the_writer_cannot_delete_cases_or_change_the_schema(writer: str) -> None:
    with psycopg.connect(writer, autocommit=True) as conn:
        for deed in ("DELETE FROM casebook.case_", "DELETE FROM casebook.event", "DROP TABLE casebook.event",
                     "UPDATE casebook.event SET actor = 'x'", "CREATE TABLE casebook.x (i int)"):  # fmt: skip
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute(deed)


def test_the_approver_cannot_be_the_requester_even_in_another_role(owner) -> None:
    owner.execute(CASE, ("CASE-900002",))
    with pytest.raises(psycopg.errors.CheckViolation):
        owner.execute(
            "INSERT INTO casebook.approval "
            "(case_no, approval_no, decision, requester, approver, plan, decided_at) "
            "VALUES ('CASE-900002', 1, 'approve', 'support/li', 'approver/li', 'p', now())"
        )
