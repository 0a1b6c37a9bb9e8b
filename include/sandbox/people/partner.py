"""Schema ``partner``: what went to third parties and what came from them."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from include.sandbox.people.making import Making, Row
from include.sandbox.people.values import hexed

# Recipient (as the catalogue names it), what it is given, and by which of the six bases of PIPL 13(1).
GIVEN = (
    ("sensetime", ("PI-001", "PI-004", "PI-019"), 1), ("jinlianhuitong", ("PI-001", "PI-004", "PI-005"), 2),
    ("chinaums", ("PI-001", "PI-022"), 2), ("emay", ("PI-005",), 2), ("baiwang", ("PI-001",), 3),
)  # fmt: skip


def rows(m: Making, r: Random) -> Iterator[Row]:
    p = m.person
    if p.bare or not m.applications:
        return
    # The last one is at work when somebody leaves, not after.
    until = p.left or 1
    for recipient, categories, basis in GIVEN if p.full else r.sample(GIVEN, r.randrange(1, 4)):
        yield "partner.transfer", {
            "transfer_id": m.id("transfer"), "account_id": p.account_id, "recipient_id": recipient,
            "vendor_txn_id": hexed(r, 24), "categories": list(categories), "basis_code": basis,
            "sent_at": m.ago(r.randrange(until, max(m.since, until + 1))),
        }  # fmt: skip
    if p.left is None and m.has(r, 0.1):
        yield "partner.supplied", {
            "supplied_id": m.id("supplied"), "account_id": p.account_id, "partner": r.choice(("bank", "insurer")),
            "holder_name": p.name, "reference": hexed(r, 20), "received_at": m.ago(r.randrange(until, 90)),
        }  # fmt: skip
