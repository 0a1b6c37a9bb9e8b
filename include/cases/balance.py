"""The double-entry books: located = erased + deidentified + anonymised + transferred + unlinked + retained + held.

Per case x dataset x copy. What was changed is taken from the stores' receipts, which were committed with the
deed itself; what stays is taken from the plan. The two must account for exactly what was located.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from include.model.errors import BooksDoNotBalance
from include.model.flow import Check, Evidence, Plan, Receipt
from include.model.words import CopyKind, Disposition, Rung, Verdict

CHANGED = tuple(d for d in Disposition if d.changes_data)
STAYS = tuple(d for d in Disposition if not d.changes_data)


@dataclass(frozen=True)
class Account:
    """One account of the books."""

    dataset: str
    copy_kind: CopyKind
    located: int
    done: dict[Disposition, int]

    @property
    def accounted(self) -> int:
        return sum(self.done.values())

    @property
    def balances(self) -> bool:
        return self.located == self.accounted

    def __str__(self) -> str:
        parts = [f"{n} {d.past}" for d, n in self.done.items() if n] or ["0"]
        return f"{self.located} located = " + " + ".join(parts)


def accounts(
    plan: Plan, receipts: Sequence[Receipt], *, earlier: Collection[str] = ()
) -> tuple[Account, ...]:
    """The books of a plan after its receipts, in the plan's order.

    ``earlier``: fingerprints of plans of the same step that this one replaced after a partial run; their
    receipts count. A receipt of any other plan is somebody else's deed and raises BooksDoNotBalance.
    A receipt's word may carry a copy (``erased@object_version``); a bare word counts the live copy.
    """
    known = {plan.fingerprint(), *earlier}
    changed: Counter[tuple[str, str, str]] = Counter()
    for receipt in receipts:
        if receipt.verb != "dispose":
            continue
        if receipt.plan not in known:
            raise BooksDoNotBalance(
                "a receipt belongs to a plan that was never this case's",
                about=f"{plan.case_no} {receipt.store}",
                next_step="find out who disposed, before anything else",
            )
        for place, what in receipt.counts.items():
            for done, items in what.items():
                word, _, copy_kind = done.partition("@")
                if (deed := _deed(word)) is not None:
                    changed[place, copy_kind or CopyKind.LIVE.value, deed.value] += items
    books = []
    for place_ in plan.located:
        key = (place_.dataset, place_.copy_kind.value)
        stays = Counter[Disposition]()
        for line in plan.lines_of(place_.dataset):
            if line.copy_kind is place_.copy_kind and not line.disposition.changes_data:
                stays[line.disposition] += line.items
        done_here = {d: changed.pop((*key, d.value), 0) for d in CHANGED} | {d: stays[d] for d in STAYS}
        books.append(Account(place_.dataset, place_.copy_kind, place_.items, done_here))
    for (dataset, copy_kind, deed_), items in changed.items():
        if items:
            books.append(Account(dataset, CopyKind(copy_kind), 0, {Disposition(deed_): items}))
    return tuple(books)


def check(plan: Plan, receipts: Sequence[Receipt], *, earlier: Collection[str] = ()) -> tuple[Account, ...]:
    """The books, if they balance. Raises BooksDoNotBalance naming the dataset and both numbers."""
    books = accounts(plan, receipts, earlier=earlier)
    for account in books:
        if not account.balances:
            raise BooksDoNotBalance(
                f"{account.located} located, {account.accounted} accounted for ({account.copy_kind.value})",
                about=f"{plan.case_no} {account.dataset}",
                next_step="keep the case open; compare the store's receipts with the plan",
            )
    return books


def evidence(
    plan: Plan, receipts: Sequence[Receipt], observed_at: datetime, *, earlier: Collection[str] = ()
) -> Evidence:
    """The balance as evidence of kind ``balance``: one check per account, also when it fails."""
    return Evidence(
        kind="balance",
        step=plan.step,
        case_no=plan.case_no,
        store=None,
        as_of=plan.as_of,
        observed_at=observed_at,
        plan=plan.fingerprint(),
        checks=tuple(
            Check(
                name=f"balance.{a.dataset}",
                dataset=a.dataset,
                copy_kind=a.copy_kind,
                rung=Rung.R2,
                verdict=Verdict.PASSED if a.balances else Verdict.FAILED,
                expected=a.located,
                observed=a.accounted,
                why="" if a.balances else "located and accounted for differ",
            )
            for a in accounts(plan, receipts, earlier=earlier)
        ),
    )


def _deed(word: str) -> Disposition | None:
    """The disposition that a receipt's word counts, in either form; None for other counts."""
    for disposition in CHANGED:
        if word in (disposition.value, disposition.past):
            return disposition
    return None
