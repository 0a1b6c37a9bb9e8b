"""Who a case is about: sealed, and joined by keyed tokens only."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from include.cases import sealing
from include.cases.book import REQUEST, Case, Conn
from include.cases.keys import KeyStore, Purpose
from include.model.errors import Refused
from include.model.screening import kind_of_identifier

ACCOUNT_ID = re.compile(r"acct_[0-9a-hjkmnp-tv-z]{12}")
KIND = "account_id"


def screened(account_id: str) -> str:
    """The id, if it is an opaque account id. Raises Refused with the kind of what it is; never echoes it."""
    if ACCOUNT_ID.fullmatch(account_id):
        return account_id
    kind = kind_of_identifier(account_id)
    raise Refused(
        f"this is {kind}, not an account id" if kind else "this is not an account id",
        about="account id",
        next_step="give the opaque id (acct_ and twelve characters); nothing was stored",
    )


def field(subject_no: int) -> str:
    return f"case_subject.sealed_id.{subject_no}"


def add(conn: Conn, keys: KeyStore, case: Case, account_ids: Sequence[str]) -> None:
    """Seal the subjects of a new case. subject_no is the position. A request about the whole person is the only one of
    its kind while it is open (``solo``); a partner's, about a part, stands beside it."""
    seal = sealing.Seal(keys, case.key_id, case.case_no)
    ref = sealing.current(keys, Purpose.SUBJECT_TOKEN)
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO casebook.case_subject (case_no, subject_no, sealed_id, token, token_version, solo)"
            " VALUES (%s, %s, %s, %s, %s, %s)",
            [
                (case.case_no, no, seal.seal(field(no), id_), sealing.digest(keys, ref, KIND, id_),
                 ref.version, case.kind == REQUEST and case.ground.whole_person)
                for no, id_ in enumerate(account_ids)
            ],
        )  # fmt: skip


def ids(conn: Conn, keys: KeyStore, case: Case) -> tuple[str, ...]:
    """The account ids in order of subject_no, in memory only. Raises Refused once the key is destroyed."""
    rows = conn.execute(
        "SELECT subject_no, sealed_id FROM casebook.case_subject WHERE case_no = %s ORDER BY subject_no",
        (case.case_no,),
    ).fetchall()
    seal = sealing.Seal(keys, case.key_id, case.case_no)
    return tuple(seal.open(field(r["subject_no"]), bytes(r["sealed_id"])) for r in rows)


def tokens(conn: Conn, case: Case) -> tuple[str, ...]:
    """The subjects' tokens in hex, in order: what a hold names people by."""
    rows = conn.execute(
        "SELECT token FROM casebook.case_subject WHERE case_no = %s ORDER BY subject_no", (case.case_no,)
    ).fetchall()
    return tuple(bytes(r["token"]).hex() for r in rows)


def tokens_among(conn: Conn, keys: KeyStore, case: Case, named: Collection[str]) -> tuple[str, ...]:
    """The same, but where a person is ``named`` under another version of the token key, that token: a hold and a
    case that were opened under different versions are about the same person all the same."""
    stored = tokens(conn, case)
    if not named or len(keys.versions(Purpose.SUBJECT_TOKEN.value)) == 1:
        return stored
    found = []
    for token, account_id in zip(stored, ids(conn, keys, case), strict=True):
        every = (d.hex() for d in sealing.digests(keys, Purpose.SUBJECT_TOKEN, KIND, account_id).values())
        found.append(next((t for t in every if t in named), token))
    return tuple(found)


def open_case_of(conn: Conn, keys: KeyStore, account_id: str) -> str | None:
    """The open request about this person, under any living version of the token key.

    Takes a transaction lock on the person first, so that two requests at once become one case.
    """
    found = sealing.digests(keys, Purpose.SUBJECT_TOKEN, KIND, account_id)
    first = found[min(found)]
    conn.execute("SELECT pg_advisory_xact_lock(%s)", (int.from_bytes(first[:8], "big", signed=True),))
    row = conn.execute(
        "SELECT case_no FROM casebook.case_subject WHERE token = ANY(%s) AND open AND solo",
        (list(found.values()),),
    ).fetchone()
    return None if row is None else str(row["case_no"])


def open_part_of(conn: Conn, keys: KeyStore, account_id: str, opened_by: str) -> str | None:
    """The open case about a part of this person that this partner opened."""
    found = sealing.digests(keys, Purpose.SUBJECT_TOKEN, KIND, account_id)
    row = conn.execute(
        "SELECT case_no FROM casebook.case_subject JOIN casebook.case_ c USING (case_no)"
        " WHERE token = ANY(%s) AND open AND NOT solo AND c.opened_by = %s AND c.kind = 'request' LIMIT 1",
        (list(found.values()), opened_by),
    ).fetchone()
    return None if row is None else str(row["case_no"])


def buried(conn: Conn, keys: KeyStore, account_id: str) -> bool:
    """Whether a tombstone says that this account was cancelled before, by its holder's own request."""
    found = sealing.digests(keys, Purpose.TOMBSTONE, KIND, account_id)
    row = conn.execute(
        "SELECT 1 FROM casebook.tombstone t JOIN casebook.case_ c USING (case_no)"
        " WHERE t.kind = %s AND t.token = ANY(%s) AND c.kind = %s",
        (KIND, list(found.values()), REQUEST),
    ).fetchone()
    return row is not None


def nobody(conn: Conn, case_no: str) -> bool:
    """Whether a case is about items and names nobody, so that there is nobody to tell: a night of retention limits."""
    row = conn.execute(
        "SELECT kind = 'nightly' AND NOT EXISTS (SELECT FROM casebook.case_subject s WHERE s.case_no = c.case_no) AS nobody"
        " FROM casebook.case_ c WHERE c.case_no = %s",
        (case_no,),
    ).fetchone()
    return row is not None and bool(row["nobody"])
