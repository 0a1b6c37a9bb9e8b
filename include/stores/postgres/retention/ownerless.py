"""Shared rows that nobody owns: each party's own row went, by its own rule or by whoever deleted it. What counts from the end of
its last owner's account has nobody left to count from, and would stay for ever; so it is told."""

from __future__ import annotations

from psycopg import sql

from include.model.words import Ownership
from include.stores.postgres.retention.bare import is_cut
from include.stores.postgres.retention.look import ROWS, Key, Look, of_parts
from include.stores.postgres.retention.owners import Owners
from include.stores.postgres.server import Connection, Server, name


def ownerless(server: Server, connection: Connection, it: Look, rows: int = ROWS) -> int:
    """How many rows of a dataset have no owner and no date of their own, and are there whole: what is left of a cut one has its
    date, and nobody by design. Read part by part."""
    shared = any(link.ownership is Ownership.SHARED for link in it.dataset.links)
    if not shared or any(x.start and x.start.column and not x.rest for x in it.question.limits):
        return 0
    uncut = sql.SQL("true") if it.rest is None else sql.SQL("NOT ({})").format(is_cut(it.dataset))

    def asked(part: Look, after: Key | None, upto: Key | None) -> sql.Composed:
        known: sql.Composable = Owners(part.catalogue, part.live).known(part.dataset, "t", owning=True)
        if part.came is not None:  # what was taken over has its clocks, whoever came
            known = sql.SQL("{} OR {}").format(known, part.came.any_came())
        return sql.SQL("SELECT count(*) FROM {} AS t WHERE {} AND {} AND {} AND NOT ({})").format(
            name(part.dataset.address), part.between(after, upto), part.whole(), uncut,
            known,
        )  # fmt: skip

    return sum(int(row[0]) for row in of_parts(server, connection, it, asked, rows))
