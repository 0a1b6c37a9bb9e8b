"""The stores as a night works on them, with the questions that it asks and how many items it may take."""

from __future__ import annotations

from datetime import date, datetime

from include.cases import holds
from include.cases.book import Conn
from include.cases.retention import stopping
from include.cases.retention.accepted import Asked
from include.cases.retention.asking import Asking
from include.cases.retention.behind import Needed
from include.cases.retention.held import held_people
from include.cases.retention.paths_due import PathsDue
from include.cases.retention.readings import Readings
from include.cases.retention.stages import Budget
from include.cases.retention.stopped import stopped
from include.cases.rooms import Desk
from include.model.catalogue import Catalogue
from include.model.doors import Clearing
from include.model.estate import StoreDeclared
from include.model.words import Role, StoreKind


def asking(desk: Desk, as_of: date, at: datetime | None, by: Catalogue | None = None) -> Asking:
    """The questions of a night, with whom the holds of now name. ``by``: the catalogue as it stands by now, where it was asked
    for already."""
    return Asking(
        (by or stopped(desk)).in_parts, as_of, lambda: held_people(desk), at,
        accepted=lambda: Asked(desk.catalogue, desk.connections),
    )  # fmt: skip


def stores_of(desk: Desk, about: Asking) -> list[StoreDeclared]:
    """The stores that a night works on, without a connection to any: databases, and those with objects or logs to ask about."""
    return [
        x for x in desk.catalogue.stores
        if (x.kind is StoreKind.POSTGRES and desk.catalogue.of_store(x.id))
        or (x.kind is StoreKind.S3 and (about.objects(x.id) or about.records(x.id)))
    ]  # fmt: skip


def worked_on(desk: Desk, about: Asking) -> set[str]:
    """The datasets of the stores that a night works on."""
    return {d.id for x in stores_of(desk, about) for d in desk.catalogue.in_parts.of_store(x.id)}


def clearings(
    desk: Desk, about: Asking, *, conn: Conn | None = None, budget: Budget | None = None
) -> list[Clearing]:  # fmt: skip
    """The stores as a night works on them: objects first, for they lead through rows. ``conn``: of the book, asked before each
    piece for stops and holds."""
    from include.stores.postgres.clearing import Clearing as Tables
    from include.stores.s3.clearing import Clearing as Objects

    def stops() -> None:
        if conn is not None:
            stopping.may_go_on(conn)

    def changes() -> object:
        return holds.changes(conn) if conn is not None else None

    budget = budget or Budget(None)
    take = budget.take
    objects: list[Clearing] = []
    tables: list[Clearing] = []
    for declared in stores_of(desk, about):
        if declared.kind is StoreKind.POSTGRES:
            tables.append(
                Tables(
                    desk.catalogue.in_parts, declared.id, desk.connections, about.looks, about.fates, changes, stops, take,
                    Needed(about, desk.connections), about.unasked, since=about.since, at_most=budget.at_most,
                )
            )  # fmt: skip
        else:
            ours = (*about.objects(declared.id), *about.records(declared.id))
            due_ = PathsDue(about, desk.connections, changes)
            objects.append(
                Objects(
                    desk.catalogue, declared.id, desk.connections, ours, due_, about.aging, stops, take, about.unasked,
                    memory=Readings(desk, Role.ERASER),
                )
            )  # fmt: skip
    return objects + tables
