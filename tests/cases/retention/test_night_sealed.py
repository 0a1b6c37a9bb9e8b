"""Sealed objects that go at night: a piece of what their keys opened is kept, and nothing that can be found opens it."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from include.cases import book, ciphertexts, papers
from include.cases.keys import FileKeyStore
from include.cases.retention import night as nightly
from include.cases.retention import night_proofs
from include.cases.retention.nights import Night
from include.cases.shutdown import approving, breaker, disposing, located, needles, orders
from include.model import sealed
from include.model.catalogue import Catalogue
from include.model.errors import NotProved
from include.model.estate import Column, Keys, SealedBy
from include.model.flow import Check
from include.model.keks import CONNECTION, Keks
from include.model.words import CopyKind, Role, Rung, Verdict
from include.proofs import limits
from include.proofs.bucket import WORK
from include.proofs.names import S3
from include.stores.s3 import S3Store
from tests.cases.retention import house as houses
from tests.cases.retention.house import DAY, ROBOT, House
from tests.cases.shutdown.conftest import SHOP as STOPPED
from tests.cases.shutdown.test_closing import T0
from tests.cases.shutdown.test_orders import TOLD
from tests.conftest import PgServer, S3Server
from tests.proofs.controls import control
from tests.stores.postgres.making import Company, dataset, own
from tests.stores.s3.world import Server, World

pytestmark = pytest.mark.s3
VIDEO, KEYS = "video.face", "a.video_key"
GONE, STAYS = "acct_000000000010", "acct_000000000001"  # whose time is over, and whose is not
SCHEMA = houses.SCHEMA + """
CREATE TABLE a.video_key (key_id uuid PRIMARY KEY, account_id text NOT NULL REFERENCES a.account, kek text NOT NULL,
                          wrapped bytea NOT NULL);
CREATE INDEX ON a.video_key (account_id);
CREATE TABLE a.copied (k bytea);
GRANT SELECT, INSERT, UPDATE, DELETE ON a.video_key TO shop_app, shop_batch;
"""  # fmt: skip


@dataclass
class Sealed(House):
    """The shop with videos in a bucket, and their keys in its database."""

    world: World = field(kw_only=True)
    keks: Keks = field(default_factory=Keks.made)
    secrets: dict[UUID, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.bucket = self.world.bucket("videos")
        video = self.world.objects(
            self.bucket, "{account_id}/", id=VIDEO, columns={"account_id": Column()},
            sealed_by=SealedBy(dataset=KEYS, on={"account_id": "account_id"}),
        )  # fmt: skip
        keys = dataset(
            KEYS, "key_id", own("account_id"), keys=Keys(id="key_id", wrapped="wrapped", kek="kek"),
            columns={n: Column() for n in ("key_id", "account_id", "kek", "wrapped")},
        )  # fmt: skip
        of = self.company.catalogue
        self.company.catalogue = of.model_copy(
            update={
                "stores": (*of.stores, *self.world.store().catalogue.stores),
                "datasets": (*of.datasets, keys, video),
            }
        )
        self.company.install()
        S3Store(self.company.catalogue, "vault", self).install()  # type: ignore[arg-type]

    def s3(self, connection: str, role: Role) -> Any:
        return self.world.server.client()

    def text(self, name: str) -> str:
        return self.keks.text() if name == CONNECTION else super().text(name)

    def key(self, who: str = GONE) -> UUID:
        key_id, secret = uuid4(), sealed.new_key()
        self.secrets[key_id] = secret
        self.company.sql(
            "INSERT INTO a.video_key VALUES (%s, %s, %s, %s)", key_id, who, self.keks.newest,
            self.keks.wrap(key_id, secret),
        )  # fmt: skip
        return key_id

    def put(self, path: str, key_id: UUID | None, body: bytes = b"a face" * 20_000) -> None:
        if key_id is not None:
            body = b"".join(sealed.seal(self.secrets[key_id], key_id, path, io.BytesIO(body)))
        self.world.s3.put_object(Bucket=self.bucket, Key=path, Body=body)

    def wrapped(self, key_id: UUID) -> bytes:
        return bytes(self.company.value("SELECT wrapped FROM a.video_key WHERE key_id = %s", key_id))

    def checks(self, night: Night, *names: str) -> dict[tuple[str, CopyKind], Check]:
        return self.checks_of(str(night.case_no), *names)

    def checks_of(self, case_no: str, *names: str) -> dict[tuple[str, CopyKind], Check]:
        """What the last look of each kind says of keys."""
        with self.desk.book() as conn:
            said = papers.evidence(conn, case_no)
        last = {e.kind: e for _, e in said if e.store == "vault"}
        return {
            (c.name.partition(".")[0], c.copy_kind): c
            for e in last.values() for c in e.checks
            if c.name.partition(".")[0] in (names or ("opens", "keys", "key_destroyed"))
        }  # fmt: skip


@pytest.fixture
def new_house(
    new_company: Callable[..., Company], pg18: PgServer, case_book: str, tmp_path: Path, empty_moto: S3Server
) -> Callable[[Catalogue], Sealed]:
    return lambda shop: _house(shop, new_company, pg18, case_book, tmp_path, empty_moto)


@pytest.fixture
def house(new_house: Callable[[Catalogue], Sealed]) -> Sealed:
    return new_house(houses.SHOP)


def _house(
    shop: Catalogue,
    new_company: Callable[..., Company],
    pg18: PgServer,
    case_book: str,
    home: Path,
    empty_moto: S3Server,
) -> Sealed:
    for area in (
        empty_moto.client().list_objects_v2(Bucket=WORK).get("Contents", []) if _there(empty_moto) else ()
    ):
        empty_moto.client().delete_object(
            Bucket=WORK, Key=area["Key"]
        )  # of another test's night of the same number
    company = new_company(shop, SCHEMA, "sealed at night")
    return Sealed(
        company=replace(company), records=lambda role: pg18.conninfo(case_book, role),
        keys=FileKeyStore(home / "keys", b"k" * 32),
        world=World(Server("moto", empty_moto.endpoint, empty_moto.access_key, empty_moto.secret_key)),
    )  # fmt: skip


def _there(server: S3Server) -> bool:
    return WORK in {b["Name"] for b in server.client().list_buckets()["Buckets"]}


def furnished(house: Sealed) -> UUID:
    key = house.key()
    house.put(f"{GONE}/a.mp4", key)
    house.put(f"{GONE}/a.mp4", key, b"again")
    house.put(f"{STAYS}/a.mp4", house.key(STAYS))
    return key


def test_what_went_at_night_is_opened_by_nothing_that_can_be_found(house: Sealed) -> None:
    furnished(house)
    night = house.night()
    assert house.company.sql("SELECT account_id FROM a.video_key") == [(STAYS,)]
    assert [k for k, _, _ in house.world.versions(house.bucket)] == [f"{STAYS}/a.mp4"]
    said = house.checks(night)
    assert said["opens", CopyKind.LIVE].observed == said["opens", CopyKind.LIVE].expected == 2
    gone = [said["key_destroyed", copy] for copy in (CopyKind.LIVE, CopyKind.OBJECT_VERSION)]
    assert {(c.verdict, c.rung, c.expected, c.observed) for c in gone} == {(Verdict.PASSED, Rung.R9, 0, 0)}
    assert len(ciphertexts.kept(house.desk, str(night.case_no)).samples) == 1, "one a key"
    (sealed_,) = house.sql("SELECT sealed FROM casebook.ciphertext WHERE case_no = %s", night.case_no)
    assert GONE.encode() not in bytes(sealed_[0]), "where it lay is nobody's to read but the case's"


@control("gone", "key_destroyed", S3)
@pytest.mark.parametrize("how", ["left in its table", "copied elsewhere"])
def test_a_key_that_was_not_destroyed_makes_the_night_red(house: Sealed, how: str) -> None:
    wrapped = house.wrapped(key := furnished(house))

    def kept_somewhere() -> None:
        if how == "copied elsewhere":
            house.company.sql("INSERT INTO a.copied VALUES (%s)", wrapped)
        else:  # as a restore of one table brings it back, under somebody else's account
            house.company.sql(
                "INSERT INTO a.video_key VALUES (%s, %s, %s, %s)", key, STAYS, house.keks.newest, wrapped
            )

    with pytest.raises(NotProved):
        house.night(then=kept_somewhere)
    night = house.of_last()
    found = {c.observed for (n, _), c in house.checks(night).items() if n == "key_destroyed"}
    assert found == {1} and "gone_not_proved" in house.findings(night)
    house.company.sql("DELETE FROM a.copied")
    house.company.sql("DELETE FROM a.video_key WHERE key_id = %s", key)
    night_proofs.prove(house.desk, str(night.case_no), as_of=DAY, actor=ROBOT)
    assert "gone_not_proved" not in house.findings(night), "once it is gone, the same look says so"


def test_of_more_than_can_be_looked_into_nothing_is_claimed(
    house: Sealed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("include.proofs.limits_sealed.MOST", 2)
    for n in range(4):
        house.put(f"{GONE}/{n}.mp4", house.key())
    house.put(f"{GONE}/0.mp4", None, b"")  # over a version that is kept beside it: of that copy there is one
    said = house.checks(house.night())
    live, old = (said["key_destroyed", c] for c in (CopyKind.LIVE, CopyKind.OBJECT_VERSION))
    assert old.verdict is Verdict.PASSED, "the copy of which there are few is looked into as a whole"
    assert (live.verdict, live.observed) == (Verdict.UNVERIFIED, 0)
    assert "into 2 versions nobody looked" in live.why


@control("baseline", "keys", S3)
def test_a_key_that_would_go_before_something_else_that_it_opens_stops_the_night(house: Sealed) -> None:
    key = furnished(house)
    house.begin()
    body = b"".join(sealed.seal(house.secrets[key], key, f"{GONE}/late.mp4", io.BytesIO(b"late")))

    def late() -> None:
        house.world.s3.put_object(Bucket=house.bucket, Key=f"{GONE}/late.mp4", Body=body)

    seal = night_proofs.seal_pieces
    with pytest.MonkeyPatch.context() as patch:
        # Written in each attempt between what is located and the look at it.
        patch.setattr(
            night_proofs, "seal_pieces", lambda *of: (seal(*of), _anew(house, f"{GONE}/late.mp4", late))
        )
        with pytest.raises(NotProved):
            house.night()
    said = house.checks(house.of_last(), "keys")["keys", CopyKind.LIVE]
    assert (said.verdict, said.rung, said.observed) == (Verdict.FAILED, Rung.R0, 1)
    assert house.company.sql("SELECT count(*) FROM a.video_key") == [(2,)]
    assert house.checks(house.night(), "keys")["keys", CopyKind.LIVE].verdict is Verdict.PASSED


def _anew(house: Sealed, path: str, write: Callable[[], None]) -> None:
    """A version that was not there when the step located what is due."""
    for key, version, _ in house.world.versions(house.bucket, path):
        house.world.s3.delete_object(Bucket=house.bucket, Key=key, VersionId=version)
    write()


def test_what_a_backlog_took_before_its_key_is_no_fault_and_no_noise(house: Sealed) -> None:
    furnished(house)
    night = house.night(budget=2)  # objects go first
    assert house.counts(night).get(VIDEO, {}).get("erased") and KEYS not in house.counts(night)
    found = [c for (n, _), c in house.checks(night).items() if n == "key_destroyed"]
    assert {c.verdict for c in found} == {Verdict.UNVERIFIED} and "the key is not to go" in found[0].why


def test_what_was_not_sealed_or_did_not_open_is_not_called_noise(house: Sealed) -> None:
    key = house.key()
    house.put(f"{GONE}/plain.mp4", None, b"\x00\x00\x00\x18ftyp")
    house.secrets[key] = sealed.new_key()
    house.put(f"{GONE}/other.mp4", key)
    why = house.checks(house.night())["key_destroyed", CopyKind.LIVE]
    assert why.verdict is Verdict.UNVERIFIED
    assert "1 versions were not sealed" in why.why and "1 versions were not seen to open" in why.why


def test_a_run_by_the_minute_tries_the_tables_of_keys_and_says_what_it_left(house: Sealed) -> None:
    wrapped = house.wrapped(key := furnished(house))
    found: list[set[tuple[Verdict, int | None]]] = []

    def look() -> None:
        night = house.of_last()
        with house.desk.book() as conn:
            case = book.case(conn, str(night.case_no))
            row, plan = papers.current_step(conn, case, "live"), papers.plans(conn, case, "live")[-1]
        assert row is not None
        kept = ciphertexts.kept(house.desk, case.case_no)
        said = limits.gone(house.company.catalogue, house, row.step(case, ()), plan, kept, everywhere=False)
        checks = [c for e in said for c in e.checks if c.name == f"key_destroyed.{VIDEO}"]
        assert all("a run by the minute" in c.why for c in checks if c.verdict is Verdict.UNVERIFIED)
        found.append({(c.verdict, c.observed) for c in checks})

    def looks() -> None:
        house.company.sql("INSERT INTO a.copied VALUES (%s)", wrapped)
        look()
        house.company.sql(
            "INSERT INTO a.video_key VALUES (%s, %s, %s, %s)", key, STAYS, house.keks.newest, wrapped
        )
        look()
        house.company.sql("DELETE FROM a.copied")
        house.company.sql("DELETE FROM a.video_key WHERE key_id = %s", key)

    house.night(then=looks)
    assert found == [{(Verdict.UNVERIFIED, 0)}, {(Verdict.FAILED, 1)}]


def test_a_night_of_before_this_says_that_nobody_looked(house: Sealed) -> None:
    furnished(house)
    night = house.night(then=lambda: house.sql("DELETE FROM casebook.ciphertext"))
    found = [c for (n, _), c in house.checks(night).items() if n == "key_destroyed"]
    assert {(c.verdict, c.why) for c in found} == {
        (Verdict.UNVERIFIED, "nobody looked before the disposal which key opens what")
    }
    assert nightly.look(house.desk, DAY + timedelta(days=1)).of(VIDEO) == 0


@pytest.mark.parametrize("copied", [False, True])
def test_what_goes_to_nobody_after_t0_is_tried_alike(
    new_house: Callable[[Catalogue], Sealed], copied: bool
) -> None:
    house = new_house(STOPPED)
    wrapped = house.wrapped(furnished(house))
    number = orders.open_order(
        house.desk, replace(TOLD, t0=T0), as_of=T0 - timedelta(days=95), actor="legal/zhao"
    )
    approving.approve(house.desk, number, as_of=T0 - timedelta(days=95), actor="board/qian")
    house.sql(
        "UPDATE casebook.shutdown_order SET closed_on = %s, closing_at = now() WHERE number = %s", T0, number
    )
    assert located.locate(house.desk, number, as_of=T0, actor="ops/wu") == {}
    needles.gather(house.desk, number, as_of=T0, actor="ops/wu")
    for who in TOLD.approvers:
        breaker.approve(house.desk, number, as_of=T0, actor=who)
    if copied:
        house.company.sql("INSERT INTO a.copied VALUES (%s)", wrapped)
        with pytest.raises(NotProved):
            disposing.run(house.desk, number, as_of=T0, actor="ops/wu")
        with house.desk.book() as conn:
            going = disposing.under_way(conn, number)
        assert going is not None
        case_no = going.case_no
    else:
        case_no = disposing.run(house.desk, number, as_of=T0, actor="ops/wu").case_no
    assert house.company.sql("SELECT count(*) FROM a.video_key") == [(0,)]
    found = [c for (n, _), c in house.checks_of(case_no).items() if n == "key_destroyed"]
    # Both people's keys were tried, of one of them an older version, too.
    assert {c.verdict for c in found} == {Verdict.FAILED if copied else Verdict.PASSED} and len(found) == 2
    assert len(ciphertexts.kept(house.desk, case_no).samples) == 2
