"""Tables that must not go at night before the objects that lead through them do: their rows say whose an object is, and when
its period began. Without them it would lie in its bucket for ever, and nothing would call it due."""

from __future__ import annotations

import re
from collections.abc import Iterator

from include.model.catalogue import Catalogue, Dataset
from include.model.words import DatasetKind, StoreKind

WAITS = "objects in buckets lead through its rows, and those do not go at night yet"


def behind_objects(catalogue: Catalogue) -> dict[str, str]:
    """The tables that some object's link or starting point reads, each with why it waits."""
    found: set[str] = set()
    for dataset in catalogue.datasets:
        if catalogue.store(dataset.store).kind is StoreKind.POSTGRES or dataset.kind is DatasetKind.TABLE:
            continue
        found |= set(_above(catalogue, dataset))
        for bound in dataset.binds:
            if bound.start is not None and bound.start.query is not None:
                found |= set(_read_by(catalogue, bound.start.query))
    return dict.fromkeys(sorted(found), WAITS)


def _above(catalogue: Catalogue, dataset: Dataset) -> Iterator[str]:
    for link in dataset.links:
        if link.via is not None:
            yield link.via
            yield from _above(catalogue, catalogue.dataset(link.via))


def _read_by(catalogue: Catalogue, query: str) -> Iterator[str]:
    """Datasets whose table a starting point names."""
    text = catalogue.starting_points.get(query, "")
    for dataset in catalogue.datasets:
        if re.search(rf"\b{re.escape(dataset.address)}\b", text):
            yield dataset.id
