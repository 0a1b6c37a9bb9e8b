"""An order has ended, and is followed with its successor; a newer one goes to another company. Nothing of one is put before the
other company, or read from it; and people's certificates go on to say who has what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from quietus_console import following_up, work

from include.cases.shutdown import approving, orders, whereabouts
from include.cases.shutdown.told import Successor
from include.connections import SUCCESSOR_INBOX
from include.handover import inboxes, stages, ways
from include.model.errors import Refused
from include.model.handover import Consignment
from include.model.words import Role
from tests.cases.shutdown.handing import INBOX, Handing
from tests.cases.shutdown.test_books import stopped
from tests.cases.shutdown.test_closing import T0, gatekeeper
from tests.cases.shutdown.test_notices_follow import OVER, Connected, handing, leave
from tests.cases.shutdown.test_orders import TOLD
from tests.cases.shutdown.test_requests_after import WANG, gone
from tests.cases.shutdown.test_tombstones_after import ended
from tests.handover.conftest import _empty

pytestmark = pytest.mark.postgres
__all__ = ["gatekeeper", "gone", "handing", "stopped"]  # fixtures
OTHERS = "inbox-of-the-next"
OTHER = Successor("Next CA Co", "privacy@next.example", "c" * 64)


class Pointing(Connected):
    """The connections, of which that of all inboxes points to a bucket, and an order may have one of its own."""

    def __init__(self, handing: Handing) -> None:
        super().__init__(handing)
        self.buckets = {SUCCESSOR_INBOX: INBOX}

    def s3(self, connection: str, role: Role) -> object:
        if connection not in self.buckets:
            raise Refused("the connection is not declared", about=connection)
        return self.handing.client

    def text(self, name: str) -> str:
        said = {f"{c}_{Role.COURIER}": bucket for c, bucket in self.buckets.items()}
        return said.get(name) or super().text(name)


@dataclass
class Two:
    first: Handing
    second: str
    at: Pointing
    tasks: Any

    @property
    def number(self) -> str:
        return self.first.number

    @property
    def desk(self) -> Any:
        return following_up.desk()

    def lies(self, bucket: str) -> list[str]:
        found = self.first.client.list_objects_v2(Bucket=bucket).get("Contents", [])
        return sorted(o["Key"] for o in found)

    def consignment(self, successor: str = OTHER.name) -> Consignment:
        """Of the second order."""
        of = self.first.stopped.consignment
        return of.model_copy(
            update={
                "order": self.second,
                "successor": of.successor.model_copy(update={"name": successor}),
            }
        )


@pytest.fixture
def opened(gone: Handing, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Two]:
    """The second order, open and approved; the connection points to its successor's inbox by now."""

    def make(successor: Successor = OTHER) -> Two:
        _empty(gone.objects, OTHERS)
        ended(gone)
        at = Pointing(gone)
        desk = replace(gone.stopped.house.desk, connections=at)
        monkeypatch.setattr(stages, "SignerClient", lambda _: SimpleNamespace(attest=gone.ours))
        monkeypatch.setattr(following_up, "desk", lambda: desk)
        monkeypatch.setattr(following_up, "now", lambda: {"as_of": OVER, "actor": "system/airflow"})
        context = {"params": {}, "ti": SimpleNamespace(max_tries=0, try_number=1)}
        monkeypatch.setattr(work, "get_current_context", lambda: context)
        names = ("bury", "hear_tombstones", "pass_on", "hear_requests")
        tasks = SimpleNamespace(**{n: getattr(following_up, n).function for n in names})
        (stages.Handover.of(desk, gone.number).papers / stages.CONSIGNMENT).write_text(
            gone.stopped.consignment.model_dump_json(), "utf-8"
        )
        told = replace(TOLD, decided_on=T0, t0=T0 + (TOLD.t0 - TOLD.decided_on), successor=successor)
        number = orders.open_order(desk, told, as_of=T0, actor=TOLD.approvers[0])
        approving.approve(desk, number, as_of=T0, actor=TOLD.approvers[1])
        at.buckets[SUCCESSOR_INBOX] = OTHERS
        return Two(gone, number, at, tasks)

    return make


@pytest.fixture
def two(opened: Callable[..., Two]) -> Two:
    return opened()


def test_nothing_of_the_first_goes_to_the_seconds_successor_and_both_are_followed(two: Two) -> None:
    leave(two.first, OVER)
    before = two.lies(INBOX)
    for task in ("bury", "pass_on", "hear_tombstones", "hear_requests"):
        with pytest.raises(
            AirflowFailException,
            match=rf"bucket {INBOX} at http.*it names bucket {OTHERS}.*declare successor_inbox_so_000001_courier",
        ):
            getattr(two.tasks, task)(two.number)
    assert two.lies(OTHERS) == [] and two.lies(INBOX) == before
    with two.desk.book() as conn:
        assert all(
            not r["sent_at"] for r in conn.execute("SELECT sent_at FROM casebook.handover_request").fetchall()
        )
    two.at.buckets[inboxes.own(two.number)] = INBOX
    assert two.tasks.bury(two.number).endswith("2 bags sent now")
    assert two.tasks.pass_on(two.number).split(", ")[1] != "0 sent now"
    assert "are waited for" in two.tasks.hear_tombstones(two.number)
    assert two.lies(OTHERS) == [] and len(two.lies(INBOX)) > len(before)
    assert ways.way(two.desk, two.consignment()).bucket == OTHERS, "and the second goes by that of all"


def test_nothing_of_the_second_goes_to_the_firsts_successor(two: Two) -> None:
    two.at.buckets[SUCCESSOR_INBOX] = INBOX
    with pytest.raises(
        Refused,
        match=rf"bucket {INBOX} at .* is that of Example CA Co.*declare successor_inbox_so_000002_courier",
    ):
        ways.way(two.desk, two.consignment())
    assert ways.way(two.desk, two.consignment("Example CA Co")).bucket == INBOX, "it takes over twice"
    assert ways.way(two.desk, two.first.stopped.consignment).bucket == INBOX
    with pytest.raises(Refused, match="it names bucket inbox-of-the-next"):
        ways.way(two.desk, two.first.stopped.consignment, bucket=OTHERS)
    two.at.buckets[inboxes.own(two.second)] = OTHERS
    assert ways.way(two.desk, two.consignment()).bucket == OTHERS


def test_of_an_order_from_before_it_was_kept_its_own_bags_say_where(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inboxes, "known", lambda *_: None)
    with pytest.raises(Refused, match=rf"none of its bags lies in bucket {OTHERS}"):
        ways.way(two.desk, two.first.stopped.consignment)
    two.at.buckets[SUCCESSOR_INBOX] = INBOX
    kept: list[str] = []
    monkeypatch.setattr(inboxes, "keep", lambda _conn, of, inbox: kept.append(f"{of.order} {inbox.bucket}"))
    assert ways.way(two.desk, two.first.stopped.consignment).bucket == INBOX
    assert kept == [f"{two.number} {INBOX}"], "and from then on no other order takes it for its own"


def test_a_server_that_has_another_address_now_has_its_bags_still(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    two.at.buckets[SUCCESSOR_INBOX] = INBOX
    monkeypatch.setattr(inboxes, "known", lambda *_: inboxes.Inbox("https://before.example", INBOX))
    assert ways.way(two.desk, two.first.stopped.consignment).bucket == INBOX
    two.at.buckets[SUCCESSOR_INBOX] = OTHERS
    with pytest.raises(Refused, match=r"declare .* with bucket people at https://before.example"):
        ways.way(two.desk, two.first.stopped.consignment)


def said(two: Two) -> str:
    with two.desk.book() as conn:
        return whereabouts.sentence(conn)


def closed(two: Two) -> None:
    with two.desk.book() as conn:
        conn.execute("UPDATE casebook.shutdown_order SET closed_on = t0 WHERE number = %s", (two.second,))


def test_a_certificate_says_who_has_a_file_though_another_order_was_opened(two: Two) -> None:
    leave(two.first, OVER, WANG)
    assert "已由Example CA Co（联系方式：privacy@example.com）签收" in said(two) and OTHER.name not in said(
        two
    )
    closed(two)
    assert said(two).index("已由Example CA Co") < said(two).index("正移交给Next CA Co")


def test_what_two_orders_say_alike_is_said_once(
    opened: Callable[..., Two], monkeypatch: pytest.MonkeyPatch
) -> None:
    two = opened(TOLD.successor)
    closed(two)
    assert said(two).count("Example CA Co") == 2, "one has signed for all, the other not yet"
    monkeypatch.setattr(whereabouts, "THERE", whereabouts.ON_ITS_WAY)
    monkeypatch.setattr(whereabouts, "PASSED_ON", "")
    assert said(two).count("Example CA Co") == 1
