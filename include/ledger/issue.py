"""From a case's draft to two signed certificates, or a refusal that names what is missing.

Nothing is signed that the offline verifier would reject: the draft is checked here against its own
books and against the evidence in the ledger, and by the signer once more. All that a retry needs is
in the ledger itself: the salts of the two editions, the person's evidence without counts, and the
commitments to both lists of groups, each under a key made of case and serial.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from include.ledger import log, verify
from include.ledger.certificate import (
    SCOPE,
    BalanceLine,
    Certificate,
    Completeness,
    Draft,
    Edition,
    IncludedEntry,
    ItemGroup,
    Pending,
)
from include.ledger.sequencer import publish, sequence
from include.ledger.signer import SignerClient
from include.model.errors import BooksDoNotBalance, LedgerError, NotProved, NotReachable, Refused
from include.model.words import CopyKind, Verdict

WAIT = 20.0  # seconds to wait for another sequencer that is at work
Place = tuple[str, CopyKind]


@dataclass(frozen=True)
class Desk:
    """The connections that issuing needs, one role each (autocommit), and the signer."""

    writer: log.Conn
    sequencer: log.Conn
    reader: log.Conn
    signer: SignerClient


@dataclass(frozen=True)
class Issued:
    """Both editions as files, the checkpoint they rely on, and the ledger entry that fixes them."""

    person: bytes
    auditor: bytes
    checkpoint: str
    entry: int


# --- refusing -----------------------------------------------------------------------------------


def balance(draft: Draft) -> tuple[BalanceLine, ...]:
    """The books of a draft. Raises BooksDoNotBalance, naming dataset, copy and counts."""
    sums: dict[Place, dict[str, dict[str, int]]] = {}
    for group in draft.groups:
        of_category = sums.setdefault((group.dataset, group.copy_kind), {}).setdefault(group.category, {})
        of_category[group.disposition.past] = of_category.get(group.disposition.past, 0) + group.items
    located = {(found.dataset, found.copy_kind): found.items for found in draft.located}
    if len(located) != len(draft.located):
        raise BooksDoNotBalance("a dataset and copy was located twice", about=draft.case_no)
    for dataset, copy in sums.keys() - located.keys():
        raise BooksDoNotBalance(f"{dataset} ({copy}) was disposed of but never located", about=draft.case_no)
    lines = []
    for (dataset, copy), items in sorted(located.items()):
        by_category = sums.get((dataset, copy), {"none": {}})
        for category, words in sorted(by_category.items()):
            if sum(words.values()) != items:
                raise BooksDoNotBalance(
                    f"{dataset} ({copy}), {category}: {items} located, {sum(words.values())} accounted for",
                    about=draft.case_no,
                    next_step="find the items without a disposition; survey and plan again",
                )
        first = next(iter(by_category.values()))
        if any(words != first for words in by_category.values()):
            raise BooksDoNotBalance(
                f"{dataset} ({copy}): its categories do not agree on what became of its items",
                about=draft.case_no,
            )
        lines.append(BalanceLine(dataset=dataset, copy_kind=copy, located=items, **first))
    return tuple(lines)


def _prove(draft: Draft, evidence: Sequence[log.Entry]) -> None:
    """Raises NotProved where a group claims, or must have reached, what its evidence does not say."""
    for group in draft.groups:
        if not group.pending and group.verdict is not Verdict.PASSED:
            raise NotProved(
                f"{group.category} in {group.dataset} ({group.copy_kind}): R{group.rung_required.value} is "
                f"required and {group.verdict.value.upper()}",
                about=draft.case_no,
                next_step="make the proof possible, or have the category's rung decided anew",
            )
    said: dict[str, Any] = draft.model_dump(mode="json") | {"edition": Edition.AUDITOR.value}
    problems: list[str] = []
    verify.check_claims(said, {e.index: json.loads(e.leaf) for e in evidence}, problems)
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise NotProved(problems[0] + more, about=draft.case_no, next_step="prove it, or list it as pending")


# --- what the ledger must hold before ---------------------------------------------------------


def _ensure(desk: Desk, key: str, kind: str, case_no: str, make: Callable[[], dict[str, Any]]) -> log.Entry:
    """The entry under this key, made now if it is not there; then as the ledger has it."""
    found = log.entry_by_key(desk.reader, key)
    if found is None:
        # Another run may put its own under this key at the same moment; then the ledger's is the one.
        with suppress(log.KeyTaken):
            log.append(desk.writer, kind, case_no, make(), key=key)
        found = _taken(desk, key)
    if found is None:
        raise NotReachable(
            "the sequencer did not take an entry in time", about=case_no, next_step="try again"
        )
    return found


def _taken(desk: Desk, key: str) -> log.Entry | None:
    deadline = time.monotonic() + WAIT
    while True:
        sequence(desk.sequencer)
        found = log.entry_by_key(desk.reader, key)
        if found is not None or time.monotonic() > deadline:
            return found
        time.sleep(0.2)


def _salts(desk: Desk, draft: Draft) -> dict[Edition, bytes]:
    def fresh() -> dict[str, Any]:
        return {e.value: base64.b64encode(secrets.token_bytes(32)).decode() for e in Edition}

    entry = _ensure(desk, f"salts:{draft.case_no}:{draft.serial}", "salts", draft.case_no, fresh)
    return {e: base64.b64decode(entry.body[e.value]) for e in Edition}


def _without_counts(
    draft: Draft, groups: Sequence[ItemGroup], evidence: Sequence[log.Entry]
) -> dict[str, Any]:
    """The person's evidence: the verdicts on the groups that are shown, and nothing else.

    Evidence counts whole datasets, so that ten rows counted beside seven listed would betray three
    under a confidential hold. Names of checks, plans and counts are left out.
    """
    entries = {e.index: e.body for e in evidence}
    checks: list[dict[str, Any]] = []
    for group in groups:
        rungs = {group.rung_reached, group.rung_required}
        for index in group.evidence:
            for check in entries[index]["checks"]:
                same = (check["dataset"], check["copy_kind"]) == (group.dataset, group.copy_kind)
                if same and check["rung"] in rungs:
                    told = {name: check[name] for name in ("dataset", "copy_kind", "rung", "verdict")}
                    if told not in checks:
                        checks.append(told)
    checks.sort(key=verify.canonical)
    used = {index for group in groups for index in group.evidence}
    latest = max((entries[i]["observed_at"] for i in used), key=datetime.fromisoformat, default=None)
    return {"serial": draft.serial, "checks": checks, "observed_at": latest}


# --- the two editions -------------------------------------------------------------------------


@dataclass(frozen=True)
class _Listed:
    """What one edition lists."""

    groups: tuple[ItemGroup, ...]
    balance: tuple[BalanceLine, ...]
    pending: tuple[Pending, ...]
    plans: tuple[str, ...]


def _ordered(groups: Iterable[ItemGroup]) -> tuple[ItemGroup, ...]:
    return tuple(
        sorted(groups, key=lambda g: (g.dataset, g.copy_kind, g.category, g.disposition, g.canonical()))
    )


def _for_auditor(draft: Draft) -> _Listed:
    return _Listed(_ordered(draft.groups), balance(draft), draft.pending, draft.plans)


def _for_person(draft: Draft, shown: Sequence[ItemGroup]) -> _Listed:
    """Without confidential holds: not in the groups, not in the balance, not in what is pending.

    Datasets of which nothing is listed are left out altogether, found empty or not, so that an absent
    line says nothing. Plans are left out: they list holds.
    """
    counted: dict[Place, tuple[str, int]] = {}  # items are counted over one category: each has them all
    for group in shown:
        place = (group.dataset, group.copy_kind)
        category, items = counted.get(place, (group.category, 0))
        counted[place] = (category, items + group.items if category == group.category else items)
    told = draft.model_copy(
        update={
            "groups": tuple(shown),
            "located": tuple(
                found.model_copy(update={"items": counted[found.dataset, found.copy_kind][1]})
                for found in draft.located
                if (found.dataset, found.copy_kind) in counted
            ),
        }
    )
    categories = {(g.dataset, g.category, g.copy_kind) for g in shown}
    pending = tuple(
        p for p in draft.pending if p.dataset is None or (p.dataset, p.category, p.copy_kind) in categories
    )
    return _Listed(_ordered(shown), balance(told), pending, ())


def _certificate(draft: Draft, edition: Edition, listed: _Listed) -> dict[str, Any]:
    """The payload without what proves it."""
    return {
        **draft.model_dump(exclude={"located", "groups", "pending", "plans", "statement"}),
        "edition": edition,
        "statement": f"{draft.statement} {SCOPE}",
        "groups": listed.groups,
        "balance": listed.balance,
        "pending": listed.pending,
        "plans": listed.plans,
        "entries": (),
        "completeness": Completeness(entry=0, salt=""),
        "checkpoint": "",
        "successions": (),
    }


# --- issuing ------------------------------------------------------------------------------------


def issue(draft: Draft, desk: Desk) -> Issued:
    """Record the case's groups in the ledger, have the head signed, and sign both editions.

    Raises BooksDoNotBalance, NotProved, Refused (the serial was used for something else, or the signer
    refuses), LedgerError and NotReachable. Trying again with the same draft gives certificates of the
    same content; nothing is recorded twice.
    """
    about = draft.case_no
    auditor = _for_auditor(draft)  # raises BooksDoNotBalance
    evidence = log.entries(desk.reader, sorted({i for g in draft.groups for i in g.evidence}))
    if any(e.case_no != about or e.kind != "evidence" for e in evidence):
        raise NotProved("a group names a ledger entry that is no evidence of this case", about=about)
    _prove(draft, evidence)

    shown = [g for g in _ordered(draft.groups) if not g.confidential]
    salts = _salts(desk, draft)
    told = _ensure(
        desk,
        f"evidence.person:{about}:{draft.serial}",
        "evidence.person",
        about,
        lambda: _without_counts(draft, shown, evidence),
    )
    person = _for_person(
        draft, [g.model_copy(update={"evidence": (told.index,) if g.evidence else ()}) for g in shown]
    )
    listed = {Edition.PERSON: person, Edition.AUDITOR: auditor}
    payloads = {e: _certificate(draft, e, listed[e]) for e in Edition}
    fixed = {e: _commitments(payloads[e], e, salts[e]) for e in Edition}
    key = f"dispositions:{about}:{draft.serial}"
    record = {"serial": draft.serial, **{e.value: fixed[e] for e in Edition}}
    entry = _ensure(desk, key, "dispositions", about, lambda: record)
    if entry.body != record:
        raise Refused(
            f"certificate {draft.serial} of this case was begun with another content",
            about=about,
            next_step=f"issue it as serial {draft.serial + 1}",
        )

    size, note = publish(desk.sequencer, desk.signer)
    successions = desk.signer.successions()
    files: dict[Edition, bytes] = {}
    for edition in Edition:
        evidence_of = {i for g in listed[edition].groups for i in g.evidence}
        payload = Certificate.model_validate(
            payloads[edition]
            | {
                "entries": _included(desk.reader, sorted({entry.index} | evidence_of), size),
                "completeness": Completeness(
                    entry=entry.index, salt=base64.b64encode(salts[edition]).decode()
                ),
                "checkpoint": note,
                "successions": successions,
            }
        ).canonical()
        files[edition] = desk.signer.certify(payload)
    return Issued(files[Edition.PERSON], files[Edition.AUDITOR], note, entry.index)


def _commitments(payload: dict[str, Any], edition: Edition, salt: bytes) -> dict[str, str]:
    said = Certificate.model_validate(payload).model_dump(mode="json")
    return {
        "groups": verify.groups_commitment(edition.value, salt, said["groups"]),
        "facts": verify.facts_commitment(edition.value, salt, said),
    }


def _included(reader: log.Conn, indexes: Sequence[int], size: int) -> tuple[IncludedEntry, ...]:
    """These entries with their proofs. Raises LedgerError if the log lost one since."""
    proofs = log.inclusion_proofs(reader, indexes, size)
    found = log.entries(reader, indexes)
    if len(found) != len(proofs):
        raise LedgerError("an entry that the certificate relies on is gone", about="ledger")
    return tuple(
        IncludedEntry(
            index=e.index,
            leaf=base64.b64encode(e.leaf).decode(),
            proof=tuple(base64.b64encode(h).decode() for h in proofs[e.index]),
        )
        for e in found
    )
