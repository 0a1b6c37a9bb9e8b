"""Identifiers of everybody, gathered before anything goes as keyed digests with whose they are, and looked for in what is left.

What has the form of an identifier (mobile and document numbers, e-mail addresses, credit codes, cards, passports, landlines) is
read out of every mapped column of every table; its digest and that of its owner are all that is kept, and the key is destroyed
with the certificate. Afterwards each text of every row that is left is searched for such forms: one whose digest was gathered,
and whose owner is not the row's own, is somebody else's. Names and addresses have no form, and are not sought.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from psycopg import sql

from include.model import screening
from include.model.catalogue import Catalogue
from include.model.doors import Connections
from include.model.estate import Dataset
from include.model.flow import Check
from include.model.words import DatasetKind, Rung, StoreKind, Verdict
from include.proofs.server import Connection, Reader
from include.proofs.tables import quoted, types_of
from include.proofs.values import DOCUMENT, LANDLINE

BATCH = 2000  # values that are looked up at once
DEEP = 6  # links that are followed to find out whose a row is
_FORMS = (
    screening.MOBILE, screening.RESIDENT_ID, screening.CREDIT_CODE, screening.CARD,
    re.compile(r"(?<![0-9A-Za-z])" + DOCUMENT.pattern + r"(?![0-9A-Za-z])"),
    re.compile(r"(?<![0-9A-Za-z-])" + LANDLINE.pattern + r"(?![0-9A-Za-z])"),
    re.compile(r"[\w.+-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}"),
)  # fmt: skip
_CAN = frozenset(("text", "varchar", "bpchar", "json", "jsonb", "int8", "numeric", "citext", "xml"))
_CAN_ALSO = frozenset(("_text", "_varchar", "bytea"))
"""Types of columns that can hold an identifier."""


class Owners(Protocol):
    """What was gathered, as whoever holds the key knows it."""

    def of(self, values: Collection[str]) -> Mapping[str, frozenset[str]]:
        """Value -> tokens of whom it was gathered from; what was never gathered is missing."""

    def tokens(self, accounts: Collection[str]) -> Mapping[str, str]:
        """Account id -> its token."""


Keep = Callable[[str, Sequence[tuple[str, str]]], None]
"""(dataset, [(identifier, account id)]): digests are made of them, and nothing else is kept."""


def identifiers(text: str) -> frozenset[str]:
    """What in a text has the form of an identifier, as it is compared: without separators, in capitals."""
    found: set[str] = set()
    for form in _FORMS:
        for match in form.finditer(text):
            found.add(normal(match.group()))
    return frozenset(found)


def normal(value: str) -> str:
    """One writing for all: a mobile number is its last eleven digits."""
    if "@" in value:
        return value.lower()
    bare = re.sub(r"[-\s]", "", value).upper().removeprefix("+")
    return bare[-11:] if screening.MOBILE.fullmatch(value) else bare


# --- before -------------------------------------------------------------------------------------------


def gather(catalogue: Catalogue, connections: Connections, keep: Keep) -> int:
    """Read every mapped column of every table of which it is known whose the rows are; how many identifiers were kept. Raises
    NotReachable, Refused: what is not known cannot be looked for, and that must not pass for nothing found."""
    kept = 0
    for store in catalogue.stores:
        if store.kind is not StoreKind.POSTGRES:
            continue
        reader = Reader.of(connections, store.id, store.connection)
        datasets = catalogue.of_store(store.id, DatasetKind.TABLE)
        with reader.connect() as connection, reader.reaching():
            types = types_of(connection, datasets)
            for dataset in datasets:
                there = types.get(dataset.address, {})
                columns = [c for c, m in dataset.columns.items() if m.all_categories and there.get(c) in _CAN]
                whose = owners_of(catalogue, dataset, "t") if there else []
                batch: list[tuple[str, str]] = []
                for accounts, cells in (
                    _copied(connection, dataset.address, whose, columns) if columns and whose else ()
                ):
                    batch += [(v, a) for v in identifiers("\n".join(cells)) for a in accounts]
                    if len(batch) >= BATCH:
                        keep(dataset.id, batch)
                        kept, batch = kept + len(batch), []
                keep(dataset.id, batch)
                kept += len(batch)
    return kept


def owners_of(catalogue: Catalogue, dataset: Dataset, alias: str, depth: int = 0) -> list[sql.Composed]:
    """What names the owners of a row, an expression each: columns of its own, or of the rows that lead to it."""
    found: list[sql.Composed] = []
    for link in dataset.links:
        if link.column is not None:
            found.append(sql.SQL("{}::text").format(sql.Identifier(alias, link.column)))
        elif link.via is not None and depth < DEEP:
            parent, name = catalogue.dataset(link.via), f"p{depth}"
            same = sql.SQL(" AND ").join(
                sql.SQL("{} = {}").format(sql.Identifier(name, b), sql.Identifier(alias, a))
                for a, b in link.on.items()
            )
            for owner in owners_of(catalogue, parent, name, depth + 1):
                found.append(
                    sql.SQL("(SELECT min({}) FROM {} AS {} WHERE {})").format(
                        owner, quoted(parent.address), sql.Identifier(name), same
                    )
                )
    return found


# --- afterwards ---------------------------------------------------------------------------------------


@dataclass
class Haystack:
    """One table that is left, searched. ``dataset``: what it is declared as; None: nobody declared it."""

    catalogue: Catalogue
    connection: Connection
    address: str
    columns: Mapping[str, str]
    dataset: Dataset | None
    owners: Owners
    _hits: dict[str, int] = field(default_factory=dict)

    def checks(self) -> Iterator[Check]:
        """One for the table; none if none of its columns can hold an identifier."""
        sought = [c for c, t in self.columns.items() if t in _CAN or t in _CAN_ALSO]
        if not sought:
            return
        whose = owners_of(self.catalogue, self.dataset, "t") if self.dataset is not None else []
        batch: list[_Row] = []
        for accounts, cells in _copied(self.connection, self.address, whose, sought, self.columns):
            found = {c: v for c, x in zip(sought, cells, strict=True) if x != "\\N" and (v := identifiers(x))}
            if found:
                batch.append((accounts, found))
            if len(batch) >= BATCH:
                self._judge(batch)
                batch = []
        self._judge(batch)
        said = ", ".join(f"{c} ({n})" for c, n in sorted(self._hits.items()))
        yield Check(
            name=f"needle.{self.address}", dataset=self.dataset.id if self.dataset else None, rung=Rung.R2,
            verdict=Verdict.FAILED if self._hits else Verdict.PASSED, expected=0, observed=sum(self._hits.values()),
            why=f"identifiers of somebody whose rows these are not, in columns: {said}" if self._hits else "",
        )  # fmt: skip

    def _judge(self, batch: Sequence[_Row]) -> None:
        if not batch:
            return
        known = self.owners.of({v for _, found in batch for vs in found.values() for v in vs})
        tokens = self.owners.tokens({a for accounts, _ in batch for a in accounts})
        for accounts, found in batch:
            own = {tokens[a] for a in accounts}
            for column, values in found.items():
                if any(v in known and not own & known[v] and not self._its_own(column, own) for v in values):
                    self._hits[column] = self._hits.get(column, 0) + 1

    def _its_own(self, column: str, own: Collection[str]) -> bool:
        """Whether the row says by nothing any more whose it is, and the column is declared to hold one kind of data."""
        mapped = self.dataset.columns.get(column) if self.dataset is not None else None
        return not own and mapped is not None and mapped.category is not None


_Row = tuple[Sequence[str], dict[str, frozenset[str]]]


def _copied(
    connection: Connection, address: str, whose: Sequence[sql.Composed], columns: Sequence[str],
    types: Mapping[str, str] | None = None,
) -> Iterator[tuple[list[str], list[str]]]:  # fmt: skip
    """Rows as text: whose each is, and its columns."""
    chosen = [
        sql.SQL("encode({}, 'escape')").format(sql.Identifier("t", c))
        if types is not None and types.get(c) == "bytea"
        else sql.SQL("{}::text").format(sql.Identifier("t", c))
        for c in columns
    ]
    statement = sql.SQL("COPY (SELECT {} FROM {} AS t) TO STDOUT").format(
        sql.SQL(", ").join([*whose, *chosen]), quoted(address)
    )
    rest = b""
    with connection.cursor().copy(statement) as copy:
        for block in copy:
            lines = (rest + bytes(block)).split(b"\n")
            rest = lines.pop()
            for line in lines:
                cells = [_unescaped(c) for c in line.decode("utf-8", "replace").split("\t")]
                yield [c for c in cells[: len(whose)] if c != "\\N"], cells[len(whose) :]


def _unescaped(text: str) -> str:
    if "\\" not in text or text == "\\N":
        return text
    return text.replace("\\n", "\n").replace("\\t", "\t").replace("\\r", "\r").replace("\\\\", "\\")
