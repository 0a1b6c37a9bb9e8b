"""Stores that do not answer, as a look at what is due found them. What lies in one is no zero: nobody knows what of it is due.

One that is away for a moment costs a night if that is all that the night does about it: so a night is not begun while it may be
tried again (:func:`include.cases.retention.night.begin`).
"""

from __future__ import annotations

from collections.abc import Mapping

from include.cases.retention.objects import Partly
from include.model.catalogue import Catalogue
from include.model.errors import NotReachable, QuietusError
from include.stores.postgres.server import Busy


class Silent(str):
    """Why a dataset could not be asked: a server that it needs did not answer."""

    __slots__ = ()


def why(error: QuietusError) -> str:
    """The error in words; ``Silent`` if it is a server that did not answer, and no table that somebody else has locked."""
    away = isinstance(error, NotReachable) and not isinstance(error, Busy)
    return Silent(error) if away else str(error)


def silent(catalogue: Catalogue, unverified: Mapping[str, str]) -> dict[str, str]:
    """The stores of which nothing could be asked since a server did not answer, and what was said of that. ``unverified``:
    dataset -> why it could not be asked."""
    found: dict[str, str] = {}
    for store in catalogue.stores:
        said = [unverified.get(d.id) for d in catalogue.in_parts.of_store(store.id)]
        away = [x for x in said if isinstance(x, Silent)]
        if away and all(x is not None and not isinstance(x, Partly) for x in said):
            found[store.id] = away[0]
    return found


def answered(catalogue: Catalogue, unverified: Mapping[str, str]) -> None:
    """Raises NotReachable while a whole store is silent."""
    for store, said in silent(catalogue, unverified).items():
        raise NotReachable(
            f"nothing of it could be asked, so nobody knows what of it is due: {said}", about=f"store {store}",
            next_step="see to its server; the last try begins the night with what can be seen, and names the rest",
        )  # fmt: skip
