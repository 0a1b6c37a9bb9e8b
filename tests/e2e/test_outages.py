"""A server that is down at a step is waited for: at every step, every server that the step speaks to, in one run.

Each task of the promise is tried first with one of its servers down, then with the next, and so on; the try that
succeeds has every server down that the task never speaks to, so what it needs is known exactly. Nobody clears anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import pytest

from include.ledger.verify import verify
from include.model.errors import NotReachable
from include.model.words import CaseState
from tests.e2e.conftest import DAG, House, Run
from tests.e2e.outages import ANCHORS, BOOK, COMPANY, KEYS, OBJECTS, SERVERS, SIGNER, Outages, Walk

STORES = (COMPANY, BOOK, OBJECTS, KEYS)
NEEDS: Mapping[str, tuple[str, ...]] = {
    "take_up": (BOOK,),
    "verify_identity.request": (BOOK,),
    "verify_identity.ask": (BOOK,),
    "verify_identity.record": (BOOK,),
    "rehearse": STORES,
    "decide.ask": (BOOK,),
    "decide.next_step": (),
    "decide.approve": (COMPANY, BOOK, KEYS),
    "restrict.stop_use": STORES,
    "restrict.prove": STORES,
    "plan.settle": STORES,
    "plan.prove": STORES,
    "dispose.carry_out": STORES,
    "dispose.prove_gone": STORES,
    "dispose.prove_undeclared": STORES,
    "dispose.balance": (BOOK,),
    "wait_in_data": STORES,
    "certify": (BOOK, SIGNER, ANCHORS),
}
"""What each task speaks to, in the order of the promise."""

CALLED = {
    COMPANY: "store company|what recipients were given", OBJECTS: "S3 server", BOOK: "case book", KEYS: "key store",
    SIGNER: "signer", ANCHORS: "anchor bucket",
}  # fmt: skip


MEANWHILE = ("recipient_notices", "recipient_errands")
"""They run every few minutes, and what they do changes what a certificate says is pending: not between two tries."""


@pytest.fixture
def outages(house: House) -> Iterator[Outages]:
    outages = Outages(house)
    for dag in (DAG, *MEANWHILE):
        house.user("admin").pause(dag)
    try:
        yield outages
    finally:
        outages.exactly()
        for dag in (DAG, *MEANWHILE):
            house.user("admin").unpause(dag)


def test_a_server_that_is_down_at_a_step_is_waited_for(house: House, outages: Outages) -> None:
    account = house.somebody()
    theirs = values_of(house, account)
    walk = Walk(house.trigger(account))
    for task, needed in NEEDS.items():
        for nth, server in enumerate(needed, start=1):
            outages.exactly(server)
            state = walk.attempt(task, nth)
            said = walk.said(task, nth)
            assert state == "up_for_retry", f"{task} without {server}: {state}\n{said}"
            told_plainly(said, walk.run.case_no, server, theirs)
        outages.exactly(*(s for s in SERVERS if s not in needed))
        last = len(needed) + 1
        state = walk.attempt(task, last)
        assert state == "success", f"{task} without {sorted(outages.down)}: {state}\n{walk.said(task, last)}"
        assert walk.tries(task) == last
    outages.exactly()
    house.user("admin").unpause(DAG)
    assert walk.run.ended() == "success", walk.run.why()
    ended_well(house, walk.run)


def test_a_request_that_cannot_be_taken_up_is_told_so_and_opens_nothing(
    house: House, outages: Outages
) -> None:
    account = house.somebody()
    before = opened(house)
    for server in (COMPANY, BOOK, KEYS):
        outages.exactly(server)
        with pytest.raises(NotReachable, match=CALLED[server]) as refusal:
            house.trigger(account)
        assert "Next: check" in str(refusal.value) or "Next: mount" in str(refusal.value)
        assert account not in str(refusal.value)
        outages.exactly()
        assert opened(house) == before, server


# --- what is asked of them ------------------------------------------------------------------------


def opened(house: House) -> int:
    with house.records() as conn:
        return int(conn.execute("SELECT count(*) FROM casebook.case_").fetchone()[0])


def values_of(house: House, account: str) -> set[str]:
    with house.company() as conn:
        row = conn.execute(
            "SELECT account_id, full_name, document_no, mobile, email FROM account.person WHERE account_id = %s",
            [account],
        ).fetchone()
    assert row is not None
    return {str(value) for value in row if value}


def told_plainly(said: str, case_no: str, server: str, theirs: set[str]) -> None:
    """An operator reads which case, which server, what to do next and what happens by itself; and of nobody."""
    (message,) = {line for line in said.splitlines() if "Next: " in line}
    assert message.startswith(case_no), message
    assert re.search(CALLED[server], message), (server, message)
    assert "tries again by itself" in message and re.search("Next: (check|mount|start|try)", message), message
    for strange in ("Traceback", "unforeseen", "psycopg", "botocore", *theirs):
        assert strange not in said, strange


def ended_well(house: House, run: Run) -> None:
    """The case rests with its certificate, which verifies; and every deed, word and notice is there once."""
    assert run.case().state is CaseState.WAITING
    assert run.findings() == []
    assert [n.split(".")[1:3] for n in run.certificates()] == [["1", "auditor"], ["1", "person"]]
    public = (house.stack.ledger_home / "pub.pem").read_bytes()
    for name in run.certificates():
        assert verify((house.stack.certificates / name).read_bytes(), public).problems == []
    no = [run.case_no]
    with house.records() as conn:
        for what, query in ONCE.items():
            assert not (found := conn.execute(query, no).fetchall()[:5]), (what, found)
        for what, (query, times) in COUNTED.items():
            assert conn.execute(query, no).fetchone() == (times,), what
    with house.company() as conn:
        deeds = conn.execute(
            "SELECT r.verb, r.chunk FROM quietus.receipt r WHERE r.step LIKE %s",
            [f"case_{run.case_no.removeprefix('CASE-')}_s%"],
        ).fetchall()
    assert sorted(deeds) == [("dispose", 0), ("restrict", 0)]


ONCE = {
    "a move of the case": "SELECT from_state, to_state FROM casebook.event WHERE case_no = %s AND unit_id IS NULL"
    " AND what = 'moved' GROUP BY 1, 2 HAVING count(*) > 1",
    "a move of a unit": "SELECT unit_id, from_state, to_state FROM casebook.event WHERE case_no = %s"
    " AND unit_id IS NOT NULL GROUP BY unit_id, from_state, to_state HAVING count(*) > 1",
    "a notice": "SELECT recipient FROM casebook.outbox WHERE case_no = %s GROUP BY 1 HAVING count(*) > 1",
    "a backup's track": "SELECT backup_set FROM casebook.epoch_step JOIN casebook.epoch_set USING (epoch_id)"
    " WHERE case_no = %s GROUP BY 1 HAVING count(*) > 1",
}  # fmt: skip
COUNTED = {
    "identity check": ("SELECT count(*) FROM casebook.identity_check WHERE case_no = %s", 1),
    "approval": ("SELECT count(*) FROM casebook.approval WHERE case_no = %s", 1),
    "step": ("SELECT count(*) FROM casebook.step WHERE case_no = %s AND kind = 'live'", 1),
    "certificate": ("SELECT count(*) FROM casebook.certificate WHERE case_no = %s", 1),
    "entry for an edition": (
        "SELECT count(*) FROM ledger.entry WHERE case_no = %s AND kind = 'dispositions'", 2
    ),
}  # fmt: skip
