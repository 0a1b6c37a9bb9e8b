"""What is planted where, as it is written down before anything is planted: the sealed note of a night.

It is drawn from the seed and the catalogue alone. Whoever holds the note can say which of the plants a proof should have
named, and can remove all of them, whether they were planted or not.
"""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass, field
from string import Formatter

from include.model.catalogue import Catalogue
from include.model.words import DatasetKind, StoreKind
from include.planting import made_up

DATABASE = (
    "undeclared_table", "detached_partition", "materialised_view", "json_mention", "free_text_mention",
    "statistics", "dead_tuple", "page_hole", "index_page", "compressed_toast", "wal", "server_log",
    "prepared_transaction", "history_table", "derived_column", "unlogged_table",
)  # fmt: skip
BUCKETS = (
    "noncurrent_version", "delete_marker", "open_upload", "locked_object", "replica_bucket",
    "shared_log_record",
)  # fmt: skip
OF_STORE = {StoreKind.POSTGRES: DATABASE, StoreKind.S3: BUCKETS}

ELSEWHERE = {
    "replication_slot": "the planter may not make slots: what holds WAL back is asked for each backup set by the horizon",
    "pinned_backup": "nothing is planted in a backup repository: the horizon asks each set's own tool for pins and chains",
    "wal_archive": "a segment is archived when it is full, and a night reads no archive: the horizon says how far one reaches",
    "computed_band": "an age band or a map tile is found by no search; declared ones are cleared by the plan's own cuts",
    "airflow": "nothing personal may enter: the intake refuses identifiers before Airflow stores a request",
    "case_book": "what the case book, the outbox and the ledger know is sealed or screened; the planter has no role there",
    "recipient": "whether a recipient's word is true is asked of it by its own numbers, all year, not by planting",
}
"""Kinds of the ladder that are not planted, and what answers for them."""


class CannotPlant(Exception):
    """A kind has no place on this server; why, in words."""


@dataclass(frozen=True)
class Plant:
    """One hiding place. ``place``: a table, view or bucket of our own, or the dataset under whose prefix an upload lies;
    ``part``: the index, if it is one. ``rows``: how many rows or objects hold the value."""

    kind: str
    store: str
    place: str
    value: str = field(repr=False)
    part: str = ""
    rows: int = 1


@dataclass(frozen=True)
class Note:
    """Everything about one night's planting. ``schemas``, ``gid``, ``buckets``, ``uploads``: what must be gone afterwards;
    a schema and a prepared transaction's name by store, buckets by store, (store, bucket, key) of an upload."""

    seed: str
    subject: str = field(repr=False)
    plants: tuple[Plant, ...]
    decoys: tuple[tuple[str, str], ...]  # (store, table or bucket) that hold only other people's values
    schemas: dict[str, str]
    gid: str
    buckets: dict[str, tuple[str, ...]]
    uploads: tuple[tuple[str, str, str], ...]
    step: str = ""

    def to_text(self) -> str:
        """As JSON, to be sealed."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_text(cls, text: str) -> Note:
        said = json.loads(text)
        return cls(
            seed=said["seed"],
            subject=said["subject"],
            plants=tuple(Plant(**p) for p in said["plants"]),
            decoys=tuple((store, place) for store, place in said["decoys"]),
            schemas=said["schemas"],
            gid=said["gid"],
            buckets={store: tuple(names) for store, names in said["buckets"].items()},
            uploads=tuple((store, bucket, key) for store, bucket, key in said["uploads"]),
            step=said["step"],
        )

    def of(self, store: str) -> tuple[Plant, ...]:
        return tuple(p for p in self.plants if p.store == store)

    def decoys_of(self, store: str) -> tuple[str, ...]:
        return tuple(place for of, place in self.decoys if of == store)

    def dice(self, plant: Plant) -> random.Random:
        """What is left to chance in planting it, the same each time."""
        return made_up.dice_of(self.seed, plant.store, plant.kind)


def draw(seed: str, catalogue: Catalogue) -> Note:
    """What a night plants: every kind that its stores know, each with a value and a place of its own."""
    dice = made_up.dice_of(seed)
    subject = made_up.account(dice)
    plants: list[Plant] = []
    decoys: list[tuple[str, str]] = []
    schemas: dict[str, str] = {}
    buckets: dict[str, tuple[str, ...]] = {}
    uploads: list[tuple[str, str, str]] = []
    for store in catalogue.stores:
        if not catalogue.of_store(store.id):
            continue
        if store.kind is StoreKind.POSTGRES:
            schema = schemas[store.id] = made_up.word(dice)
            plants += [_in_database(dice, store.id, schema, kind) for kind in DATABASE]
            decoys.append((store.id, f"{schema}.{made_up.word(dice)}"))
            continue
        for kind in BUCKETS:
            if kind != "open_upload":
                plants.append(Plant(kind, store.id, made_up.word(dice, 20), made_up.value(dice)))
            elif (found := _prefix(dice, catalogue, store.id, subject)) is not None:
                dataset, bucket, key = found
                plants.append(Plant(kind, store.id, dataset, made_up.value(dice)))
                uploads.append((store.id, bucket, key))
        decoys.append((store.id, made_up.word(dice, 20)))
        mine = [p.place for p in plants if p.store == store.id and p.kind != "open_upload"]
        buckets[store.id] = (*mine, decoys[-1][1])
    dice.shuffle(plants)
    return Note(seed, subject, tuple(plants), tuple(decoys), schemas, f"q_{made_up.word(dice)}", buckets,
                tuple(uploads), f"control_{made_up.word(dice)}")  # fmt: skip


def _in_database(dice: random.Random, store: str, schema: str, kind: str) -> Plant:
    rows = dice.randint(20, 40) if kind == "statistics" else dice.randint(1, 3)
    # Of these, one value in one place is what there can be.
    if kind in ("page_hole", "compressed_toast", "wal", "server_log"):
        rows = 1
    part = made_up.word(dice) if kind == "index_page" else ""
    form = made_up.mobile if kind == "free_text_mention" else made_up.value
    return Plant(kind, store, f"{schema}.{made_up.word(dice)}", form(dice), part, rows)


def _prefix(
    dice: random.Random, catalogue: Catalogue, store: str, subject: str
) -> tuple[str, str, str] | None:
    """Some dataset, its bucket, and a key under the made-up person's own prefix there: nobody else's object."""
    own = [
        (d, link.column)
        for d in catalogue.of_store(store, DatasetKind.OBJECTS)
        for link in d.links
        if link.column and f"{{{link.column}}}" in d.prefix
    ]
    if not own:
        return None
    dataset, column = dice.choice(own)
    variables = [name for _, name, _, _ in Formatter().parse(dataset.prefix) if name]
    under = dataset.prefix.format(**{n: subject if n == column else made_up.word(dice) for n in variables})
    return dataset.id, dataset.address, f"{under}{made_up.word(dice)}"
