"""Marks the test that plants what a check must catch. ``test_every_check`` sees to it that each check has one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from include.proofs.names import NAMES

_Test = TypeVar("_Test", bound=Callable[..., object])

CONTROLS: dict[tuple[str, str, str], list[str]] = {}


def control(kind: str, what: str, store: str) -> Callable[[_Test], _Test]:
    """This test plants something and sees the check of this name fail."""
    assert any(n.kind == kind and n.what == what and store in n.stores for n in NAMES), (kind, what, store)

    def mark(test: _Test) -> _Test:
        CONTROLS.setdefault((kind, what, store), []).append(test.__name__)
        return test

    return mark
