"""The order of disposal, computed from the foreign keys that are really there: children before parents.

Tables that refer to each other in a circle form one group, which one statement disposes of: NO ACTION and
RESTRICT are both checked when the statement ends, and by then the whole circle is gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import networkx as nx

from include.model.estate import Dataset
from include.stores.postgres.live import ForeignKey


def groups(
    datasets: Sequence[Dataset], keys: Iterable[ForeignKey], before: Iterable[tuple[str, str]] = ()
) -> tuple[tuple[Dataset, ...], ...]:
    """Datasets in groups, children's groups first. Within a group, and among unrelated groups, by declared order. ``before``:
    addresses of which one is to come before another, unless foreign keys want it otherwise."""
    place = {d.address: i for i, d in enumerate(datasets)}
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(range(len(datasets)))
    for key in keys:
        if key.child in place and key.parent in place and key.child != key.parent:
            graph.add_edge(place[key.child], place[key.parent])
    condensed = nx.condensation(graph)
    members = {n: sorted(condensed.nodes[n]["members"]) for n in condensed.nodes}
    group = {i: n for n, of in members.items() for i in of}
    for first, then in before:
        if first in place and then in place:
            one, other = group[place[first]], group[place[then]]
            if one != other and not nx.has_path(condensed, other, one):
                condensed.add_edge(one, other)
    ordered = nx.lexicographical_topological_sort(condensed, key=lambda n: members[n][0])
    return tuple(tuple(datasets[i] for i in members[n]) for n in ordered)
