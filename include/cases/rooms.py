"""The assembling: a :class:`Desk` has everything that a verb needs, made from connections and a catalogue."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from include.cases import book
from include.cases.accounts import Accounts, CatalogueAccounts
from include.cases.book import Case, Conn
from include.cases.keys import FileKeyStore, KeyStore
from include.cases.notices.composing import Given
from include.cases.notices.whom import Company, Used
from include.cases.sealing import Seal
from include.model.backups import BackupTool
from include.model.catalogue import BackupSet, Catalogue, Recipient
from include.model.doors import Channel, Connections, Store
from include.model.errors import NotReachable, Refused
from include.model.flow import Evidence
from include.model.notices import Answer, Identity, Judgement, Notice
from include.model.words import Role, StoreKind

if TYPE_CHECKING:
    from include.stores.postgres.past import Past

KEY_DIRECTORY = "key_store"  # plain connections: a path, and the wrapping key in base64
WRAPPING_KEY = "key_store_kek"
CALLBACK = "callback"

Stores = Callable[[], Sequence[Store]]
Append = Callable[[Evidence, str], Sequence[str]]
Record = Callable[[str, str | None, dict[str, Any], str], None]  # kind, case number, body, key


def code_version() -> str:
    """The version of Quietus that plans are pinned to."""
    try:
        return version("quietus")
    except PackageNotFoundError:
        return "unreleased"


class NoRegister:
    """There is no transfer register: recipients are told by the kinds of data that were located."""

    def given(self, subjects: Sequence[str]) -> Mapping[str, Given] | None:
        return None

    def since(self, subjects: Sequence[str]) -> date | None:
        return None

    def forgets(self, day: date, as_of: date) -> bool:
        return True

    def used(self, recipient: Recipient, subjects: Sequence[str], located: frozenset[str]) -> Used | None:
        return None

    def identities(self, recipient: Recipient, subjects: Sequence[str]) -> tuple[Identity, ...]:
        return ()


def no_channel(recipient: Recipient) -> Channel:
    raise Refused("this desk tells nobody", about=recipient.id, next_step="use the desk of the real rooms")


def no_tool(backup: BackupSet) -> BackupTool:
    raise Refused("this desk reads no backups", about=backup.id, next_step="use the desk of the real rooms")


def no_ledger(kind: str, case_no: str | None, body: dict[str, Any], key: str) -> None:
    raise Refused("this desk keeps no ledger", about=kind, next_step="use the desk of the real rooms")


def judged(
    recipient: Recipient, categories: Sequence[str], answer: Answer, **more: Any
) -> tuple[Judgement, ...]:
    """By the recipients' room."""
    from include.recipients.answers import judge

    return judge(recipient, categories, answer, **more)


@dataclass(frozen=True)
class Desk:
    """What a verb works with. Made once a task by :func:`desk`; tests make their own.

    ``company`` answers from its own data what each recipient was given; ``channel`` opens the way to one, ``judge``
    says what an answer is worth, and ``letter`` writes what a person is to say. ``append`` writes evidence to the ledger,
    ``record`` what else it is to say; ``backup_tool`` reads a backup set. ``are_ours`` raises Refused while a store is one that
    was restored, as ``stores`` does.
    """

    catalogue: Catalogue
    connections: Connections
    keys: KeyStore
    stores: Stores
    accounts: Accounts
    append: Append
    company: Company = field(default_factory=NoRegister)
    channel: Callable[[Recipient], Channel] = no_channel
    judge: Callable[..., tuple[Judgement, ...]] = judged
    record: Record = no_ledger
    backup_tool: Callable[[BackupSet], BackupTool] = no_tool
    are_ours: Callable[[], None] = lambda: None
    code: str = field(default_factory=code_version)

    @contextmanager
    def book(self) -> Iterator[Conn]:
        """A connection to the case book as its writer. Raises NotReachable, also if it is lost meanwhile."""
        with (
            book.reaching("case book"),
            book.connect(self.connections.postgres(book.RECORDS, Role.CASE_WRITER)) as conn,
        ):
            yield conn

    def letter(self, recipient: Recipient, notice: Notice) -> str:
        """What a person says or sends to a recipient. Personal."""
        from include.recipients.letters import letter

        return letter(recipient, notice, names={c.id: c.zh for c in self.catalogue.categories})

    def seal(self, case: Case) -> Seal:
        return Seal(self.keys, case.key_id, case.case_no)


def desk(connections: Connections, catalogue: Catalogue) -> Desk:
    """A desk over the real rooms. Raises Refused if a connection is not declared."""
    from include.cases.notices.register import Company as CompanyData

    def are_ours() -> None:
        from include.cases.restored import faithful

        faithful(made, pasts(catalogue, connections))

    def faithful_stores() -> Sequence[Store]:
        are_ours()
        return stores(catalogue, connections)

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

    with log.connect(connections.postgres(book.RECORDS, Role.LEDGER_WRITER)) as conn:
        return log.append_evidence(conn, evidence, key=key)


def record_entry(
    connections: Connections, kind: str, case_no: str | None, body: dict[str, Any], key: str
) -> None:
    """Queue an entry of the ledger, as its writer; once for a key. Raises KeyTaken if it said something else."""
    from include.ledger import log

    with log.connect(connections.postgres(book.RECORDS, Role.LEDGER_WRITER)) as conn:
        log.append(conn, kind, case_no, body, key=key)


def stores(catalogue: Catalogue, connections: Connections) -> Sequence[Store]:
    """The stores of a catalogue, databases first: they answer for the objects' owners."""
    from include.cases.wiring import make

    order = sorted(catalogue.stores, key=lambda s: s.kind is not StoreKind.POSTGRES)
    made: list[Store] = []
    for declared in order:
        made.append(make(catalogue, declared, connections, made))
    return tuple(made)


def pasts(catalogue: Catalogue, connections: Connections) -> Sequence[Past]:
    """The databases whose history is watched: all that hold tables of ours."""
    from include.stores.postgres.past import Past

    return tuple(
        Past(catalogue, s.id, connections)
        for s in catalogue.stores
        if s.kind is StoreKind.POSTGRES and catalogue.of_store(s.id)
    )


def reachable(stores: Sequence[Store]) -> Sequence[Store]:
    """The same stores; raises NotReachable if there is none, since an empty survey is not a zero."""
    if not stores:
        raise NotReachable(
            "no store is declared", about="catalogue", next_step="declare the company's stores"
        )
    return stores
