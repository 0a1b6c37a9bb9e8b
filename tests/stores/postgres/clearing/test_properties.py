"""Over companies, limits and holds that nobody thought of: after a night nothing that is past its latest date and not held is
there but what the receipts count as needed, and nothing else was even written. A second night finds nothing to do. What ends
may be a row, a group of its columns, or what an earlier night left of it.

``QUIETUS_EXAMPLES`` raises the number of companies per server, a third and a quarter as many as of steps.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass
from datetime import date

import pytest
from hypothesis import Phase, event, given, settings, target
from hypothesis import strategies as st

from include.cases import planner
from include.cases.retention.asking import Asking
from include.cases.retention.held import HeldPeople
from include.model.flow import Step
from include.stores.postgres.clearing import Clearing
from tests.stores.postgres import oracle
from tests.stores.postgres.clearing.generated import LATER, Limited, is_cut, limited
from tests.stores.postgres.clearing.naive import NOT_DUE, Naive, Night, part_done, part_id
from tests.stores.postgres.generated import dangling
from tests.stores.postgres.making import PATIENCE, TODAY, Company
from tests.stores.postgres.making import Fixed as Connected
from tests.stores.postgres.test_properties import (
    EXAMPLES,
    QUIET,
    Arena,
    check_rows,
    plain,
)
from tests.stores.sizes import Pieces

_numbers = itertools.count(1)


@dataclass
class Nights:
    """Nights over one company."""

    limited: Limited
    made: Company

    def night(self, as_of: date, held: HeldPeople) -> tuple[dict[str, Counter[str]], Step]:
        """A whole night; what its receipts say, by dataset."""
        catalogue = self.limited.catalogue()
        n = next(_numbers)
        step = Step(id=f"night_{n}", case_no=f"CASE-{n:06d}", as_of=as_of, restricting=False, subjects=())
        asking = Asking(catalogue, as_of, held=lambda: held)
        clearing = Clearing(
            catalogue, "company", Connected(self.made.conninfo), asking.looks, asking.fates,
            patience=PATIENCE, page=self.limited.page, size=Pieces(self.limited.piece),
        )  # fmt: skip
        survey = clearing.locate(step)
        plan = planner.plan(step, survey.located, clearing.lines(step), catalogue.digest, "test")
        clearing.dispose(step, plan)
        assert clearing.left == {}
        dropped = any("partition" in r.position for r in clearing.receipts(step))
        event(f"{'a' if dropped else 'no'} partition goes with its files")
        words: dict[str, Counter[str]] = {}
        for receipt in clearing.receipts(step):
            for dataset, said in receipt.counts.items():
                words.setdefault(dataset, Counter()).update({k: v for k, v in said.items() if k != "upto"})
        settled = clearing.settled(step).located
        planner.plan(step, settled, clearing.lines(step), catalogue.digest, "test")
        went = {d: w["erased"] + w["deidentified"] + w["unlinked"] for d, w in words.items()}
        assert {x.dataset: x.items for x in settled if x.items} == {d: n for d, n in went.items() if n}
        return {d: +w for d, w in words.items() if +w}, step


def receipts(it: Night) -> dict[str, Counter[str]]:
    """What receipts must say."""
    words = {**oracle.PAST, "retain": "needed", NOT_DUE: "not_due"}
    found = {t: Counter(words[f.disposition] for f in of.values()) for t, of in it.rows.items()}
    found |= {p: Counter(erased=len(keys)) for p, keys in it.parts.items() if keys}
    return {t: said for t, said in found.items() if said}


def tell(it: Limited, night: Night) -> None:
    for kind in sorted(it.kinds()):
        event(kind)
    for word in sorted(met(night)):
        event(word)
    target(
        float(sum(len(of) for of in (*night.rows.values(), *night.parts.values()))),
        label="items that are due",
    )


def met(night: Night) -> set[str]:
    """What a night met, in words."""
    found = {f"fate {f.disposition}" for of in night.rows.values() for f in of.values()}
    for part, keys in night.parts.items():
        rows = night.rows[part.rpartition(".")[0]]
        for key in keys:
            fate = rows[key].disposition if key in rows else "stays"
            found.add(f"a part goes, its row: {fate}")
    return found


@given(it=limited())
@settings(QUIET, max_examples=max(1, EXAMPLES // 3))
def test_a_night_takes_what_is_due_and_nothing_else(arena: Arena, it: Limited) -> None:
    made = arena.settle_in(it.company)
    nights = Nights(it, made)
    before = arena.rows(it.company)
    expected = Naive(it, plain(before), TODAY).night()
    tell(it, expected)

    words, first = nights.night(TODAY, it.held())
    after = arena.rows(it.company)
    check_rows(before, after, expected.becomes)
    assert words == receipts(expected)
    assert dangling(it.company.tables, plain(after)) == []

    again, second = nights.night(TODAY, it.held())
    assert arena.rows(it.company) == after, "the same night again changed something"
    assert again == {t: Counter(needed=n) for t, w in words.items() if (n := w["needed"])}
    arena.sweep(first, second)


@given(it=limited())
@settings(QUIET, max_examples=max(1, EXAMPLES // 4))
def test_whose_a_row_is_stays_known_until_it_goes(arena: Arena, it: Limited) -> None:
    """Tonight's night takes nothing by which alone it is known when the clock of a row that stays began. So years later, and
    without holds, all is gone that would have been due then had there been no night before."""
    nights = Nights(it, arena.settle_in(it.company))
    before = plain(arena.rows(it.company))
    _, first = nights.night(TODAY, it.held())
    between = plain(arena.rows(it.company))
    words, second = nights.night(LATER, HeldPeople())
    after = Naive(it, plain(arena.rows(it.company)), LATER, held=False)
    for rows in (before, between):
        due = Naive(it, rows, LATER, held=False).all_due()
        event(f"{'something' if any(due.values()) else 'nothing'} is due by then")
        for table in it.company.tables.values():
            cut = {table.key_of(r) for r in rows[table.id] if is_cut(table, r)}  # of these all was to go
            there = {
                table.key_of(r)
                for r in after.rows[table.id]
                if not is_cut(table, r) or table.key_of(r) in cut
            }
            left = there & due[table.id]
            assert len(left) <= words.get(table.id, Counter())["needed"], (table.id, left)
        for table, part in after.parts():
            left = {table.key_of(r) for r in after.rows[table.id] if not part_done(part, r)} & due[
                part_id(table, part)
            ]
            assert not left, (part_id(table, part), left)
    arena.sweep(first, second)


BETWEEN = (date(2026, 12, 25), date(2027, 6, 1), date(2031, 12, 1))
"""Days between the two: after a month, half a year, five years, as far as the drawn dates go."""


@given(it=limited(), day=st.sampled_from((*BETWEEN, LATER)))
@settings(QUIET, max_examples=max(1, EXAMPLES // 4))
def test_nothing_goes_sooner_for_what_went_before_it(arena: Arena, it: Limited, day: date) -> None:
    """A night takes rows by which others are somebody's. Whatever goes on a later one would have been due by then had there been
    no night before: the end of those who are left says nothing of one whose own row went."""
    nights = Nights(it, arena.settle_in(it.company))
    before = plain(arena.rows(it.company))
    _, first = nights.night(TODAY, it.held())
    between = plain(arena.rows(it.company))
    _, second = nights.night(day, HeldPeople())
    after = plain(arena.rows(it.company))
    due = Naive(it, before, day, held=False).all_due()
    cut_first = {}
    for table in it.company.tables.values():
        there = {table.key_of(r) for r in after[table.id]}
        cut = cut_first[table.id] = {table.key_of(r) for r in between[table.id] if is_cut(table, r)}
        gone = {table.key_of(r) for r in between[table.id]} - there - cut
        event(f"{'something' if gone else 'nothing'} went")
        assert gone <= due[table.id], (table.id, gone - due[table.id])
    for table, part in Naive(it, before, day).parts():
        id_ = part_id(table, part)
        whole = {table.key_of(r) for r in between[table.id] if not part_done(part, r)}
        went = whole & {table.key_of(r) for r in after[table.id] if part_done(part, r)}
        went -= cut_first[table.id] | due[table.id]  # a row that is due is due with its columns
        assert went <= due[id_], (id_, went - due[id_])
    arena.sweep(first, second)


KINDS = {
    "cycle", "self-reference", "composite key", "reference to a unique column", "cascade", "deferrable",
    "range partitions", "hash partitions", "shared", "access only", "via", "references that are not declared",
    "action erase", "action deidentify", "action unlink", "starts by a column", "starts by a query",
    "starts by the account's end", "a floor", "several binds", "gives way", "hold over people", "hold over datasets",
    "small pieces", "a part", "several parts", "a part of a composite key", "a part of a partitioned table",
    "a part of a table that is referred to", "a part that refers", "a part that the cut leaves",
    "a part that the cut sets, too", "a law of the row's over a part", "a hold over a part's rows", "a rest with an end",
    "a rest that is there already",
}  # fmt: skip
FATES = {
    "fate erase", "fate deidentify", "fate unlink", "fate retain", "a row that is due is held",
    "nothing is due", "a part that is due is held", "a part goes, its row: stays", "a part goes, its row: erase",
    "a part goes, its row: retain",
}  # fmt: skip
RARE = {
    "a part goes, its row: unlink",
    "a part goes, its row: deidentify",
    "a part goes, its row: not due",
    "fate not due",
}
"""What may be in no sample of this size."""
SAMPLE = 200


def test_the_generator_makes_nights_of_every_kind(capsys: pytest.CaptureFixture[str]) -> None:
    seen: Counter[str] = Counter()
    due: list[int] = []

    @given(it=limited())
    @settings(QUIET, max_examples=SAMPLE, phases=[Phase.generate])
    def look(it: Limited) -> None:
        naive = Naive(it, it.company.rows, TODAY)
        night = naive.night()
        items = sum(map(len, (*night.rows.values(), *night.parts.values())))
        due.append(items)
        all_due = naive.all_due()
        seen.update(it.kinds() | met(night))
        seen.update(
            ["a row that is due is held"] * any(len(all_due[t]) > len(of) for t, of in night.rows.items())
        )
        seen.update(
            ["a part that is due is held"] * any(len(all_due[p]) > len(of) for p, of in night.parts.items())
        )
        seen.update(["nothing is due"] * (not items))

    look()
    with capsys.disabled():
        print(f"\n{len(due)} nights of {min(due)} to {max(due)} rows, {sum(due) / len(due):.0f} on average")  # noqa: T201
        print("  " + ", ".join(f"{k} {n / len(due):.0%}" for k, n in seen.most_common()))  # noqa: T201
    assert seen.keys() - RARE == KINDS | FATES
    assert min(seen[k] for k in KINDS) >= SAMPLE // 20
    assert seen["nothing is due"] < SAMPLE // 4
