"""The console's page of recipients: answer rate, times, and how true each one's word was, in both languages."""

from __future__ import annotations

from contextlib import nullcontext
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from quietus_console import recipient_pages
from quietus_console.console import console
from starlette.testclient import TestClient

ROW: dict[str, Any] = {
    "recipient": "juhe", "notices": 9, "told": 8, "answered": 6, "escalated": 1, "open": 1, "answer_rate": Decimal("0.750"),
    "median_days": 0.5, "p95_days": 12.25, "codes": {"DELETED": 5}, "words": 4, "verified": 3, "caught": 2,
    "taken_back": 1, "not_seen_before": 1, "unverified": 0,
}  # fmt: skip


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> TestClient:
    monkeypatch.setattr(
        recipient_pages, "AirflowConnections", lambda: SimpleNamespace(postgres=lambda *_: "")
    )
    monkeypatch.setattr(recipient_pages.book, "connect", lambda _: nullcontext(object()))
    monkeypatch.setattr(recipient_pages, "record", lambda _: [ROW])
    monkeypatch.setattr(recipient_pages, "stopped", lambda _: [])
    (allowed,) = (d.dependency for d in console.router.dependencies)
    assert allowed is not None
    monkeypatch.setattr(console, "dependency_overrides", {allowed: lambda: None})
    return TestClient(console)


@pytest.mark.parametrize(
    ("lang", "said"),
    [
        ("en", "verified 3 of 4, caught 2, taken back 1, not seen before 1"),
        ("zh", "经核实 3/4,查出不实 2,自行更正 1,事前未见 1"),
    ],
)
def test_how_a_recipient_answers_and_how_true_that_is(client: TestClient, lang: str, said: str) -> None:
    page = client.get(f"/recipients?lang={lang}").text
    assert said in page and "75 %" in page and "juhe" in page
    assert "12.2" in page and "0.5" in page
