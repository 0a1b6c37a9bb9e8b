"""Schema ``partner``: what third parties supplied. What they were given is written beside its cause: ``transfers``."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from include.sandbox.people.making import Making, Row
from include.sandbox.people.values import hexed


def rows(m: Making, r: Random) -> Iterator[Row]:
    p = m.person
    if p.bare or not m.applications:
        return
    if p.left is None and m.has(r, 0.1):
        yield "partner.supplied", {
            "supplied_id": m.id("supplied"), "account_id": p.account_id, "partner": r.choice(("bank", "insurer")),
            "holder_name": p.name, "reference": hexed(r, 20), "received_at": m.ago(r.randrange(1, 90)),
        }  # fmt: skip
