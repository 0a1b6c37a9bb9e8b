"""Where a successor's own clocks meet what its sender tells: what went by its clock stops no answer, and what a request left for
a statute's sake is missed if it goes before its time."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from include.cases import verbs
from include.handover import clearing, forgetting
from include.handover.custody import Custody
from include.handover.following import follow
from include.handover.heeding import heed
from include.handover.receiving import receive
from include.handover.recounting import count_again, lawful
from include.handover.sending import receipt_key
from tests.cases.resting import begun_unasked
from tests.cases.shutdown.handing import INBOX, Handing
from tests.cases.shutdown.test_books import stopped
from tests.cases.shutdown.test_closing import T0, gatekeeper
from tests.cases.shutdown.test_notices_follow import LI, OVER, handing, leave
from tests.cases.shutdown.test_requests_after import WANG, gone, hers

pytestmark = pytest.mark.postgres
__all__ = ["gatekeeper", "gone", "handing", "stopped"]  # fixtures


def at(custody: Custody, day: date) -> Custody:
    return replace(custody, today=lambda: day)


def one_goes_by_its_clock(handing: Handing, but: str) -> int:
    """At the successor, as its night does it: the oldest visit of somebody else."""
    ((visit,),) = handing.theirs(f"SELECT min(id) FROM u.visit WHERE account_id <> '{but}' AND id % 2 = 1")
    handing.theirs(f"DELETE FROM u.visit WHERE id = {visit}")
    return int(visit)


def missing(handing: Handing, day: date) -> int:
    return sum(
        len(count_again(at(handing.custody, day), b.statement, b.payload)[0].differences.missing)
        for b in handing.bags("u.visit")
    )


def test_a_notice_is_answered_though_something_of_its_bag_went_by_its_own_clock(handing: Handing) -> None:
    handing.pack()
    handing.hand_over()
    one_goes_by_its_clock(handing, LI)
    assert missing(handing, T0) == 1 and missing(handing, OVER) == 0
    leave(handing)
    assert handing.amend().made and handing.send_notices()
    custody = at(handing.custody, OVER)
    forgetting.forget(custody, handing.number)  # nothing but its digest is noted
    done = follow(handing.inbox, custody, handing.stopped.theirs, handing.number, as_of=OVER)
    assert not done.refused and done.receipts and all(r.differences.none for r in done.receipts)


def test_what_went_before_anybody_had_signed_is_signed_for(handing: Handing) -> None:
    """Killed after it was stored and before its receipt; a night comes before it is run again."""
    handing.pack()
    handing.hand_over()
    bag = next(b.name for b in handing.bags("u.visit"))
    handing.client.delete_object(Bucket=INBOX, Key=receipt_key(handing.number, bag))
    one_goes_by_its_clock(handing, LI)
    got = receive(handing.inbox, at(handing.custody, OVER), handing.stopped.theirs, handing.number)
    assert not got.refused and bag in {r.bag for r in got.receipts}
    again = receive(handing.inbox, at(handing.custody, OVER), handing.stopped.theirs, handing.number)
    assert all(r.differences.none for r in (*got.receipts, *again.receipts))


def test_what_a_request_left_for_a_statute_is_missed_until_its_time(gone: Handing) -> None:
    leave(gone, OVER)
    gone.ask(OVER)
    kept = hers(gone)
    assert kept
    gone.theirs(f"DELETE FROM u.visit WHERE id = {kept[0][0]}")
    assert missing(gone, OVER) == 1, "a floor runs: that she asked once excuses no loss"
    assert missing(gone, OVER + timedelta(days=9 * 366)) == 0, (
        "once nothing keeps it, it is gone as she asked"
    )


def test_an_answer_that_stands_is_not_given_again(gone: Handing) -> None:
    leave(gone, OVER)
    gone.ask(OVER)
    signed: list[bytes] = []

    def attest(payload: bytes) -> bytes:
        signed.append(payload)
        return gone.stopped.theirs(payload)

    done = heed(gone.inbox, gone.custody, attest, gone.number, as_of=OVER)
    assert done.receipts and not done.refused and signed == []


def test_who_left_while_our_copy_began_to_go_is_asked_for(handing: Handing) -> None:
    """Decided before, and killed before it came to its rows: no notice tells of it, and nothing of them is here afterwards."""
    handing.pack()
    handing.hand_over()
    begun_unasked(
        handing.stopped.house.desk, [WANG], (verbs.rehearse, verbs.restrict, verbs.settle_and_plan), as_of=T0,
        actor="system/test",
    )  # fmt: skip
    handing.tell()
    clearing.run(handing.stopped.house.desk, handing.number, as_of=T0, actor="ops/wu")
    assert handing.ask(OVER).made and len(hers(handing, WANG)) == 4, (
        "three of seven are past their five years"
    )


@pytest.mark.parametrize(
    ("clocks", "day", "may"),
    [
        (b'{"running": [], "earliest": null, "due": "2030-01-01"}', date(2030, 1, 1), True),
        (b'{"running": [], "earliest": "2031-01-01", "due": "2030-01-01"}', date(2030, 6, 1), False),
        (
            b'{"running": [{"floor": true, "ends": null}], "earliest": null, "due": "2030-01-01"}',
            date(2031, 1, 1),
            False,
        ),
        (b"null", date(2031, 1, 1), False),
        (b"", date(2031, 1, 1), False),
    ],
)
def test_nothing_goes_lawfully_inside_a_floor(clocks: bytes, day: date, may: bool) -> None:
    assert lawful(clocks, day) is may
