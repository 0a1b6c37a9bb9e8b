"""A certificate is made, kept outside the house, and laid out for people to fetch."""

from __future__ import annotations

from datetime import date

from include.cases import book, keeping
from include.cases.certifying import certify
from include.cases.proofs_page import proofs_page
from include.cases.rooms import Desk
from include.cases.shelf import Shelf
from include.model.words import Role


def hand_out(desk: Desk, case_no: str, shelf: Shelf, *, as_of: date, actor: str) -> str:
    """Certify a case in both editions, with its page of proofs; the name of the auditor's. Handed out once its head is kept
    outside. Raises what :func:`include.cases.certifying.certify` raises, and NotReachable if the shelf cannot be written."""
    editions = certify(desk, case_no, as_of=as_of, actor=actor)
    keeping.bring_outside(desk.connections)
    with book.connect(desk.connections.postgres(book.RECORDS, Role.READER)) as conn:
        proofs = proofs_page(conn, book.case(conn, case_no), desk.catalogue, editions.serial)
    return shelf.put(editions, proofs)
