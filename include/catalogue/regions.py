"""What is abroad: policy 7.1 says that data is stored in the country, so every place that holds some says where it is."""

from __future__ import annotations

from dataclasses import dataclass

from include.model.catalogue import Catalogue

HOME = "CN"


@dataclass(frozen=True)
class Abroad:
    """An entry of the catalogue whose data is outside the country: ``index`` of the catalogue's field ``of``."""

    of: str  # stores, backups or recipients
    index: int
    id: str
    region: str

    def __str__(self) -> str:
        return f"{self.of} {self.id} in {self.region}"


def abroad(catalogue: Catalogue) -> tuple[Abroad, ...]:
    """Our servers, the copies of them, and whom we give data to."""
    return tuple(
        Abroad(of, index, place.id, place.region)
        for of in ("stores", "backups", "recipients")
        for index, place in enumerate(getattr(catalogue, of))
        if place.region != HOME
    )
