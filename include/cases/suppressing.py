"""Whether an import brings back somebody whom we buried: judged by strong identifiers, before it serves.

The account id of a buried person is held back. So is a new account that bears the document number or credit code of one,
unless its holder consented since: the same person may register again. A phone number is given to somebody else one day: alone
it never holds anybody back, and whoever has a number of his own is its new owner.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from itertools import islice

from include.cases import adopted, subjects, tombstones
from include.cases.book import Conn
from include.cases.keys import KeyStore
from include.model.times import prc_date

DOCUMENT, CREDIT_CODE, PHONE = "document", "credit_code", "phone"
STRONG = (DOCUMENT, CREDIT_CODE)
KINDS = (*STRONG, PHONE)
BATCH = 5_000


class Verdict(StrEnum):
    """What becomes of a row that is brought in."""

    LET_IN = "let in"
    REVIEW = "review"
    HOLD_BACK = "hold back"


@dataclass(frozen=True)
class Brought:
    """A row that is brought in. ``no``: whoever asks knows it by this. Values are personal: never shown."""

    no: int
    account_id: str | None = field(default=None, repr=False)
    identifiers: Mapping[str, str] = field(default_factory=dict, repr=False)
    consented_at: datetime | None = None


@dataclass(frozen=True)
class Buried:
    """A tombstone that something of a row matched: of which case, and since when."""

    case_no: str
    since: date


@dataclass(frozen=True)
class Judged:
    """``by``: what of it matched, by its kind; ``case_no``: whose."""

    no: int
    verdict: Verdict
    by: str = ""
    case_no: str = ""


def judge(row: Brought, found: Mapping[str, Sequence[Buried]]) -> Judged:
    """``found``: tombstones by the kind of what they matched, ``account_id`` among them."""
    if account := found.get(subjects.KIND):
        return Judged(row.no, Verdict.HOLD_BACK, subjects.KIND, account[0].case_no)
    consented = None if row.consented_at is None else prc_date(row.consented_at)
    for kind in STRONG:
        bars = [b for b in found.get(kind, ()) if consented is None or consented < b.since]
        if bars:
            return Judged(row.no, Verdict.HOLD_BACK, kind, bars[0].case_no)
    if any(row.identifiers.get(kind) for kind in STRONG):
        # Somebody by a number of his own, which is nobody's whom we buried, or who came back by his own will.
        return Judged(row.no, Verdict.LET_IN)
    bars = [b for b in found.get(PHONE, ()) if consented is None or consented < b.since]
    return Judged(row.no, Verdict.REVIEW, PHONE, bars[0].case_no) if bars else Judged(row.no, Verdict.LET_IN)


def check(
    conn: Conn, keys: KeyStore, rows: Iterable[Brought], *, adopted_too: bool = False, own: bool = True
) -> Iterator[Judged]:  # fmt: skip
    """Judge rows that are to be brought in, in their order. Digests are made here: no value reaches the case book.
    ``adopted_too``: by tombstones as well that came from an authority whose successor we are, whose cases are none of ours;
    ``own``: by ours."""
    remaining = iter(rows)
    while batch := tuple(islice(remaining, BATCH)):
        found = _found(conn, keys, batch, adopted_too, own)
        for row in batch:
            yield judge(row, {kind: found[kind, v] for kind, v in _values(row) if (kind, v) in found})


def bury(conn: Conn, keys: KeyStore, case_no: str, values: Mapping[str, Iterable[str]], as_of: date) -> int:
    """Tombstones of somebody's own identifiers, by kind, beside the account's; how many were new."""
    new = 0
    for kind, of in values.items():
        clear = sorted({c for v in of if (c := normal(kind, v))})
        new += tombstones.bury_values(conn, keys, case_no, clear, as_of, kind)
    return new


def normal(kind: str, value: str) -> str:
    """The one way of writing a number: what a feed writes otherwise is the same number."""
    text = re.sub(r"[\s\-]", "", unicodedata.normalize("NFKC", value)).upper()
    return re.sub(r"^(?:\+|00)?86(?=1\d{10}$)", "", text) if kind == PHONE else text


def _values(row: Brought) -> Iterator[tuple[str, str]]:
    if row.account_id:
        yield subjects.KIND, row.account_id
    for kind, value in row.identifiers.items():
        if clear := normal(kind, value):
            yield kind, clear


def _found(
    conn: Conn, keys: KeyStore, rows: Sequence[Brought], adopted_too: bool, own: bool
) -> dict[tuple[str, str], tuple[Buried, ...]]:
    found: dict[tuple[str, str], tuple[Buried, ...]] = {}
    for kind in (subjects.KIND, *KINDS):
        wanted = sorted({value for row in rows for k, value in _values(row) if k == kind})
        for value, buried in tombstones.buried_since(conn, keys, wanted, kind).items() if own else ():
            found[kind, value] = tuple(Buried(*b) for b in buried)
        if adopted_too:
            for value, buried in adopted.buried_since(conn, keys, wanted, kind).items():
                found[kind, value] = (*found.get((kind, value), ()), *(Buried(*b) for b in buried))
    return found
