"""Biometrics are gone to the byte after a night's scrub, and not before; the sandbox's company, ledger and signer, no Airflow."""

from __future__ import annotations

import json
import shutil
import tempfile
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from include.cases import backups, epochs, own_log, papers, provers, remains, scrubbing, verbs
from include.cases.certificates import Editions
from include.cases.controls import again
from include.cases.controls.results import Outcome
from include.cases.retention import night, whole
from include.cases.rooms import Desk
from include.cases.units import of_case
from include.catalogue import load
from include.ledger.verify import verify
from include.model.catalogue import Catalogue
from include.model.errors import NotProved
from include.model.flow import Check, Evidence
from include.model.history import History
from include.model.times import observed_now
from include.model.words import Rung, Verdict
from include.proofs.names import POSTGRES, unknown
from include.sandbox.backups import take
from include.sandbox.company import environment, make_ready
from include.sandbox.stack.stack import COMPANY, Stack
from include.stores.postgres import Patience
from include.stores.postgres.physical import rewriting
from include.stores.postgres.store import PostgresStore
from tests.cases import blinded
from tests.cases.resting import on, rests
from tests.proofs.controls import control
from tests.room import ROOM

pytestmark = [pytest.mark.postgres, pytest.mark.s3, pytest.mark.slow, pytest.mark.timeout(900)]

TABLE = "ra.biometric"


@dataclass
class House:
    """The running stack, and a case's way through it."""

    stack: Stack
    taken: list[str] = field(default_factory=list)
    catalogue: Catalogue = field(default_factory=load)

    @property
    def desk(self) -> Desk:
        return verbs.desk(environment(self.stack), self.catalogue)

    def company(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.stack.company.superuser_conninfo(COMPANY), autocommit=True)

    def somebody(self) -> str:
        """A customer with biometrics that must go, known to no enterprise's own record."""
        with self.company() as conn:
            row = conn.execute(
                "SELECT a.account_id FROM account.account a JOIN account.person p USING (account_id)"
                " WHERE a.cancelled_at IS NULL AND a.kind = 'person' AND NOT a.account_id = ANY(%s)"
                f" AND EXISTS (SELECT FROM {TABLE} b WHERE b.account_id = a.account_id)"
                " AND NOT EXISTS (SELECT FROM ent.representative r WHERE r.account_id = a.account_id"
                "  OR r.document_no = p.document_no OR r.mobile = p.mobile) ORDER BY 1 LIMIT 1",
                [self.taken],
            ).fetchone()
        assert row is not None, "the sandbox has nobody like that left"
        self.taken.append(row[0])
        return str(row[0])

    def rests(self, account: str) -> str:
        return rests(self.desk, account)

    def certified(self, case_no: str) -> Editions:
        editions = verbs.certify(self.desk, case_no, **on())
        pem = (self.stack.ledger_home / "pub.pem").read_bytes()
        for edition in (editions.person, editions.auditor):
            assert verify(edition.encode(), pem).problems == []
        return editions

    def looked(self, case_no: str, kind: str = remains.KIND) -> Evidence:
        """The last look into the files for a case."""
        with self.desk.book() as conn:
            (*_, last) = [e for _, e in papers.evidence(conn, case_no) if e.kind == kind]
        assert not unknown(last.kind, last.checks)
        return last


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    home = Path(tempfile.mkdtemp(prefix="quietus-scrub-", dir=ROOM))
    stack = Stack(home, durable=False)
    try:
        stack.up(lambda _: None, airflow=False)
        make_ready(stack, lambda _: None, people=80)
        yield House(stack)
    finally:
        stack.down(lambda _: None, purge=True)
        shutil.rmtree(home, ignore_errors=True)


def said(editions: Editions) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(b64decode(json.loads(editions.auditor)["payload"]))
    return payload


def groups(editions: Editions, dataset: str) -> list[dict[str, Any]]:
    return [g for g in said(editions)["groups"] if g["dataset"] == dataset and g["disposition"] == "erase"]


def waits(editions: Editions, dataset: str) -> list[str]:
    return [w["what"] for w in said(editions)["pending"] if w["track"] == "rung" and w["dataset"] == dataset]


def checks(evidence: Evidence, what: str, dataset: str = TABLE) -> Check:
    (found,) = [c for c in evidence.checks if c.name == f"{what}.{dataset}"]
    return found


@pytest.fixture(scope="module")
def cases(house: House) -> list[str]:
    return [house.rests(house.somebody()) for _ in range(2)]


def test_a_biometric_is_at_r4_on_the_certificate_after_the_scrub_and_not_before(
    house: House, cases: list[str]
) -> None:
    case_no, _ = cases
    before = house.certified(case_no)
    assert {g["rung_reached"] for g in groups(before, TABLE)} == {2} and waits(before, TABLE)
    with house.desk.book() as conn:
        assert [e.rewritten_position for e in epochs.to_rewrite(conn, "company")] == [None]

    done = scrubbing.scrub(house.desk, **on())
    assert done.left == [] and done.rewritten == 1
    assert remains.look(house.desk, **on()) == "2 passed"
    after = house.certified(case_no)
    assert {g["rung_reached"] for g in groups(after, TABLE)} == {4}
    assert {g["verdict"] for g in groups(after, TABLE)} == {"passed"} and waits(after, TABLE) == []
    assert {n["rung"] for g in groups(after, TABLE) for n in g["unverified"]} == set()
    with house.desk.book() as conn:
        assert epochs.to_rewrite(conn, "company") == []
        assert all(e.rewritten_position for e in epochs.waiting(conn, "company") if e.rewrite_wanted)
        assert cases[1] in scrubbing.to_certify(conn) and case_no not in scrubbing.to_certify(conn)


def test_a_second_night_finds_nothing_to_do(house: House, cases: list[str]) -> None:
    assert str(scrubbing.scrub(house.desk, **on())) == "nothing waits to be written anew"
    assert remains.look(house.desk, **on()) == "no case waits for it"


@control("residue", "dead", POSTGRES)
def test_a_snapshot_that_sees_the_dead_leaves_the_table_and_the_rung(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rewriting, "PATIENCE", Patience(settle=1))
    with house.company() as other:
        other.autocommit = False
        other.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        other.execute("SELECT 1")
        case_no = house.rests(house.somebody())
        done = scrubbing.scrub(house.desk, **on())
        assert done.rewritten == 0 and any("would come along: backend " in why for why in done.left)
        assert remains.look(house.desk, **on()) == "1 unverified"
        seen = house.looked(case_no)
        assert checks(seen, "dead").verdict is Verdict.UNVERIFIED and "holds xmin" in checks(seen, "dead").why
        assert checks(seen, "rewritten").verdict is Verdict.UNVERIFIED
        assert {g["rung_reached"] for g in groups(house.certified(case_no), TABLE)} == {2}
        assert remains.look(house.desk, **on()) == "1 unverified"
        with house.desk.book() as conn:
            kept = [e for _, e in papers.evidence(conn, case_no) if e.kind == remains.KIND]
        assert len(kept) == 1, "what could not be seen is not said every night"
    assert scrubbing.scrub(house.desk, **on()).rewritten == 1
    assert remains.look(house.desk, **on()) == "1 passed"


@control("residue", "rewritten", POSTGRES)
def test_a_file_that_is_not_the_one_written_anew_proves_nothing(house: House) -> None:
    case_no = house.rests(house.somebody())
    scrubbing.scrub(house.desk, **on())
    with house.company() as conn:
        conn.execute(f"VACUUM FULL {TABLE}")
    assert remains.look(house.desk, **on()) == "1 unverified"
    seen = checks(house.looked(case_no), "rewritten")
    assert seen.verdict is Verdict.UNVERIFIED and TABLE in seen.why


@control("residue", "bytes", POSTGRES)
def test_a_value_in_a_file_of_the_server_fails_it_and_nobody_is_certified_for_it(house: House) -> None:
    account = house.somebody()
    case_no = house.rests(account)
    scrubbing.scrub(house.desk, **on())
    log = house.stack.company.data / "log"
    log.mkdir(exist_ok=True)
    (log / "postgresql.log").write_text(f"DETAIL:  Key (account_id)=({account}) already exists.\n")
    try:
        assert "1 failed" in remains.look(house.desk, **on())
    finally:
        (log / "postgresql.log").unlink()
    seen = checks(house.looked(case_no), "bytes")
    assert seen.verdict is Verdict.FAILED and "log/postgresql.log" in seen.why and account not in seen.why
    with house.desk.book() as conn:
        units = [u for u in of_case(conn, case_no) if u.dataset == TABLE]
        assert {u.rung_reached for u in units} == {3}, "a rung counts when everything looked at for it passed"
    with pytest.raises(NotProved, match="residue"):
        house.certified(case_no)
    assert "passed" in remains.look(house.desk, **on())
    assert {g["rung_reached"] for g in groups(house.certified(case_no), TABLE)} == {4}


def test_files_that_cannot_be_read_are_unverified_and_never_gone(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    case_no = house.rests(house.somebody())
    scrubbing.scrub(house.desk, **on())
    monkeypatch.setattr(scrubbing, "directory", lambda desk, store: None)
    remains.look(house.desk, **on())
    seen = checks(house.looked(case_no), "bytes")
    assert seen.verdict is Verdict.UNVERIFIED and "managed server" in seen.why
    (group, *_) = groups(house.certified(case_no), TABLE)
    assert group["rung_reached"] in (2, 3) and any("managed" in n["why"] for n in group["unverified"])


# --- and from the server's own log ----------------------------------------------------------------------


def sets(house: House, case_no: str) -> dict[str, str]:
    with house.desk.book() as conn:
        return {row["backup_set"]: row["state"] for row in epochs.of_case(conn, case_no)}


def scrubbed(house: House) -> str:
    """A case whose biometrics are gone from rows and files."""
    case_no = house.rests(house.somebody())
    assert scrubbing.scrub(house.desk, **on()).left == []
    remains.look(house.desk, **on())
    return case_no


def purge(house: House) -> None:
    """What `backup_purge` does."""
    backups.look(house.desk, **on())
    own_log.look(house.desk, **on())


@control("own_log", "log", POSTGRES)
def test_r5_is_not_there_while_the_log_is_and_is_when_it_is_seen_to_be_gone(house: House) -> None:
    case_no = scrubbed(house)
    with house.company() as conn:
        conn.execute("SELECT pg_create_physical_replication_slot('stale', true)")
    try:
        take(house.stack.company, house.stack.backups)
        purge(house)
        assert sets(house, case_no) == {"company_base": "backup_pending", "company_log": "backup_pending"}
        seen = house.looked(case_no, own_log.KIND)
        (check,) = [c for c in seen.checks if c.dataset == TABLE]
        assert check.verdict is Verdict.UNVERIFIED and "slot stale is pinned (nobody uses it" in check.why
        waits_ = house.certified(case_no)
        assert {g["rung_reached"] for g in groups(waits_, TABLE)} == {4}, "R5 hides no R4"
        (note,) = {(n["rung"], n["why"]) for g in groups(waits_, TABLE) for n in g["unverified"]}
        assert note == (5, check.why)
    finally:
        with house.company() as conn:
            conn.execute("SELECT pg_drop_replication_slot('stale')")
    take(house.stack.company, house.stack.backups)
    purge(house)
    assert sets(house, case_no) == {"company_base": "backup_pending", "company_log": "backup_purged"}
    with house.desk.book() as conn:
        assert case_no in scrubbing.to_certify(conn)
        assert {u.rung_reached for u in of_case(conn, case_no) if u.dataset == TABLE} == {5}
    gone = house.certified(case_no)
    assert {g["rung_reached"] for g in groups(gone, TABLE)} == {5}
    (of_log,) = [c for c in said(gone)["copies"] if c["backup_set"] == "company_log"]
    assert of_log["gone_on"] and of_log["evidence"]
    purge(house)
    with house.desk.book() as conn:
        kept = [e.verdict for _, e in papers.evidence(conn, case_no) if e.kind == own_log.KIND]
        assert case_no not in scrubbing.to_certify(conn)
    assert kept == [Verdict.UNVERIFIED, Verdict.PASSED], "each is said once"


def test_blind_nights_are_made_good_in_databases_buckets_and_files(house: House) -> None:
    """A case at rest, whose step areas are gone: each proof looks again, says no less than before, and counts."""
    case_no = scrubbed(house)
    before = {g["dataset"]: g["rung_reached"] for g in said(house.certified(case_no))["groups"]}
    doubtful = (("company", "dragnet"), ("objects", "dragnet"), ("objects", "gone"), ("company", "residue"))
    for store, proof in doubtful:
        assert blinded.night(house.desk, Outcome.MISSED, store=store, proof=proof)
    with pytest.raises(NotProved, match="does not count"):
        house.certified(case_no)
    for store, proof in doubtful:
        blinded.night(house.desk, Outcome.FOUND, store=store, proof=proof)
    done = again.prove_again(house.desk, **on())
    assert case_no in done.cases and done.blind == (), str(done)
    assert {g["dataset"]: g["rung_reached"] for g in said(house.certified(case_no))["groups"]} == before


def test_a_category_that_asks_for_r5_waits_for_it(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    asking = {c for d in house.catalogue.datasets if d.id == TABLE for c in d.all_categories}
    monkeypatch.setattr(
        house,
        "catalogue",
        house.catalogue.model_copy(
            update={
                "digest": "5" * 64,
                "categories": tuple(
                    c.model_copy(update={"rung": Rung.R5}) if c.id in asking and c.rung is Rung.R4 else c
                    for c in house.catalogue.categories
                ),
            }
        ),
    )
    case_no = scrubbed(house)
    before = house.certified(case_no)
    assert {g["rung_reached"] for g in groups(before, TABLE) if g["rung_required"] == 5} == {4}
    assert all(what.startswith("R5 is to be reached; so far R4") for what in waits(before, TABLE)) and waits(
        before, TABLE
    )
    purge(house)
    assert all("archived WAL" in what for what in waits(house.certified(case_no), TABLE))
    take(house.stack.company, house.stack.backups)
    purge(house)
    after = house.certified(case_no)
    assert {g["rung_reached"] for g in groups(after, TABLE)} == {5} and waits(after, TABLE) == []


def test_another_history_of_the_store_has_another_log(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A standby that was promoted brings its own: what was seen of the old primary's says nothing of it. It is waited for."""
    case_no = scrubbed(house)
    take(house.stack.company, house.stack.backups)
    purge(house)
    assert house.looked(case_no, own_log.KIND).verdict is Verdict.PASSED
    history = PostgresStore.history

    def promoted(store: PostgresStore) -> History:
        return replace(now := history(store), timeline=now.timeline + 1)

    monkeypatch.setattr(PostgresStore, "history", promoted)
    purge(house)
    assert sets(house, case_no)["company_log"] == "backup_pending"
    (check,) = [c for c in house.looked(case_no, own_log.KIND).checks if c.dataset == TABLE]
    assert check.verdict is Verdict.UNVERIFIED and "to be rewritten first" in check.why
    waits_ = house.certified(case_no)
    assert {g["rung_reached"] for g in groups(waits_, TABLE)} == {4}
    (of_log,) = [c for c in said(waits_)["copies"] if c["backup_set"] == "company_log"]
    assert of_log["gone_on"] is None

    assert scrubbing.scrub(house.desk, **on()).left == []
    take(house.stack.company, house.stack.backups)
    purge(house)
    assert house.looked(case_no, own_log.KIND).verdict is Verdict.PASSED
    (of_log,) = [c for c in said(house.certified(case_no))["copies"] if c["backup_set"] == "company_log"]
    assert of_log["gone_on"] and of_log["evidence"]


# --- of items that no person leads to -------------------------------------------------------------------


def templates(house: House) -> set[bytes]:
    with house.company() as conn:
        rows = conn.execute(f"SELECT face_template, fingerprint_template, verification_face FROM {TABLE}")
        return {bytes(x) for row in rows for x in row if x is not None}


def by_the_minute(house: House) -> str:
    """A whole run of the limits that are counted in hours. The first is more than ever, so somebody lets it go."""
    at = observed_now()
    run = whole.run(house.desk, at=at, **on())
    assert run.case_no is not None
    if run.waits_for_a_person:
        night.approve(house.desk, run.case_no, as_of=on()["as_of"], actor="ops/li")
        run = whole.run(house.desk, at=at, **on())
    assert not run.waits_for_a_person and run.case_no is not None
    return run.case_no


def test_what_a_night_took_is_looked_for_by_pieces_of_itself(house: House) -> None:
    """It has no person by whom the files could be searched: a template that lies in one all the same fails it."""
    before = templates(house)
    case_no = by_the_minute(house)
    gone = before - templates(house)
    assert len(gone) > 10
    with house.desk.book() as conn:
        row = conn.execute(
            "SELECT sealed_values FROM casebook.sought WHERE case_no = %s", (case_no,)
        ).fetchone()
    assert row is not None and not any(piece in bytes(row["sealed_values"]) for piece in gone)
    assert {g["rung_reached"] for g in groups(house.certified(case_no), TABLE)} == {2}
    assert scrubbing.scrub(house.desk, **on()).left == []
    planted = house.stack.company.data / "log/core.4711"
    planted.parent.mkdir(exist_ok=True)
    sought = {p.content for p in provers.sealed(house.desk, case_no).pieces if p.dataset == TABLE}
    planted.write_bytes(b"\x7fELF" + next(t for t in gone if any(s in t for s in sought)))
    try:
        assert "1 failed" in remains.look(house.desk, **on())
    finally:
        planted.unlink()
    seen = checks(house.looked(case_no), "bytes")
    assert (
        seen.verdict is Verdict.FAILED and "pieces of what went" in seen.why and "log/core.4711" in seen.why
    )
    with pytest.raises(NotProved, match="residue"):
        house.certified(case_no)
    assert "1 passed" in remains.look(house.desk, **on())
    seen = checks(house.looked(case_no), "bytes")
    assert seen.verdict is Verdict.PASSED and "values that went were looked for" in seen.why
    after = house.certified(case_no)
    assert {g["rung_reached"] for g in groups(after, TABLE)} == {4} and waits(after, TABLE) == []


PART = "support.rights_request.proof"


def test_a_part_of_a_row_that_asks_for_r4_reaches_it_and_its_residue_fails_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only columns went, and their rows stay: the table is written anew for them, and what they held is looked for."""
    of = house.catalogue
    asking = of.dataset(PART).all_categories
    higher = tuple(c.model_copy(update={"rung": Rung.R4}) if c.id in asking else c for c in of.categories)
    monkeypatch.setattr(house, "catalogue", of.model_copy(update={"digest": "4" * 64, "categories": higher}))
    with house.company() as conn:
        added = conn.execute(
            "INSERT INTO support.rights_request (account_id, right_asked, proof_kind, proof, proof_checked_at, received_at)"
            " SELECT account_id, 'copy', 'letter', 'I, ' || sha256(account_id::bytea)::text || ', ask for a copy.',"
            f" now() - interval '2 days', now() - interval '3 days' FROM account.account a {FREE.format('a.account_id')}"
            " LIMIT 5 RETURNING request_id, proof"
        ).fetchall()
    kept = [r for r, _ in added]
    case_no = by_the_minute(house)
    with house.company() as conn:
        rows = conn.execute(
            "SELECT proof, proof_kind FROM support.rights_request WHERE request_id = ANY(%s)", [kept]
        ).fetchall()
    assert rows == [(None, "letter")] * 5
    before = house.certified(case_no)
    assert {g["rung_reached"] for g in groups(before, PART)} == {2} and waits(before, PART)

    assert scrubbing.scrub(house.desk, **on()).left == []
    sought = [p.content for p in provers.sealed(house.desk, case_no).pieces if p.dataset == PART]
    assert any(content in proof.encode() for content in sought for _, proof in added)
    planted = house.stack.company.data / "log/core.4712"
    planted.parent.mkdir(exist_ok=True)
    planted.write_bytes(b"\x7fELF" + sought[0])
    try:
        assert "1 failed" in remains.look(house.desk, **on())
    finally:
        planted.unlink()
    seen = checks(house.looked(case_no), "bytes", PART)
    assert seen.verdict is Verdict.FAILED and "log/core.4712" in seen.why
    with pytest.raises(NotProved, match="residue"):
        house.certified(case_no)
    assert "1 passed" in remains.look(house.desk, **on())
    seen = checks(house.looked(case_no), "bytes", PART)
    assert seen.verdict is Verdict.PASSED and "values that went were looked for" in seen.why
    assert checks(house.looked(case_no), "rewritten", PART).verdict is Verdict.PASSED
    after = house.certified(case_no)
    assert {g["rung_reached"] for g in groups(after, PART)} == {4} and waits(after, PART) == []


FREE = "WHERE NOT EXISTS (SELECT FROM quietus.restriction x WHERE x.subject_id = {} AND x.lifted_at IS NULL)"


def test_a_piece_that_a_row_still_has_says_nothing(house: House) -> None:
    """Somebody comes back with the same template: that it is in the file is no residue, and nothing else is known to look for."""
    with house.company() as conn:
        conn.execute(
            f"INSERT INTO {TABLE} (account_id, face_template, captured_at) SELECT p.account_id, sha512(p.account_id::bytea),"
            " min(r.matched_at) FROM ra.application p JOIN ra.match_result r USING (application_id) "
            f"{FREE.format('p.account_id')} GROUP BY 1"
        )
    case_no = by_the_minute(house)
    scrubbing.scrub(house.desk, **on())
    with house.company() as conn:
        conn.execute(
            f"INSERT INTO {TABLE} (account_id, face_template, captured_at) SELECT account_id, sha512(account_id::bytea),"
            f" now() FROM account.account a {FREE.format('a.account_id')}"
        )
        conn.execute("CHECKPOINT")  # until then it is in memory, and the file is clean
    assert "1 unverified" in remains.look(house.desk, **on())
    assert checks(house.looked(case_no), "bytes").why == remains.NOTHING
