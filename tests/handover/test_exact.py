"""What a successor signs is read to the byte: nothing that the custodian's verifier refuses later is taken now."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import rfc8785

from include.handover import exact
from include.model.errors import LedgerError
from include.model.flow import Flow
from include.model.handover import BagReceipt, Differences, Kept, NoticeReceipt, RequestReceipt

NOW = datetime(2027, 3, 4, 2, 0, 0, 500000, tzinfo=UTC)
SAME: dict[str, Any] = {
    "order": "SO-000001", "bag": "u.visit-00001", "items": 3, "root": "1" * 64, "differences": Differences(),
    "custodian": "Next CA",
}  # fmt: skip
KEPT = (Kept(item="4" * 64, why="RS-03"),)
FORMS: list[Flow] = [
    BagReceipt(statement="2" * 64, stored_at=NOW, **SAME),
    BagReceipt(statement="2" * 64, stored_at=NOW, asked=("3" * 64,), **SAME),
    NoticeReceipt(notice=1, digest="2" * 64, deleted=1, done_at=NOW, **SAME),
    RequestReceipt(request=1, digest="2" * 64, deleted=1, kept=KEPT, done_at=NOW, **SAME),
]


def as_text(said: dict[str, Any]) -> None:
    said["items"] = str(said["items"])


def no_members(said: dict[str, Any]) -> None:
    said["differences"] = {}


def other_time(said: dict[str, Any]) -> None:
    key = "stored_at" if "stored_at" in said else "done_at"
    said[key] = said[key].replace("T", " ")


def one_more(said: dict[str, Any]) -> None:
    said["note"] = "stored with care"


def one_less(said: dict[str, Any]) -> None:
    del said["custodian"]


@pytest.mark.parametrize("form", FORMS)
def test_what_is_written_as_we_would_is_read(form: Flow) -> None:
    assert exact.read(type(form), form.canonical(), "receipt") == form


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("loose", [as_text, no_members, other_time, one_more, one_less])
def test_what_means_the_same_and_is_written_otherwise_is_not(
    form: Flow, loose: Callable[[dict[str, Any]], None]
) -> None:
    said = form.model_dump(mode="json")
    loose(said)
    with pytest.raises(LedgerError, match="malformed: no quietus-bag-") as refused:
        exact.read(type(form), rfc8785.dumps(said), "receipt")
    assert "nothing was marked; ask the other side to sign it anew" in str(refused.value)
