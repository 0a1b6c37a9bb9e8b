"""The look through the whole estate that ends a shutdown, said in the book and the ledger store by store.

What is to be there is what the books say stays, with what is in bags and not gone here yet; all else is a hit. It is counted
anew by the prover, over everything that is there (:mod:`include.proofs.estate`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from include.cases import epochs
from include.cases.rooms import Desk
from include.cases.shutdown import media, needles, orders, told_recipients
from include.cases.shutdown.orders import Order
from include.handover import said
from include.handover.books import Books
from include.handover.conservation import Kind, Place
from include.model.catalogue import Catalogue
from include.model.errors import NotProved
from include.model.flow import Check
from include.model.times import observed_now
from include.model.words import Verdict

DRAGNET = "dragnet"
"""Of the event: one for each part of a store's checks."""
UNSOUGHT = "the key of the identifiers that were gathered is lost, so none can be looked for"
PART = 200  # checks that one entry of the ledger has room for


@dataclass(frozen=True)
class Swept:
    """What came of a look: store -> checks."""

    order: str
    stores: dict[str, tuple[Check, ...]]

    @property
    def verdict(self) -> Verdict:
        from include.proofs.estate import verdict

        return verdict(self.stores)

    @property
    def wrong(self) -> tuple[Check, ...]:
        return tuple(c for checks in self.stores.values() for c in checks if c.verdict is not Verdict.PASSED)

    @property
    def unsought(self) -> tuple[tuple[str, Check], ...]:
        """The stores in which nobody's identifiers could be looked for, and what was said of each."""
        return tuple(
            (store, c)
            for store, checks in self.stores.items()
            for c in checks
            if c.name == f"needle.{store}" and c.verdict is Verdict.UNVERIFIED
        )

    def __str__(self) -> str:
        n = sum(map(len, self.stores.values()))
        wrong = [f"{c.verdict} {c.name}: {c.why}" + _numbers(c) for c in self.wrong]
        return "; ".join([f"{self.order}: {self.verdict}, {n} checks", *wrong])


def sweep(desk: Desk, number: str, books: Books, *, as_of: date, actor: str) -> Swept:
    """Look through the estate, and say it, whatever it is, with the cases, backup sets and recipients that the order has by then.
    ``books``: as they were balanced a moment ago."""
    from include.proofs import estate

    with desk.book() as conn:
        of = orders.order(conn, number)
        stays = estate.Stays(
            expected(desk.catalogue, books), _unknown(books), _beside(desk.catalogue, of), needles.owners(desk, conn, number)
        )  # fmt: skip
        if why := needles.gathered(conn, number) and needles.lost(desk, number):
            stays = replace(stays, unsought=f"{UNSOUGHT}: {why}")
        found = Swept(number, estate.dragnet(desk.catalogue, desk.connections, stays))
        cases = sorted(said.begun(conn, number))
        sets = {f"{x['store']}: {x['backup_set']}" for no in cases for x in epochs.of_case(conn, no)}
        ended = {
            "cases": cases,
            "backup_sets": sorted(sets),
            "media": sorted(c.name for c in media.of_order(desk.catalogue, of)),
        }
    told = told_recipients.standing(desk, number)
    ended["recipients"] = sorted({*(t.recipient for t in told.told), *told.untold})
    at = observed_now().isoformat()
    with orders.deed(desk, number) as (conn, _):
        for store, checks in found.stores.items():
            parts = [checks[n : n + PART] for n in range(0, len(checks), PART)] or [()]
            for n, part in enumerate(parts):
                orders.say(
                    desk, conn, number, DRAGNET, as_of, actor, ended | _body(store, part, n, len(parts), at)
                )
    return found


def nothing_is_left(found: Swept) -> str:
    """Raises NotProved, naming each place in which something is that does not stay."""
    if found.verdict is Verdict.FAILED:
        raise NotProved(
            str(found), about="the whole estate",
            next_step="delete or declare what is named, or find out why less is there than stays; then look again",
        )  # fmt: skip
    return str(found)


def expected(catalogue: Catalogue, books: Books) -> dict[str, int]:
    """Items of each dataset that may be there: what stays by law or for a hold, what was made anonymous in its place, and bags
    that are not gone here yet."""
    moved = {r.dataset for r in catalogue.releases if r.into}
    found = {x.dataset: x.retained + (0 if x.dataset in moved else x.anonymised) for x in books.lines}
    for bag, _ in books.bags:
        if bag.place not in (Place.GONE, Place.KEPT):
            found[bag.dataset] = found.get(bag.dataset, 0) + bag.items
    return found


def _unknown(books: Books) -> dict[str, str]:
    return {x.dataset: r.why for x in books.lines for r in x.reasons if r.kind is Kind.UNASKED}


def _beside(catalogue: Catalogue, of: Order) -> frozenset[str]:
    return frozenset(d.id for d in catalogue.datasets) - {d.id for d in of.datasets(catalogue)}


def _body(store: str, checks: tuple[Check, ...], part: int, parts: int, at: str) -> dict[str, Any]:
    return {
        "store": store, "part": part, "parts": parts, "observed_at": at,
        "checks": [
            {"name": c.name, "dataset": c.dataset, "verdict": c.verdict.value, "expected": c.expected,
             "observed": c.observed, "why": c.why}
            for c in checks
        ],
    }  # fmt: skip


def _numbers(check: Check) -> str:
    if check.expected is None and check.observed is None:
        return ""
    return f" (expected {check.expected}, observed {check.observed})"
