"""A :class:`~include.cases.rooms.Desk` over the real rooms: what a verb is given, made from connections and a catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from include.cases import book
from include.cases.accounts import CatalogueAccounts
from include.cases.keys import FileKeyStore
from include.cases.restored import faithful
from include.cases.rooms import KEY_DIRECTORY, WRAPPING_KEY, Desk
from include.cases.wiring import pasts, stores
from include.model.backups import BackupTool
from include.model.catalogue import Catalogue
from include.model.doors import Channel, Connections, Store
from include.model.errors import Refused
from include.model.estate import BackupSet
from include.model.flow import Evidence
from include.model.policy import Recipient
from include.model.sessions import session
from include.model.words import Role

CALLBACK = "callback"


def desk(connections: Connections, catalogue: Catalogue) -> Desk:
    """A desk over the real rooms. Raises Refused if a connection is not declared."""
    from include.cases.notices.register import Company as CompanyData

    def are_ours() -> None:
        faithful(made, pasts(catalogue, connections))

    def faithful_stores() -> Sequence[Store]:
        are_ours()
        return stores(catalogue, connections, made.may_go_on)

    made = Desk(
        catalogue=catalogue,
        connections=connections,
        keys=FileKeyStore.from_text(connections.text(KEY_DIRECTORY), connections.text(WRAPPING_KEY)),
        stores=faithful_stores,
        are_ours=are_ours,
        accounts=CatalogueAccounts(catalogue, connections),
        append=lambda evidence, key: append_evidence(connections, evidence, key),
        record=lambda kind, case_no, body, key: record_entry(connections, kind, case_no, body, key),
        backup_tool=lambda backup: open_backup_tool(backup, connections),
        company=CompanyData(catalogue, connections),
        channel=lambda recipient: open_channel(catalogue, connections, recipient),
    )
    return made


def open_backup_tool(backup: BackupSet, connections: Connections) -> BackupTool:
    """By the backups' room; a database's own log by the room of its store."""
    if backup.tool == "own_log":
        from include.stores.postgres.physical.own_log import open_log

        return open_log(backup, connections)
    from include.backups.opening import open_tool

    return open_tool(backup, connections)


def open_channel(catalogue: Catalogue, connections: Connections, recipient: Recipient) -> Channel:
    """The real way to a recipient. Without a ``callback`` connection it is asked, and calls nobody back."""
    from include.recipients.opening import open_channel as opened

    try:
        callback: str | None = connections.text(CALLBACK)
    except Refused:
        callback = None
    names = {c.id: c.zh for c in catalogue.categories}
    return opened(recipient, connections, callback_url=callback, names=names)


def append_evidence(connections: Connections, evidence: Evidence, key: str) -> Sequence[str]:
    """Queue evidence in the ledger, as its writer; the keys of the entries."""
    from include.ledger import log

    conninfo = connections.postgres(book.RECORDS, Role.LEDGER_WRITER)
    with session(conninfo, "ledger", lambda: log.connect(conninfo)) as conn:
        return log.append_evidence(conn, evidence, key=key)


def record_entry(
    connections: Connections, kind: str, case_no: str | None, body: dict[str, Any], key: str
) -> None:
    """Queue an entry of the ledger, as its writer; once for a key. Raises KeyTaken if it said something else."""
    from include.ledger import log

    conninfo = connections.postgres(book.RECORDS, Role.LEDGER_WRITER)
    with session(conninfo, "ledger", lambda: log.connect(conninfo)) as conn:
        log.append(conn, kind, case_no, body, key=key)
