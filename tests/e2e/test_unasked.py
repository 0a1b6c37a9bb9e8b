"""What goes unasked, through the real scheduler: a consent that was withdrawn is followed; a backlog waits for a person, goes in
stages, and is certified.

The last of these files by name: it takes what is due of everybody.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from include.cases import unasked
from include.cases.retention import backlog, figures, latency, nights
from include.cases.retention import night as nightly
from include.cases.retention.behind import leads
from include.cases.shelf import Shelf
from include.ledger.verify import verify
from include.model.times import observed_now, prc_date
from include.model.words import CaseState
from include.sandbox.answering import Answer
from tests.e2e.conftest import House, Run

DAYS, HOURS, UNASKED = "retention_limits", "retention_hours", "unasked_deletion"
PLACES = "location"  # the purpose on whose consent alone somebody's places rest
LOCKED = "objects.locked_evidence"
AT_MOST = 400
CODES = """
INSERT INTO account.login_code (account_id, code_hash, mobile, sent_at)
SELECT account_id, 'h', '0', {when} FROM account.account WHERE cancelled_at IS NULL ORDER BY 1 LIMIT {many}
RETURNING login_code_id"""


@pytest.fixture(scope="module")
def switched_on(house: House) -> Iterator[House]:
    admin = house.user("admin")
    admin.unpause(DAYS)
    yield house
    admin.pause(DAYS)
    admin.pause(HOURS)


def run(house: House, dag: str, answer: tuple[str, dict[str, int | None]] | None) -> str:
    """A run to its end; what its last task, which names everything that is left, said. ``answer``: to the question whether it
    may go on; None: it asks nobody."""
    admin = house.user("admin")
    run_id = admin.trigger(dag, {})["dag_run_id"]
    asked = house.through(dag, run_id, {} if answer is None else {"ask": Answer(house.user("ops"), *answer)})
    assert asked == ({"ask"} if answer is not None else set())
    said = {t.task_id: " ".join(admin.log(dag, run_id, t.task_id, t.tries))
            for t in admin.tasks(dag, run_id)
            if t.state != "success" and (t.task_id, t.state) != ("todays_night", "skipped")}  # fmt: skip
    assert set(said) <= {"nothing_is_left"}, [text[-900:] for text in said.values()]
    return said.get("nothing_is_left", "")


def follow(house: House) -> set[str]:
    """A run of unasked deletion to its end, green but for holders who are to be told; the cases that it opened."""
    before = begun(house)
    ended = house.one_pass(UNASKED)
    assert {t for t, s in ended.items() if s not in ("success", "skipped")} <= {"nobody_waits"}, ended
    return begun(house) - before


def begun(house: House) -> set[str]:
    """Cases of ours that follow a withdrawn consent."""
    with house.records() as conn:
        return {r[0] for r in conn.execute("SELECT case_no FROM casebook.withdrawal")}


EVERYBODY_ELSE = """
SELECT md5(string_agg(x, '' ORDER BY x)) FROM (
    SELECT a::text FROM account.account a UNION ALL SELECT l::text FROM usage.location l WHERE account_id <> %(who)s
    UNION ALL SELECT c::text FROM cert.certificate c UNION ALL SELECT p::text FROM sign.contract_party p) AS every (x)"""


def others(house: House, account: str) -> str:
    """Everybody's accounts, certificates and contracts, and everybody else's places, as a digest."""
    with house.company() as conn:
        return str(conn.execute(EVERYBODY_ELSE, {"who": account}).fetchone())


def places(house: House, account: str) -> int:
    with house.company() as conn:
        return conn.execute("SELECT FROM usage.location WHERE account_id = %s", [account]).rowcount


def test_a_consent_that_is_withdrawn_is_followed_without_anybody_asking(house: House) -> None:
    account = house.somebody(
        "EXISTS (SELECT FROM account.consent c WHERE c.account_id = a.account_id AND c.withdrawn_at IS NULL"
        f" AND c.purpose = '{PLACES}')"
    )
    with house.company() as conn:
        conn.execute(
            "INSERT INTO usage.location (account_id, longitude, latitude, grant_no, taken_at) VALUES (%s, 116.4, 39.9, 1, now())",
            [account],
        )
        conn.execute(
            "UPDATE account.consent SET withdrawn_at = now() WHERE account_id = %s AND purpose = %s",
            [account, PLACES],
        )
    before = others(house, account)
    assert places(house, account) > 0
    try:
        (case_no,) = follow(house)
        run = Run(house, case_no, case_no)
        assert run.ended() == "success", run.why()
        assert (places(house, account), others(house, account)) == (0, before)
        assert run.case().state is CaseState.WAITING and run.findings() == []
        looked = unasked.look(house.desk, prc_date(observed_now()))
        assert (looked.withdrawn.followed, looked.withdrawn.to_follow) == (1, []), "it is followed once"
    finally:
        house.user("admin").pause(UNASKED)
    shelf = Shelf(house.stack.certificates)
    name = [n for n in shelf.names(case_no) if "auditor" in n][-1]
    report = verify(shelf.get(name), (house.stack.ledger_home / "pub.pem").read_bytes())
    assert report.problems == [] and report.said["ground"] == "withdrawn_consent"


def of_days(house: House) -> list[nights.Night]:
    with house.desk.book() as conn:
        return nights.latest(conn, "days")


def test_a_backlog_waits_for_a_person_goes_in_stages_and_is_certified(switched_on: House) -> None:
    house = switched_on
    due = nightly.look(house.desk, prc_date(observed_now()))
    total = sum(r.due for r in due.rows)
    assert total > 1000, "the house has years of backlog"
    run(house, DAYS, ("Go on 执行", {"at_most": AT_MOST}))
    (first,) = of_days(house)
    assert (first.approved_by, first.budget) == ("ops/ops", AT_MOST)
    assert first.gone is not None and 0 < first.gone <= AT_MOST
    assert first.remaining == total - first.gone, "the number does not lie"
    # What a stage left is nobody's to take: by a plan that two persons gave their word for, nobody is asked again.
    plan = backlog.propose(house.desk, rate=first.remaining, as_of=prc_date(observed_now()), actor="ops/ops")
    backlog.approve(house.desk, plan.number, as_of=prc_date(observed_now()), actor="legal/wang")
    said = run(house, DAYS, None)
    assert "objects.web_log" not in said and "objects.app_log" not in said, "logs go as all else does"
    last = of_days(house)[0]
    left = nightly.look(house.desk, prc_date(observed_now()))
    stays = {r.dataset for r in left.rows if r.due}
    assert stays <= {LOCKED, *leads(house.desk.catalogue)[LOCKED]}, (
        "but for what is locked, and what it leads through"
    )
    assert (LOCKED in stays) == ("locked, the last of them until" in said)
    assert last.remaining == sum(r.due for r in left.rows)
    assert sum(n.gone or 0 for n in of_days(house)) >= total * 0.8
    # The schedule's own night, at a quarter past one in China, may come after it, and has nothing to do.
    worked = next(n for n in of_days(house) if n.case_no is not None)
    assert (worked.backlog, worked.approved_by) == (plan.number, None)
    with house.desk.book() as conn:
        rows = conn.execute("SELECT state FROM casebook.case_ WHERE ground = 'limit_reached'").fetchall()
    assert {r["state"] for r in rows} <= {CaseState.WAITING.value, CaseState.CLOSED.value}
    shelf = Shelf(house.stack.certificates)
    names = [n for n in shelf.names(str(worked.case_no)) if "auditor" in n]
    _page(house, last, worked)
    report = verify(shelf.get(names[-1]), (house.stack.ledger_home / "pub.pem").read_bytes())
    assert report.problems == [] and report.said["ground"] == "limit_reached"


def _page(house: House, last: nights.Night, worked: nights.Night) -> None:
    """What ops see of it afterwards: the number, its case and run, what comes, and how long it took."""
    page = house.user("ops").page("/quietus/retention?lang=en").text
    assert f"<b>{last.overdue:,}</b>" in page and f"/cases/{worked.case_no}" in page
    assert f"/dags/{DAYS}/runs/manual__" in page
    assert house.user("support").page("/quietus/retention").status_code == 404
    with house.desk.book() as conn:
        assert sum(figures.forecast(conn, last)[last.as_of + timedelta(days=1)].values()) == last.tomorrow
        stood = figures.last_end(conn, "days")
        spans = latency.over_all(latency.went(conn, last.as_of))
    assert stood is not None and stood.night == last
    assert (sum(r.due for r in stood.rows), sum(r.overdue for r in stood.rows)) == (
        last.remaining,
        last.overdue,
    )
    assert spans is not None and spans.live.known > 100 and spans.live.median is not None
    assert spans.live.known <= sum(n.gone or 0 for n in of_days(house))


def test_what_is_past_its_hours_goes_by_the_minute_and_a_run_that_finds_nothing_opens_no_case(
    switched_on: House,
) -> None:
    house = switched_on
    with house.company() as conn:
        conn.execute(CODES.format(when="now() - interval '11 minutes'", many=3).encode())
        fresh = conn.execute(CODES.format(when="now() + interval '1 minute'", many=1).encode()).fetchone()
    moment = observed_now()  # what passes its ten minutes while a run goes on is the next run's

    def past() -> int:
        return nightly.look(house.desk, prc_date(moment), moment).of("account.login_code")

    assert past() >= 1
    house.user("admin").unpause(HOURS)
    run(house, HOURS, None)
    assert past() == 0
    with house.company() as conn:
        there = conn.execute(
            "SELECT login_code_id FROM account.login_code WHERE login_code_id = %s", fresh
        ).fetchall()
    assert there == [fresh]
    with house.desk.book() as conn:
        found = nights.latest(conn, "hours")
    assert any(n.case_no is not None and n.late is not None and n.late >= 1 for n in found)
    for _ in range(3):  # until one finds that nothing passed its time since the last
        run(house, HOURS, None)
        with house.desk.book() as conn:
            last = nights.latest(conn, "hours")[0]
        if last.due == 0:
            break
        assert last.at is not None and last.late is not None
        assert timedelta(minutes=last.late) <= last.at - moment, "the run before left something"
    assert last.due == 0 and last.case_no is None
