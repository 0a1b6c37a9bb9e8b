"""The assembling: a :class:`Desk` has everything that a verb needs, made from connections and a catalogue."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

from include.cases import book
from include.cases.accounts import Accounts, CatalogueAccounts
from include.cases.book import Case, Conn
from include.cases.keys import FileKeyStore, KeyStore
from include.cases.outbox import Given
from include.cases.sealing import Seal
from include.model.catalogue import Catalogue
from include.model.doors import Connections, Store
from include.model.errors import NotReachable
from include.model.flow import Evidence
from include.model.words import Role, StoreKind

KEY_DIRECTORY = "key_store"  # plain connections: a path, and the wrapping key in base64
WRAPPING_KEY = "key_store_kek"

Stores = Callable[[], Sequence[Store]]
GivenTo = Callable[[Case, tuple[str, ...]], Mapping[str, Given] | None]
Append = Callable[[Evidence, str], Sequence[str]]


def code_version() -> str:
    """The version of Quietus that plans are pinned to."""
    try:
        return version("quietus")
    except PackageNotFoundError:
        return "unreleased"


def no_register(case: Case, subjects: tuple[str, ...]) -> Mapping[str, Given] | None:
    """There is no transfer register: recipients are told by the services used."""
    return None


@dataclass(frozen=True)
class Desk:
    """What a verb works with. Made once a task by :func:`desk`; tests make their own.

    ``given_to`` answers from the transfer register what each recipient was given of the case's
    subjects; None means that there is no register. ``append`` writes evidence to the ledger.
    """

    catalogue: Catalogue
    connections: Connections
    keys: KeyStore
    stores: Stores
    accounts: Accounts
    append: Append
    given_to: GivenTo = no_register
    code: str = field(default_factory=code_version)

    @contextmanager
    def book(self) -> Iterator[Conn]:
        """A connection to the case book as its writer."""
        with book.connect(self.connections.postgres(book.RECORDS, Role.CASE_WRITER)) as conn:
            yield conn

    def seal(self, case: Case) -> Seal:
        return Seal(self.keys, case.key_id, case.case_no)


def desk(connections: Connections, catalogue: Catalogue) -> Desk:
    """A desk over the real rooms. Raises Refused if a connection is not declared."""
    from include.cases.register import given_to

    return Desk(
        catalogue=catalogue,
        connections=connections,
        keys=FileKeyStore.from_text(connections.text(KEY_DIRECTORY), connections.text(WRAPPING_KEY)),
        stores=lambda: stores(catalogue, connections),
        accounts=CatalogueAccounts(catalogue, connections),
        append=lambda evidence, key: append_evidence(connections, evidence, key),
        given_to=given_to(catalogue, connections),
    )


def append_evidence(connections: Connections, evidence: Evidence, key: str) -> Sequence[str]:
    """Queue evidence in the ledger, as its writer; the keys of the entries."""
    from include.ledger import log

    with log.connect(connections.postgres(book.RECORDS, Role.LEDGER_WRITER)) as conn:
        return log.append_evidence(conn, evidence, key=key)


def stores(catalogue: Catalogue, connections: Connections) -> Sequence[Store]:
    """The stores of a catalogue, databases first: they answer for the objects' owners."""
    from include.cases.wiring import make

    order = sorted(catalogue.stores, key=lambda s: s.kind is not StoreKind.POSTGRES)
    made: list[Store] = []
    for declared in order:
        made.append(make(catalogue, declared, connections, made))
    return tuple(made)


def reachable(stores: Sequence[Store]) -> Sequence[Store]:
    """The same stores; raises NotReachable if there is none, since an empty survey is not a zero."""
    if not stores:
        raise NotReachable(
            "no store is declared", about="catalogue", next_step="declare the company's stores"
        )
    return stores
