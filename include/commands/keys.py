"""``quietus keys``: the store of case keys, outside every database that is backed up; and the keys of sealed objects, in one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from include.commands import _common as common
from include.commands._connections import connections
from include.commands._options import AsJson
from include.model.words import Role

if TYPE_CHECKING:
    from include.model.estate import Dataset
    from include.stores.postgres.server import Server

app = typer.Typer(no_args_is_help=True, help="Case keys, and the keys of sealed objects.")


@app.command()
def begin() -> None:
    """Make the directory of the connection `key_store` a key store. One that is there already is left as it is."""
    from include.cases.keys import FileKeyStore
    from include.cases.rooms import KEY_DIRECTORY, WRAPPING_KEY

    known = connections()
    FileKeyStore.from_text(known.text(KEY_DIRECTORY), known.text(WRAPPING_KEY), begin=True)
    typer.echo("the key store is there")


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """How many keys of sealed objects each key-encryption key wraps, by dataset, and whether we have it."""
    from include.model.keks import Keks
    from include.stores.postgres.rewrapping import by_kek

    ring = Keks.of(connections())
    rows = [
        {"keys": keys.id, "wrapped with": name, "rows": n,
         "that": "is the newest" if name == ring.newest else "is here" if name in ring.by_name else "is NOT here"}
        for server, keys in _tables()
        for name, n in sorted(by_kek(server, keys).items())
    ]  # fmt: skip
    common.table(rows, ("keys", "wrapped with", "rows", "that"), as_json)


@app.command()
def rewrap() -> None:
    """Wrap every key of sealed objects with the first key-encryption key of the connection `object_keks`. No object is
    touched. Once no row names the old one, take it out there and destroy it. Exit status 3: some do not open."""
    from include.model.keks import Keks
    from include.stores.postgres.rewrapping import rewrap as wrap_anew

    ring, unopened = Keks.of(connections()), 0
    for server, keys in _tables():
        found = wrap_anew(server, keys, ring)
        unopened += found.unopened
        common.say(f"{keys.id}: {found.done} wrapped anew with {ring.newest}"
                   + (f", {found.unopened} do not open and were left" if found.unopened else ""))  # fmt: skip
    if unopened:
        raise typer.Exit(3)


def _tables() -> Iterator[tuple[Server, Dataset]]:
    from include.stores.postgres.server import Server

    catalogue, known = common.catalogue(), connections()
    for keys in catalogue.datasets:
        if keys.keys is not None:
            store = catalogue.store(keys.store)
            connection = store.connection
            yield Server(lambda c=connection: known.postgres(c, Role.ERASER), store.id), keys  # type: ignore[misc]
