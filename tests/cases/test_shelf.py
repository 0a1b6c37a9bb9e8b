"""What lies on the shelf: both editions and the page of proofs, whole, and found by its name only."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from include.cases.certificates import Editions
from include.cases.shelf import Shelf
from include.model.errors import NotReachable, Refused


def editions(serial: int) -> Editions:
    at = datetime(2026, 11, 24, tzinfo=UTC)
    return Editions("CASE-000007", serial, "interim", f"person {serial}", f"auditor {serial}", 3, at, serial)


def test_a_certificate_lies_in_two_editions_beside_its_proofs(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "shelf")
    for serial in (2, 10):
        assert shelf.put(editions(serial), f"proofs {serial}") == f"CASE-000007.{serial}.auditor.json"
    assert shelf.names("CASE-000007") == (
        "CASE-000007.2.auditor.json", "CASE-000007.2.person.json",
        "CASE-000007.10.auditor.json", "CASE-000007.10.person.json",
    )  # fmt: skip
    assert shelf.get("CASE-000007.10.person.json") == b"person 10"
    assert (tmp_path / "shelf/CASE-000007.2.proofs.html").read_text() == "proofs 2"
    assert len([*shelf.directory.iterdir()]) == 6  # nothing half-written is left


def test_a_person_edition_that_stays_as_it_was_lies_there_once(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "shelf")
    for serial in (1, 2):
        shelf.put(replace(editions(serial), person="the same", person_serial=1), "proofs")
    assert shelf.names("CASE-000007") == (
        "CASE-000007.1.auditor.json", "CASE-000007.1.person.json", "CASE-000007.2.auditor.json",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["CASE-000007.9.person.json", "../secrets.json", "CASE-000007.1.other.json"])
def test_what_is_not_there_is_said_and_nothing_else_can_be_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "secrets.json").write_text("x")
    with pytest.raises(Refused):
        Shelf(tmp_path / "shelf").get(name)


def test_a_shelf_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "shelf").write_text("a file, no directory")
    with pytest.raises(NotReachable, match="connection `certificates`"):
        Shelf(tmp_path / "shelf").put(editions(1), "proofs")
