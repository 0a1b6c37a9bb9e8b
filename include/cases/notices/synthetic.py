"""Synthetic people: accounts of our own that recipients have like those of customers, so that their word can be tested.

Only of these may a recipient be asked *before* it is told; so only of these does its no mean anything. To it they are
customers: they are cancelled by the same promise, and their notices say nothing else than anybody's.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from include.cases import book, sealing, subjects
from include.cases.accounts import Standing
from include.cases.book import Case, Conn, Rows
from include.cases.keys import KeyStore, Purpose
from include.cases.notices.composing import Given
from include.cases.notices.whom import ToTell
from include.cases.rooms import Desk
from include.cases.sealing import Seal
from include.model.catalogue import Catalogue
from include.model.errors import Refused
from include.model.screening import kind_of_identifier

ASKABLE = "opendsr"
"""The channel over which a recipient can be asked whether it knows somebody."""
_REFERENCE = re.compile(r"[!-~]{1,128}")
_ABOUT = "synthetic person"

References = Mapping[str, Sequence[str]]  # recipient -> its own numbers for the person


@dataclass(frozen=True)
class Registered:
    """``name`` is what we call the person. ``unasked``: recipients of theirs that nobody can ask."""

    name: str
    new: int  # references that were not known yet
    unasked: tuple[str, ...]


def add(desk: Desk, account_id: str, at: References, *, as_of: date, actor: str) -> Registered:
    """Say that an account is nobody's, and under which numbers which recipients have it; again adds to it.

    Raises Refused for what is no live account of ours, is under a case already, or names a recipient or a number that
    cannot be one. Nothing of it is stored then, and nothing is echoed.
    """
    id_ = subjects.screened(account_id)
    _checked(desk.catalogue, at)
    if (standing := desk.accounts.standing(id_)) is not Standing.LIVE:
        what = (
            "this account is cancelled already"
            if standing is Standing.CANCELLED
            else "there is no such account"
        )
        raise Refused(what, about=_ABOUT, next_step="open an account as a customer does, and give its id")
    with desk.book() as conn, book.deed(conn, _ABOUT):
        if (case_no := subjects.open_case_of(conn, desk.keys, id_)) is not None:
            raise Refused(
                "a case about this account is open: its recipients are told, and asked no more what they knew before",
                about=case_no, next_step="register another account",
            )  # fmt: skip
        name, key_id = _named(conn, desk.keys, id_, as_of, actor)
        if cases_of(conn, name):
            raise Refused(
                "this one had its case already", about=name, next_step="register another account, for the next one"
            )  # fmt: skip
        new = _refer(conn, desk.keys, name, key_id, at, as_of, actor)
    askable = {r.id for r in desk.catalogue.recipients if r.channel == ASKABLE}
    return Registered(name, new, tuple(sorted(at.keys() - askable)))


def _checked(catalogue: Catalogue, at: References) -> None:
    if not any(at.values()):
        raise Refused(
            "it is registered with nobody", about=_ABOUT,
            next_step="name at least one recipient and its number for the person (--at RECIPIENT=NUMBER)",
        )  # fmt: skip
    if at.keys() - {r.id for r in catalogue.recipients}:
        raise Refused(
            "the catalogue has no such recipient", about=_ABOUT,
            next_step="give ids as `quietus recipients list` and recipients.yaml have them",
        )  # fmt: skip
    for recipient, references in at.items():
        for reference in references:
            if not _REFERENCE.fullmatch(reference):
                raise Refused(
                    "this is no number of a recipient's: 1 to 128 characters, no spaces", about=recipient,
                    next_step="give the number by which it answers a question about the person",
                )  # fmt: skip
            if kind := kind_of_identifier(reference):
                raise Refused(
                    f"this is {kind}, not a number of the recipient's own", about=recipient,
                    next_step="give the number by which it answers; nothing was stored",
                )  # fmt: skip


def _named(conn: Conn, keys: KeyStore, account_id: str, as_of: date, actor: str) -> tuple[str, str]:
    """The name and key of an account's synthetic person, registered now if it is none yet."""
    tokens = sealing.digests(keys, Purpose.SUBJECT_TOKEN, subjects.KIND, account_id)
    row = conn.execute(
        "SELECT name, key_id FROM casebook.synthetic WHERE token = ANY(%s)", (list(tokens.values()),)
    ).fetchone()
    if row is not None:
        return str(row["name"]), str(row["key_id"])
    number = conn.execute("SELECT nextval('casebook.synthetic_number') AS n").fetchone()
    name = f"SYN-{number['n'] if number else 0:06d}"
    key = keys.make(name.lower(), name, Purpose.SEALING)
    version = max(tokens)
    conn.execute(
        "INSERT INTO casebook.synthetic (name, sealed_id, token, token_version, key_id, registered_on, registered_by)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (name, Seal(keys, key.id, name).seal(_ID, account_id), tokens[version], version, key.id, as_of,
         book.checked_actor(actor)),
    )  # fmt: skip
    return name, key.id


_ID = "synthetic.sealed_id"


def _field(recipient: str, number: int) -> str:
    return f"synthetic_at.sealed_reference.{recipient}.{number}"


def _refer(
    conn: Conn, keys: KeyStore, name: str, key_id: str, at: References, as_of: date, actor: str
) -> int:
    """Keep what is new; how much. Raises Refused for a number by which a recipient knows another synthetic person."""
    new = 0
    for recipient, references in at.items():
        # One at a time: the numbers are sealed, so no index keeps two people from getting one.
        conn.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"casebook.synthetic {recipient}",)
        )
        known = _known(conn, keys, recipient)
        taken = {
            reference for other, references in known.items() if other != name for reference in references
        }
        if taken & set(references):
            raise Refused(
                "another synthetic person has this number there", about=recipient,
                next_step="check which account it belongs to: one number, one person",
            )  # fmt: skip
        mine = known.get(name, ())
        for reference in dict.fromkeys(r for r in references if r not in mine):
            number = len(mine) + 1
            sealed = Seal(keys, key_id, name).seal(_field(recipient, number), reference)
            conn.execute(
                "INSERT INTO casebook.synthetic_at (name, recipient, reference_no, sealed_reference, registered_on,"
                " registered_by) VALUES (%s, %s, %s, %s, %s, %s)",
                (name, recipient, number, sealed, as_of, book.checked_actor(actor)),
            )
            mine, new = (*mine, reference), new + 1
    return new


def _known(
    conn: Conn, keys: KeyStore, recipient: str | None = None, name: str | None = None
) -> dict[str, tuple[str, ...]]:
    """By person or, of one person, by recipient: the numbers, opened."""
    found: dict[str, tuple[str, ...]] = {}
    for row in conn.execute(
        "SELECT name, recipient, reference_no, sealed_reference, key_id FROM casebook.synthetic_at"
        " JOIN casebook.synthetic USING (name) WHERE %(who)s::text IS NULL AND name = %(name)s OR recipient = %(who)s"
        " ORDER BY name, recipient, reference_no",
        {"who": recipient, "name": name},
    ).fetchall():
        seal = Seal(keys, row["key_id"], row["name"])
        value = seal.open(_field(row["recipient"], row["reference_no"]), bytes(row["sealed_reference"]))
        key = row["recipient"] if recipient is None else row["name"]
        found[key] = (*found.get(key, ()), value)
    return found


def remove(desk: Desk, name: str) -> None:
    """Forget one that never had a case: its numbers, and the key that they are sealed with. Raises Refused otherwise."""
    with desk.book() as conn, book.deed(conn, _ABOUT):
        row = _one(conn, name)
        if found := cases_of(conn, name):
            raise Refused(
                "what its recipients said of it is evidence",
                about=name,
                next_step=f"see {found[-1]}; it stays",
            )
        conn.execute("DELETE FROM casebook.synthetic_at WHERE name = %s", (name,))
        conn.execute("DELETE FROM casebook.synthetic WHERE name = %s", (name,))
    desk.keys.destroy(row["key_id"])


def registered(desk: Desk, account_id: str) -> bool:
    """Whether an account is a synthetic person's."""
    tokens = sealing.digests(desk.keys, Purpose.SUBJECT_TOKEN, subjects.KIND, account_id)
    with desk.book() as conn:
        row = conn.execute(
            "SELECT 1 FROM casebook.synthetic WHERE token = ANY(%s)", (list(tokens.values()),)
        ).fetchone()
    return row is not None


def account(desk: Desk, name: str) -> str:
    """The account id, in memory only: for the case that is opened about it."""
    with desk.book() as conn:
        row = _one(conn, name)
    return Seal(desk.keys, row["key_id"], name).open(_ID, bytes(row["sealed_id"]))


def _one(conn: Conn, name: str) -> dict[str, Any]:
    row: dict[str, Any] | None = conn.execute(
        "SELECT * FROM casebook.synthetic WHERE name = %s", (name,)
    ).fetchone()
    if row is None:
        raise Refused(
            "there is no such synthetic person", about=_ABOUT,
            next_step="give its name as `quietus recipients synthetic list` has it: SYN- and six digits",
        )  # fmt: skip
    return row


def cases_of(conn: Conn, name: str) -> tuple[str, ...]:
    """Its cases, oldest first."""
    rows = conn.execute(
        "SELECT case_no FROM casebook.synthetic_case WHERE name = %s ORDER BY case_no", (name,)
    ).fetchall()
    return tuple(str(r["case_no"]) for r in rows)


def listing(conn: Conn) -> Rows:
    """Each with its recipients, its last case, and how many of its recipients' words were kept or broken."""
    return conn.execute(
        "SELECT s.name, s.registered_on, a.recipients, c.case_no, k.state,"
        "  coalesce(w.verified, 0) AS verified, coalesce(w.caught, 0) AS caught, coalesce(w.words, 0) AS words"
        " FROM casebook.synthetic s"
        " JOIN (SELECT name, array_agg(DISTINCT recipient ORDER BY recipient) AS recipients FROM casebook.synthetic_at"
        "  GROUP BY 1) a USING (name)"
        " LEFT JOIN (SELECT name, max(case_no) AS case_no FROM casebook.synthetic_case GROUP BY 1) c USING (name)"
        " LEFT JOIN casebook.case_ k ON k.case_no = c.case_no"
        " LEFT JOIN (SELECT case_no, count(*) AS words, count(*) FILTER (WHERE found = 'verified') AS verified,"
        "  count(*) FILTER (WHERE found = 'caught') AS caught FROM casebook.word_kept WHERE synthetic GROUP BY 1) w"
        "  ON w.case_no = c.case_no ORDER BY s.name"
    ).fetchall()


# --- in a case ---------------------------------------------------------------------------------------


def link(conn: Conn, keys: KeyStore, case: Case, account_id: str) -> None:
    """Say of a case that is being opened that it is about a synthetic person, if it is."""
    tokens = sealing.digests(keys, Purpose.SUBJECT_TOKEN, subjects.KIND, account_id)
    conn.execute(
        "INSERT INTO casebook.synthetic_case (case_no, name) SELECT %s, name FROM casebook.synthetic"
        " WHERE token = ANY(%s)",
        (case.case_no, list(tokens.values())),
    )


def among(conn: Conn, case_nos: Collection[str]) -> frozenset[str]:
    """Those of the cases that are about a synthetic person."""
    rows = conn.execute(
        "SELECT case_no FROM casebook.synthetic_case WHERE case_no = ANY(%s)", (sorted(case_nos),)
    ).fetchall()
    return frozenset(str(r["case_no"]) for r in rows)


def also_told(
    conn: Conn, keys: KeyStore, case: Case, catalogue: Catalogue, told: Sequence[ToTell]
) -> tuple[ToTell, ...]:
    """Whom to tell, and by which numbers: also those with whom a synthetic person was registered by hand."""
    row = conn.execute(
        "SELECT name FROM casebook.synthetic_case WHERE case_no = %s", (case.case_no,)
    ).fetchone()
    if row is None:
        return tuple(told)
    ours = _known(conn, keys, name=str(row["name"]))
    by_id = {one.recipient.id: one for one in told}
    found = []
    for recipient in catalogue.recipients:
        one = by_id.get(recipient.id)
        if references := ours.get(recipient.id, ()):
            given = one.given if one else Given(recipient.id, len(references))
            every = tuple(dict.fromkeys((*given.references, *references)))
            one = ToTell(recipient, replace(given, references=every))
        if one is not None:
            found.append(one)
    return tuple(found)
