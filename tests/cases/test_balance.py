"""The double-entry books."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.cases import balance
from include.model.errors import BooksDoNotBalance
from include.model.flow import Line, Located, Plan, Receipt
from include.model.times import observed_now
from include.model.words import CopyKind, Disposition, Verdict
from tests.cases.small import TODAY

D = Disposition
NUMBERS = st.fixed_dictionaries({d: st.integers(0, 4) for d in D})


def plan_of(fates: dict[D, int], located: int | None = None, copy_kind: CopyKind = CopyKind.LIVE) -> Plan:
    more = {"rule": "RS-01", "law": "l", "hold": "HOLD-000001", "waits_for": "x", "copy_kind": copy_kind}
    lines = tuple(Line(dataset="a.b", disposition=d, items=n, **more) for d, n in fates.items())
    found = Located(
        dataset="a.b",
        items=sum(fates.values()) if located is None else located,
        digest="x",
        copy_kind=copy_kind,
    )
    return Plan(
        step="s", case_no="CASE-000001", as_of=TODAY, catalogue="c", code="1", located=(found,), lines=lines
    )


def receipt(plan: Plan, counts: dict[str, int], dataset: str = "a.b", **more) -> Receipt:
    base = {"step": "s", "store": "main", "verb": "dispose", "plan": plan.fingerprint(), "position": {},
            "counts": {dataset: counts}, "done_at": observed_now()}  # fmt: skip
    return Receipt(**(base | more))


def honest(fates: dict[D, int]) -> dict[str, int]:
    return {d.past: n for d, n in fates.items() if d.changes_data}


@given(NUMBERS)
def test_what_was_planned_and_done_balances(fates) -> None:
    plan = plan_of(fates)
    (account,) = balance.check(plan, [receipt(plan, honest(fates))])
    assert account.done == fates
    assert balance.evidence(plan, [receipt(plan, honest(fates))], observed_now()).verdict is Verdict.PASSED


@given(NUMBERS, st.sampled_from([d for d in D if d.changes_data]), st.integers(-3, 3).filter(bool))
def test_one_item_too_many_or_too_few_never_balances_and_names_both_numbers(fates, which, off) -> None:
    done = honest(fates) | {which.past: max(0, fates[which] + off)}
    if done == honest(fates):
        return
    plan, total = plan_of(fates), sum(fates.values())
    wrong = total - fates[which] + done[which.past]
    with pytest.raises(BooksDoNotBalance, match=rf"CASE-000001 a\.b: {total} located, {wrong} accounted for"):
        balance.check(plan, [receipt(plan, done)])
    assert balance.evidence(plan, [receipt(plan, done)], observed_now()).verdict is Verdict.FAILED


@given(st.integers(0, 3), st.integers(0, 3))
def test_receipts_of_several_chunks_add_up(first, second) -> None:
    plan = plan_of({D.ERASE: first + second})
    balance.check(plan, [receipt(plan, {"erased": first}), receipt(plan, {"erased": second}, chunk=1)])


def test_the_copies_of_a_dataset_have_books_of_their_own() -> None:
    live, versions = plan_of({D.ERASE: 2}), plan_of({D.ERASE: 3}, copy_kind=CopyKind.OBJECT_VERSION)
    both = live.model_copy(
        update={"located": live.located + versions.located, "lines": live.lines + versions.lines}
    )
    balance.check(both, [receipt(both, {"erased": 2, "erased@object_version": 3})])
    with pytest.raises(BooksDoNotBalance, match=r"object_version|live"):
        balance.check(both, [receipt(both, {"erased": 3, "erased@object_version": 2})])


def test_a_dataset_that_nobody_located_must_not_be_touched() -> None:
    plan = plan_of({D.ERASE: 1})
    with pytest.raises(BooksDoNotBalance, match=r"x\.y: 0 located, 1 accounted for"):
        balance.check(plan, [receipt(plan, {"erased": 1}), receipt(plan, {"erased": 1}, dataset="x.y")])


def test_a_receipt_of_somebody_elses_plan_is_no_receipt_but_an_earlier_plan_of_the_step_is() -> None:
    old, new = plan_of({D.ERASE: 1}), plan_of({D.ERASE: 1}).model_copy(update={"code": "2"})
    with pytest.raises(BooksDoNotBalance, match="never this case's"):
        balance.check(new, [receipt(old, {"erased": 1})])
    balance.check(new, [receipt(old, {"erased": 1})], earlier=[old.fingerprint()])


def test_counts_that_are_no_disposition_do_not_count() -> None:
    plan = plan_of({D.ERASE: 1})
    balance.check(
        plan, [receipt(plan, {"erased": 1, "effects": 9}), receipt(plan, {"restricted": 5}, verb="restrict")]
    )
