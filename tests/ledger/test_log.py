"""The log takes what it is given once, in a dense order, and lets nobody change it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from itertools import pairwise
from typing import Any

import psycopg
import pytest
import rfc8785

from include.ledger import log, merkle
from include.ledger.sequencer import publish, sequence
from include.ledger.signer import SignerClient
from include.model.errors import LedgerError, NotReachable, Refused
from tests.ledger.conftest import ROOT, Ledger, RunningSigner

pytestmark = pytest.mark.postgres
COMMANDS = ("UPDATE ledger.{0} SET {1} = {1}", "DELETE FROM ledger.{0}", "TRUNCATE ledger.{0} CASCADE")
TABLES = ("queue", "entry", "node", "batch", "checkpoint")


def put(ledger: Ledger, *numbers: int, tag: str = "n") -> None:
    with log.connect(ledger.writer) as conn:
        log.append_many(conn, [log.NewEntry(f"{tag}:{n}", "test", None, {"n": n}) for n in numbers])


def bodies(ledger: Ledger) -> list[dict[str, Any]]:
    with log.connect(ledger.reader) as conn:
        return [e.body for e in log.stream(conn)]


def assert_sound(ledger: Ledger) -> None:
    """Dense, nothing doubled, and the stored nodes are those of the leaves."""
    with log.connect(ledger.reader) as conn:
        found = list(log.stream(conn, batch=7))
        assert [e.index for e in found] == list(range(len(found)))
        assert log.size(conn) == len(found)
        hashes = [merkle.leaf_hash(e.leaf) for e in found]
        assert hashes == [e.leaf_hash for e in found]
        made = sorted(merkle.grow(0, hashes, lambda *_: b""))
        stored = conn.execute("SELECT level, index, hash FROM ledger.node ORDER BY level, index").fetchall()
        assert stored == made


def test_installing_again_changes_nothing(ledger: Ledger) -> None:
    put(ledger, 1, 2)
    with log.connect(ledger.sequencer) as conn:
        sequence(conn)
    log.install(ledger.owner)
    log.install(ledger.owner)
    assert bodies(ledger) == [{"n": 1}, {"n": 2}]
    put(ledger, 3)
    with log.connect(ledger.sequencer) as conn:
        assert sequence(conn) == 1


def test_what_is_appended_is_in_the_log_once_it_is_sequenced(ledger: Ledger) -> None:
    with log.connect(ledger.writer) as conn:
        assert log.append(conn, "plan", "CASE-000001", {"items": 3, "说": "é\n"}, key="plan:1")
    with log.connect(ledger.sequencer) as conn:
        assert sequence(conn) == 1
        assert sequence(conn) == 0
    with log.connect(ledger.reader) as conn:
        (entry,) = log.entries_of_case(conn, "CASE-000001")
        assert (entry.index, entry.kind, entry.body) == (0, "plan", {"items": 3, "说": "é\n"})
        assert log.entry_by_key(conn, "plan:1") == entry
        assert log.indexes_of_keys(conn, ["plan:1", "plan:2"]) == {"plan:1": 0}
        said = json.loads(entry.leaf)
        assert said["case_no"] == "CASE-000001"
        assert len(said["nonce"]) == 24
        assert rfc8785.dumps(said) == entry.leaf
        with pytest.raises(LedgerError, match="no entry 1"):
            log.entries(conn, [0, 1])


def test_a_retried_task_appends_once_and_another_body_under_its_key_is_refused(ledger: Ledger) -> None:
    with log.connect(ledger.writer) as conn:
        assert log.append(conn, "test", None, {"n": 1}, key="k")
        assert not log.append(conn, "test", None, {"n": 1}, key="k")
        for kind, case_no, body in (
            ("test", None, {"n": 2}),
            ("else", None, {"n": 1}),
            ("test", "CASE-000002", {"n": 1}),
        ):
            with pytest.raises(log.KeyTaken, match="already used"):
                log.append(conn, kind, case_no, body, key="k")
    with log.connect(ledger.sequencer) as conn:
        assert sequence(conn) == 1
    with log.connect(ledger.writer) as conn:
        assert not log.append(conn, "test", None, {"n": 1}, key="k")
        with pytest.raises(Refused):
            log.append_many(conn, [log.NewEntry("k", "test", None, {"n": 9})])
    assert bodies(ledger) == [{"n": 1}]


def test_two_writers_of_one_key_at_once_do_not_slip_past_each_other(ledger: Ledger) -> None:
    outcome: list[str] = []

    def second() -> None:
        with log.connect(ledger.writer) as conn:
            try:
                log.append(conn, "test", None, {"n": 2}, key="k")
                outcome.append("taken")
            except Refused:
                outcome.append("refused")

    with log.connect(ledger.writer) as first:
        with first.transaction():
            log.append(first, "test", None, {"n": 1}, key="k")
            other = threading.Thread(target=second)
            other.start()
            other.join(0.5)
            assert outcome == []  # it waits for us
        other.join(10)
    assert outcome == ["refused"]


def test_an_append_rides_with_the_callers_transaction_and_a_refusal_does_not_break_it(ledger: Ledger) -> None:
    with psycopg.connect(ledger.writer) as conn:
        log.append(conn, "test", None, {"n": 1}, key="lost")
        conn.rollback()
        log.append(conn, "test", None, {"n": 2}, key="kept")
        with pytest.raises(Refused):
            log.append(conn, "test", None, {"n": 3}, key="kept")
        conn.commit()
    with log.connect(ledger.sequencer) as conn:
        sequence(conn)
    assert bodies(ledger) == [{"n": 2}]


def test_a_transaction_that_commits_late_is_not_lost(ledger: Ledger) -> None:
    with psycopg.connect(ledger.writer) as slow, log.connect(ledger.sequencer) as sequencer:
        log.append(slow, "test", None, {"n": 0}, key="slow")
        for n in range(1, 6):
            put(ledger, n)
            sequence(sequencer, batch=2)
        slow.commit()
        put(ledger, 6)
        assert sequence(sequencer, batch=1) == 2
    assert sorted(b["n"] for b in bodies(ledger)) == list(range(7))
    assert_sound(ledger)


@pytest.mark.parametrize("batch", [1, 2, 3, 7, 100])
def test_any_size_of_batch_makes_a_sound_log(ledger: Ledger, batch: int) -> None:
    with log.connect(ledger.sequencer) as conn:
        for start in (0, 11, 12, 23):
            put(ledger, *range(start, start + 11), tag="t")
            sequence(conn, batch=batch)
    assert sorted(b["n"] for b in bodies(ledger)) == list(range(34))
    assert_sound(ledger)


def test_a_horizon_from_another_cluster_is_not_trusted(ledger: Ledger) -> None:
    put(ledger, 1)
    with log.connect(ledger.sequencer) as conn:
        sequence(conn)
        # As after a dump and restore: the recorded horizon is far beyond this cluster's transactions.
        conn.execute(
            "INSERT INTO ledger.batch (size_after, first_index, horizon_xid, horizon_id, cluster)"
            " VALUES (1000, 999, '9000000000', 0, 1)"
        )
        put(ledger, 2)
        assert sequence(conn) == 1


def test_only_one_sequencer_works_at_a_time(ledger: Ledger) -> None:
    put(ledger, 1)
    with log.connect(ledger.sequencer) as one, log.connect(ledger.sequencer) as two:
        during: list[int] = []

        def barge_in(point: str) -> None:
            if point == "entries":
                during.append(sequence(two))

        assert sequence(one, progress=barge_in) == 1
        assert during == [0]
    assert_sound(ledger)


CHILD = """
import os, signal, sys
from include.ledger import log
from include.ledger.sequencer import publish, sequence
from include.ledger.signer import SignerClient
conninfo, socket, point = sys.argv[1:]
passed = {}
def die(at):
    passed[at] = passed.get(at, 0) + 1
    if f"{at}/{passed[at]}" == point:
        os.kill(os.getpid(), signal.SIGKILL)
with log.connect(conninfo) as conn:
    sequence(conn, batch=4, progress=die)
    publish(conn, SignerClient(socket), progress=die)
"""
POINTS = [
    "locked/1", "entries/1", "nodes/1", "committing/1", "committed/1", "entries/2", "nodes/3",
    "committing/3", "committed/3", "signed/1", "stored/1",
]  # fmt: skip


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_any_point_it_resumes_with_nothing_lost_or_doubled(
    ledger: Ledger, signer: RunningSigner, point: str
) -> None:
    put(ledger, *range(10))
    child = [sys.executable, "-c", CHILD, ledger.sequencer, str(signer.home / "s")]
    killed = subprocess.run([*child, point], cwd=ROOT, timeout=60, check=False)
    assert killed.returncode == -9
    put(ledger, 10, 11)
    subprocess.run([*child, "none"], cwd=ROOT, timeout=60, check=True, env=os.environ)
    assert sorted(b["n"] for b in bodies(ledger)) == list(range(12))
    assert_sound(ledger)
    with log.connect(ledger.reader) as conn:
        found = log.latest_checkpoint(conn)
        assert found is not None
        assert found[0] == 12
        assert signer.client.head() == found


def test_every_proof_from_the_database_holds(ledger: Ledger) -> None:
    put(ledger, *range(13))
    with log.connect(ledger.sequencer) as conn:
        sequence(conn, batch=5)
    with log.connect(ledger.reader) as conn:
        found = list(log.stream(conn))
        for size in (1, 8, 13):
            root = log.root_at(conn, size)
            for index, proof in log.inclusion_proofs(conn, list(range(size)), size).items():
                assert merkle.inclusion_holds(found[index].leaf_hash, index, size, proof, root)
        for old, new in pairwise((1, 5, 8, 13)):
            proof = log.consistency_proof(conn, old, new)
            assert merkle.consistency_holds(old, new, log.root_at(conn, old), log.root_at(conn, new), proof)
        with pytest.raises(LedgerError, match="not among"):
            log.inclusion_proofs(conn, [13], 13)


# --- nobody changes it ------------------------------------------------------------------------


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("command", COMMANDS)
def test_even_the_owner_cannot_change_or_remove_by_mistake(ledger: Ledger, table: str, command: str) -> None:
    columns = {"queue": "kind", "entry": "kind", "node": "hash", "batch": "cluster", "checkpoint": "note"}
    column = columns[table]
    with log.connect(ledger.owner) as conn:
        for replication in ("origin", "replica"):
            conn.execute(f"SET session_replication_role = {replication}")
            with pytest.raises(psycopg.Error, match="append-only") as caught:
                conn.execute(command.format(table, column))
            assert caught.value.sqlstate == "QL001"


@pytest.mark.parametrize("role", ["writer", "sequencer", "reader"])
@pytest.mark.parametrize("table", TABLES)
def test_no_role_is_granted_change_or_removal(ledger: Ledger, role: str, table: str) -> None:
    with log.connect(getattr(ledger, role)) as conn:
        for privilege in ("UPDATE", "DELETE", "TRUNCATE", "TRIGGER", "REFERENCES"):
            asked = (f"ledger.{table}", privilege)
            row = conn.execute("SELECT has_table_privilege(%s, %s)", asked).fetchone()
            assert row == (False,)
        for command in (f"DELETE FROM ledger.{table}", f"TRUNCATE ledger.{table}"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute(command)


def test_each_role_can_do_its_duty_and_nothing_else(ledger: Ledger) -> None:
    allowed = {
        "writer": {("queue", "INSERT")},
        "sequencer": {(t, "SELECT") for t in TABLES} | {(t, "INSERT") for t in TABLES if t != "queue"},
        "reader": {(t, "SELECT") for t in TABLES},
    }
    for role, expected in allowed.items():
        with log.connect(getattr(ledger, role)) as conn:
            found = {
                (table, privilege)
                for table in TABLES
                for privilege in ("SELECT", "INSERT")
                if conn.execute(
                    "SELECT has_any_column_privilege(%s, %s)", (f"ledger.{table}", privilege)
                ).fetchone() == (True,)
            }  # fmt: skip
            assert found == expected
    with log.connect(ledger.reader) as conn, pytest.raises(Refused, match="may not append"):
        log.append(conn, "test", None, {}, key="k")
    with log.connect(ledger.writer) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute("SELECT leaf FROM ledger.queue")


def test_the_writer_cannot_choose_the_stamps(ledger: Ledger) -> None:
    with log.connect(ledger.writer) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute(
            "INSERT INTO ledger.queue (key, kind, leaf, digest, xid)"
            " VALUES ('k', 'test', '{}', sha256('x'), '3')"
        )


def test_a_gap_or_a_false_leaf_hash_does_not_commit(ledger: Ledger) -> None:
    put(ledger, 1)
    insert = (
        "INSERT INTO ledger.entry (index, queue_id, key, kind, leaf, leaf_hash)"
        " SELECT %s, id, key, kind, leaf, {} FROM ledger.queue"
    )
    with log.connect(ledger.sequencer) as conn:
        with pytest.raises(psycopg.Error, match="without a gap"):
            conn.execute(insert.format("sha256('\\x00'::bytea || leaf)"), (1,))
        with pytest.raises(psycopg.errors.CheckViolation):
            conn.execute(insert.format("sha256(leaf)"), (0,))


def test_a_database_that_is_not_there_is_named_without_its_conninfo() -> None:
    with pytest.raises(NotReachable) as caught:
        log.connect("host=/nonexistent user=somebody password=hunter2")
    assert "hunter2" not in str(caught.value)
    assert "somebody" not in str(caught.value)


def test_the_sequencer_says_so_when_its_session_is_ended(ledger: Ledger) -> None:
    put(ledger, 1)

    def end(point: str) -> None:
        if point == "nodes":
            with log.connect(ledger.owner) as owner:
                owner.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )

    conn = log.connect(ledger.sequencer)
    with pytest.raises(NotReachable, match="run it again"):
        sequence(conn, progress=end)
    with log.connect(ledger.sequencer) as again:
        assert sequence(again) == 1
    assert_sound(ledger)


# --- publishing -------------------------------------------------------------------------------


def test_publishing_twice_gives_the_same_head(ledger: Ledger, signer: RunningSigner) -> None:
    with log.connect(ledger.sequencer) as conn:
        with pytest.raises(LedgerError, match="empty"):
            publish(conn, signer.client)
        put(ledger, 1, 2, 3)
        sequence(conn)
        assert publish(conn, signer.client) == publish(conn, signer.client)


def test_a_publisher_that_was_overtaken_tries_again(ledger: Ledger, signer: RunningSigner) -> None:
    put(ledger, 1, 2)

    class Overtaken(SignerClient):
        asked = 0

        def extend(self, size: int, root: bytes, proof: list[bytes]) -> str:
            self.asked += 1
            if self.asked == 1:
                put(ledger, 3)
                with log.connect(ledger.sequencer) as other:
                    sequence(other)
                    publish(other, signer.client)
            return super().extend(size, root, proof)

    with log.connect(ledger.sequencer) as conn:
        sequence(conn)
        assert publish(conn, Overtaken(signer.home / "s"))[0] == 3


def test_a_log_that_lost_everything_is_not_called_empty(ledger: Ledger, signer: RunningSigner) -> None:
    signer.client.extend(2, bytes(32), [])
    with log.connect(ledger.sequencer) as conn, pytest.raises(LedgerError, match="entries were lost"):
        publish(conn, signer.client)


def test_a_log_shorter_than_its_signed_head_is_not_published(ledger: Ledger, signer: RunningSigner) -> None:
    put(ledger, 1, 2)
    with log.connect(ledger.sequencer) as conn:
        sequence(conn)
        signer.client.extend(5, bytes(32), [])
        with pytest.raises(LedgerError, match="entries were lost"):
            publish(conn, signer.client)


def test_a_rewritten_log_is_not_published(ledger: Ledger, signer: RunningSigner) -> None:
    put(ledger, 1, 2)
    with log.connect(ledger.sequencer) as conn:
        sequence(conn)
        signer.client.extend(2, bytes(32), [])
        with pytest.raises(LedgerError, match="rewritten"):
            publish(conn, signer.client)
        put(ledger, 3)
        sequence(conn)
        with pytest.raises(Refused, match="not shown to extend"):
            publish(conn, signer.client)
