"""Which bags must wait since clocks of what is not handed over yet hang on their rows. Pure.

A certificate's end starts the clocks of its application, image and vetting file. Were the certificate gone first, these would
look as if none had ever been issued, and fall due: in neither place. So it goes last.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from include.cases.retention.limits import binds
from include.handover.conservation import BagSeen, Place
from include.model.catalogue import Catalogue


def hanging(
    catalogue: Catalogue, consigned: Collection[str], packed: Collection[str], seen: Iterable[BagSeen],
    going: Mapping[str, str],
) -> dict[str, str]:  # fmt: skip
    """Those of ``going`` (bag -> dataset) that wait, and why. ``consigned``: datasets that go to the successor; ``packed``: those
    whose last bag is there."""
    waiting = {b.dataset for b in seen if b.bag not in going and b.place is not Place.GONE}
    found: dict[str, str] = {}
    for dataset in catalogue.datasets:
        leaving = dataset.id in consigned
        if leaving and dataset.id in packed and dataset.id not in waiting:
            continue  # gone here, or it goes with the same case
        on = {
            table
            for b in binds(catalogue, dataset) if b.bound.start is not None and b.bound.start.query is not None
            if leaving or b.period.restrains_deletion
            for table in catalogue.read_by(b.bound.start.query)
        } - {dataset.id}  # fmt: skip
        for bag, of in going.items():
            if of in on and bag not in found:
                found[bag] = f"clocks of {dataset.id} hang on its rows, and that is not gone here"
    return found
