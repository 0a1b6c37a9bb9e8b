"""A successor withdraws once something went here on its receipts: it stays custodian of that, and the rest goes to another."""

from __future__ import annotations

import base64
import json
import random
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from include.cases.shutdown import leaving, orders, permitting, whereabouts
from include.cases.shutdown.consigning import consign
from include.cases.shutdown.dates import Gate
from include.cases.shutdown.residual import residual
from include.cases.shutdown.told import Paper, Successor
from include.handover import former, proving, workers
from include.handover.conservation import Place
from include.handover.former import Settled
from include.handover.ledger_bag import hand_over
from include.ledger import verify, verify_ledger, verify_service, verify_service_books
from include.model.errors import NotProved, Refused
from include.stores.postgres.clearing import Clearing as Tables
from tests.cases.restoring import killed_at
from tests.cases.shutdown.ended import Ended
from tests.cases.shutdown.test_addressed import OTHER
from tests.cases.shutdown.test_books import Stopped, stopped
from tests.cases.shutdown.test_closing import PAPER, T0, gatekeeper
from tests.cases.shutdown.test_consigning import fingerprint
from tests.cases.shutdown.test_ending import case_book, ended, house
from tests.cases.shutdown.test_given_up import received
from tests.cases.shutdown.test_orders import TOLD
from tests.cases.shutdown.test_source_goes import go, visits
from tests.cases.shutdown.test_successor_gone import withdrew
from tests.handover.both import Attesting, certificate, pem
from tests.stores.postgres.conftest import new_company
from tests.stores.sizes import Pieces

pytestmark = pytest.mark.postgres
__all__ = ["case_book", "ended", "gatekeeper", "house", "new_company", "stopped"]  # fixtures

LETTER = Paper("LX-7", "e" * 64)
OFFICE = "archive@former.example"


def left(shop: Stopped, **more: Any) -> Settled | None:
    """Both say so, and the order goes on."""
    for approver in TOLD.approvers:
        leaving.leave(
            shop.house.desk,
            shop.number,
            contact=OFFICE,
            as_of=T0,
            actor=approver,
            **({"paper": LETTER} | more),
        )
    return former.settle(shop.house.desk, shop.number, as_of=T0, actor="legal/zhao")


def other_takes_over(shop: Stopped, home: Path) -> None:
    shown = pem(certificate(rsa.generate_private_key(public_exponent=65537, key_size=2048), "b"))
    desk, on = shop.house.desk, {"as_of": T0, "actor": "legal/zhao"}
    orders.name_successor(
        desk, shop.number, Successor(OTHER, "b@b.example", fingerprint(shown)), paper=PAPER, **on  # type: ignore[arg-type]
    )  # fmt: skip
    shop.consignment = consign(
        desk, shop.number, sender="Old CA", certificate=shown, receipt_key=Attesting(home / "theirs", "theirs").pem,
        document="BR-8", **on,  # type: ignore[arg-type]
    )  # fmt: skip
    permitting.permit(desk, shop.number, paper=PAPER, **on)  # type: ignore[arg-type]


def two_went(shop: Stopped) -> int:
    """Two of the bags were signed for, and went; of how many items."""
    shop.pack()
    bags = [b for b in shop.bags() if b.statement.dataset == "u.visit"]
    for bag in bags[:2]:
        shop.answer(bag)
    go(shop)
    return sum(b.statement.items for b in bags[:2])


def test_what_went_stays_with_who_withdrew_and_the_rest_goes_to_another(
    stopped: Stopped, tmp_path: Path
) -> None:
    gone = two_went(stopped)
    before = {b.name for b in stopped.bags()}
    withdrew(stopped)
    done = left(stopped)
    assert done is not None and sum(done.left.values()) == gone and len(done.left) == 2
    assert set(done.anew) == before - set(done.left) and stopped.bags() == []
    assert former.settle(stopped.house.desk, stopped.number, as_of=T0, actor="legal/zhao") is None, "once"
    other_takes_over(stopped, tmp_path)
    stopped.pack()
    assert not {b.name for b in stopped.bags()} & before, "no number is given twice"
    for bag in stopped.bags():
        stopped.answer(bag)
    go(stopped)
    assert visits(stopped.house) == 0
    found = stopped.look()
    (line,) = [x for x in found.lines if x.dataset == "u.visit"]
    assert line.balances and (line.located, line.transferred, line.deleted) == (60, 60, 0)
    company = done.company
    assert line.left == {company: gone} and line.told()["left"] == {company: gone}
    body = found.body()
    assert [(x["bag"], x["custodian"]) for x in body["left"]] == [(b, company) for b in sorted(done.left)]
    assert {x["custodian"] for x in body["bags"]} == {OTHER}
    proof = proving.ours(stopped.house.desk, found, as_of=T0, actor="ops/wu")
    assert [c.name for c in proof.against() if c.dataset == "u.visit"] == []
    there = residual(stopped.house.desk, stopped.number)
    assert [(e.company, e.items, e.settled) for e in there.elsewhere] == [(company, gone, True)]
    with stopped.house.desk.book() as conn:
        said = whereabouts.sentence(conn)
    assert f"已由{OTHER}" in said and f"此前已移交{company}（联系方式：{OFFICE}）" in said
    assert OFFICE not in json.dumps([b for _, b, _ in stopped.house.ledger])


def test_a_deletion_that_was_half_way_ends_and_takes_nothing_more(
    stopped: Stopped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    received(stopped)
    monkeypatch.setattr(workers, "Tables", partial(Tables, size=Pieces(7)))
    assert killed_at("clearing.after_commit", lambda at: go(stopped, at=at))
    here = visits(stopped.house)
    assert 0 < here < 60
    withdrew(stopped)
    with pytest.raises(Refused, match="takes over no more"):
        go(stopped)
    with pytest.raises(Refused, match="CASE-000001 is at its bags"):
        left(stopped)
    with pytest.raises(NotProved, match="something is left of"):
        go(stopped)
    assert visits(stopped.house) == here
    done = former.settle(stopped.house.desk, stopped.number, as_of=T0, actor="legal/zhao")
    assert done is not None and sum(done.left.values()) == 60 - here
    other_takes_over(stopped, tmp_path)
    stopped.pack()
    assert sum(b.items for b in stopped.bags() if b.statement.dataset == "u.visit") == here
    for bag in stopped.bags():
        stopped.answer(bag)
    go(stopped)
    assert visits(stopped.house) == 0
    (line,) = [x for x in stopped.look().lines if x.dataset == "u.visit"]
    assert line.balances and line.transferred == 60 and line.left == {done.company: 60 - here}


@pytest.mark.parametrize("seed", range(4))
def test_whenever_it_withdraws_each_item_ends_in_exactly_one_place(
    stopped: Stopped, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int, record_property: Any
) -> None:
    """Some bags are signed for; the deletion of our copy, and then the settling, are killed somewhere, or not."""
    drawn = random.Random(seed)
    stopped.pack()
    bags = [b for b in stopped.bags() if b.statement.dataset == "u.visit"]
    some = drawn.sample(bags, drawn.randint(1, len(bags)))
    for bag in some:
        stopped.answer(bag)
    monkeypatch.setattr(workers, "Tables", partial(Tables, size=Pieces(drawn.choice((3, 7, 60)))))
    point = drawn.choice(("clearing.after_commit", "bags.disposed", "bags.proved", None))
    killed = point is not None and killed_at(point, lambda at: go(stopped, at=at))
    if point is None:
        go(stopped)
    here = visits(stopped.house)
    withdrew(stopped)
    try:
        done = left(stopped)
    except Refused as refused:
        assert killed and "is at its bags" in str(refused)
        with suppress(NotProved):
            go(stopped)
        done = former.settle(stopped.house.desk, stopped.number, as_of=T0, actor="legal/zhao")
    assert visits(stopped.house) == here, "nothing more goes on its receipts"
    assert done is not None and sum(done.left.values()) == 60 - here
    record_property(
        "schedule",
        f"{len(some)} of {len(bags)} signed for, killed at {point}: {60 - here} of 60 are left there",
    )
    other_takes_over(stopped, tmp_path)
    stopped.pack()
    assert sum(b.items for b in stopped.bags() if b.statement.dataset == "u.visit") == here, "in one place"
    for bag in stopped.bags():
        stopped.answer(bag)
    if here:
        go(stopped)
    (line,) = [x for x in stopped.look().lines if x.dataset == "u.visit"]
    assert visits(stopped.house) == 0 and line.balances and line.transferred == 60
    assert line.left == {done.company: 60 - here}


@pytest.mark.parametrize("point", ["former.read", "former.before_commit"])
def test_killed_anywhere_it_is_settled_once(stopped: Stopped, point: str) -> None:
    gone = two_went(stopped)
    withdrew(stopped)
    for approver in TOLD.approvers:
        leaving.leave(
            stopped.house.desk, stopped.number, contact=OFFICE, paper=LETTER, as_of=T0, actor=approver
        )
    on = {"as_of": T0, "actor": "legal/zhao"}
    assert killed_at(point, lambda at: former.settle(stopped.house.desk, stopped.number, at=at, **on))  # type: ignore[arg-type]
    done = former.settle(stopped.house.desk, stopped.number, **on)  # type: ignore[arg-type]
    assert done is not None and sum(done.left.values()) == gone


def test_one_word_is_none_and_without_the_ministry_it_is_refused(stopped: Stopped) -> None:
    desk, on = stopped.house.desk, {"contact": OFFICE, "paper": LETTER, "as_of": T0}
    with pytest.raises(Refused, match="nobody withdrew"):
        leaving.leave(desk, stopped.number, actor=TOLD.approvers[0], **on)  # type: ignore[arg-type]
    two_went(stopped)
    orders.successor_withdrew(
        desk, stopped.number, paper=PAPER, ministry_asked=False, as_of=T0, actor="legal/zhao"
    )
    with pytest.raises(Refused, match="the ministry was not asked"):
        leaving.leave(desk, stopped.number, actor=TOLD.approvers[0], **on)  # type: ignore[arg-type]
    orders.ask_ministry(desk, stopped.number, paper=PAPER, as_of=T0, actor="legal/zhao")
    with pytest.raises(Refused, match="not one of the two"):
        leaving.leave(desk, stopped.number, actor="ops/wu", **on)  # type: ignore[arg-type]
    assert leaving.leave(desk, stopped.number, actor=TOLD.approvers[0], **on)  # type: ignore[arg-type]
    assert former.settle(desk, stopped.number, as_of=T0, actor="legal/zhao") is None
    another = on | {"paper": Paper("LX-8", "f" * 64)}
    assert leaving.leave(desk, stopped.number, actor=TOLD.approvers[1], **another)  # type: ignore[arg-type]
    assert former.settle(desk, stopped.number, as_of=T0, actor="legal/zhao") is None, "by the same document"
    assert {b.place for b, _ in stopped.look().bags if b.dataset == "u.visit"} == {Place.GONE, Place.WHOLE}


def test_of_what_nothing_went_the_order_is_withdrawn_and_nothing_left(stopped: Stopped) -> None:
    received(stopped)
    withdrew(stopped)
    with pytest.raises(Refused, match="nothing went here on its receipts"):
        left(stopped)


@pytest.mark.parametrize("point", ["orders.said", "orders.committed"])
def test_a_withdrawal_that_was_killed_is_said_by_running_it_again(ended: Ended, point: str) -> None:
    """Between the ledger and the book, and right after both."""
    on: dict[str, Any] = {"paper": PAPER, "ministry_asked": True, "as_of": T0, "actor": "legal/zhao"}
    assert killed_at(point, lambda at: orders.successor_withdrew(ended.desk, ended.number, at=at, **on))
    assert orders.successor_withdrew(ended.desk, ended.number, **on).successor is None
    with ended.desk.book() as conn:
        said = [e for e in orders.history(conn, ended.number) if e["what"] == "successor withdrew"]
    assert len(said) == 1
    with pytest.raises(Refused, match="no successor that could withdraw"):
        orders.successor_withdrew(ended.desk, ended.number, **(on | {"paper": LETTER}))


def test_the_certificate_names_who_keeps_what_and_is_checked_by_anybody(ended: Ended, tmp_path: Path) -> None:
    ended.hand_over_two()
    killed_at("orders.said", lambda at: orders.successor_withdrew(
        ended.desk, ended.number, paper=PAPER, ministry_asked=True, as_of=T0, actor="legal/zhao", at=at))  # fmt: skip
    withdrew(ended)
    done = left(ended)
    assert done is not None and done.left
    other_takes_over(ended, tmp_path)
    orders.pass_gate(
        ended.desk, ended.number, Gate.SUCCESSOR_TOLD, on=T0, paper=PAPER, as_of=T0, actor="legal/zhao"
    )
    ended.everything()
    made = ended.certificate()
    assert verify_service.verify_file(made.envelope.encode(), ended.pem).problems == []
    said = made.payload
    assert {b["bag"]: b["left"]["custodian"] for b in said["bags"] if "left" in b} == dict.fromkeys(
        done.left, done.company
    )
    assert said["successor"]["name"] == OTHER
    hand_over(ended.desk, ended.number, tmp_path / "ledger", as_of=T0, actor="ops/wu")
    assert verify_ledger.verify_directory(tmp_path / "ledger", ended.pem).ok
    some = next(n for n, b in enumerate(said["bags"]) if "left" in b)

    def changed(**more: Any) -> list[str]:
        forged = json.loads(verify.canonical(said))
        forged["bags"][some]["left"].update(more)
        found = {e["index"]: e for e in forged["entries"]}
        log = {i: json.loads(base64.b64decode(e["leaf"])) for i, e in found.items()}
        return list(verify_service_books.check_bags(forged, log))

    assert changed() == []
    assert any("the ledger says otherwise how much" in x for x in changed(items=1))
    assert any("not both approvers" in x for x in changed(document="LX-9"))
    assert any("not both approvers" in x for x in changed(custodian="Somebody Co"))
