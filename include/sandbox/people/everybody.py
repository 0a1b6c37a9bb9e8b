"""Everybody's rows, person by person."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from functools import lru_cache

from include.model.keks import Keks
from include.sandbox.people import (
    account,
    billing,
    cases,
    cert,
    ent,
    ops,
    partner,
    ra,
    sign,
    stat,
    support,
    usage,
)
from include.sandbox.people.authority import Published
from include.sandbox.people.making import Maker, Making, Row
from include.sandbox.people.person import Person, source

SCHEMAS: dict[str, Maker] = {
    "account": account.rows, "ent": ent.rows, "ra": ra.rows, "cert": cert.rows, "sign": sign.rows,
    "usage": usage.rows, "support": support.rows, "billing": billing.rows, "partner": partner.rows, "ops": ops.rows,
    "stat": stat.rows,
}  # fmt: skip


def rows_of(m: Making) -> Iterator[Row]:
    """All rows that come with a person. Each schema has chance of its own."""
    for schema, make in SCHEMAS.items():
        yield from make(m, source(m.seed, m.person.number, schema))


def all_rows(people: int, seed: int, today: date) -> Iterator[Row]:
    """Everybody's rows, and the revocation lists that were published of them."""
    published = Published(seed, today)
    for making in makings(people, seed, today):
        yield from rows_of(making)
        published.add(making)
    yield from published.rows()


def makings(people: int, seed: int, today: date, keks: Keks | None = None) -> Iterator[Making]:
    """Everybody in order, each ready to be made. Memory does not grow with them. ``keks``: what their data keys are wrapped
    with; without them nobody can open what is sealed."""
    keks = keks or Keks.made()
    look_up = _directory(people, seed, today)
    for n in range(people):
        who = look_up(n)
        if who is not None:
            yield Making(who, seed, today, look_up, keks)


def _directory(people: int, seed: int, today: date) -> Callable[[int], Person | None]:
    @lru_cache(maxsize=256)
    def look_up(n: int) -> Person | None:
        return cases.person(seed, n, today) if 0 <= n < people else None

    return look_up
