"""Schema ``sign``: contracts that belong to all who signed them, seals, handwriting, anchors on chains."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from random import Random

from include.sandbox.people import keys, words
from include.sandbox.people.making import Making, Row, document, signing_serial
from include.sandbox.people.person import Person
from include.sandbox.people.transfers import CHAINS, SEAL_MAKERS, given
from include.sandbox.people.values import full_name, hexed, mobile


def rows(m: Making, r: Random) -> Iterator[Row]:
    p = m.person
    if p.bare or p.left is not None:
        return
    if p.signs_with is not None and _signs(p):
        other = m.other(p.signs_with)
        if other is not None and _signs(other):
            yield from _contract(m, r, [p, other])
    if p.full or (p.signs_with is None and _signs(p) and r.random() < 0.1):
        yield from _contract(m, r, [p])  # with somebody who is no customer
    if m.has(r, 0.2):
        made = m.ago(r.randrange(m.since))
        yield "sign.seal", {
            "seal_id": m.id("seal"), "account_id": p.account_id, "legend": f"{p.firm if p.is_firm else p.name}印",
            "image_key": f"seal/{p.account_id}/{hexed(r, 8)}.png",
            "filing_no": f"11{hexed(r, 11)}" if p.is_firm else None, "made_at": made,
        }  # fmt: skip
        yield from given(m, r, r.choice(SEAL_MAKERS), made)
    if m.has(r, 0.2):
        strokes = [[r.randrange(400), r.randrange(200), r.randrange(900)] for _ in range(12)]
        yield "sign.handwriting", {
            "handwriting_id": m.id("handwriting"), "account_id": p.account_id,
            "trace": document(device="pad", written=p.name, strokes=strokes), "taken_at": m.ago(r.randrange(m.since)),
        }  # fmt: skip


def _signs(p: Person) -> bool:
    return bool(p.chains) and p.kind == "person" and p.left is None and not p.bare


def _contract(m: Making, r: Random, parties: list[Person]) -> Iterator[Row]:
    """The one who began it makes its rows, those of the other party too."""
    first, last = parties[0], parties[-1]
    id_ = m.id("contract")
    began = r.randrange(1, 200)
    amount = r.randrange(10, 500) * 1000
    # A party of its own only: the counter-party has signed elsewhere, and is named here all the same.
    outsider = None if len(parties) > 1 else full_name(r, r.random() < 0.5)
    body = (
        words.contract(first, last) if outsider is None else f"甲方:{first.name}。乙方:{outsider}。租赁合同。"
    )
    digest = hashlib.sha256(body.encode()).hexdigest()
    witness = f"见证人{full_name(r, True)},电话{mobile(m.seed, 95_000_000 + first.number)}"
    yield "sign.contract", {
        "contract_id": id_, "title": f"{first.name}与{outsider or last.name}的{'租赁' if outsider else '借款'}合同",
        "body": body, "others": witness, "digest": digest,
        "document": document(
            parties=[{"name": p.name, "mobile": p.mobile} for p in parties], amount=amount, witness=witness
        ),
        "created_at": m.ago(began),
    }  # fmt: skip
    for party in parties:
        yield "sign.contract_party", {
            "contract_id": id_, "account_id": party.account_id, "signer_name": party.name, "joined_at": m.ago(began)
        }  # fmt: skip
        signature = m.id("signature")
        yield "sign.signature", {
            "signature_id": signature, "contract_id": id_, "account_id": party.account_id,
            "serial": signing_serial(m.seed, party), "digest": digest, "signature_value": r.randbytes(64),
            "signed_at": m.ago(began),
        }  # fmt: skip
        yield keys.row(
            m, "sign.evidence_key", keys.evidence_key(m, signature), party.account_id, began,
            serial=signing_serial(m.seed, party),
        )  # fmt: skip
    if m.has(r, 0.5):
        chain, at, salt = r.choice(CHAINS), m.ago(began - 1), hexed(r, 32)
        yield "sign.chain_anchor", {
            "chain_anchor_id": m.id("chain_anchor"), "contract_id": id_, "chain": chain,
            "package_hash": hashlib.sha256((salt + digest).encode()).hexdigest(), "salt": salt, "anchored_at": at,
        }  # fmt: skip
        for party in parties:  # one package, and a word about it for each whose it is
            yield from given(m, r, chain, at, to=party.account_id)
