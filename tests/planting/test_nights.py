"""A night of planted controls on real servers: everything is found, nobody else is named, nothing is left; and whoever
blinds a proof makes it red, with exactly what it missed."""

from __future__ import annotations

import sys
from typing import Any

import psycopg
import pytest

import include.proofs.dragnet  # noqa: F401
from include.cases.controls import nights
from include.cases.controls.judging import judge
from include.cases.controls.looking import InFiles, Looked
from include.cases.controls.night import Audited
from include.cases.controls.results import Outcome
from include.model.errors import Refused
from include.planting.note import BUCKETS, DATABASE, ELSEWHERE, draw
from include.proofs.bucket import Bucket
from include.proofs.residue import scan as scan_room
from include.proofs.residue.scan import Residue
from include.proofs.residue.toast import Chunks
from tests.planting.house import House

# The room's own name is the function that it is known for.
dragnet_room: Any = sys.modules["include.proofs.dragnet"]
LOUD = ("log_min_messages = 'error'", "log_error_verbosity = 'default'")


def outcomes(house: House, audited: Audited) -> dict[str, str]:
    return {kind: r["outcome"] for kind, r in house.results(audited).items()}


def missed(audited: Audited) -> set[str]:
    return {r.kind for r in audited.judged.missed}


def clean(house: House) -> bool:
    names = {name for name in house.schemas() if name.startswith("q_")}
    return (house.prepared(), house.uploads(), house.work_area(), names) == (0, [], [], set())


def test_everything_planted_is_found_and_nobody_else_is_named(house: House) -> None:
    before = (house.schemas(), house.bucket_names())
    audited = house.audit()
    assert audited.passed, str(audited)
    assert audited.judged.strangers == ()
    said = outcomes(house, audited)
    assert set(said) == {*DATABASE, *BUCKETS, *ELSEWHERE}
    not_here = {kind for kind, outcome in said.items() if outcome == "not_applicable"}
    assert not_here == {*ELSEWHERE, "server_log"}, "this server's log is a quiet one"
    assert {k for k, outcome in said.items() if outcome == "found"} == {*DATABASE, *BUCKETS} - {"server_log"}
    assert (house.schemas(), house.bucket_names()) == before
    assert clean(house)
    ((kind, body, _),) = house.ledger
    assert kind == "controls" and body["verdict"] == "passed"
    assert body["recall_thousandths"] == body["precision_thousandths"] == 1000
    assert {k["kind"]: k["outcome"] for k in body["kinds"]} == said
    assert all(k["why"] for k in body["kinds"] if k["outcome"] == Outcome.NOT_APPLICABLE)


def test_a_log_that_quotes_keys_is_found(house: House) -> None:
    """Only where the server writes DETAIL is there something to be found, and then it must be."""
    owner = house.server.superuser_conninfo
    with psycopg.connect(owner, autocommit=True) as conn:
        for setting in LOUD:
            conn.execute(f"ALTER SYSTEM SET {setting}".encode())
        conn.execute("SELECT pg_reload_conf()")
    try:
        audited = house.audit()
    finally:
        with psycopg.connect(owner, autocommit=True) as conn:
            conn.execute("ALTER SYSTEM RESET ALL")
            conn.execute("SELECT pg_reload_conf()")
    assert audited.passed, str(audited)
    assert outcomes(house, audited)["server_log"] == "found"


def test_a_log_that_nobody_may_read_is_not_claimed(house: House) -> None:
    looked = InFiles(Residue(), no_log="no connection company_log says where it is")
    note = draw("a" * 32, house.catalogue)
    numbers = dict(enumerate(sorted(p.value for p in note.plants)))
    said = judge(note, {}, Looked((), {"company": looked}, numbers))
    outcome = {r.kind: r.outcome for r in said.results if r.store == "company"}
    assert outcome["server_log"] is Outcome.NOT_APPLICABLE and outcome["wal"] is Outcome.MISSED


def test_two_nights_plant_otherwise(house: House) -> None:
    one, other = (draw(seed, house.catalogue) for seed in ("a" * 32, "b" * 32))
    assert one == draw("a" * 32, house.catalogue), "the seed that is revealed says what was planted"
    assert one.subject != other.subject
    assert not {p.value for p in one.plants} & {p.value for p in other.plants}
    tables = [{p.place for p in note.plants} - {"kyc.photo"} for note in (one, other)]
    assert not tables[0] & tables[1]
    assert len({p.value for p in one.plants}) == len(one.plants), "each hiding place has a value of its own"


def test_without_files_what_only_bytes_show_is_not_claimed(house: House) -> None:
    house.files = None
    audited = house.audit()
    assert audited.passed, str(audited)
    said = house.results(audited)
    assert said["page_hole"]["outcome"] == "not_applicable"
    assert said["page_hole"]["why"] == "no connection company_files says where it is"
    assert said["undeclared_table"]["outcome"] == "found"


# --- blinded provers --------------------------------------------------------------------------------


def _no_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dragnet_room, "statistics", lambda _connection: iter(()))


def _no_views(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = dragnet_room.everybodys
    monkeypatch.setattr(dragnet_room, "everybodys", lambda connection, copies: tables(connection))


def _no_digests(monkeypatch: pytest.MonkeyPatch) -> None:
    def only(value: str) -> tuple[str, ...]:
        return (
            value.lower(),
            f"+86-{value[:3]} {value[3:7]} {value[7:]}",
            "-".join((value[:3], value[3:7], value[7:])),
        )

    monkeypatch.setattr("include.proofs.values.spellings", only)
    monkeypatch.setattr("include.proofs.values.in_base64", lambda _value: iter(()))


def _no_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Chunks, "values", lambda _self, _read: iter(()))
    monkeypatch.setattr(scan_room, "compressed", lambda *_, **__: iter(()))


def _no_uploads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bucket, "_uploads", lambda _self, _prefix: iter(()))


BLIND = {
    _no_statistics: {"statistics"},
    _no_views: {"materialised_view"},
    _no_digests: {"derived_column"},
    _no_chunks: {"compressed_toast"},
    _no_uploads: {"open_upload"},
}


@pytest.mark.parametrize(
    "pg_server", ["pg18"], indirect=True
)  # what is blinded is ours, whichever server it reads
@pytest.mark.parametrize("blinding", BLIND, ids=lambda f: f.__name__.strip("_"))
def test_a_blinded_proof_makes_the_night_red_and_says_what_it_missed(
    house: House, monkeypatch: pytest.MonkeyPatch, blinding: Any
) -> None:
    with monkeypatch.context() as blind:
        blinding(blind)
        audited = house.audit()
    assert not audited.passed
    assert missed(audited) == BLIND[blinding], str(audited)
    assert audited.judged.strangers == ()
    assert clean(house)
    ((_, body, _),) = house.ledger
    assert body["verdict"] == "failed" and body["recall_thousandths"] < 1000
    assert {k["kind"] for k in body["kinds"] if k["missed"]} == BLIND[blinding]


def test_a_right_that_is_revoked_is_no_zero(house: House) -> None:
    """A prover that may not read what nobody granted to it by name is blind to every undeclared table."""
    house.company.sql("REVOKE pg_read_all_data FROM prover")
    try:
        audited = house.audit()
    finally:
        house.company.sql("GRANT pg_read_all_data TO prover")
    assert "undeclared_table" in missed(audited) and "unlogged_table" in missed(audited)
    assert not missed(audited) & {"dead_tuple", "page_hole", "noncurrent_version", "open_upload"}
    assert "may not read" in house.results(audited)["undeclared_table"]["why"]
    assert clean(house)


def test_a_bystander_that_is_named_makes_the_night_red(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dragnet without borders of words takes a longer number for ours."""

    def words(self: Any, text: str) -> Any:
        yield from (no for _, (_, no) in self._automaton.iter(text.lower()))

    monkeypatch.setattr("include.proofs.values.Net._words", words)
    audited = house.audit()
    assert not audited.passed and audited.judged.strangers
    ((_, body, _),) = house.ledger
    assert body["precision_thousandths"] < 1000


def test_a_night_audits_alone(house: House) -> None:
    with house.desk.book() as conn, nights.alone(conn), pytest.raises(Refused, match="under way"):
        house.audit()
