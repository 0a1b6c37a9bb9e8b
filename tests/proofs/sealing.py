"""A small company with sealed videos: their keys in its database, the objects in a bucket."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from include import proofs
from include.model import sealed
from include.model.estate import Bound, Column, Dataset, Keys, SealedBy
from include.model.flow import Evidence, Floor, Held, Plan, Step
from include.model.keks import CONNECTION, Keks
from include.proofs import Ciphertexts
from tests.stores.postgres import making
from tests.stores.postgres.making import Company, Fixed, dataset, own, plan_of
from tests.stores.s3.world import World
from tests.stores.s3.world import provide as provide_objects

KEYS = dataset(
    "account.video_key", "key_id", own("account_id"), keys=Keys(id="key_id", wrapped="wrapped", kek="kek"),
    columns={n: Column() for n in ("key_id", "account_id", "kek", "wrapped")},
)  # fmt: skip
DDL = making.SCHEMA + making.PEOPLE.format(n=4) + """
CREATE TABLE account.video_key (key_id uuid PRIMARY KEY, account_id text NOT NULL REFERENCES account.account,
                                kek text NOT NULL, wrapped bytea NOT NULL);
CREATE INDEX ON account.video_key (account_id);
"""  # fmt: skip
TABLES = making.catalogue(*making.SHOP.datasets, KEYS, starting_points=dict(making.SHOP.starting_points))
ME, OTHER = "A1", "A2"
VIDEO = "video.face"


class Both(Fixed):
    """Connections to the database, the buckets and the KEKs."""

    def __init__(self, house: House) -> None:
        super().__init__(house.company.conninfo)
        self.house = house

    def s3(self, connection: str, role: Any) -> Any:
        return self.house.world.server.client()

    def text(self, name: str) -> str:
        assert name == CONNECTION
        return self.house.keks.text()


@dataclass
class House:
    """Both stores, and what is sealed with which key."""

    company: Company
    world: World
    keks: Keks = field(default_factory=Keks.made)
    locks: bool = False
    secrets: dict[UUID, bytes] = field(default_factory=dict)
    kept: Ciphertexts = field(default_factory=Ciphertexts)

    def __post_init__(self) -> None:
        self.bucket = self.world.bucket("videos", locks=self.locks)
        self.videos: Dataset = self.world.objects(
            self.bucket, "{account_id}/", id=VIDEO, columns={"account_id": Column()}, binds=(Bound(rule="RS-07"),),
            sealed_by=SealedBy(dataset=KEYS.id, on={"account_id": "account_id"}),
        )  # fmt: skip
        self.company.catalogue = TABLES.model_copy(
            update={
                "stores": (*TABLES.stores, *self.world.store().catalogue.stores),
                "datasets": (*TABLES.datasets, self.videos),
            }
        )

    def key(self, who: str) -> UUID:
        """A new key of somebody's, in its row."""
        key_id, secret = uuid4(), sealed.new_key()
        self.secrets[key_id] = secret
        self.company.sql(
            "INSERT INTO account.video_key VALUES (%s, %s, %s, %s)",
            key_id, who, self.keks.newest, self.keks.wrap(key_id, secret),
        )  # fmt: skip
        return key_id

    def put(self, path: str, key_id: UUID | None, body: bytes = b"a face" * 20_000, **more: Any) -> None:
        if key_id is not None:
            body = b"".join(sealed.seal(self.secrets[key_id], key_id, path, io.BytesIO(body)))
        self.world.s3.put_object(Bucket=self.bucket, Key=path, Body=body, **more)

    def wrapped(self, key_id: UUID) -> bytes:
        return bytes(self.company.value("SELECT wrapped FROM account.video_key WHERE key_id = %s", key_id))

    def planned(self, it: Step, *floors: Floor, holds: Sequence[Held] = (), keys: bool = True) -> Plan:
        """Restrict and plan; ``floors`` and ``holds`` are the videos', and their keys' too but for ``keys``."""
        self.stores = self.company.store(), self.world.store(keys_of=self.company.store().keys_of)
        rows, vault = self.stores
        for store in self.stores:
            store.open(it)
        surveys = [store.survey(it) for store in self.stores]
        provided = [
            p.model_copy(update={"floors": floors, "holds": tuple(holds)}) if keys and p.dataset == KEYS.id else p
            for p in making.provide(TABLES)
        ]  # fmt: skip
        of_videos = provide_objects(self.videos, *floors, holds=tuple(holds))
        lines = [*rows.weigh(it, provided), *vault.weigh(it, [of_videos])]
        for store in self.stores:
            store.restrict(it)
            store.settle(it)
        plan = plan_of(it, surveys[0], lines)
        return plan.model_copy(update={"located": (*plan.located, *surveys[1].located)})

    def dispose(self, it: Step, plan: Plan) -> None:
        for store in self.stores:
            store.dispose(it, plan)

    # --- what the prover says ---

    def baseline(self, it: Step, plan: Plan) -> Evidence:
        return self._vault(proofs.baseline, it, plan)

    def gone(self, it: Step, plan: Plan) -> Evidence:
        return self._vault(proofs.objects_gone, it, plan)

    def _vault(self, proof: Callable[..., list[Evidence]], it: Step, plan: Plan) -> Evidence:
        work = f"quietus-work-{self.world.tag}"
        found = proof(self.company.catalogue, Both(self), it, plan, self.kept, work=work)
        self.kept = Ciphertexts.from_text(self.kept.to_text())  # as the case book gives it back
        return next(e for e in found if e.store == "vault")
