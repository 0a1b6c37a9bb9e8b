"""Both companies of a handover, each with a database and an S3 server: what may be killed of it, and what is where at any moment.

Rows of two tables go to the successor, and photos with every version; what goes to nobody is rows, and an object.
"""

from __future__ import annotations

import hashlib
import os
import signal
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from cryptography import x509

from include.cases import verbs, wiring
from include.cases.accounts import CatalogueAccounts
from include.cases.keys import FileKeyStore
from include.cases.rooms import Desk
from include.cases.shutdown import accepting, begun, breaker, closing, located, needles, objecting, permitting
from include.handover import asking, register, whose
from include.handover.custody import Custody, prepare
from include.handover.fetching import Inbox
from include.handover.following import follow
from include.handover.heeding import heed
from include.handover.receiving import receive
from include.handover.shards import Bounds
from include.handover.stages import CERTIFICATE, RECEIPT_KEY, Handover
from include.ledger import attest
from include.model.catalogue import Catalogue
from include.model.errors import NotProved, Refused
from include.model.handover import BagState
from include.model.words import Channel, Role
from include.stores.shared import nowhere
from tests.cases.conftest import build
from tests.cases.resting import begun_unasked
from tests.cases.retention import house as houses
from tests.cases.shutdown.conftest import SHOP as CONSIGNING
from tests.cases.shutdown.conftest import _by
from tests.cases.shutdown.test_books import KEY, SHOWN
from tests.cases.shutdown.test_closing import PAPER, T0, ready
from tests.cases.shutdown.test_consigning import fingerprint
from tests.cases.shutdown.test_orders import NEXT, TOLD
from tests.conftest import PgServer, S3Server
from tests.handover.both import Attesting, Side
from tests.handover.test_objects_go import NOBODYS, Photos, with_photos
from tests.handover.test_whole_way import _emptied
from tests.stores.postgres.making import BUSINESS, Company

# Notes go too: one table's rows lead to their owners through another's, which stays.
SHOP: Catalogue = CONSIGNING.model_copy(
    update={
        "datasets": tuple(
            d.model_copy(update={"binds": (_by("RS-03", "written"),)}) if d.id == "s.note" else d
            for d in CONSIGNING.datasets
        )
    }
)
GOES = {"u.visit": 60, "s.note": 8}
STAYS = ("a.account", "u.click", "s.ticket")
PHOTOS = "o.photo"
VISITS = 6
"""Of so many there is a photo."""
SENT, LAID = VISITS + 4, VISITS + 6
"""Versions and markers that go to the successor; with those what goes to nobody: an unfinished upload, and nobody's photo."""
MARKER = "marker"
ASKED = "s3.asked"
"""The point after each request of ours that deletes in a bucket: between uploads, versions and markers."""
WHO = "acct_000000000002"
"""Who leaves, and whose visits are held."""
OBJECTOR = "acct_000000000003"
"""Who objects: she has visits, a note, and a photo that a marker hides."""
HERS = """
SELECT DISTINCT dataset, coalesce(restricted, '')
  FROM (SELECT i.*, CASE dataset WHEN 'u.visit' THEN key[1]::int % 9 + 1 = 3 WHEN 's.note' THEN key[1] = '3'
                    ELSE path[1] = 'acct_000000000003' END AS hers
          FROM quietus_handover.item AS i WHERE notice IS NULL AND dataset IN ('u.visit', 's.note', 'o.photo')) AS i
 WHERE hers"""
Version = tuple[str, str]  # its id, and the digest of what it holds


@cache
def client(of: S3Server, process: int) -> Any:
    """One for each process: one that is killed leaves an answer half read."""
    return of.client()


@dataclass
class Ours(Photos):
    """The shop, which knows the way to the inbox."""

    objects: S3Server = field(kw_only=True)
    inbox: S3Server = field(kw_only=True)
    at: Callable[[str], None] = nowhere
    clients: dict[int, Any] = field(default_factory=dict)

    def s3(self, connection: str, role: Role) -> Any:
        if connection == "photos":
            return self.clients.get(os.getpid()) or self.clients.setdefault(os.getpid(), self._watched())
        assert role is Role.COURIER
        if connection != "successor_inbox":
            raise Refused("the connection is not declared", about=connection)
        return client(self.inbox, os.getpid())

    def _watched(self) -> Any:
        made = self.objects.client()
        for deed in ("AbortMultipartUpload", "DeleteObjects"):
            made.meta.events.register(f"after-call.s3.{deed}", lambda **_: self.at(ASKED))
        return made

    def text(self, name: str) -> str:
        return name

    @property
    def desk(self) -> Desk:
        """With its bucket's store, too, which a person's case asks."""
        return replace(super().desk, stores=lambda: wiring.stores(self.company.catalogue, self))


@dataclass
class Theirs(Side):
    def s3(self, connection: str, role: Role) -> Any:
        return client(self.objects, os.getpid())


@dataclass
class Two:
    """Both companies, after T0 and before anything is packed."""

    ours: Ours
    theirs: Theirs
    number: str
    home: Path
    before: dict[str, dict[str, str]]
    laid: dict[str, list[Version]]
    held: dict[str, list[bytes]]
    left: bool = False
    held_by: str = ""
    objected: str = ""

    def way(self, at: Callable[[str], None] = nowhere) -> Handover:
        bounds = Bounds(bytes=900, rows=20, keys=3)
        return Handover(self.ours.desk, self.number, self.home / "bags", self.bucket, "Old CA", at, bounds)

    @property
    def bucket(self) -> str:
        return "any-" + hashlib.sha256(str(self.home).encode()).hexdigest()[:20]

    def custody(self, at: Callable[[str], None] = nowhere) -> Custody:
        keys = FileKeyStore(self.home / "their_keys", b"s" * 32)
        return Custody(self.ours.company.catalogue, self.theirs, at, keys=keys)  # type: ignore[arg-type]

    def do(self, verb: str, at: Callable[[str], None] = nowhere) -> None:
        way = self.way(at)
        match verb:
            case "pack":
                assert not way.pack().left
            case "send":
                try:
                    way.send()
                except (
                    Refused
                ) as refused:  # packing was killed before the signer came: it has to be run again first
                    assert "it is not signed" in str(refused)
            case "receive":
                assert not receive(
                    self.inbox(at), self.custody(at), Attesting(self.home, "theirs"), self.number
                ).refused
            case "verify":
                assert all(why == "no receipt yet" for why in way.verify(actor="ops/wu").values())
            case "delete":
                with self.but_for_a_hold():
                    way.delete_source(as_of=T0, actor="ops/wu")
            case "dispose":
                with self.but_for_a_hold():
                    way.dispose(as_of=T0, actor="ops/wu")
            case "tell":
                way.tell(as_of=T0, actor="ops/wu")
                followed = follow(
                    self.inbox(at), self.custody(at), Attesting(self.home, "theirs"), self.number, as_of=T0
                )
                assert not followed.refused, followed.refused
                assert not way.hear(actor="ops/wu").wrong
            case "ask":
                assert not way.pass_on(as_of=T0, actor="ops/wu")[0].left
                heeded = heed(
                    self.inbox(at), self.custody(at), Attesting(self.home, "theirs"), self.number, as_of=T0
                )
                assert not heeded.refused, heeded.refused
                assert not way.hear_requests(actor="ops/wu").wrong
            case "leave":
                self.leave()
            case "hold":
                self.hold()
            case "release":
                self.release()
            case "object":
                self.object()

    def leave(self) -> None:
        """A person leaves in the midst of it, by a case of her own."""
        if not self.left:
            steps = (verbs.rehearse, verbs.restrict, verbs.settle_and_plan, verbs.dispose)
            begun_unasked(self.ours.desk, [WHO], steps, as_of=T0, actor="system/test")
            self.left = True

    def hold(self) -> None:
        """A court holds her visits, until it does not."""
        if not self.held_by:
            self.held_by = verbs.open_hold(
                self.ours.desk, basis="court", document_no="7", issuing_body="court", law="law", as_of=T0, actor="legal/zhao",
                account_ids=frozenset({WHO}), datasets=frozenset({"u.visit"}),
            )  # fmt: skip

    def release(self) -> None:
        if self.held_by:
            verbs.release_hold(self.ours.desk, self.held_by, document="8", as_of=T0, actor="legal/zhao")
            self.held_by = ""

    def object(self) -> None:
        """A person objects to the handover, and it is noted how far her bags had come."""
        desk, at = self.ours.desk, "before anything of hers was packed"
        tokens = [*asking.every(desk, OBJECTOR)]
        with desk.book() as conn:
            if hers := whose.bags_of(conn, self.number, tokens).keys():
                going, gone = begun.going_by(conn, self.number), asking.went(conn, self.number)
                at = "while hers are here"
                if hers & going.keys():
                    at = "while hers go" if hers - gone.keys() else "once hers went"
        desk = replace(desk, accounts=CatalogueAccounts(desk.catalogue, self.ours))
        objecting.object_to(
            desk, self.number, OBJECTOR, channel=Channel.LETTER, method="signed_with_certificate", fields=("PI-001",),
            as_of=T0, actor="support/li",
        )  # fmt: skip
        self.objected = self.objected or at

    def only_stored(self, *, others: bool = False) -> set[str]:
        """Why the objector's items may only be stored at the successor, or everybody else's; nothing: they may be used."""
        with psycopg.connect(self.theirs.server.conninfo(self.theirs.database)) as conn:
            rows = conn.execute((HERS + " IS FALSE" * others).encode()).fetchall()
        assert {d for d, _ in rows} == {"u.visit", "s.note", PHOTOS}
        return {str(word) for _, word in rows}

    @contextmanager
    def but_for_a_hold(self) -> Iterator[None]:
        """While there is one, what it names stays, and that is said."""
        try:
            yield
        except (NotProved, Refused) as said:
            assert self.held_by, said

    def inbox(self, at: Callable[[str], None] = nowhere) -> Inbox:
        return Inbox(
            client(self.ours.inbox, os.getpid()), self.bucket, attest.public_key(Attesting(self.home, "ours").pem),
            x509.load_pem_x509_certificate(SHOWN.encode()), KEY, self.home / "work", at,
        )  # fmt: skip

    def killed(self, verb: str, point: str, time: int) -> bool:
        """Do it in a process that is killed when it comes to the point for the so-manieth time; whether it came there."""
        came = 0

        def at(here: str) -> None:
            nonlocal came
            came += here == point
            if here == point and came == time:
                os.kill(os.getpid(), signal.SIGKILL)

        child = os.fork()
        if child == 0:
            code = 1
            try:
                self.ours.at = at
                self.do(verb, at)
                code = 0
            except BaseException:
                traceback.print_exc()  # the parent only sees that it failed
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0, f"{verb} failed by itself"
        return os.WIFSIGNALED(status)

    # --- what is where
    def rows(self, conninfo: str, table: str) -> dict[str, str]:
        with psycopg.connect(conninfo) as conn:
            return dict(conn.execute(f"SELECT id::text, t::text FROM {table} AS t").fetchall())

    def here(self, table: str) -> dict[str, str]:
        return self.rows(self.ours.company.conninfo("quietus_admin"), table)

    def there(self, table: str) -> dict[str, str]:
        return self.rows(self.theirs.server.conninfo(self.theirs.database), table)

    def objects(self, of: S3Server) -> dict[str, list[Version]]:
        """Under each key its versions, the oldest first; a marker is the newest."""
        told = client(of, os.getpid()).list_object_versions(Bucket=self.ours.bucket)
        found: dict[str, list[Version]] = {}
        for v in reversed(told.get("Versions", [])):
            found.setdefault(v["Key"], []).append((v["VersionId"], v["ETag"]))
        for m in told.get("DeleteMarkers", []):
            found.setdefault(m["Key"], []).append((m["VersionId"], MARKER))
        return found

    def uploads(self, of: S3Server) -> list[str]:
        """Keys of what was never finished."""
        told = client(of, os.getpid()).list_multipart_uploads(Bucket=self.ours.bucket)
        return [u["Key"] for u in told.get("Uploads", [])]

    def nothing_is_lost(self) -> None:
        """At every moment: what is not here is there, byte for byte, and the successor has signed for it."""
        with self.ours.desk.book() as conn:
            bags = register.bags(conn, self.number)
        self._no_row_is_lost(bags)
        self._no_object_is_lost([b for b in bags if b.statement.dataset == PHOTOS])

    def _no_row_is_lost(self, bags: Sequence[register.Bag]) -> None:
        received = Counter[str]()
        for b in bags:
            received[b.statement.dataset] += b.statement.items if b.state is BagState.RECEIVED else 0
        for table in GOES:
            here, there, was = self.here(table), self.there(table), self.before[table]
            assert here.items() <= was.items() and there.items() <= was.items()
            gone = was.keys() - here.keys()
            assert gone <= there.keys(), f"{table}: in neither place"
            assert len(gone) <= received[table], f"{table}: gone before it was signed for"
        for table in STAYS:
            here, was = self.here(table), self.before[table]
            assert here.keys() <= was.keys() and not self.there(table), f"{table} goes to nobody"
            assert table == "a.account" or here.items() <= was.items(), "only an account is ever cut"
        assert self.here("u.click") == self.before["u.click"], "a statute keeps it"

    def _no_object_is_lost(self, bags: Sequence[register.Bag]) -> None:
        def signed_for(key: str) -> bool:
            bag = next((b for b in bags if b.upto is None or key <= b.upto[0]), None)
            return bag is not None and bag.state is BagState.RECEIVED

        here, there = self.objects(self.ours.objects), self.objects(self.theirs.objects)
        assert here.keys() <= self.laid.keys() and there.keys() <= self.laid.keys() - {NOBODYS}
        for key, was in self.laid.items():
            now, then = here.get(key, []), [what for _, what in there.get(key, [])]
            assert now == [v for v in was if v in now], "nothing is written anew here"
            assert then == [what for _, what in was][: len(then)], "each version once, in its order"
            if key != NOBODYS:
                gone = [n for n, v in enumerate(was) if v not in now]
                assert all(n < len(then) for n in gone), "in neither place"
                assert not gone or signed_for(key), "gone before it was signed for"
            if now and was[-1][1] == MARKER:
                assert now[-1] == was[-1], "what was hidden came to light"
        unfinished = self.ours.key(3, "b")
        assert self.uploads(self.ours.objects) == [unfinished] or signed_for(unfinished)
        assert not self.uploads(self.theirs.objects), "no bag can hold it"

    def contents(self, of: S3Server) -> dict[str, list[bytes]]:
        """What each key's versions hold, the oldest first."""
        ask, bucket = client(of, os.getpid()), self.ours.bucket
        return {
            key: [ask.get_object(Bucket=bucket, Key=key, VersionId=v)["Body"].read() for v, what in versions if what != MARKER]
            for key, versions in self.objects(of).items()
        }  # fmt: skip


@contextmanager
def two(
    new_company: Callable[..., Company], pg: PgServer, objects: S3Server, successor: S3Server, home: Path,
    shop: Catalogue = SHOP, before: Callable[[Ours, str], object] = lambda _house, _number: None,
) -> Iterator[Two]:  # fmt: skip
    """``objects``: our S3 server; ``successor``: the other's, in which its inbox is, too. ``before``: what happens before T0."""
    book = pg.fresh_database("case_book", build)
    estate = pg.fresh_database("any_kills_successor", _successor)
    catalogue = with_photos(shop, BUSINESS)
    house = Ours(
        company=new_company(catalogue, houses.SCHEMA, "any_kills"), records=lambda role: pg.conninfo(book, role),
        keys=FileKeyStore(home / "keys", b"k" * 32), client=client(objects, os.getpid()), objects=objects, inbox=successor,
    )  # fmt: skip
    _owned(house)
    _emptied(house.client, "quietus-work")  # of another company's case of the same number
    house.lay(VISITS)
    house.put(house.key(4), b"the same")
    house.put(house.key(4), b"the same")  # two versions that nothing but their order tells apart
    theirs = client(successor, os.getpid())
    theirs.create_bucket(Bucket=house.bucket)
    theirs.put_bucket_versioning(Bucket=house.bucket, VersioningConfiguration={"Status": "Enabled"})
    number = ready(house, successor=replace(NEXT, certificate=fingerprint(SHOWN)))
    before(house, number)
    closing.close(house.desk, number, paper=PAPER, as_of=T0, actor="ops/wu")
    # This server refuses no put: it is said of the photos that nobody could see it, and somebody answers for that.
    closing.prove(house.desk, number, as_of=T0, actor="ops/wu")
    with house.desk.book() as conn:
        look = accepting.shown(conn, number).look
    answered = accepting.accept(house.desk, number, look=look, paper=PAPER, as_of=T0, actor="legal/zhao")
    assert answered == ["photos"]
    assert located.locate(house.desk, number, as_of=T0, actor="ops/wu") == {}
    needles.gather(house.desk, number, as_of=T0, actor="ops/wu")
    made = Two(house, Theirs(pg, estate, successor), number, home, {}, {}, {})
    made.before.update({t: made.here(t) for t in houses.TABLES})
    made.laid.update(made.objects(objects))
    made.held.update(made.contents(objects))
    theirs.create_bucket(Bucket=made.bucket)
    papers = made.way().papers
    papers.mkdir(parents=True)
    (papers / CERTIFICATE).write_text(SHOWN)
    key = Attesting(home, "theirs").pem.encode()
    (papers / RECEIPT_KEY).write_bytes(key)
    made.way().consign(hashlib.sha256(key).hexdigest(), document="BR-8", as_of=T0, actor="ops/wu")
    permitting.permit(house.desk, number, paper=PAPER, as_of=T0, actor="ops/wu")
    for approver in TOLD.approvers:
        breaker.approve(house.desk, number, as_of=T0, actor=approver)
    try:
        yield made
    finally:
        pg.drop_database(book)
        pg.drop_database(estate)


def _successor(conninfo: str) -> None:
    with psycopg.connect(conninfo) as conn:
        ddl = houses.SCHEMA.partition("-- Ten people")[0]  # the same schema, and nobody in it
        conn.execute(ddl.encode())
    prepare(conninfo, SHOP, "company")


def _owned(house: Ours) -> None:
    with psycopg.connect(house.company.conninfo("quietus_admin"), autocommit=True) as conn:
        if not conn.execute("SELECT FROM pg_roles WHERE rolname = 'shop_owner'").rowcount:
            conn.execute("CREATE ROLE shop_owner NOLOGIN")
        conn.execute("ALTER ROLE gatekeeper NOINHERIT; GRANT shop_owner TO gatekeeper")
        for table in houses.TABLES:
            conn.execute(f"ALTER TABLE {table} OWNER TO shop_owner".encode())
        conn.execute("GRANT USAGE ON SCHEMA a, u, s TO shop_owner")
