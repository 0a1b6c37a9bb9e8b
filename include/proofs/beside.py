"""That nothing but the step's own went from a bucket: all else that lies in it, counted and summed before a disposal and after.

For what is disposed of by lists of items rather than by people, while nobody writes: at the end of a service. Each bucket is
listed whole, other datasets' keys, too. What another case disposed of meanwhile is told by its own receipts: just as many.

    unchanged    versions, delete markers and open uploads of a bucket that are no items of the step    R0
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence

from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.errors import Refused
from include.model.flow import Check, Evidence, Plan, Step
from include.model.words import DatasetKind, Verdict
from include.proofs import limits_objects, pictures
from include.proofs.bucket import WORK, Bucket, exactly
from include.proofs.objects import Looking
from include.proofs.picture_objects import Sum, of_thing
from include.proofs.pictures import Picture
from include.proofs.portions import Portion


def beside(
    catalogue: Catalogue, connections: Connections, step: Step, plan: Plan, *, like: Sequence[Picture] = (),
    work: str = WORK,
) -> list[Picture]:  # fmt: skip
    """The buckets of the plan's objects as they are now, without what the step located. ``like``: what it is to be compared with.
    Raises NotReachable."""
    seeds = {p.store: p.seed for p in like}
    found = []
    for looking in limits_objects.stores(catalogue, connections, step, plan, work):
        seed = seeds.get(looking.store.id, secrets.randbits(63))
        planned = {x.dataset for x in plan.located}
        buckets = sorted(
            {d.address for d in looking.datasets if d.id in planned and d.kind is DatasetKind.OBJECTS}
        )
        portions = tuple(_bucket(looking, bucket, seed) for bucket in buckets)
        found.append(Picture(step=step.id, store=looking.store.id, seed=seed, portions=portions))
    return found


def unchanged(
    step: Step, plan: Plan, before: Sequence[Picture], after: Sequence[Picture], others: Mapping[str, int]
) -> list[Evidence]:
    """The two held against each other. ``others``: bucket -> how many items other cases disposed of there in between."""
    return [
        e.model_copy(update={"checks": tuple(_accounted(c, others) for c in e.checks)})
        for e in pictures.unchanged(step, plan, before, after)
    ]


def _accounted(check: Check, others: Mapping[str, int]) -> Check:
    went = others.get(check.name.partition(".")[2], 0)
    if check.verdict is Verdict.FAILED and went and (check.expected or 0) - (check.observed or 0) == went:
        why = "as many as before, but for what other cases' receipts name"
        return check.model_copy(update={"verdict": Verdict.PASSED, "expected": check.observed, "why": why})
    return check


def _bucket(looking: Looking, bucket: str, seed: int) -> Portion:
    mine = {
        exactly(row["key"], row["version"], row.get("etag", ""))
        for d in looking.datasets if d.address == bucket and d.kind is DatasetKind.OBJECTS
        for row in looking.manifests.rows("weighed", d.id)
    }  # fmt: skip
    total, name = Sum(seed), f"unchanged.{bucket}"
    try:
        for thing in Bucket(looking.client, bucket).under([""]):
            if thing.exact not in mine:
                total.add(*of_thing(thing))
    except Refused as error:
        return Portion(name=name).unseen(error.what)
    return total.portion(name, None)
