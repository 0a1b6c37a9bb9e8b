"""Proofs of a night over S3 stores: the objects, and the records in shared files, that the step area names were there, and are
there no more.

The prover lists by itself, with its own reading of key templates; from the area it takes only which versions, markers and uploads
the night located (``weighed``), and which of them it says went (``settled``). How much is due it counts by itself (``limits``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.estate import Dataset
from include.model.flow import Evidence, Plan, Step
from include.model.words import CopyKind, DatasetKind, Rung, StoreKind
from include.proofs import limits_records, limits_sealed
from include.proofs.bucket import Bucket, Pattern, Thing, exactly
from include.proofs.ciphertexts import Ciphertexts
from include.proofs.limits_records import Before, unread
from include.proofs.limits_sealed import Hunting
from include.proofs.objects import COPIES, HEADS, Looking, replicas

Id = tuple[str, str, str]  # key, version or upload id, and without versioning the ETag


def stores(
    catalogue: Catalogue, connections: Connections, step: Step, plan: Plan, work: str
) -> Iterator[Looking]:
    """The S3 stores of which the plan located objects; the others are not asked anything."""
    planned = {x.dataset for x in plan.located}
    for store in catalogue.stores:
        if store.kind is StoreKind.S3 and planned & {d.id for d in catalogue.of_store(store.id)}:
            yield Looking(catalogue, connections, step, store, work)


def baseline(
    looking: Looking,
    plan: Plan,
    due: Mapping[str, int],
    kept: Ciphertexts | None = None,
    before: Before = unread,
) -> Evidence:
    """Before anything goes: every located version, marker, upload and record is there, and as many are due as were located.
    ``kept``: to which ciphertexts of what is sealed are added; None: nothing is to be said of keys. ``before``: what the prover
    made of record files that it read already."""
    mine = {d.id for d in _datasets(looking, plan)}

    def look(dataset: Dataset) -> None:
        if dataset.id not in mine:
            return
        now = _listed(looking, dataset)
        there = limits_records.there(looking, dataset, now, before) if dataset.kind is DatasetKind.RECORDS else Counter(
            copy for id_, copy in _copies(looking, "weighed", dataset).items() if id_ in now
        )  # fmt: skip
        if kept is not None and dataset.sealed_by is not None:
            limits_sealed.collect(looking, dataset, now, kept)
        for copy in COPIES:
            if copy is CopyKind.LIVE or _items(plan, dataset, copy):
                looking.note(
                    "there", dataset, copy, Rung.R0, _items(plan, dataset, copy), there[copy],
                    "what was located is not there",
                )  # fmt: skip
        looking.note(
            "seen", dataset, CopyKind.LIVE, Rung.R0, sum(_items(plan, dataset, c) for c in COPIES), due.get(dataset.id, 0),
            "other items are due than were located",
        )  # fmt: skip

    looking.each(look, "seen", Rung.R0)
    return looking.evidence("baseline", plan)


def gone(
    looking: Looking,
    plan: Plan,
    kept: Ciphertexts | None = None,
    hunting: Hunting | None = None,
    before: Before = unread,
) -> Evidence:
    """After it: no version of a located key is there any more, but what the night says that it passed over; and none of the keys
    that ``hunting`` finds opens what was ``kept``."""
    mine = {d.id for d in _datasets(looking, plan)}

    def look(dataset: Dataset) -> None:
        if dataset.id not in mine:
            return
        _gone(looking, plan, dataset, before)
        if kept is not None and hunting is not None and dataset.sealed_by is not None:
            limits_sealed.destroyed(looking, dataset, kept, hunting)

    looking.each(look, "gone", Rung.R2)
    return looking.evidence("gone", plan)


def _gone(looking: Looking, plan: Plan, dataset: Dataset, before: Before) -> None:
    copies = _copies(looking, "settled", dataset)
    weights = _weights(looking, "settled", dataset)
    stay = {id_[0] for id_ in _copies(looking, "weighed", dataset).keys() - copies.keys()}
    if dataset.kind is DatasetKind.RECORDS:
        stay |= limits_records.shared(looking, dataset)
        limits_records.kept(looking, dataset, before)
    now = _listed(looking, dataset)
    bucket = Bucket(looking.client, dataset.address)
    for copy in COPIES:
        planned = _items(plan, dataset, copy)
        went = {id_ for id_, of in copies.items() if of is copy}
        if copy is not CopyKind.LIVE and not planned and not went:
            continue
        looking.note(
            "planned", dataset, copy, Rung.R0, planned, sum(weights[id_] for id_ in went),
            "the step area names other items than the plan",
        )  # fmt: skip
        left = went & now.keys()
        keys = sorted({id_[0] for id_ in went} - stay)[:HEADS]
        looking.note(
            "head",
            dataset,
            copy,
            Rung.R1,
            0,
            sum(bucket.answers(k) for k in keys),
            "keys that were to go still answer",
        )
        looking.note(
            "gone",
            dataset,
            copy,
            Rung.R2,
            0,
            sum(now[id_].current for id_ in left),
            "objects that were to go are there",
        )
        looking.note(
            "bytes", dataset, copy, Rung.R4, 0, len(left),
            "versions, delete markers or open uploads that were to go are there",
        )  # fmt: skip
        replicas(
            looking,
            dataset,
            copy,
            lambda twin, went=went: len(went & _listed(looking, twin).keys()),  # type: ignore[misc]
        )


def _datasets(looking: Looking, plan: Plan) -> Iterator[Dataset]:
    planned = {x.dataset for x in plan.located}
    return (d for d in looking.datasets if d.id in planned)


def _copies(looking: Looking, kind: str, dataset: Dataset) -> dict[Id, CopyKind]:
    """What the area names, with the copy that it was when it was located. Of a record file: versions of which something goes."""
    return {
        _id(row): CopyKind.LIVE if row.get("current") else CopyKind.OBJECT_VERSION
        for row in looking.manifests.rows(kind, dataset.id)
        if row["kind"] != "file"
    }


def _id(row: Mapping[str, Any]) -> Id:
    return exactly(row["key"], row["version"], row.get("etag", ""))


def _weights(looking: Looking, kind: str, dataset: Dataset) -> Counter[Id]:
    """How many items each of these is: one, or so many records."""
    found: Counter[Id] = Counter()
    for row in looking.manifests.rows(kind, dataset.id):
        if row["kind"] != "file":
            found[_id(row)] += int(row.get("records", 1))
    return found


def _listed(looking: Looking, dataset: Dataset) -> dict[Id, Thing]:
    """Everything that lies under the dataset's paths."""
    if dataset.kind is DatasetKind.RECORDS:
        return {t.exact: t for t in Bucket(looking.client, dataset.address).under([dataset.prefix])}
    pattern = Pattern(dataset.prefix)
    return {
        t.exact: t
        for t in Bucket(looking.client, dataset.address).under([pattern.start({})])
        if pattern.variables(t.key) is not None
    }


def _items(plan: Plan, dataset: Dataset, copy: CopyKind) -> int:
    return sum(x.items for x in plan.located if x.dataset == dataset.id and x.copy_kind is copy)
