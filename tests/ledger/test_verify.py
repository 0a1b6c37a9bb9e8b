"""The verifier accepts what is true, and names what is wrong in everything else."""

from __future__ import annotations

import ast
import base64
import copy
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from include.ledger import merkle, verify
from include.ledger.certificate import Draft, Edition, Kind
from include.ledger.checkpoint import Checkpoint, Succession
from include.model.flow import Evidence
from include.model.words import Disposition, Rung, Verdict
from tests.ledger.making import (
    CASE,
    CONTRACT,
    FACE,
    KEY,
    LETTER,
    LOGIN,
    ORIGIN,
    PROFILE,
    RUNGS,
    STEP,
    Change,
    Log,
    all_evidence,
    draft,
    evidence,
    group,
    leaf,
    nothing_stays,
    passed,
    payload,
    pem,
    seal,
    sign,
)  # fmt: skip

PEM = pem(KEY)
VERIFIER = Path(verify.__file__)
VECTORS = Path(__file__).parent / "vectors"


def problems(made: dict[str, Any] | bytes) -> list[str]:
    return verify.verify(made if isinstance(made, bytes) else sign(made), PEM).problems


def only(found: list[str]) -> str:
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize("edition", list(Edition))
def test_an_honest_certificate_verifies_and_says_what_it_is_about(edition: Edition) -> None:
    report = verify.verify(sign(payload(edition)), PEM)
    assert report.problems == []
    assert report.ok
    assert report.said["case_no"] == CASE
    assert report.said["edition"] == edition


def test_a_final_certificate_verifies_when_nothing_is_pending() -> None:
    for edition in Edition:
        assert problems(payload(edition, of=nothing_stays())) == []


def test_what_was_cut_has_a_last_day_before_a_certificate_is_final() -> None:
    """What is left is personal still: a final certificate says until when, and nobody calls it anonymous."""
    whole = nothing_stays().groups
    until = date(2046, 11, 24)

    def cut(**more: Any) -> Draft:
        rest = group(CONTRACT, "PI-030", Disposition.DEIDENTIFY, 1, **more)
        groups = (*(g for g in whole if g.dataset != CONTRACT), rest)
        return draft(kind=Kind.FINAL, pending=(), groups=groups)

    for edition in Edition:
        report = verify.verify(sign(payload(edition, of=cut(until=until))), PEM)
        assert report.problems == []
        assert report.said["de-identified"].endswith("kept until 2046-11-24")
    assert "nothing says until when, but the certificate says it is final" in only(
        problems(payload(of=cut()))
    )
    anonymous = problems(payload(of=cut(until=until, rung_reached=Rung.R10)))
    assert any("it is de-identified, and claims R10" in p for p in anonymous)


def test_nothing_is_called_anonymised_that_nobody_measured() -> None:
    groups = (*(g for g in nothing_stays().groups if g.dataset != CONTRACT),
              group(CONTRACT, "PI-030", Disposition.ANONYMISE, 1))  # fmt: skip
    found = problems(payload(of=draft(kind=Kind.FINAL, pending=(), groups=groups)))
    assert "the policy asks for R10; it asks for R2" in only(found)


# --- every byte counts --------------------------------------------------------------------------


def test_a_change_of_any_byte_of_the_file_is_rejected_with_a_reason() -> None:
    file = sign(payload(Edition.PERSON))
    for at in range(len(file)):
        mask = (0x01, 0x20, 0x80)[at % 3]  # another bit, another case of letter, no ASCII at all
        report = verify.verify(file[:at] + bytes([file[at] ^ mask]) + file[at + 1 :], PEM)
        assert report.problems, at
        assert all(report.problems)


def test_a_change_of_any_byte_inside_is_rejected_even_if_the_key_signs_it_again() -> None:
    data = rfc8785.dumps(payload())
    for at in range(0, len(data), 3):
        bent = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        assert problems(sign(bent)), (at, data[max(0, at - 30) : at + 30])


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_flipped_cut_or_inserted_bytes_never_verify_and_never_raise(data: st.DataObject) -> None:
    file = sign(payload(Edition.PERSON))
    at = data.draw(st.integers(0, len(file) - 1))
    bit = data.draw(st.integers(0, 7))
    extra = data.draw(st.binary(min_size=1, max_size=4))
    for bent in (
        file[:at] + bytes([file[at] ^ (1 << bit)]) + file[at + 1 :],
        file[:at],
        file[:at] + extra + file[at:],
        file[:at] + file[at + 1 :],
    ):
        if bent not in (file, file[:-1]):
            assert not verify.verify(bent, PEM).ok


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_rubbish_is_rejected_with_a_reason(rubbish: bytes) -> None:
    assert verify.verify(rubbish, PEM).problems
    assert verify.verify(sign(payload()), rubbish).problems
    assert verify.verify(sign(rubbish), PEM).problems


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value inside."""
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, found in inner:
        yield from places(found, (*path, key))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_value_replaced_by_any_other_is_rejected_even_if_signed_again(data: st.DataObject) -> None:
    made = copy.deepcopy(HONEST)
    path = data.draw(st.sampled_from(PLACES))
    value = data.draw(JSON)
    at = made
    for step in path[:-1]:
        at = at[step]
    if at[path[-1]] == value and type(at[path[-1]]) is type(value):
        return
    at[path[-1]] = value
    assert problems(made)


HONEST = payload(Edition.PERSON)
PLACES = list(places(HONEST))


@settings(max_examples=100, deadline=None)
@given(JSON)
def test_our_canonical_json_is_that_of_rfc_8785(value: Any) -> None:
    assert verify.canonical(value) == rfc8785.dumps(value)
    assert verify.parse(rfc8785.dumps(value), "x") == value


def test_the_envelope_is_the_dsse_of_other_tools() -> None:
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import SSlibKey

    file = json.loads(sign(payload()))
    public = {"public": KEY.public_key().public_bytes_raw().hex()}
    key = SSlibKey(verify.key_id(KEY.public_key()), "ed25519", "ed25519", public)
    envelope = Envelope.from_dict(copy.deepcopy(file))
    assert envelope.pae() == verify.pae(base64.b64decode(file["payload"]))
    assert envelope.verify([key], 1)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 80), st.data())
def test_the_verifiers_tree_is_the_ledgers_tree(size: int, data: st.DataObject) -> None:
    hashes = [merkle.leaf_hash(bytes([n])) for n in range(size)]
    read = merkle.memory_reader(hashes)
    assert verify.root_of(hashes) == merkle.root_of(hashes)
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    top = merkle.root_of(hashes)
    assert verify.included(hashes[index], index, size, merkle.inclusion_proof(index, size, read), top)
    assert not verify.included(
        hashes[index], index + size, size, merkle.inclusion_proof(index, size, read), top
    )
    path = merkle.consistency_proof(old, size, read)
    assert verify.extends(old, size, merkle.root_of(hashes[:old]), top, path)
    assert not verify.extends(old, size, bytes(32), top, path)
    assert not verify.extends(old, size, merkle.root_of(hashes[:old]), top, [*path, top])


def test_the_same_meaning_in_other_bytes_is_rejected() -> None:
    """Otherwise a byte could be changed unnoticed: spaces, order, doubled keys, idle bits of base64."""
    file = sign(payload(Edition.PERSON)).strip()
    said = json.loads(file)
    sig = said["signatures"][0]["sig"]
    idle = sig[:-3] + "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".index(sig[-3]) ^ 1
    ] + "=="  # fmt: skip
    assert base64.b64decode(idle) == base64.b64decode(sig)
    assert only(problems(file.replace(sig.encode(), idle.encode()))) == (
        "the signature is not base64 as an encoder writes it"
    )
    payload_type = b',"payloadType":"application/vnd.quietus.certificate+json"'
    for other in (
        json.dumps(said).encode(),
        file.replace(b'"payloadType"', b' "payloadType"'),
        file.replace(payload_type, payload_type * 2),
        file.replace(b"payloadType", rb"payload\u0054ype"),
    ):
        assert json.loads(other) == said
        assert "not in canonical form" in only(problems(other))


# --- lies, signed with the real key -------------------------------------------------------------


def test_a_dropped_item_is_named() -> None:
    made = payload()
    dropped = made["groups"].pop(2)
    made["balance"] = [b for b in made["balance"] if b["dataset"] != dropped["dataset"]]
    found = problems(made)
    assert found[0].startswith(
        "the list of item groups is not the one the ledger recorded: an item was dropped"
    )
    assert "not those the ledger recorded" in found[1]


def test_an_added_or_reordered_item_is_named() -> None:
    for change in (lambda g: g.append({**g[0], "category": "PI-003"}), lambda g: g.reverse()):
        made = payload()
        change(made["groups"])
        assert "an item was dropped, added or changed" in problems(made)[0]


def test_a_whole_list_of_groups_from_another_certificate_is_named() -> None:
    made = payload()
    made["serial"] = 2
    assert "that of another certificate" in problems(made)[0]


def test_the_editions_cannot_be_passed_off_for_each_other() -> None:
    made = payload(Edition.PERSON)
    made["edition"] = "auditor"
    assert problems(made)


LIES: list[tuple[str, Change]] = [
    ("the books do not balance for account.profile (live): 4 located, 3 accounted",
     lambda p: p["balance"][1].update(located=4)),
    ("the item groups of PI-001 in account.profile (live) do not add up to its balance",
     lambda p: p["groups"][next_of(p, PROFILE)].update(items=2)),
    ("PI-019 in face.image (live), erase: claims R5, but its evidence says: no check of it",
     lambda p: p["groups"][next_of(p, FACE)].update(rung_reached=5)),
    ("PI-019 in face.image (live), erase: R4 is required and was not reached",
     lambda p: p["groups"][next_of(p, FACE)].update(rung_reached=2)),
    ("PI-019 in face.image (live), erase: claims R4 as reached with the verdict 'unverified'",
     lambda p: p["groups"][next_of(p, FACE)].update(verdict="unverified")),
    ("PI-019 in face.image (live), erase: R4 is both claimed and UNVERIFIED",
     lambda p: p["groups"][next_of(p, FACE)].update(unverified=[{"rung": 4, "why": "hidden"}])),
    ("PI-019 in face.image (live), erase: the evidence it names, ledger entry 99, is not included",
     lambda p: p["groups"][next_of(p, FACE)]["evidence"].append(99)),
    ("PI-019 in face.image (live), erase: no law is named",
     lambda p: p["groups"][next_of(p, FACE)].update(law="")),
    ("PI-019 in face.image (live), erase: confidential where it cannot be",
     lambda p: p["groups"][next_of(p, FACE)].update(confidential=True)),
    ("PI-019 in face.image (live), erase: pending, but no pending track says what it waits for",
     lambda p: p["groups"][next_of(p, FACE)].update(pending=True)),
    ("face.image (live) has items located but no item group",
     lambda p: p["groups"].pop(next_of(p, FACE))),
    ("PI-019 in face.image (live), erase: claims R3, but its evidence says: no check of it",
     lambda p: p["groups"][next_of(p, FACE)].update(rung_required=3)),
    ("PI-030 in contract.file (live), retain: retained without a date or what the date waits for",
     lambda p: kept(p).update(until=None)),
    ("PI-030 in contract.file is kept until 2026-11-23, which is over",
     lambda p: kept(p).update(until="2026-11-23")),
    ("an until date is not a date", lambda p: kept(p).update(until="soon")),
    ("a pending track of weekly was due on 2026-11-01, which is over",
     lambda p: p["pending"][1].update(due="2026-11-01")),
    ("the business date is after the day of observation, and the certificate is no simulation",
     lambda p: p.update(as_of="2026-11-25")),
    ("observed_at is not a time", lambda p: p.update(observed_at="24 November")),
    ("observed_at has no time zone", lambda p: p.update(observed_at="2026-11-24T03:00:00")),
    ("item group 0 has no items or an unknown disposition", lambda p: p["groups"][0].update(items=0)),
    ("items of item group 0 is missing or not int", lambda p: p["groups"][0].update(items="3")),
    ("line 0 of the balance has a negative count", lambda p: p["balance"][0].update(held=-1)),
    ("the balance lists a dataset and copy twice", lambda p: p["balance"].append(dict(p["balance"][0]))),
    ("the certificate's kind or edition is not a known one", lambda p: p.update(kind="last")),
    ("PI-001 in account.profile (live), erase: the policy asks for R2; it asks for R0",
     lambda p: p["groups"][next_of(p, PROFILE)].update(rung_required=0, rung_reached=0)),
    ("PI-019 in face.image (live), erase: the policy asks for R4; it asks for R1",
     lambda p: p["groups"][next_of(p, FACE)].update(rung_required=1)),
    ("PI-999 in face.image (live), erase: its category is not one of the policy's",
     lambda p: p["groups"][next_of(p, FACE)].update(category="PI-999")),
    ("PI-030 in contract.file (live), retain: what stays must be hidden (R1) after a restriction; it asks for R0",
     lambda p: kept(p).update(rung_required=0)),
    ("PI-030 in contract.file (live), hold: held without the number of a hold", lambda p: held(p).update(hold=None)),
    ("PI-030 in contract.file (live), hold: held without the number of a hold", lambda p: held(p).update(hold=" ")),
    ("PI-030 in contract.file (live), retain: names a hold and is not held",
     lambda p: kept(p).update(hold="HOLD-000001")),
    ("PI-019 in face.image (live), erase: no law is named",
     lambda p: p["groups"][next_of(p, FACE)].update(law=" ")),
    ("PI-019 in face.image (live), erase: its step is not one of the certificate's",
     lambda p: p["groups"][next_of(p, FACE)].update(step="case_000042_s2")),
    ("the certificate does not say which plans were carried out", lambda p: p.update(steps=[])),
]  # fmt: skip


def next_of(p: dict[str, Any], dataset: str) -> int:
    return next(n for n, g in enumerate(p["groups"]) if g["dataset"] == dataset)


def kept(p: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(g for g in p["groups"] if g["disposition"] == "retain")
    return found


def held(p: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(g for g in p["groups"] if g["disposition"] == "hold")
    return found


@pytest.mark.parametrize(
    ("reason", "lie"), LIES, ids=[f"{n}-{reason[:60]}" for n, (reason, _) in enumerate(LIES)]
)
def test_a_lie_that_the_ledger_recorded_is_named_all_the_same(reason: str, lie: Change) -> None:
    assert reason in problems(payload(lie=lie))


def test_a_final_certificate_with_something_pending_is_named() -> None:
    found = problems(payload(lie=lambda p: p.update(kind="final")))
    assert "the certificate says it is final and still lists pending tracks" in found
    assert any("still pending, but the certificate says it is final" in what for what in found)


def logged(gone: Evidence, *more: Evidence) -> Log:
    """A log in which the proof of what is gone says this."""
    restricted, _, *rest = all_evidence()
    return Log.of(restricted, gone, *rest, *more)


@pytest.mark.parametrize("verdict", [Verdict.FAILED, Verdict.UNVERIFIED])
def test_a_rung_claimed_against_its_evidence_is_named(verdict: Verdict) -> None:
    every = all_evidence()[1].checks
    checks = [c for c in every if (c.dataset, c.rung) != (FACE, Rung.R4)]
    found = problems(payload(book=logged(evidence(*checks, passed(FACE, Rung.R4, verdict=verdict)))))
    assert f"PI-019 in face.image (live), erase: claims R4, but its evidence says: {verdict}" in found
    found = problems(payload(book=logged(evidence(*every, passed(FACE, Rung.R4, verdict=verdict)))))
    assert any(
        f"claims R4, but its evidence says: {', '.join(sorted(['passed', verdict]))}" in f for f in found
    )
    lower = (*checks, passed(FACE, Rung.R4), passed(FACE, Rung.R3, verdict=verdict))
    assert any(
        "claims R4, but its evidence did not pass R3" in f
        for f in problems(payload(book=logged(evidence(*lower))))
    )


def test_evidence_of_another_case_or_of_another_kind_proves_nothing() -> None:
    for kind, case_no in (("evidence", "CASE-000043"), ("notice", CASE)):
        book = logged(evidence())
        strange = book.add(kind, all_evidence()[1].model_dump(mode="json"), case_no)
        of = draft(evidence=(*range(5), strange), groups=tuple(
            g.model_copy(update={"evidence": (strange,)}) if g.dataset == FACE else g for g in draft().groups
        ))  # fmt: skip
        found = problems(payload(of=of, book=book))
        assert "PI-019 in face.image (live), erase: claims R4, but its evidence says: no check of it" in found
        assert "the evidence given is not the evidence of this case that the ledger recorded" in found


# --- what the whole case must have proved ---------------------------------------------------------


@pytest.mark.parametrize("kind", ["restricted", "baseline", "gone", "dragnet", "balance"])
def test_a_kind_of_proof_that_was_never_made_is_named(kind: str) -> None:
    others = [e for e in all_evidence() if e.kind != kind]
    whose = "the books" if kind == "balance" else "company"
    found = problems(payload(of=draft(evidence=tuple(range(4))), book=Log.of(*others)))
    assert f"the proof {kind!r} of {whose} in {STEP} is missing" in found


def test_a_store_that_nobody_looked_into_is_named() -> None:
    of = draft()
    (step,) = of.steps
    found = problems(payload(of=draft(steps=(step.model_copy(update={"stores": ("company", "objects")}),))))
    assert found == [
        f"the proof {kind!r} of objects in {STEP} is missing"
        for kind in ("baseline", "gone", "dragnet", "restricted")
    ]


@pytest.mark.parametrize("kind", ["baseline", "gone", "dragnet", "balance"])
def test_evidence_of_another_plan_or_step_is_none_for_this_one(kind: str) -> None:
    changed = [e.model_copy(update={"plan": "ef" * 32}) if e.kind == kind else e for e in all_evidence()]
    assert any(
        "is of another plan than the one carried out" in f for f in problems(payload(book=Log.of(*changed)))
    )
    changed = [
        e.model_copy(update={"step": "case_000042_s9"}) if e.kind == kind else e for e in all_evidence()
    ]
    assert any(f"in {STEP} is missing" in f for f in problems(payload(book=Log.of(*changed))))


def test_a_proof_that_failed_cannot_be_left_out() -> None:
    """Not of what the ledger recorded as the case's evidence, and not if it is the last word on its matter."""
    later = datetime(2026, 11, 24, 2, 30, tzinfo=UTC)
    failed = evidence(passed(LETTER, Rung.R2, verdict=Verdict.FAILED), kind="dragnet", observed_at=later)
    made = payload(of=draft(evidence=tuple(range(6))), book=Log.of(*all_evidence(), failed))
    said = "the proof 'dragnet' of company in case_000042_s1 did not pass: gone.mail.letter is failed"
    assert only(problems(made)) == said
    made["evidence"].remove(5)
    made["entries"] = [e for e in made["entries"] if e["index"] != 5]
    assert problems(made) == [
        "the evidence given is not the evidence of this case that the ledger recorded",
        "the balance, evidence, pending tracks, dates or headings are not those the ledger recorded",
    ]
    # A later look that passed is the last word; the one before stays in the list.
    passed_since = all_evidence()[3].model_copy(update={"observed_at": later.replace(minute=40)})
    whole = Log.of(*all_evidence(), failed, passed_since)
    assert problems(payload(of=draft(evidence=tuple(range(7))), book=whole)) == []


def test_a_part_of_long_evidence_that_is_left_out_is_named() -> None:
    body = all_evidence()[1].model_dump(mode="json")
    first, second = (
        leaf("evidence", {**body, "checks": part, "part": n, "parts": 2})
        for n, part in enumerate((body["checks"][:-1], body["checks"][-1:]))  # the last is beyond, of LOGIN
    )
    others = Log.of().leaves
    of = draft(evidence=tuple(range(6)), groups=tuple(
        g.model_copy(update={"evidence": (1, 5)}) if g.dataset == LOGIN else g for g in draft().groups
    ))  # fmt: skip
    whole = Log([others[0], first, *others[2:], second])
    assert problems(payload(of=of, book=whole)) == []
    found = problems(payload(book=Log([others[0], first, *others[2:]])))
    assert found == [
        "the proof 'gone' of company in case_000042_s1 is not whole: it has 2 parts, 1 are given"
    ]


def test_a_group_cannot_choose_among_the_evidence_about_it() -> None:
    found = problems(payload(lie=lambda p: kept(p).update(evidence=[0])))
    assert only(found) == (
        "PI-030 in contract.file (live), retain: the evidence it names is not all that speaks about it"
    )


def test_what_stays_is_not_proved_gone_by_what_went() -> None:
    """One dataset, two fates: the checks of the one say nothing of the other."""
    claim = "PI-030 in contract.file (live), retain: what stays can be hidden (R1) and no more; it claims R4"
    assert claim in problems(payload(lie=lambda p: kept(p).update(rung_reached=4)))
    assert claim in problems(payload(Edition.PERSON, lie=lambda p: kept(p).update(rung_reached=4)))
    every = all_evidence()[1].checks
    more = (passed(CONTRACT, Rung.R4, what="bytes"), passed(CONTRACT, Rung.R1, what="head"))
    assert problems(payload(book=logged(evidence(*every, *more)))) == []
    hidden_not = [c for c in all_evidence()[0].checks if (c.dataset, c.rung) != (CONTRACT, Rung.R1)]
    book = Log.of(evidence(*hidden_not, kind="restricted"), evidence(*every, *more), *all_evidence()[2:])
    assert (
        "PI-030 in contract.file (live), retain: claims R1, but its evidence says: no check of it"
        in problems(payload(book=book))
    )


def test_a_server_that_refuses_nobody_leaves_what_stays_pending_and_says_so() -> None:
    marked = [c for c in all_evidence()[0].checks if (c.dataset, c.rung) != (CONTRACT, Rung.R1)]
    blind = passed(CONTRACT, Rung.R1, verdict=Verdict.UNVERIFIED, what="enforced")
    book = Log.of(evidence(*marked, blind, kind="restricted"), *all_evidence()[1:])
    of = draft()
    only_marked = tuple(
        g.model_copy(update={"rung_reached": Rung.R0, "pending": True}) if g.dataset == CONTRACT and g.step and
        not g.disposition.changes_data else g for g in of.groups
    )  # fmt: skip
    wait = of.pending[0].model_copy(
        update={"dataset": CONTRACT, "category": "PI-030", "rung": Rung.R1, "name": CONTRACT}
    )
    honest = draft(groups=only_marked, pending=(*of.pending, wait))
    assert problems(payload(of=honest, book=book)) == []
    assert any("claims R1, but its evidence says: unverified" in f for f in problems(payload(book=book)))
    other = passed(CONTRACT, Rung.R1, verdict=Verdict.UNVERIFIED, what="hidden")
    book = Log.of(evidence(*marked, other, kind="restricted"), *all_evidence()[1:])
    assert any(
        "did not pass: hidden.contract.file is unverified" in f
        for f in problems(payload(of=honest, book=book))
    )


def test_a_final_certificate_with_something_held_or_kept_is_named() -> None:
    for edition in Edition:
        found = problems(payload(edition, lie=lambda p: p.update(kind="final", pending=[])))
        assert (
            "PI-030 in contract.file (live), retain: it stays, but the certificate says it is final" in found
        )
        assert "PI-030 in contract.file (live), hold: it stays, but the certificate says it is final" in found


def test_the_rungs_that_the_policy_asks_for_are_those_of_every_case_under_it() -> None:
    made = payload()
    made["entries"] = [e for e in made["entries"] if e["index"] != made["rungs"]]
    assert "with the rungs that the policy asks for is not among the entries given" in problems(made)[-1]
    easier = payload(of=draft(catalogue="d" * 64), lie=lambda p: p.update(catalogue="c" * 64))
    assert "with the rungs that the policy asks for is not among the entries given" in problems(easier)[-1]


@pytest.mark.parametrize(
    ("n", "since"),
    [
        (1, "2026-12-01T03:00:00Z"),
        (2, "2027-01-01T00:00:00Z"),
        (3, "2027-02-01T00:00:00Z"),
        (4, "2027-03-01T00:00:00Z"),
    ],
)
def test_an_earlier_format_cannot_be_used_to_say_less(n: int, since: str) -> None:
    made = json.loads(
        base64.b64decode(json.loads((VECTORS / f"v{n}" / "auditor.json").read_bytes())["payload"])
    )
    made["observed_at"] = since
    assert only(problems(made)) == (
        f"the certificate is in the format quietus-certificate/{n}, which was given up before it was made"
    )
    made["format"] = "quietus-certificate/5"
    assert problems(made)


def test_evidence_observed_after_the_certificate_is_named() -> None:
    book = Log.of(*(
        e.model_copy(update={"observed_at": datetime(2026, 11, 24, 4, 0, tzinfo=UTC)}) for e in all_evidence()
    ))  # fmt: skip
    assert "ledger entry 0 was observed after the certificate was made" in problems(payload(book=book))


def test_a_simulation_says_so_and_verifies() -> None:
    report = verify.verify(sign(payload(of=draft(as_of=date(2026, 11, 30), simulated=True))), PEM)
    assert report.ok
    assert report.said["simulated"] == "yes"


def test_an_entry_that_is_not_in_the_log_is_named() -> None:
    made = payload()
    entry = made["entries"][0]
    said = json.loads(base64.b64decode(entry["leaf"]))
    said["body"]["checks"][0]["observed"] = 1
    entry["leaf"] = base64.b64encode(rfc8785.dumps(said)).decode()
    assert only(problems(made)) == "ledger entry 0 is not in the log that the checkpoint signs"
    made = payload()
    made["entries"].append(dict(made["entries"][0]))
    assert only(problems(made)) == "ledger entry 0 is given twice"
    made = payload()
    made["entries"] = [e for e in made["entries"] if e["index"] != made["completeness"]["entry"]]
    assert "the ledger entry that lists this case's item groups is not among" in only(problems(made))


def test_the_list_of_another_case_is_not_taken_for_this_cases() -> None:
    made = payload()
    book = Log([base64.b64decode(e["leaf"]) for e in made["entries"]])
    last = json.loads(book.leaves.pop())
    assert last["kind"] == "dispositions"
    at = book.add("dispositions", last["body"], "CASE-000043")
    book = Log([*book.leaves])
    made["completeness"]["entry"] = at
    made["entries"] = book.included(list(range(at + 1)))
    made["checkpoint"] = book.checkpoint()
    assert "the ledger entry that lists this case's item groups is not among" in problems(made)[0]


# --- keys ---------------------------------------------------------------------------------------


def test_another_key_is_named() -> None:
    other = Ed25519PrivateKey.generate()
    assert "signed by another key" in only(verify.verify(sign(payload()), pem(other)).problems)
    assert "signed by another key" in only(problems(sign(payload(), other)))
    forged = json.loads(sign(payload(), other))
    forged["signatures"][0]["keyid"] = verify.key_id(KEY.public_key())
    assert "signature on the certificate is not good" in only(problems(rfc8785.dumps(forged)))
    elliptic = generate_private_key(SECP256R1()).public_key()
    wrong = elliptic.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert only(verify.verify(sign(payload()), wrong).problems) == "the key is not an Ed25519 public key"


def test_a_checkpoint_signed_by_another_key_is_named() -> None:
    made = payload()
    book = Log.of()
    made["checkpoint"] = book.checkpoint(Ed25519PrivateKey.generate())
    assert only(problems(made)) == "the checkpoint is not signed by the key of this log"


def test_a_successors_certificate_verifies_with_the_first_key_and_with_its_own() -> None:
    second, third = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    head = Checkpoint(ORIGIN, 1, bytes(32))
    chain = [Succession.sign(head, KEY, second), Succession.sign(head, second, third)]
    made = payload()
    book = Log.of()
    book.add("evidence.person", {"checks": []})
    book.add("rungs", {"catalogue": made["catalogue"], "rungs": {c: int(r) for c, r in RUNGS.items()}}, None)
    fresh = seal({**made, "successions": chain}, book, third)
    file = sign(fresh, third)
    for key in (KEY, second, third):
        assert verify.verify(file, pem(key)).problems == []
    stranger = Ed25519PrivateKey.generate()
    assert "no succession leads to it" in only(verify.verify(file, pem(stranger)).problems)
    broken = sign({**fresh, "successions": chain[1:]}, third)
    assert "no succession leads to it" in only(verify.verify(broken, PEM).problems)
    usurped = [Succession.sign(head, stranger, third).replace(raw(stranger), raw(KEY))]
    found = only(verify.verify(sign({**fresh, "successions": usurped}, third), PEM).problems)
    assert found == "a statement of key succession is not signed by the key of this log"
    astray = sign({**fresh, "successions": chain[:1]}, third)
    found = only(verify.verify(astray, pem(third)).problems)
    assert found == "the statements of key succession do not lead to the key that signed"


def test_a_log_that_is_not_the_one_handed_on_is_named() -> None:
    """A successor cannot begin a shorter log, or another one of the same length."""
    second = Ed25519PrivateKey.generate()
    book = Log.of()
    made = payload(book=book)
    size = len(book.leaves)
    made["checkpoint"] = book.checkpoint(second)
    for head in (Checkpoint(ORIGIN, size + 1, bytes(32)), Checkpoint(ORIGIN, size, bytes(32))):
        found = problems(sign({**made, "successions": [Succession.sign(head, KEY, second)]}, second))
        assert "the log is not the one that was handed on" in only(found)
    honest = Checkpoint.of_text(made["checkpoint"].rpartition("\n\n")[0] + "\n")
    assert problems(sign({**made, "successions": [Succession.sign(honest, KEY, second)]}, second)) == []
    third = Ed25519PrivateKey.generate()
    made["checkpoint"] = book.checkpoint(third)
    shrunk = [Succession.sign(Checkpoint(ORIGIN, n, bytes(32)), *pair) for n, pair in
              ((3, (KEY, second)), (2, (second, third)))]  # fmt: skip
    assert "is not the one that was handed on" in only(problems(sign({**made, "successions": shrunk}, third)))


def test_a_head_with_a_signature_more_than_its_own_is_named() -> None:
    """It would verify all the same, with bytes in it that nobody vouches for."""
    made = payload()
    other = Log.of().checkpoint(Ed25519PrivateKey.generate())
    made["checkpoint"] += other.rpartition("\n\n")[2]
    assert only(problems(made)) == "the checkpoint has 2 signatures instead of 1"


def raw(key: Ed25519PrivateKey) -> str:
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


# --- as a program -------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "certificate.json").write_bytes(sign(payload()))
    (tmp_path / "pub.pem").write_bytes(PEM)
    return tmp_path


def run(
    folder: Path, *more: str, python: str = sys.executable, prefix: tuple[str, ...] = ()
) -> tuple[int, str]:
    done = subprocess.run(
        [*prefix, python, "-I", str(VERIFIER), "certificate.json", "--key", "pub.pem", *more],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stdout + done.stderr
    return done.returncode, done.stdout + done.stderr


def test_it_runs_as_one_file_and_exits_by_its_finding(files: Path) -> None:
    code, said = run(files)
    assert code == 0
    assert said.startswith("VALID: signed, complete")
    assert "not over: 1 rung, 1 backups, 1 recipients, 2 holds\n" in said
    file = (files / "certificate.json").read_bytes()
    (files / "certificate.json").write_bytes(file.replace(b"vnd.quietus", b"vnd.quietuz"))
    code, said = run(files)
    assert code == 1
    assert said.startswith("NOT VALID: the file is not a Quietus certificate")
    (files / "certificate.json").unlink()
    assert run(files) == (2, "cannot read certificate.json\n")
    code, said = run(files, "--help")
    assert code == 0
    assert "Exit code 0: valid. 1: not valid" in " ".join(said.split())


def test_what_it_prints_cannot_drive_a_terminal_and_needs_no_locale(files: Path) -> None:
    made = payload()
    made["groups"][0]["category"] = "\x1b[2J类"
    (files / "certificate.json").write_bytes(sign(made))
    done = subprocess.run(
        [sys.executable, str(VERIFIER), "certificate.json", "--key", "pub.pem"],
        cwd=files, capture_output=True, timeout=60, check=False, env={"PYTHONIOENCODING": "ascii:strict"},
    )  # fmt: skip
    assert done.returncode == 1
    assert b"\x1b" not in done.stdout
    assert b"\\u001b[2J\\u7c7b" in done.stdout
    assert done.stderr == b""


def test_it_checks_that_the_log_extends_a_checkpoint_that_was_kept(files: Path) -> None:
    book = Log.of()
    old = book.checkpoint()
    made = payload(book=book)
    (files / "certificate.json").write_bytes(sign(made))
    read = merkle.memory_reader([merkle.leaf_hash(data) for data in book.leaves])
    proof = [base64.b64encode(h).decode() for h in merkle.consistency_proof(5, len(book.leaves), read)]
    (files / "old.txt").write_text(old, encoding="utf-8")
    (files / "proof.json").write_text(json.dumps(proof))
    more = ("--previous", "old.txt", "--consistency", "proof.json")
    assert run(files, *more)[0] == 0
    forked = Log([b"{}", b"{}"]).checkpoint()
    (files / "old.txt").write_text(forked, encoding="utf-8")
    code, said = run(files, *more)
    assert code == 1
    assert "does not extend the older checkpoint" in said
    (files / "proof.json").write_text("{}")
    assert "NOT VALID: the consistency proof is missing or not list" in run(files, *more)[1]
    assert run(files, "--previous", "old.txt")[0] == 2


def test_it_imports_only_the_standard_library_and_cryptography() -> None:
    imported: set[str] = set()
    for node in ast.walk(ast.parse(VERIFIER.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add((node.module or "").partition(".")[0])
    assert imported - sys.stdlib_module_names == {"cryptography"}
    assert not imported & {"socket", "ssl", "urllib", "http", "asyncio", "subprocess"}


ALONE = ("cryptography", "cffi", "pycparser")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The interpreter of a venv with ``cryptography`` and what it needs, as installed here; nothing is fetched."""
    venv = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True, timeout=120)
    python = venv / "bin" / "python"
    site = Path(subprocess.check_output(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('platlib'))"], text=True, timeout=60
    ).strip())  # fmt: skip
    for name in ALONE:
        try:
            found = metadata.distribution(name).files or []
        except metadata.PackageNotFoundError:
            continue  # a later cryptography may need less
        for file in found:
            if ".." not in file.parts:
                (site / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file.locate(), site / file)
    listing = "import importlib.metadata as m; print(*{d.name for d in m.distributions()})"
    seen = subprocess.check_output([python, "-I", "-c", listing], text=True, timeout=60).split()
    assert "cryptography" in seen
    assert set(seen) <= set(ALONE)
    return str(python)


def isolated() -> tuple[str, ...] | None:
    """A prefix that runs a command in an empty network namespace; None where the kernel forbids that."""
    for prefix in (("unshare", "--map-root-user", "--net"), ("unshare", "--net")):
        with suppress(FileNotFoundError):
            if (
                subprocess.run([*prefix, "true"], check=False, capture_output=True, timeout=20).returncode
                == 0
            ):
                return prefix
    return None


def test_it_runs_in_an_empty_network_namespace(files: Path, bare: str) -> None:
    prefix = isolated()
    if prefix is None:
        why = "network namespaces are forbidden here, so that nobody has seen the verifier run without one"
        if os.environ.get("CI"):
            pytest.fail(f"{why}: allow `unshare --net` on the machine that tests")
        pytest.skip(why)
    sees = "import socket; print([name for _, name in socket.if_nameindex()])"
    seen = subprocess.check_output([*prefix, bare, "-c", sees], text=True, timeout=60)
    assert seen.strip() in ("[]", "['lo']")
    assert run(files, python=bare, prefix=prefix)[0] == 0


def test_it_opens_no_socket_with_cryptography_alone(files: Path, bare: str) -> None:
    """Also where namespaces are forbidden: the interpreter itself reports every socket."""
    guard = files / "guard.py"
    guard.write_text(
        "import runpy, sys\n"
        "def hook(event, args):\n"
        "    if event.startswith('socket.'):\n"
        "        raise SystemExit(f'opened {event}')\n"
        "sys.addaudithook(hook)\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    done = subprocess.run(
        [bare, "-I", str(guard), str(VERIFIER), "certificate.json", "--key", "pub.pem"],
        cwd=files, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    trap = files / "trap.py"
    trap.write_text("import socket\nsocket.socket()\n")
    caught = subprocess.run([bare, "-I", str(guard), str(trap)], capture_output=True, timeout=60, check=False)
    assert caught.returncode == 1
    assert b"opened socket" in caught.stderr


# --- for ever -----------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", sorted(p for p in VECTORS.glob("v*") if p.is_dir()), ids=lambda p: p.name)
def test_every_certificate_ever_released_still_verifies(folder: Path) -> None:
    found = sorted(folder.glob("*.json"))
    assert found
    for file in found:
        report = verify.verify(file.read_bytes(), (folder / "pub.pem").read_bytes())
        assert report.problems == [], file.name


def test_there_are_released_vectors() -> None:
    assert (VECTORS / "v1" / "person.json").exists()
    assert (VECTORS / "v1" / "auditor.json").exists()
