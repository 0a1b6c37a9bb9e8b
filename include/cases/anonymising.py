"""What a release needs of whoever attacks it: originals that are kept before it, and the look at the set afterwards.

The originals are kept in memory only. After a kill between release and proof, and whenever a set is looked at again, nobody has
them any more: then the attacker is the one of the yearly test, who knows rows that are still personal and whole rows of the set.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from include.cases.rooms import Desk
from include.model.flow import Evidence, Step
from include.model.releases import Release

if TYPE_CHECKING:
    from include.proofs.linkage import Original
    from include.proofs.server import Reader


def originals(desk: Desk, release: Release) -> tuple[Original, ...]:
    """A sample of the rows that are still there, by the prover: the rarest, the first and last of each column, some by chance."""
    from include.proofs import linkage

    return linkage.take(_reader(desk, release), desk.catalogue.dataset(release.dataset), release)


def tried(
    desk: Desk, release: Release, step: Step, sample: tuple[Original, ...], directory: Path | None
) -> Evidence:  # fmt: skip
    """Measured, attacked, and its old files looked into. Raises NotReachable."""
    from include.proofs import anonymity, linkage

    if not sample:
        reader, dataset = _reader(desk, release), desk.catalogue.dataset(release.dataset)
        sample = (
            *linkage.take(reader, dataset, release),
            *linkage.take_published(reader, dataset, release),
        )
    return anonymity.prove(desk.catalogue, desk.connections, release, step, sample, directory)


def word(release: Release, found: Evidence) -> str:
    """What the set may be called by this evidence."""
    from include.proofs import anonymity

    return anonymity.word(release, found.verdict)


def _reader(desk: Desk, release: Release) -> Reader:
    from include.proofs.server import Reader

    store = desk.catalogue.store(desk.catalogue.dataset(release.dataset).store)
    return Reader.of(desk.connections, store.id, store.connection)
