"""``quietus yearly`` on the command line: what it says, and with which status it ends."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner, Result

from include.cases import book
from include.cases.yearly.destroyed import Year
from include.cases.yearly.destruction_list import of_year
from include.cases.yearly.retesting import Retests
from include.commands import _common as common
from include.commands import yearly as command
from include.model.errors import NotProved, Refused
from include.model.flow import Check
from include.model.words import Rung, Verdict
from include.proofs.retest import Retested
from tests.cases.small import TODAY, World
from tests.cases.test_ledger_and_rooms import Servers, servers
from tests.cases.yearly.test_destruction_list import sequenced, w, year
from tests.cases.yearly.test_ledger_keys import OVER, closed, leads, policy

pytestmark = pytest.mark.postgres
__all__ = ["servers", "w", "year"]  # fixtures


@pytest.fixture
def here(w: World, servers: Servers, reader: str, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(common, "desk", lambda: w.desk)
    monkeypatch.setattr(common, "reader", lambda: book.connect(reader))
    monkeypatch.setattr(common, "today", lambda: TODAY)
    monkeypatch.setattr("include.commands._connections.connections", lambda: servers)
    return w


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command.app, list(arguments), catch_exceptions=False)


def test_an_auditor_gets_the_file_and_can_hold_it_against_the_ledger(
    here: World, year: Year, database: str, tmp_path: Path
) -> None:
    path, number = tmp_path / "list.csv", str(year.year)
    assert run("destroyed", number, "--out", str(path)).output.startswith(f"{number}: 11 lines, sha256 ")
    assert run("destroyed", number).output == path.read_text("utf-8")
    with pytest.raises(Refused, match="there already"):
        run("destroyed", number, "--out", str(path))
    with pytest.raises(Refused, match="the ledger has no list"):
        run("compare", number, str(path))
    here.desk.record(
        "destruction_list", None, of_year(here.desk.connections, year).body(), f"destruction_list:{number}"
    )
    sequenced(database)
    assert f"this is the list of {number} that entry" in run("compare", number, str(path)).output
    path.write_text(path.read_text("utf-8") + "\n", "utf-8")
    with pytest.raises(NotProved, match="this file is not the list"):
        run("compare", number, str(path))


def test_ops_record_a_medium_and_see_it(here: World) -> None:
    told = [
        "sanitised", "tape", "LTO-0042", "--method", "physical", "--technique", "shredded to 2 mm", "--on", "2026-11-24",
        "--operator", "ops/zhang", "--verifier", "ops/li", "--checked", "seen on the spot", "--document", "MS-7",
        "--standard", "NIST SP 800-88r2", "--verified", "100", "--store", "files",
    ]  # fmt: skip
    assert "record 1 is kept" in run(*told).output
    assert '"label": "LTO-0042"' in run("media", "--json").output
    assert (
        "LTO-0042" not in run(*told, "--corrects", "1").output
        and '"record_no": 1,' not in run("media", "--json").output
    )
    with pytest.raises(Refused, match="does not verify it"):
        run(*told, "--verifier", "ops/zhang")
    assert run("sanitised", "floppy", *told[2:]).exit_code == 2
    said = run("media", "--json").output
    assert (
        '"standard": "NIST SP 800-88r2"' in said
        and '"verified_percent": 100' in said
        and '"scan.image"' in said
    )


def test_what_has_no_record_is_listed_and_a_record_of_before_says_less(
    here: World, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(common, "catalogue", lambda: here.desk.catalogue)
    told = [
        "sanitised", "disk", "SN 2", "--method", "erase", "--technique", "overwritten", "--on", "2026-11-24", "--operator",
        "ops/zhang", "--verifier", "ops/li", "--checked", "read back", "--document", "MS-8", "--standard", "NIST SP 800-88r2",
        "--verified", "1", "--store", "main",
    ]  # fmt: skip
    run(*told)
    left = run("media", "--missing", "--json").output
    assert '"store:files"' in left and '"backup_set:nightly"' in left and '"store:main"' not in left
    assert '"store:main"' in run("media", "--missing", "--since", "2026-11-25", "--json").output
    with psycopg.connect(database) as conn:
        conn.execute(
            "INSERT INTO casebook.sanitisation (medium, label, method, technique, sanitised_on, operator, verifier, verified_by,"
            " document, recorded_by) VALUES ('disk', 'SN 1', 'erase', 'overwritten', '2026-01-01', 'ops/zhang', 'ops/li', 'read',"
            " 'MS-1', 'ops/wu')"
        )
    monkeypatch.setenv("COLUMNS", "600")
    assert "not said" in run("media").output and '"datasets": null' in run("media", "--json").output


def test_keys_are_looked_for_and_destroyed_only_on_request(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = replace(here.desk, catalogue=policy())
    monkeypatch.setattr(common, "desk", lambda: desk)
    case_no = closed(here)
    assert run("keys").output == "nothing is left whose time has come\n"
    monkeypatch.setattr(common, "today", lambda: OVER)
    seen = run("keys")
    assert (seen.exit_code, seen.output) == (3, f"{case_no} still leads to its people\n") and all(
        leads(here, case_no)
    )
    assert run("keys", "--destroy").exit_code == 0 and not any(leads(here, case_no))


@pytest.mark.parametrize(("verdict", "status"), [(Verdict.PASSED, 0), (Verdict.UNVERIFIED, 3)])
def test_a_set_that_did_not_pass_is_an_exit_status(
    here: World, monkeypatch: pytest.MonkeyPatch, verdict: Verdict, status: int
) -> None:
    check = Check(name="k.research", rung=Rung.R10, verdict=verdict, why="it could not be read")
    found = Retests(
        (
            Retested(
                "research", "stat.x", 9, None, 1, (check,), "", 3, "grade 3 by the company's reading of it"
            ),
        )
    )
    monkeypatch.setattr("include.cases.yearly.retesting.retest_all", lambda desk, as_of: found)
    monkeypatch.setenv("COLUMNS", "400")
    said = run("retest")
    assert (
        "grade 3 by the company's reading" in said.output and '"grade": 3' in run("retest", "--json").output
    )
    assert said.exit_code == status and ("give it to nobody" in said.output) == bool(status)
