"""One release from end to end: originals of a sample are kept, the rows are released, and somebody else tries to find them again.

For a step of a case, and for a nightly run, whose step names the rows that are due. The sample is kept in memory only: after a
kill between release and proof nobody has an original any more, and the attack is UNVERIFIED for ever, which says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from include.cases.proving import record_evidence
from include.cases.rooms import Desk
from include.model.flow import Evidence, Step
from include.model.words import Role
from include.stores.postgres.anonymise import Anonymiser, Released
from include.stores.postgres.server import Server

if TYPE_CHECKING:
    from psycopg import sql


@dataclass(frozen=True)
class Outcome:
    """What was released, what the prover says of the whole set since, and what it may be called."""

    released: Released
    evidence: Evidence
    word: str


def anonymise(
    desk: Desk,
    release_id: str,
    step: Step,
    *,
    chunk: int = 0,
    keys: sql.Composable | None = None,
    directory: Path | None = None,
    at: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Release the rows of ``keys`` (without: those that the step's area says are to be anonymised), and prove it. Again it
    changes nothing. Raises Refused, with nothing changed, if the declared thresholds cannot be met."""
    from include.proofs import anonymity, linkage
    from include.proofs.server import Reader

    release = desk.catalogue.release(release_id)
    dataset = desk.catalogue.dataset(release.dataset)
    connection = desk.catalogue.store(dataset.store).connection
    kept = linkage.take(Reader.of(desk.connections, dataset.store, connection), dataset, release)
    server = Server(lambda: desk.connections.postgres(connection, Role.ERASER), dataset.store)
    released = Anonymiser(server, desk.catalogue, release, at).run(step, chunk, keys)
    evidence = anonymity.prove(desk.catalogue, desk.connections, release, step, kept, directory)
    return Outcome(released, evidence, anonymity.word(release, evidence.verdict))


def record(desk: Desk, outcome: Outcome, *, as_of: date, actor: str) -> None:
    """Put the evidence into the ledger and the case book; a failed check is a finding of the case."""
    record_evidence(desk, outcome.evidence, as_of=as_of, actor=actor, strict=False)
