"""What people type, forget and answer wrongly: a clear message each time, and nothing changed."""

from __future__ import annotations

import time

import psycopg
import pytest

from include.model.errors import Refused
from include.model.words import CaseState
from tests.e2e.conftest import DAG, House

# Of nobody: well-formed, and not in the sandbox.
TYPED = {
    "a mobile number": "13800138000",
    "an e-mail address": "li.si@example.com",
    "a resident ID number": "11010519491231002X",
    "a name": "李四",
}


@pytest.mark.parametrize("typed", TYPED.values(), ids=TYPED.keys())
def test_a_persons_own_value_is_refused_before_anything_stores_it(house: House, typed: str) -> None:
    with pytest.raises(Refused) as refusal:
        house.user("support").trigger(DAG, {"account_id": typed})
    assert typed not in str(refusal.value)
    with psycopg.connect(house.stack.records.superuser_conninfo("airflow")) as conn:
        for table, column in (("log", "extra"), ("dag_run", "conf"), ("xcom", "value")):
            found = conn.execute(
                f"SELECT count(*) FROM {table} WHERE {column}::text LIKE %s", [f"%{typed}%"]
            ).fetchone()
            assert found == (0,), table


def test_an_account_that_is_cancelled_already(house: House) -> None:
    with pytest.raises(Refused, match="cancelled already"):
        house.trigger(house.people["cancelled"])


def test_a_second_trigger_joins_the_open_case(house: House) -> None:
    account = house.somebody()
    first = house.trigger(account)
    with pytest.raises(Refused, match=first.case_no):
        house.trigger(account)
    with house.records() as conn:
        joined = conn.execute(
            "SELECT count(*) FROM casebook.event WHERE case_no = %s AND what = 'joined'", [first.case_no]
        ).fetchone()
    assert joined == (1,)


def test_a_trigger_without_account_or_case_is_told_what_to_do(house: House) -> None:
    try:
        said = house.user("support").trigger(DAG, {})
    except Refused as refusal:
        assert "account id" in str(refusal)
        return
    deadline = time.monotonic() + 60
    while house.user("admin").run_state(DAG, said["dag_run_id"]) != "failed":
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_an_identity_that_is_not_confirmed_changes_nothing(house: House) -> None:
    account = house.somebody()
    with house.company() as conn:
        before = conn.execute(
            "SELECT count(*) FROM account.session WHERE account_id = %s", [account]
        ).fetchone()
    run = house.trigger(account)
    run.answer("verify_identity.ask", "ops", "Not matched 不相符", {"fields": ["PI-004"]})
    assert run.ended() == "failed"
    assert "identity was not confirmed" in run.said("verify_identity.record")
    assert run.case().state is CaseState.ID_FAILED
    with house.company() as conn:
        after = conn.execute(
            "SELECT count(*) FROM account.session WHERE account_id = %s", [account]
        ).fetchone()
    assert after == before


def test_an_unexplained_tick_is_not_accepted(house: House) -> None:
    run = house.trigger(house.somebody())
    run.answer("verify_identity.ask", "ops", "Matched 相符", {"fields": []})
    assert run.ended() == "failed"
    assert "unexplained tick" in run.said("verify_identity.record")
    assert run.case().verified_at is None


def test_the_requester_may_not_approve_and_a_colleague_may_after_that(house: House) -> None:
    run = house.trigger(house.somebody())
    run.answer("verify_identity.ask", "ops", "Matched 相符", {"fields": ["PI-001"]})
    run.answer("decide.ask", "support", "Approve 批准")
    assert run.ended() == "failed"
    assert "another person than the requester" in run.said("decide.approve")
    assert run.case().state is CaseState.ASSESSING
    house.user("admin").clear(DAG, run.run_id, "decide.ask")
    run.answer("decide.ask", "reviewer", "Approve 批准")
    assert run.ended() == "success", run.why()


def test_a_refusal_needs_ground_scope_reasons_and_a_second_reviewer(house: House) -> None:
    run = house.trigger(house.somebody())
    run.answer("verify_identity.ask", "ops", "Matched 相符", {"fields": ["PI-001"]})
    run.answer("decide.ask", "reviewer", "Refuse 拒绝", {
        "refusal_ground": "11.4(1)", "refusal_scope": ["everything"], "reasons_document": "LEGAL-2026-17",
    })  # fmt: skip
    run.answer("decide.ask_second_reviewer", "ops", "Confirm refusal 确认拒绝")
    assert run.ended() == "success"
    assert run.case().state is CaseState.REFUSED
    assert run.tasks()["restrict.stop_use"] in ("skipped", None)


def test_a_refusal_without_its_reasons_is_no_refusal_and_the_clock_runs_on(house: House) -> None:
    run = house.trigger(house.somebody())
    run.answer("verify_identity.ask", "ops", "Matched 相符", {"fields": ["PI-001"]})
    run.answer("decide.ask", "reviewer", "Refuse 拒绝", {"refusal_ground": "11.4(1)"})
    run.answer("decide.ask_second_reviewer", "ops", "Confirm refusal 确认拒绝")
    assert run.ended() == "failed"
    case = run.case()
    assert case.state is CaseState.ASSESSING and case.reply_due is not None


def test_a_hold_over_everything_parks_the_case_and_says_why(house: House) -> None:
    from include.cases import verbs
    from include.model.times import observed_now, prc_date

    account = house.somebody()
    number = verbs.open_hold(
        house.desk, basis="court", document_no="(2026)Jing01-42", issuing_body="Beijing First Intermediate Court",
        law="CPL 103", as_of=prc_date(observed_now()), actor="legal/zhao", account_ids=frozenset({account}),
    )  # fmt: skip
    run = house.trigger(account).approved()
    assert run.ended() == "success", run.why()
    case = run.case()
    assert case.state is CaseState.HELD
    assert case.parked_because and number in case.parked_because
    with house.company() as conn:
        kept = conn.execute("SELECT count(*) FROM account.person WHERE account_id = %s", [account]).fetchone()
    assert kept == (1,)
