"""The stages from an order's consignment to where nothing more may go, as commands, tasks and the sandbox take them.

All that they share lies in one directory, the same on every worker: ``<home>/<order>/`` has the successor's certificate
(``successor.pem``) and its key for receipts (``receipt.pem``), put there by people, then the consignment, then the sealed bags.
Each stage may be killed and called again.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from pydantic import ValidationError

from include.cases.book import Conn
from include.cases.certifying import SIGNER
from include.cases.retention.held import held_people
from include.cases.rooms import Desk
from include.cases.shutdown import disposing, orders, people
from include.cases.shutdown.consigning import consign, consigned
from include.cases.shutdown.objecting import objectors
from include.handover import (
    addressed,
    amending,
    buried,
    clearing,
    inboxes,
    notices,
    notifying,
    packing,
    passing_on,
    receipts,
    register,
    rereading,
    sending,
    ways,
)
from include.handover.clearing import Going, NoneMay
from include.handover.room import Attest, Outcome, Room
from include.handover.sending import Way
from include.handover.shards import At, Bounds
from include.ledger.signer import SignerClient
from include.model.errors import NotReachable, QuietusError, Refused
from include.model.handover import BagState, Consignment
from include.stores.shared import nowhere

HOME, SENDER = (
    "handover_bags",
    "handover_sender",
)  # plain connections: the directory, and who we are to the successor
CERTIFICATE, RECEIPT_KEY, CONSIGNMENT = "successor.pem", "receipt.pem", "consignment.json"


@dataclass
class Heard:
    """What the successor answered, by name of the bag or notice: believed, waited for, and what is wrong with others."""

    believed: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    wrong: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Handover:
    """An order on its way. ``home``: the directory of every order; ``bucket``: the successor's; ``sender``: who we are to it."""

    desk: Desk
    number: str
    home: Path
    bucket: str
    sender: str
    at: At = nowhere
    bounds: Bounds = field(default_factory=Bounds)

    @classmethod
    def of(cls, desk: Desk, number: str) -> Handover:
        """By the connections that are declared, the order's own inbox before the one of all; an order that hands nothing over
        needs none. Raises Refused if one is missing."""
        text = desk.connections.text
        if not (nothing := cls(desk, number, Path(), "", "")).to_go():
            return nothing
        return cls(desk, number, Path(text(HOME)), inboxes.bucket(desk.connections, number), text(SENDER))

    @property
    def papers(self) -> Path:
        return self.home / self.number

    # --- what goes -----------------------------------------------------------------------------

    def to_go(self) -> bool:
        """Whether the order hands anything over at all."""
        with self.desk.book() as conn:
            of = orders.order(conn, self.number)
        return any(True for _ in consigned(self.desk.catalogue, of))

    def consign(self, digest: str, *, document: str, as_of: date, actor: str) -> Consignment:
        """The consignment, made of the files that people put into the directory, and kept there; the one that is there, if it
        stands. ``digest``: the SHA-256 of the key for receipts, as the successor told it; the certificate's is in the order.
        ``document``: number of the paper that says that they were compared. Raises Refused if either is another, or while
        somebody does not know who takes over."""
        try:
            certificate = (self.papers / CERTIFICATE).read_text("ascii")
            key = (self.papers / RECEIPT_KEY).read_bytes()
        except (OSError, ValueError):
            raise Refused(
                f"{CERTIFICATE} and {RECEIPT_KEY} of the successor cannot be read", about=str(self.papers),
                next_step="put both there, as PEM; the directory is the same on all workers",
            ) from None  # fmt: skip
        if hashlib.sha256(key).hexdigest() != digest:
            raise Refused(
                f"{RECEIPT_KEY} is not the key that the successor told", about=self.number,
                next_step="compare it again, by phone; then give its SHA-256, or put the right file there",
            )  # fmt: skip
        there = self._standing()
        if there is not None and there.successor.receipt_key.encode() == key:
            return there
        with self.desk.book() as conn:
            people.all_know(self.desk, conn, orders.order(conn, self.number))
        made = consign(
            self.desk, self.number, sender=self.sender, certificate=certificate, receipt_key=key.decode("ascii", "replace"),
            document=document, as_of=as_of, actor=actor,
        )  # fmt: skip
        fresh = self.papers / f"{CONSIGNMENT}.new"
        fresh.write_text(made.model_dump_json(indent=1) + "\n", "utf-8")
        fresh.replace(self.papers / CONSIGNMENT)
        return made

    def consignment(self) -> Consignment | None:
        """The one that was kept; None: there is none yet. Raises Refused if it is none."""
        path = self.papers / CONSIGNMENT
        try:
            return Consignment.model_validate_json(path.read_text("utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValidationError):
            raise Refused(
                "the consignment cannot be read", about=str(path),
                next_step="put it back as `quietus shutdown consign` wrote it",
            ) from None  # fmt: skip

    def stands(self) -> bool:
        """Whether one was made that stands: for the successor that takes over now."""
        return self._standing() is not None

    def _standing(self) -> Consignment | None:
        if (there := self.consignment()) is None:
            return None
        with self.desk.book() as conn:
            return there if addressed.stands(conn, there) else None

    def _known(self) -> Consignment:
        found = self.consignment()
        if found is None:
            raise Refused(
                "there is no consignment", about=str(self.papers / CONSIGNMENT),
                next_step="consign first; the directory must be the same on all workers",
            )  # fmt: skip
        return found

    # --- to the successor ----------------------------------------------------------------------

    def pack(self) -> Outcome:
        """Pack, seal and sign what is not yet."""
        return packing.pack(room(self.desk, self.number, self.home, self.bounds, self.at), self._known())

    def send(self) -> list[str]:
        """Send what is packed and not sent; the bags that were."""
        return sending.send(self._way, self._known())

    @property
    def _way(self) -> Way:
        return ways.way(self.desk, self._known(), self.home, self.bucket, at=self.at)

    @property
    def _attest(self) -> Attest:
        return SignerClient(self.desk.connections.text(SIGNER)).attest

    # --- and back ------------------------------------------------------------------------------

    def waiting(self) -> list[str]:
        """Bags of which no receipt lies in the successor's bucket yet, or which were not sent."""
        with self.desk.book() as conn:
            bags = [b for b in register.bags(conn, self.number) if b.state is not BagState.RECEIVED]
        if not bags:
            return []
        way = self._way
        return [
            b.name
            for b in bags
            if b.state is BagState.PACKED
            or sending.receipt_of(way.client, way.bucket, self.number, b.name) is None
        ]

    def verify(self, *, actor: str) -> dict[str, str]:
        """Verify the receipt of every bag that was sent, and any newer one of those that were received; those of which the newest
        is not without a difference, and why."""
        said, way = self._known(), self._way
        with self.desk.book() as conn:
            names = rereading.bags(conn, self.number)
            there = {b.name for b in register.bags(conn, self.number) if b.state is BagState.RECEIVED}
        heard = self._believe(
            names,
            lambda name: rereading.receipt_of(self.desk, way, self.number, name),
            lambda conn, name, file: receipts.verify(
                conn, said, name, file, actor=actor, record=self.desk.record
            ),
            "handover.verified",
        )
        return heard.wrong | dict.fromkeys((n for n in heard.waiting if n not in there), "no receipt yet")

    def _believe(
        self, names: Sequence[str], read: Callable[[str], bytes | None],
        verify: Callable[[Conn, str, bytes], object], point: str,
    ) -> Heard:  # fmt: skip
        """What lies beside each of these names, verified one by one. Raises NotReachable."""
        heard = Heard()
        for name in names:
            if (file := read(name)) is None:
                heard.waiting.append(name)
                continue
            try:
                with self.desk.book() as conn:
                    verify(conn, name, file)
            except NotReachable:
                raise
            except QuietusError as error:
                heard.wrong[name] = str(error)
            else:
                heard.believed.append(name)
            self.at(point)
        return heard

    # --- what became of it since ---------------------------------------------------------------

    def tell(self, *, as_of: date, actor: str) -> tuple[amending.Outcome, list[str]]:
        """Make notices about what became of items since their bag was packed, and send those that were not sent; their names."""
        told = amending.amend(self.desk, self._known(), self._attest, as_of=as_of, actor=actor, at=self.at)
        return told, notifying.send(self._way, self._known())

    def hear(self, *, actor: str) -> Heard:
        """Verify the answers to notices that were sent, and any newer one to the last of a bag. Raises NotReachable."""
        said, way = self._known(), self._way
        with self.desk.book() as conn:
            names = rereading.answers(conn, self.number)
            followed = {n.name for n in notices.of_order(conn, self.number) if n.followed}
        found = self._believe(
            names,
            lambda name: rereading.answer_of(self.desk, way, self.number, name),
            lambda conn, name, file: notifying.verify(
                conn, said, name, file, actor=actor, record=self.desk.record
            ),
            "handover.heard",
        )
        found.waiting = [n for n in found.waiting if n not in followed]
        return found

    def pass_on(self, *, as_of: date, actor: str) -> tuple[passing_on.Outcome, list[str]]:
        """Make requests about what people ask for and the successor alone has, and send those that were not sent; their names."""
        asked = passing_on.ask(self.desk, self._known(), self._attest, as_of=as_of, actor=actor, at=self.at)
        return asked, passing_on.send(self._way, self._known())

    def hear_requests(self, *, actor: str) -> Heard:
        """Verify the answers to requests that were sent. Raises NotReachable."""
        said, way = self._known(), self._way
        with self.desk.book() as conn:
            names = passing_on.waiting(conn, self.number)
        return self._believe(
            names,
            lambda name: passing_on.answer_of(way, self.number, name),
            lambda conn, name, file: passing_on.verify(
                conn, said, name, file, actor=actor, record=self.desk.record
            ),
            "handover.heard",
        )

    def bury(self) -> tuple[Outcome, list[str]]:
        """Pack the tombstones that were made since theirs were packed, and send what is not sent; the bags that were."""
        made = packing.later(room(self.desk, self.number, self.home, self.bounds, self.at), self._known())
        return made, self.send()

    def hear_tombstones(self, *, actor: str) -> Heard:
        """Verify the receipts of their bags that were sent and are not received. Raises NotReachable."""
        said, way = self._known(), self._way
        with self.desk.book() as conn:
            names = [
                b.name for part in buried.BAGS for b in register.bags(conn, self.number, part) if b.state is BagState.SENT
            ]  # fmt: skip
        return self._believe(
            names,
            lambda name: rereading.receipt_of(self.desk, way, self.number, name),
            lambda conn, name, file: receipts.verify(
                conn, said, name, file, actor=actor, record=self.desk.record
            ),
            "handover.heard",
        )

    def doubts(self, *, actor: str) -> dict[str, str]:
        """Bags of which the successor said something newer that cannot be believed, and why. Raises NotReachable."""
        with self.desk.book() as conn:
            if not register.bags(conn, self.number):
                return {}
        return rereading.doubts(self.desk, self._known(), self._way, actor=actor)

    # --- our copy ------------------------------------------------------------------------------

    def delete_source(self, *, as_of: date, actor: str) -> list[Going]:
        """Case after case, until no bag may go any more: what others hang on goes last. Before each all that the successor signed
        is read again. Those of this call; none: none may."""
        done: list[Going] = []
        while True:
            doubts = self.doubts(actor=actor)
            try:
                done.append(
                    clearing.run(self.desk, self.number, as_of=as_of, actor=actor, at=self.at, doubts=doubts)
                )
            except NoneMay:
                return done

    def dispose(self, *, as_of: date, actor: str) -> dict[str, int]:
        """What goes to nobody goes, and then what of the bags waited for that, by turns, until nothing more may: dataset -> items
        that went to nobody. Raises Refused before both approvers of the order let it go."""
        gone, stands = Counter[str](), None
        while True:
            before = stands
            try:
                done = disposing.run(self.desk, self.number, as_of=as_of, actor=actor, at=self.at)
                gone.update(done.gone)
                stands = done.stands
            except disposing.NoneMay:
                pass
            bags = self.delete_source(as_of=as_of, actor=actor) if self.to_go() else []
            if (
                not bags and stands == before
            ):  # what went is no measure: a row that stays as a bare key is cut each time
                return dict(gone)


def room(desk: Desk, number: str, home: Path, bounds: Bounds, at: At = nowhere) -> Room:
    """What packing works with, of a desk."""
    return Room(
        catalogue=desk.catalogue, connections=desk.connections, book=desk.book,
        attest=SignerClient(desk.connections.text(SIGNER)).attest, home=home, held=held_people(desk), bounds=bounds,
        record=desk.record, keys=desk.keys, at=at, objectors=objectors(desk, number),
    )  # fmt: skip
