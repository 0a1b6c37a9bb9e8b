"""What packing works with, and what a run of it has to say."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from include.cases.book import Conn
from include.cases.keys import KeyStore
from include.cases.retention.held import HeldPeople
from include.handover.shards import At, Bounds, directory
from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.stores.shared import nowhere

Attest = Callable[[bytes], bytes]
Record = Callable[[str, str | None, dict[str, Any], str], None]  # kind, case number, body, key: the ledger


def unrecorded(kind: str, case_no: str | None, body: dict[str, Any], key: str) -> None:
    """A room without a ledger."""


@dataclass(frozen=True)
class Room:
    """What packing works with. ``book``: a connection to the case book as its writer. ``attest``: the signer. ``held``: whom the
    open holds name; ``objectors``: who objects to the handover. ``record``: the ledger's queue. ``keys``: our key
    store, of which the tombstones' keys go along. ``home``: a directory for the bags of every order, its owner's alone."""

    catalogue: Catalogue
    connections: Connections
    book: Callable[[], AbstractContextManager[Conn]]
    attest: Attest
    home: Path
    held: HeldPeople = field(default_factory=HeldPeople)
    bounds: Bounds = field(default_factory=Bounds)
    record: Record = unrecorded
    keys: KeyStore | None = None
    at: At = nowhere
    objectors: frozenset[str] = field(default=frozenset(), repr=False)

    def of(self, order: str) -> Path:
        return directory(self.home / order)


@dataclass
class Outcome:
    """``made``: bags that this run finished. ``left``: datasets that were not finished, and why."""

    made: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
