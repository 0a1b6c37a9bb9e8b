"""`quietus proofs`: the night's table, for who holds the reader's log-in, and a night at once."""

from __future__ import annotations

from functools import partial

import pytest
from typer.testing import CliRunner

from include.cases import book
from include.cases.controls import night
from include.commands import _common as common
from include.commands import proofs as command
from include.planting.note import Note
from include.proofs.bucket import Bucket
from tests.conftest import PgServer
from tests.planting.house import LOCK, TODAY, House


@pytest.fixture
def run(house: House, pg18: PgServer, case_book: str, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.setattr(common, "desk", lambda: house.desk)
    monkeypatch.setattr(common, "reader", lambda: book.connect(pg18.conninfo(case_book, "reader")))
    monkeypatch.setattr(common, "today", lambda: TODAY)
    monkeypatch.setattr(night, "audit", partial(night.audit, lock=LOCK))
    house.files = None

    def invoke(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(command.app, list(arguments), catch_exceptions=False)
        return result.exit_code, " ".join(result.output.split())

    return invoke


def test_the_table_of_a_night_and_the_list_of_nights(
    run, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    status, said = run("audit")
    assert status == 3 and "no night came to its end yet" in said
    seen: list[Note] = []
    plant = night._plant
    monkeypatch.setattr(night, "_plant", lambda d, note, *more: (seen.append(note), plant(d, note, *more))[1])
    status, said = run("audit", "--now")
    assert status == 0 and "undeclared_table company dragnet" in said
    assert "passed, 15 of 15 found" in said
    assert not [p.kind for p in seen[0].plants if p.value in said], "no value, not even of nobody"
    assert all(seen[0].subject not in str(body) and p.value not in str(body)
               for _, body, _ in house.ledger for p in seen[0].plants)  # fmt: skip

    monkeypatch.setattr(Bucket, "_uploads", lambda _self, _prefix: iter(()))
    status, said = run("audit", "--now")
    assert status == 1 and "failed, 14 of 15 found" in said
    status, said = run("nights")
    assert status == 0 and said.index("failed 14 15 0 objects open_upload yes") < said.index("passed 15 15 0")
    assert run("sweep") == (0, "of 0 nights something was removed")
