"""What the receipts of a night say was done, and what was passed over."""

from __future__ import annotations

from collections import Counter

from include.cases import papers
from include.cases.book import Conn
from include.model.flow import Plan
from include.model.words import Disposition

Words = dict[str, Counter[str]]  # dataset -> word of a receipt -> items

PAST = frozenset(d.past for d in Disposition if d.changes_data)


def words(conn: Conn, step_id: str) -> Words:
    """By dataset, what became of its items."""
    found: Words = {}
    for receipt in papers.receipts(conn, step_id, "dispose"):
        for dataset, said in receipt.counts.items():
            found.setdefault(dataset, Counter()).update({w: n for w, n in said.items() if w != "upto"})
    return found


def total(of: Words) -> dict[str, int]:
    """The same over all datasets."""
    return dict(sum(of.values(), Counter()))


def gone(of: Words) -> int:
    """Items that were dealt with, of all copies; what was passed over is none of them."""
    return sum(n for w, n in total(of).items() if w.partition("@")[0] in PAST)


def by_rule(made: Plan) -> Counter[tuple[str, str]]:
    """Items of a plan by dataset and rule."""
    found: Counter[tuple[str, str]] = Counter()
    for line in made.lines:
        found[line.dataset, line.rule] += line.items
    return found
