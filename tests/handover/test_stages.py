"""An order that hands nothing over asks for no successor's inbox, directory or name."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from include.cases.shutdown import orders
from include.handover import register, stages
from include.model.errors import Refused


class Nowhere:
    """Connections of which none is declared."""

    def text(self, name: str) -> str:
        raise Refused("it is not declared", about=name, next_step="declare it")

    def s3(self, *_: Any) -> Any:
        raise Refused("it is not declared", about="the inbox", next_step="declare it")


@pytest.mark.parametrize("goes", [False, True])
def test_a_way_is_needed_only_if_something_goes(goes: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def book() -> Any:
        yield None

    desk: Any = SimpleNamespace(connections=Nowhere(), book=book, catalogue=None)
    monkeypatch.setattr(orders, "order", lambda conn, number: None)
    monkeypatch.setattr(stages, "consigned", lambda catalogue, of: iter([1] if goes else []))
    monkeypatch.setattr(register, "bags", lambda conn, number: [])
    if goes:
        with pytest.raises(Refused, match="handover_bags"):
            stages.Handover.of(desk, "SO-000001")
    else:
        assert stages.Handover.of(desk, "SO-000001").waiting() == []
