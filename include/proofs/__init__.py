"""That it is gone: looked at by somebody other than the deleter, over a connection that can only read.

``restricted`` after the restriction, ``baseline`` before the disposal, ``gone`` and ``objects_gone`` after it, and
``dragnet`` for what nobody declared. Every function returns :class:`Evidence` with counts and no values; what could
not be looked at is UNVERIFIED and says why. Imports only ``include.model``, and none of the deleters' queries.
"""

from __future__ import annotations

from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.flow import Evidence, Plan, Step
from include.proofs import objects, relational
from include.proofs.bucket import WORK
from include.proofs.collecting import collect_values
from include.proofs.dragnet import dragnet
from include.proofs.relational import gone
from include.proofs.values import Values


def baseline(
    catalogue: Catalogue, connections: Connections, step: Step, plan: Plan, *, work: str = WORK
) -> list[Evidence]:
    """Before anything is disposed: the prover sees exactly the located items, in every store, or it is blind.

    ``work``: the bucket of the S3 stores' step areas. Raises NotReachable if a store does not answer.
    """
    return [
        *relational.baseline(catalogue, connections, step, plan),
        *(objects.baseline(x, plan) for x in objects.stores(catalogue, connections, step, work)),
    ]


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
        *(objects.restricted(x) for x in objects.stores(catalogue, connections, step, work)),
    ]


def objects_gone(
    catalogue: Catalogue, connections: Connections, step: Step, plan: Plan, *, work: str = WORK
) -> list[Evidence]:
    """After the disposal, on S3: no version, marker, upload or record of the person but what stays. Raises NotReachable."""
    return [objects.gone(x, plan) for x in objects.stores(catalogue, connections, step, work)]


__all__ = ["Values", "baseline", "collect_values", "dragnet", "gone", "objects_gone", "restricted"]
