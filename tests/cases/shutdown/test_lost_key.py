"""The key of the gathered identifiers is lost: gathered anew while nothing went, and afterwards both approvers answer for what
cannot be looked for, which the certificate and its verifier name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from include.cases.shutdown import lost_key, needles, orders
from include.cases.shutdown.told import Paper
from include.commands import _common as common
from include.commands import shutdown as command
from include.handover import estate, service_page
from include.ledger import verify_service
from include.model.errors import NotProved, NotReachable, Refused
from include.proofs import needles as searching
from tests.cases.restoring import killed_at
from tests.cases.shutdown.ended import Ended
from tests.cases.shutdown.test_closing import T0, company, gatekeeper
from tests.cases.shutdown.test_ending import case_book, ended, forged, handed, house
from tests.cases.shutdown.test_orders import TOLD
from tests.stores.postgres.conftest import new_company

pytestmark = pytest.mark.postgres
__all__ = ["case_book", "ended", "gatekeeper", "house", "new_company"]  # fixtures
WORD = Paper("D-5", "5" * 64)
GONE = f"{estate.UNSOUGHT}: the key of what was gathered is gone"


def lose(ended: Ended) -> None:
    for file in (ended.home / "keys").glob("needle-*"):
        file.unlink()


def declare(ended: Ended, who: str, paper: Paper = WORD) -> tuple[str, ...]:
    return lost_key.declare(ended.desk, ended.number, paper=paper, as_of=T0, actor=who)


def said(ended: Ended, what: str) -> list[dict[str, Any]]:
    with ended.desk.book() as conn:
        return [e["detail"] for e in orders.history(conn, ended.number) if e["what"] == what]


def refused(ended: Ended) -> str:
    with pytest.raises(NotProved) as because:
        ended.certificate()
    return str(because.value)


def of_it(p: dict[str, Any], **more: Any) -> None:
    p["unsought"][0].update(more)


FORGERIES: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda p: p.pop("unsought"), "the look through the estate did not pass: needle.company is unverified"),
    (lambda p: p["unsought"].clear(), "the look through the estate did not pass: needle.company is unverified"),
    (lambda p: p["unsought"].append({**p["unsought"][0], "store": "other"}), "other is told as not looked through"),
    (lambda p: of_it(p, why="nobody cared"), "the look through the estate did not pass: needle.company is unverified"),
    (lambda p: of_it(p, document="D-6"), "identifiers in company: the answer that the ledger has is another"),
    (lambda p: of_it(p, digest="0" * 64), "identifiers in company: the answer that the ledger has is another"),
    (lambda p: of_it(p, answered_on="2026-01-01"), "identifiers in company: the answer that the ledger has is another"),
    (lambda p: of_it(p, identifiers=0), "identifiers in company: by the ledger another number of them was gathered"),
    (lambda p: of_it(p, entries=p["unsought"][0]["entries"][:1] * 2), "not both approvers of the order answer for it"),
    (lambda p: of_it(p, entries=p["unsought"][0]["entries"][:1]), "not both approvers of the order answer for it"),
    (lambda p: of_it(p, entries=[]), "not both approvers of the order answer for it"),
    (lambda p: of_it(p, entries=[p["proofs"]["closed"]] * 2), "does not say 'key of identifiers declared lost'"),
    (lambda p: of_it(p, gathered=p["proofs"]["closed"]), "does not say 'identifiers gathered'"),
    (lambda p: p["unsought"][0].pop("why"), "its unsought"),
]  # fmt: skip


def test_both_approvers_answer_for_it_and_the_certificate_names_it(ended: Ended) -> None:
    one, two = TOLD.approvers
    with pytest.raises(Refused, match="the key is there"):
        declare(ended, one)
    ended.everything()
    lose(ended)
    assert f"estate needle.company: unverified, {GONE}" in refused(ended)
    with pytest.raises(Refused, match="not one of the two who approved"):
        declare(ended, "ops/wu")
    assert declare(ended, one) == (two.partition("/")[0],) == declare(ended, one)
    assert f"needle.company: unverified, {GONE}" in refused(ended), "one alone does not"
    assert declare(ended, two, Paper("D-6", "6" * 64)) == (one.partition("/")[0],)
    assert "needle.company: unverified" in refused(ended), "nor two by different documents"
    assert declare(ended, two) == ()
    # No answer covers anything else that the look finds, or cannot see.
    ((oid,),) = company(ended.house, "SELECT lo_from_bytea(0, 'x')")
    assert "estate undeclared.company.large_objects: failed" in refused(ended)
    company(ended.house, f"SELECT lo_unlink({oid})")
    made = ended.certificate()
    (unsought,) = made.payload["unsought"]
    assert (unsought["store"], unsought["why"], unsought["document"], unsought["digest"], unsought["answered_on"]) == (
        "company", GONE, "D-5", "5" * 64, T0.isoformat(),
    )  # fmt: skip
    assert unsought["identifiers"] == said(ended, needles.GATHERED)[0]["identifiers"] > 0
    report = verify_service.verify_file(made.envelope.encode(), ended.pem)
    assert (
        report.problems == []
        and f"identifiers of others in company: {GONE} (answered for by D-5" in report.said["not looked for"]
    )
    text = service_page.page(made)
    assert (
        "未能查找之标识 · Identifiers that could not be looked for" in text
        and "but for the identifiers named above" in text
    )
    forged(ended, made.payload, FORGERIES)
    handed(ended)


def test_an_answer_ends_with_the_loss(ended: Ended) -> None:
    """The key store was restored: then it is looked for, and what is found counts."""
    ended.everything()
    kept = {f: f.read_bytes() for f in (ended.home / "keys").glob("needle-*")}
    lose(ended)
    for who in TOLD.approvers:
        declare(ended, who)
    for file, content in kept.items():
        file.write_bytes(content)
    made = ended.certificate()
    assert "unsought" not in made.payload
    assert verify_service.verify_file(made.envelope.encode(), ended.pem).problems == []


def test_while_nothing_went_they_are_gathered_anew(ended: Ended, monkeypatch: pytest.MonkeyPatch) -> None:
    ended.hand_over()
    lose(ended)
    with pytest.raises(Refused, match=r"key of the gathered identifiers is lost.*close-collection` again"):
        ended.delete_source()
    with pytest.raises(Refused, match="can be gathered anew"):
        declare(ended, TOLD.approvers[0])
    first = said(ended, needles.GATHERED)[0]["identifiers"]

    def killed(*_: Any) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(searching, "gather", killed)
        with pytest.raises(KeyboardInterrupt):
            needles.gather(ended.desk, ended.number, as_of=T0, actor="ops/wu")
    with ended.desk.book() as conn:
        assert needles.owners(ended.desk, conn, ended.number) is None, "a part of them is none"
    with pytest.raises(Refused, match="were not gathered yet"):
        ended.delete_source()
    assert needles.gather(ended.desk, ended.number, as_of=T0, actor="ops/wu") == first > 0
    assert said(ended, needles.GATHERED)[1] == {"identifiers": first, "anew": True}
    assert needles.gather(ended.desk, ended.number, as_of=T0, actor="ops/wu") is None
    ended.delete_source()
    ended.tell_everybody()
    assert "unsought" not in ended.certificate().payload


def test_a_case_that_was_killed_before_its_receipts_came_is_too_late(ended: Ended) -> None:
    from include.handover import clearing

    ended.hand_over()
    assert killed_at(
        "clearing.after_commit",
        lambda at: clearing.run(ended.desk, ended.number, as_of=T0, actor="ops/wu", at=at),
    )
    lose(ended)
    assert needles.gather(ended.desk, ended.number, as_of=T0, actor="ops/wu") is None, (
        "some are gone: they cannot be gathered"
    )
    ended.delete_source()
    assert declare(ended, TOLD.approvers[0])


def test_a_key_store_that_is_away_is_no_loss(ended: Ended) -> None:
    ended.everything()
    (ended.home / "keys").rename(ended.home / "away")
    with pytest.raises(NotReachable):
        declare(ended, TOLD.approvers[0])
    (ended.home / "away").rename(ended.home / "keys")
    with pytest.raises(Refused, match="the key is there"):
        declare(ended, TOLD.approvers[0])


def test_on_the_command_line(ended: Ended, monkeypatch: pytest.MonkeyPatch) -> None:
    ended.everything()
    lose(ended)
    scan = ended.home / "scan.pdf"
    scan.write_bytes(b"the disks burnt")
    who = [TOLD.approvers[0]]
    monkeypatch.setattr(common, "desk", lambda: ended.desk)
    monkeypatch.setattr(common, "today", lambda: T0)
    monkeypatch.setattr(common, "me", lambda role: who[0])

    def run() -> tuple[int, str]:
        words = ["declare-lost", ended.number, "--document", "D-5", "--file", str(scan)]
        ran = CliRunner().invoke(command.app, words, catch_exceptions=False)
        return ran.exit_code, ran.output

    code, text = run()
    assert (
        code == 1
        and "is declared lost" in text
        and f"waits for {TOLD.approvers[1].partition('/')[0]}" in text
    )
    who[0] = TOLD.approvers[1]
    assert run()[0] == 0
