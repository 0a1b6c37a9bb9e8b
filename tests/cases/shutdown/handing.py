"""The shop after T0 with a successor beside it: another database of the same schema, an inbox, and keys of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import psycopg
from cryptography import x509

from include.cases.keys import FileKeyStore
from include.cases.retention.held import HeldPeople, held_people
from include.cases.shutdown.objecting import objectors
from include.handover import notices, notifying, packing, passing_on, receipts, register, requests
from include.handover.amending import Outcome, amend
from include.handover.custody import Custody, prepare
from include.handover.fetching import Inbox
from include.handover.following import Followed, follow
from include.handover.heeding import heed
from include.handover.receiving import receive
from include.handover.room import Room
from include.handover.sending import Way, receipt_key, send
from include.handover.shards import Bounds
from include.ledger import attest
from include.model.words import Role
from include.stores.shared import nowhere
from tests.cases.retention import house as houses
from tests.cases.shutdown.test_books import KEY, SHOWN, Stopped
from tests.cases.shutdown.test_closing import T0
from tests.conftest import PgServer, S3Server
from tests.handover.both import Attesting, Side
from tests.handover.conftest import _empty

INBOX = "people"
SCHEMA = houses.SCHEMA[: houses.SCHEMA.index("GRANT USAGE")]


@dataclass
class Handing:
    """Both sides of the shop's handover."""

    stopped: Stopped
    server: PgServer
    objects: S3Server
    database: str
    at: Callable[[str], None] = field(default=nowhere)
    their_holds: Callable[[], HeldPeople] = HeldPeople

    def __post_init__(self) -> None:
        _empty(self.objects, INBOX)

    @property
    def number(self) -> str:
        return self.stopped.number

    @property
    def ours(self) -> Attesting:
        return Attesting(self.stopped.home / "ours", "ours")

    @property
    def client(self) -> Any:
        return self.objects.client()

    @property
    def way(self) -> Way:
        return Way(self.client, INBOX, self.stopped.home / "out", self.stopped.house.desk.book, at=self.at)

    @property
    def inbox(self) -> Inbox:
        return Inbox(
            self.client, INBOX, attest.public_key(self.ours.pem), x509.load_pem_x509_certificate(SHOWN.encode()), KEY,
            self.stopped.home / "in", self.at,
        )  # fmt: skip

    @property
    def custody(self) -> Custody:
        side = Side(self.server, self.database, self.objects)
        keys = FileKeyStore(self.stopped.home / "their_keys", b"s" * 32)
        return Custody(
            self.stopped.house.company.catalogue, side, self.at, keys=keys, held=self.their_holds  # type: ignore[arg-type]
        )  # fmt: skip

    def pack(self) -> None:
        house = self.stopped.house
        room = Room(
            house.company.catalogue, house, house.desk.book, self.ours, self.stopped.home / "out",
            bounds=Bounds(bytes=200, rows=10), objectors=objectors(house.desk, self.number), keys=house.keys,
            held=held_people(house.desk), at=self.at,
        )  # fmt: skip
        assert not packing.pack(room, self.stopped.consignment).left

    def hand_over(self) -> None:
        """Sent, stored, signed for and believed."""
        send(self.way, self.stopped.consignment)
        got = receive(self.inbox, self.custody, self.stopped.theirs, self.number)
        assert not got.refused, got.refused
        for r in got.receipts:
            file = self.client.get_object(Bucket=INBOX, Key=receipt_key(self.number, r.bag))["Body"].read()
            with self.stopped.house.desk.book() as conn:
                conn.autocommit = True
                receipts.verify(conn, self.stopped.consignment, r.bag, bytes(file), actor="ops/wu")

    def amend(self, as_of: date = T0) -> Outcome:
        return amend(
            self.stopped.house.desk,
            self.stopped.consignment,
            self.ours,
            as_of=as_of,
            actor="ops/wu",
            at=self.at,
        )

    def send_notices(self) -> list[str]:
        return notifying.send(self.way, self.stopped.consignment)

    def follow(self, as_of: date = T0) -> Followed:
        return follow(self.inbox, self.custody, self.stopped.theirs, self.number, as_of=as_of)

    def verify_notices(self) -> None:
        for n in self.notices():
            if n.sent and not n.followed:
                self.verify_notice(n.name)

    def verify_notice(self, name: str, file: bytes | None = None) -> None:
        file = file or notifying.answer_of(self.way, self.number, name)
        assert file is not None, f"{name} has no answer"
        with self.stopped.house.desk.book() as conn:
            conn.autocommit = True
            notifying.verify(conn, self.stopped.consignment, name, file, actor="ops/wu")

    def tell(self, as_of: date = T0) -> Outcome:
        """From reading again to believing the answers."""
        made = self.amend(as_of)
        self.send_notices()
        followed = self.follow(as_of)
        assert not followed.refused, followed.refused
        self.verify_notices()
        return made

    def ask(self, as_of: date = T0) -> passing_on.Outcome:
        """Requests about what went are made, sent, followed, and their answers believed."""
        made = passing_on.ask(
            self.stopped.house.desk,
            self.stopped.consignment,
            self.ours,
            as_of=as_of,
            actor="ops/wu",
            at=self.at,
        )
        passing_on.send(self.way, self.stopped.consignment)
        done = heed(self.inbox, self.custody, self.stopped.theirs, self.number, as_of=as_of)
        assert not done.refused, done.refused
        for name in self.waiting():
            self.verify_request(name)
        return made

    def waiting(self) -> list[str]:
        with self.stopped.house.desk.book() as conn:
            return list(passing_on.waiting(conn, self.number))

    def verify_request(self, name: str, file: bytes | None = None) -> None:
        file = file or passing_on.answer_of(self.way, self.number, name)
        assert file is not None, f"{name} has no answer"
        with self.stopped.house.desk.book() as conn:
            conn.autocommit = True
            passing_on.verify(conn, self.stopped.consignment, name, file, actor="ops/wu")

    def requests(self) -> list[requests.Request]:
        with self.stopped.house.desk.book() as conn:
            return requests.of_order(conn, self.number)

    def notices(self) -> list[notices.Notice]:
        with self.stopped.house.desk.book() as conn:
            return notices.of_order(conn, self.number)

    def bags(self, dataset: str = "u.visit") -> list[register.Bag]:
        with self.stopped.house.desk.book() as conn:
            return register.bags(conn, self.number, dataset)

    def theirs(self, text: str) -> list[tuple[Any, ...]]:
        """In the successor's database."""
        with psycopg.connect(self.server.conninfo(self.database), autocommit=True) as conn:
            cursor = conn.execute(text.encode())
            return cursor.fetchall() if cursor.description else []


def successor(server: PgServer, catalogue: Any) -> str:
    """A database of the same schema, prepared to receive."""
    server.add_role("custodian", "BYPASSRLS")

    def build(conninfo: str) -> None:
        with psycopg.connect(conninfo) as conn:
            conn.execute(SCHEMA.encode())
        prepare(conninfo, catalogue, "company")

    return server.fresh_database("shutdown_successor", build)


__all__ = ["Handing", "Role", "successor"]
