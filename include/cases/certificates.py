"""Certificates in the book: drafts that a retry repeats word for word, and the editions that were issued.

Each edition has a serial of its own. The person's goes up only when the person's edition says something else, so
that a change which only the auditor may see leaves no gap; until then the file that was given out stays the one.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from include.cases.book import Conn
from include.ledger.certificate import Draft
from include.ledger.editions import person_content
from include.ledger.issue import Issued
from include.model.errors import Refused


@dataclass(frozen=True)
class Editions:
    """One issued certificate as it was given out: two files of JSON, and the ledger entry that fixes the auditor's.

    ``serial`` and ``kind`` are the auditor's; ``person_serial`` may lag behind.
    """

    case_no: str
    serial: int
    kind: str
    person: str
    auditor: str
    entry: int
    issued_at: datetime
    person_serial: int


def content(draft: Draft) -> str:
    """What a draft says, whenever it is said: without its moment, its number and the figures of the day."""
    said = draft.model_dump(mode="json") | {
        "observed_at": "2000-01-01T00:00:00Z",
        "serial": 1,
        "figures": None,
    }
    return Draft.model_validate(said).fingerprint()


def begin(conn: Conn, draft: Draft) -> Draft:
    """The draft to issue: the last one if it says the same, else this one under the next serial.

    The person's serial stays if the last certificate was issued and its person's edition says the same.
    """
    last = conn.execute(
        "SELECT serial, person_serial, content, draft, issued_at FROM casebook.certificate WHERE case_no = %s"
        " ORDER BY serial DESC LIMIT 1 FOR UPDATE",
        (draft.case_no,),
    ).fetchone()
    said = content(draft)
    if last is not None and last["content"] == said:
        return Draft.model_validate(last["draft"])
    serial, person_serial = 1, 1
    if last is not None:
        serial, person_serial = last["serial"] + 1, last["person_serial"] + 1
        if last["issued_at"] is not None and _says_to_the_person(last) == person_content(draft):
            person_serial -= 1
    numbered = draft.model_copy(update={"serial": serial, "person_serial": person_serial})
    conn.execute(
        "INSERT INTO casebook.certificate (case_no, serial, kind, content, draft) VALUES (%s, %s, %s, %s, %s)",
        (draft.case_no, numbered.serial, draft.kind, said, Jsonb(numbered.model_dump(mode="json"))),
    )
    return numbered


def _says_to_the_person(row: Mapping[str, Any]) -> str | None:
    """What the person's edition of a draft in the book says; None for a draft from before the present format."""
    return person_content(Draft.model_validate(row["draft"])) if "person_serial" in row["draft"] else None


def person_edition(conn: Conn, draft: Draft) -> str | None:
    """The person's edition that a draft leaves as it was given out; None if a new one is due."""
    row = conn.execute(
        "SELECT person FROM casebook.certificate WHERE case_no = %s AND issued_at IS NOT NULL AND serial < %s"
        " AND person_serial = %s ORDER BY serial DESC LIMIT 1",
        (draft.case_no, draft.serial, draft.person_serial),
    ).fetchone()
    return None if row is None else str(row["person"])


def keep(conn: Conn, draft: Draft, issued: Issued, person: str | None) -> None:
    """Keep both editions; ``person`` is the one that stays as it was. Already kept: nothing happens."""
    told = person if issued.person is None else issued.person.decode()
    conn.execute(
        "UPDATE casebook.certificate SET person = %s, auditor = %s, entry = %s, issued_at = clock_timestamp()"
        " WHERE case_no = %s AND serial = %s AND issued_at IS NULL",
        (told, issued.auditor.decode(), issued.entry, draft.case_no, draft.serial),
    )


@dataclass(frozen=True)
class Listed:
    """An issued certificate in a list: of the auditor's edition, or of the person's, each counted by itself."""

    serial: int
    kind: str
    entry: int | None  # of the ledger; None for the person's edition, which is not in it by itself
    issued_at: datetime
    person_serial: int


def for_auditors(conn: Conn, case_no: str) -> tuple[Listed, ...]:
    """Every issued certificate, the latest first."""
    return tuple(Listed(**row) for row in conn.execute(_LISTED + " ORDER BY serial DESC", (case_no,)))


def for_the_person(conn: Conn, case_no: str) -> tuple[Listed, ...]:
    """The person's editions, the latest first, as if there were no other: of one that was left as it was, the first."""
    first = {row["person_serial"]: row for row in conn.execute(_LISTED + " ORDER BY serial DESC", (case_no,))}
    return tuple(
        Listed(n, _kind_of(conn, case_no, row["serial"]), None, row["issued_at"], n)
        for n, row in first.items()
    )


_LISTED = """
SELECT serial, kind, entry, issued_at, person_serial
  FROM casebook.certificate WHERE case_no = %s AND issued_at IS NOT NULL"""


def _kind_of(conn: Conn, case_no: str, serial: int) -> str:
    """Interim or final, as the person's edition itself says."""
    envelope = json.loads(issued(conn, case_no, serial).person)
    return str(json.loads(b64decode(envelope["payload"]))["kind"])


def edition(conn: Conn, case_no: str, which: str, serial: int | None = None) -> str:
    """The person's or the auditor's edition by its own serial, by default the last. Raises Refused if there is none."""
    if which == "person" and serial is not None:
        theirs = [c.serial for c in for_auditors(conn, case_no) if c.person_serial == serial]
        serial = theirs[-1] if theirs else 0
    found = issued(conn, case_no, serial)
    return found.person if which == "person" else found.auditor


def issued(conn: Conn, case_no: str, serial: int | None = None) -> Editions:
    """An issued certificate, by default the last. Raises Refused if there is none."""
    row = conn.execute(
        "SELECT case_no, serial, kind, person, auditor, entry, issued_at, person_serial FROM casebook.certificate"
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
