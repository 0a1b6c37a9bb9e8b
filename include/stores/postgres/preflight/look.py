"""What the checks look at, and how they tell what they found."""

from __future__ import annotations

from dataclasses import dataclass

from include.model.catalogue import Catalogue
from include.model.estate import Dataset, StoreDeclared
from include.model.flow import Finding
from include.stores.postgres.live import Live
from include.stores.postgres.server import Connection


@dataclass(frozen=True)
class Look:
    """One database, and those of the catalogue's datasets whose table is there."""

    connection: Connection
    catalogue: Catalogue
    store: StoreDeclared
    live: Live
    datasets: tuple[Dataset, ...]
    prover: str | None

    @property
    def mapped(self) -> dict[str, Dataset]:
        """The datasets by the address of their table."""
        return {d.address: d for d in self.datasets}


def finding(code: str, dataset: Dataset | None, place: str, what: str, next_step: str) -> Finding:
    return Finding(
        code=code,
        dataset=dataset.id if dataset else None,
        place=place,
        items=None,
        what=what,
        next_step=next_step,
    )
