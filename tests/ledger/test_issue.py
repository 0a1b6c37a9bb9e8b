"""A certificate is issued only when the books balance and every required rung is proved; and what is
issued comes from the real log and the real signer, and verifies."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from include.ledger import issue as issuing
from include.ledger import log, verify
from include.ledger import sequencer as sequencing
from include.ledger.certificate import Draft, Kind
from include.ledger.editions import balance, person_content
from include.ledger.issue import Desk, Issued, issue
from include.ledger.sequencer import sequence
from include.model.errors import BooksDoNotBalance, NotProved, NotReachable, Refused
from include.model.words import Disposition, Rung, Verdict
from tests.ledger import making
from tests.ledger.conftest import Ledger, RunningSigner
from tests.ledger.making import CASE, CONTRACT, FACE, LOGIN, PROFILE, draft

pytestmark = pytest.mark.postgres


@pytest.fixture
def desk(ledger: Ledger, signer: RunningSigner) -> Iterator[Desk]:
    with (
        log.connect(ledger.writer) as writer,
        log.connect(ledger.sequencer) as sequencer,
        log.connect(ledger.reader) as reader,
    ):
        yield Desk(writer, sequencer, reader, signer.client)


def logged(desk: Desk) -> None:
    """The evidence of the case, at the indexes that the draft names, behind other entries of the log."""
    keys: list[str] = []
    for n, evidence in enumerate(making.all_evidence()):
        keys += log.append_evidence(desk.writer, evidence, key=f"evidence:{n}")
        sequence(desk.sequencer)
    assert log.indexes_of_keys(desk.reader, keys) == {f"evidence:{n}/0": n for n in range(5)}


def opened(file: bytes) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(base64.b64decode(json.loads(file)["payload"]))
    return payload


def issued(desk: Desk, of: Draft | None = None) -> Issued:
    logged(desk)
    return issue(of or draft(), desk)


def test_both_editions_verify_alone(desk: Desk, signer: RunningSigner) -> None:
    done = issued(desk)
    for file, edition in ((done.person, "person"), (done.auditor, "auditor")):
        report = verify.verify(file, signer.public_pem)
        assert report.problems == []
        assert report.said["edition"] == edition
    with log.connect(desk.reader.info.dsn) as conn:
        assert log.latest_checkpoint(conn) == (log.size(conn), done.checkpoint)


def test_the_auditors_edition_shows_all_and_the_persons_omits_confidential_holds(desk: Desk) -> None:
    done = issued(desk)
    auditor, person = opened(done.auditor), opened(done.person)
    assert len(auditor["groups"]) == 8
    assert [g["hold"] for g in auditor["groups"] if g["confidential"]] == ["HOLD-000002"]
    assert len(person["groups"]) == 7
    lines = {p["edition"]: {b["dataset"]: b for b in p["balance"]} for p in (auditor, person)}
    assert (lines["auditor"][CONTRACT]["located"], lines["auditor"][CONTRACT]["held"]) == (5, 2)
    assert (lines["person"][CONTRACT]["located"], lines["person"][CONTRACT]["held"]) == (4, 1)
    assert "mail.letter" in lines["auditor"]
    assert "mail.letter" not in lines["person"]


def test_nothing_in_the_persons_file_tells_of_the_confidential_hold(desk: Desk) -> None:
    """The person's file with the hold, and the one had there been none, differ in nothing but chance."""
    done = issued(desk)
    person = opened(done.person)
    told = json.dumps(person) + "".join(base64.b64decode(e["leaf"]).decode() for e in person["entries"])
    for betrayal in ("HOLD-000002", "CPL 54", '"expected"', '"observed"', "ab" * 32):
        assert betrayal not in told
    assert betrayal in json.dumps(opened(done.auditor))
    assert {json.loads(base64.b64decode(e["leaf"]))["kind"] for e in person["entries"]} == {
        "evidence.person", "dispositions", "rungs",
    }  # fmt: skip

    without = draft(
        serial=2, person_serial=2, groups=tuple(g for g in draft().groups if not g.confidential),
        pending=tuple(p for p in draft().pending if not p.confidential),
    )  # fmt: skip
    assert person_content(without) == person_content(draft())
    again = opened(issued_person(without, desk))
    by_chance = ("entries", "evidence", "completeness", "checkpoint", "serial")
    for same in (person, again):
        assert len(same["evidence"]) == 1
        for group in same["groups"]:
            assert group.pop("evidence")
    assert {k: v for k, v in person.items() if k not in by_chance} == {
        k: v for k, v in again.items() if k not in by_chance
    }
    assert sorted(checks_of(person), key=str) == sorted(checks_of(again), key=str)


def test_what_came_of_asking_a_recipient_again_cannot_be_left_out(desk: Desk) -> None:
    logged(desk)
    body = {"recipient": "vetting", "round": 1, "found": "caught", "observed_at": "2026-11-24T02:00:00+00:00"}
    log.append(desk.writer, "recheck", CASE, body, key="recheck")
    log.append(desk.writer, "recipients", None, {"as_of": "2026-11-24"}, key="figures")
    sequence(desk.sequencer)
    with pytest.raises(NotProved, match="left out: entry 5"):
        issue(draft(), desk)
    with pytest.raises(NotProved, match="no recheck of this case"):
        issue(draft(rechecks=(5, 6)), desk)
    with pytest.raises(NotProved, match="vetting: is said to have deleted"):
        issue(draft(rechecks=(5,), figures=6), desk)
    lines = tuple(
        r.model_copy(update={"outcome": "caught"}) if r.recipient == "vetting" else r
        for r in draft().recipients
    )
    auditor = opened(issue(draft(rechecks=(5,), figures=6, recipients=lines), desk).auditor)
    assert (auditor["rechecks"], auditor["figures"]) == ([5], 6)
    assert {5, 6} <= {e["index"] for e in auditor["entries"]}


def issued_person(of: Draft, desk: Desk) -> bytes:
    made = issue(of, desk).person
    assert made is not None
    return made


def test_what_is_kept_for_a_confidential_hold_is_told_as_if_it_were_not(desk: Desk) -> None:
    """Rows that the held ones refer to: kept anyway, cut instead of erased, or kept for the hold alone."""
    more = {"kept_for": "HOLD-000002", "confidential": True}
    until = date(2031, 11, 24)
    rest = tuple(g for g in draft().groups if g.dataset not in (CONTRACT, PROFILE))
    cut = making.group(PROFILE, "PI-001", Disposition.DEIDENTIFY, 1)
    alone = {"law": "CPL 54; needed by mail.letter", "waits_for": "HOLD-000002", **more}
    kept = making.group(CONTRACT, "PI-030", making.RETAIN, 1, until=until)
    of = draft(groups=(
        *rest, cut, cut.model_copy(update={"items": 2, **more}), kept,
        kept.model_copy(update={"items": 3, **more}),
        making.group(CONTRACT, "PI-030", making.RETAIN, 2, **alone),
    ), pending=draft().pending)  # fmt: skip
    logged(desk)
    done = issue(of, desk)
    assert done.person is not None
    person, auditor = opened(done.person), opened(done.auditor)
    ours = [
        (g["dataset"], g["disposition"], g["items"], g["until"], g["law"], g["hold"], g["kept_for"])
        for g in person["groups"]
        if g["dataset"] in (CONTRACT, PROFILE)
    ]
    assert ours == [
        (PROFILE, "deidentify", 3, None, "PIPL 47", None, None),
        (CONTRACT, "retain", 4, "2031-11-24", "ESL 24", None, None),
    ]
    assert next(b for b in person["balance"] if b["dataset"] == CONTRACT)["located"] == 4
    told = json.dumps(person) + "".join(base64.b64decode(e["leaf"]).decode() for e in person["entries"])
    for betrayal in ("HOLD-000002", "CPL 54", "needed by", making.STEP, making.PLAN):
        assert betrayal not in told
    assert sum(g["kept_for"] == "HOLD-000002" for g in auditor["groups"]) == 3


def test_only_a_confidential_hold_is_left_and_the_persons_edition_is_final(desk: Desk) -> None:
    """Otherwise the word ``interim`` alone would tell."""
    of = making.nothing_stays()
    secret = next(g for g in draft().groups if g.confidential)
    wait = next(p for p in draft().pending if p.confidential)
    held = draft(kind=Kind.INTERIM, groups=(*of.groups, secret), pending=(wait,))
    logged(desk)
    done = issue(held, desk)
    assert done.person is not None
    assert (opened(done.person)["kind"], opened(done.auditor)["kind"]) == ("final", "interim")
    assert opened(done.person)["pending"] == []
    # The hold is another one now: the auditor's next edition needs no new one for the person.
    again = held.model_copy(update={"serial": 2, "code": "0.1.1"})
    assert issue(again, desk, person=False).person is None


def checks_of(payload: dict[str, Any]) -> list[Any]:
    bodies = [json.loads(base64.b64decode(e["leaf"]))["body"] for e in payload["entries"]]
    return [check for body in bodies for check in body.get("checks", [])]


def test_a_retry_records_nothing_twice_and_says_the_same(desk: Desk) -> None:
    first = issued(desk)
    size = log.size(desk.reader)
    second = issue(draft(), desk)
    assert log.size(desk.reader) == size
    assert second == first


def test_a_run_that_dies_before_the_head_is_signed_is_taken_up_again(
    desk: Desk, signer: RunningSigner
) -> None:
    logged(desk)
    signer.stop(kill=True)
    with pytest.raises(NotReachable, match="signer does not answer"):
        issue(draft(), desk)
    size = log.size(desk.reader)
    signer.start()
    done = issue(draft(), desk)
    assert log.size(desk.reader) == size
    assert verify.verify(done.person, signer.public_pem).ok


def test_two_runs_that_issue_at_once_agree(desk: Desk, ledger: Ledger, signer: RunningSigner) -> None:
    logged(desk)
    done: list[Issued] = []

    def run() -> None:
        with (
            log.connect(ledger.writer) as writer,
            log.connect(ledger.sequencer) as sequencer,
            log.connect(ledger.reader) as reader,
        ):
            done.append(issue(draft(), Desk(writer, sequencer, reader, signer.client)))

    runs = [threading.Thread(target=run) for _ in range(3)]
    for each in runs:
        each.start()
    for each in runs:
        each.join(60)
    assert len(done) == 3
    assert len({d.entry for d in done}) == 1
    for one in done:
        assert verify.verify(one.person, signer.public_pem).problems == []
        assert verify.verify(one.auditor, signer.public_pem).problems == []
    kinds = [e.kind for e in log.entries_of_case(desk.reader, CASE)]
    assert sorted(kinds) == ["dispositions"] * 2 + ["evidence"] * 5 + ["evidence.person"] + ["salt"] * 2


def test_a_serial_cannot_be_used_for_another_content(desk: Desk) -> None:
    issued(desk)
    other = draft(code="0.1.1")
    with pytest.raises(Refused, match="begun with another content"):
        issue(other, desk)
    assert issue(other.model_copy(update={"serial": 2, "person_serial": 2}), desk).entry


def test_books_that_do_not_balance_are_refused_and_nothing_is_recorded(desk: Desk) -> None:
    logged(desk)
    size = log.size(desk.reader)
    of = draft()
    books = {"located": of.located, "balance": of.balance}
    short = tuple(g for g in of.groups if not g.confidential)
    with pytest.raises(
        BooksDoNotBalance, match=r"contract.file \(live\), PI-030: 5 located, 4 accounted for"
    ):
        issue(draft(groups=short, **books), desk)
    with pytest.raises(BooksDoNotBalance, match="never located"):
        issue(draft(located=of.located[1:]), desk)
    with pytest.raises(BooksDoNotBalance, match="twice"):
        issue(draft(located=(*of.located, of.located[0])), desk)
    only_one = tuple(g for g in of.groups if g.dataset != PROFILE)
    with pytest.raises(BooksDoNotBalance, match="3 located, 0 accounted"):
        issue(draft(groups=only_one, **books), desk)
    said = {b.dataset: b for b in of.balance}
    fewer = said[FACE].model_copy(update={"erased": 1, "unlinked": 1})
    with pytest.raises(BooksDoNotBalance, match="receipts say otherwise than the plan"):
        issue(draft(balance=(*(b for b in of.balance if b.dataset != FACE), fewer)), desk)
    assert log.size(desk.reader) == size


def test_categories_must_agree_on_what_became_of_their_items() -> None:
    of = draft()
    kept = making.group(PROFILE, "PI-002", making.RETAIN, 3, waits_for="the last certificate's end")
    groups = tuple(kept if (g.dataset, g.category) == (PROFILE, "PI-002") else g for g in of.groups)
    with pytest.raises(BooksDoNotBalance, match="do not agree"):
        balance(draft(groups=groups, located=of.located, balance=of.balance))


def changed(dataset: str, **more: Any) -> Draft:
    groups = tuple(
        g.model_copy(update=more) if g.dataset == dataset and g.category != "PI-030" else g
        for g in draft().groups
    )
    return draft(groups=groups)


REFUSALS: list[tuple[str, Draft]] = [
    ("R4 is required and UNVERIFIED", changed(FACE, verdict=Verdict.UNVERIFIED)),
    ("R4 is required and FAILED", changed(FACE, verdict=Verdict.FAILED)),
    ("R4 is required and was not reached", changed(FACE, rung_reached=Rung.R2)),
    ("R4 is required and was not reached", changed(FACE, rung_reached=None)),
    ("claims R5, but its evidence says: no check", changed(FACE, rung_reached=Rung.R5)),
    ("claims R4, but its evidence says: unverified", changed(LOGIN, rung_reached=Rung.R4)),
    ("the evidence it names is not all that speaks", changed(FACE, evidence=())),
    ("the evidence it names is not all that speaks", changed(FACE, evidence=(0,))),
    ("the policy asks for R4; it asks for R2", changed(FACE, rung_required=Rung.R2)),
    ("no pending track says what it waits for", draft(pending=())),
    ("still pending, but the certificate says it is final", draft(kind=Kind.FINAL)),
    ("no law is named", changed(FACE, law="")),
]


@pytest.mark.parametrize(
    ("reason", "of"), REFUSALS, ids=[f"{n}-{r[:30]}" for n, (r, _) in enumerate(REFUSALS)]
)
def test_what_is_not_proved_is_not_certified(desk: Desk, reason: str, of: Draft) -> None:
    logged(desk)
    size = log.size(desk.reader)
    with pytest.raises(NotProved, match=reason):
        issue(of, desk)
    assert log.size(desk.reader) == size


def test_evidence_must_be_evidence_of_this_case(desk: Desk) -> None:
    logged(desk)
    log.append(desk.writer, "notice", CASE, {"checks": []}, key="notice")
    sequence(desk.sequencer)
    with pytest.raises(NotProved, match="no evidence of this case"):
        issue(changed(FACE, evidence=(5,)), desk)


def test_evidence_that_the_ledger_has_cannot_be_left_out(desk: Desk) -> None:
    logged(desk)
    failed = making.passed(PROFILE, Rung.R2, verdict=Verdict.FAILED)
    log.append_evidence(desk.writer, making.evidence(failed, kind="residue"), key="failed")
    sequence(desk.sequencer)
    with pytest.raises(NotProved, match="left out: entry 5"):
        issue(draft(), desk)
    with pytest.raises(NotProved, match=r"did not pass: gone.account.profile is failed"):
        issue(draft(evidence=tuple(range(6))), desk)


def test_one_catalogue_asks_for_the_same_in_every_case(desk: Desk) -> None:
    issued(desk)
    easier = draft(serial=2, person_serial=2, rungs={**making.RUNGS, "PI-099": Rung.R2})
    with pytest.raises(Refused, match="says otherwise what this catalogue asks for"):
        issue(easier, desk)


def test_the_signer_signs_one_certificate_under_a_serial(desk: Desk, signer: RunningSigner) -> None:
    """Whoever holds application and database can have a second list recorded in the log, but not signed."""
    done = issued(desk)
    forged = opened(done.auditor)
    forged["statement"] = "another"
    salt = base64.b64decode(forged["completeness"]["salt"])
    body = {
        "edition": "auditor", "serial": 1, "evidence": forged["evidence"], "rechecks": [],
        "groups": verify.groups_commitment("auditor", salt, forged["groups"]),
        "facts": verify.facts_commitment("auditor", salt, forged),
    }  # fmt: skip
    log.append(desk.writer, "dispositions", CASE, body, key="forged")
    sequence(desk.sequencer)
    size, forged["checkpoint"] = sequencing.publish(desk.sequencer, signer.client)
    at = log.indexes_of_keys(desk.reader, ["forged"])["forged"]
    forged["completeness"]["entry"] = at
    relied = sorted({*forged["evidence"], forged["rungs"], at})
    forged["entries"] = [e.model_dump(mode="json") for e in issuing.included(desk.reader, relied, size)]
    said = verify.canonical(forged)
    assert verify.check_payload(said, verify.load_key(signer.public_pem)).problems == []
    for restart in (False, True):
        if restart:
            signer.stop(kill=True)
            signer.start()
        with pytest.raises(Refused, match=r"another certificate 1 \(auditor\) of this case was signed"):
            signer.client.certify(said)
    signer.succeed()
    with pytest.raises(Refused):
        signer.client.certify(said)
    assert issue(draft(), desk).entry == done.entry, "the same content under a later head is signed again"


def test_the_signer_does_not_take_the_issuers_word(desk: Desk, signer: RunningSigner) -> None:
    """Somebody who holds the application cannot have a certificate signed that would not verify."""
    done = issued(desk)
    payload = opened(done.auditor)
    payload["groups"].pop()
    with pytest.raises(Refused, match="item was dropped"):
        signer.client.certify(verify.canonical(payload))
    payload = opened(done.auditor)
    payload["checkpoint"] = making.Log.of().checkpoint()
    with pytest.raises(Refused, match="not signed by the key of this log"):
        signer.client.certify(verify.canonical(payload))
    with pytest.raises(Refused, match="not JSON"):
        signer.client.certify(b"delete everything")


def test_long_evidence_becomes_several_entries(desk: Desk) -> None:
    checks = [making.passed(f"schema.table_{n}", Rung.R2) for n in range(300)]
    keys = log.append_evidence(desk.writer, making.evidence(*checks), key="long")
    assert len(keys) == 3
    assert log.append_evidence(desk.writer, making.evidence(*checks), key="long") == keys
    assert sequence(desk.sequencer) == 3
    with log.connect(desk.reader.info.dsn) as conn:
        found = log.entries_of_case(conn, CASE)
        assert sum(len(e.body["checks"]) for e in found) == 300
        assert max(len(e.leaf) for e in found) < 64 * 1024


def test_after_a_succession_certificates_carry_the_chain(
    desk: Desk, signer: RunningSigner, tmp_path: Path
) -> None:
    issued(desk)
    first = signer.public_pem
    signer.succeed()
    done = issue(draft(serial=2, person_serial=2), desk)
    assert signer.public_pem != first
    for key in (first, signer.public_pem):
        assert verify.verify(done.person, key).problems == []


def test_a_busy_sequencer_is_waited_for_in_vain_only_so_long(
    desk: Desk, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged(desk)
    monkeypatch.setattr("include.ledger.issue.WAIT", 0.3)
    with log.connect(ledger.sequencer) as other:
        other.execute("SELECT pg_advisory_lock(%s)", (sequencing._LOCK,))
        with pytest.raises(NotReachable, match="did not take an entry in time"):
            issue(draft(), desk)
    assert issue(draft(), desk).entry
