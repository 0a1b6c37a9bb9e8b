"""The two editions of a certificate: what each lists, and nothing of what only the other does.

The auditor's shows everything. The person's leaves out what only a confidential hold keeps, and what else is kept
or cut for such a hold is told as if it were not; its serial and its kind are its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from include.ledger.certificate import (
    SCOPE,
    BalanceLine,
    Certificate,
    Completeness,
    Copy,
    Draft,
    Edition,
    Horizon,
    ItemGroup,
    Kind,
    Pending,
    StepDone,
    Told,
)
from include.ledger.horizon import horizon
from include.ledger.verify import TO_THE_PERSON
from include.model.errors import BooksDoNotBalance
from include.model.words import CopyKind

Place = tuple[str, CopyKind]


@dataclass(frozen=True)
class Listed:
    """What one edition lists."""

    kind: Kind
    serial: int
    groups: tuple[ItemGroup, ...]
    balance: tuple[BalanceLine, ...]
    pending: tuple[Pending, ...]
    steps: tuple[StepDone, ...] = ()
    evidence: tuple[int, ...] = ()
    recipients: tuple[Told, ...] = ()
    rechecks: tuple[int, ...] = ()
    figures: int | None = None
    copies: tuple[Copy, ...] = ()

    @property
    def horizon(self) -> Horizon | None:
        return horizon(self.copies, self.groups, self.recipients, self.pending)


def _ordered(groups: Iterable[ItemGroup]) -> tuple[ItemGroup, ...]:
    return tuple(
        sorted(groups, key=lambda g: (g.dataset, g.copy_kind, g.category, g.disposition, g.canonical()))
    )


def for_auditor(draft: Draft) -> Listed:
    return Listed(
        draft.kind, draft.serial, _ordered(draft.groups), balance(draft), draft.pending, draft.steps,
        tuple(sorted(draft.evidence)), draft.recipients, tuple(sorted(draft.rechecks)), draft.figures,
        draft.copies,
    )  # fmt: skip


def shown(draft: Draft) -> tuple[ItemGroup, ...]:
    """The groups that the person is told of: none that only a confidential hold keeps."""
    return tuple(g for g in draft.groups if not (g.confidential and g.only_for_a_hold))


def for_person(draft: Draft, told: int | None = None) -> Listed:
    """Without confidential holds: not in the groups, not in the balance, not in what is pending.

    Datasets of which nothing is listed are left out altogether, found empty or not, so that an absent
    line says nothing. Steps and plans are left out: they list holds. Items that are kept or cut anyway are
    listed with those of the same fate, so that no line is split for a hold. ``told``: the ledger entry with
    the person's evidence.
    """
    merged: dict[ItemGroup, int] = {}
    for g in shown(draft):
        plain = {"kept_for": None, "confidential": False} if g.confidential else {}
        evidence = () if told is None or not g.evidence else (told,)
        same = g.model_copy(update={"step": "", "items": 1, "evidence": evidence, **plain})
        merged[same] = merged.get(same, 0) + g.items
    groups = _ordered(g.model_copy(update={"items": items}) for g, items in merged.items())
    waiting = {(g.dataset, g.category, g.copy_kind, g.rung_required) for g in groups if g.pending}
    pending = tuple(
        p
        for p in draft.pending
        if not p.confidential
        and (p.track != "rung" or (p.dataset, p.category, p.copy_kind, p.rung) in waiting)
    )
    open_ = pending or any(not g.disposition.changes_data for g in groups)
    lines = [
        BalanceLine(dataset=dataset, copy_kind=copy, located=sum(words.values()), **words)
        for (dataset, copy), by_category in sorted(_listed(groups).items())
        for words in [next(iter(by_category.values()))]
    ]
    kind = Kind.INTERIM if open_ else Kind.FINAL
    return Listed(
        kind, draft.person_serial, groups, tuple(lines), pending, (), () if told is None else (told,),
        recipients_for_person(draft.recipients), copies=draft.copies,
    )  # fmt: skip


BY_LAW = "RETAINED_BY_LAW"


def recipients_for_person(recipients: Iterable[Told]) -> tuple[Told, ...]:
    """Who keeps something and on what, and who is silent. Who deleted is not listed: so whoever preserves something for
    a hold is missing like them, and that says nothing.

    What a recipient answered is told only where it named a law: a dispute may be one that the person may not know of.
    Of further notices neither number nor day is told: they follow from a hold's release, too.
    """
    found: dict[Told, None] = {}
    for one in recipients:
        if one.outcome not in TO_THE_PERSON or one.preserved:
            continue
        by_law = one.outcome == "retained" and one.code == BY_LAW
        same = one.model_copy(
            update={
                "code": BY_LAW if by_law else None,
                "round": None,
            }
            | ({} if one.round == 1 else {"told_on": None, "ended_on": None})
        )
        found[same] = None
    return tuple(found)


def person_content(draft: Draft) -> str:
    """What the person's edition says, whenever it is said, as a digest: unchanged, no new one is issued."""
    said = payload(draft, Edition.PERSON, for_person(draft)) | {
        "serial": 1, "as_of": "2000-01-01", "observed_at": "2000-01-01T00:00:00Z", "simulated": False,
    }  # fmt: skip
    return Certificate.model_validate(said).fingerprint()


def payload(draft: Draft, edition: Edition, listed: Listed) -> dict[str, Any]:
    """The payload without what proves it."""
    case = {"case_no", "ground", "catalogue", "code", "as_of", "observed_at", "simulated"}
    return {
        **draft.model_dump(include=case),
        **vars(listed),
        "horizon": listed.horizon,
        "edition": edition,
        "statement": f"{draft.statement} {SCOPE}",
        "rungs": 0,
        "entries": (),
        "completeness": Completeness(entry=0, salt=""),
        "checkpoint": "",
        "successions": (),
    }


# --- the books ---------------------------------------------------------------------------------


def balance(draft: Draft) -> tuple[BalanceLine, ...]:
    """The books of a draft, by place. Raises BooksDoNotBalance, naming dataset, copy and counts.

    Three independent words must agree: what was located, what receipts and plan account for, and the groups.
    """
    done = {(line.dataset, line.copy_kind): line for line in draft.balance}
    located = {(found.dataset, found.copy_kind): found.items for found in draft.located}
    if len(located) != len(draft.located) or len(done) != len(draft.balance):
        raise BooksDoNotBalance("a dataset and copy was located twice", about=draft.case_no)
    for dataset, copy in done.keys() - located.keys():
        raise BooksDoNotBalance(f"{dataset} ({copy}) was disposed of but never located", about=draft.case_no)
    listed = _listed(draft.groups)
    for dataset, copy in listed.keys() - located.keys():
        raise BooksDoNotBalance(f"{dataset} ({copy}) was disposed of but never located", about=draft.case_no)
    for (dataset, copy), items in sorted(located.items()):
        line = done.get((dataset, copy), BalanceLine(dataset=dataset, copy_kind=copy, located=items))
        by_category = listed.get((dataset, copy), {"none": {}})
        for category, words in sorted(by_category.items()):
            if sum(words.values()) != items:
                raise BooksDoNotBalance(
                    f"{dataset} ({copy}), {category}: {items} located, {sum(words.values())} accounted for",
                    about=draft.case_no,
                    next_step="find the items without a disposition; survey and plan again",
                )
        first = next(iter(by_category.values()))
        if any(words != first for words in by_category.values()):
            raise BooksDoNotBalance(
                f"{dataset} ({copy}): its categories do not agree on what became of its items",
                about=draft.case_no,
            )
        if line != BalanceLine(dataset=dataset, copy_kind=copy, located=items, **first):
            raise BooksDoNotBalance(
                f"{dataset} ({copy}): the stores' receipts say otherwise than the plan",
                about=draft.case_no,
                next_step="compare the receipts with the plan; keep the case open",
            )
    return tuple(done[place] for place in sorted(done))


def _listed(groups: Iterable[ItemGroup]) -> dict[Place, dict[str, dict[str, int]]]:
    """Place -> category -> what became of its items -> how many."""
    sums: dict[Place, dict[str, dict[str, int]]] = {}
    for group in groups:
        words = sums.setdefault((group.dataset, group.copy_kind), {}).setdefault(group.category, {})
        words[group.disposition.past] = words.get(group.disposition.past, 0) + group.items
    return sums
