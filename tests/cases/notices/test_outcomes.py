"""When a later notice stands for an earlier one on a certificate."""

from __future__ import annotations

from typing import Any

import pytest

from include.cases.notices.outcomes import _asked_again


def later(*erase: str, because: str = "hold_released") -> dict[str, Any]:
    return {"erase": list(erase), "because": because}


@pytest.mark.parametrize(
    ("state", "after", "replaced"),
    [
        ("tp_retained", [], False),
        (
            "tp_retained",
            [later("PI-005", because="retention_ended")],
            False,
        ),  # but PI-005 is not told of any more
        ("tp_retained", [later("PI-001", "PI-005", because="still_retained")], True),
        ("tp_superseded", [later("PI-005", because="hold_opened")], True),
        ("tp_retained", [later("PI-005")], False),
        ("tp_escalated", [later("PI-005")], False),
        ("tp_escalated", [later("PI-005", because="retention_ended")], False),
        ("tp_escalated", [later("PI-005"), later("PI-001")], True),
        ("tp_acked", [later("PI-001", "PI-005", because="not_deleted")], True),
        ("tp_notified", [later("PI-001", "PI-005")], False),  # it is still waited for
    ],
)
def test_it_does_once_it_asks_for_all_of_it(state: str, after: list[dict[str, Any]], replaced: bool) -> None:
    assert _asked_again({"state": state}, ("PI-001", "PI-005"), after) is replaced


def test_a_notice_about_nothing_that_is_to_go_is_not_replaced() -> None:
    assert not _asked_again({"state": "tp_retained"}, (), [later("PI-001")])
