"""The alarms run by themselves: red means that something is late, or that the ledger is not what was signed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from include.cases import book
from include.ledger import log
from include.model.errors import Refused
from include.model.times import observed_now, prc_date
from include.model.words import Role
from include.sandbox.api import ENDED, wait
from include.sandbox.company import environment
from include.sandbox.demo import CLOCKS
from tests.e2e.conftest import PATIENCE, House

AUDIT = "ledger_audit"


def ran(house: House, dag: str, task: str) -> tuple[str, str]:
    """Run it once more, by hand: how it ended, and what the task said."""
    admin = house.user("admin")
    admin.unpause(dag)
    run_id = admin.trigger(dag, {})["dag_run_id"]

    def ended() -> str | None:
        state = admin.run_state(dag, run_id)
        return state if state in ENDED else None

    state = wait(ended, PATIENCE, dag)
    tries = {t.task_id: t.tries for t in admin.tasks(dag, run_id)}[task]
    return state, "\n".join(admin.log(dag, run_id, task, tries))


def test_nothing_is_late_and_the_ledger_is_kept_and_kept_outside(house: House) -> None:
    run = house.trigger(house.somebody())
    run.answer("verify_identity.ask", "ops", "Not matched 不相符", {"fields": ["PI-004"]})
    run.ended()
    asked = observed_now()  # what other runs queue meanwhile is for the clocks after
    state, said = ran(house, CLOCKS, "nothing_is_late")
    assert state == "success", said
    with house.records() as conn:
        (queued,) = conn.execute(
            "SELECT count(*) FROM ledger.queue q WHERE q.queued_at < %s"
            " AND NOT EXISTS (SELECT FROM ledger.entry e WHERE e.key = q.key)",
            [asked],
        ).fetchone()
    assert queued == 0


def test_a_late_case_turns_the_clocks_red_by_its_number(house: House) -> None:
    run = house.trigger(house.somebody())
    run.answer("verify_identity.ask", "ops", "Matched 相符", {"fields": ["PI-001"]})
    run.until(lambda t: t["decide.ask"] == "awaiting_input")
    yesterday = prc_date(observed_now()) - timedelta(days=1)
    with house.records() as conn:
        before = conn.execute(
            "SELECT finish_due FROM casebook.case_ WHERE case_no = %s", [run.case_no]
        ).fetchone()
        change = "UPDATE casebook.case_ SET finish_due = %s WHERE case_no = %s"
        conn.execute(change, [yesterday, run.case_no])
        try:
            state, said = ran(house, CLOCKS, "nothing_is_late")
        finally:
            conn.execute(change, [*before, run.case_no])
    assert state == "failed"
    assert f"1 late ({run.case_no}: the cancellation is not finished)" in said


@contextmanager
def rewritten(house: House) -> Iterator[None]:
    """As the superuser: the first entry's nonce is another, and its hash fits. Nothing is signed again."""
    change = "UPDATE ledger.entry SET leaf = %(leaf)s, leaf_hash = sha256('\\x00'::bytea || %(leaf)s) WHERE index = 0"
    with house.records() as conn:
        (leaf,) = conn.execute("SELECT leaf FROM ledger.entry WHERE index = 0").fetchone()
        conn.execute("ALTER TABLE ledger.entry DISABLE TRIGGER append_only")
        conn.execute(change, {"leaf": leaf.replace(b'"nonce":"', b'"nonce":"x', 1)})
        try:
            yield
        finally:
            conn.execute(change, {"leaf": leaf})
            conn.execute("ALTER TABLE ledger.entry ENABLE ALWAYS TRIGGER append_only")


def test_a_rewritten_ledger_entry_turns_the_audit_red_and_is_named(house: House) -> None:
    state, said = ran(house, AUDIT, "compare_with_anchors")
    assert state == "success", said
    with rewritten(house):
        # Its neighbours' hash, the head and every head kept outside say otherwise.
        state, said = ran(house, AUDIT, "compare_with_anchors")
    assert state == "failed"
    assert "the log was rewritten" in said and "node 1/0" in said
    assert ran(house, AUDIT, "compare_with_anchors")[0] == "success"


def test_heads_that_the_server_outside_lost_are_not_silently_put_again(house: House) -> None:
    """The sandbox's S3 server keeps objects in memory: what it lost is red, until the ledger itself says so."""
    ran(house, CLOCKS, "keep_the_ledger")
    house.stack.anchors.stop()
    house.stack.anchors.start()
    told: list[str] = []
    try:
        wait(lambda: "up" if _answers(house) else None, 60, "anchors")
        state, said = ran(house, AUDIT, "compare_with_anchors")
        assert state == "failed" and "NoSuchBucket" in said
    finally:
        house.stack.up(told.append)
    assert any("lost the heads kept outside" in line for line in told)
    state, _said = ran(house, AUDIT, "compare_with_anchors")
    assert state == "success"
    with house.records() as conn:
        (anew,) = conn.execute(
            "SELECT count(*) FROM ledger.entry WHERE kind = 'anchor' AND convert_from(leaf, 'UTF8') LIKE '%%\"anew\":true%%'"
        ).fetchone()
    assert anew == 1


def _answers(house: House) -> bool:
    from include.sandbox.stack import objects

    return objects.answers(house.stack._port("anchors"))


@pytest.fixture(scope="module", autouse=True)
def _something_is_logged(house: House) -> None:
    with log.connect(environment(house.stack).postgres(book.RECORDS, Role.LEDGER_WRITER)) as conn:
        log.append_many(conn, [log.NewEntry(f"alarm:{n}", "test", None, {"n": n}) for n in range(4)])


@pytest.fixture(autouse=True)
def _unpaused(house: House) -> None:
    """Both alarms run without anybody having switched them on."""

    def paused(dag: str) -> str | None:
        try:
            return str(house.user("admin")._call("GET", f"/api/v2/dags/{dag}")["is_paused"])
        except Refused:
            return None  # not found by the DAG processor yet

    for dag in (CLOCKS, AUDIT):
        assert wait(lambda dag=dag: paused(dag), 90, dag) == "False"
