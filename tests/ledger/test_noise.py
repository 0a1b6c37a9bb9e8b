"""What a certificate may say of a key that is destroyed: of what went, and of what only a lock keeps."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from include.ledger import verify
from include.ledger.certificate import Copy, Draft, Edition, Horizon
from include.ledger.horizon import horizon
from include.model.words import CopyKind, Rung, Verdict
from tests.ledger.making import (
    CONTRACT,
    ERASE,
    FACE,
    HOLD,
    KEY,
    RETAIN,
    Log,
    all_evidence,
    draft,
    evidence,
    group,
    passed,
    payload,
    pem,
    sign,
    waits,
)


def problems(made: dict[str, Any]) -> list[str]:
    return verify.verify(sign(made), pem(KEY)).problems


def book(dataset: str, what: str, verdict: Verdict = Verdict.PASSED) -> Log:
    """The evidence of the case, and what was tried on the kept ciphertexts of a dataset."""
    before, gone, *after = all_evidence()
    return Log.of(before, evidence(*gone.checks, passed(dataset, Rung.R9, verdict=verdict, what=what)), *after)  # fmt: skip


def claiming(dataset: str, *fates: Any, copies: tuple[Copy, ...] | None = None) -> Draft:
    """A draft in which the groups of these fates claim R9."""
    of = draft()
    groups = tuple(
        g.model_copy(update={"rung_reached": Rung.R9}) if (g.dataset, g.disposition) in [(dataset, f) for f in fates]
        else g for g in of.groups
    )  # fmt: skip
    return of.model_copy(update={"groups": groups} | ({} if copies is None else {"copies": copies}))


@pytest.mark.parametrize("edition", list(Edition))
def test_what_went_and_what_a_lock_keeps_may_be_noise(edition: Edition) -> None:
    assert problems(payload(edition, of=claiming(FACE, ERASE), book=book(FACE, "key_destroyed"))) == []
    assert problems(payload(edition, of=claiming(CONTRACT, RETAIN), book=book(CONTRACT, "noise"))) == []


@pytest.mark.parametrize("verdict", [Verdict.FAILED, Verdict.UNVERIFIED])
def test_r9_is_not_claimed_beyond_its_evidence(verdict: Verdict) -> None:
    found = problems(payload(of=claiming(FACE, ERASE), book=book(FACE, "key_destroyed", verdict)))
    assert any(f"claims R9, but its evidence says: {verdict}" in f for f in found)
    without = problems(payload(of=claiming(FACE, ERASE)))
    assert any("claims R9, but its evidence says: no check of it" in f for f in without)


def test_the_end_of_a_key_says_nothing_of_the_other_fate() -> None:
    """What went and what stays of one dataset are tried apart."""
    for what, fate in (("key_destroyed", RETAIN), ("noise", ERASE)):
        found = problems(payload(of=claiming(CONTRACT, fate), book=book(CONTRACT, what)))
        assert any("claims R9, but its evidence says: no check of it" in f for f in found)


def test_what_is_held_is_not_noise() -> None:
    found = problems(payload(of=claiming(CONTRACT, HOLD), book=book(CONTRACT, "noise")))
    assert any("what stays can be hidden (R1) and no more; it claims R9" in f for f in found)


def test_no_key_is_destroyed_while_a_backup_of_its_store_may_have_it() -> None:
    (weekly,) = draft().copies
    elsewhere = waits(weekly.backup_set, weekly.until).model_copy(update={"store": "keys"})
    found = problems(payload(of=claiming(FACE, ERASE, copies=(elsewhere,)), book=book(FACE, "key_destroyed")))
    assert any(f.endswith("claims R9, but backup set weekly may still have its key") for f in found)


def test_what_nobody_can_read_sets_no_horizon() -> None:
    lock = group(
        FACE,
        "PI-019",
        RETAIN,
        1,
        copy_kind=CopyKind.OBJECT_VERSION,
        until=date(2030, 1, 1),
        law="Object Lock",
    )
    assert horizon([], [lock], [], []) == Horizon(
        until=date(2030, 1, 1), because="face.image, versions kept by Object Lock"
    )
    assert horizon([], [lock.model_copy(update={"rung_reached": Rung.R9})], [], []) is None
