"""The permanent list of what was destroyed (RS-17), year by year: a file, and its digest in the signed ledger, said once.

The file is the same whenever it is made, for it is read from what is never changed. If the book once gives another list than the
ledger has, somebody changed the book, and that is said.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date
from typing import Any

from include.cases import book
from include.cases.rooms import Desk
from include.cases.yearly.destroyed import Line, Year, lines
from include.ledger import log
from include.model.doors import Connections
from include.model.errors import NotProved, Refused
from include.model.words import Role

KIND = "destruction_list"
"""Of the ledger's entry."""
COLUMNS = tuple(f.name for f in fields(Line))


@dataclass(frozen=True)
class DestructionList:
    """A year's lines, as the file that auditors are given."""

    year: int
    lines: tuple[Line, ...]

    @property
    def text(self) -> str:
        """CSV (RFC 4180 but for its line ends), in UTF-8."""
        out = io.StringIO()
        writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(line) for line in self.lines)
        return out.getvalue()

    @property
    def digest(self) -> str:
        """SHA-256 of the file's bytes."""
        return digest_of(self.text.encode())

    def body(self) -> dict[str, Any]:
        """The ledger's entry. Whoever has the file can see that it is this one."""
        counts = Counter(line.what for line in self.lines)
        return {
            "year": self.year,
            "lines": len(self.lines),
            "kinds": dict(sorted(counts.items())),
            "items": sum(line.items for line in self.lines if line.what == "data"),
            "sha256": self.digest,
        }

    def __str__(self) -> str:
        return f"{self.year}: {len(self.lines)} lines, sha256 {self.digest}"


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def of_year(connections: Connections, year: Year) -> DestructionList:
    """Read it, as the reader of book and ledger. Raises NotReachable."""
    with (
        book.reaching("case book"),
        book.connect(connections.postgres(book.RECORDS, Role.READER)) as conn,
        log.connect(connections.postgres(book.RECORDS, Role.READER)) as ledger,
    ):
        return DestructionList(year.year, lines(conn, ledger, year))


def say(desk: Desk, *, as_of: date) -> DestructionList:
    """Say the last year's list in the ledger. Again changes nothing, and shows that the book still gives the same list.

    Raises NotProved if it gives another one, NotReachable.
    """
    found = of_year(desk.connections, Year.last(as_of))
    try:
        desk.record(KIND, None, found.body(), _key(found.year))
    except log.KeyTaken:
        raise NotProved(
            f"the book gives another list of {found.year} than the ledger has", about="destruction list",
            next_step="hold an older file against `quietus yearly destroyed`: what was added or is missing names who to ask",
        ) from None  # fmt: skip
    return found


def compare(connections: Connections, year: int, content: bytes) -> int:
    """The index of the ledger's entry that says this very file. Raises NotProved if it says another one, Refused if none."""
    with log.connect(connections.postgres(book.RECORDS, Role.READER)) as ledger:
        entry = log.entry_by_key(ledger, _key(year))
    if entry is None:
        raise Refused(
            f"the ledger has no list of {year}", about="destruction list",
            next_step="yearly_duties says it on 15 January; what was said is sequenced within minutes",
        )  # fmt: skip
    if entry.body["sha256"] != digest_of(content):
        raise NotProved(
            f"this file is not the list of {year} that the ledger has", about=f"entry {entry.index}",
            next_step="make the file anew with `quietus yearly destroyed`, and compare the two",
        )  # fmt: skip
    return entry.index


def as_rows(of: Sequence[Line]) -> list[dict[str, Any]]:
    """For programs."""
    return [asdict(line) | {"day": line.day.isoformat()} for line in of]


def _key(year: int) -> str:
    return f"{KIND}:{year}"
