"""One date after which nothing that we know of can bring a person back, and what sets it.

From what an edition itself lists, so that it tells nothing that the edition does not: backup sets, objects under lock, and what
recipients keep or have not answered.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date

from include.ledger.certificate import Copy, Horizon, ItemGroup, Pending, Told
from include.model.words import CopyKind, Disposition, Rung

Source = tuple[date | None, str]
"""A last day, or None while there is none, and whose it is."""


def horizon(
    copies: Iterable[Copy],
    groups: Iterable[ItemGroup],
    recipients: Iterable[Told],
    pending: Iterable[Pending],
) -> Horizon | None:
    """Of an edition. None if nothing is left that could: a locked version of which nobody has the key cannot."""
    locked_ = [
        (g.until, locked(g.dataset, g.law))
        for g in groups
        if g.copy_kind is CopyKind.OBJECT_VERSION
        and g.disposition is Disposition.RETAIN
        and g.rung_reached is not Rung.R9
    ]
    silent = (track.name for track in pending if track.track == "recipients")
    return of_sources([*of_copies(copies), *locked_, *of_recipients(recipients, silent)])


def of_sources(sources: Sequence[Source]) -> Horizon | None:
    """The last day of all. One that is open names every reason, and the last day that is known."""
    if not sources:
        return None
    known = max(((day, why) for day, why in sources if day is not None), default=None)
    open_ = list(dict.fromkeys(why for day, why in sources if day is None))
    if not open_ and known is not None:
        return Horizon(until=known[0], because=known[1])
    not_before = f"; not before {known[0]} ({known[1]})" if known else ""
    return Horizon(until=None, because="; ".join(open_) + not_before)


def of_copies(copies: Iterable[Copy]) -> Iterator[Source]:
    for copy in copies:
        if copy.gone_on is None:
            yield copy.until, f"backup set {copy.backup_set}: {copy.because}"


def locked(dataset: str, law: str) -> str:
    return f"{dataset}, versions kept by {law}"


def of_recipients(recipients: Iterable[Told], silent: Iterable[str]) -> Iterator[Source]:
    """``silent``: who was told, or is to be, and has not answered so that it counts."""
    for told in recipients:
        if told.outcome == "retained":
            yield (
                told.until,
                f"{told.recipient} keeps something" + ("" if told.until else " without a last day"),
            )
        elif told.outcome == "escalated":
            yield None, f"{told.recipient} is silent"
        elif told.outcome == "caught":
            yield None, f"{told.recipient} said that it deleted, and did not"
    for name in silent:
        yield None, f"{name} has not answered"
