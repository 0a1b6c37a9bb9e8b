"""The catalogue while a shutdown is under way, and after it: what the nights must know of an order whose collection is closed.

When the whole company stops, relations with everybody end on that day: what a custodian keeps, such as consents, falls due by it,
though nobody cancelled an account. What no law keeps goes by the order itself, with two people's word, and not by a night, until
the order has come to its end. And what goes to the successor waits for that: a floor of it that ends between T0 and the
successor's receipt makes nothing due here.

What another floor keeps, it alone keeps: the purpose ended with the collection, whatever longer period the company had set itself
while it had one (policy 5.6(3); RS-28). So it is due the day after its last floor, with every dataset that the order is about.
"""

from __future__ import annotations

from datetime import date

from include.cases.book import Conn
from include.cases.retention.shapes import with_shapes
from include.cases.retention.taken import with_taken
from include.cases.rooms import Desk
from include.model.catalogue import Catalogue, Stop
from include.model.estate import Dataset
from include.model.handover import HANDED_OVER, NEVER


def stopped(desk: Desk, catalogue: Catalogue | None = None) -> Catalogue:
    """The catalogue as it stands by the orders in the book, by the clocks that came with what was taken over, and by the columns
    that nights know; as it is, where there are none. ``catalogue``: another than the desk's."""
    with desk.book() as conn:
        stop = _stop(conn, catalogue or desk.catalogue)
        known = with_shapes(conn, catalogue or desk.catalogue)
    return with_taken(known.model_copy(update={"stop": stop}), desk.connections)


def _stop(conn: Conn, catalogue: Catalogue) -> Stop | None:
    rows = conn.execute(
        "SELECT scope, services, closed_on, ended_on FROM casebook.shutdown_order"
        " WHERE closed_on IS NOT NULL AND withdrawn_on IS NULL ORDER BY number"
    ).fetchall()
    if not rows:
        return None
    company = [r for r in rows if r["scope"] == "company"]
    waits: set[str] = set()
    purposes: dict[str, date] = {}
    for row in rows:
        about = [d for d in catalogue.datasets if _is_of(catalogue, d, row["services"])]
        for dataset in about:
            purposes[dataset.id] = min(row["closed_on"], purposes.get(dataset.id, row["closed_on"]))
        if row["ended_on"] is None:
            waits |= {d.id for d in about if _goes(catalogue, d)}
    last = (company or rows)[-1]
    return Stop(
        closed_on=last["closed_on"], ended=bool(company), over=last["ended_on"] is not None, waits=frozenset(waits),
        purposes=purposes,
    )  # fmt: skip


def _is_of(catalogue: Catalogue, dataset: Dataset, services: list[str]) -> bool:
    """Whether an order about these services, or about all if there is none, is about it."""
    return not services or any(catalogue.category(c).service in services for c in dataset.all_categories)


def _goes(catalogue: Catalogue, dataset: Dataset) -> bool:
    """Whether items of it go to a successor; raw biometrics never do."""
    rules = {b.rule for b in dataset.binds}
    within = {r for c in dataset.all_categories for r in catalogue.category(c).rules}
    return bool(rules & set(HANDED_OVER)) and not (rules | within) & set(NEVER)
