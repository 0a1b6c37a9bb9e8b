"""Objects that the successor signed for go here with every version, marker and unfinished upload, and then the rows that they led
through; what stays, stays whole and is named; killed anywhere it goes on. On both S3 servers where they may differ."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from include.cases import book, papers, verbs
from include.cases.keys import FileKeyStore
from include.cases.shutdown import approving, breaker, disposing, located, needles, orders, permitting
from include.cases.shutdown.consigning import consign
from include.handover import clearing, packing, places, register, workers
from include.handover.books import Books, balance
from include.handover.conservation import Kind, Place
from include.handover.packing import Room
from include.handover.shards import Bounds
from include.model.catalogue import Catalogue
from include.model.errors import BooksDoNotBalance, NotProved, Refused
from include.model.estate import Bound, Dataset, Start, StoreDeclared
from include.model.handover import Differences
from include.model.times import observed_now, prc_date
from include.model.words import CaseState, DatasetKind, Role, StoreKind
from include.stores.s3.clearing import Clearing as Objects
from tests.cases.restoring import killed_at
from tests.cases.retention import house as houses
from tests.cases.retention.house import House
from tests.cases.shutdown.conftest import SHOP
from tests.cases.shutdown.test_books import SHOWN, answer, sent
from tests.cases.shutdown.test_closing import PAPER
from tests.cases.shutdown.test_consigning import fingerprint
from tests.cases.shutdown.test_orders import NEXT, TOLD
from tests.conftest import PgServer, S3Server
from tests.handover.both import Attesting
from tests.handover.test_first_policy_goes import CLOSED
from tests.handover.test_whole_way import _emptied
from tests.stores.postgres.conftest import new_company
from tests.stores.postgres.making import Company, own
from tests.stores.sizes import Pieces

pytestmark = pytest.mark.postgres
__all__ = ["new_company"]  # a fixture
TODAY = date(2026, 11, 24)
ON: dict[str, Any] = {"as_of": TODAY, "actor": "ops/wu"}
VISITED = """
SELECT v.id::text AS visit_id, v.at AS started_at FROM cohort AS c JOIN u.visit AS v ON v.account_id = c.subject_id"""
KEYS = 2  # keys of a bag
NOBODYS = "acct_000000000010/999/x.jpg"  # of somebody without a visit: it goes to nobody, and leads through no row of a bag


@dataclass
class Photos(House):
    """The shop with a bucket of photos, one of each visit; after T0."""

    client: Any = None
    number: str = ""
    home: Path = Path()
    consignment: Any = None

    def s3(self, connection: str, role: Role) -> Any:
        assert connection == "photos"
        return self.client

    @property
    def bucket(self) -> str:
        return self.company.catalogue.dataset("o.photo").address

    @property
    def theirs(self) -> Attesting:
        return Attesting(self.home / "theirs", "theirs")

    def key(self, visit: int, name: str = "a") -> str:
        return f"acct_{visit % 9 + 1:012d}/{visit}/{name}.jpg"

    def put(self, key: str, body: bytes = b"") -> None:
        self.client.put_object(Bucket=self.bucket, Key=key, Body=body or f"photo {key}".encode())

    def lay(self, visits: int = 12) -> None:
        """Photos of the first visits: one replaced, one hidden by a marker, beside one an upload that nobody finished."""
        self.client.create_bucket(Bucket=self.bucket, ObjectLockEnabledForBucket=True)
        for visit in range(1, visits + 1):
            self.put(self.key(visit))
        self.put(self.key(1), b"another")
        self.client.delete_object(Bucket=self.bucket, Key=self.key(2))
        self.client.create_multipart_upload(Bucket=self.bucket, Key=self.key(3, "b"))
        self.put(NOBODYS)

    def things(self) -> dict[tuple[str, str], str]:
        """Everything that lies in the bucket: versions, markers, unfinished uploads."""
        told, found = self.client.list_object_versions(Bucket=self.bucket), dict[tuple[str, str], str]()
        found |= {(v["Key"], v["VersionId"]): v["ETag"] for v in told.get("Versions", [])}
        found |= {(m["Key"], m["VersionId"]): "marker" for m in told.get("DeleteMarkers", [])}
        for u in self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", []):
            found[u["Key"], u["UploadId"]] = "upload"
        return found

    def visits(self) -> int:
        with psycopg.connect(self.company.conninfo("quietus_admin")) as conn:
            (n,) = conn.execute("SELECT count(*) FROM u.visit").fetchone() or (0,)
        return int(n)

    def pack(self) -> list[register.Bag]:
        """Packed, sent, and signed for."""
        room = Room(
            self.company.catalogue, self, self.desk.book, Attesting(self.home / "ours", "ours"), self.home / "out",  # type: ignore[arg-type]
            bounds=Bounds(bytes=KEYS * 300, rows=20, keys=3),
        )  # fmt: skip
        assert not packing.pack(room, self.consignment).left
        sent(self.desk, self.number)
        for bag in self.bags():
            answer(self.desk, self.consignment, self.theirs, bag)
        return [b for b in self.bags() if b.statement.dataset == "o.photo"]

    def bags(self) -> list[register.Bag]:
        with self.desk.book() as conn:
            return register.bags(conn, self.number)

    def go(self, **more: Any) -> clearing.Going:
        return clearing.run(self.desk, self.number, **ON, **more)

    def look(self) -> Books:
        return balance(self.desk, self.number, **ON)

    def places(self, found: Books) -> dict[str, Place]:
        return {b.bag: b.place for b, _ in found.bags if b.place is not Place.KEPT and b.items}

    def stands(self, going: clearing.Going) -> CaseState:
        with self.desk.book() as conn:
            return book.case(conn, going.case_no).state

    def receipts(self) -> Counter[str]:
        """What all cases of the shutdown did to photos and visits."""
        words = Counter[str]()
        with self.desk.book() as conn:
            cases = conn.execute("SELECT case_no FROM casebook.case_ WHERE ground = 'shutdown'").fetchall()
            for no in cases:
                row = papers.current_step(conn, book.case(conn, str(no["case_no"])), "live")
                for receipt in papers.receipts(conn, row.step_id, "dispose") if row else ():
                    for dataset, of in receipt.counts.items():
                        words.update({f"{dataset} {w}": n for w, n in of.items() if w != "upto"})
        return +words

    def lock(self, key: str, until: timedelta) -> None:
        version = next(v for k, v in self.things() if k == key)
        self.client.put_object_retention(
            Bucket=self.bucket, Key=key, VersionId=version, BypassGovernanceRetention=True,
            Retention={"Mode": "GOVERNANCE", "RetainUntilDate": observed_now() + until},
        )  # fmt: skip


def with_photos(of: Catalogue = SHOP, business_roles: tuple[str, ...] = ()) -> Catalogue:
    """A shop with photos in a bucket of its own."""
    photo = Dataset(
        id="o.photo", store="photos", kind=DatasetKind.OBJECTS, title="photos", address=f"photos-{uuid.uuid4().hex[:8]}",
        prefix="{account_id}/{visit_id}/", links=(own("account_id"),),
        binds=(Bound(rule="RS-03", start=Start(query="visited", on={"visit_id": "visit_id"})),),
    )  # fmt: skip
    store = StoreDeclared(
        id="photos", kind=StoreKind.S3, region="CN", connection="photos", description="photos", business_roles=business_roles,
    )  # fmt: skip
    return of.model_copy(
        update={
            "stores": (*of.stores, store), "datasets": (*of.datasets, photo),
            "starting_points": {"visited": VISITED},
        }
    )  # fmt: skip


Make = Callable[[S3Server], Photos]


@pytest.fixture
def pg_server(pg18: PgServer) -> PgServer:
    return pg18


@pytest.fixture
def make(new_company: Callable[..., Company], pg18: PgServer, case_book: str, tmp_path: Path) -> Make:
    def made(server: S3Server) -> Photos:
        client, policy = server.client(), with_photos()
        if "quietus-work" in {b["Name"] for b in client.list_buckets()["Buckets"]}:
            _emptied(client, "quietus-work")  # of another test's case of the same number
        it = Photos(
            company=new_company(policy, houses.SCHEMA, "photos"), records=lambda role: pg18.conninfo(case_book, role),
            keys=FileKeyStore(tmp_path / "keys", b"k" * 32), client=client, home=tmp_path,
        )  # fmt: skip
        it.lay()
        told = replace(
            TOLD, t0=TODAY + timedelta(days=100), successor=replace(NEXT, certificate=fingerprint(SHOWN))
        )
        it.number = orders.open_order(it.desk, told, as_of=TODAY, actor="legal/zhao")
        approving.approve(it.desk, it.number, as_of=TODAY, actor="board/qian")
        with psycopg.connect(it.records("quietus_admin"), autocommit=True) as conn:
            conn.execute(CLOSED.encode(), [TODAY, TODAY, TODAY - timedelta(days=100)])
        assert located.locate(it.desk, it.number, **ON) == {}
        needles.gather(it.desk, it.number, **ON)
        it.consignment = consign(
            it.desk,
            it.number,
            sender="Old CA",
            certificate=SHOWN,
            receipt_key=it.theirs.pem,
            document="BR-8",
            **ON,
        )
        permitting.permit(it.desk, it.number, paper=PAPER, **ON)
        return it

    return made


@pytest.mark.parametrize("server", ["moto", "ceph"])
def test_objects_go_and_then_their_rows(make: Make, server: str, request: pytest.FixtureRequest) -> None:
    it = make(request.getfixturevalue(server))
    before, bags = it.things(), it.pack()
    assert len(bags) > 3 and sum(b.statement.items for b in bags) == 14, "every version and marker"
    found = it.look()
    assert set(it.places(found).values()) == {Place.WHOLE}
    (line,) = [x for x in found.lines if x.dataset == "o.photo"]
    assert (line.located, line.pending) == (16, 16), "with the upload, and what goes to nobody"
    assert not [
        r
        for x in found.lines
        if x.dataset in ("o.photo", "u.visit")
        for r in x.reasons
        if r.kind is Kind.WRONG
    ]

    going = it.go()
    assert not going.left and it.stands(going) is CaseState.WAITING
    left = it.things()
    assert left.keys() == {k for k in before if k[0] == NOBODYS} and left.items() <= before.items()
    assert it.visits() == 0, "their clocks went after them"
    found = it.look()
    assert set(it.places(found).values()) == {Place.GONE}
    (line,) = [x for x in found.lines if x.dataset == "o.photo"]
    assert (line.located, line.transferred, line.deleted, line.pending) == (16, 14, 1, 1)
    assert [r.why for r in line.reasons] == ["is to be deleted or anonymised, and is still here"]
    with it.desk.book() as conn:
        kinds = {(e.kind, e.store): e.verdict.value for _, e in papers.evidence(conn, going.case_no)}
    assert kinds["pictures", "photos"] == kinds["gone", "photos"] == kinds["baseline", "photos"] == "passed"
    with pytest.raises(Refused, match="no bag may be deleted"):
        it.go()


def test_killed_at_every_point_one_after_the_other(make: Make, moto: S3Server) -> None:
    it = make(moto)
    it.pack()
    for point in (
        "bags.planned", "clearing.intended", "clearing.deleted", "clearing.passed", "clearing.receipt",
        "clearing.after_commit", "bags.proved",
    ):  # fmt: skip
        assert killed_at(point, lambda at: it.go(at=at)), f"{point} was never reached"
    assert {k for k, _ in it.things()} == {NOBODYS} and it.visits() == 0
    assert it.receipts() == Counter(
        {"o.photo erased": 11, "o.photo erased@object_version": 4, "u.visit erased": 60}
    ), "nothing twice"
    with it.desk.book() as conn:
        cases = conn.execute("SELECT state FROM casebook.case_ WHERE ground = 'shutdown'").fetchall()
    assert [r["state"] for r in cases] == ["waiting"]


@pytest.mark.parametrize("server", ["moto", "ceph"])
def test_a_bag_with_a_locked_version_stays_whole_with_the_rows_it_leads_through(
    make: Make, server: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    it = make(request.getfixturevalue(server))
    until = observed_now() + timedelta(seconds=10)
    it.lock(it.key(4), timedelta(seconds=10))
    bags, before, day = it.pack(), it.things(), prc_date(until)
    with monkeypatch.context() as patch:  # however long it takes until it looks
        patch.setattr(places, "observed_now", lambda: until - timedelta(minutes=1))
        going, found = it.go(), it.look()
    (locked,) = [b for b in going.left if b.startswith("o.photo")]
    assert going.left[locked] == f"the server keeps 1 of its versions until {day}: it goes after that"
    mine = next(b.statement.items for b in bags if b.name == locked)
    assert {b for b in going.left if b != locked} == {
        b.name for b in it.bags() if b.statement.dataset == "u.visit"
    }
    assert all("clocks of o.photo hang on" in why for b, why in going.left.items() if b != locked)
    assert (
        len(it.things()) == mine + 2 and it.things().items() <= before.items() and it.visits() == 60
    )  # with its upload
    assert it.places(found)[locked] is Place.WHOLE
    reasons = [r.why for x in found.lines for r in x.reasons if r.bag == locked]
    assert reasons == [
        f"is in both places: received, and not deleted here yet: the server keeps 1 of its versions until {day}"
    ]
    time.sleep(max(0.0, (until - observed_now()).total_seconds() + 1))  # a lock is judged by the wall clock
    assert not it.go().left and it.visits() == 0 and len(it.things()) == 1


def test_what_stops_a_bag_of_objects_stops_that_bag(make: Make, moto: S3Server) -> None:
    it = make(moto)
    bags = it.pack()
    with pytest.raises(BooksDoNotBalance):
        answer(it.desk, it.consignment, it.theirs, bags[0], differences=Differences(missing=("c" * 64,)))
    key = next(k for (k, _) in it.things() if _bag_of(it, bags, k) == bags[1].name)
    it.put(key, b"written since")
    going = it.go()
    assert {b for b in going.left if b.startswith("o.photo")} == {bags[1].name}
    assert "not what was packed" in going.left[bags[1].name]
    stays = {b.name for b in bags[:2]}
    assert {b.name for b in bags if b.statement.items} - set(going.bags) == stays
    there = {_bag_of(it, bags, k) for (k, _) in it.things() if k != NOBODYS}
    assert there == stays and it.visits() == 60


def test_a_killed_case_gives_up_what_it_planned_of_objects_and_rows(make: Make, moto: S3Server) -> None:
    it = make(moto)
    bags = it.pack()
    assert killed_at("bags.planned", lambda at: it.go(at=at))
    with pytest.raises(BooksDoNotBalance):
        answer(it.desk, it.consignment, it.theirs, bags[0], differences=Differences(missing=("c" * 64,)))
    going = it.go()
    assert set(going.bags) == {b.name for b in bags[1:] if b.statement.items} and it.visits() == 60
    assert {_bag_of(it, bags, k) for (k, _) in it.things() if k != NOBODYS} == {bags[0].name}
    with it.desk.book() as conn:
        cases = conn.execute("SELECT state FROM casebook.case_ WHERE ground = 'shutdown'").fetchall()
        units = conn.execute("SELECT sum(items) AS n, array_agg(DISTINCT state) AS states FROM casebook.unit"
                             " WHERE case_no <> %s", (going.case_no,)).fetchone()  # fmt: skip
    assert [r["state"] for r in cases] == ["waiting", "waiting"]
    assert units is not None and (units["n"], units["states"]) == (0, ["live_deleted"])
    answer(it.desk, it.consignment, it.theirs, bags[0])
    assert not it.go().left and it.visits() == 0 and {k for k, _ in it.things()} == {NOBODYS}


def test_what_stops_a_bag_of_objects_in_the_midst_of_it_stops_that_bag_with_the_rows_of_its_clocks(
    make: Make, moto: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """In chunks of two items; visits start the clocks of photos, so none of them goes while a photo stays."""
    monkeypatch.setattr(workers, "Objects", partial(Objects, size=Pieces(2)))
    it = make(moto)
    bags = [b for b in it.pack() if b.statement.items]
    there = it.things()
    assert killed_at("clearing.receipt", lambda at: it.go(at=at))
    untouched = [
        b
        for b in bags
        if not any(_bag_of(it, bags, k) == b.name for k, _ in there.keys() - it.things().keys())
    ]
    stops = untouched[-1]
    with pytest.raises(BooksDoNotBalance):
        answer(it.desk, it.consignment, it.theirs, stops, differences=Differences(missing=("c" * 64,)))
    with pytest.raises(NotProved, match=r"clocks of o\.photo hang on its rows") as said:
        it.go()
    assert f"{stops.name}: the receipt names differences" in str(said.value)
    assert {_bag_of(it, bags, k) for k, _ in it.things() if k != NOBODYS} == {
        stops.name
    } and it.visits() == 60
    found = it.look()
    assert {b for b, p in it.places(found).items() if p is not Place.GONE and b.startswith("o.photo")} == {
        stops.name
    }
    answer(it.desk, it.consignment, it.theirs, stops)
    assert not it.go().left and it.visits() == 0 and {k for k, _ in it.things()} == {NOBODYS}
    (line,) = [x for x in it.look().lines if x.dataset == "o.photo"]
    assert (line.located, line.transferred, line.deleted, line.pending) == (16, 14, 1, 1)


def test_a_lock_and_a_hold_that_come_in_between_are_obeyed(make: Make, moto: S3Server) -> None:
    it = make(moto)
    it.pack()

    def meanwhile(point: str) -> None:
        if point == "bags.planned":
            it.lock(it.key(5), timedelta(days=1))
            verbs.open_hold(
                it.desk, basis="court", document_no="7", issuing_body="court", law="law", as_of=TODAY, actor="legal/zhao",
                account_ids=frozenset({it.key(6).split("/")[0]}), datasets=frozenset({"o.photo"}),
            )  # fmt: skip

    with pytest.raises(NotProved, match="something is left of"):
        it.go(at=meanwhile)
    assert {k for k, _ in it.things()} == {NOBODYS, it.key(5), it.key(6)}
    with psycopg.connect(it.company.conninfo("quietus_admin")) as conn:
        rows = {str(r[0]) for r in conn.execute("SELECT DISTINCT account_id FROM u.visit")}
    assert rows == {it.key(5).split("/")[0], it.key(6).split("/")[0]}, "whose objects stay, and nobody else's"


def test_an_object_that_goes_beside_the_bags_is_seen(make: Make, moto: S3Server) -> None:
    it = make(moto)
    it.pack()

    def meanwhile(point: str) -> None:
        if point == "bags.disposed":
            (version,) = [v for k, v in it.things() if k == NOBODYS]
            it.client.delete_object(Bucket=it.bucket, Key=NOBODYS, VersionId=version)

    with pytest.raises(NotProved, match="'pictures' is failed"):
        it.go(at=meanwhile)


def test_objects_of_nobody_hold_rows_of_their_owner_and_are_named(make: Make, moto: S3Server) -> None:
    it = make(moto)
    it.put("acct_000000000003/999/x.jpg")
    it.pack()
    going = it.go()
    assert set(going.left) == {b.name for b in it.bags() if b.statement.dataset == "u.visit"}
    assert all("objects of o.photo stay" in why for why in going.left.values())
    (version,) = [v for k, v in it.things() if k.startswith("acct_000000000003/999")]
    it.client.delete_object(Bucket=it.bucket, Key="acct_000000000003/999/x.jpg", VersionId=version)
    assert not it.go().left and it.visits() == 0


def test_what_goes_to_nobody_goes_on_after_photos_went_that_it_waited_for(make: Make, moto: S3Server) -> None:
    it = make(moto)
    it.pack()
    for approver in TOLD.approvers:
        breaker.approve(it.desk, it.number, as_of=TODAY, actor=approver)
    assert killed_at("rest.disposed", lambda at: disposing.run(it.desk, it.number, **ON, at=at))
    assert not it.go().left
    first = disposing.run(it.desk, it.number, **ON)
    assert "o.photo" not in first.gone and {k for k, _ in it.things()} == {NOBODYS}, "it was not planned"
    then = disposing.run(it.desk, it.number, **ON)
    assert then.case_no != first.case_no and then.gone["o.photo"] == 1 and not it.things()


def _bag_of(it: Photos, bags: list[register.Bag], key: str) -> str:
    return next(b.name for b in bags if b.upto is None or key <= b.upto[0])
