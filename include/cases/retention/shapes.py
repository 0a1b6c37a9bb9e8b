"""By which columns nights judge, with their types: as a night saw them first, or as a person accepted them since.

Types are remembered and not declared: a catalogue that had to name the type of every column on every way to an owner would be
wrong sooner than the database, and a type alone does not say that values were carried over well. So what differs from what
nights judged by is a person's question, not the catalogue's (``include.stores.postgres.retention.shape``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from include.cases import book
from include.cases.book import Conn
from include.cases.retention.due import answering
from include.cases.retention.nights import Night
from include.cases.rooms import Desk
from include.model.catalogue import Catalogue
from include.model.errors import Refused
from include.model.screening import kind_of_identifier
from include.model.words import DatasetKind, Role, StoreKind
from include.stores.postgres.live import Live
from include.stores.postgres.retention.shape import NOT_UNIQUE, UNIQUE, Change, changes
from include.stores.postgres.server import Server

KIND = "shape"
"""Of the ledger's entries: that a person accepted what a column by which nights judge was made."""
Shapes = Mapping[str, Mapping[str, str]]
"""Store -> place (``schema.table.column``) -> type."""


@dataclass(frozen=True)
class Changed:
    """A column that is not as nights knew it, in a store, and the datasets that stand still for it."""

    store: str
    change: Change
    datasets: tuple[str, ...]


def known(conn: Conn) -> dict[str, dict[str, str]]:
    """What nights judge by, as it was seen first or accepted last."""
    found: dict[str, dict[str, str]] = {}
    for row in conn.execute(
        "SELECT DISTINCT ON (store, place) store, place, type FROM casebook.shape ORDER BY store, place, shape_id DESC"
    ):
        found.setdefault(row["store"], {})[row["place"]] = row["type"]
    return found


def remember(conn: Conn, night: Night, seen: Shapes) -> None:
    """Write down what no night saw before. What one knew it does not take back: that is a person's to accept. But a key that is
    one again counts as one again."""
    before = known(conn)
    new = [
        (night.night_id, store, place, kind)
        for store, of in seen.items()
        for place, kind in of.items()
        if before.get(store, {}).get(place) in ((None,) if kind != UNIQUE else (None, NOT_UNIQUE))
    ]
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO casebook.shape (night, store, place, type) VALUES (%s, %s, %s, %s)", new
        )


def with_shapes(conn: Conn, catalogue: Catalogue) -> Catalogue:
    """The catalogue with what nights knew, so that each look compares."""
    return catalogue.model_copy(update={"shapes": known(conn)})


def changed(desk: Desk) -> list[Changed]:
    """What is not as nights knew it, by the prover, with the datasets that it stops. Raises NotReachable if a store does not
    answer."""
    with desk.book() as conn:
        catalogue, before = desk.catalogue.in_parts, known(conn)
    found: dict[tuple[str, Change], list[str]] = {}
    for store in catalogue.stores:
        if store.kind is not StoreKind.POSTGRES:
            continue
        server = Server(lambda c=store.connection: desk.connections.postgres(c, Role.PROVER), store.id)  # type: ignore[misc]
        with server.connect() as connection, server.reaching():
            live = Live.read(connection)
        for dataset in catalogue.datasets:
            if dataset.kind is DatasetKind.RECORDS or answering(catalogue, dataset) != store.id:
                continue
            for it in changes(catalogue, live, dataset, before.get(store.id, {})):
                found.setdefault((store.id, it), []).append(dataset.id)
    return [Changed(store, it, tuple(of)) for (store, it), of in found.items()]


def accept(desk: Desk, place: str, document: str, *, actor: str) -> list[Changed]:
    """A person's word, by a document, that every value of a column means what it meant: nights judge by it as it is now. Raises
    Refused if it is as they knew it, or without a document that names nobody."""
    book.checked_actor(actor)
    if not document.strip():
        raise Refused(
            "it needs a document that says who changed the column, and how its values were carried over", about=place,
            next_step="give the number of one",
        )  # fmt: skip
    if kind := kind_of_identifier(document, account_ids=True):
        raise Refused(
            f"its document holds {kind}",
            about=place,
            next_step="give the number of a paper, and nobody's data",
        )
    mine = [x for x in changed(desk) if x.change.place == place]
    if not mine:
        raise Refused(
            "it is as nights know it, or no night judges by it", about=place,
            next_step="see `quietus retention shape show`",
        )  # fmt: skip
    for x in mine:
        body = {
            "store": x.store, "place": place, "was": x.change.was, "now": x.change.now, "actor": actor, "document": document,
            "datasets": list(x.datasets),
        }  # fmt: skip
        with desk.book() as conn:
            row = conn.execute(
                "SELECT coalesce(max(shape_id), 0) AS last FROM casebook.shape WHERE store = %s AND place = %s", (x.store, place)
            ).fetchone()  # fmt: skip
        # The ledger first, under a key that stays until the book has it: killed in between, the word is given again.
        desk.record(KIND, None, body, f"{KIND}:{x.store}:{place}:{row['last'] if row else 0}")
        with desk.book() as conn, book.deed(conn, "nights"):
            conn.execute(
                "INSERT INTO casebook.shape (store, place, type, actor, document) VALUES (%s, %s, %s, %s, %s)",
                (x.store, place, x.change.now, actor, document),
            )
    return mine
