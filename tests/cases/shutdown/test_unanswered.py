"""The ledger is not handed to its custodian over what people asked for and nobody answered: neither what was decided since the
last morning run, nor a request that is not signed, sent or answered."""

from __future__ import annotations

from typing import Any

import pytest
from typer.testing import CliRunner

from include.cases.shutdown.told import Paper
from include.commands import _common as common
from include.commands import shutdown as command
from include.handover import passing_on, register, requests, unpassed
from include.ledger import attest as attesting
from include.ledger import verify_ledger
from include.model.errors import Refused
from include.model.handover import Differences, RequestReceipt
from include.model.times import observed_now
from tests.cases.shutdown.ended import Ended
from tests.cases.shutdown.test_closing import T0, gatekeeper
from tests.cases.shutdown.test_ending import case_book, ended, house
from tests.cases.shutdown.test_late_difference import WORD, certified, hand, visits
from tests.cases.shutdown.test_orders import TOLD
from tests.handover.both import Attesting
from tests.stores.postgres.conftest import new_company

pytestmark = pytest.mark.postgres
__all__ = ["case_book", "certified", "ended", "gatekeeper", "house", "new_company"]  # fixtures


def asks(ended: Ended, token: bytes, bag: register.Bag) -> None:
    """Somebody without an account here, who owns the first item of a bag."""
    with ended.desk.book() as conn, conn.transaction():
        leaf = (register.leaves(conn, bag) or [])[0]
        conn.execute(
            "INSERT INTO casebook.handover_owner (order_no, bag, token, leaves) VALUES (%s, %s, %s, %s)",
            (ended.number, bag.name, token, leaf),
        )
        conn.execute(
            "WITH r AS (INSERT INTO casebook.shutdown_request (number, asked_on, channel, method, fields, recorded_by)"
            " VALUES (%(n)s, %(on)s, 'letter', 'signed_with_certificate', '{PI-001}', 'support/li') RETURNING request)"
            " INSERT INTO casebook.shutdown_request_token (number, token, request) SELECT %(n)s, %(t)s, request FROM r",
            {"n": ended.number, "on": T0, "t": token},
        )


def known(ended: Ended) -> None:
    """Of the other bags it is kept whose their items are, too: somebody's who does not ask."""
    with ended.desk.book() as conn, conn.transaction():
        for bag in ended.bags():
            conn.execute(
                "INSERT INTO casebook.handover_owner (order_no, bag, token, leaves) VALUES (%s, %s, %s, %s)",
                (ended.number, bag.name, b"n" * 32, b"l" * 32),
            )


def tokens(ended: Ended) -> int:
    """Of people, in the book: of owners and of who asked."""
    with ended.desk.book() as conn:
        row = conn.execute(
            "SELECT (SELECT count(*) FROM casebook.handover_owner) + (SELECT count(*) FROM casebook.shutdown_request_token) AS n"
        ).fetchone()
    return int(row["n"]) if row else 0


def accept(ended: Ended, who: str, items: int, paper: Paper = WORD) -> tuple[str, ...]:
    return unpassed.accept(ended.desk, ended.number, items=items, paper=paper, as_of=T0, actor=who)[1]


def test_the_ledger_waits_until_every_request_is_answered(certified: Ended) -> None:
    known(certified)
    bag = visits(certified)[0]
    asks(certified, b"t" * 32, bag)
    with pytest.raises(Refused, match=rf"{bag.name}: 1 items, not asked for yet.*accept-unanswered"):
        hand(certified, "handed")
    assert not (certified.home / "handed").exists()
    attest = Attesting(certified.home / "ours", "ours")
    assert passing_on.ask(certified.desk, certified.consignment, attest, as_of=T0, actor="ops/wu").made
    with pytest.raises(Refused, match=rf"{bag.name}-0001: 1 items asked for, not answered"):
        hand(certified, "handed")
    with certified.desk.book() as conn, conn.transaction():
        (made,) = requests.of_order(conn, certified.number)
        requests.sent(conn, made)
    file = answered(certified, made, bag)
    assert tokens(certified) > 0
    out = hand(certified, "handed")
    assert tokens(certified) == 0, "who asked, and whose it was, is nobody's to know any more"
    hand(certified, "again")
    # With what it signed, which is verified by its key, and word for word.
    assert (out / "data/receipts" / f"{attesting.digest(file)}.json").read_bytes() == file
    assert verify_ledger.verify_directory(out, certified.pem).problems == []
    (out / "data/receipts" / f"{attesting.digest(file)}.json").unlink()
    found = verify_ledger.verify_directory(out, certified.pem).problems
    assert any(f"what the successor signed of bag {bag.name} is not here" in x for x in found), found


def answered(ended: Ended, of: requests.Request, bag: register.Bag) -> bytes:
    """The successor's answer that all of it is gone there, believed."""
    said = RequestReceipt(
        order=ended.number, bag=bag.name, request=of.said.request, digest=attesting.digest(of.payload),
        deleted=len(of.said.asked), items=bag.statement.items, root=bag.statement.root, differences=Differences(),
        custodian=ended.consignment.successor.name, done_at=observed_now(),
    )  # fmt: skip
    file = ended.theirs(said.canonical())
    with ended.desk.book() as conn:
        conn.autocommit = True
        passing_on.verify(conn, ended.consignment, of.name, file, actor="ops/wu", record=ended.desk.record)
    return file


def test_who_asks_while_the_ledger_is_written_stops_it(
    certified: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(certified)
    bag = visits(certified)[0]
    from include.handover import ledger_bag

    def at(point: str) -> None:
        if point == "ledger.written":
            asks(certified, b"t" * 32, bag)

    with pytest.raises(Refused, match="not asked for yet"):
        ledger_bag.hand_over(
            certified.desk, certified.number, certified.home / "handed", as_of=T0, actor="ops/wu", at=at
        )
    assert not (certified.home / "handed").exists()


def test_both_approvers_answer_for_a_successor_that_does_not(
    certified: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(certified)
    bag, other = visits(certified)[:2]
    one, two = TOLD.approvers
    with pytest.raises(Refused, match="no request is open"):
        accept(certified, one, 1)
    asks(certified, b"t" * 32, bag)
    with pytest.raises(Refused, match="1 items are open by now"):
        accept(certified, one, 2)
    with pytest.raises(Refused, match="not one of the two who approved"):
        accept(certified, "ops/wu", 1)
    assert accept(certified, one, 1) == (two.partition("/")[0],)
    with pytest.raises(Refused, match="not asked for yet"):
        hand(certified, "handed")
    assert accept(certified, two, 1) == ()
    asks(certified, b"u" * 32, other)
    with pytest.raises(Refused, match=rf"{other.name}: 1 items"):
        hand(certified, "handed")  # another is another question
    scan = certified.home / "scan.pdf"
    scan.write_bytes(b"it does not answer")
    who = [one]
    monkeypatch.setattr(common, "desk", lambda: certified.desk)
    monkeypatch.setattr(common, "today", lambda: T0)
    monkeypatch.setattr(common, "me", lambda role: who[0])

    def run(*more: Any) -> tuple[int, str]:
        ran = CliRunner().invoke(
            command.app, ["accept-unanswered", certified.number, *map(str, more)], catch_exceptions=False
        )
        return ran.exit_code, ran.output

    code, said = run()
    assert code == 1 and f"{other.name}: 1 items, not asked for yet" in said and "--items 2" in said
    words = ("--items", 2, "--document", "D-10", "--file", scan)
    assert run(*words)[0] == 1
    who[0] = two
    assert run(*words)[0] == 0
    hand(certified, "handed")
