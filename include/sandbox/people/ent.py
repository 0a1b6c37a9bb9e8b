"""Schema ``ent``: firms, who acts for them, who may see their workspace.

A representative may be a customer too, known as such (``account_id``) or not: the second is a link that nobody
declared, since only the ID number leads to the person.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from include.sandbox.people.making import Making, Row
from include.sandbox.people.person import Person
from include.sandbox.people.values import card, digits, full_name, mobile, resident_id

DUTIES = ("legal_representative", "handler")


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
    for n, duty in enumerate(DUTIES):
        yield from _representative(m, r, n, duty)
    colleague = m.other(p.represented_by if p.represented_by is not None else p.number + 3)
    if colleague is not None and _is_customer(colleague):
        yield "ent.access_grant", {
            "enterprise_account_id": p.account_id, "account_id": colleague.account_id,
            "granted_at": m.ago(r.randrange(20)),
        }  # fmt: skip


def _is_customer(p: Person) -> bool:
    return p.kind == "person" and p.left is None and not p.bare and p.guarded is None


def _representative(m: Making, r: Random, n: int, duty: str) -> Iterator[Row]:
    p = m.person
    who = m.other(p.represented_by if p.represented_by is not None else p.number + 1 + n)
    customer = who is not None and _is_customer(who)
    known = p.represented_by is not None or r.random() < 0.3
    if who is not None and customer and (known or r.random() < 0.3):
        name, number, phone = who.name, who.document_no, who.mobile
        account = who.account_id if known else None
    else:
        name = full_name(r, False)
        number = resident_id(r, p.born, False)
        phone, account = mobile(m.seed, 92_000_000 + 2 * (p.number % 1_000_000) + n), None
    legal = duty == "legal_representative"
    representative = m.id("representative")
    yield "ent.representative", {
        "representative_id": representative, "enterprise_account_id": p.account_id, "account_id": account,
        "duty": duty, "legal_representative_name": name if legal else None, "handler_name": None if legal else name,
        "document_type": "居民身份证", "document_no": number, "mobile": phone,
    }  # fmt: skip
    if legal:
        card_no, _, _ = card(r)
        yield "ent.representative_card", {
            "representative_card_id": m.id("representative_card"), "representative_id": representative,
            "card_no": card_no, "bank_account_no": digits(r, 17), "verified_at": m.ago(m.since - 1),
        }  # fmt: skip
