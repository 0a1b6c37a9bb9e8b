"""Five lies that must be caught. Each ends in a named finding and an open case, never in a certificate.

A leading open-source peer answers "complete" to all five.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from include.model.errors import Refused
from include.model.words import CaseState
from tests.e2e.conftest import House, Run


def stopped(run: Run, task: str) -> str:
    """Wait until the task has failed for good or waits for its next try; what it said."""
    run.until(lambda t: t[task] in ("failed", "up_for_retry"))
    return run.said(task)


def no_receipt(run: Run) -> None:
    assert run.certificates() == ()
    assert run.case().state not in (CaseState.WAITING, CaseState.CLOSED)


def test_an_identity_that_matches_nobody_is_refused_and_opens_nothing(house: House) -> None:
    with house.records() as conn:
        before = conn.execute("SELECT count(*) FROM casebook.case_").fetchone()
    with pytest.raises(Refused, match="no such account"):
        house.trigger("acct_000000000000")
    with house.records() as conn:
        assert conn.execute("SELECT count(*) FROM casebook.case_").fetchone() == before


def test_a_table_that_silently_ignores_the_delete(house: House) -> None:
    account = house.somebody("EXISTS (SELECT FROM account.credential x WHERE x.account_id = a.account_id)")
    with house.company() as conn:
        conn.execute(
            "CREATE FUNCTION account.keep_it() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$"
        )
        conn.execute(
            "CREATE TRIGGER keep_it BEFORE DELETE ON account.credential FOR EACH ROW"
            " WHEN (OLD.account_id = '" + account + "') EXECUTE FUNCTION account.keep_it()"
        )  # fmt: skip
    try:
        run = house.trigger(account)
        assert [*_as_far_as_it_goes(run)]
        with house.company() as conn:
            left = conn.execute("SELECT count(*) FROM account.credential WHERE account_id = %s", [account])
            assert left.fetchone() == (1,)
        (found,) = [f for f in run.findings() if f["code"] == "books_do_not_balance"]
        assert "account.credential: delete 1 planned, 0 happened" in found["what"]
        no_receipt(run)
    finally:
        with house.company() as conn:
            conn.execute("DROP TRIGGER keep_it ON account.credential")
            conn.execute("DROP FUNCTION account.keep_it()")


def _as_far_as_it_goes(run: Run) -> Iterator[str]:
    """Answer what is asked until a task stops; what the stopped tasks said."""
    from tests.e2e.conftest import APPROVE

    for task, (who, chosen, given) in APPROVE.items():
        state = run.until(lambda t, task=task: t[task] == "awaiting_input" or bool(_stopped(run, t)))
        if state[task] != "awaiting_input":
            break
        run.answer(task, who, chosen, given)
    state = run.until(lambda t: bool(_stopped(run, t)) or t["certify"] == "success")
    for task in _stopped(run, state):
        yield run.said(task)


def _stopped(run: Run, tasks: Mapping[str, str | None]) -> list[str]:
    """A question that is asked again did not stop."""
    return [
        task
        for task, state in tasks.items()
        if state == "failed" or (state == "up_for_retry" and task not in run.answers)
    ]


@contextmanager
def renamed(house: House, table: str, to: str) -> Iterator[None]:
    schema, _, name = table.partition(".")
    with house.company() as conn:
        conn.execute(f"ALTER TABLE {schema}.{name} RENAME TO {to}")
    try:
        yield
    finally:
        with house.company() as conn:
            conn.execute(f"ALTER TABLE {schema}.{to} RENAME TO {name}")


def test_a_mapped_table_renamed_since_the_map_was_made(house: House) -> None:
    account = house.somebody()
    with renamed(house, "usage.cookie", "cookie_2026"):
        run = house.trigger(account)
        run.answer("verify_identity.ask", "ops", "Matched 相符", {"fields": ["PI-001"]})
        said = stopped(run, "rehearse")
        assert "usage.cookie" in said
        assert any("usage.cookie" in f"{f['dataset']} {f['place']}" for f in run.findings())
        no_receipt(run)


def test_a_row_written_for_the_person_while_the_erasure_runs(house: House) -> None:
    account = house.somebody()
    run = house.trigger(account).approved()
    run.until(lambda t: t["dispose.carry_out"] == "success")
    with house.company() as conn:
        # By the superuser, past the trigger that refuses it: as a repair script would.
        conn.execute("SET session_replication_role = replica")
        conn.execute("ALTER TABLE usage.location DISABLE TRIGGER quietus_restriction")
        conn.execute(
            "INSERT INTO usage.location (account_id, longitude, latitude, grant_no, taken_at)"
            " VALUES (%s, 116.4, 39.9, 1, now())",
            [account],
        )
        conn.execute("ALTER TABLE usage.location ENABLE ALWAYS TRIGGER quietus_restriction")
    said = stopped(run, "dispose.prove_gone")
    assert "usage.location" in said
    assert any((f["dataset"] == "usage.location" and "late" in f"{f['code']} {f['what']}") or
               f["dataset"] == "usage.location" for f in run.findings())  # fmt: skip
    no_receipt(run)


def test_a_table_nobody_declared_that_names_the_person(house: House) -> None:
    account = house.somebody()
    with house.company() as conn:
        mobile = conn.execute(
            "SELECT mobile FROM account.person WHERE account_id = %s", [account]
        ).fetchone()[0]
        assert mobile
        conn.execute("CREATE TABLE usage.campaign_2025 (id int PRIMARY KEY, note text)")
        conn.execute(
            "INSERT INTO usage.campaign_2025 VALUES (1, 'call back ' || %s), (2, 'nobody')", [mobile]
        )
        conn.execute("GRANT SELECT ON usage.campaign_2025 TO prover")
    try:
        run = house.trigger(account)
        answered = [*_as_far_as_it_goes(run)]
        seen = " ".join([*answered, *(f"{f['place']} {f['what']}" for f in run.findings())])
        assert "usage.campaign_2025" in seen
        assert mobile not in seen
        no_receipt(run)
    finally:
        with house.company() as conn:
            conn.execute("DROP TABLE usage.campaign_2025")
