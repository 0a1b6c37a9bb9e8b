"""A row of the company's own names a recipient after the register of transfers began, and the register has no entry: it is
a hole. The recipient was told; why the entry is missing, and who else lacks one, is for a person to find out."""

from __future__ import annotations

from datetime import date

from include.cases.notices import truth
from include.cases.notices.rounds import place_of
from include.cases.rooms import Desk
from include.model.flow import Finding

HOLE = "register_hole"


def finding(recipient: str) -> Finding:
    return Finding(
        code=HOLE, dataset=None, place=place_of(recipient), items=None,
        what="its service was used after the register of transfers began, and the register has no entry of that",
        next_step="it was told all the same; find out why, mend the register, then `quietus recipients explained`",
    )  # fmt: skip


def explained(desk: Desk, case_no: str, recipient: str, *, reason: str, as_of: date, actor: str) -> None:
    """A person found out why: the finding is settled. Raises Refused without a reason, for one that names somebody, and
    where nothing is to be settled."""
    truth.settle(
        desk, case_no, HOLE, recipient, reason=reason, what="register explained", law_row=15, as_of=as_of, actor=actor
    )  # fmt: skip
