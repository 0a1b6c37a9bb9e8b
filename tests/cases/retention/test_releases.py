"""A release by the calendar: its case and books, who is left out of it, what a kill leaves, what it is called, and the gate."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from include.cases import assembling, book, papers, publishing
from include.cases import certifying as certificates_of
from include.cases.keys import FileKeyStore
from include.cases.retention import release_runs, releases
from include.cases.retention.release_runs import Run
from include.cases.rooms import Desk
from include.ledger.verify import verify
from include.model.catalogue import Catalogue
from include.model.errors import NotProved, Refused
from include.model.estate import Maintenance
from include.model.releases import Grading
from include.model.words import CaseState, LegalRank, UnitState, Verdict
from include.stores.postgres.anonymise.clearing import Releasing
from include.stores.postgres.physical.rewriting import Fate, Rewriting
from tests.cases import test_certifying as certifying
from tests.cases.retention import house as houses
from tests.cases.retention.house import DAY, ROBOT, House
from tests.cases.small import rule
from tests.conftest import PgServer
from tests.proofs.test_anonymity import people
from tests.stores.postgres import making, releasing
from tests.stores.postgres.making import Company

SET = releasing.MOVED.model_copy(update={"every": "P3M", "id": "moved"})


def shop() -> Catalogue:
    window = Maintenance(window="00:00-24:00", rewrite_limit="1 GB", head_room="1 GB")
    base = making.catalogue(
        releasing.ACCOUNT.model_copy(update={"accounts": houses.SHOP.dataset("a.account").accounts}),
        releasing.PSEUDONYM, releasing.EXTRACT,
    )  # fmt: skip
    return base.model_copy(
        update={
            "releases": (SET,),
            "stores": tuple(s.model_copy(update={"maintenance": window}) for s in base.stores),
            "rules": (
                rule("RS-01", "P30D", "ceiling", LegalRank.LAW, "PIPL 47"),
                rule("RS-27", "P0D", "ceiling", LegalRank.LAW, "PIPL 73(4)"),
            ),
        }
    )


SCHEMA = releasing.SCHEMA.replace("(id text PRIMARY KEY)", "(id text PRIMARY KEY, name text, ended date)") + (
    "GRANT USAGE ON SCHEMA stat TO shop_app, shop_batch;"
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA stat TO shop_app, shop_batch;"
)


class Sandbox(House):
    def text(self, name: str) -> str:
        if name == "sandbox":
            return "yes"
        return super().text(name)


@pytest.fixture
def house(new_company: Callable[..., Company], pg18: PgServer, case_book: str, tmp_path: Path) -> House:
    company = new_company(shop(), SCHEMA, "releases by the calendar")
    made = Sandbox(
        company=company, records=lambda role: pg18.conninfo(case_book, role),
        keys=FileKeyStore(tmp_path / "keys", b"k" * 32),
    )  # fmt: skip
    _fill(made, 1)
    return made


def _fill(house: House, first: int) -> None:
    for no, row in enumerate(people(60), first):
        house.company.sql("INSERT INTO stat.account VALUES (%s, 'n')", _id(no))
        house.company.sql("INSERT INTO stat.pseudonym VALUES (%s, %s)", no, _id(no))
        house.company.sql("INSERT INTO stat.extract VALUES (%s, %s, %s, %s, %s, %s, now())", no, no, *row)


def _id(no: int) -> str:
    return f"acct_{no:012}"


def release(house: House, day: date = DAY, **more: object) -> Run:
    done = releases.whole(house.desk, "moved", as_of=day, actor=ROBOT, **more)  # type: ignore[arg-type]
    assert isinstance(done, Run), done
    return done


def count(house: House, table: str) -> int:
    return int(house.company.sql(f"SELECT count(*) FROM {table}")[0][0])


def unit_states(house: House, case_no: str) -> set[str]:
    return {str(s) for (s,) in house.sql("SELECT state FROM casebook.unit WHERE case_no = %s", case_no)}


def test_a_release_is_a_case_whose_books_balance_and_whose_set_is_anonymous(house: House) -> None:
    done = release(house)
    assert (
        done.located == 60 and (done.released or 0) + (done.erased or 0) == 60 and (done.released or 0) >= 48
    )
    assert [count(house, t) for t in ("stat.extract", "stat.pseudonym")] == [0, 0]
    assert count(house, "stat.released") == done.released and count(house, "stat.account") == 60
    with house.desk.book() as conn:
        assert book.case(conn, done.case_no).state is CaseState.WAITING and not papers.in_the_way(
            conn, done.case_no
        )
        kinds = {e.kind: e for _, e in papers.evidence(conn, done.case_no)}
    assert {"baseline", "gone", "bystanders", "due", "anonymity", "balance"} <= set(kinds)
    assert {c.verdict for c in kinds["anonymity"].checks if not c.name.startswith("originals.")} == {
        Verdict.PASSED
    }
    assert UnitState.ANONYMISED.value in unit_states(house, done.case_no)
    (said,) = [body for kind, body, _ in house.ledger if kind == releases.KIND]
    assert (said["located"], said["released"]) == (60, done.released)
    assert "not shown" in said["called"], "old rows still lie in the files"
    assert "Futian" not in repr(house.ledger)


def test_it_is_called_for_again_when_its_time_has_come_and_not_before(house: House) -> None:
    assert [r.id for r in release_runs.called_for(house.desk, DAY)] == ["moved"]
    release(house)
    assert release_runs.called_for(house.desk, DAY + timedelta(days=80)) == ()
    assert [r.id for r in release_runs.called_for(house.desk, DAY + timedelta(days=92))] == ["moved"]
    said = releases.whole(house.desk, "moved", as_of=DAY + timedelta(days=92), actor=ROBOT)
    assert said == "moved: 0 people are in it, too few to hide anybody among 4"


def test_who_is_held_or_restricted_is_left_out_with_the_pseudonym(house: House) -> None:
    from include.cases import closing

    closing.open_hold(
        house.desk, basis="dispute", document_no="D-1", issuing_body="court", law="Arbitration Law 58", as_of=DAY,
        actor="legal/wang", account_ids=frozenset({_id(7)}), datasets=frozenset({"stat.extract"}),
    )  # fmt: skip
    house.company.sql(
        "INSERT INTO quietus.restriction (subject_id, case_no, step, since) VALUES (%s, 'CASE-9', 's', now())",
        _id(8),
    )
    done = release(house)
    assert done.located == 58
    assert sorted(house.company.sql("SELECT pseudonym FROM stat.extract")) == [(7,), (8,)]
    assert sorted(house.company.sql("SELECT pseudonym FROM stat.pseudonym")) == [(7,), (8,)]


def _hiding_nobody(house: House) -> None:
    sensitive = {"ill": SET.sensitive["ill"].model_copy(update={"l": 4})}
    none = SET.model_copy(update={"k": 40, "suppress_at_most": 0.0, "sensitive": sensitive})
    house.company.catalogue = house.company.catalogue.model_copy(update={"releases": (none,)})


def test_where_no_level_hides_everybody_nothing_changes_and_the_case_ends(house: House) -> None:
    _hiding_nobody(house)
    before = house.company.digest("stat.extract"), house.company.digest("stat.pseudonym")
    done = release(house)
    assert "no declared level" in (done.unhidden or "") and (done.released, done.erased) == (0, 0)
    assert (house.company.digest("stat.extract"), house.company.digest("stat.pseudonym")) == before
    with house.desk.book() as conn:
        assert book.case(conn, done.case_no).state is CaseState.WAITING and not papers.in_the_way(
            conn, done.case_no
        )


def test_killed_once_it_was_given_up_it_ends_with_nothing_and_says_why(house: House) -> None:
    _hiding_nobody(house)
    _killed(house, "release.given_up")
    done = release(house, DAY + timedelta(days=400))  # its rows are past their own limits by now
    assert "no declared level" in (done.unhidden or "") and (done.released, done.erased) == (0, 0)
    assert (count(house, "stat.extract"), len(_runs(house))) == (60, 1)
    assert house.company.sql("SELECT count(*) FROM quietus.released") == [(0,)]


def test_another_refusal_is_not_taken_for_that_no_level_hides_everybody(house: House) -> None:
    (eraser,) = house.company.sql(
        "SELECT DISTINCT grantee FROM information_schema.role_table_grants"
        " WHERE table_schema = 'stat' AND table_name = 'released' AND privilege_type = 'INSERT' AND grantee ~ 'eraser'"
    )[0]
    house.company.sql(f'REVOKE INSERT ON stat.released FROM "{eraser}"')
    with pytest.raises(Refused, match="privilege"):
        release(house)
    (run,) = _runs(house)
    assert (run.released, run.unhidden, run.ended_at) == (None, None, None)
    assert count(house, "stat.extract") == 60
    house.company.sql(f'GRANT INSERT ON stat.released TO "{eraser}"')
    assert release(house).released


def test_whoever_is_restricted_while_it_waits_for_the_gate_is_left_out(house: House) -> None:
    """What stands against it is asked behind the lock, in a snapshot of after the wait."""
    gates: list[threading.Thread] = []

    def gate(shut: threading.Event) -> None:
        with psycopg.connect(house.company.conninfo(house.company.admin), autocommit=True) as there:
            there.execute("SELECT pg_advisory_lock_shared(hashtextextended('quietus release moved', 0))")
            shut.set()
            waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            for _ in range(100):
                if there.execute(waits).fetchone() != (0,):
                    break
                time.sleep(0.02)
            there.execute(
                "INSERT INTO quietus.restriction (subject_id, case_no, step, since) VALUES (%s, 'CASE-9', 's', now())",
                [_id(8)],
            )

    def waiting(*args: Any, **more: Any) -> Releasing:
        def shut() -> None:
            if not gates:
                closed = threading.Event()
                gates.append(threading.Thread(target=gate, args=(closed,)))
                gates[0].start()
                assert closed.wait(10)

        return replace(room(*args, **more), may_go_on=shut)

    room = releases._room
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(releases, "_room", waiting)
        done = release(house)
    gates[0].join()
    assert (done.released or 0) + (done.erased or 0) == 59
    assert house.company.sql("SELECT pseudonym FROM stat.extract") == [(8,)]


def test_outside_a_sandbox_figures_that_nobody_owns_release_nothing(house: House) -> None:
    earnest = House(company=house.company, records=house.records, keys=house.keys)
    with pytest.raises(Refused, match="no owner or no day of approval"):
        releases.begin(earnest.desk, "moved", as_of=DAY, actor=ROBOT)


def test_outside_a_sandbox_a_grade_by_a_reading_that_nobody_owns_releases_nothing(house: House) -> None:
    owned = SET.threshold.model_copy(update={"owner": "legal", "approved_on": DAY, "risk": 0.3})
    graded = SET.model_copy(update={"threshold": owned, "grade": 3})
    reading = Grading(
        id="read", cite="GB/T 42460-2023 clause 4", text="by risk", grades={1: "a", 2: "b", 3: "c", 4: "d"}
    )

    def declared(*readings: Grading) -> None:
        told = {"releases": (graded,), "grading": readings}
        house.company = replace(house.company, catalogue=house.company.catalogue.model_copy(update=told))

    declared(reading)
    earnest = House(company=house.company, records=house.records, keys=house.keys)
    with pytest.raises(Refused, match=r"must reach grade 3, and nobody owns the reading.*approved_on"):
        releases.begin(earnest.desk, "moved", as_of=DAY, actor=ROBOT)
    run = release(house)  # in a sandbox it is made, graded, and the case's evidence says so
    with house.desk.book() as conn:
        row = conn.execute(
            "SELECT body FROM casebook.evidence_ref WHERE case_no = %s AND kind = 'anonymity'", (run.case_no,)
        ).fetchone()
    assert row is not None
    (check,) = [c for c in row["body"]["checks"] if c["name"] == "grade.moved"]
    assert check["verdict"] == "passed" and check["why"].startswith(
        "grade 3 by the company's reading of GB/T 42460-2023"
    )
    declared(reading.model_copy(update={"owner": "legal", "approved_on": DAY}))
    earnest = House(company=house.company, records=house.records, keys=house.keys)
    assert isinstance(releases.begin(earnest.desk, "moved", as_of=DAY, actor=ROBOT), (Run, str))


def test_a_set_in_which_somebody_is_found_is_not_called_anonymised(house: House) -> None:
    def spoil(point: str) -> None:
        if point == "release.disposed":
            house.company.sql("INSERT INTO stat.released VALUES ('1900', 'Mars', '1', 'plague')")

    with pytest.raises(NotProved, match="anonymity"):
        release(house, at=spoil)
    (run,) = _runs(house)
    assert UnitState.ANONYMISED.value not in unit_states(house, run.case_no)
    with house.desk.book() as conn:
        assert papers.in_the_way(conn, run.case_no)
    house.company.sql("DELETE FROM stat.released WHERE town = 'Mars'")
    assert release(house).ended_at is not None
    assert UnitState.ANONYMISED.value in unit_states(house, run.case_no)


def _killed(house: House, point: str) -> None:
    """A release by another process, which is killed there."""
    pid = os.fork()
    if pid == 0:

        def die(here: str) -> None:
            if here == point:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            release(house, at=die)
        finally:
            os._exit(7)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def _runs(house: House) -> list[Run]:
    with house.desk.book() as conn:
        return release_runs.latest(conn)


@pytest.mark.parametrize(
    "point", ["release.chosen", "release.pseudonyms_gone", "release.before_commit", "release.after_commit", "release.disposed"]
)  # fmt: skip
def test_killed_at_any_point_it_goes_on_to_the_same_end(house: House, point: str) -> None:
    _killed(house, point)
    there = count(house, "stat.released")
    assert there == 0 or point in ("release.after_commit", "release.disposed")
    done = release(house)
    assert (done.released or 0) + (done.erased or 0) == 60 and count(house, "stat.released") == done.released
    assert len(_runs(house)) == 1 and UnitState.ANONYMISED.value in unit_states(house, done.case_no)


# --- to the certificate, and out by the gate ------------------------------------------------------


@pytest.fixture
def signed(
    new_company: Callable[..., Company], pg18: PgServer, house: House, tmp_path: Path
) -> Iterator[tuple[House, bytes]]:
    """The same house, with a ledger and its signer."""
    for login in certifying.RECORDS:
        pg18.add_role(login)
    server = certifying.answering(tmp_path / "signer")
    records = certifying.Records(
        pg18, pg18.fresh_database("releases", certifying.whole), str(tmp_path / "signer" / "s")
    )

    class Signed(Sandbox):
        def text(self, name: str) -> str:
            return records.socket if name == "ledger_signer" else super().text(name)

        @property
        def desk(self) -> Desk:
            return replace(
                super().desk,
                append=lambda evidence, key: assembling.append_evidence(self, evidence, key),
                record=lambda kind, no, body, key: assembling.record_entry(self, kind, no, body, key),
            )

    made = Signed(
        company=house.company, records=lambda role: pg18.conninfo(records.name, role), keys=house.keys
    )
    yield made, (tmp_path / "signer" / "pub.pem").read_bytes()
    server.shutdown()
    server.server_close()


def certified(house: House, case_no: str, pem: bytes) -> dict[str, Any]:
    edition = certificates_of.certify(house.desk, case_no, as_of=DAY, actor=ROBOT).auditor
    assert verify(edition.encode(), pem).problems == []
    return certifying.opened(edition)


def publish(house: House, out: Path, what: str = "moved") -> publishing.Publication:
    return publishing.publish(
        house.desk, what, out, recipient="a university", purpose="a study", document="AGR-1", as_of=DAY, actor="ops/li"
    )  # fmt: skip


def test_its_certificate_says_anonymised_once_the_old_files_are_gone_and_only_then_it_leaves(
    signed: tuple[House, bytes], tmp_path: Path
) -> None:
    house, pem = signed
    out = tmp_path / "set.csv"
    with pytest.raises(Refused, match="no release of it was made"):
        publish(house, out)
    done = release(house)
    (group,) = [g for g in certified(house, done.case_no, pem)["groups"] if g["disposition"] == "anonymise"]
    assert (group["items"], group["rung_required"], group["pending"]) == (done.released, 10, True)
    with pytest.raises(NotProved, match="originals may still be read"):
        publish(house, out)
    assert releases.look_again(house.desk, as_of=DAY, actor=ROBOT) == (), "nothing was written anew"
    written = Rewriting(
        house.company.catalogue, "company", house, datasets={"stat.extract", "stat.pseudonym"}
    ).run()
    assert not written.of(Fate.LEFT)
    assert releases.look_again(house.desk, as_of=DAY, actor=ROBOT) == (done.case_no,)
    said = certified(house, done.case_no, pem)
    (group,) = [g for g in said["groups"] if g["disposition"] == "anonymise"]
    assert (group["rung_reached"], group["pending"], group["verdict"]) == (10, False, "passed")
    assert {b["dataset"]: (b["located"], b["anonymised"], b["erased"]) for b in said["balance"]} == {
        "stat.extract": (60, done.released, done.erased), "stat.pseudonym": (60, 0, 60),
    }  # fmt: skip
    made = publish(house, out)
    lines = out.read_text().splitlines()
    assert (made.rows, len(lines), out.stat().st_mode & 0o777) == (
        done.released,
        (done.released or 0) + 1,
        0o600,
    )
    assert made.sha256 == publishing.digest_of(out) and made.report["measured"]["k"] >= SET.k
    with house.desk.book() as conn:
        assert publishing.published(conn, made.sha256)[0].recipient == "a university"
        assert publishing.published(conn, "0" * 64) == []
    tries = publishing._tried

    def swapping(*of: Any) -> Any:
        tried = tries(*of)
        house.company.sql(
            "UPDATE stat.released SET spent = spent || ' ' WHERE ctid = (SELECT min(ctid) FROM stat.released)"
        )
        return tried

    with pytest.MonkeyPatch.context() as patch, pytest.raises(NotProved, match="it changed while"):
        patch.setattr(publishing, "_tried", swapping)
        publish(house, tmp_path / "swapped.csv")
    house.company.sql("UPDATE stat.released SET spent = rtrim(spent)")
    _fill(house, 61)
    begun = releases.begin(house.desk, "moved", as_of=DAY, actor=ROBOT)
    assert isinstance(begun, Run)
    with pytest.raises(NotProved, match="under way, and its rows are not proved"):
        publish(house, tmp_path / "early.csv")
    house.sql(
        "UPDATE casebook.release_run SET ended_at = now(), released = 0, erased = 0 WHERE ended_at IS NULL"
    )
    with pytest.raises(Refused, match="there is a file of that name"):
        publish(house, out)
    house.company.sql("INSERT INTO stat.released VALUES ('1900', 'Mars', '1', 'plague')")
    with pytest.raises(NotProved, match="it is not given out"):
        publish(house, tmp_path / "other.csv")
    assert sorted(p.name for p in tmp_path.iterdir() if p.suffix == ".csv") == ["set.csv"]


def test_what_is_personal_leaves_by_no_gate(house: House, tmp_path: Path) -> None:
    for what, why in (("stat.extract", "de-identified only"), ("stat.account", "nothing of that name")):
        with pytest.raises(Refused, match=why):
            publish(house, tmp_path / "x.csv", what)
    assert not list(tmp_path.glob("*.csv"))


def test_whoever_reads_past_the_gate_is_named_until_it_is_declared(house: House) -> None:
    assert publishing.who_else_reads(house.desk) == {"moved": ("shop_app", "shop_batch")}
    house.company.sql(
        "REVOKE ALL ON ALL TABLES IN SCHEMA stat FROM shop_batch; GRANT SELECT ON stat.released TO PUBLIC"
    )
    named = publishing.who_else_reads(house.desk)["moved"]
    assert "PUBLIC" in named
    house.company.sql("REVOKE ALL ON stat.released FROM PUBLIC")
    house.company.sql(
        "CREATE VIEW stat.first AS SELECT born, ill FROM stat.extract; CREATE VIEW stat.second AS SELECT ill FROM stat.first;"
        " GRANT SELECT ON stat.second TO shop_batch"
    )
    assert publishing.who_else_reads(house.desk) == {"moved": ("shop_app", "shop_batch")}
    house.company.sql("DROP VIEW stat.first CASCADE; GRANT INSERT ON quietus.receipt TO shop_batch")
    house.company.sql("GRANT SELECT (ill) ON stat.extract TO shop_batch")
    assert publishing.who_else_reads(house.desk) == {"moved": ("shop_app", "shop_batch")}, (
        "no right makes it ours"
    )
    house.company.sql(
        "REVOKE ALL (ill) ON stat.extract FROM shop_batch; REVOKE ALL ON quietus.receipt FROM shop_batch"
    )
    declared = SET.model_copy(update={"readers": {"shop_app": "draws it"}})
    house.company.catalogue = house.company.catalogue.model_copy(update={"releases": (declared,)})
    assert publishing.who_else_reads(house.desk) == {"moved": ()}
