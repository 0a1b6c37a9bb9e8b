"""A :class:`Desk`: everything that a verb needs of other rooms, handed in. :mod:`include.cases.assembling` makes the real one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from include.cases import book
from include.cases.accounts import Accounts
from include.cases.book import Case, Conn
from include.cases.keys import KeyStore
from include.cases.notices.composing import Given
from include.cases.notices.whom import Company, Used
from include.cases.retention import stopping
from include.cases.sealing import Seal
from include.model.backups import BackupTool
from include.model.catalogue import Catalogue
from include.model.doors import Channel, Connections, Store
from include.model.errors import NotReachable, Refused
from include.model.estate import BackupSet
from include.model.flow import Evidence
from include.model.notices import Answer, Identity, Judgement, Notice
from include.model.policy import Recipient
from include.model.sessions import session
from include.model.words import Role

KEY_DIRECTORY = "key_store"  # plain connections: a path, and the wrapping key in base64
WRAPPING_KEY = "key_store_kek"

Stores = Callable[[], Sequence[Store]]
Append = Callable[[Evidence, str], Sequence[str]]
Record = Callable[[str, str | None, dict[str, Any], str], None]  # kind, case number, body, key


@cache  # it is read from a file, and cases ask for it at every step
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
    """What a verb works with. Made once a task by :func:`include.cases.assembling.desk`; tests make their own.

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
        conninfo = self.connections.postgres(book.RECORDS, Role.CASE_WRITER)
        with (
            book.reaching("case book"),
            session(conninfo, "book", lambda: book.connect(conninfo)) as conn,
        ):
            yield conn

    def may_go_on(self) -> None:
        """Raises Stopped while disposing is stopped. Whatever disposes asks before each of its pieces."""
        stopping.asked(self.book)

    def letter(self, recipient: Recipient, notice: Notice) -> str:
        """What a person says or sends to a recipient. Personal."""
        from include.recipients.letters import letter

        return letter(recipient, notice, names={c.id: c.zh for c in self.catalogue.categories})

    def seal(self, case: Case) -> Seal:
        return Seal(self.keys, case.key_id, case.case_no)


def reachable(stores: Sequence[Store]) -> Sequence[Store]:
    """The same stores; raises NotReachable if there is none, since an empty survey is not a zero."""
    if not stores:
        raise NotReachable(
            "no store is declared", about="catalogue", next_step="declare the company's stores"
        )
    return stores
