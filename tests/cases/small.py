"""A small policy, a store in memory that really keeps rows, and a desk over both."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from include.cases import backups
from include.cases.accounts import Standing
from include.cases.notices.composing import Given
from include.cases.notices.standing import OPEN
from include.cases.periods import last_day
from include.cases.rooms import Desk, NoRegister
from include.ledger.log import KeyTaken
from include.ledger.screen import screened
from include.model.backups import Copies
from include.model.catalogue import Catalogue
from include.model.errors import Drifted, NotReachable, Refused
from include.model.estate import BackupSet, Bound, Column, Cut, Dataset, Link, Start, StoreDeclared
from include.model.flow import (
    NOT_REACHED,
    Check,
    Evidence,
    Finding,
    Line,
    Located,
    Plan,
    Provision,
    Receipt,
    Step,
    Survey,
)
from include.model.history import History
from include.model.media import POSSIBLE, MediaProcedure, Medium, Method
from include.model.notices import Answer, Judgement
from include.model.policy import Basis, Category, Period, Proposal, Recipient, RecipientRole, RetentionRule
from include.model.times import observed_now
from include.model.words import (
    CopyKind,
    DatasetKind,
    Disposition,
    LegalRank,
    Role,
    Rung,
    StoreKind,
    Verdict,
)

LI = "acct_0123456789ab"
WANG = "acct_zzzzzzzzzzzz"
GHOST = "acct_000000000000"
GONE = "acct_111111111111"
TODAY = date(2026, 11, 24)
RECEIVED = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)


def rule(
    id_: str, duration: str, kind: str, rank: LegalRank, cite: str, at_end: str = "erase", register: str = ""
) -> RetentionRule:
    basis = (Basis(cite=cite, rank=rank),)
    return RetentionRule(
        id=id_, title=id_, starts="as told", basis=basis, at_end=at_end, stays="nothing",
        periods=(
            Period(duration=duration, kind=kind, basis=basis),
            *(
                (Period(name="register", duration=register, kind="ceiling", basis=basis, proposal=Proposal()),)
                if register
                else ()
            ),
        ),
    )  # fmt: skip


def table(id_: str, title: str, rules: tuple[Bound, ...], categories: tuple[str, ...], **more) -> Dataset:
    columns = {"account_id": Column()} | {f"c{n}": Column(category=c) for n, c in enumerate(categories)}
    return Dataset(
        id=id_, store="main", kind=DatasetKind.TABLE, title=title, address=id_,
        key=more.pop("key", ("id",)), links=more.pop("links", (Link(column="account_id"),)), binds=rules,
        columns=columns, **more,
    )  # fmt: skip


def procedures() -> tuple[MediaProcedure, ...]:
    """As those of the first policy, with an owner: sensitive data is not only overwritten, and more of it is read back."""
    basis = (Basis(cite="NIST SP 800-88r2", rank=LegalRank.STANDARD),)
    owned = Proposal(owner="security", approved_on=date(2026, 1, 5))
    return tuple(
        MediaProcedure(id=f"{medium}{'_sensitive' * sensitive}", medium=medium, sensitive=sensitive, basis=basis, proposal=owned,
                       methods={m: 10 if sensitive else 1 for m in POSSIBLE[medium] if not (sensitive and m is Method.ERASE)
                                or medium in (Medium.BUCKET, Medium.KEY)})
        for medium in Medium for sensitive in (False, True)
    )  # fmt: skip


def catalogue(**changes) -> Catalogue:
    law = LegalRank.LAW
    base = {
        "name": "small", "digest": "d" * 64, "clauses": (), "not_personal": (), "measures": (), "measure_sql": {},
        "controls": (), "starting_points": {}, "media": procedures(),
        "categories": tuple(
            Category(id=i, service=s, zh=i, en=i, sensitive=False, rules=(r,))
            for i, s, r in [("PI-001", "reg", "RS-01"), ("PI-004", "reg", "RS-01"), ("PI-008", "reg", "RS-02"),
                            ("PI-028", "cert", "RS-03"), ("PI-029", "cert", "RS-04"), ("PI-060", "log", "RS-12")]
        ),
        "rules": (
            rule("RS-01", "P0D", "ceiling", law, "PIPL 47"),
            rule("RS-02", "P0D", "ceiling", law, "PIPL 19"),
            rule("RS-03", "P5Y", "both", law, "ESL 24"),
            rule("RS-04", "P5Y", "both", law, "ESL 21", "deidentify", register="P20Y"),
            rule("RS-12", "P6M", "floor", law, "CSL 23(3)"),
            rule("RS-25", "P35D", "ceiling", LegalRank.COMPANY, "policy 11.2"),
        ),
        "recipients": tuple(
            Recipient(id=i, row=str(n), name=i, phone=None, service="s", fields="姓名、手机号", categories=c, purpose="p",
                      region="CN", role=RecipientRole.ENTRUSTED, channel="opendsr", notice="delete", expected=("DELETED",))
            for n, (i, c) in enumerate([("sms", ("PI-001",)), ("vetting", ("PI-028",)), ("insurer", ("PI-099",))])
        ),
        "stores": (
            StoreDeclared(id="main", kind=StoreKind.POSTGRES, region="CN", connection="company", description="m"),
            StoreDeclared(id="files", kind=StoreKind.POSTGRES, region="CN", connection="files", description="f"),
        ),
        "datasets": (
            table("account.account", "账户", (Bound(rule="RS-01"),), ("PI-001", "PI-004"), key=("account_id",)),
            table("account.session", "会话", (Bound(rule="RS-02"),), ("PI-008",)),
            table("ra.application", "证书申请", (Bound(rule="RS-03", start=Start(column="ended_on")),), ("PI-028",)),
            table("ca.certificate", "证书", (Bound(rule="RS-04", start=Start(column="ended_on")),), ("PI-029",),
                  action="deidentify",
                  cut=Cut(set={"c0": None}, ends=Bound(rule="RS-04", period="register", start=Start(column="ended_on")))),
            table("web.log", "日志", (Bound(rule="RS-12", start=Start(column="at")),), ("PI-060",)),
            table("scan.image", "影像", (Bound(rule="RS-01"),), ("PI-004",)).model_copy(update={"store": "files"}),
        ),
        "backups": (
            BackupSet(id="nightly", store="main", tool="basebackup", region="CN", location="x", keep="P35D", description="n"),
            BackupSet(id="files", store="files", tool="dump", region="CN", location="y", keep="P7D", description="f"),
        ),
    }  # fmt: skip
    return Catalogue(**(base | changes))


@dataclass
class Row:
    """One row: whose, and the date its statutory period starts (None: not started, "-": under none)."""

    owner: str
    started: date | str | None = "-"
    text: str = "value"


@dataclass
class MemoryStore:
    """A store whose rows live in a dict. It keeps the Protocol's promises, and breaks where it is told to."""

    id: str
    rows: dict[str, dict[int, Row]]
    catalogue: Catalogue
    down_at: set[str] = field(default_factory=set)
    dies_after: set[str] = field(default_factory=set)  # does the deed, then dies before answering
    ignores: set[str] = field(default_factory=set)  # datasets that silently ignore a delete
    findings: tuple[Finding, ...] = ()
    calls: list[str] = field(default_factory=list)
    areas: dict[str, dict[str, dict[int, Line | None]]] = field(default_factory=dict)
    kept: list[Receipt] = field(default_factory=list)
    restricted: set[str] = field(default_factory=set)
    journal: dict[str, str] = field(
        default_factory=dict
    )  # step -> plan, as a store without transactions keeps it
    meanwhile: dict[str, Callable[[], object]] = field(default_factory=dict)  # what others do during a verb
    system: int = 7
    timeline: int = 1
    counter: int = 1
    position: int = 1000  # every look finds its log further on
    lost: set[str] = field(default_factory=set)  # steps that a restore undid

    def _call(self, verb: str) -> None:
        self.calls.append(verb)
        if then := self.meanwhile.pop(verb, None):
            then()
        if verb in self.down_at:
            raise NotReachable("the store does not answer", about=self.id, next_step="try again")

    def _after(self, verb: str) -> None:
        if verb in self.dies_after:
            self.dies_after.discard(verb)
            raise KeyboardInterrupt(verb)

    def history(self) -> History:
        self._call("history")
        self.position += 10
        return History(self.system, self.timeline, self.counter, self.position, observed_now())

    def has_receipts(self, steps: tuple[str, ...]) -> bool:
        return {r.step for r in self.kept if r.verb == "dispose"} - self.lost >= set(steps)

    def preflight(self) -> Sequence[Finding]:
        self._call("preflight")
        return self.findings

    def open(self, step: Step) -> None:
        self._call("open")
        self.areas.setdefault(step.id, {})

    def _located(self, step: Step) -> dict[str, list[int]]:
        return {
            name: [k for k, r in rows.items() if r.owner in step.subjects] for name, rows in self.rows.items()
        }

    def survey(self, step: Step) -> Survey:
        self._call("survey")
        found = self._located(step)
        self.areas[step.id] = {name: dict.fromkeys(keys) for name, keys in found.items()}
        located = tuple(
            Located(dataset=n, items=len(ks), digest=hashlib.sha256(repr(sorted(ks)).encode()).hexdigest())
            for n, ks in found.items()
        )
        return Survey(step=step.id, store=self.id, located=located, observed_at=observed_now())

    def weigh(self, step: Step, provisions: Sequence[Provision]) -> Sequence[Line]:
        self._call("weigh")
        lines: dict[Line, int] = {}
        for p in provisions:
            for key in self.areas[step.id].get(p.dataset, {}):
                line = self._fate(step, p, self.rows[p.dataset][key])
                self.areas[step.id][p.dataset][key] = line
                lines[line] = lines.get(line, 0) + 1
        return [line.model_copy(update={"items": n}) for line, n in lines.items()]

    @staticmethod
    def _fate(step: Step, p: Provision, row: Row) -> Line:
        def line(disposition: Disposition, law: str = p.law, **more) -> Line:
            return Line(dataset=p.dataset, disposition=disposition, items=0, rule=p.rule, law=law, **more)

        if p.reaches is not None and (p.reaches.only is None or row.text != p.reaches.only[1]):
            return line(Disposition.RETAIN, p.reaches.law, waits_for=NOT_REACHED)
        for held in p.holds:
            if step.subjects.index(row.owner) in held.subject_nos:
                return line(Disposition.HOLD, held.law, hold=held.hold)
        for floor in p.floors:
            start = step.as_of if floor.start is None else row.started
            if start == "-":
                continue
            if start is None:
                return line(Disposition.RETAIN, floor.law, waits_for="the certificate's end")
            until = last_day(start, floor.duration, floor.counting)
            if step.as_of <= until:
                return line(Disposition.RETAIN, floor.law, until=until)
        if p.ends is not None:
            began = row.started if isinstance(row.started, date) else step.as_of
            until = last_day(began, p.ends.duration, p.ends.counting)
            return line(p.disposition, until=until) if step.as_of <= until else line(Disposition.ERASE)
        return line(p.disposition)

    def restrict(self, step: Step) -> Receipt:
        self._call("restrict")
        self.restricted |= set(step.subjects)
        counts = {n: {"restricted": len(ks)} for n, ks in self._located(step).items()}
        receipt = Receipt(step=step.id, store=self.id, verb="restrict", plan="-", counts=counts, position={},
                          done_at=observed_now())  # fmt: skip
        if not any(r.step == step.id and r.verb == "restrict" for r in self.kept):
            self.kept.append(receipt)
        self._after("restrict")
        return receipt

    def settle(self, step: Step) -> None:
        self._call("settle")

    def dispose(self, step: Step, plan: Plan) -> Receipt:
        self._call("dispose")
        for receipt in self.kept:
            if receipt.step == step.id and receipt.verb == "dispose":
                return receipt
        if self.journal.get(step.id, plan.fingerprint()) != plan.fingerprint():
            raise Drifted(
                "this step was begun under another plan", about=self.id, next_step="finish that one"
            )
        area = self.areas[step.id]
        if {n: sorted(ks) for n, ks in self._located(step).items()} != {
            n: sorted(ks) for n, ks in area.items()
        }:
            raise Drifted("the items changed", about=self.id, next_step="plan again")
        if "intend" in self.dies_after:
            self.journal[step.id] = plan.fingerprint()
            self._after("intend")
        counts: dict[str, dict[str, int]] = {}
        for name, keys in area.items():
            for key, line in keys.items():
                assert line is not None
                if not line.disposition.changes_data:
                    continue
                said = counts.setdefault(name, {})
                said[line.disposition.past] = said.get(line.disposition.past, 0) + 1
                if name in self.ignores:
                    continue
                if line.disposition is Disposition.ERASE:
                    del self.rows[name][key]
                else:
                    self.rows[name][key].owner, self.rows[name][key].text = "", ""
        receipt = Receipt(step=step.id, store=self.id, verb="dispose", plan=plan.fingerprint(), counts=counts,
                          position={"xid": "7"}, done_at=observed_now())  # fmt: skip
        self.kept.append(receipt)
        self._after("dispose")
        return receipt

    def begun_under(self, step: Step) -> str | None:
        done = [r.plan for r in self.kept if r.step == step.id and r.verb == "dispose"]
        return self.journal.get(step.id) or (done[-1] if done else None)

    def receipts(self, step: Step) -> Sequence[Receipt]:
        return [r for r in self.kept if r.step == step.id]

    def close(self, step: Step) -> None:
        self._call("close")
        self.areas.pop(step.id, None)


@dataclass
class People:
    """Accounts by id."""

    known: Mapping[str, Standing]
    asked: list[str] = field(default_factory=list)

    def standing(self, account_id: str) -> Standing:
        self.asked.append(account_id)
        return self.known.get(account_id, Standing.UNKNOWN)


@dataclass
class Places:
    """Connections to the case book alone."""

    writer: str

    def postgres(self, connection: str, role: Role) -> str:
        assert (connection, role) == ("records", Role.CASE_WRITER)
        return self.writer

    def s3(self, connection: str, role: Role):
        raise AssertionError

    def text(self, name: str) -> str:
        raise Refused("the connection is not declared", about=name)


@dataclass
class World:
    """A desk, its stores and its ledger, to look at."""

    desk: Desk
    main: MemoryStore
    files: MemoryStore
    logged: dict[str, Evidence]
    said: dict[str, tuple[str, str | None, dict[str, Any]]] = field(default_factory=dict)  # kind, case, body
    copies: dict[str, Copies] = field(
        default_factory=dict
    )  # of each backup set; one that is not here is not reachable

    def backups_expire(self, as_of: date) -> None:
        """Every set is empty by then, and that is seen."""
        self.copies |= {"nightly": Copies(()), "files": Copies(())}
        backups.look(self.desk, as_of=as_of, actor="system/dag")

    def prove(self, case_no: str, step_id: str, as_of: date = TODAY) -> list[Evidence]:
        """What an independent prover sees: how many rows of each dataset that was to go are still there."""
        plan = self.main_plan(case_no)
        found = []
        for store in (self.main, self.files):
            checks = []
            for name, rows in store.rows.items():
                keep = sum(x.items for x in plan.lines_of(name) if not x.disposition.changes_data)
                left = sum(1 for r in rows.values() if r.owner == LI)
                gone = left == keep
                checks.append(
                    Check(name=f"gone.{name}", dataset=name, rung=Rung.R2, expected=keep, observed=left,
                          verdict=Verdict.PASSED if gone else Verdict.FAILED, why="" if gone else "rows are left")
                )  # fmt: skip
            found.append(
                Evidence(kind="gone", step=step_id, case_no=case_no, store=store.id, as_of=as_of,
                         observed_at=observed_now(), plan=plan.fingerprint(), checks=tuple(checks))
            )  # fmt: skip
        return found

    def main_plan(self, case_no: str) -> Plan:
        from include.cases import book, papers

        with self.desk.book() as conn:
            return papers.latest_plan(conn, book.case(conn, case_no))


def rows() -> tuple[dict[str, dict[int, Row]], dict[str, dict[int, Row]]]:
    main = {
        "account.account": {1: Row(LI), 2: Row(WANG)},
        "account.session": {1: Row(LI), 2: Row(LI), 3: Row(WANG)},
        "ra.application": {1: Row(LI, date(2020, 1, 1)), 2: Row(LI, date(2024, 6, 30)), 3: Row(WANG, None)},
        "ca.certificate": {1: Row(LI, date(2020, 1, 1)), 2: Row(WANG, None)},
        "web.log": {1: Row(LI, date(2026, 11, 1)), 2: Row(LI, date(2026, 1, 1)), 3: Row(WANG, TODAY)},
    }
    return main, {"scan.image": {1: Row(LI), 2: Row(WANG)}}


def world(writer: str, keys, make_catalogue: Callable[..., Catalogue] = catalogue, **desk) -> World:
    cat = make_catalogue()
    main_rows, file_rows = rows()
    main, files = MemoryStore("main", main_rows, cat), MemoryStore("files", file_rows, cat)
    logged: dict[str, Evidence] = {}

    def append(evidence: Evidence, key: str) -> Sequence[str]:
        assert logged.setdefault(key, evidence) == evidence
        return [key]

    said: dict[str, tuple[str, str | None, dict[str, Any]]] = {}

    def record(kind: str, case_no: str | None, body: dict[str, Any], key: str) -> None:
        screened(body)
        if said.setdefault(key, (kind, case_no, body)) != (kind, case_no, body):
            raise KeyTaken("it said something else", about=kind)

    people = People({LI: Standing.LIVE, WANG: Standing.LIVE, GONE: Standing.CANCELLED})
    copies: dict[str, Copies] = {}
    made = {
        "backup_tool": lambda backup: Tool(backup.id, copies),
        "catalogue": cat, "connections": Places(writer), "keys": keys, "stores": lambda: (main, files),
        "accounts": people, "append": append, "code": "test", "judge": credulous,
        "record": record,
    } | desk  # fmt: skip
    return World(Desk(**made), main, files, logged, said, copies)


@dataclass
class Tool:
    """What reads a backup set."""

    backup_set: str
    copies: Mapping[str, Copies]

    def look(self) -> Copies:
        if self.backup_set not in self.copies:
            raise NotReachable("the repository cannot be asked", about=self.backup_set, next_step="try again")
        return self.copies[self.backup_set]


class Transfers(NoRegister):
    """A register in which one recipient stands."""

    def given(self, subjects) -> Mapping[str, Given]:
        return {"sms": Given("sms", 3, ("txn-1", "txn-2"), ("手机号",))}


def credulous(recipient, categories, answer: Answer, **more) -> tuple[Judgement, ...]:
    """A judge that believes whatever would end a track."""
    return tuple(Judgement(part=p, accepted=p.code not in OPEN, why="" if p.code not in OPEN else "not yet")
                 for p in answer.parts)  # fmt: skip


__all__ = ["CopyKind"]
