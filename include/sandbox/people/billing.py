"""Schema ``billing``: orders, invoices, vouchers, saved invoice titles."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from include.sandbox.people.making import Making, Row
from include.sandbox.people.transfers import given

ITEMS = (
    ("certificate, one year", 120),
    ("seal", 60),
    ("signing package, 100 contracts", 300),
    ("USB key", 50),
)


def rows(m: Making, r: Random) -> Iterator[Row]:
    p = m.person
    if p.bare or not m.certificates:
        return
    payer = p.firm if p.is_firm else p.name
    for n in range(2 if p.full or p.left is not None else r.randrange(2)):
        days = r.randrange(p.left or 1, max(m.since, (p.left or 1) + 1))
        purchase = m.id("purchase")
        item, price = r.choice(ITEMS)
        yield "billing.purchase", {
            "purchase_id": purchase, "account_id": p.account_id, "item": item, "amount": price, "bought_at": m.ago(days)
        }  # fmt: skip
        if n or p.left is not None or m.has(r, 0.7):
            yield "billing.invoice", {
                "invoice_no": f"{m.day(days):%y}{p.number:010d}{n:02d}{r.randrange(100000):06d}",
                "purchase_id": purchase, "buyer_name": payer, "issued_at": m.ago(days),
            }  # fmt: skip
            yield from given(m, r, "baiwang", m.ago(days))
        yield "billing.voucher", {
            "voucher_id": m.id("voucher"), "purchase_id": purchase, "payer": payer, "booked_at": m.ago(days)
        }  # fmt: skip
    if p.left is None and m.has(r, 0.2):
        yield "billing.invoice_title", {
            "invoice_title_id": m.id("invoice_title"), "account_id": p.account_id,
            "title": p.firm if p.is_firm else f"{p.name}(个人)",
        }  # fmt: skip
