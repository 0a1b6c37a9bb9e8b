"""A receipt with differences that comes after the service's certificate: it is named, the certificate stays what it is, and the
ledger is handed over once the successor signed anew or both approvers of the order answer for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from include.cases.shutdown.told import Paper
from include.commands import _common as common
from include.commands import shutdown as command
from include.handover import late, receipts, register
from include.handover.ledger_bag import hand_over
from include.ledger import attest, verify_service
from include.model.errors import BooksDoNotBalance, NotProved, Refused
from include.model.handover import BagReceipt, Differences
from include.model.times import observed_now
from tests.cases.shutdown.ended import Ended
from tests.cases.shutdown.test_closing import T0, gatekeeper
from tests.cases.shutdown.test_ending import case_book, ended, house
from tests.cases.shutdown.test_orders import TOLD
from tests.stores.postgres.conftest import new_company

pytestmark = pytest.mark.postgres
__all__ = ["case_book", "ended", "gatekeeper", "house", "new_company"]  # fixtures
WORD = Paper("D-9", "9" * 64)


def differs(ended: Ended, bag: register.Bag) -> None:
    of = bag.statement
    said = BagReceipt(
        order=of.order, bag=of.bag, statement=attest.digest(bag.payload), items=of.items - 1, root="0" * 64,
        differences=Differences(missing=("c" * 64,)), custodian=of.successor, stored_at=observed_now(),
    )  # fmt: skip
    with ended.desk.book() as conn:
        conn.autocommit = True
        with pytest.raises(BooksDoNotBalance, match="send --again"):
            receipts.verify(
                conn, ended.consignment, bag.name, ended.theirs(said.canonical()), actor="ops/wu", record=ended.desk.record
            )  # fmt: skip


def newest(ended: Ended) -> int:
    with ended.desk.book() as conn:
        return late.differences(conn, ended.number)[-1].number


def accept(ended: Ended, who: str, *, paper: Paper = WORD, upto: int | None = None) -> tuple[str, ...]:
    upto = newest(ended) if upto is None else upto
    return late.accept(ended.desk, ended.number, newest=upto, paper=paper, as_of=T0, actor=who)[1]


def hand(ended: Ended, name: str) -> Path:
    return hand_over(ended.desk, ended.number, ended.home / name, as_of=T0, actor="ops/wu").directory


def checked(ended: Ended, out: Path) -> str:
    ran = subprocess.run(
        [sys.executable, "data/verifier/verify_ledger.py", ".", "--key", str(ended.home / "signer" / "pub.pem")], cwd=out,
        env={"PATH": "/usr/bin"}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture
def certified(ended: Ended) -> Ended:
    ended.everything()
    ended.certificate()
    return ended


def visits(ended: Ended) -> list[register.Bag]:
    return [b for b in ended.bags() if b.statement.dataset == "u.visit"]


def test_both_approvers_answer_for_it_and_the_ledger_goes_on(certified: Ended) -> None:
    made, bag = certified.certificate(), visits(certified)[0]
    assert "after it" not in checked(certified, hand(certified, "before"))
    differs(certified, bag)
    with pytest.raises(
        Refused, match=rf"name differences: {bag.name}: 1 missing, 0 changed, 0 too many.*accept-differences"
    ):
        hand(certified, "handed")
    assert not (certified.home / "handed").exists()
    with pytest.raises(Refused, match="not one of the two who approved"):
        accept(certified, "ops/wu")
    one, two = TOLD.approvers
    assert accept(certified, one) == (two.partition("/")[0],) == accept(certified, one), "once is enough"
    with pytest.raises(Refused, match="name differences"):
        hand(certified, "handed")
    assert accept(certified, two, paper=Paper("D-10", "8" * 64)) == (one.partition("/")[0],), (
        "another document is another word"
    )
    with pytest.raises(Refused, match="name differences"):
        hand(certified, "handed")
    assert accept(certified, two) == ()
    said = checked(certified, hand(certified, "handed"))
    assert (
        f"after it: a receipt for bag {bag.name} that names differences: answered for by D-9, ledger entries"
        in said
    )
    with pytest.raises(Refused, match="no receipt names a difference"):
        accept(certified, one)
    # Another one is another question.
    upto = newest(certified)
    differs(certified, visits(certified)[1])
    with pytest.raises(Refused, match=r"came since: 1 missing"):
        accept(certified, one, upto=upto)
    with pytest.raises(Refused, match="name differences"):
        hand(certified, "again")
    assert certified.certificate() == made
    assert verify_service.verify_file(made.envelope.encode(), certified.pem).problems == []


def test_the_successor_signs_anew_and_that_is_named(certified: Ended) -> None:
    bag = visits(certified)[-1]
    differs(certified, bag)
    certified.sign_for(bag)
    said = checked(certified, hand(certified, "handed"))
    assert (
        f"after it: a receipt for bag {bag.name} that names differences: signed anew without, ledger entry"
        in said
    )


def test_before_the_certificate_it_is_refused_and_nobody_answers_for_that(ended: Ended) -> None:
    ended.everything()
    bag = visits(ended)[0]
    differs(ended, bag)
    with pytest.raises(
        NotProved, match=f"{bag.name}: .*deleted here by CASE-000001 before the successor said so"
    ):
        ended.certificate()
    with pytest.raises(Refused, match="no certificate yet"):
        accept(ended, TOLD.approvers[0])
    ended.sign_for(bag)
    assert verify_service.verify_file(ended.certificate().envelope.encode(), ended.pem).problems == []


def test_on_the_command_line(certified: Ended, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = certified.home / "scan.pdf"
    scan.write_bytes(b"we looked, and it is lost")
    who = [TOLD.approvers[0]]
    monkeypatch.setattr(common, "desk", lambda: certified.desk)
    monkeypatch.setattr(common, "today", lambda: T0)
    monkeypatch.setattr(common, "me", lambda role: who[0])

    def run(*more: Any) -> tuple[int, str]:
        ran = CliRunner().invoke(
            command.app, ["accept-differences", certified.number, *map(str, more)], catch_exceptions=False
        )
        return ran.exit_code, ran.output

    assert run() == (0, f"{certified.number}: no receipt names a difference that nobody answers for\n")
    bag = visits(certified)[0]
    differs(certified, bag)
    n = newest(certified)
    code, said = run()
    assert (
        code == 1
        and f"differs {bag.name}: 1 missing, 0 changed, 0 too many (receipt {n})" in said
        and f"--receipts {n}" in said
    )
    words = ("--receipts", n, "--document", "D-9", "--file", scan)
    code, said = run(*words)
    assert code == 1 and "waits for" in said
    who[0] = TOLD.approvers[1]
    assert run(*words) == (
        0,
        f"{certified.number}: answered for {bag.name}: 1 missing, 0 changed, 0 too many\n",
    )
