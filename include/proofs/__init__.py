"""That it is gone: looked at by somebody other than the deleter, over a connection that can only read.

``restricted`` after the restriction, ``baseline`` before the disposal, ``gone``, ``objects_gone`` and ``touched``
after it, and ``dragnet`` for what nobody declared. Of a quiesced company, a ``picture`` before and after it, and
whether everybody else is ``unchanged``. Every function returns :class:`Evidence` with counts and no values; what could
not be looked at is UNVERIFIED and says why. Imports only ``include.model``, and none of the deleters' queries.
"""

from __future__ import annotations

from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.flow import Evidence, Plan, Step
from include.proofs import objects, objects_restricted, relational, sealed
from include.proofs.bucket import WORK
from include.proofs.bystanders import touched
from include.proofs.ciphertexts import Ciphertexts
from include.proofs.collecting import collect_values
from include.proofs.dragnet import dragnet
from include.proofs.pictures import Picture, picture, unchanged
from include.proofs.pieces import alive
from include.proofs.pieces import collect as collect_pieces
from include.proofs.relational import gone
from include.proofs.values import Values


def baseline(
    catalogue: Catalogue,
    connections: Connections,
    step: Step,
    plan: Plan,
    kept: Ciphertexts | None = None,
    *,
    work: str = WORK,
) -> list[Evidence]:
    """Before anything is disposed: the prover sees exactly the located items, in every store, or it is blind.

    ``kept``: what was kept of the case's sealed objects before; this look adds to it, and the caller seals it.
    ``work``: the bucket of the S3 stores' step areas. Raises NotReachable if a store does not answer.
    """
    found = relational.baseline(catalogue, connections, step, plan)
    kept = kept if kept is not None else Ciphertexts()
    for looking in objects.stores(catalogue, connections, step, work):
        sealed.collect(looking, kept)
        found.append(objects.baseline(looking, plan))
    return found


def restricted(
    catalogue: Catalogue, connections: Connections, step: Step, *, work: str = WORK
) -> list[Evidence]:
    """After the restriction: no business role reads or writes anything of the person, and its measures hold.

    A step that restricts nobody has nothing to prove: no evidence. Raises NotReachable.
    """
    if not step.restricting:
        return []
    return [
        *relational.restricted(catalogue, connections, step),
        *(objects_restricted.restricted(x) for x in objects.stores(catalogue, connections, step, work)),
    ]


def objects_gone(
    catalogue: Catalogue,
    connections: Connections,
    step: Step,
    plan: Plan,
    kept: Ciphertexts | None = None,
    *,
    work: str = WORK,
) -> list[Evidence]:
    """After the disposal, on S3: no version, marker, upload or record of the person but what stays; and nothing opens what
    was kept of the sealed ones. Raises NotReachable."""
    found = []
    for looking in objects.stores(catalogue, connections, step, work):
        sealed.destroyed(looking, plan, kept if kept is not None else Ciphertexts())
        found.append(objects.gone(looking, plan))
    return found


__all__ = [
    "Ciphertexts",
    "Picture",
    "Values",
    "alive",
    "baseline",
    "collect_pieces",
    "collect_values",
    "dragnet",
    "gone",
    "objects_gone",
    "picture",
    "restricted",
    "touched",
    "unchanged",
]
