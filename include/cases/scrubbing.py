"""The nightly scrub: the tables from which something went are written anew, once for all cases, and it is looked whether their
bytes are gone.

What asks for gone bytes waits in epochs (:mod:`include.cases.epochs`), so a table is written once for everybody of the nights
before. An epoch is rewritten when every table of it was; where the log stood then is what backups are compared with.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from include.cases import book, epochs, papers
from include.cases.book import Conn
from include.cases.epochs import Epoch
from include.cases.rooms import Desk
from include.model.catalogue import Catalogue
from include.model.errors import QuietusError, Refused
from include.model.estate import Dataset
from include.model.words import DatasetKind, Rung, StoreKind
from include.stores.postgres.physical.rewriting import Fate, Rewriting, Scrubbed
from include.stores.postgres.rights import STATISTICS

QUERY_CAN_SEE = Rung.R2
"""What is asked for beyond it is in files."""


@dataclass
class Scrub:
    """One night's rewriting: what each store says, and how many epochs are over. ``left``: tables that were not written
    anew, and stores that could not be asked."""

    said: dict[str, str] = field(default_factory=dict)
    rewritten: int = 0
    left: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        parts = [f"{store}: {said}" for store, said in sorted(self.said.items())]
        return (
            "; ".join([*parts, f"{self.rewritten} nights rewritten"])
            if parts
            else "nothing waits to be written anew"
        )


def scrub(desk: Desk, *, as_of: date, actor: str) -> Scrub:
    """Write anew what the waiting epochs of every database disposed of. Again, or after being killed, it goes on; a table
    that is left, as all are while disposing is stopped, is taken the next time. A store that cannot be asked does not keep the
    others waiting."""
    done = Scrub()
    for declared in desk.catalogue.stores:
        if declared.kind is not StoreKind.POSTGRES:
            continue
        with desk.book() as conn:
            waiting = epochs.to_rewrite(conn, declared.id)
        if not waiting:
            continue
        try:
            scrubbed = Rewriting(
                desk.catalogue, declared.id, desk.connections,
                datasets=asking(desk.catalogue, declared.id) | released(desk.catalogue),
                directory=directory(desk, declared.id), may_go_on=desk.may_go_on,
            ).run()  # fmt: skip
        except QuietusError as error:
            done.left.append(str(error))
            continue
        done.said[declared.id] = str(scrubbed)
        done.left += [f"{declared.id}: {o}" for o in scrubbed.of(Fate.LEFT)]
        if any(not o.sure for o in scrubbed.outcomes):
            done.left.append(
                f"{declared.id}: tables were written anew, and who may have seen what was dead in them is hidden; run the"
                " store's install again as a role that may read all statistics"
            )
        with desk.book() as conn:
            for epoch in waiting:
                done.rewritten += _over(desk, conn, epoch, scrubbed, as_of, actor)
    return done


def _over(desk: Desk, conn: Conn, epoch: Epoch, scrubbed: Scrubbed, as_of: date, actor: str) -> bool:
    """End an epoch's wait if every table of it was written anew, or is as it was when it last was."""
    wanted = {
        root
        for step in epochs.steps(conn, epoch.epoch_id)
        for dataset in gone_from(desk.catalogue, conn, step, epoch.store)
        for root in roots(desk.catalogue, dataset)
    }
    left = {o.root for o in scrubbed.outcomes if o.fate is Fate.LEFT or not o.sure}
    clean = {o.root for o in scrubbed.outcomes} - left
    if not wanted | set(STATISTICS) <= clean:
        return False
    with book.deed(conn, f"store {epoch.store}"):
        over = epochs.rewritten(conn, epoch, scrubbed.position, scrubbed.at)
        if over:
            cases = epochs.cases(conn, epoch.epoch_id)
            book.note_all(conn, cases, as_of, actor, "tables rewritten", detail={"store": epoch.store})
    return over


def gone_from(catalogue: Catalogue, conn: Conn, step_id: str, store: str) -> tuple[Dataset, ...]:
    """The tables from which a step disposed of something, by receipts, and that hold a category whose bytes are to go."""
    changed = {
        dataset
        for receipt in papers.receipts(conn, step_id, "dispose")
        if receipt.store == store
        for dataset, words in receipt.counts.items()
        if any(words.values())
    }
    wanted = changed & asking(catalogue.in_parts, store)
    return tuple(d for d in catalogue.in_parts.of_store(store, DatasetKind.TABLE) if d.id in wanted)


def asking(catalogue: Catalogue, store: str) -> frozenset[str]:
    """The tables that hold a category whose bytes are to go. All others stay as they are: nobody is locked out for them."""
    return frozenset(
        d.id
        for d in catalogue.of_store(store, DatasetKind.TABLE)
        if any(catalogue.category(c).rung > QUERY_CAN_SEE for c in d.all_categories)
    )


def released(catalogue: Catalogue) -> frozenset[str]:
    """The tables that rows are released from as anonymous, and their pseudonyms: for R10 no old row may be readable either.
    No case waits for them; they are written anew with the others."""
    return frozenset(
        d for r in catalogue.releases if r.claims == "anonymised" for d in (r.dataset, *r.pseudonyms)
    )


def roots(catalogue: Catalogue, dataset: Dataset) -> Iterator[str]:
    """A dataset's table, or that of the rows of which it is a part, and the views that are copies of it."""
    yield dataset.address
    for view in catalogue.derived:
        if view.store == dataset.store and dataset.whole in view.of:
            yield view.address


def directory(desk: Desk, store: str) -> Path | None:
    """A database's data directory, where somebody says that this machine sees it: connection ``<connection>_files``."""
    try:
        return Path(desk.connections.text(f"{desk.catalogue.store(store).connection}_files"))
    except Refused:
        return None


def to_certify(conn: Conn) -> tuple[str, ...]:
    """Cases at rest of which files, or their database's own log, were looked into with success since they were certified."""
    rows = conn.execute(
        "SELECT DISTINCT e.case_no FROM casebook.evidence_ref e JOIN casebook.case_ c USING (case_no)"
        " WHERE e.kind IN ('residue', 'own_log') AND e.verdict = 'passed' AND c.state IN ('waiting', 'held') AND e.observed_at >"
        " coalesce((SELECT max(f.issued_at) FROM casebook.certificate f WHERE f.case_no = e.case_no), '-infinity')"
        " ORDER BY 1"
    ).fetchall()
    return tuple(str(row["case_no"]) for row in rows)
