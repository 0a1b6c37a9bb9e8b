"""Objects by age: a bucket is listed, and the database is asked about the paths. The two stores know nothing of each other."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from include.model.doors import Connections
from include.model.words import Role
from include.stores.postgres.retention.look import Look
from include.stores.postgres.retention.paths import Paths
from include.stores.s3.once import Once


class Partly(str):
    """Why a part of a dataset was not judged, while the rest of it was."""

    __slots__ = ()


def ask(it: Look, connections: Connections, one: Callable[[Look], object], once: Once) -> str | None:
    """Put the question to every path of a dataset of objects. Why not all of it could be judged (``Partly``: the rest was);
    None: all was. ``once``: what was listed before, of the same moment."""
    store = it.catalogue.store(it.dataset.store)
    inventory = once.inventory(connections.s3(store.connection, Role.PROVER), it.dataset)
    strays: list[int] = []
    # How everything stands is told of unfinished uploads by themselves: they are no objects, and cannot be handed to anybody.
    for part in (False, True) if it.question.everything else (None,):
        tallies = partial(inventory.tallies, unfinished=part)
        paths = Paths(
            **it.asked(), variables=inventory.variables, tallies=tallies, strays=strays, unfinished=bool(part)
        )
        one(paths)
    said = []
    if sum(strays):
        said.append(f"{sum(strays)} lie under paths that lead to nobody in the database")
    if inventory.elsewhere:
        said.append(f"{inventory.elsewhere} lie under paths of another form")
    return Partly("; ".join(said)) if said else None
