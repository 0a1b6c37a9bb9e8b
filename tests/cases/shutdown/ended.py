"""A shop after T0 with its book, ledger and signer, of which visits go to a successor and all else stays with a custodian."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from include.cases import assembling
from include.cases.certifying import certify
from include.cases.notices import errands
from include.cases.rooms import Desk
from include.cases.shutdown import closing, located, needles, orders, permitting, told_recipients
from include.cases.shutdown import media as of_media
from include.cases.shutdown.consigning import consign
from include.handover import clearing, notices, notifying, packing, receipts, register, service_certificate
from include.handover.amending import amend
from include.handover.packing import Room
from include.handover.service_certificate import Service
from include.handover.shards import Bounds
from include.ledger import attest
from include.model.backups import BackupCopy, Copies
from include.model.catalogue import Catalogue
from include.model.estate import Accounts, Bound, Column, Cut
from include.model.handover import BagReceipt, Differences, NoticeReceipt
from include.model.media import Becomes
from include.model.notices import AnswerCode, Part
from include.model.policy import Category
from include.model.times import observed_now
from include.model.words import LegalRank
from tests.cases.retention.house import House
from tests.cases.shutdown.conftest import _by
from tests.cases.shutdown.test_books import SHOWN, Stopped, sent
from tests.cases.shutdown.test_closing import PAPER, T0, ready
from tests.cases.shutdown.test_consigning import fingerprint
from tests.cases.shutdown.test_orders import NEXT
from tests.cases.shutdown.test_told_recipients import THREE
from tests.cases.small import rule
from tests.handover.both import Attesting
from tests.stores.postgres.making import catalogue, dataset, own, via

LAW = LegalRank.LAW
KEPT = (Bound(rule="RS-22"),)
SHOP: Catalogue = catalogue(
    dataset("a.account", "id", own("id"), binds=KEPT, accounts=Accounts(ended="ended"), cut=Cut(set={"name": None}),
            columns={"name": Column(category="PI-001"), "ended": Column()}),
    dataset("u.visit", "id", own("account_id"), binds=(_by("RS-03", "at"),),
            columns={"path": Column(category="PI-002"), "at": Column()}),
    dataset("u.click", "id", own("account_id"), binds=KEPT, columns={"at": Column()}),
    dataset("s.ticket", "id", own("account_id"), binds=KEPT,
            columns={"body": Column(categories=("PI-001",)), "closed": Column()}),
    dataset("s.note", "id", via("s.ticket", ticket_id="id"), binds=KEPT, columns={"written": Column()}),
).model_copy(
    update={
        "rules": (
            rule("RS-01", "P30D", "ceiling", LAW, "PIPL 47"), rule("RS-03", "P5Y", "both", LAW, "ESL 24"),
            rule("RS-22", "P3Y", "both", LAW, "PIPL 56"), rule("RS-24", "P3Y", "floor", LAW, "PIPL 54"),
        ),
        "categories": tuple(
            Category(id=i, service=s, zh=i, en=i, sensitive=False, rules=(r,), rung=2)
            for i, s, r in [("PI-001", "reg", "RS-22"), ("PI-002", "cert", "RS-03")]
        ),
        "recipients": THREE,
    }
)  # fmt: skip


@dataclass
class Repository:
    """A backup set as its tool reads it."""

    copies: tuple[BackupCopy, ...] = ()

    def look(self) -> Copies:
        return Copies(self.copies)


@dataclass
class Ledgered(House):
    """A house that says in a real ledger what it says, and has a signer, a public key and, if it is declared, a backup set."""

    socket: str = ""
    pem: str = ""
    repository: Repository = field(default_factory=Repository)

    def text(self, name: str) -> str:
        return {"ledger_signer": self.socket, "ledger_public_key": self.pem}.get(name) or super().text(name)

    def _certify(self, desk: Desk, case_no: str, **on: Any) -> None:
        certify(desk, case_no, **on)  # here there is a ledger to sign it
        self.certified.append(case_no)

    @property
    def desk(self) -> Desk:
        return replace(
            super().desk,
            append=lambda evidence, key: assembling.append_evidence(self, evidence, key),
            record=lambda kind, case_no, body, key: assembling.record_entry(self, kind, case_no, body, key),
            backup_tool=lambda _: self.repository,
        )


@dataclass
class Ended(Stopped):
    """On its way to its end."""

    @property
    def desk(self) -> Desk:
        return self.house.desk

    @property
    def pem(self) -> bytes:
        assert isinstance(self.house, Ledgered)
        return Path(self.house.pem).read_bytes()

    def sign_for(self, bag: register.Bag) -> None:
        of = bag.statement
        said = BagReceipt(
            order=of.order, bag=of.bag, statement=attest.digest(bag.payload), items=of.items, root=of.root,
            differences=Differences(), custodian=of.successor, stored_at=observed_now(),
        )  # fmt: skip
        with self.desk.book() as conn:
            conn.autocommit = True
            receipts.verify(
                conn, self.consignment, bag.name, self.theirs(said.canonical()), actor="ops/wu", record=self.desk.record
            )  # fmt: skip

    def hand_over(self) -> None:
        room = Room(
            self.house.company.catalogue, self.house, self.desk.book, Attesting(self.home / "ours", "ours"), self.home / "out",
            bounds=Bounds(bytes=400, rows=20),
        )  # fmt: skip
        assert not packing.pack(room, self.consignment).left
        sent(self.desk, self.number)
        for bag in self.bags():
            self.sign_for(bag)

    def hand_over_two(self) -> None:
        """Two bags of visits are signed for, and our copy of them goes; the others are sent."""
        room = Room(
            self.house.company.catalogue, self.house, self.house.desk.book, Attesting(self.home / "ours", "ours"),
            self.home / "out", bounds=Bounds(bytes=400, rows=20), record=self.desk.record,
        )  # fmt: skip
        assert not packing.pack(room, self.consignment).left
        sent(self.desk, self.number)
        for bag in [b for b in self.bags() if b.statement.dataset == "u.visit"][:2]:
            self.sign_for(bag)
        self.delete_source()

    def follow_notices(self, as_of: date) -> None:
        """What became another since it was packed is told, and the successor signs that it has the same."""
        made = amend(
            self.desk, self.consignment, Attesting(self.home / "ours", "ours"), as_of=as_of, actor="ops/wu"
        )
        assert made.made and not made.left, made
        with self.desk.book() as conn:
            conn.autocommit = True
            for n in notices.of_order(conn, self.number):
                notices.sent(conn, n)
                said = NoticeReceipt(
                    order=self.number, bag=n.said.bag, notice=n.said.notice, digest=attest.digest(n.payload),
                    deleted=len(n.said.removed), items=n.said.items, root=n.said.root, differences=Differences(),
                    custodian=self.consignment.successor.name, done_at=observed_now(),
                )  # fmt: skip
                notifying.verify(
                    conn, self.consignment, n.name, self.theirs(said.canonical()), actor="ops/wu", record=self.desk.record
                )  # fmt: skip

    def delete_source(self) -> None:
        clearing.run(self.desk, self.number, as_of=T0, actor="ops/wu")

    def tell_everybody(self, *, media: bool = True) -> None:
        """``media``: both approvers also say what becomes of them."""
        told_recipients.tell(self.desk, self.number, as_of=T0, actor="ops/wu")
        with self.desk.book() as conn:
            rows = conn.execute("SELECT request_id FROM casebook.outbox").fetchall()
        for row in rows:
            errands.carried(self.desk, row["request_id"], proof=b"signed", as_of=T0, actor="ops/wu")
            errands.answered(
                self.desk, row["request_id"], [Part(code=AnswerCode.NOTHING_HELD)], b"letter", as_of=T0, actor="ops/wu"
            )  # fmt: skip
        if media:
            self.answer_for_media()

    def answer_for_media(self, becomes: Becomes = Becomes.STAYS, *names: str, **more: Any) -> None:
        """Both approvers say what becomes of what has no record; without names: of all of it."""
        with self.desk.book() as conn:
            of = orders.order(conn, self.number)
            there = of_media.standing(self.desk.catalogue, conn, of, T0)
        for who in of.approvers:
            of_media.say(
                self.desk, self.number, names or [s.carrier.name for s in there if s.open], becomes, paper=PAPER, as_of=T0,
                actor=who, **more,
            )  # fmt: skip

    def everything(self) -> None:
        self.hand_over()
        self.delete_source()
        self.tell_everybody()

    def certificate(self, as_of: date = T0, **more: Any) -> Service:
        return service_certificate.certificate(self.desk, self.number, as_of=as_of, actor="ops/wu", **more)


def stop(house: Ledgered, home: Path) -> Ended:
    """T0 has come; everything was located, and everybody's identifiers were gathered."""
    number = ready(house, successor=replace(NEXT, certificate=fingerprint(SHOWN)))
    closing.close(house.desk, number, paper=PAPER, as_of=T0, actor="ops/wu")
    assert located.locate(house.desk, number, as_of=T0, actor="ops/wu") == {}
    needles.gather(house.desk, number, as_of=T0, actor="ops/wu")
    made = consign(
        house.desk, number, sender="Old CA", certificate=SHOWN, receipt_key=Attesting(home / "theirs", "theirs").pem,
        document="BR-8", as_of=T0, actor="ops/wu",
    )  # fmt: skip
    permitting.permit(house.desk, number, paper=PAPER, as_of=T0, actor="ops/wu")
    return Ended(house, number, made, home)
