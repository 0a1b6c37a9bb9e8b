"""The catalogue's starting-point queries as sub-selects over a cohort of their people."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from datetime import date

import psycopg
from psycopg import sql

from include.model.catalogue import Catalogue
from include.model.errors import CatalogueError
from include.stores.postgres.server import Connection, joined

OIDS = {1082: "date", 1114: "timestamp", 1184: "timestamptz"}  # pg_type.dat


def starting_point(catalogue: Catalogue, query: str, as_of: date) -> sql.Composable:
    """A starting-point query of the catalogue as a sub-select over ``cohort``; nobody's relation is being ended."""
    text = catalogue.starting_points.get(query)
    if text is None:
        raise CatalogueError(
            f"the starting point {query} has no SQL", about="starting points",
            next_step=f"write starting_points/{query}.sql",
        )  # fmt: skip
    body = (
        text.strip().rstrip(";").replace("%(as_of)s", "{as_of}").replace("%(restricting)s", "{restricting}")
    )
    # The text is the catalogue's own; braces of its own would be taken for places, so they are doubled.
    body = body.replace("{", "{{").replace("}", "}}")
    for place in ("as_of", "restricting"):
        body = body.replace("{{" + place + "}}", "{" + place + "}")
    return sql.SQL(body.replace("%%", "%")).format(as_of=sql.Literal(as_of), restricting=sql.Literal(False))


def kinds(
    connection: Connection, catalogue: Catalogue, queries: Sequence[str], as_of: date,
    known: MutableMapping[str, str] | None = None,
) -> dict[str, str]:  # fmt: skip
    """The type of each query's ``started_at``, asked of the server for nobody. ``known``: what it said already, kept there; if it
    said nothing yet, it is asked about every query of the catalogue, for more will be wanted."""
    if known is None:
        known = {}
    elif queries and not known:
        known.update(_all_kinds(connection, catalogue, as_of))
    for query in queries:
        if query in known:
            continue
        cursor = connection.execute(
            sql.SQL(
                "WITH cohort(subject_no, subject_id) AS (SELECT 0, ''::text WHERE false) SELECT * FROM ({}\n) AS q LIMIT 0"
            ).format(starting_point(catalogue, query, as_of))
        )
        types = {c.name: c.type_code for c in cursor.description or ()}
        if OIDS.get(types.get("started_at", 0)) is None:
            raise CatalogueError(
                "it returns no date or time started_at", about=f"starting_points/{query}.sql",
                next_step="name the starting point started_at",
            )  # fmt: skip
        known[query] = OIDS[types["started_at"]]
    return {q: known[q] for q in queries}


def _all_kinds(connection: Connection, catalogue: Catalogue, as_of: date) -> dict[str, str]:
    """The same of all queries of the catalogue in one statement; nothing, if one of them cannot be asked: which one it is, and
    whom it stops, is told when it is asked by itself."""
    every = sorted(catalogue.starting_points)
    if not every:
        return {}
    each = joined(
        ", ",
        (
            sql.SQL("(SELECT started_at FROM ({}\n) AS q LIMIT 0)").format(
                starting_point(catalogue, q, as_of)
            )
            for q in every
        ),
    )
    try:
        with connection.transaction():
            cursor = connection.execute(
                sql.SQL(
                    "WITH cohort(subject_no, subject_id) AS (SELECT 0, ''::text WHERE false) SELECT {} LIMIT 0"
                ).format(each)
            )
    except psycopg.Error:
        if connection.closed:
            raise
        return {}
    types = [OIDS.get(c.type_code) for c in cursor.description or ()]
    return {q: kind for q, kind in zip(every, types, strict=True) if kind is not None}
