"""What commands share: whose word it is, the desk, the case book's reader, and how something is said."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from include.model.errors import Refused
from include.model.times import observed_now, prc_date
from include.model.words import Role

if TYPE_CHECKING:
    from include.cases.book import Conn
    from include.cases.discretion import Discretion
    from include.cases.rooms import Desk
    from include.model.catalogue import Catalogue
    from include.model.estate import BackupSet

ACCOUNT = "acct_ and twelve characters; asked for if left out, which keeps it out of the shell's history."


def desk() -> Desk:
    from include.cases.assembling import desk
    from include.commands._connections import connections

    return desk(connections(), catalogue())


def catalogue() -> Catalogue:
    from include.catalogue import load

    return load()


def backup_sets(named: Sequence[str] | None = None) -> list[BackupSet]:
    """The declared sets of these names; all, if none is named. Raises Refused."""
    declared = {b.id: b for b in catalogue().backups}
    if unknown := set(named or ()) - declared.keys():
        raise Refused(
            "there is no such set",
            about=", ".join(sorted(unknown)),
            next_step=f"name one of: {', '.join(declared)}",
        )
    return [declared[id] for id in named or declared]


def reader() -> Conn:
    """The case book as its reader: no sealed column, no key."""
    from include.cases import book
    from include.commands._connections import connections

    return book.connect(connections().postgres(book.RECORDS, Role.READER))


def me(role: str) -> str:
    """Who runs this command, as the machine knows it: not as the environment says, which anybody can set."""
    try:
        return f"{role}/{pwd.getpwuid(os.getuid()).pw_name}"
    except KeyError:
        return f"{role}/uid-{os.getuid()}"


def say(text: str) -> None:
    Console(highlight=False).print(text, soft_wrap=True, markup=False)


def today() -> date:
    return prc_date(observed_now())


def table(rows: Sequence[Mapping[str, Any]], columns: tuple[str, ...], as_json: bool) -> None:
    console = Console(highlight=False)
    if as_json:
        console.print_json(json.dumps(rows, default=str, ensure_ascii=False))
        return
    table = Table(box=None, pad_edge=False)
    for n, column in enumerate(columns):
        # The first column is what one copies into the next command: it is never cut or folded.
        table.add_column(column, no_wrap=n == 0, overflow="fold")
    for row in rows:
        table.add_row(*(cell(row.get(c)) for c in columns))
    console.print(table)


def cell(value: Any) -> str:
    if value is None:
        return ""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def discretion(conn: Conn, auditor: bool) -> Discretion:
    """How whoever runs this is told. The flag is care and no lock: what the reader's log-in may read, it may read."""
    from include.cases.discretion import EVERYTHING
    from include.cases.discretion import discretion as ours

    return EVERYTHING if auditor else ours(conn)
