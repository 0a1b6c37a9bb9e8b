"""A certificate is made of what was proved under the plan in force, and of nothing else.

Over the real book, the real ledger and the real signer; the company is the small one in memory.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from include.cases import assembling, book, certificates, opening, papers, planner, verbs
from include.cases.certificates import Editions
from include.cases.keys import FileKeyStore
from include.ledger import log, signer
from include.ledger.verify import load_key, verify
from include.model.errors import NotProved, QuietusError, Refused
from include.model.estate import Bound, Column, Supplied
from include.model.flow import Check, Evidence, Line, Provision, Step
from include.model.policy import Upstream
from include.model.times import observed_now
from include.model.words import CaseState, Disposition, Ground, Role, Rung, Verdict
from tests.cases.conftest import build
from tests.cases.small import LI, TODAY, MemoryStore, Row, World, catalogue, table, world
from tests.cases.test_verbs import BOSS, carried_out, on, verified
from tests.conftest import PgServer

pytestmark = pytest.mark.postgres

RECORDS = {
    "case_writer": "quietus_case_writer", "ledger_writer": "quietus_ledger_writer",
    "sequencer": "quietus_sequencer", "reader": "quietus_reader",
}  # fmt: skip


def whole(conninfo: str) -> None:
    """The case book with the ledger beside it, as in production."""
    build(conninfo)
    log.install(conninfo)
    with psycopg.connect(conninfo) as conn:
        for login, group in RECORDS.items():
            conn.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), sql.Identifier(login)))


@dataclass
class Records:
    """Connections to the records database, and to the signer."""

    pg: PgServer
    name: str
    socket: str

    def postgres(self, connection: str, role: Role) -> str:
        assert connection == "records"
        return self.pg.conninfo(self.name, role.value)

    def s3(self, connection: str, role: Role) -> Any:
        raise AssertionError

    def text(self, name: str) -> str:
        assert name == "ledger_signer"
        return self.socket


def answering(home: Path) -> signer._Server:
    """A signer that answers at ``home/s``."""
    home.mkdir()
    files = (home / "key.pem", home / "state.json")
    signer.initialise("certifying.example/quietus", *files, home / "pub.pem")
    server = signer._Server(str(home / "s"), signer.Signer(*files))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return server


@dataclass
class House:
    """The small company with records that certify, and the provers that look into it."""

    w: World
    pem: bytes
    enforced: bool = True
    skip: frozenset[str] = frozenset()
    seen: list[Evidence] = field(default_factory=list)

    def case(self, *, hold: dict[str, Any] | None = None) -> str:
        case_no = verified(self.w)
        if hold is not None:
            verbs.open_hold(self.w.desk, **ORDER, **hold, case_nos=frozenset({case_no}), **on())
        verbs.rehearse(self.w.desk, case_no, **on())
        verbs.approve(self.w.desk, case_no, approver=BOSS, as_of=TODAY)
        return case_no

    def work(self, case_no: str, as_of: date = TODAY) -> None:
        """A whole step: restrict, plan, dispose, prove, balance, rest."""
        carried_out(self.w, case_no, as_of)
        self.prove(case_no, as_of)
        if "balance" not in self.skip:
            verbs.balance(self.w.desk, case_no, **on(as_of))
        verbs.rest(self.w.desk, case_no, **on(as_of))

    def prove(self, case_no: str, as_of: date = TODAY, **changes: Any) -> None:
        for evidence in self.looked(case_no, as_of):
            if evidence.kind not in self.skip:
                self.record(evidence.model_copy(update=changes))

    def record(self, evidence: Evidence) -> None:
        self.seen.append(evidence)
        verbs.record_evidence(self.w.desk, evidence, **on(evidence.as_of), strict=False)

    def looked(self, case_no: str, as_of: date) -> Iterator[Evidence]:
        with self.w.desk.book() as conn:
            case = book.case(conn, case_no)
            step = papers.current_step(conn, case, "live")
            plan = papers.latest_plan(conn, case)
        assert step is not None
        for store in (self.w.main, self.w.files):
            enforced = self.enforced or store is self.w.main
            for kind in ("restricted", "baseline", "gone", "dragnet"):
                checks = [c for d in store.rows for c in _checks(kind, plan.lines_of(d), d, enforced)]
                yield Evidence(
                    kind=kind, step=step.step_id, case_no=case_no, store=store.id, as_of=as_of,
                    observed_at=observed_now(), checks=tuple(checks),
                    plan=None if kind == "restricted" else plan.fingerprint(),
                )  # fmt: skip

    def certify(self, case_no: str, as_of: date = TODAY) -> Editions:
        found = verbs.certify(self.w.desk, case_no, **on(as_of))
        for edition in (found.person, found.auditor):
            assert verify(edition.encode(), self.pem).problems == []
        return found


def _checks(kind: str, lines: Sequence[Line], dataset: str, enforced: bool) -> Iterator[Check]:
    def passed(what: str, rung: Rung) -> Check:
        return Check(name=f"{what}.{dataset}", dataset=dataset, rung=rung, verdict=Verdict.PASSED, expected=0,
                     observed=0)  # fmt: skip

    fates = {x.disposition.changes_data for x in lines if x.items}
    if kind == "restricted":
        yield passed("marked", Rung.R0)
        why = "the server takes policies and does not enforce them"
        yield (
            passed("hidden", Rung.R1)
            if enforced
            else Check(
                name=f"enforced.{dataset}", dataset=dataset, rung=Rung.R1, verdict=Verdict.UNVERIFIED, why=why
            )
        )
    elif kind == "gone":
        if False in fates:
            yield passed("kept", Rung.R0)
        if True in fates or not fates:
            yield passed("gone", Rung.R2)
            yield passed("bytes", Rung.R4)
    else:
        yield passed("seen" if kind == "baseline" else "dragnet", Rung.R0 if kind == "baseline" else Rung.R2)


ORDER = {
    "basis": "authority", "document_no": "(2026) 7", "issuing_body": "Haidian Procuratorate", "law": "CPL 54",
    "confidential": True,
}  # fmt: skip


@pytest.fixture
def new_house(pg18: PgServer, tmp_path: Path) -> Iterator[Callable[[], House]]:
    servers: list[signer._Server] = []

    def make() -> House:
        home = tmp_path / f"h{len(servers)}"
        servers.append(answering(home))
        for login in RECORDS:
            pg18.add_role(login)
        records = Records(pg18, pg18.fresh_database("certifying", whole), str(home / "s"))
        w = world(
            "unused", FileKeyStore(home / "keys", b"k" * 32), connections=records,
            append=lambda evidence, key: assembling.append_evidence(records, evidence, key),
            record=lambda kind, case_no, body, key: assembling.record_entry(records, kind, case_no, body, key),
        )  # fmt: skip
        return House(w, (home / "pub.pem").read_bytes())

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def house(new_house: Callable[[], House]) -> House:
    return new_house()


def opened(text: str) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(base64.b64decode(json.loads(text)["payload"]))
    return made


def of(made: dict[str, Any], dataset: str) -> list[dict[str, Any]]:
    return [g for g in made["groups"] if g["dataset"] == dataset]


# --- rungs ----------------------------------------------------------------------------------------


def test_what_stays_is_hidden_and_what_went_is_gone_though_they_lie_in_one_dataset(house: House) -> None:
    case_no = house.case()
    house.work(case_no)
    made = opened(house.certify(case_no).auditor)
    rungs = {(g["disposition"], g["rung_required"], g["rung_reached"]) for g in of(made, "ra.application")}
    assert rungs == {("retain", 1, 1), ("erase", 2, 4)}
    assert {g["rung_reached"] for g in made["groups"] if g["disposition"] == "retain"} == {1}
    assert made["kind"] == "interim"
    kinds = {json.loads(base64.b64decode(e["leaf"]))["body"].get("kind") for e in made["entries"]}
    assert kinds >= {"restricted", "baseline", "gone", "dragnet", "balance"}


def test_a_server_that_only_marks_leaves_what_stays_pending_and_unverified(house: House) -> None:
    house.enforced = False
    case_no = house.case(hold={"datasets": frozenset({"scan.image"})})
    house.work(case_no)
    made = opened(house.certify(case_no).auditor)
    (image,) = of(made, "scan.image")
    assert (image["rung_required"], image["rung_reached"], image["pending"]) == (1, 0, True)
    assert image["unverified"] == [{"rung": 1, "why": "the server takes policies and does not enforce them"}]
    (waits,) = [p for p in made["pending"] if p["track"] == "rung"]
    assert waits["dataset"] == "scan.image"
    assert "R1 is to be reached; so far R0 (the server takes policies" in waits["what"]


def test_the_word_of_a_whole_store_counts_for_each_of_its_datasets(house: House) -> None:
    house.enforced = False
    case_no = house.case(hold={"datasets": frozenset({"scan.image"})})
    carried_out(house.w, case_no)
    for evidence in house.looked(case_no, TODAY):
        whole_store = tuple(
            c.model_copy(update={"dataset": None, "name": "enforced.files"})
            if c.name.startswith("enforced.") else c for c in evidence.checks
        )  # fmt: skip
        house.record(evidence.model_copy(update={"checks": whole_store}))
    verbs.balance(house.w.desk, case_no, **on())
    verbs.rest(house.w.desk, case_no, **on())
    (image,) = of(opened(house.certify(case_no).auditor), "scan.image")
    assert image["pending"]
    assert image["unverified"][0]["why"] == "the server takes policies and does not enforce them"


# --- what must have been proved -------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["restricted", "baseline", "dragnet", "balance"])
def test_a_task_that_was_only_marked_as_done_yields_no_certificate(house: House, kind: str) -> None:
    house.skip = frozenset({kind})
    case_no = house.case()
    house.work(case_no)
    with pytest.raises(NotProved, match=f"the proof '{kind}' of .* is missing"):
        house.certify(case_no)
    with house.w.desk.book() as conn, pytest.raises(Refused, match="no certificate"):
        certificates.issued(conn, case_no)


def test_without_a_proof_that_it_is_gone_the_case_does_not_even_rest(house: House) -> None:
    house.skip = frozenset({"gone"})
    case_no = house.case()
    house.work(case_no)
    with pytest.raises(Refused, match="a case that is acting is not certified"):
        house.certify(case_no)


@pytest.mark.parametrize("kind", ["gone", "baseline", "dragnet"])
def test_a_proof_of_another_plan_does_not_count(house: House, kind: str) -> None:
    case_no = house.case()
    house.work(case_no)
    old = next(e for e in house.seen if e.kind == kind and e.store == "main")
    house.record(old.model_copy(update={"plan": "ef" * 32, "observed_at": observed_now()}))
    with pytest.raises(NotProved, match=f"the proof '{kind}' of main .* is of another plan"):
        house.certify(case_no)


def test_the_last_look_counts_and_the_ones_before_it_stay_on_the_list(house: House) -> None:
    case_no = house.case()
    house.work(case_no)
    good = next(e for e in house.seen if e.kind == "dragnet" and e.store == "files")
    bad = tuple(c.model_copy(update={"verdict": Verdict.UNVERIFIED, "why": "asleep"}) for c in good.checks)
    house.record(good.model_copy(update={"checks": bad, "observed_at": observed_now()}))
    with pytest.raises(NotProved, match="findings are open"):
        house.certify(case_no)
    with house.w.desk.book() as conn:
        papers.settle_findings(
            conn, case_no, "dragnet_not_proved", None, actor=BOSS, settlement="looked away"
        )
    with pytest.raises(NotProved, match=r"the proof 'dragnet' of files .* did not pass: dragnet.scan.image"):
        house.certify(case_no)
    house.record(good.model_copy(update={"observed_at": observed_now()}))
    made = opened(house.certify(case_no).auditor)
    assert len(made["evidence"]) == len(house.seen) + 1, "and the balance"


def test_the_books_are_those_of_the_receipts(house: House) -> None:
    case_no = house.case()
    house.work(case_no)
    records = house.w.desk.connections
    assert isinstance(records, Records)
    with psycopg.connect(records.pg.conninfo(records.name)) as conn:
        conn.execute("SET session_replication_role = replica")  # an insider's edit, past every trigger
        conn.execute(
            "UPDATE casebook.receipt SET body = jsonb_set(body, '{counts,account.session,erased}', '1')"
            " WHERE store = 'main' AND verb = 'dispose'"
        )
    with pytest.raises(QuietusError, match=r"account\.session"):
        house.certify(case_no)


# --- steps ------------------------------------------------------------------------------------------


def test_a_second_step_is_certified_by_its_own_proofs_and_the_first_by_its(house: House) -> None:
    case_no = house.case()
    house.work(case_no)
    first = house.certify(case_no)
    for recipient in ("sms", "vetting"):
        verbs.record_answer(house.w.desk, case_no, recipient, code="DELETED", proof_digest="ab", **on())
    later = date(2029, 7, 1)  # the application's five years are over, and the log's six months
    verbs.resume(house.w.desk, case_no, **on(later))
    house.skip = frozenset({"restricted", "dragnet"})
    house.work(case_no, later)
    with pytest.raises(NotProved, match=rf"the proof 'dragnet' of .* in {step_of(case_no, 2)} is missing"):
        house.certify(case_no, later)
    house.skip = frozenset({"baseline", "gone"})
    house.prove(case_no, later)
    second = house.certify(case_no, later)
    made = opened(second.auditor)
    assert [s["step"] for s in made["steps"]] == [step_of(case_no, 1), step_of(case_no, 2)]
    gone = {g["step"][-2:]: (g["items"], g["evidence"]) for g in of(made, "ra.application")}
    assert {step: items for step, (items, _) in gone.items()} == {"s1": 1, "s2": 1}
    assert not set(gone["s1"][1]) & set(gone["s2"][1])
    (line,) = [b for b in made["balance"] if b["dataset"] == "ra.application"]
    assert (line["located"], line["erased"], line["retained"]) == (2, 2, 0)
    assert (first.serial, second.serial, second.person_serial) == (1, 2, 2)
    # The person reads of the items and not of our steps.
    (told,) = of(opened(second.person), "ra.application")
    assert (told["items"], told["step"]) == (2, "")


def step_of(case_no: str, n: int) -> str:
    return f"case_{case_no.removeprefix('CASE-')}_s{n}"


def decided(house: House, case_no: str) -> None:
    plan = verbs.rehearse(house.w.desk, case_no, **on())
    verbs.approve(house.w.desk, case_no, approver=BOSS, as_of=TODAY, plan=plan.fingerprint())


def test_a_reopened_case_is_certified_anew_with_what_it_did_before(house: House) -> None:
    case_no = house.case()
    for dataset in ("ra.application", "web.log"):
        house.w.main.rows[dataset] = {k: r for k, r in house.w.main.rows[dataset].items() if r.owner != LI}
    decided(house, case_no)
    house.work(case_no)
    house.certify(case_no)
    verbs.told(house.w.desk, case_no, **on())
    for recipient in ("sms", "vetting"):
        verbs.record_answer(house.w.desk, case_no, recipient, code="DELETED", proof_digest="ab", **on())
    verbs.close(house.w.desk, case_no, **on())
    final = house.certify(case_no)
    assert opened(final.person)["kind"] == opened(final.auditor)["kind"] == "final"
    (line,) = [b for b in opened(final.auditor)["balance"] if b["dataset"] == "ca.certificate"]
    assert (line["located"], line["deidentified"], line["anonymised"]) == (1, 1, 0)
    for edition in (final.person, final.auditor):
        (rest,) = of(opened(edition), "ca.certificate")
        assert rest["disposition"] == "deidentify"
        assert date.fromisoformat(rest["until"]) > TODAY, "personal still, and the law and the day are named"
        assert "de-identified (PIPL 73(3)) until: company period RS-04/register" in rest["law"]

    house.w.main.rows["account.session"][9] = Row(LI)
    verbs.reopen(house.w.desk, case_no, because="probe_hit", **on())
    with pytest.raises(Refused, match="a case that is assessing is not certified"):
        house.certify(case_no)
    decided(house, case_no)
    house.work(case_no)
    made = opened(house.certify(case_no).auditor)
    assert {(g["step"][-2:], g["items"]) for g in of(made, "account.session")} == {("s1", 2), ("s2", 1)}
    (line,) = [b for b in made["balance"] if b["dataset"] == "account.session"]
    assert (line["located"], line["erased"]) == (3, 3)


# --- holds ------------------------------------------------------------------------------------------


def test_a_hold_keeps_a_certificate_interim_until_it_is_released(house: House) -> None:
    case_no = house.case(hold={"datasets": frozenset({"scan.image"})})
    house.work(case_no)
    made = opened(house.certify(case_no).auditor)
    (held,) = [g for g in made["groups"] if g["dataset"] == "scan.image"]
    assert (held["disposition"], held["rung_reached"], made["kind"]) == ("hold", 1, "interim")
    (wait,) = [p for p in made["pending"] if p["track"] == "holds"]
    assert wait["name"] == held["hold"]
    verbs.release_hold(house.w.desk, held["hold"], document="(2026) 8", **on())
    house.work(case_no)
    made = opened(house.certify(case_no).auditor)
    (image,) = of(made, "scan.image")
    assert (image["disposition"], image["step"]) == ("erase", step_of(case_no, 2))
    assert not [p for p in made["pending"] if p["track"] == "holds"]


class Referring(MemoryStore):
    """A store in which applications refer to accounts, as a foreign key would have it."""

    def weigh(self, step: Step, provisions: Sequence[Provision]) -> Sequence[Line]:
        super().weigh(step, provisions)
        area = self.areas[step.id]
        held = next((x for x in area["ra.application"].values() if x and x.hold), None)
        if held is not None:
            for key, line in area["account.account"].items():
                assert line is not None
                if line.disposition is Disposition.ERASE:
                    area["account.account"][key] = line.model_copy(update={
                        "disposition": Disposition.RETAIN, "law": f"{held.law}; needed by ra.application",
                        "waits_for": held.hold, "kept_for": held.hold,
                    })  # fmt: skip
        lines: dict[Line, int] = {}
        for of_dataset in area.values():
            for fate in of_dataset.values():
                if fate is not None:
                    lines[fate] = lines.get(fate, 0) + 1
        return [x.model_copy(update={"items": n}) for x, n in lines.items()]


def referring(house: House) -> House:
    main = house.w.main
    made = Referring("main", main.rows, main.catalogue)
    object.__setattr__(house.w.desk, "stores", lambda: (made, house.w.files))
    house.w.main = made
    return house


def test_the_person_cannot_read_of_a_confidential_hold_in_any_way(new_house: Callable[[], House]) -> None:
    """Held applications, and the account that they need, beside a case in which there are none of either."""
    house, plain = referring(new_house()), referring(new_house())
    case_no = house.case(hold={"datasets": frozenset({"ra.application"})})
    house.work(case_no)
    for dataset in ("ra.application", "account.account"):
        plain.w.main.rows[dataset] = {k: r for k, r in plain.w.main.rows[dataset].items() if r.owner != LI}
    same_no = plain.case()
    plain.work(same_no)
    assert case_no == same_no

    issued = house.certify(case_no)
    auditor, person = opened(issued.auditor), opened(issued.person)
    assert {g["hold"] or g["kept_for"] for g in auditor["groups"] if g["confidential"]} == {"HOLD-000001"}
    assert {(g["disposition"], g["law"]) for g in of(auditor, "account.account")} == {
        ("retain", "CPL 54; needed by ra.application")
    }
    told = json.dumps(person, ensure_ascii=False) + "".join(
        base64.b64decode(e["leaf"]).decode() for e in person["entries"]
    )
    for betrayal in ("HOLD", "CPL", "Haidian", "(2026) 7", "needed by", "ra.application", "account.account"):
        assert betrayal not in told
    other = opened(plain.certify(same_no).person)
    for made in (person, other):  # whom we gave the rows to is told of them either way
        made["pending"] = [p for p in made["pending"] if p["track"] != "recipients"]
        made["horizon"] = None
    assert shape(person) == shape(other)
    by_chance = ("entries", "evidence", "rungs", "completeness", "checkpoint", "observed_at", "groups")
    assert {k: v for k, v in person.items() if k not in by_chance} == {
        k: v for k, v in other.items() if k not in by_chance
    }
    assert [g | {"evidence": None} for g in person["groups"]] == [
        g | {"evidence": None} for g in other["groups"]
    ]


def shape(value: Any) -> Any:
    """The names, kinds and lengths in a document, without what it says."""
    if isinstance(value, dict):
        return {k: shape(v) for k, v in value.items() if k != "proof"}
    return [shape(v) for v in value] if isinstance(value, list) else type(value).__name__


def test_what_only_the_auditor_may_see_gives_the_person_no_new_certificate(house: House) -> None:
    case_no = house.case()
    house.work(case_no)
    first = house.certify(case_no)
    # The same proof made again: the auditor's list of evidence grows.
    dragnet = next(e for e in house.seen if e.kind == "dragnet")
    house.record(dragnet.model_copy(update={"observed_at": observed_now()}))
    second = house.certify(case_no, TODAY + timedelta(days=1))
    assert (second.serial, second.person_serial) == (2, 1)
    assert second.person == first.person
    assert opened(second.auditor)["serial"] == 2
    again = house.certify(case_no, TODAY + timedelta(days=1))
    assert (again.serial, again.auditor) == (2, second.auditor)


def test_the_state_must_be_one_that_rests(house: House) -> None:
    case_no = house.case()
    with pytest.raises(Refused, match="a case that is assessing is not certified"):
        house.certify(case_no)
    assert load_key(house.pem)
    with house.w.desk.book() as conn:
        assert book.case(conn, case_no).state is CaseState.ASSESSING


def test_a_part_that_a_partner_takes_back_is_certified_and_says_that_the_rest_is_not_reached(
    house: House,
) -> None:
    bank = Upstream(id="bank", name="银行", partner="bank", region="CN")
    theirs = table("partner.supplied", "合作方提供", (Bound(rule="RS-01"),), ("PI-001",)).model_copy(
        update={"supplied": Supplied(partner="partner", reference="reference")}
    )
    theirs.columns.update(partner=Column(), reference=Column())
    policy = catalogue(datasets=(*catalogue().datasets, theirs), upstream=(bank,))
    house.w.desk = dataclasses.replace(house.w.desk, catalogue=policy)
    house.w.main.rows["partner.supplied"] = {1: Row(LI, text="bank"), 2: Row(LI, text="insurer")}
    house.skip = frozenset({"restricted"})  # nobody is
    case_no = opening.open_part(
        house.w.desk, LI, ground=Ground.ENTRUSTMENT_ENDED, trigger_user="upstream/bank", received_at=observed_now(),
        as_of=TODAY,
    ).case_no  # fmt: skip
    proof = {"method": "written_request_compared", "fields": ["PI-001"]}
    verbs.ask_identity(house.w.desk, case_no, **proof, **on())
    verbs.record_identity(house.w.desk, case_no, outcome="matched", **proof, **on())
    verbs.rehearse(house.w.desk, case_no, **on())
    verbs.approve(house.w.desk, case_no, approver=BOSS, as_of=TODAY)
    house.work(case_no)
    made = opened(house.certify(case_no).person)
    assert {(g["disposition"], g["rung_required"]) for g in of(made, "partner.supplied")} == {
        ("erase", 2),
        ("retain", 0),
    }
    assert made["kind"] == "interim"
    assert [p["what"] for p in made["pending"] if p["track"] == "dates"] == [
        f"the request does not reach it; it stays ({planner.OWN_CONTRACT})"
    ]
    assert "PIPL 21" in json.dumps(made, ensure_ascii=False)
