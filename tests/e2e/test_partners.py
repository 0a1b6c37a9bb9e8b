"""A partner tells us to delete somebody, over HTTP and by its token; *upstream_requests* begins the case and calls the
partner back, and the partner believes what it can verify. Its side is the sandbox's, and shares no code with ours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from include.cases import backups, book, provers, scrubbing, units, verbs
from include.cases.guards import BEYOND_RECALL
from include.cases.notices import outbox
from include.model.times import observed_now, prc_date
from include.model.words import CaseState
from include.sandbox.api import wait
from include.sandbox.recipients.partners import Heard, Partners
from include.sandbox.recipients.populace import number_of
from include.sandbox.recipients.world import World
from include.sandbox.stack.stack import COMPANY
from tests.e2e.conftest import DAG, House, Run

UPSTREAM = "upstream_requests"
PARTNER = "bank"
SUPPLIED = (
    f"EXISTS (SELECT FROM partner.supplied s WHERE s.account_id = a.account_id AND s.partner = '{PARTNER}')"
)


@dataclass
class Bank:
    """The partner, and the house that it tells."""

    house: House
    partners: Partners

    def ask(self, reference: str) -> str:
        return self.partners.ask(PARTNER, self.house.stack.for_partner(PARTNER), reference)

    def ask_about(self, account: str) -> str:
        """By the partner's own number for whoever has this account."""
        owner = self.house.stack.company.superuser_conninfo(COMPANY)
        return self.ask(number_of(owner, PARTNER, account))

    def run_of(self, rid: str) -> Run:
        """The run that the request was given: it is called after its case."""
        with self.house.records() as conn:
            ((case_no,),) = conn.execute(
                "SELECT case_no FROM casebook.upstream_request WHERE partner = %s AND request_id = %s",
                [PARTNER, rid],
            ).fetchall()
        run = Run(self.house, case_no, case_no)
        wait(lambda: "begun" if case_no in self._runs() else None, 60, case_no)
        return run

    def _runs(self) -> set[str]:
        said = self.house.user("admin")._call("GET", f"/api/v2/dags/{DAG}/dagRuns?limit=100")
        return {r["dag_run_id"] for r in said["dag_runs"]}

    def goes_on(self) -> None:
        ended = self.house.one_pass(UPSTREAM)
        assert set(ended.values()) <= {"success", "skipped"}, ended

    def heard(self, rid: str) -> list[Heard]:
        return [h for h in self.partners.heard(PARTNER) if h.request == rid]


@pytest.fixture(scope="module")
def bank(house: House) -> Iterator[Bank]:
    house.user("admin").unpause(UPSTREAM)
    with closing(World(house.stack.outside)) as world:
        yield Bank(house, Partners(world.state))


def test_of_a_number_that_means_nobody_the_partner_hears_signed_that_nothing_is_held(bank: Bank) -> None:
    rid = bank.ask("nobody-by-this-number")
    bank.goes_on()
    (said,) = bank.heard(rid)
    assert (said.status, said.why) == ("completed", "")
    assert [part["code"] for part in said.answers] == ["NOTHING_HELD"]
    bank.goes_on()
    assert len(bank.heard(rid)) == 1, "told once"


def test_whoever_is_not_confirmed_is_not_deleted_and_the_partner_hears_so(bank: Bank) -> None:
    account = bank.house.somebody(SUPPLIED)
    rid = bank.ask_about(account)
    bank.goes_on()
    run = bank.run_of(rid)
    run.answer("verify_identity.ask", "ops", "Not matched 不相符", {"fields": ["PI-004"]})
    assert run.ended() == "failed"
    bank.goes_on()
    said = bank.heard(rid)[-1]
    assert (said.status, said.why) == ("completed", "")
    assert [part["code"] for part in said.answers] == ["REJECTED_IDENTITY"]
    with bank.house.company() as conn:
        there = conn.execute(
            f"SELECT {SUPPLIED} FROM account.account a WHERE account_id = %s", [account]
        ).fetchone()
    assert there == (True,)


def test_a_partners_request_runs_as_any_other_and_is_completed_signed(bank: Bank) -> None:
    account = bank.house.somebody(
        SUPPLIED
        + " AND NOT EXISTS (SELECT FROM sign.contract_party p WHERE p.account_id = a.account_id)"
        + " AND NOT EXISTS (SELECT FROM partner.supplied s WHERE s.account_id = a.account_id"
        + f" AND s.partner <> '{PARTNER}')"
    )
    rid = bank.ask_about(account)
    bank.goes_on()
    run = bank.run_of(rid)
    assert [h.status for h in bank.heard(rid)] == ["pending"]
    run.approved()
    assert run.ended(400) == "success", run.why()
    with bank.house.company() as conn:
        (left,) = conn.execute(
            "SELECT count(*) FROM partner.supplied WHERE account_id = %s AND partner = %s", [account, PARTNER]
        ).fetchone()
    bank.goes_on()
    assert bank.heard(rid)[-1].status in ("in_progress", "completed")
    end_of(bank.house, run.case_no)
    bank.goes_on()
    heard = bank.heard(rid)
    assert [h.status for h in heard].count("completed") == 1 and heard[-1].status == "completed"
    assert all(h.why == "" for h in heard), "every one was signed by us"
    codes = {p["code"] for p in heard[-1].answers}
    assert left == 0 and "DELETED" in codes, "whatever else woke the case later"
    assert all(
        p["count"] >= 1 and p["at"] and p["method"] for p in heard[-1].answers if p["code"] == "DELETED"
    )
    said = bank.partners.status(PARTNER, bank.house.stack.for_partner(PARTNER), rid)
    assert said["request_status"] == "completed"


def end_of(house: House, case_no: str) -> None:
    """Bring a case that waits to its end, as the years would: its dates come, its backups expire, its recipients are silent
    until they are escalated, its person is told. What is judged is a day to come; what is observed is observed now."""
    desk, day = house.desk, prc_date(observed_now())
    how: dict[str, Any] = {"actor": "system/test"}
    with desk.book() as conn:
        unsent = [r["recipient"] for r in outbox.listing(conn, case_no) if r["sent_at"] is None]
    for recipient in unsent:
        verbs.sent(desk, case_no, recipient, as_of=day, **how)
    for _ in range(8):
        with desk.book() as conn:
            left = [u for u in units.of_case(conn, case_no) if u.state not in BEYOND_RECALL]
        if not left:
            break
        # All dates that are known, at once; what waited for one of them has a date of its own afterwards.
        day = max([day + timedelta(days=60), *[u.until + timedelta(days=1) for u in left if u.until]])
        escalated(house, case_no)
        assert verbs.resume(desk, case_no, as_of=day, **how).state is CaseState.ACTING, (day, told_of(left))
        acted(desk, case_no, day, how)
    else:
        raise AssertionError(f"{case_no} does not come to its end by {day}: {told_of(left)}")
    day += timedelta(days=60)
    escalated(house, case_no)
    scrubbed = scrubbing.scrub(desk, as_of=day, **how)
    assert not scrubbed.left, str(scrubbed)
    house.backups_expire()
    looked = backups.look(desk, as_of=day, **how)
    assert not looked.alarms and not sum(looked.waiting.values()), str(looked)
    verbs.told(desk, case_no, as_of=day, **how)
    verbs.close(desk, case_no, as_of=day, **how)


def escalated(house: House, case_no: str) -> None:
    """Its recipients were silent for too long: by this case's own dates, for the house has other cases, too."""
    today = prc_date(observed_now())
    with house.records() as conn:
        conn.execute("UPDATE casebook.outbox SET escalate_on = %s WHERE case_no = %s", [today, case_no])
    with house.desk.book() as conn, book.deed(conn, "recipients"):
        outbox.escalate_silent(conn, today, "system/test")


def told_of(left: list[Any]) -> Counter[tuple[str, ...]]:
    return Counter((u.dataset, u.state.value, str(u.until), str(u.waits_for)) for u in left)


def acted(desk: Any, case_no: str, day: Any, how: dict[str, Any]) -> None:
    """What the run does for a case that a date woke."""
    for verb in (
        verbs.restrict, provers.prove_restricted, verbs.settle_and_plan, provers.prove_baseline, provers.carry_out,
        provers.prove_gone, provers.prove_undeclared, verbs.balance, verbs.open_backup_track, verbs.rest,
    ):  # fmt: skip
        verb(desk, case_no, as_of=day, **how)
