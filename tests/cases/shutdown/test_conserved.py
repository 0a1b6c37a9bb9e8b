"""A suite over the case book judges the books of a shutdown, and sees what is planted in them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from include.cases.shutdown import orders
from include.handover import books, clearing, proving
from include.handover.conservation import Kind, Reason
from include.model.errors import NotProved
from include.model.words import Verdict
from tests.cases.shutdown.test_books import Stopped, stopped
from tests.cases.shutdown.test_closing import T0, gatekeeper
from tests.proofs.controls import control

pytestmark = pytest.mark.postgres
__all__ = ["gatekeeper", "stopped"]  # fixtures
VISIT = ".u.visit"


@pytest.fixture
def owner(case_book: str, pg18: Any) -> str:
    return str(pg18.conninfo(case_book))


@pytest.fixture
def over(stopped: Stopped) -> Stopped:
    """The shop whose visits the successor has, and nobody else."""
    stopped.pack()
    for bag in stopped.bags():
        stopped.answer(bag)
    clearing.run(stopped.house.desk, stopped.number, as_of=T0, actor="ops/wu")
    return stopped


def prove(of: Stopped, found: books.Books | None = None) -> proving.Proof:
    return proving.ours(of.house.desk, found or of.look(), as_of=T0, actor="ops/wu")


def against(proof: proving.Proof) -> set[str]:
    return {c.name for c in proof.checks if c.verdict is Verdict.FAILED and c.name.endswith(VISIT)}


def planted(of: Stopped, owner: str, change: Callable[[dict[str, Any]], None]) -> proving.Proof:
    """The books, and a later event of them by somebody who made them fit."""
    found = of.look()
    with psycopg.connect(owner) as conn:
        row = conn.execute(
            "SELECT as_of, actor, detail FROM casebook.shutdown_event WHERE what = 'books' ORDER BY event_id DESC LIMIT 1"
        ).fetchone()
        assert row is not None
        (line,) = [x for x in row[2]["lines"] if x["dataset"] == "u.visit"]
        change(line)
        conn.execute(
            "INSERT INTO casebook.shutdown_event (number, as_of, actor, what, detail) VALUES (%s, %s, %s, 'books', %s)",
            (of.number, row[0], row[1], json.dumps(row[2])),
        )
    return prove(of, found)


def test_what_is_conserved_passes_and_is_said(over: Stopped) -> None:
    proof = prove(over)
    mine = {c.name: c.verdict for c in proof.checks if c.name.endswith(VISIT)}
    assert set(mine) == {f"{w}{VISIT}" for w in ("sums", "open", "located", "roots", "signed")}
    assert set(mine.values()) == {Verdict.PASSED}
    kind, body, _ = over.house.ledger[-1]
    assert (kind, body["what"]) == (orders.KIND, proving.PROVED)
    assert [f"roots{VISIT}", "passed", 0, 0] in body["checks"]
    # Accounts are to be deleted, and are still here: the whole is not conserved yet, and nothing says that it is.
    assert proof.verdict is Verdict.FAILED and {c.name for c in proof.against()} >= {
        "open.a.account",
        "sums.a.account",
    }
    with pytest.raises(NotProved, match=r"sums\.a\.account"):
        proving.proved(proof)


@control("conservation", "open", "postgres")
@control("conservation", "sums", "postgres")
def test_what_is_in_both_places_is_seen(stopped: Stopped) -> None:
    stopped.pack()
    for bag in stopped.bags():
        stopped.answer(bag)
    assert against(prove(stopped)) == {f"{w}{VISIT}" for w in ("open", "signed", "sums")}


@control("conservation", "roots", "postgres")
def test_one_bag_without_a_receipt_or_with_another_root_is_seen(stopped: Stopped) -> None:
    stopped.pack()
    visits = [b for b in stopped.bags() if b.statement.dataset == "u.visit"]
    for bag in stopped.bags():
        if bag.name != visits[0].name:
            stopped.answer(bag)
    assert f"roots{VISIT}" in against(prove(stopped))


@control("conservation", "sums", "postgres")
def test_a_line_that_does_not_add_up_is_seen(over: Stopped, owner: str) -> None:
    assert against(planted(over, owner, lambda x: x.update(retained=1))) == {f"sums{VISIT}"}


@control("conservation", "located", "postgres")
def test_a_line_that_was_made_to_fit_is_seen(over: Stopped, owner: str) -> None:
    fit = planted(over, owner, lambda x: x.update(located=x["located"] - 1, transferred=x["transferred"] - 1))
    assert against(fit) == {f"located{VISIT}", f"signed{VISIT}"}


@control("conservation", "signed", "postgres")
def test_more_transferred_than_was_signed_for_is_seen(over: Stopped, owner: str) -> None:
    more = planted(over, owner, lambda x: x.update(transferred=x["transferred"] + 1, deleted=-1))
    assert against(more) == {f"signed{VISIT}"}


@control("conservation", "open", "postgres")
def test_what_the_books_name_is_seen(over: Stopped, owner: str) -> None:
    named = planted(
        over, owner, lambda x: x.update(reasons=[{"kind": "wrong", "why": "?", "items": 1, "bag": ""}])
    )
    assert against(named) == {f"open{VISIT}"}


def test_a_dataset_that_no_line_is_about_does_not_pass(over: Stopped, owner: str) -> None:
    gone = planted(over, owner, lambda x: x.update(dataset="u.nothing"))
    assert against(gone) == {f"{w}{VISIT}" for w in ("sums", "located", "signed")}


def test_what_could_not_be_asked_is_unverified(over: Stopped) -> None:
    found = over.look()
    (line,) = [x for x in found.lines if x.dataset == "u.visit"]
    unasked = replace(line, reasons=(Reason(Kind.UNASKED, "the store does not answer", 0),))
    proof = prove(over, replace(found, lines=(unasked,)))
    mine = [c for c in proof.checks if c.name.endswith(VISIT)]
    assert [(c.name, c.verdict, c.why) for c in mine] == [
        (f"sums{VISIT}", Verdict.UNVERIFIED, "the store does not answer")
    ]
