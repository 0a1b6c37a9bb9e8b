"""The list of a year names everything that was destroyed, is the same whenever it is made, and is held against the ledger."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from include.cases import assembling, verbs
from include.cases.keys import FileKeyStore
from include.cases.yearly import destruction_list, sanitising
from include.cases.yearly.destroyed import Line, Year
from include.cases.yearly.destruction_list import COLUMNS, DestructionList, compare, of_year, say
from include.ledger import log
from include.ledger.sequencer import sequence
from include.model.errors import NotProved, Refused
from include.model.times import PRC, observed_now
from include.model.words import Role
from tests.cases.small import LI, WANG, World, world
from tests.cases.test_ledger_and_rooms import Servers, servers
from tests.cases.test_verbs import BOSS, ROBOT, approved, carried_out, on, proved
from tests.cases.yearly.test_ledger_keys import closed
from tests.cases.yearly.test_sanitising import DISK

pytestmark = pytest.mark.postgres
__all__ = ["servers"]  # a fixture


@pytest.fixture
def w(writer: str, servers: Servers, tmp_path: Path) -> World:
    """A desk over a real ledger."""

    def record(kind: str, case_no: str | None, body: dict[str, Any], key: str) -> None:
        assembling.record_entry(servers, kind, case_no, body, key)

    keys = FileKeyStore(tmp_path / "keys", b"k" * 32)
    return world(writer, keys, connections=servers, record=record)


@contextmanager
def tampering(database: str, table: str) -> Iterator[psycopg.Connection[Any]]:
    """As the book's owner can."""
    with psycopg.connect(database) as conn:
        conn.execute(f"ALTER TABLE casebook.{table} DISABLE TRIGGER append_only".encode())
        yield conn
        conn.execute(f"ALTER TABLE casebook.{table} ENABLE TRIGGER append_only".encode())


def sequenced(database: str) -> None:
    with log.connect(database) as conn:
        sequence(conn)


@pytest.fixture
def year(w: World, database: str) -> Year:
    """One in which a person's data, a key, copies, a version and a disk were destroyed."""
    now = observed_now()
    found = Year(now.astimezone(PRC).year)
    case_no = approved(w)
    carried_out(w, case_no)
    proved(w, case_no)
    verbs.destroy_key(w.desk, closed(w, WANG), **on())
    sanitising.record(w.desk, DISK, as_of=DISK.on, actor="ops/wu")
    with tampering(database, "sanitisation") as conn:  # whenever this test runs
        conn.execute(
            "UPDATE casebook.sanitisation SET recorded_at = %s", (datetime(found.year, 6, 1, tzinfo=PRC),)
        )
    seen = {"observed_at": now.isoformat(), "stay": []}
    w.desk.record(
        "expired", None, {"set": "nightly", "gone": ["20260101F", "20260102F"], **seen}, "expired:1"
    )
    w.desk.record("expired", None, {"set": "files", "gone": [], **seen}, "expired:2")
    long_ago = {"set": "files", "gone": ["old"], "observed_at": (now - timedelta(days=800)).isoformat()}
    w.desk.record("expired", None, long_ago, "expired:3")
    gone = {"key": "tombstone.v1", "method": "overwritten", "destroyed_at": now.isoformat()}
    w.desk.record("key_destroyed", None, gone, "key_destroyed:tombstone.v1")
    sequenced(database)
    return found


def made(w: World, year: Year) -> DestructionList:
    return of_year(w.desk.connections, year)


def entries(w: World, year: Year) -> list[log.Entry]:
    with log.connect(w.desk.connections.postgres("records", Role.READER)) as ledger:
        found = log.entries_of_kind(ledger, destruction_list.KIND)
    return [e for e in found if e.body["year"] == year.year]


def test_everything_that_was_destroyed_is_a_line_with_its_rule_its_proof_and_who(
    w: World, year: Year
) -> None:
    found = made(w, year).lines
    data = {(x.name, x.how): x for x in found if x.what == "data"}
    assert {k: x.items for k, x in data.items()} == {
        ("account.account", "erased"): 1, ("account.session", "erased"): 2, ("ra.application", "erased"): 1,
        ("ca.certificate", "deidentified"): 1, ("web.log", "erased"): 1, ("scan.image", "erased"): 1,
    }  # fmt: skip
    line = data["ra.application", "erased"]
    assert (line.rule, line.proved, line.by, line.approved_by) == ("RS-03", "R2", ROBOT, BOSS)
    assert line.place == "main" and line.case_no == "CASE-000001" and line.law.startswith("ESL 24")
    assert sorted((x.what, x.place, x.name) for x in found if x.what != "data") == [
        ("copies", "nightly", "20260101F"), ("copies", "nightly", "20260102F"), ("key", "key store", "case-000002.v1"),
        ("key", "key store", "tombstone.v1"), ("medium", "disk", "SN Z4D0X1, rack 7"),
    ]  # fmt: skip
    medium = next(x for x in found if x.what == "medium")
    assert (medium.by, medium.approved_by, medium.document) == ("ops/zhang", "ops/li", "MS-2026-014")
    assert not any(person in made(w, year).text for person in (LI, WANG))


def test_what_failed_its_proof_is_not_said_to_be_proved(w: World, year: Year, database: str) -> None:
    with tampering(database, "evidence_ref") as conn:
        conn.execute(
            "UPDATE casebook.evidence_ref SET body = jsonb_set(body, '{checks}', (SELECT jsonb_agg(CASE WHEN c ->> 'dataset' ="
            " 'web.log' THEN c || '{\"verdict\": \"failed\"}' ELSE c END) FROM jsonb_array_elements(body -> 'checks') AS c))"
            " WHERE kind = 'gone'"
        )
    rungs = {x.name: x.proved for x in made(w, year).lines if x.what == "data"}
    assert (rungs["web.log"], rungs["account.account"]) == ("failed at R2", "R2")


def test_the_file_is_the_same_whenever_it_is_made_and_the_ledger_says_it_once(
    w: World, year: Year, database: str
) -> None:
    later = date(year.year + 1, 1, 15)
    *_, first = say(w.desk, as_of=later)
    sequenced(database)
    *_, again = say(w.desk, as_of=later + timedelta(days=90))
    assert first.year == year.year and again.text == first.text
    rows = list(csv.DictReader(io.StringIO(first.text)))
    assert len(rows) == len(first.lines) and tuple(rows[0]) == COLUMNS
    (entry,) = entries(w, year)
    assert entry.body["lines"] == len(rows) and entry.body["kinds"] == {
        "copies": 2,
        "data": 6,
        "key": 2,
        "medium": 1,
    }
    assert compare(w.desk.connections, year.year, first.text.encode()) == entry.index
    with pytest.raises(NotProved, match="this file is not the list"):
        compare(w.desk.connections, year.year, first.text.replace("RS-03", "RS-04").encode())
    with pytest.raises(Refused, match="has no list of 1999"):
        compare(w.desk.connections, 1999, b"")


def test_a_book_that_was_changed_gives_another_list_and_is_told(w: World, year: Year, database: str) -> None:
    later = date(year.year + 1, 1, 15)
    say(w.desk, as_of=later)
    with tampering(database, "receipt") as conn:
        conn.execute("DELETE FROM casebook.receipt WHERE store = 'files' AND verb = 'dispose'")
    with pytest.raises(NotProved, match="the book gives another list"):
        say(w.desk, as_of=later)


def test_a_year_that_was_missed_is_said_once_the_run_comes_again(w: World, year: Year, database: str) -> None:
    first = (observed_now() - timedelta(days=800)).astimezone(PRC).year  # of the copy that went first
    said = say(w.desk, as_of=date(year.year + 2, 2, 1))
    assert [x.year for x in said] == [*range(first, year.year + 2)]
    assert [len(x.lines) for x in said if x.year in (first, year.year, year.year + 1)] == [1, 11, 0]
    sequenced(database)
    assert all(len(entries(w, Year(x.year))) == 1 for x in said)
    assert [x.year for x in say(w.desk, as_of=date(year.year + 2, 2, 2))] == [year.year + 1]


def test_a_list_that_was_read_wrongly_is_corrected_beside_the_old_one_and_only_if_the_book_is_as_it_was(
    w: World, year: Year, database: str
) -> None:
    night = {"ra.application": {"upto": 6000, "needed": 3, "erased@object_version": 2}}
    with tampering(database, "receipt") as conn:
        conn.execute(
            "UPDATE casebook.receipt SET body = jsonb_set(body, '{counts}', %s) WHERE store = 'files' AND verb = 'dispose'",
            (Jsonb(night),),
        )
    old = of_year(w.desk.connections, year, form=1)
    assert {(x.name, x.how) for x in old.lines} >= {("ra.application", "upto"), ("ra.application", "needed")}
    body = {k: v for k, v in old.body().items() if k != "form"}
    w.desk.record(destruction_list.KIND, None, body, f"destruction_list:{year.year}")
    sequenced(database)
    with tampering(database, "receipt") as conn:
        conn.execute("UPDATE casebook.receipt SET body = jsonb_set(body, '{counts,ra.application,needed}', '4')"
                     " WHERE store = 'files' AND verb = 'dispose'")  # fmt: skip
    with pytest.raises(NotProved, match=f"another list of {year.year}"):
        say(w.desk, as_of=date(year.year + 1, 1, 15))
    with tampering(database, "receipt") as conn:
        conn.execute("UPDATE casebook.receipt SET body = jsonb_set(body, '{counts,ra.application,needed}', '3')"
                     " WHERE store = 'files' AND verb = 'dispose'")  # fmt: skip
    *_, right = say(w.desk, as_of=date(year.year + 1, 1, 15))
    assert not {x.how for x in right.lines} & {"upto", "needed"}
    (copies,) = (x for x in right.lines if x.how == "erased@object_version")
    assert (copies.name, copies.items, copies.rule) == ("ra.application", 2, "RS-03")
    sequenced(database)
    first, second = entries(w, year)
    assert second.body["corrects"] == {"entry": first.index, "sha256": old.digest, "form": 1}
    assert compare(w.desk.connections, year.year, right.text.encode()) == second.index
    with pytest.raises(NotProved, match=f"entry {second.index} corrects it"):
        compare(w.desk.connections, year.year, old.text.encode())
    for later in (date(year.year + 1, 6, 1), date(year.year + 2, 1, 15)):
        say(w.desk, as_of=later)  # and the run is not red for it any more


def test_a_record_that_comes_late_or_takes_anothers_place_is_in_the_list_of_its_day(
    w: World, database: str
) -> None:
    number = sanitising.record(w.desk, DISK, as_of=DISK.on, actor="ops/wu")
    sanitising.record(
        w.desk, sanitising.Told(**{**DISK.__dict__, "label": "SN Z4D0X2", "corrects": number}), as_of=DISK.on, actor="ops/wu"
    )  # fmt: skip
    with tampering(database, "sanitisation") as conn:
        for no, at in (
            (number, datetime(2027, 1, 14, tzinfo=PRC)),
            (number + 1, datetime(2027, 1, 15, tzinfo=PRC)),
        ):
            conn.execute("UPDATE casebook.sanitisation SET recorded_at = %s WHERE record_no = %s", (at, no))

    def media(year: int) -> list[str]:
        return [x.name for x in made(w, Year(year)).lines if x.what == "medium"]

    assert media(2026) == ["SN Z4D0X1, rack 7"] and media(2025) == []
    assert media(2027) == [f"SN Z4D0X2, in place of record {number}"]


@pytest.mark.parametrize(
    ("as_of", "year"),
    [
        (date(2027, 1, 14), 2025),
        (date(2027, 1, 15), 2026),
        (date(2027, 12, 31), 2026),
        (date(2028, 1, 1), 2026),
    ],
)
def test_the_last_year_is_one_whose_proofs_are_in(as_of: date, year: int) -> None:
    assert Year.last(as_of) == Year(year)


def test_a_year_is_that_of_beijing() -> None:
    year = Year(2026)
    assert year.has(datetime.fromisoformat("2025-12-31T16:00:00+00:00"))
    assert not year.has(datetime.fromisoformat("2026-12-31T16:00:00+00:00"))
    assert Line(date(2026, 1, 1), "data", "s", "d", "erased", 1).document == ""
