"""``quietus replay``: a database was restored; what had been deleted is deleted again before it serves anybody."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from include.commands import _common as common
from include.model.errors import Refused
from include.model.words import Role, StoreKind

if TYPE_CHECKING:
    from include.cases.histories import Known
    from include.model.catalogue import Catalogue
    from include.model.doors import Connections

app = typer.Typer(help="A restored database is cleaned before it serves.", no_args_is_help=True)
Store = Annotated[str, typer.Argument(help="As stores.yaml has it.", metavar="STORE")]


@app.command()
def look() -> None:
    """Whether each database is the one that we knew. Exit status 3: one was restored, and is not given back."""
    from include.cases import histories

    with common.reader() as conn:
        stores = [s.id for s in common.catalogue().stores if s.kind is StoreKind.POSTGRES]
        restored = {s: histories.open_restoration(conn, s) for s in stores}
        known = {s: histories.known(conn, s) for s in stores}
    for store in stores:
        was, found = known[store], restored[store]
        common.say(f"{store}: {_seen(was)}")
        if found is not None:
            common.say(
                f"  restored, noticed {found.noticed_at:%Y-%m-%d %H:%M %Z}: {'; '.join(found.because)}"
            )
    if any(restored.values()):
        raise typer.Exit(3)


def _seen(was: Known | None) -> str:
    if was is None:
        return "never seen"
    h = was.history
    return f"counter {h.counter}, timeline {h.timeline}, seen {h.moment:%Y-%m-%d %H:%M %Z}"


@app.command()
def run(
    store: Store,
    said: Annotated[bool, typer.Option("--restored", help="You know that it was restored, whatever it looks like.")] = False,
) -> None:  # fmt: skip
    """A running database: close it if it was restored, delete again, prove, and give it back."""
    from include.cases import replaying, restored

    desk = common.desk()
    where = replaying.place(desk.catalogue, _postgres(desk.catalogue, store), desk.connections)
    common.say(str(restored.recover(desk, where, as_of=common.today(), actor=common.me("ops"), said=said)))


@app.command()
def directory(
    store: Store,
    data: Annotated[Path, typer.Argument(help="The restored data directory, not started.", exists=True, file_okay=False)],
    binaries: Annotated[Path, typer.Option(help="Where this PostgreSQL's `postgres` is.", exists=True, file_okay=False)],
) -> None:  # fmt: skip
    """A restored data directory: start it for us alone, delete again, prove, count on, and stop it. Then start it as ever."""
    from include.backups.private import started
    from include.backups.serving import PORT
    from include.cases import replaying, restored
    from include.cases.elsewhere import Elsewhere, over_socket

    desk = common.desk()
    connection = desk.catalogue.store(_postgres(desk.catalogue, store)).connection
    with started(data.resolve(), binaries.resolve(), _logins(desk.connections, connection)) as sockets:
        there = Elsewhere(desk.connections, connection, over_socket(str(sockets), PORT))
        where = replaying.place(desk.catalogue, store, there)
        common.say(
            str(restored.recover(desk, where, as_of=common.today(), actor=common.me("ops"), said=True))
        )
    common.say("stopped; start it as ever")


def _logins(connections: Connections, connection: str) -> list[str]:
    from psycopg.conninfo import conninfo_to_dict

    return [
        str(conninfo_to_dict(connections.postgres(connection, r))["user"]) for r in (Role.ERASER, Role.PROVER)
    ]


def _postgres(catalogue: Catalogue, store: str) -> str:
    known = [s.id for s in catalogue.stores if s.kind is StoreKind.POSTGRES]
    if store not in known:
        raise Refused("there is no such database", about=store, next_step=f"name one of: {', '.join(known)}")
    return store
