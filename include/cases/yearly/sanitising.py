"""Records of what became of media (policy 5.3, 5.6): method, technique, who did it, who checked it, and on what paper.

Nobody can see from here that a disk was shredded (rung R12): it is attested by two people and a document. What can be seen is
looked at before a record is taken: copies that are still in their set, and a key of ours that still lives, refuse it. So does
a method, or a share that was read back, below what the catalogue's procedure asks for the most sensitive dataset that the
medium held (policy 5.3: *by sensitivity*).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from psycopg.rows import class_row

from include.cases import book
from include.cases.book import Conn
from include.cases.rooms import Desk
from include.model.catalogue import Catalogue
from include.model.doors import in_sandbox
from include.model.errors import NotReachable, Refused
from include.model.media import POSSIBLE, MediaProcedure, Medium, Method, held_by, sensitive_of
from include.model.screening import kind_of_identifier

KIND = "sanitised"
"""Of the ledger's entry."""
_LABEL = re.compile(r"[\w(（〔][\w ./:#()（）〔〕+,%-]{0,119}")
_KEY_OF_OURS = re.compile(r"([a-z0-9][a-z0-9_-]{0,63})\.v[1-9][0-9]{0,5}")


@dataclass(frozen=True)
class Told:
    """What ops say. ``label``: the inventory's name of the medium. ``checked``: how it was seen that nothing can be read, and
    ``verified`` of how many percent of it. What it held is one of three: all of a ``store``, all of a ``backup_set``, or these
    ``datasets``. ``copies``: those of ``backup_set`` that went with it. ``key``: of an encrypted medium. ``standard``: the one
    that was followed, as the procedure cites it. People are given as role/name."""

    medium: Medium
    label: str
    method: Method
    technique: str
    on: date
    operator: str
    verifier: str
    checked: str
    document: str
    standard: str
    verified: int
    store: str | None = None
    backup_set: str | None = None
    datasets: tuple[str, ...] = ()
    copies: tuple[str, ...] = ()
    key: str | None = None
    corrects: int | None = None


@dataclass(frozen=True)
class Sanitised:
    """One record, as it is in the book. ``datasets`` and the four after it: None, a record of before does not say."""

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
    store: str | None
    datasets: list[str] | None
    sensitive: bool | None
    procedure: str | None
    standard: str | None
    verified_percent: int | None


@dataclass(frozen=True)
class _Held:
    """What a medium held, and what the procedure asks for that."""

    datasets: tuple[str, ...]
    sensitive: bool
    procedure: MediaProcedure


def record(desk: Desk, told: Told, *, as_of: date, actor: str) -> int:
    """Keep a record, and say it in the ledger; its number. Raises Refused, with nothing kept, for what cannot be so."""
    _checked(desk, told, as_of)
    held = _held(desk, told)
    seen = _copies_are_gone(desk, told)
    with desk.book() as conn, book.deed(conn, "sanitisation"):
        if told.corrects is not None and told.corrects not in {r.record_no for r in in_force(conn)}:
            raise Refused(
                "there is no such record, or another one took its place", about=f"record {told.corrects}",
                next_step="see `quietus yearly media`",
            )  # fmt: skip
        row = conn.execute(
            "INSERT INTO casebook.sanitisation (medium, label, method, technique, sanitised_on, operator, verifier, verified_by,"
            " document, backup_set, copies, copies_seen_gone, key_id, corrects, recorded_by, store, datasets, sensitive,"
            " procedure, standard, verified_percent)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING record_no",
            (told.medium, told.label.strip(), told.method, told.technique.strip(), told.on, told.operator, told.verifier,
             told.checked.strip(), told.document.strip(), told.backup_set, list(told.copies), seen, told.key, told.corrects,
             book.checked_actor(actor), told.store, list(held.datasets), held.sensitive, held.procedure.id, told.standard,
             told.verified),
        ).fetchone()  # fmt: skip
        number = int(row["record_no"]) if row else 0
        # Rolled back if the ledger does not take it; in the ledger and not in the book: a number that nobody has.
        desk.record(KIND, None, _body(told, held, number, seen), f"{KIND}:{number}")
    return number


def in_force(conn: Conn) -> tuple[Sanitised, ...]:
    """Every record that none took the place of, oldest first."""
    with conn.cursor(row_factory=class_row(Sanitised)) as cursor:
        cursor.execute(
            "SELECT record_no, medium, label, method, technique, sanitised_on, operator, verifier, verified_by, document,"
            " backup_set, copies, copies_seen_gone, key_id, corrects, recorded_by, store, datasets, sensitive, procedure,"
            " standard, verified_percent FROM casebook.sanitisation s"
            " WHERE NOT EXISTS (SELECT FROM casebook.sanitisation c WHERE c.corrects = s.record_no) ORDER BY record_no"
        )
        return tuple(cursor.fetchall())


def _checked(desk: Desk, told: Told, as_of: date) -> None:
    if told.method not in POSSIBLE[told.medium]:
        ways = ", ".join(sorted(m.value for m in POSSIBLE[told.medium]))
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


def _held(desk: Desk, told: Told) -> _Held:
    """What it held, which decides what suffices. Raises Refused if nobody knows, nobody owns the procedure outside a sandbox, or
    what was done is below it."""
    datasets = _datasets(desk.catalogue, told)
    sensitive = sensitive_of(desk.catalogue, datasets)
    p = next(
        (p for p in desk.catalogue.media if (p.medium, p.sensitive) == (told.medium, bool(sensitive))), None
    )
    level, about = (
        ("sensitive data", f"{told.medium} that held {sensitive[0]}")
        if sensitive
        else ("data that is not sensitive", f"{told.medium} that held {datasets[0]}")
    )
    if p is None:
        raise Refused(
            f"the catalogue has no procedure for {level} on a {told.medium}", about=about,
            next_step="declare it in media.yaml",
        )  # fmt: skip
    held = _Held(datasets, bool(sensitive), p)
    suffices(desk, told, held, level=level, about=about)
    return held


def suffices(desk: Desk, told: Told, held: _Held, *, level: str, about: str) -> None:
    """Raises Refused if the method, the share that was verified or the standard is below the procedure, or if nobody owns that
    outside a sandbox."""
    p = held.procedure
    if not (p.proposal.owner and p.proposal.approved_on) and not in_sandbox(desk.connections):
        raise Refused(
            f"nobody owns the procedure {p.id}", about=about,
            next_step="give its `proposal` its `owner` and `approved_on`; without them it holds in a sandbox only",
        )  # fmt: skip
    if told.method not in p.methods:
        raise Refused(
            f"{told.method} is below the procedure {p.id}: for {level} it does not suffice", about=about,
            next_step=f"sanitise it by one of: {', '.join(sorted(p.methods))}; then record that",
        )  # fmt: skip
    if not p.methods[told.method] <= told.verified <= 100:
        raise Refused(
            f"{told.verified} % of it was verified, and the procedure {p.id} asks for {p.methods[told.method]} % of"
            f" {told.method}", about=about, next_step="verify more of it; then record that, at most 100",
        )  # fmt: skip
    if told.standard not in (cites := [b.cite for b in p.basis]):
        raise Refused(
            f"the procedure {p.id} does not go by that standard", about=about,
            next_step=f"name one of: {', '.join(cites)}",
        )  # fmt: skip


def _datasets(catalogue: Catalogue, told: Told) -> tuple[str, ...]:
    """The datasets that it held: a store's medium, and a copy of it, held all of that store's."""
    if sum((told.store is not None, told.backup_set is not None, bool(told.datasets))) != 1:
        raise Refused(
            "what the medium held is said by its store, its backup set or its datasets: by one of them", about=told.medium,
            next_step="name the store (--store), the set (--backup-set) or each dataset (--dataset)",
        )  # fmt: skip
    if told.datasets:
        if unknown := sorted({*told.datasets} - {d.id for d in catalogue.datasets}):
            raise Refused(
                "there is no such dataset", about=unknown[0],
                next_step="name it as the catalogue does (`quietus catalogue explain`)",
            )  # fmt: skip
        return tuple(sorted({*told.datasets}))
    sets = {b.id: b.store for b in catalogue.backups}
    if told.backup_set is not None and told.backup_set not in sets:
        raise Refused(
            "there is no such backup set", about=told.backup_set, next_step=f"name one of: {', '.join(sets)}"
        )
    store = told.store if told.backup_set is None else sets[told.backup_set]
    if store not in (stores := [s.id for s in catalogue.stores]):
        raise Refused(
            "there is no such store", about=str(store), next_step=f"name one of: {', '.join(stores)}"
        )
    held = held_by(catalogue, str(store))
    if not held:
        raise Refused(
            "no dataset is in that store", about=str(store), next_step="name each dataset with --dataset"
        )
    return held


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
    if not told.copies:
        return None
    declared = {b.id: b for b in desk.catalogue.backups}
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


def _body(told: Told, held: _Held, number: int, seen: bool | None) -> dict[str, object]:
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
        "store": told.store,
        "datasets": list(held.datasets),
        "sensitive": held.sensitive,
        "procedure": held.procedure.id,
        "standard": told.standard,
        "verified_percent": told.verified,
    }
