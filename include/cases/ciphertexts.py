"""What a case keeps of sealed objects, in the case book: read and written sealed with the case's key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.cases import book
from include.cases.rooms import Desk

if TYPE_CHECKING:
    from include.proofs import Ciphertexts

_FIELD = "ciphertext.sealed"


def kept(desk: Desk, case_no: str) -> Ciphertexts:
    """What was kept so far; nothing, if no look was made."""
    from include.proofs import Ciphertexts

    with desk.book() as conn:
        case = book.case(conn, case_no)
        row = conn.execute("SELECT sealed FROM casebook.ciphertext WHERE case_no = %s", (case_no,)).fetchone()
        if row is None:
            return Ciphertexts()
        return Ciphertexts.from_text(desk.seal(case).open(_FIELD, bytes(row["sealed"])))


def keep(desk: Desk, case_no: str, found: Ciphertexts) -> None:
    """Before anything of the step is disposed of; what is there already is added to, or said anew."""
    if not found.tallies:
        return
    with desk.book() as conn:
        case = book.case(conn, case_no)
        with book.deed(conn, case_no):
            conn.execute(
                "INSERT INTO casebook.ciphertext (case_no, sealed) VALUES (%s, %s)"
                " ON CONFLICT (case_no) DO UPDATE SET sealed = excluded.sealed, taken_at = clock_timestamp()",
                (case_no, desk.seal(case).seal(_FIELD, found.to_text())),
            )
