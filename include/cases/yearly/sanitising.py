"""Records of what became of media (policy 5.3, 5.6): method, technique, who did it, who checked it, and on what paper.

Nobody can see from here that a disk was shredded (rung R12): it is attested by two people and a document. What can be seen is
looked at before a record is taken: copies that are still in their set, and a key of ours that still lives, refuse it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from psycopg.rows import class_row

from include.cases import book
from include.cases.book import Conn
from include.cases.rooms import Desk
from include.model.errors import NotReachable, Refused
from include.model.screening import kind_of_identifier

KIND = "sanitised"
"""Of the ledger's entry."""
_LABEL = re.compile(r"[\w(（〔][\w ./:#()（）〔〕+,%-]{0,119}")
_KEY_OF_OURS = re.compile(r"([a-z0-9][a-z0-9_-]{0,63})\.v[1-9][0-9]{0,5}")


class Medium(StrEnum):
    DISK = "disk"
    BACKUP_VOLUME = "backup_volume"
    TAPE = "tape"
    BUCKET = "bucket"
    KEY = "key"


class Method(StrEnum):
    """``erase``: overwritten, or erased by the device's own command. ``crypto_erase``: every copy of the key is gone.
    ``physical``: the medium is destroyed; degaussing does not do that (NIST SP 800-88r2)."""

    ERASE = "erase"
    CRYPTO_ERASE = "crypto_erase"
    PHYSICAL = "physical"


PROCEDURE: Mapping[Medium, frozenset[Method]] = {
    Medium.DISK: frozenset(Method),
    Medium.BACKUP_VOLUME: frozenset(Method),
    Medium.TAPE: frozenset(Method),
    Medium.BUCKET: frozenset({Method.ERASE, Method.CRYPTO_ERASE}),  # nobody hands us its disks
    Medium.KEY: frozenset({Method.ERASE, Method.PHYSICAL}),  # physical: the module that held it
}
"""What may be done to each medium."""


@dataclass(frozen=True)
class Told:
    """What ops say. ``label``: the inventory's name of the medium. ``checked``: how it was seen that nothing can be read.
    ``copies``: those of ``backup_set`` that went with it. ``key``: of an encrypted medium. People are given as role/name."""

    medium: Medium
    label: str
    method: Method
    technique: str
    on: date
    operator: str
    verifier: str
    checked: str
    document: str
    backup_set: str | None = None
    copies: tuple[str, ...] = ()
    key: str | None = None
    corrects: int | None = None


@dataclass(frozen=True)
class Sanitised:
    """One record, as it is in the book."""

    record_no: int
    medium: str
    label: str
    method: str
    technique: str
    sanitised_on: date
    operator: str
    verifier: str
    verified_by: str
    document: str
    backup_set: str | None
    copies: list[str]
    copies_seen_gone: bool | None
    key_id: str | None
    corrects: int | None
    recorded_by: str


def record(desk: Desk, told: Told, *, as_of: date, actor: str) -> int:
    """Keep a record, and say it in the ledger; its number. Raises Refused, with nothing kept, for what cannot be so."""
    _checked(desk, told, as_of)
    seen = _copies_are_gone(desk, told)
    with desk.book() as conn, book.deed(conn, "sanitisation"):
        if told.corrects is not None and told.corrects not in {r.record_no for r in in_force(conn)}:
            raise Refused(
                "there is no such record, or another one took its place", about=f"record {told.corrects}",
                next_step="see `quietus yearly media`",
            )  # fmt: skip
        row = conn.execute(
            "INSERT INTO casebook.sanitisation (medium, label, method, technique, sanitised_on, operator, verifier, verified_by,"
            " document, backup_set, copies, copies_seen_gone, key_id, corrects, recorded_by)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING record_no",
            (told.medium, told.label.strip(), told.method, told.technique.strip(), told.on, told.operator, told.verifier,
             told.checked.strip(), told.document.strip(), told.backup_set, list(told.copies), seen, told.key, told.corrects,
             book.checked_actor(actor)),
        ).fetchone()  # fmt: skip
        number = int(row["record_no"]) if row else 0
        # Rolled back if the ledger does not take it; in the ledger and not in the book: a number that nobody has.
        desk.record(KIND, None, _body(told, number, seen), f"{KIND}:{number}")
    return number


def in_force(conn: Conn) -> tuple[Sanitised, ...]:
    """Every record that none took the place of, oldest first."""
    with conn.cursor(row_factory=class_row(Sanitised)) as cursor:
        cursor.execute(
            "SELECT record_no, medium, label, method, technique, sanitised_on, operator, verifier, verified_by, document,"
            " backup_set, copies, copies_seen_gone, key_id, corrects, recorded_by FROM casebook.sanitisation s"
            " WHERE NOT EXISTS (SELECT FROM casebook.sanitisation c WHERE c.corrects = s.record_no) ORDER BY record_no"
        )
        return tuple(cursor.fetchall())


def _checked(desk: Desk, told: Told, as_of: date) -> None:
    if told.method not in PROCEDURE[told.medium]:
        ways = ", ".join(sorted(m.value for m in PROCEDURE[told.medium]))
        raise Refused(
            f"a {told.medium} is not sanitised by {told.method}",
            about=told.medium,
            next_step=f"use one of: {ways}",
        )
    if told.method is Method.PHYSICAL and re.search(r"degauss|消磁", told.technique, re.IGNORECASE):
        raise Refused(
            "degaussing does not destroy a medium (NIST SP 800-88r2)", about=told.medium,
            next_step="record it as erase, or destroy the medium",
        )  # fmt: skip
    for name, text in (
        ("label", told.label), ("technique", told.technique), ("check", told.checked), ("document", told.document),
        *(("copy", c) for c in told.copies), *((("key", told.key),) if told.key is not None else ()),
    ):  # fmt: skip
        if kind := kind_of_identifier(text, account_ids=True):
            raise Refused(f"the {name} holds {kind}", about="sanitisation", next_step="keep people out of it")
        if not _LABEL.fullmatch(text.strip()):
            raise Refused(
                f"the {name} is missing, or is not written in up to 120 letters, digits, blanks and ./:#()+,%-",
                about="sanitisation", next_step=f"give the {name} as the paper has it",
            )  # fmt: skip
    if told.on > as_of:
        raise Refused(
            "that day has not come yet", about="sanitisation", next_step="record it once it is done"
        )
    operator, verifier = book.checked_actor(told.operator), book.checked_actor(told.verifier)
    if book.person(operator) == book.person(verifier):
        raise Refused(
            "whoever sanitised a medium does not verify it",
            about="sanitisation",
            next_step="name a second person",
        )
    _checked_key(desk, told)
    if told.copies and told.backup_set is None:
        raise Refused(
            "copies are of a backup set", about="sanitisation", next_step="name it with --backup-set"
        )


def _checked_key(desk: Desk, told: Told) -> None:
    """Of a key of ours it is seen whether it is destroyed; of any other it is attested."""
    if told.method is Method.CRYPTO_ERASE and told.key is None:
        raise Refused(
            "an encrypted medium is erased only if every copy of its key is gone", about=told.label,
            next_step="name the key whose every copy is gone with --key",
        )  # fmt: skip
    named = told.label if told.medium is Medium.KEY else told.key
    ours = _KEY_OF_OURS.fullmatch(named or "")
    if ours and named in {ref.id for ref in desk.keys.versions(ours[1])}:
        raise Refused("this key lives in our key store", about=ours[0], next_step="destroy it first")


def _copies_are_gone(desk: Desk, told: Told) -> bool | None:
    """Whether the set was asked, and has none of the copies any more; None if none is named, or it cannot be asked."""
    if told.backup_set is None:
        return None
    declared = {b.id: b for b in desk.catalogue.backups}
    if told.backup_set not in declared:
        raise Refused(
            "there is no such backup set",
            about=told.backup_set,
            next_step=f"name one of: {', '.join(declared)}",
        )
    if not told.copies:
        return None
    try:
        there = {copy.name for copy in desk.backup_tool(declared[told.backup_set]).look().copies}
    except NotReachable:
        return None  # it may have been on the very disk that was shredded
    if left := sorted(there & set(told.copies)):
        raise Refused(
            f"the set still has {', '.join(left)}", about=told.backup_set,
            next_step="let it expire (`quietus backups`), then record what became of the medium",
        )  # fmt: skip
    return True


def _body(told: Told, number: int, seen: bool | None) -> dict[str, object]:
    """People are named in the book; the ledger has their roles."""
    return {
        "record": number,
        "medium": told.medium.value,
        "label": told.label.strip(),
        "method": told.method.value,
        "technique": told.technique.strip(),
        "sanitised_on": told.on.isoformat(),
        "roles": [told.operator.partition("/")[0], told.verifier.partition("/")[0]],
        "checked": told.checked.strip(),
        "document": told.document.strip(),
        "backup_set": told.backup_set,
        "copies": list(told.copies),
        "copies_seen_gone": seen,
        "key": told.key,
        "corrects": told.corrects,
    }
