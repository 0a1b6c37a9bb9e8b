"""How media that held personal data are sanitised: what a company's procedure asks for, by medium and by sensitivity.

The methods are NIST SP 800-88's and IEEE 2883's: what suffices of them for which data, and how much of it is looked at
afterwards, no standard and no law says. So a procedure is the company's own, with an owner and a day of approval.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from include.model.declared import Declared, Ident
from include.model.policy import Basis, Proposal

if TYPE_CHECKING:
    from include.model.catalogue import Catalogue


class Medium(StrEnum):
    DISK = "disk"
    BACKUP_VOLUME = "backup_volume"
    TAPE = "tape"
    BUCKET = "bucket"
    KEY = "key"


class Method(StrEnum):
    """``erase``: overwritten, or erased by the device's own command. ``crypto_erase``: every copy of the key is gone.
    ``physical``: the medium is destroyed; degaussing does not do that (NIST SP 800-88r2)."""

    ERASE = "erase"
    CRYPTO_ERASE = "crypto_erase"
    PHYSICAL = "physical"


class Becomes(StrEnum):
    """Of media that hold something when a service ends. ``stays``: in service, with the custodian; of a service that stops alone,
    with ourselves. ``rented``: it is the provider's, whose paper says that it is sanitised. ``later``: it is sanitised by a day.
    """

    STAYS = "stays"
    RENTED = "rented"
    LATER = "later"


POSSIBLE: Mapping[Medium, frozenset[Method]] = {
    Medium.DISK: frozenset(Method),
    Medium.BACKUP_VOLUME: frozenset(Method),
    Medium.TAPE: frozenset(Method),
    Medium.BUCKET: frozenset({Method.ERASE, Method.CRYPTO_ERASE}),  # nobody hands us its disks
    Medium.KEY: frozenset({Method.ERASE, Method.PHYSICAL}),  # physical: the module that held it
}
"""What can be done to each medium at all, whatever a procedure says."""


class MediaProcedure(Declared):
    """What suffices for one medium, of data of one level. ``sensitive``: it held some of a category that is (PIPL 28).

    ``methods``: those that suffice, each with the percentage that is read back in verification: of its blocks (of a bucket its
    keys, of a key the places that had a copy); of what was destroyed the share of the pieces that are looked at. ``basis``: the
    standards that a record may say it followed.
    """

    id: Ident
    medium: Medium
    sensitive: bool
    methods: dict[Method, Annotated[int, Field(ge=1, le=100)]] = Field(min_length=1)
    basis: tuple[Basis, ...] = Field(min_length=1)
    proposal: Proposal


def held_by(catalogue: Catalogue, store: str) -> tuple[str, ...]:
    """The datasets of a store, which every medium of the store, and every copy of it, held."""
    return tuple(sorted(d.id for d in catalogue.datasets if d.store == store))


def sensitive_of(catalogue: Catalogue, datasets: Collection[str]) -> tuple[str, ...]:
    """Those of these datasets that hold a category which is sensitive, in order."""
    kinds = {c.id for c in catalogue.categories if c.sensitive}
    return tuple(sorted(d.id for d in catalogue.datasets if d.id in datasets and kinds & {*d.all_categories}))
