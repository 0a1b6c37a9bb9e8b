"""The permanent list of what was destroyed (RS-17), year by year: a file, and its digest in the signed ledger, said once.

The file is the same whenever it is made, for it is read from what is never changed. If the book once gives another list than the
ledger has, somebody changed the book, and that is said. A list that we ourselves read wrongly is corrected by another entry
beside it, which names the one that it corrects, and only if the book, read as it was then, still gives the list that was said.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import date
from typing import Any

from include.cases import book
from include.cases.book import Conn
from include.cases.rooms import Desk
from include.cases.yearly.destroyed import FORM, Line, Year, first_year, lines
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
            "form": FORM,
        }

    def __str__(self) -> str:
        return f"{self.year}: {len(self.lines)} lines, sha256 {self.digest}"


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def of_year(connections: Connections, year: Year, *, form: int = FORM) -> DestructionList:
    """Read it, as the reader of book and ledger. ``form``: as lists were read then. Raises NotReachable."""
    with _reading(connections) as (conn, ledger):
        return DestructionList(year.year, lines(conn, ledger, year, form=form))


def say(desk: Desk, *, as_of: date) -> tuple[DestructionList, ...]:
    """Say the list of each year that is over and proved and of which the ledger has none, or one of an older form. The last
    year's is said again, which changes nothing and shows that the book still gives the same list.

    Raises NotProved, once every other year is said, if the book gives another one; NotReachable.
    """
    said: list[DestructionList] = []
    wrong: list[int] = []
    for year in _to_say(desk.connections, Year.last(as_of).year):
        try:
            said.append(_say(desk, Year(year)))
        except NotProved:
            wrong.append(year)
    if wrong:
        years = ", ".join(map(str, wrong))
        raise NotProved(
            f"the book gives another list of {years} than the ledger has", about="destruction list",
            next_step="hold an older file against `quietus yearly destroyed`: what was added or is missing names who to ask",
        )  # fmt: skip
    return tuple(said)


def _to_say(connections: Connections, last: int) -> list[int]:
    """The years whose list is to be said: whoever missed a January says two, one after the other."""
    with _reading(connections) as (conn, ledger):
        first = first_year(conn, ledger)
        there = {e.body["year"] for e in log.entries_of_kind(ledger, KIND) if e.body.get("form", 1) == FORM}
    return [y for y in range(min(first or last, last), last + 1) if y == last or y not in there]


def _say(desk: Desk, year: Year) -> DestructionList:
    found = of_year(desk.connections, year)
    try:
        desk.record(KIND, None, found.body(), _key(year.year))
    except log.KeyTaken:
        with _reading(desk.connections) as (_, ledger):
            before = log.entry_by_key(ledger, _key(year.year))
        if before is None or (form := before.body.get("form", 1)) == FORM:
            raise _another(year) from None
        if before.body["sha256"] != of_year(desk.connections, year, form=form).digest:
            raise _another(year) from None
        corrects = {"entry": before.index, "sha256": before.body["sha256"], "form": form}
        try:
            desk.record(KIND, None, found.body() | {"corrects": corrects}, _key(year.year, FORM))
        except log.KeyTaken:
            raise _another(year) from None
    return found


def _another(year: Year) -> NotProved:
    return NotProved(f"the book gives another list of {year.year} than the ledger has")


def compare(connections: Connections, year: int, content: bytes) -> int:
    """The index of the ledger's entry that says this very file. Raises NotProved if it says another one, or one that another
    entry corrects, Refused if none."""
    with _reading(connections) as (_, ledger):
        first = log.entry_by_key(ledger, _key(year))
        entry = log.entry_by_key(ledger, _key(year, FORM)) or first
    if entry is None or first is None:
        raise Refused(
            f"the ledger has no list of {year}", about="destruction list",
            next_step="yearly_duties says it on 15 January; what was said is sequenced within minutes",
        )  # fmt: skip
    if entry.body["sha256"] == digest_of(content):
        return entry.index
    if first.body["sha256"] == digest_of(content):
        raise NotProved(
            f"this file is the list of {year} that entry {first.index} names, and entry {entry.index} corrects it",
            about=f"entry {entry.index}", next_step="make the file anew with `quietus yearly destroyed`, and keep both",
        )  # fmt: skip
    raise NotProved(
        f"this file is not the list of {year} that the ledger has", about=f"entry {entry.index}",
        next_step="make the file anew with `quietus yearly destroyed`, and compare the two",
    )  # fmt: skip


@contextmanager
def _reading(connections: Connections) -> Iterator[tuple[Conn, log.Conn]]:
    with (
        book.reaching("case book"),
        book.connect(connections.postgres(book.RECORDS, Role.READER)) as conn,
        log.connect(connections.postgres(book.RECORDS, Role.READER)) as ledger,
    ):
        yield conn, ledger


def as_rows(of: Sequence[Line]) -> list[dict[str, Any]]:
    """For programs."""
    return [asdict(line) | {"day": line.day.isoformat()} for line in of]


def _key(year: int, form: int = 1) -> str:
    """Of a year's first entry, whatever its form; or of the one that corrects it."""
    return f"{KIND}:{year}" + (f":{form}" if form > 1 else "")
