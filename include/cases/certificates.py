"""Certificates in the book: drafts that a retry repeats word for word, and the editions that were issued."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from psycopg.types.json import Jsonb

from include.cases.book import Conn
from include.ledger.certificate import Draft
from include.ledger.issue import Issued
from include.model.errors import Refused


@dataclass(frozen=True)
class Editions:
    """One issued certificate as it was given out: two files of JSON, and the ledger entry that fixes both."""

    case_no: str
    serial: int
    kind: str
    person: str
    auditor: str
    entry: int
    issued_at: datetime


def content(draft: Draft) -> str:
    """What a draft says, whenever it is said: without its moment and its number."""
    said = draft.model_dump(mode="json") | {"observed_at": "2000-01-01T00:00:00Z", "serial": 1}
    return Draft.model_validate(said).fingerprint()


def begin(conn: Conn, draft: Draft) -> Draft:
    """The draft to issue: the last one if it says the same, else this one under the next serial."""
    last = conn.execute(
        "SELECT serial, content, draft, issued_at FROM casebook.certificate WHERE case_no = %s"
        " ORDER BY serial DESC LIMIT 1 FOR UPDATE",
        (draft.case_no,),
    ).fetchone()
    said = content(draft)
    if last is not None and last["content"] == said:
        return Draft.model_validate(last["draft"])
    numbered = draft.model_copy(update={"serial": last["serial"] + 1 if last else 1})
    conn.execute(
        "INSERT INTO casebook.certificate (case_no, serial, kind, content, draft) VALUES (%s, %s, %s, %s, %s)",
        (draft.case_no, numbered.serial, draft.kind, said, Jsonb(numbered.model_dump(mode="json"))),
    )
    return numbered


def keep(conn: Conn, draft: Draft, issued: Issued) -> None:
    """Keep both editions. Already kept: nothing happens."""
    conn.execute(
        "UPDATE casebook.certificate SET person = %s, auditor = %s, entry = %s, issued_at = clock_timestamp()"
        " WHERE case_no = %s AND serial = %s AND issued_at IS NULL",
        (issued.person.decode(), issued.auditor.decode(), issued.entry, draft.case_no, draft.serial),
    )


def issued(conn: Conn, case_no: str, serial: int | None = None) -> Editions:
    """An issued certificate, by default the last. Raises Refused if there is none."""
    row = conn.execute(
        "SELECT case_no, serial, kind, person, auditor, entry, issued_at FROM casebook.certificate"
        " WHERE case_no = %s AND issued_at IS NOT NULL AND (%s::int IS NULL OR serial = %s)"
        " ORDER BY serial DESC LIMIT 1",
        (case_no, serial, serial),
    ).fetchone()
    if row is None:
        raise Refused(
            "no certificate was issued yet",
            about=case_no,
            next_step="see `quietus case show` for what is open",
        )
    return Editions(**row)
