"""A case's horizon: the date after which nothing that we know of can bring the person back, by what was looked at last.

The certificate says it of its own moment; this is the same from the case book as it stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from include.cases import epochs, units
from include.cases.book import Conn
from include.cases.guards import BEYOND_RECALL
from include.cases.notices import outbox
from include.cases.notices.outcomes import outcomes
from include.ledger import horizon as ledger
from include.ledger.certificate import Copy, Horizon
from include.ledger.editions import recipients_for_person
from include.model.backups import written
from include.model.catalogue import Catalogue
from include.model.words import CopyKind, Disposition, UnitState


def copy_of(row: Mapping[str, Any], evidence: tuple[int, ...] = ()) -> Copy:
    """A backup set as a certificate names it, from a row of :func:`include.cases.epochs.of_case`."""
    gone = row["purged_on"] is not None
    return Copy(
        backup_set=row["backup_set"],
        store=row["store"],
        position=None if row["position"] is None else written(row["position"]),
        until=None if gone else row["horizon"],
        because=row["because"],
        gone_on=row["purged_on"],
        evidence=evidence,
    )


def of_case(conn: Conn, catalogue: Catalogue, case_no: str, *, auditor: bool = False) -> Horizon | None:
    """None if nothing is left that could bring the person back. ``auditor``: what only a confidential hold has
    recipients keep counts too."""
    told = outcomes(conn, catalogue, case_no)
    return ledger.of_sources(
        [
            *ledger.of_copies(copy_of(row) for row in epochs.of_case(conn, case_no)),
            *_locked(conn, case_no),
            *ledger.of_recipients(told if auditor else recipients_for_person(told), _silent(conn, case_no)),
        ]
    )


def _locked(conn: Conn, case_no: str) -> Iterator[tuple[date | None, str]]:
    for unit in units.of_case(conn, case_no):
        if unit.copy_kind is CopyKind.OBJECT_VERSION and unit.disposition is Disposition.RETAIN:
            yield unit.until, ledger.locked(unit.dataset, unit.law or "")


def _silent(conn: Conn, case_no: str) -> Iterator[str]:
    for row in outbox.listing(conn, case_no):
        if UnitState(row["state"]) not in BEYOND_RECALL:
            yield row["recipient"]
