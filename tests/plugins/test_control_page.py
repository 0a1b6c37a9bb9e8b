"""The console's page of controls: the last nights, and the newest one kind by kind, read by the reader's role."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from quietus_console import control_pages
from quietus_console.console import console
from starlette.testclient import TestClient

from include.cases import book
from include.cases.controls import nights
from include.cases.controls.results import Judged, Outcome, Result
from include.cases.keys import FileKeyStore
from include.planting.note import draw
from tests.cases.small import TODAY, catalogue

pytestmark = pytest.mark.postgres


@pytest.fixture
def client(reader: str, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    monkeypatch.setattr(
        control_pages, "AirflowConnections", lambda: SimpleNamespace(postgres=lambda *_: reader)
    )
    (allowed,) = (d.dependency for d in console.router.dependencies)
    assert allowed is not None
    monkeypatch.setattr(console, "dependency_overrides", {allowed: lambda: None})
    return TestClient(console)


def test_the_last_nights_and_what_was_missed(client: TestClient, writer: str, reader: str, tmp_path) -> None:
    assert "尚未自检" in client.get("/controls").text
    keys = FileKeyStore(tmp_path / "keys", b"k" * 32)
    judged = Judged(
        (Result("company", "statistics", "dragnet", 20, 0, Outcome.MISSED, "it was looked at"),
         Result("company", "page_hole", "residue", 1, 1, Outcome.FOUND),
         Result("", "airflow", "", 0, 0, Outcome.NOT_APPLICABLE, "the intake refuses")),
        ("dragnet.account.person",),
    )  # fmt: skip
    with book.connect(writer) as conn:
        ended, begun = (nights.begin(conn, keys, TODAY, draw(seed * 32, catalogue())) for seed in "ab")
        with book.deed(conn, "test"):
            nights.end(conn, ended, judged, "key")
        nights.removed(conn, ended)
        assert [n.note for n in nights.left(conn, keys)] == [begun.note]
    page = client.get("/controls?lang=en").text
    assert "not finished" in page and "not yet: at the next start" in page
    assert '<td class="n whole">1 / 2<td class="n bad">1<td class="bad">company statistics' in page
    assert "the intake refuses" in page and "it was looked at" in page
    assert not [p.value for p in begun.note.plants if p.value in page]
    with book.connect(reader) as conn:
        red = nights.blind(conn)
        assert red is not None and red["missed"] == ["company statistics"]
    # The newest that came to its end says how the proofs stand, not one that is under way.
    with book.connect(writer) as conn:
        with book.deed(conn, "test"):
            nights.end(conn, begun, Judged(judged.results[1:]), "other key")
        assert nights.blind(conn) is None
