"""The end beside other runs and cases: issued once, never said to be certified in vain, and what else took something is named."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import pytest

from include.cases import backups, certificates, certifying, provers, verbs
from include.cases.shutdown import breaker, closing, disposing, orders
from include.handover import service_certificate, service_page, unpassed
from include.handover.ledger_bag import hand_over
from include.ledger import log, verify_ledger, verify_service
from include.ledger.sequencer import sequence
from include.ledger.verify import said_in
from include.model.backups import BackupCopy, CopyOf
from include.model.errors import NotProved, Refused
from include.model.estate import Bound
from tests.cases.backed import SET
from tests.cases.resting import begun_unasked
from tests.cases.restoring import killed_at
from tests.cases.shutdown.ended import Ended, Ledgered, stop
from tests.cases.shutdown.test_closing import PAPER, T0, gatekeeper
from tests.cases.shutdown.test_ending import (
    LI,
    OVER,
    case_book,
    ended,
    forged_so,
    house,
    new_company,
    refused,
)
from tests.cases.shutdown.test_orders import TOLD

pytestmark = pytest.mark.postgres
__all__ = ["case_book", "ended", "gatekeeper", "house", "new_company"]  # fixtures


@pytest.mark.parametrize("point", ["service.recorded", "service.signed", "service.dropped"])
def test_killed_anywhere_it_is_issued_once(ended: Ended, point: str) -> None:
    ended.everything()
    assert killed_at(point, lambda at: ended.certificate(at=at))
    made = ended.certificate()
    assert verify_service.verify_file(made.envelope.encode(), ended.pem).ok
    assert ended.house.sql("SELECT count(*) FROM casebook.shutdown_certificate") == [(1,)]
    with ended.desk.book() as conn:
        assert orders.order(conn, ended.number).state == "ended"


@pytest.mark.parametrize("point", ["before", "service.signed"])
def test_of_two_runs_at_once_one_issues_it(ended: Ended, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    """The other comes all the way in between, and is killed before the order has ended."""
    ended.everything()

    def other() -> None:
        monkeypatch.undo()
        assert killed_at("service.dropped", lambda at: ended.certificate(at=at))

    if point == "before":
        facts = service_certificate.facts

        def meanwhile(*of: Any) -> dict[str, Any]:
            said = facts(*of)
            other()
            return said

        monkeypatch.setattr(service_certificate, "facts", meanwhile)
        made = ended.certificate()
    else:
        made = ended.certificate(at=lambda here: other() if here == point else None)
    assert ended.house.sql("SELECT serial FROM casebook.shutdown_certificate") == [(made.serial,)]
    assert verify_service.verify_file(made.envelope.encode(), ended.pem).problems == []


def certified_in_the_log(ended: Ended) -> int:
    (row,) = ended.house.sql("SELECT count(*) FROM casebook.shutdown_event WHERE what = 'certified'")
    with certifying.ledger_desk(ended.desk) as ledger:
        sequence(ledger.sequencer)
        said = [e for e in log.entries_of_kind(ledger.reader, "shutdown") if e.body["what"] == "certified"]
    assert row == (len(said),)
    return len(said)


def test_what_would_be_refused_is_not_said_to_be_certified(
    ended: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run looks once more while the certificate is made, so it would not rest on the last look."""
    ended.everything()
    facts = service_certificate.facts

    def meanwhile(*of: Any) -> dict[str, Any]:
        said = facts(*of)
        closing.prove(ended.desk, ended.number, as_of=T0, actor="system/airflow")
        return said

    monkeypatch.setattr(service_certificate, "facts", meanwhile)
    assert "says 'collection looked at' once more" in refused(ended)
    assert certified_in_the_log(ended) == 0
    monkeypatch.setattr(service_certificate, "facts", lambda *of: {**facts(*of), "custodian": "Attic Co"})
    assert "its custodian is another" in refused(ended)
    monkeypatch.setattr(service_certificate, "facts", lambda *of: {**facts(*of), "cases": []})
    assert "no case took it away here" in refused(ended)
    assert certified_in_the_log(ended) == 0
    monkeypatch.undo()
    assert ended.certificate().serial == 1 and certified_in_the_log(ended) == 1


def test_a_bag_that_is_signed_for_once_more_went_after_its_first_receipt(ended: Ended) -> None:
    ended.everything()
    for bag in ended.bags():
        ended.sign_for(bag)
    made = ended.certificate()
    (case,) = made.payload["cases"]
    assert all(b["first"] < case["begun"] < b["entry"] for b in made.payload["bags"])
    assert verify_service.verify_file(made.envelope.encode(), ended.pem).problems == []
    late = copy.deepcopy(made.payload)
    late["bags"][-1]["first"] = late["bags"][-1]["entry"]
    forged_so(ended, late, "its source began to go before the successor had signed for it")
    hand_over(ended.desk, ended.number, ended.home / "handed", as_of=T0, actor="ops/wu")


def backed(ended: Ended, made_on: date) -> Ledgered:
    """Its store has a backup set, in which a copy of that day reaches back."""
    house = ended.house
    assert isinstance(house, Ledgered)
    house.company = replace(
        house.company, catalogue=house.company.catalogue.model_copy(update={"backups": (SET,)})
    )
    made = datetime.combine(
        made_on, time(1), UTC
    )  # the day is ahead of the clock here, and so is the copy's own
    house.repository.copies = (BackupCopy("old", CopyOf.FULL, 1, 2, 1, made, made, "x"),)
    return house


def test_another_case_that_took_something_is_named_with_what_it_waits_for(ended: Ended) -> None:
    house = backed(ended, OVER)
    ended.hand_over()
    deeds = (
        verbs.rehearse, verbs.restrict, provers.prove_restricted, verbs.settle_and_plan, provers.prove_baseline,
        provers.carry_out, provers.prove_gone, provers.prove_undeclared, verbs.balance, verbs.open_backup_track, verbs.rest,
        verbs.certify,
    )  # fmt: skip
    other = begun_unasked(ended.desk, [LI], deeds, as_of=OVER, actor="system/test")
    ended.follow_notices(OVER)
    ended.delete_source()
    ended.tell_everybody()
    house.repository.copies = ()
    backups.look(ended.desk, as_of=T0, actor="system/airflow")
    made = ended.certificate()
    (named,) = made.payload["others"]
    assert (named["case"], named["final"]) == (other, False) and named["items"] >= 7
    assert [w["backup_set"] for w in named["waits"]] == ["nightly"]
    report = verify_service.verify_file(made.envelope.encode(), ended.pem)
    assert (
        report.problems == [] and other in report.said["also went"] and "nightly" in report.said["in backups"]
    )
    text = service_page.page(made)
    assert other in text and "中期 interim" in text and "备份 backups nightly" in text
    for forge, problem in OF_ANOTHER:
        p = copy.deepcopy(made.payload)
        forge(p)
        forged_so(ended, p, problem)
    out = ended.home / "handed"
    with pytest.raises(
        Refused, match=r"book\.tombstone: 1 items, made since tombstones were packed, and not sent"
    ):
        hand_over(ended.desk, ended.number, out, as_of=T0, actor="ops/wu")
    for approver in TOLD.approvers:  # whom that case deleted the successor does not hear of
        unpassed.accept(ended.desk, ended.number, items=1, paper=PAPER, as_of=T0, actor=approver)
    hand_over(ended.desk, ended.number, out, as_of=T0, actor="ops/wu")


OF_ANOTHER: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda p: p["others"].clear(), "items are not here any more, and the cases that are named took"),
    (lambda p: p["others"][0].update(serial=2), "the log has another certificate of it"),
    (lambda p: p["others"][0].update(final=True), "its certificate is told as final, and it waits"),
    (lambda p: p["others"].append(p["others"][0]), "is told 2 times"),
]  # fmt: skip


def test_what_goes_to_nobody_went_by_cases_that_are_named(house: Ledgered, tmp_path: Path) -> None:
    """Tickets, notes and an account are of no law; nine accounts are cut to keys, at which clicks point that stay."""
    free = ("a.account", "s.ticket", "s.note")
    datasets = tuple(
        d.model_copy(update={"binds": (Bound(rule="RS-01"),)}) if d.id in free else d
        for d in house.company.catalogue.datasets
    )
    house.company = replace(
        house.company, catalogue=house.company.catalogue.model_copy(update={"datasets": datasets})
    )
    ended = stop(house, tmp_path)
    for who in TOLD.approvers:
        breaker.approve(ended.desk, ended.number, as_of=T0, actor=who)
    ended.everything()
    disposing.run(ended.desk, ended.number, as_of=T0, actor="ops/wu")
    made = ended.certificate()
    assert {x["dataset"]: x["deleted"] for x in made.payload["books"] if x["deleted"]} == {
        "a.account": 1, "s.ticket": 8, "s.note": 8,
    }  # fmt: skip
    assert sorted(c["items"] for c in made.payload["cases"]) == [17, 60] and made.payload["others"] == []
    report = verify_service.verify_file(made.envelope.encode(), ended.pem)
    assert report.problems == []


def test_it_waits_for_the_backups_horizon(ended: Ended) -> None:
    house = backed(ended, T0)
    ended.everything()
    with pytest.raises(
        NotProved, match=r"CASE-000001: backups nightly: copies in this backup set reach back .*, by 20"
    ):
        ended.certificate()
    house.repository.copies = ()
    assert not backups.look(ended.desk, as_of=T0, actor="system/airflow").alarms
    said = ended.certificate()
    (copied,) = said.payload["copies"]
    assert (copied["backup_set"], copied["gone_on"]) == ("nightly", T0.isoformat()) and copied["evidence"]
    assert verify_service.verify_file(said.envelope.encode(), ended.pem).problems == []
    without = {**said.payload, "copies": []}
    forged_so(ended, without, "the order had other backup sets")
    with ended.desk.book() as conn:
        (case,) = said.payload["cases"]
        given = {case["certificate"]: said_in(certificates.issued(conn, case["case"]).auditor)}
    assert list(verify_ledger.named_certificates(said.payload, given)) == []
    (problem,) = verify_ledger.named_certificates(without, given)
    assert "backup set nightly of its certificate is not told as gone" in problem
