"""Somebody answers for a finding about a recipient: a hole in the register of transfers, or more in it than the policy lists."""

from __future__ import annotations

from datetime import date

from include.cases import book, papers
from include.cases.notices import beyond, holes
from include.cases.notices.rounds import place_of
from include.cases.rooms import Desk
from include.model.errors import Refused

KINDS = {holes.HOLE: holes.explained, beyond.CODE: beyond.explained}


def explained(desk: Desk, case_no: str, recipient: str, *, reason: str, as_of: date, actor: str) -> None:
    """Settle what is open of both kinds. Raises Refused if nothing is, without a reason, and for one that names somebody."""
    with desk.book() as conn:
        book.case(conn, case_no)
        found = {f["code"] for f in papers.open_findings(conn, case_no) if f["place"] == place_of(recipient)}
    if not found & KINDS.keys():
        raise Refused(
            "there is no open finding of that kind about this recipient", about=case_no,
            next_step="see `quietus case show`",
        )  # fmt: skip
    for code in sorted(found & KINDS.keys()):
        KINDS[code](desk, case_no, recipient, reason=reason, as_of=as_of, actor=actor)
