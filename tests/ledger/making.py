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

from include.ledger import issue as issuing
from include.ledger import log, merkle, verify
from include.ledger.certificate import Certificate, Completeness, Draft, Edition, ItemGroup, Kind, Pending
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


def pem(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def evidence(*checks: Check, kind: str = "gone") -> Evidence:
    return Evidence(
        kind=kind, step="case_000042", case_no=CASE, store="company", as_of=AS_OF,
        observed_at=datetime(2026, 11, 24, 2, 0, tzinfo=UTC), plan="ab" * 32, checks=checks,
    )  # fmt: skip


def passed(dataset: str, rung: Rung, count: int = 0, verdict: Verdict = Verdict.PASSED) -> Check:
    return Check(
        name=f"gone.{dataset}", dataset=dataset, rung=rung, verdict=verdict, expected=count, observed=count
    )


def all_evidence() -> list[Evidence]:
    """Entry 0: the restriction holds, counted over whole datasets. Entry 1: what was erased is gone."""
    return [
        evidence(passed(CONTRACT, Rung.R0, 5), passed(PROFILE, Rung.R0, 3), kind="restricted"),
        evidence(
            passed(PROFILE, Rung.R2), passed(FACE, Rung.R1), passed(FACE, Rung.R2), passed(FACE, Rung.R4),
            passed(CONTRACT, Rung.R2), passed(LOGIN, Rung.R2),
            Check(name="dragnet", dataset=None, rung=Rung.R2, verdict=Verdict.PASSED, expected=0, observed=0),
        ),
    ]  # fmt: skip


def group(dataset: str, category: str, disposition: Disposition, items: int, **more: Any) -> ItemGroup:
    """A group as it should be: erased at R2, or staying at R0."""
    stays = not disposition.changes_data
    rung = Rung.R0 if stays else Rung.R2
    return ItemGroup(**{
        "dataset": dataset, "category": category, "disposition": disposition, "items": items,
        "rung_required": rung, "rung_reached": rung, "verdict": Verdict.PASSED,
        "evidence": (0,) if stays else (1,), "law": "ESL 24" if stays else "PIPL 47", **more,
    })  # fmt: skip


ERASE, RETAIN, HOLD = Disposition.ERASE, Disposition.RETAIN, Disposition.HOLD


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
    )  # fmt: skip
    located = tuple(
        Located(dataset=d, items=n, digest="0" * 64)
        for d, n in ((PROFILE, 3), (FACE, 2), (CONTRACT, 5), (LOGIN, 4), (LETTER, 0))
    )
    return Draft(**{
        "case_no": CASE, "ground": Ground.CANCELLATION, "kind": Kind.INTERIM, "serial": 1,
        "catalogue": "c" * 64, "code": "0.1.0", "plans": ("ab" * 32,), "as_of": AS_OF,
        "observed_at": OBSERVED, "statement": "注销后，我们将删除或匿名化处理您的个人信息。",
        "located": located, "groups": groups, "pending": pending, **more,
    })  # fmt: skip


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
    shown = [g for g in of.groups if not g.confidential]
    extract = book.add("evidence.person", issuing._without_counts(of, shown, sources))
    told = [g.model_copy(update={"evidence": (extract,) if g.evidence else ()}) for g in shown]
    listed = issuing._for_auditor(of) if edition is Edition.AUDITOR else issuing._for_person(of, told)
    made = Certificate.model_validate(issuing._certificate(of, edition, listed)).model_dump(mode="json")
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
    at = book.add("dispositions", {"serial": made["serial"], edition: fixed})
    for n in range(3):
        book.add("other", {"n": n}, None)
    used = {i for g in made["groups"] for i in g["evidence"] if i < len(book.leaves)} | {at}
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
