"""Schema ``ent``: firms, who acts for them, who may see their workspace."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from include.sandbox.people.acting import DOCUMENT, Acting, handler, is_customer, legal_representative
from include.sandbox.people.making import Making, Row
from include.sandbox.people.transfers import given
from include.sandbox.people.values import card, digits


def rows(m: Making, r: Random) -> Iterator[Row]:
    p = m.person
    if not p.is_firm or p.bare or p.left is not None:
        return
    contact = m.id("contact")
    yield "ent.enterprise", {
        "account_id": p.account_id, "name": p.firm, "credit_code": p.credit_code,
        "contact_email": f"office.{p.email}", "primary_contact_id": contact,
    }  # fmt: skip
    yield "ent.contact", {
        "contact_id": contact, "enterprise_account_id": p.account_id, "full_name": p.name, "mobile": p.mobile,
    }  # fmt: skip
    _, bank, _ = card(r)
    yield "ent.bank_account", {
        "bank_account_id": m.id("bank_account"), "enterprise_account_id": p.account_id, "bank": bank,
        "account_no": digits(r, 19), "verified_at": m.ago(m.since - 1),
    }  # fmt: skip
    yield from _representative(m, r, "legal_representative", legal_representative(m))
    yield from _representative(m, r, "handler", handler(m))
    colleague = m.other(p.represented_by if p.represented_by is not None else p.number + 3)
    if colleague is not None and is_customer(colleague):
        yield "ent.access_grant", {
            "enterprise_account_id": p.account_id, "account_id": colleague.account_id,
            "granted_at": m.ago(r.randrange(20)),
        }  # fmt: skip


def _representative(m: Making, r: Random, duty: str, who: Acting) -> Iterator[Row]:
    legal = duty == "legal_representative"
    representative = m.id("representative")
    yield "ent.representative", {
        "representative_id": representative, "enterprise_account_id": m.person.account_id, "account_id": who.account_id,
        "duty": duty, "legal_representative_name": who.name if legal else None,
        "handler_name": None if legal else who.name, "document_type": DOCUMENT, "document_no": who.document_no,
        "mobile": who.mobile,
    }  # fmt: skip
    if legal:
        card_no, _, _ = card(r)
        at = m.ago(m.since - 1)
        yield "ent.representative_card", {
            "representative_card_id": m.id("representative_card"), "representative_id": representative,
            "card_no": card_no, "bank_account_no": digits(r, 17), "verified_at": at,
        }  # fmt: skip
        yield from given(m, r, "chinaums", at)
