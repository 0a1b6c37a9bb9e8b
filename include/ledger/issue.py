"""From a case's draft to two signed certificates, or a refusal that names what is missing.

Nothing is signed that the offline verifier would reject: the draft is checked here against its own
books and against the evidence in the ledger, and by the signer once more. All that a retry needs is
in the ledger itself: the salts of the two editions, the person's evidence without counts, and the
commitments to both lists of groups, each under a key made of case, edition and serial.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from include.ledger import log, verify
from include.ledger.certificate import Certificate, Completeness, Draft, Edition, IncludedEntry, ItemGroup
from include.ledger.editions import Listed, for_auditor, for_person, payload, shown
from include.ledger.sequencer import publish, sequence
from include.ledger.signer import SignerClient
from include.model.errors import LedgerError, NotProved, NotReachable, Refused
from include.model.words import Verdict

WAIT = 20.0  # seconds to wait for another sequencer that is at work


@dataclass(frozen=True)
class Desk:
    """The connections that issuing needs, one role each (autocommit), and the signer."""

    writer: log.Conn
    sequencer: log.Conn
    reader: log.Conn
    signer: SignerClient


@dataclass(frozen=True)
class Issued:
    """The editions as files, the checkpoint they rely on, and the ledger entry that fixes the auditor's.

    ``person`` is None if only the auditor's was asked for: the person's says the same as the one before.
    """

    person: bytes | None
    auditor: bytes
    checkpoint: str
    entry: int


# --- refusing -----------------------------------------------------------------------------------


def _prove(draft: Draft, auditor: Listed, evidence: Sequence[log.Entry]) -> None:
    """Raises NotProved where the offline verifier would find fault with what the draft says."""
    for group in draft.groups:
        if not group.pending and group.verdict is not Verdict.PASSED:
            raise NotProved(
                f"{group.category} in {group.dataset} ({group.copy_kind}): R{group.rung_required.value} is "
                f"required and {group.verdict.value.upper()}",
                about=draft.case_no,
                next_step="make the proof possible, or have the category's rung decided anew",
            )
    said = Certificate.model_validate(payload(draft, Edition.AUDITOR, auditor)).model_dump(mode="json")
    entries = {e.index: json.loads(e.leaf) for e in evidence}
    said["rungs"] = max(entries, default=0) + 1  # where no other entry is
    entries[said["rungs"]] = {"kind": "rungs", "case_no": None, "body": _rungs(draft)}
    problems: list[str] = []
    try:
        verify.check_content(said, entries, problems)
    except verify.Bad as bad:
        problems.append(str(bad))
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise NotProved(problems[0] + more, about=draft.case_no, next_step="prove it, or list it as pending")


def _evidence(draft: Draft, desk: Desk) -> list[log.Entry]:
    """All evidence of the case, and what came of asking recipients again. Raises NotProved if the draft leaves out
    some of it, or names what is none."""
    found = log.entries_of_case(desk.reader, draft.case_no)
    for kind, listed in (("evidence", draft.evidence), ("recheck", draft.rechecks)):
        there = {e.index for e in found if e.kind == kind}
        if left_out := sorted(there - set(listed)):
            raise NotProved(
                f"the ledger holds evidence of this case that is left out: entry {left_out[0]}",
                about=draft.case_no, next_step="certify again: something was proved meanwhile",
            )  # fmt: skip
        named = [*listed, *(i for g in draft.groups for i in g.evidence if kind == "evidence")]
        if not there.issuperset(named):
            raise NotProved(
                f"a ledger entry is named that is no {kind} of this case", about=draft.case_no,
                next_step="certify again, from what the ledger has",
            )  # fmt: skip
    entries = [e for e in found if e.kind in ("evidence", "recheck")]
    shared = {index for copy in draft.copies for index in copy.evidence}
    shared |= set() if draft.figures is None else {draft.figures}
    return entries + log.entries(desk.reader, sorted(shared))


def _rungs(draft: Draft) -> dict[str, Any]:
    """What the policy asks for, the same in the ledger for every case under the same catalogue."""
    return {"catalogue": draft.catalogue, "rungs": {c: int(r) for c, r in sorted(draft.rungs.items())}}


# --- what the ledger must hold before ---------------------------------------------------------


def _ensure(
    desk: Desk, key: str, kind: str, case_no: str | None, make: Callable[[], dict[str, Any]]
) -> log.Entry:
    """The entry under this key, made now if it is not there; then as the ledger has it."""
    found = log.entry_by_key(desk.reader, key)
    if found is None:
        # Another run may put its own under this key at the same moment; then the ledger's is the one.
        with suppress(log.KeyTaken):
            log.append(desk.writer, kind, case_no, make(), key=key)
        found = _taken(desk, key)
    if found is None:
        raise NotReachable(
            "the sequencer did not take an entry in time", about=case_no or kind, next_step="try again"
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


def _salt(desk: Desk, case_no: str, edition: Edition, serial: int) -> bytes:
    def fresh() -> dict[str, Any]:
        return {"salt": base64.b64encode(secrets.token_bytes(32)).decode()}

    entry = _ensure(desk, f"salt:{case_no}:{edition.value}:{serial}", "salt", case_no, fresh)
    return base64.b64decode(entry.body["salt"])


def _asked_for(desk: Desk, draft: Draft) -> int:
    """The ledger entry with the rungs that this catalogue asks for. There is one to a catalogue."""
    said = _rungs(draft)
    entry = _ensure(desk, f"rungs:{draft.catalogue}", "rungs", None, lambda: said)
    if entry.body != said:
        raise Refused(
            "the ledger says otherwise what this catalogue asks for", about=draft.case_no,
            next_step="find out who changed the rungs of the categories without changing the catalogue",
        )  # fmt: skip
    return entry.index


def _without_counts(
    draft: Draft, groups: Sequence[ItemGroup], evidence: Sequence[log.Entry]
) -> dict[str, Any]:
    """The person's evidence: the verdicts on the groups that are shown, and nothing else.

    Evidence counts whole datasets, so that ten rows counted beside seven listed would betray three
    under a confidential hold. Names of checks, plans and counts are left out.
    """
    entries = {e.index: json.loads(e.leaf) for e in evidence}
    by = verify.latest(verify.looks(entries, draft.case_no, []))
    checks: list[dict[str, Any]] = []
    for group in groups:
        rungs = {group.rung_reached, group.rung_required}
        stays = not group.disposition.changes_data
        for _, rung, verdict in verify.seen_of(group.model_dump(mode="json"), by):
            if rung in rungs:
                told = {"dataset": group.dataset, "copy_kind": group.copy_kind.value, "stays": stays,
                        "rung": rung, "verdict": verdict}  # fmt: skip
                if told not in checks:
                    checks.append(told)
    checks.sort(key=verify.canonical)
    used = {index for group in groups for index in group.evidence}
    moments = [entries[i]["body"]["observed_at"] for i in used]
    latest = max(moments, key=datetime.fromisoformat, default=None)
    return {"serial": draft.person_serial, "checks": checks, "observed_at": latest}


# --- issuing ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Recorded:
    """An edition whose content the ledger has fixed."""

    payload: dict[str, Any]
    entry: int
    salt: bytes


def issue(draft: Draft, desk: Desk, *, person: bool = True) -> Issued:
    """Record the case's groups in the ledger, have the head signed, and sign the editions.

    ``person``: whether the person's edition is due; it is not if it would say what the last one says.
    Raises BooksDoNotBalance, NotProved, Refused (the serial was used for something else, or the signer
    refuses), LedgerError and NotReachable. Trying again with the same draft gives certificates of the
    same content; nothing is recorded twice.
    """
    auditor = for_auditor(draft)  # raises BooksDoNotBalance
    evidence = _evidence(draft, desk)
    _prove(draft, auditor, evidence)
    rungs = _asked_for(desk, draft)
    recorded: dict[Edition, _Recorded] = {}
    if person:
        told = _ensure(
            desk,
            f"evidence.person:{draft.case_no}:{draft.person_serial}",
            "evidence.person",
            draft.case_no,
            lambda: _without_counts(draft, shown(draft), evidence),
        )
        recorded[Edition.PERSON] = _record(desk, draft, Edition.PERSON, for_person(draft, told.index), rungs)
    recorded[Edition.AUDITOR] = _record(desk, draft, Edition.AUDITOR, auditor, rungs)

    size, note = publish(desk.sequencer, desk.signer)
    successions = desk.signer.successions()
    files: dict[Edition, bytes] = {}
    for edition, fixed in recorded.items():
        said = fixed.payload
        relied = {fixed.entry, rungs, *said["evidence"], *said["rechecks"]}
        relied |= set() if said["figures"] is None else {said["figures"]}
        relied |= {index for copy in said["copies"] for index in copy.evidence}
        salt = base64.b64encode(fixed.salt).decode()
        whole = Certificate.model_validate(
            fixed.payload
            | {
                "entries": included(desk.reader, sorted(relied), size),
                "completeness": Completeness(entry=fixed.entry, salt=salt),
                "checkpoint": note,
                "successions": successions,
            }
        ).canonical()
        files[edition] = desk.signer.certify(whole)
    return Issued(files.get(Edition.PERSON), files[Edition.AUDITOR], note, recorded[Edition.AUDITOR].entry)


def _record(desk: Desk, draft: Draft, edition: Edition, listed: Listed, rungs: int) -> _Recorded:
    """Commit to an edition's groups and facts in the ledger. Raises Refused if its serial says something else."""
    made = payload(draft, edition, listed) | {"rungs": rungs}
    salt = _salt(desk, draft.case_no, edition, listed.serial)
    said = Certificate.model_validate(made).model_dump(mode="json")
    record: dict[str, Any] = {
        "edition": edition.value,
        "serial": listed.serial,
        "groups": verify.groups_commitment(edition.value, salt, said["groups"]),
        "facts": verify.facts_commitment(edition.value, salt, said),
    }
    if edition is Edition.AUDITOR:
        # In the open: whoever reads the log can see what is left out.
        record |= {"evidence": list(listed.evidence), "rechecks": list(listed.rechecks)}
    key = f"dispositions:{draft.case_no}:{edition.value}:{listed.serial}"
    entry = _ensure(desk, key, "dispositions", draft.case_no, lambda: record)
    if entry.body != record:
        raise Refused(
            f"certificate {listed.serial} of this case was begun with another content",
            about=draft.case_no,
            next_step=f"issue it as serial {listed.serial + 1}",
        )
    return _Recorded(made, entry.index, salt)


def included(reader: log.Conn, indexes: Sequence[int], size: int) -> tuple[IncludedEntry, ...]:
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
