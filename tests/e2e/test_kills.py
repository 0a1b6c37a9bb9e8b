"""Killed between two steps: the run resumes to the same end; nothing is lost, nothing is done twice."""

from __future__ import annotations

import os
import signal
import time

from include.model.words import CaseState
from tests.e2e.conftest import DAG, House, Run

# A task that fails takes its followers along at once; to clear it alone would leave them behind for good.
STOPPED = ("failed", "up_for_retry", "upstream_failed")


def again(run: Run) -> None:
    """An operator clears what stopped, rather than wait for its next try."""
    run.house.user("admin").clear(DAG, run.run_id, *(t for t, s in run.tasks().items() if s in STOPPED))


def through(run: Run, *others: Run, seconds: float = 400) -> None:
    """Clear whatever stops until every run has succeeded."""
    runs = (run, *others)
    deadline = time.monotonic() + seconds
    while any(r.state() != "success" for r in runs):
        for r in runs:
            if set(STOPPED) & set(r.tasks().values()):
                again(r)
        assert time.monotonic() < deadline, [r.tasks() for r in runs]
        time.sleep(2)


def test_the_scheduler_is_killed_between_dispose_and_prove(house: House) -> None:
    account = house.somebody()
    run = house.trigger(account).approved()
    run.until(lambda t: t["dispose.carry_out"] in ("running", "success"))
    scheduler = house.stack.airflow.processes["scheduler"]
    assert scheduler.identity is not None
    os.killpg(os.getpgid(scheduler.identity.pid), signal.SIGKILL)
    house.stack.up(lambda _line: None)
    through(run)
    assert run.case().state is CaseState.WAITING
    with house.company() as conn:
        deeds = conn.execute(
            "SELECT verb, chunk, count(*) FROM quietus.receipt r JOIN quietus.restriction s ON s.case_no = %s"
            " WHERE r.step LIKE %s GROUP BY verb, chunk",
            [run.case_no, f"case_{run.case_no.removeprefix('CASE-')}_s%"],
        ).fetchall()
        assert deeds and all(count == 1 for _, _, count in deeds)
    with house.records() as conn:
        notices = conn.execute(
            "SELECT count(*), count(DISTINCT recipient) FROM casebook.outbox WHERE case_no = %s",
            [run.case_no],
        ).fetchone()
        assert notices[0] == notices[1]


def test_two_cases_for_two_owners_of_one_contract_at_once(house: House) -> None:
    with house.company() as conn:
        pair = conn.execute(
            "SELECT x.contract_id, x.account_id, y.account_id FROM sign.contract_party x"
            " JOIN sign.contract_party y ON y.contract_id = x.contract_id AND x.account_id < y.account_id"
            " JOIN account.account a ON a.account_id = x.account_id AND a.cancelled_at IS NULL"
            " JOIN account.account b ON b.account_id = y.account_id AND b.cancelled_at IS NULL"
            " WHERE (SELECT count(*) FROM sign.contract_party z WHERE z.contract_id = x.contract_id) = 2"
            " AND NOT x.account_id = ANY(%(no)s) AND NOT y.account_id = ANY(%(no)s) ORDER BY 1 LIMIT 1",
            {"no": [*house.taken, *house.people.values()]},
        ).fetchone()
    assert pair, "the sandbox has no contract of two people"
    contract, first, second = pair
    house.taken |= {first, second}
    runs = [house.trigger(first), house.trigger(second)]
    for run in runs:
        run.answer("verify_identity.ask", "ops", "Matched 相符", {"fields": ["PI-001"]})
    for run in runs:
        run.answer("decide.ask", "reviewer", "Approve 批准")
    through(*runs)
    for (
        run
    ) in runs:  # what stayed for the other owner went with the last one, as approved: nobody was asked again
        assert not [f for f in run.findings() if f["code"] == "differs_from_rehearsal"]
        with house.records() as conn:
            decided = conn.execute(
                "SELECT count(*) FROM casebook.approval WHERE case_no = %s", [run.case_no]
            ).fetchone()
        assert decided == (1,)
    with house.company() as conn:
        named = conn.execute(
            "SELECT count(*) FROM sign.contract_party WHERE contract_id = %s AND signer_name IS NOT NULL",
            [contract],
        ).fetchone()
        text = conn.execute(
            "SELECT title, body FROM sign.contract WHERE contract_id = %s", [contract]
        ).fetchone()
    assert named == (0,)
    # With its last owner gone nothing of the text may be left: the row is gone, or only its digest is kept.
    assert text in (None, (None, None))
