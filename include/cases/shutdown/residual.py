"""What stays after a shutdown: the residual list, by category, law, custodian and end date (policy 5.6, end; clause 80).

Asked of the stores by the prover, by the question of the preview as of the day collection was closed: what a statute keeps, what
a hold keeps, and the bare keys that rows which stay point at. What is still on its way, to the successor or to its deletion, is
no residue: it is counted beside the list, and so is what could not be asked. What a statute keeps goes the day after its last
floor, by a night (:mod:`include.cases.retention.stopped`): so each last day that is told is a floor's, and what is past it and
still here is named when the certificate is asked for. Only a hold keeps it longer, or a row that needs it; and then it is told as
held, or needed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any

from include.cases.retention.due import Judged
from include.cases.rooms import Desk
from include.cases.shutdown import located, orders
from include.cases.shutdown.begun import Elsewhere, elsewhere
from include.cases.shutdown.fates import HELD_LAW, Fate
from include.cases.shutdown.orders import Order
from include.cases.shutdown.pointed import Pointed, pointed, still_needed
from include.model.catalogue import Catalogue
from include.model.words import Disposition

BARE, NEEDED = "key", "needed"
"""In place of a rule: of a row that is cut to a key, and of one that stays whole."""
POINTED_AT = "as long as rows that the law keeps point at it"
STAYS = (Disposition.RETAIN, Disposition.HOLD)


@dataclass(frozen=True)
class Kept:
    """Items of a dataset that one rule keeps. ``categories``: what is in them; ``disposition``: retain or hold; ``first`` and
    ``last``: of their last days; ``waits``: how many have none yet, since their clock has not started or a hold has no end."""

    dataset: str
    categories: tuple[str, ...]
    disposition: str
    rule: str
    law: str
    items: int
    first: date | None
    last: date | None
    waits: int


@dataclass(frozen=True)
class Residual:
    """The list. ``moving``: dataset -> items that are still to go to the successor; ``going``: that are still to be disposed of;
    ``unverified``: what could not be asked, and why; ``elsewhere``: what a company alone has that took over and withdrew."""

    order: str
    as_of: date
    custodian: str | None
    contact: str | None
    kept: tuple[Kept, ...]
    moving: Mapping[str, int]
    going: Mapping[str, int]
    unverified: Mapping[str, str]
    elsewhere: tuple[Elsewhere, ...] = ()

    @property
    def items(self) -> int:
        return sum(k.items for k in self.kept)

    @property
    def settled(self) -> bool:
        """Whether the list is all that is left: nothing is on its way, everything was asked, and somebody keeps it."""
        open_ = [e for e in self.elsewhere if not e.settled]
        return not (self.moving or self.going or self.unverified or open_) and (
            not self.kept or bool(self.custodian)
        )

    def body(self, *, holds: bool = True) -> dict[str, Any]:
        """As JSON: counts, names of datasets, categories and rules, days. ``holds``: for who is told of them; for others what a
        hold keeps is kept, and nothing says by what."""
        kept = self.kept if holds else tuple(_untold(self.kept))
        return {
            "order": self.order, "as_of": self.as_of.isoformat(), "custodian": self.custodian, "contact": self.contact,
            "items": self.items, "kept": [_told(k) for k in kept], "moving": dict(self.moving), "going": dict(self.going),
            "unverified": dict(self.unverified), "elsewhere": [asdict(e) for e in self.elsewhere], "settled": self.settled,
        }  # fmt: skip


def residual(desk: Desk, number: str, *, as_of: date | None = None) -> Residual:
    """The list of an order, as it is now. ``as_of``: by which what stays past its last day is told as held, or needed; None: the
    day collection was closed. Raises Refused before that, NotReachable."""
    with desk.book() as conn:
        of = orders.order(conn, number)
    judged, unasked = located.fates(desk, of)
    here: dict[str, Counter[Disposition]] = {}
    for it, what in judged:
        here.setdefault(it.dataset, Counter())[what.disposition] += it.items
    keys = pointed(desk, of, here)
    unasked |= keys.unasked
    if as_of is not None and (past := {it.dataset for it, what in judged if _over(what, as_of)}):
        still = still_needed(desk, of, past, as_of)
        judged, unasked = list(_by_then(judged, still, as_of)), unasked | still.unasked
    with desk.book() as conn:
        others = elsewhere(conn, number, of.successor_certificate)
    return replace(made(desk.catalogue, of, judged, keys, unasked), elsewhere=others)


def _over(what: Fate, as_of: date) -> bool:
    """Whether a statute kept it, and its last day is over."""
    return what.disposition is Disposition.RETAIN and what.until is not None and what.until < as_of


def _by_then(
    judged: Iterable[tuple[Judged, Fate]], still: Pointed, as_of: date
) -> Iterator[tuple[Judged, Fate]]:
    """What is past its last day with what keeps it on this one. ``still``: how many rows others need; which, is not asked."""
    left = {BARE: Counter(still.bare), NEEDED: Counter(still.needed)}
    for it, what in judged:
        if not _over(what, as_of):
            yield it, what
        elif it.held:
            yield it, Fate(Disposition.HOLD, it.rule, HELD_LAW)
        else:
            items = it.items
            for rule, of in left.items():
                if stay := min(items, of[it.dataset]):
                    of[it.dataset], items = of[it.dataset] - stay, items - stay
                    yield replace(it, items=stay), Fate(Disposition.RETAIN, rule, POINTED_AT)
            if items:
                yield replace(it, items=items), what


def made(
    catalogue: Catalogue, of: Order, judged: Iterable[tuple[Judged, Fate]], keys: Pointed,
    unverified: Mapping[str, str],
) -> Residual:  # fmt: skip
    """The list of what the stores said. ``keys``: rows that stay since others point at them."""
    groups: dict[tuple[str, Disposition, str, str], list[tuple[Judged, Fate]]] = {}
    moving: dict[str, int] = {}
    going: dict[str, int] = {}
    for it in judged:
        there, what = it
        if what.disposition in STAYS:
            groups.setdefault((there.dataset, what.disposition, what.rule, what.law), []).append(it)
        else:
            on = moving if what.disposition is Disposition.TRANSFER else going
            on[there.dataset] = on.get(there.dataset, 0) + there.items
    for dataset, n in keys.items.items():  # by their own fate they would go
        going[dataset] = max(0, going.get(dataset, 0) - n)
    kept = [_kept(catalogue, key, its) for key, its in sorted(groups.items())]
    kept += [
        Kept(d, _categories(catalogue, d, cut=rule == BARE), Disposition.RETAIN.value, rule, POINTED_AT, n, None, None, n)
        for rule, its in ((BARE, keys.bare), (NEEDED, keys.needed)) for d, n in sorted(its.items())
    ]  # fmt: skip
    return Residual(
        of.number, of.closed_on or of.t0, of.custodian, of.custodian_contact, tuple(kept), moving,
        {d: n for d, n in going.items() if n}, dict(unverified),
    )  # fmt: skip


def _kept(
    catalogue: Catalogue, key: tuple[str, Disposition, str, str], its: list[tuple[Judged, Fate]]
) -> Kept:
    dataset, disposition, rule, law = key
    untils = [f.until for _, f in its if f.until is not None]
    return Kept(
        dataset, _categories(catalogue, dataset, cut=rule == BARE), disposition.value, rule, law, sum(j.items for j, _ in its),
        min(untils, default=None), max(untils, default=None), sum(j.items for j, f in its if f.until is None),
    )  # fmt: skip


def _categories(catalogue: Catalogue, dataset: str, *, cut: bool = False) -> tuple[str, ...]:
    """What is in the items of a dataset; of a bare key what its cut leaves."""
    of = catalogue.dataset(dataset)
    without = of.cut.set if cut and of.cut else {}
    gone = {column.category for name, column in of.columns.items() if name in without and column.category}
    still = {
        column.category for name, column in of.columns.items() if name not in without and column.category
    }
    return tuple(sorted(c for c in of.all_categories if c not in gone - still))


def _untold(kept: Iterable[Kept]) -> Iterator[Kept]:
    """Of each dataset what a hold keeps, with what a statute keeps: one line, without rules, laws and days."""
    held = {k.dataset for k in kept if k.disposition == Disposition.HOLD.value}
    for dataset in dict.fromkeys(k.dataset for k in kept):
        of = [k for k in kept if k.dataset == dataset]
        if dataset not in held:
            yield from of
            continue
        items = sum(k.items for k in of)
        categories = tuple(sorted({c for k in of for c in k.categories}))
        yield Kept(dataset, categories, Disposition.RETAIN.value, "", "", items, None, None, items)


def _told(k: Kept) -> dict[str, Any]:
    days = {x: v.isoformat() if v else None for x, v in (("first", k.first), ("last", k.last))}
    return {**asdict(k), "categories": list(k.categories), **days}
