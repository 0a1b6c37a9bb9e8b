"""What carries data by the catalogue, and of which nobody recorded what became of its media: stores, backup sets, keys.

A store that is in use has no record, and needs none yet. What is listed is what a year's end, or the end of a service, has to
ask about (policy 5.3, 5.6(3)).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date

from include.cases.yearly.sanitising import Sanitised
from include.model.catalogue import Catalogue
from include.model.media import Medium

STORE, BACKUP_SET, KEYS = "store", "backup_set", "keys"


@dataclass(frozen=True, order=True)
class Carrier:
    """A store, a backup set, or what unwraps the keys of a dataset. ``title``: what the catalogue says of it."""

    kind: str
    id: str
    title: str

    @property
    def name(self) -> str:
        return f"{self.kind}:{self.id}"

    def of(self, record: Sanitised) -> bool:
        """Whether a record is about one medium of it. One that does not say what that held is about a backup set at most."""
        if self.kind == STORE:
            return record.store == self.id
        if self.kind == BACKUP_SET:
            return record.backup_set == self.id
        return record.medium == Medium.KEY and self.id in (record.datasets or ())

    def carries(self, catalogue: Catalogue) -> frozenset[str]:
        """The datasets on its media."""
        if self.kind == KEYS:
            return frozenset({self.id})
        store = next(
            (b.store for b in catalogue.backups if (self.kind, b.id) == (BACKUP_SET, self.id)), self.id
        )
        return frozenset(d.id for d in catalogue.datasets if d.store == store)


def carriers(catalogue: Catalogue, datasets: Collection[str] | None = None) -> tuple[Carrier, ...]:
    """All of a catalogue; or those that carry some of these datasets."""
    of = [d for d in catalogue.datasets if datasets is None or d.id in datasets]
    stores = {d.store for d in of}
    return tuple(
        sorted(
            (
                *(Carrier(STORE, s.id, s.description) for s in catalogue.stores if s.id in stores),
                *(Carrier(BACKUP_SET, b.id, b.description) for b in catalogue.backups if b.store in stores),
                *(Carrier(KEYS, d.id, d.title) for d in of if d.keys is not None),
            )
        )
    )


def missing(
    of: Iterable[Carrier], records: Collection[Sanitised], since: date | None = None
) -> tuple[Carrier, ...]:
    """Those of which no record in force is about a medium; ``since``: that was sanitised on that day or later."""
    new = [r for r in records if since is None or r.sanitised_on >= since]
    return tuple(c for c in of if not any(c.of(r) for r in new))
