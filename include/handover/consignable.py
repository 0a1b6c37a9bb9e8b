"""What may go to a successor at all, whatever an order says."""

from __future__ import annotations

from include.model.catalogue import Catalogue
from include.model.errors import Refused
from include.model.estate import Dataset
from include.model.handover import NEVER, Consigned, Consignment
from include.model.words import DatasetKind


def allowed(catalogue: Catalogue, of: Consigned) -> Dataset:
    """The dataset, if it may and can go. Raises Refused: raw biometrics never go, whatever else binds them (law.md D.5)."""
    try:
        dataset = catalogue.dataset(of.dataset)
    except KeyError:
        raise Refused("it is not in the catalogue", about=of.dataset, next_step="correct the order") from None
    if any(b.rule in NEVER for b in dataset.binds) or any(
        set(NEVER) & set(catalogue.category(c).rules) for c in dataset.all_categories
    ):
        raise Refused(
            "it has raw biometrics, which are never handed over", about=of.dataset,
            next_step="take it out of the order: it is deleted here",
        )  # fmt: skip
    if not any((b.rule, b.period) == (of.rule, of.period) for b in dataset.binds):
        raise Refused(
            f"{of.rule}/{of.period} does not bind it", about=of.dataset, next_step="correct the order"
        ) from None
    if dataset.kind is DatasetKind.RECORDS:
        raise Refused(
            "records in shared files are not handed over yet", about=of.dataset, next_step="hand the files over by hand"
        )  # fmt: skip
    return dataset


def openable(dataset: Dataset, consignment: Consignment) -> Dataset:
    """The same, if what opens it goes, too. Raises Refused: without its keys it would be noise."""
    by = dataset.sealed_by
    if by is not None and by.dataset not in {d.dataset for d in consignment.datasets}:
        raise Refused(
            f"it is sealed, and {by.dataset}, which opens it, is not handed over", about=dataset.id,
            next_step="put both into the order, or neither",
        )  # fmt: skip
    return dataset
