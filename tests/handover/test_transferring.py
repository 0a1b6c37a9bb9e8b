"""Transition 18: units end as transferred only once every bag of everything that was consigned is received."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from include.cases import machine
from include.cases.guards import Facts
from include.model.errors import Refused
from include.model.words import Ground, UnitState
from tests.stores.postgres.making import TODAY


def facts(**more: Any) -> Facts:
    return replace(Facts(as_of=TODAY, hold_checked=True, ground=Ground.SHUTDOWN), **more)


def test_without_a_reconciled_receipt_nothing_is_transferred() -> None:
    with pytest.raises(Refused, match="the successor's receipt is not reconciled"):
        machine.move(
            UnitState.RESTRICTED, UnitState.TRANSFERRED, facts(), about="CASE-000001 cert.certificate"
        )
    with pytest.raises(Refused, match="a hold on this item is still open"):
        machine.move(
            UnitState.RESTRICTED,
            UnitState.TRANSFERRED,
            facts(receipt_reconciled=True, hold="HOLD-000001"),
            about="CASE-000001",
        )
    moved = machine.move(
        UnitState.RESTRICTED, UnitState.TRANSFERRED, facts(receipt_reconciled=True), about="CASE-000001"
    )
    assert moved.row == 18
