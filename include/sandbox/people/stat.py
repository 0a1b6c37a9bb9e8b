"""Schema ``stat``: pseudonyms and what is known of them. The monthly counts are made of everybody, by SQL."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from include.sandbox.people.account import age_band
from include.sandbox.people.making import Making, Row, unique
from include.sandbox.people.values import region


def rows(m: Making, r: Random) -> Iterator[Row]:
    p = m.person
    if p.bare or p.left is not None or p.is_firm or not m.has(r, 0.1):
        return
    pseudonym = unique(r)
    yield "stat.pseudonym", {"pseudonym": pseudonym, "account_id": p.account_id}
    for _ in range(r.randrange(1, 3)):
        yield "stat.research_extract", {
            "extract_id": m.id("extract"), "pseudonym": pseudonym, "age_band": age_band(p),
            "region": region(p.address), "services": r.randrange(1, 9),
        }  # fmt: skip
