"""A small case with everything in it, and a log in memory: certificates without any server."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from include.ledger import editions, log, merkle, verify
from include.ledger import issue as issuing
from include.ledger.certificate import (
    BalanceLine,
    Certificate,
    Completeness,
    Copy,
    Draft,
    Edition,
    ItemGroup,
    Kind,
    Pending,
    StepDone,
    Told,
)
from include.ledger.checkpoint import Checkpoint
from include.model.flow import Check, Evidence, Located
from include.model.words import CopyKind, Disposition, Ground, Rung, Verdict

ORIGIN = "ledger.example/quietus"
CASE = "CASE-000042"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
AS_OF = date(2026, 11, 24)
OBSERVED = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
PROFILE, FACE, CONTRACT, LOGIN, LETTER = (
    "account.profile", "face.image", "contract.file", "account.login", "mail.letter",
)  # fmt: skip
PLACES = (PROFILE, FACE, CONTRACT, LOGIN, LETTER)


def pem(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


STEP, PLAN, STORE = "case_000042_s1", "ab" * 32, "company"
RUNGS = {"PI-001": Rung.R2, "PI-002": Rung.R2, "PI-005": Rung.R4, "PI-019": Rung.R4, "PI-030": Rung.R2}


def evidence(*checks: Check, kind: str = "gone", **more: Any) -> Evidence:
    plan = None if kind == "restricted" else PLAN
    return Evidence(**{
        "kind": kind, "step": STEP, "case_no": CASE, "store": None if kind == "balance" else STORE, "as_of": AS_OF,
        "observed_at": datetime(2026, 11, 24, 2, 0, tzinfo=UTC), "plan": plan, "checks": checks, **more,
    })  # fmt: skip


def passed(
    dataset: str, rung: Rung, count: int = 0, verdict: Verdict = Verdict.PASSED, what: str = "gone"
) -> Check:
    return Check(
        name=f"{what}.{dataset}", dataset=dataset, rung=rung, verdict=verdict, expected=count, observed=count
    )


def all_evidence() -> list[Evidence]:
    """Entry 0: the restriction holds, counted over whole datasets. Entry 1: what was erased is gone, and what
    stays is there. Entries 2 to 4: how we know."""
    unseen = Check(
        name=f"beyond.{LOGIN}", dataset=LOGIN, rung=Rung.R4, verdict=Verdict.UNVERIFIED, why="not seen"
    )
    return [
        evidence(passed(CONTRACT, Rung.R0, 5, what="refused"), passed(CONTRACT, Rung.R1, 0, what="hidden"),
                 passed(PROFILE, Rung.R1, 0, what="hidden"), kind="restricted"),
        evidence(
            passed(PROFILE, Rung.R2), passed(FACE, Rung.R1, what="head"), passed(FACE, Rung.R2),
            passed(FACE, Rung.R4, what="bytes"), passed(CONTRACT, Rung.R2), passed(LOGIN, Rung.R2),
            passed(CONTRACT, Rung.R0, 4, what="kept"), unseen,
        ),
        evidence(*(passed(d, Rung.R0, 3, what="seen") for d in PLACES), kind="baseline"),
        evidence(Check(name="dragnet", rung=Rung.R2, verdict=Verdict.PASSED, expected=0, observed=0), kind="dragnet"),
        evidence(*(passed(d, Rung.R2, 3, what="balance") for d in PLACES), kind="balance"),
    ]  # fmt: skip


STAYING, WENT = (0, 1), (1,)  # the entries that speak about the one and the other


def group(dataset: str, category: str, disposition: Disposition, items: int, **more: Any) -> ItemGroup:
    """A group as it should be: erased at R2, or staying at R1."""
    stays = not disposition.changes_data
    rung = Rung.R1 if stays else Rung.R2
    return ItemGroup(**{
        "dataset": dataset, "category": category, "disposition": disposition, "items": items,
        "rung_required": rung, "rung_reached": rung, "verdict": Verdict.PASSED,
        "evidence": STAYING if stays else WENT, "law": "ESL 24" if stays else "PIPL 47", "step": STEP, **more,
    })  # fmt: skip


ERASE, RETAIN, HOLD = Disposition.ERASE, Disposition.RETAIN, Disposition.HOLD


def books(*groups: ItemGroup) -> dict[str, Any]:
    """What was located and what was done with it, as receipts and plan would count these groups."""
    lines: dict[str, dict[str, int]] = {LETTER: {}}
    for dataset in dict.fromkeys(g.dataset for g in groups):
        category = next(g.category for g in groups if g.dataset == dataset)
        for g in groups:
            if (g.dataset, g.category) == (dataset, category):
                words = lines.setdefault(dataset, {})
                words[g.disposition.past] = words.get(g.disposition.past, 0) + g.items
    return {
        "located": tuple(
            Located(dataset=d, items=sum(words.values()), digest="0" * 64) for d, words in lines.items()
        ),
        "balance": tuple(
            BalanceLine(dataset=d, copy_kind=CopyKind.LIVE, located=sum(words.values()), **words)
            for d, words in lines.items()
        ),
    }


def draft(**more: Any) -> Draft:
    until = date(2031, 11, 24)
    groups = (
        group(PROFILE, "PI-001", ERASE, 3),
        group(PROFILE, "PI-002", ERASE, 3),
        group(FACE, "PI-019", ERASE, 2, rung_required=Rung.R4, rung_reached=Rung.R4),
        group(CONTRACT, "PI-030", ERASE, 1),
        group(CONTRACT, "PI-030", RETAIN, 2, until=until),
        group(CONTRACT, "PI-030", HOLD, 1, hold="HOLD-000001", law="Arbitration Law 24"),
        group(CONTRACT, "PI-030", HOLD, 1, hold="HOLD-000002", law="CPL 54", confidential=True),
        group(LOGIN, "PI-005", ERASE, 4, rung_required=Rung.R4, pending=True),
    )
    pending = (
        Pending(track="rung", dataset=LOGIN, category="PI-005", copy_kind=CopyKind.LIVE, rung=Rung.R4,
                name=LOGIN, due=date(2026, 12, 1), what="the files are rewritten in the next window"),
        Pending(track="backups", name="weekly", due=date(2027, 2, 1), what="the last backup with it expires"),
        Pending(track="recipients", name="sms-gateway", due=None, what="notified, has not answered"),
        Pending(track="holds", name="HOLD-000001", due=None, what="held until the order is released"),
        Pending(track="holds", name="HOLD-000002", due=None, what="held until the order is released",
                confidential=True),
    )  # fmt: skip
    pending = more.get("pending", pending)
    return Draft(**{
        "recipients": recipients(*(p.name for p in pending if p.track == "recipients")),
        "copies": tuple(waits(p.name, p.due) for p in pending if p.track == "backups"),
        "case_no": CASE, "ground": Ground.CANCELLATION, "kind": Kind.INTERIM, "serial": 1,
        "catalogue": "c" * 64, "code": "0.1.0", "rungs": RUNGS, "evidence": tuple(range(5)),
        "steps": (StepDone(step=STEP, plans=(PLAN,), restricting=True, stores=(STORE,)),), "as_of": AS_OF,
        "observed_at": OBSERVED, "statement": "注销后，我们将删除或匿名化处理您的个人信息。",
        "groups": groups, "pending": pending, **books(*more.get("groups", groups)), **more,
    })  # fmt: skip


D = "0/3A000028"
"""Where the store's log stood after the last of it."""


def waits(name: str, until: date | None) -> Copy:
    return Copy(backup_set=name, store=STORE, position=D, until=until, because=f"full-1 until {until}")


def gone(name: str, *evidence: int, position: str | None = D) -> Copy:
    return Copy(backup_set=name, store=STORE, position=position, until=None, because="nothing reaches back",
                gone_on=AS_OF, evidence=evidence)  # fmt: skip


def look(name: str, **more: Any) -> dict[str, Any]:
    """What the ledger has of a look at a backup set in which nothing reaches back any more."""
    return {
        "set": name, "store": STORE, "night": "2026-10-20", "position": D, "moment": "2026-10-20T02:00:00+00:00",
        "copies": 2, "oldest_start": "0/3B000028", "oldest_made": None, "archive_from": "0/3B000000", "timeline": 1,
        "as_of": "2026-11-24", "observed_at": "2026-11-24T02:00:00+00:00", **more,
    }  # fmt: skip


def recipients(*waiting: str) -> tuple[Told, ...]:
    """Some who ended in each way, one of which keeps what a confidential hold made us tell it to; and who is waited for."""
    told, ended = date(2026, 10, 1), date(2026, 11, 1)
    ways: list[dict[str, Any]] = [
        {"recipient": "vetting", "outcome": "gone", "code": "DELETED"},
        {"recipient": "matcher", "outcome": "retained", "code": "RETAINED_BY_LAW", "law": "CSL 23(3)",
         "until": date(2027, 4, 1), "categories": ("PI-005",)},
        {"recipient": "agency", "outcome": "retained", "code": "RETAINED_INDEPENDENT", "law": "a duty of its own"},
        {"recipient": "court", "outcome": "retained", "code": "HELD_DISPUTE", "law": "a duty of its own",
         "categories": ("PI-030",), "preserved": True},
        {"recipient": "silent", "outcome": "escalated", "code": "HELD_DISPUTE", "round": 2, "stopped_on": ended},
    ]  # fmt: skip
    common = {"round": 1, "told_on": told, "ended_on": ended}
    found = [Told(**{"name": way["recipient"].title(), **common, **way}) for way in ways]
    return (*found, *(Told(recipient=name, name=name, outcome="open", round=1) for name in waiting))


def nothing_stays() -> Draft:
    """The same case when everything is over."""
    groups = tuple(g for g in draft().groups if g.disposition is ERASE and not g.pending)
    return draft(kind=Kind.FINAL, pending=(), groups=groups)


def leaf(kind: str, body: dict[str, Any], case_no: str | None = CASE) -> bytes:
    nonce = base64.b64encode(bytes(16)).decode()
    return rfc8785.dumps({"body": body, "case_no": case_no, "kind": kind, "nonce": nonce, "v": 1})


@dataclass
class Log:
    """A log in memory, filled as :func:`include.ledger.issue.issue` fills the real one."""

    leaves: list[bytes]

    @classmethod
    def of(cls, *found: Evidence) -> Log:
        return cls([leaf("evidence", e.model_dump(mode="json")) for e in found or all_evidence()])

    def add(self, kind: str, body: dict[str, Any], case_no: str | None = CASE) -> int:
        self.leaves.append(leaf(kind, body, case_no))
        return len(self.leaves) - 1

    def entries(self) -> list[log.Entry]:
        return [
            log.Entry(i, json.loads(data)["kind"], CASE, data, merkle.leaf_hash(data), OBSERVED)
            for i, data in enumerate(self.leaves)
        ]

    def checkpoint(self, key: Ed25519PrivateKey = KEY) -> str:
        root = merkle.root_of([merkle.leaf_hash(data) for data in self.leaves])
        return Checkpoint(ORIGIN, len(self.leaves), root).sign(key)

    def included(self, indexes: list[int]) -> list[dict[str, Any]]:
        read = merkle.memory_reader([merkle.leaf_hash(data) for data in self.leaves])
        b64 = [base64.b64encode(data).decode() for data in self.leaves]
        return [
            {
                "index": i,
                "leaf": b64[i],
                "proof": [base64.b64encode(h).decode() for h in merkle.inclusion_proof(i, len(b64), read)],
            }
            for i in indexes
        ]


Change = Callable[[dict[str, Any]], Any]


def payload(
    edition: Edition = Edition.AUDITOR,
    of: Draft | None = None,
    book: Log | None = None,
    lie: Change | None = None,
) -> dict[str, Any]:
    """A certificate's payload. ``lie`` changes it *before* the log records it: an insider's forgery
    that is complete and in the log, and must be caught by its content alone."""
    of, book = of or draft(), book or Log.of()
    sources = book.entries()
    extract = book.add("evidence.person", issuing._without_counts(of, editions.shown(of), sources))
    listed = editions.for_auditor(of) if edition is Edition.AUDITOR else editions.for_person(of, extract)
    made = Certificate.model_validate(editions.payload(of, edition, listed)).model_dump(mode="json")
    made["rungs"] = book.add("rungs", issuing._rungs(of), None)
    if lie:
        lie(made)
    return seal(made, book)


def seal(made: dict[str, Any], book: Log, key: Ed25519PrivateKey = KEY) -> dict[str, Any]:
    """Record the payload's groups and facts in the log, and put the proofs into the payload."""
    edition, salt = made["edition"], bytes(range(100, 132))
    fixed = {
        "groups": verify.groups_commitment(edition, salt, made["groups"]),
        "facts": verify.facts_commitment(edition, salt, made),
    }
    listed = {"evidence": made["evidence"], "rechecks": made["rechecks"]} if edition == "auditor" else {}
    at = book.add("dispositions", {"serial": made["serial"], "edition": edition, **fixed, **listed})
    for n in range(3):
        book.add("other", {"n": n}, None)
    looks = [index for copy in made["copies"] for index in copy["evidence"]]
    relied = (*made["evidence"], *made["rechecks"], made["rungs"], made["figures"], *looks)
    used = {i for i in relied if i is not None and i < len(book.leaves)} | {at}
    made["entries"] = book.included(sorted(used))
    made["completeness"] = Completeness(entry=at, salt=base64.b64encode(salt).decode()).model_dump()
    made["checkpoint"] = book.checkpoint(key)
    return made


def sign(made: dict[str, Any] | bytes, key: Ed25519PrivateKey = KEY) -> bytes:
    """The envelope around a payload, whatever it says."""
    data = made if isinstance(made, bytes) else rfc8785.dumps(made)
    signature = base64.b64encode(key.sign(verify.pae(data))).decode()
    signatures = [{"keyid": verify.key_id(key.public_key()), "sig": signature}]
    said = {"payload": base64.b64encode(data).decode(), "payloadType": verify.PAYLOAD_TYPE}
    return rfc8785.dumps({**said, "signatures": signatures}) + b"\n"
