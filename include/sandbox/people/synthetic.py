"""Synthetic people of the company's own: to everybody else they are customers, and every body with an interface has them.

They stand behind all positions that a customer may have, so that nobody else's values move when there are some.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from include.sandbox.people.cases import grown_up
from include.sandbox.people.everybody import rows_of
from include.sandbox.people.making import Making, Row
from include.sandbox.people.person import account_id, source
from include.sandbox.people.transfers import given
from include.sandbox.recipients.bodies import Door, bodies

FIRST = 1_000_000  # the first of their positions: nobody drawn stands there


def accounts(count: int, seed: int) -> tuple[str, ...]:
    """Their account ids."""
    return tuple(account_id(seed, FIRST + n) for n in range(count))


def rows(count: int, seed: int, today: date) -> Iterator[Row]:
    """All of their rows, and whatever transfer is still missing for every interface to know them."""
    for n in range(FIRST, FIRST + count):
        making = Making(grown_up(seed, n, today), seed, today, lambda _: None)
        made = list(rows_of(making))
        yield from made
        has = {
            row["recipient_id"]
            for table, row in made
            if table == "partner.transfer" and row["account_id"] == making.person.account_id
        }
        chance = source(seed, n, "synthetic")
        for body in bodies().values():
            if body.door is Door.OPENDSR and body.id not in has:
                yield from given(making, chance, body.id, making.ago(chance.randrange(1, 25), chance))
