"""The schema: repeatable, append-only where it must be, and shut to those who must not see."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest

from include.cases.keys import FileKeyStore, Purpose
from include.cases.migrate import main, migrate
from include.cases.notices import again, telling
from include.cases.periods import add_months
from include.cases.sealing import Seal
from include.model.errors import NotReachable, Refused
from include.model.times import prc_date
from tests.cases.notices.making import Body, desk
from tests.conftest import PgServer

pytestmark = pytest.mark.postgres
DAY = timedelta(days=1)

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


def test_a_case_that_was_open_keeps_its_last_plan_in_force(pg18: PgServer) -> None:
    conninfo = pg18.conninfo(
        pg18.fresh_database("case_book_0003", lambda conninfo: migrate(conninfo, "0003"))
    )
    with psycopg.connect(conninfo, autocommit=True) as conn:
        conn.execute(CASE, ("CASE-900003",))
        for step, plans in (("s1", "ab"), ("s2", "")):
            conn.execute(
                "INSERT INTO casebook.step (step_id, case_no, kind, step_no, as_of, restricting)"
                " VALUES (%s, 'CASE-900003', 'live', %s, '2026-11-24', true)",
                (step, int(step[1:])),
            )
            for plan in plans:
                conn.execute(
                    "INSERT INTO casebook.plan (step_id, case_no, fingerprint, body)"
                    " VALUES (%s, 'CASE-900003', %s, '{}')",
                    (step, plan),
                )
        migrate(conninfo)
        found = conn.execute("SELECT step_id, plan, held FROM casebook.step ORDER BY 1").fetchall()
    assert found == [("s1", "b", None), ("s2", None, None)]


def test_a_case_that_was_open_keeps_its_notices_and_their_clocks(pg18: PgServer, tmp_path) -> None:
    """What was written before there were rounds is sent as the first, and who was told by hand stays told."""
    keys = FileKeyStore(tmp_path / "keys", b"k" * 32)
    ref = keys.make("case-900004", "CASE-900004", Purpose.SEALING)
    old = {
        "case_no": "CASE-900004", "recipient": "sms", "references": ["txn-1"], "fields": ["姓名", "手机号"],
        "ground": "cancellation", "law": "policy 11.2", "notice": "delete", "answer_by": "2026-12-15",
        "answers": ["DELETED"], "cascade": "pass this on",
    }  # fmt: skip
    owner = pg18.conninfo(pg18.fresh_database())
    migrate(owner, "0005")
    insert = (
        "INSERT INTO casebook.outbox (case_no, recipient, channel, idempotency_key, sealed_payload, items, state,"
        " written_at, remind_on, target_on, escalate_on, sent_at, answer_code, answered_at) VALUES ('CASE-900004', %s,"
        " %s, %s, %s, 1, %s, now(), '2026-12-04', '2026-12-15', '2026-12-24', %s, %s, %s)"
    )
    now = datetime.now(UTC)
    with psycopg.connect(owner, autocommit=True) as conn:
        conn.execute(CASE.replace("'k.v1'", f"'{ref.id}'"), ("CASE-900004",))
        seal = Seal(keys, ref.id, "CASE-900004").seal("outbox.sealed_payload.sms", json.dumps(old))
        for recipient, channel, state, sent, code in (
            ("sms", "opendsr", "tp_notified", None, None), ("told", "opendsr", "tp_notified", now, None),
            ("arb", "information", "tp_retained", now, "RETAINED_INDEPENDENT"),
        ):  # fmt: skip
            conn.execute(insert, (recipient, channel, f"CASE-900004/{recipient}/erasure", seal, state, sent, code,
                                  now if code else None))  # fmt: skip
        migrate(owner)
        found = {
            r[0]: r[1:]
            for r in conn.execute(
                "SELECT recipient, delivery, due_at <= now(), instruction, round, ended_on IS NULL FROM casebook.outbox"
            )
        }
        conn.execute("GRANT quietus_case_writer TO case_writer")
    assert found == {
        "sms": ("waiting", True, "erase", 1, True), "told": ("delivered", False, "erase", 1, True),
        "arb": ("delivered", None, "inform", 1, False),
    }  # fmt: skip
    body = Body()
    at = desk(
        pg18.conninfo(psycopg.conninfo.conninfo_to_dict(owner)["dbname"], "case_writer"),
        keys,
        [body, Body("arb")],
    )
    assert telling.tell(at, "sms", as_of=date(2026, 11, 25), actor="system/notices").sent == 1
    (told,) = body.seen
    assert (told.references, told.erase, told.round) == (("txn-1",), ("PI-001", "PI-005"), 1)
    assert told.answer_by == date(2026, 12, 15) and told.request_id.version == 4
    half_a_year_on = add_months(prc_date(now), 6)
    with at.book() as conn:
        asked = [
            again.ask(at, conn, as_of=d, actor="system/clocks")
            for d in (half_a_year_on - DAY, half_a_year_on)
        ]
        rounds = conn.execute(
            "SELECT round, because, ask_again_on FROM casebook.outbox WHERE recipient = 'arb' ORDER BY round"
        ).fetchall()
    assert asked == [(), ("CASE-900004",)]
    assert [tuple(r.values()) for r in rounds] == [(1, "decision", None), (2, "still_retained", None)]


def test_what_recipients_were_asked_before_there_were_synthetic_people_stays_known(pg18: PgServer) -> None:
    owner = pg18.conninfo(pg18.fresh_database())
    migrate(owner, "0007")
    request = "a7551968-d5d6-44b2-9831-815ac9017798"
    with psycopg.connect(owner, autocommit=True) as conn:
        conn.execute(CASE, ("CASE-900005",))
        conn.execute(
            "INSERT INTO casebook.outbox (case_no, recipient, channel, idempotency_key, request_id, sealed_payload, items,"
            " state, written_at, remind_on, target_on, escalate_on) VALUES ('CASE-900005', 'sms', 'opendsr', 'k', %s,"
            " 'x', 1, 'tp_acked', now(), '2026-12-04', '2026-12-15', '2026-12-24')",
            (request,),
        )
        for known in (True, None):  # of a notice that was looked at twice by a race, the first counts
            conn.execute(
                "INSERT INTO casebook.event (case_no, as_of, actor, what, detail) VALUES ('CASE-900005', '2026-11-25', 'a/b',"
                " 'looked at again', %s)",
                (json.dumps({"recipient": "sms", "request": request, "known": known}),),
            )
        migrate(owner)
        found = conn.execute("SELECT found, synthetic, before, after FROM casebook.word_kept").fetchall()
    assert found == [("caught", False, None, True)]


def test_requests_that_were_taken_under_one_token_keep_it(pg18: PgServer) -> None:
    owner = pg18.conninfo(pg18.fresh_database())
    migrate(owner, "0036")
    with psycopg.connect(owner, autocommit=True) as conn:
        conn.execute(
            "INSERT INTO casebook.shutdown_order (number, scope, path, reason, decided_on, document, digest, approvers,"
            " t0_announced, t0, opened_on, opened_by) VALUES ('SO-000001', 'company', 'voluntary', 'x', '2026-11-24', 'BR-1',"
            " repeat('a', 64), '{legal/a,board/b}', '2026-11-24', '2026-11-24', '2026-11-24', 'legal/a')"
        )
        conn.execute(
            "INSERT INTO casebook.shutdown_request (number, token, asked_on, channel, method, fields, recorded_by) VALUES"
            " ('SO-000001', 't', '2026-11-24', 'letter', 'x', '{PI-001}', 'support/li')"
        )
        migrate(owner)
        (request,) = conn.execute("SELECT request, number FROM casebook.shutdown_request").fetchall()
        kept = conn.execute("SELECT request, number, token FROM casebook.shutdown_request_token").fetchall()
        assert kept == [(*request, b"t")]
        with pytest.raises(psycopg.Error, match="append-only"):
            conn.execute("DELETE FROM casebook.shutdown_request_token")
        conn.execute(
            "UPDATE casebook.shutdown_order SET withdrawn_on = '2026-11-25', withdrawn_document = 'BR-2'"
        )
        with pytest.raises(psycopg.Error, match="append-only"):
            conn.execute("UPDATE casebook.shutdown_request_token SET token = 'u'")
        assert conn.execute("DELETE FROM casebook.shutdown_request_token").rowcount == 1


def test_an_objection_that_was_taken_under_one_token_keeps_it_until_nothing_is_passed_on(
    pg18: PgServer,
) -> None:
    owner = pg18.conninfo(pg18.fresh_database())
    migrate(owner, "0045")
    with psycopg.connect(owner, autocommit=True) as conn:
        conn.execute(
            "INSERT INTO casebook.shutdown_order (number, scope, path, reason, decided_on, document, digest, approvers,"
            " t0_announced, t0, opened_on, opened_by) VALUES ('SO-000001', 'company', 'voluntary', 'x', '2026-11-24', 'BR-1',"
            " repeat('a', 64), '{legal/a,board/b}', '2026-11-24', '2026-11-24', '2026-11-24', 'legal/a')"
        )
        conn.execute(
            "INSERT INTO casebook.shutdown_objection (number, token, token_version, objected_on, channel, method, fields,"
            " recorded_by) VALUES ('SO-000001', 't', 1, '2026-11-24', 'letter', 'x', '{PI-001}', 'support/li')"
        )
        migrate(owner)
        kept = conn.execute(
            "SELECT o.number, t.token FROM casebook.shutdown_objection AS o JOIN casebook.shutdown_objection_token AS t"
            " USING (objection)"
        ).fetchall()
        assert kept == [("SO-000001", b"t")]
        with pytest.raises(psycopg.Error, match="append-only"):
            conn.execute("DELETE FROM casebook.shutdown_objection_token")
        conn.execute(
            "UPDATE casebook.shutdown_order SET withdrawn_on = '2026-11-25', withdrawn_document = 'BR-2'"
        )
        assert conn.execute("DELETE FROM casebook.shutdown_objection_token").rowcount == 1
        assert conn.execute("SELECT FROM casebook.shutdown_objection").rowcount == 1, "that one came stays"
