"""What a query could not see counts no longer once the files were looked into; what was seen there does, for better or worse."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from include.ledger.verify import Look, latest, rung_problems, seen_of

AT = datetime(2026, 11, 28, tzinfo=UTC)
GROUP = {
    "step": "s1", "dataset": "ra.biometric", "copy_kind": "live", "disposition": "erase", "rung_reached": 4,
    "rung_required": 4, "pending": False, "verdict": "passed", "unverified": [],
}  # fmt: skip


def check(name: str, rung: int, verdict: str, **more: Any) -> dict[str, Any]:
    said = {"name": f"{name}.ra.biometric", "dataset": "ra.biometric", "copy_kind": "live"}
    return said | {"rung": rung, "verdict": verdict} | more


def look(kind: str, *checks: dict[str, Any], step: str = "s1", store: str = "company") -> Look:
    return Look(kind, step, store, "p", AT, [(1 if kind == "gone" else 2, list(checks))])


GONE = look("gone", check("gone", 2, "passed"), check("beyond", 4, "unverified"))


def problems(*looks: Look, **more: Any) -> list[str]:
    group = GROUP | more
    return list(rung_problems(group, seen_of(group, latest(list(looks)))))


def test_without_a_look_into_the_files_r4_is_not_borne_out() -> None:
    assert problems(GONE) == ["claims R4, but its evidence says: unverified"]


def test_with_one_it_is() -> None:
    assert problems(GONE, look("residue", check("dead", 3, "passed"), check("bytes", 4, "passed"))) == []


@pytest.mark.parametrize(
    "files",
    [
        look("residue", check("dead", 3, "passed"), check("bytes", 4, "failed")),
        look("residue", check("dead", 3, "passed"), check("bytes", 4, "unverified")),
        look("residue", check("dead", 3, "unverified"), check("bytes", 4, "passed")),
        look("residue", check("dead", 3, "passed")),
        look("residue", check("bytes", 4, "passed"), step="s2"),
        look("residue", check("bytes", 4, "passed", dataset="sign.handwriting")),
        look("residue", check("bytes", 4, "passed"), store="archive"),
    ],
    ids=[
        "failed",
        "unverified",
        "still seen",
        "not looked for",
        "other step",
        "other dataset",
        "other store",
    ],
)
def test_only_that_look_and_only_if_all_of_it_passed(files: Look) -> None:
    assert problems(GONE, files)


def test_nothing_else_that_could_not_be_seen_is_forgotten() -> None:
    blind = look("gone", check("gone", 4, "unverified"), check("beyond", 4, "failed"))
    assert problems(blind, look("residue", check("bytes", 4, "passed")))


# --- and at the server's own log ------------------------------------------------------------------------

FILES = look("residue", check("dead", 3, "passed"), check("bytes", 4, "passed"))
ASKS_R5 = look("gone", check("gone", 2, "passed"), check("beyond", 5, "unverified"))


def log(verdict: str) -> Look:
    return look("own_log", check("log", 5, verdict))


def test_log_that_still_holds_it_takes_nothing_from_what_was_seen_in_files() -> None:
    assert problems(GONE, FILES, log("unverified")) == []
    assert problems(GONE, log("unverified"), FILES) == []


def test_log_that_is_gone_bears_out_r5() -> None:
    assert problems(GONE, FILES, log("passed"), rung_reached=5) == []
    assert problems(ASKS_R5, FILES, log("passed"), rung_reached=5, rung_required=5) == []


@pytest.mark.parametrize(
    ("looks", "says"),
    [
        ((ASKS_R5, FILES), "claims R5, but its evidence says: unverified"),
        ((ASKS_R5, FILES, log("unverified")), "claims R5, but its evidence says: unverified"),
        ((GONE, FILES), "claims R5, but its evidence says: no check of it"),
        ((ASKS_R5, look("residue", check("bytes", 4, "unverified")), log("passed")), "did not pass R4"),
        ((GONE, look("residue", check("bytes", 4, "failed")), log("passed")), "claims R4"),
    ],
    ids=["nobody looked", "still there", "not asked for", "files unseen", "in a file"],
)
def test_r5_is_not_claimed_otherwise(looks: tuple[Look, ...], says: str) -> None:
    required = 5 if looks[0] is ASKS_R5 else 4
    assert any(says in problem for problem in problems(*looks, rung_reached=5, rung_required=required))
