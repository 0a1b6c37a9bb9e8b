"""While a whole store is silent the task that looks is tried again; its last try goes on with what can be seen."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from quietus_console import nights


class Begun(BaseException):
    """It came to begin a night."""


@pytest.mark.parametrize(
    ("by_the_minute", "try_number", "patiently"),
    [(False, 1, True), (False, 5, True), (False, 6, False), (True, 1, False)],
)
def test_it_is_patient_while_it_will_be_tried_again_and_never_by_the_minute(
    monkeypatch: pytest.MonkeyPatch, by_the_minute: bool, try_number: int, patiently: bool
) -> None:
    told: list[Any] = []

    def begin(desk: object, **how: Any) -> None:
        told.append(how["patiently"])
        raise Begun

    context = {"ti": SimpleNamespace(max_tries=5, try_number=try_number), "params": {}}
    monkeypatch.setattr("quietus_console.work.get_current_context", lambda: context)
    monkeypatch.setattr(nights, "only_at_night", lambda: None)
    monkeypatch.setattr(nights, "desk", lambda: None)
    monkeypatch.setattr(nights.night, "begin", begin)
    with pytest.raises(Begun):
        nights.look.function(by_the_minute)
    assert told == [patiently]
