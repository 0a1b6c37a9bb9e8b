"""What is late by periods of less than a day, to the minute: codes after ten minutes; faces, locations and keys after a day.

The night judges by days, and would take a code of this morning tomorrow. These have a schedule of their own. Read only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from include.cases.retention.due import ask
from include.cases.retention.held import HeldPeople
from include.cases.retention.limits import question
from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.errors import BooksDoNotBalance, CatalogueError
from include.model.estate import Dataset
from include.model.retention import Late, Question
from include.model.times import prc_date
from include.model.words import DatasetKind
from include.stores.postgres.retention.hours import Hours, hours, short
from include.stores.postgres.retention.look import ROWS, Look
from include.stores.postgres.retention.paths import PathHours, Paths
from include.stores.postgres.server import Connection, Server


@dataclass
class Minutes:
    """What was late at a moment, and which datasets could not be asked, with why."""

    at: datetime
    found: list[Late] = field(default_factory=list)
    unverified: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, dict[str, str]] = field(default_factory=dict)  # store -> place -> type


@dataclass(frozen=True)
class Lateness:
    """One line of the table that ops reads. ``late``: minutes since the first of them that nothing holds was over."""

    rule: str
    dataset: str
    due: int
    late: int | None
    held: int
    basis: str


def late(
    catalogue: Catalogue, connections: Connections, at: datetime, *, held: HeldPeople | None = None, rows: int = ROWS,
    only: Collection[str] | None = None,
) -> Minutes:  # fmt: skip
    """Ask every store what is past a period of less than a day at an aware moment. ``only``: of these datasets; None: of all."""
    catalogue, minutes = catalogue.in_parts, Minutes(at)

    def questions(dataset: Dataset) -> Question | None:
        if only is not None and dataset.id not in only:
            return None
        asked = question(catalogue, dataset, prc_date(at))
        return asked if any(short(x) for x in asked.limits) else None

    def one(server: Server, connection: Connection, it: Look) -> None:
        minutes.found += _past(hours(server, connection, _at(it, at), rows), at)

    minutes.unverified = ask(
        catalogue, connections, questions, held or HeldPeople(), one, shapes=minutes.shapes
    )
    return minutes


def judged(catalogue: Catalogue, at: datetime) -> frozenset[str]:
    """The datasets of which :func:`late` can say that something is; of all others it says nothing."""
    found = set()
    for dataset in catalogue.in_parts.datasets:
        with suppress(CatalogueError):  # which it says itself, as UNVERIFIED
            limits = question(catalogue, dataset, prc_date(at)).limits
            if dataset.kind is not DatasetKind.RECORDS and any(short(x) for x in limits):
                found.add(dataset.id)
    return frozenset(found)


def _at(it: Look, at: datetime) -> Hours:
    return (PathHours if isinstance(it, Paths) else Hours)(**it.asked(), at=at)


def _past(found: Iterable[Late], at: datetime) -> Iterable[Late]:
    for it in found:
        if it.since > at:
            raise BooksDoNotBalance(
                f"the store calls {it.items} items late that are in time", about=it.dataset,
                next_step="this is a fault of the query; report it, and dispose of nothing by it",
            )  # fmt: skip
        yield it


def table(minutes: Minutes) -> list[Lateness]:
    """Per rule and dataset, the longest late first."""
    of: dict[tuple[str, str], list[Late]] = {}
    for it in minutes.found:
        of.setdefault((it.rule, it.dataset), []).append(it)
    rows = [_line(rule, dataset, them, minutes.at) for (rule, dataset), them in of.items()]
    return sorted(rows, key=lambda r: (-(r.late or 0), r.rule, r.dataset))


def _line(rule: str, dataset: str, of: Sequence[Late], at: datetime) -> Lateness:
    free = [x for x in of if not x.held]
    since = min((x.since for x in free), default=None)
    return Lateness(
        rule, dataset, due=sum(x.items for x in free), late=(at - since) // timedelta(minutes=1) if since else None,
        held=sum(x.items for x in of if x.held), basis="company period" if of[0].company else of[0].law,
    )  # fmt: skip
